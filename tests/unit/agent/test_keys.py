from __future__ import annotations

import pytest
from tests.unit.agent.cloud import certify

from fleetgate.agent import keys
from fleetgate.agent.errors import AnswerUnusable, StoreUnusable
from fleetgate.pki import csr
from fleetgate.pki.keys import KeyKind, load_private_key


@pytest.mark.parametrize("kind", [KeyKind.EC_P256, KeyKind.EC_P384, KeyKind.RSA_2048])
def test_a_request_proves_possession(kind: KeyKind) -> None:
    key = keys.make(kind)
    verified = csr.parse(keys.signing_request(key, "device-1"))
    assert verified.public_key == load_private_key(key.encode()).public_key()
    assert verified.subject.rfc4514_string() == "CN=device-1"


def test_a_request_may_leave_its_subject_to_the_server() -> None:
    assert list(csr.parse(keys.signing_request(keys.make(KeyKind.EC_P256), "")).subject) == []


def test_a_kept_key_that_is_none() -> None:
    with pytest.raises(StoreUnusable, match="kept private key"):
        keys.signing_request("nonsense", "")


def test_a_certificate_belongs_to_its_key() -> None:
    key, other = keys.make(KeyKind.EC_P256), keys.make(KeyKind.EC_P256)
    certificate = certify(load_private_key(key.encode()).public_key())
    keys.check_belongs(certificate, key, "Create")
    with pytest.raises(AnswerUnusable, match="for another key"):
        keys.check_belongs(certificate, other, "Create")
    with pytest.raises(AnswerUnusable, match="certificate cannot be read"):
        keys.check_belongs("nonsense", key, "Create")
    with pytest.raises(AnswerUnusable, match="private key cannot be read"):
        keys.check_belongs(certificate, "nonsense", "Create")
