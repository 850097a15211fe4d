from __future__ import annotations

from dataclasses import replace

import pytest
from botocore.credentials import Credentials
from tests.runtime import Installed, signed

from fleetgate.api.callers import Callers, actor, realm
from fleetgate.errors import InvalidRequest
from fleetgate.names import Realm
from fleetgate.registry import access_keys
from fleetgate.registry.access_keys import AccessKey, Status
from fleetgate.wire.restjson.sigv4 import Credential, SignatureRefused


@pytest.fixture
def callers(house: Installed) -> Callers:
    return Callers(house.runtime)


@pytest.fixture
def credential(operator: Credentials) -> Credential:
    return Credential(
        str(operator.access_key), "20260101", "us-east-1", "iot", ("host",), "0" * 64, None, "header", "", 0
    )


def found(house: Installed, callers: Callers, credential: Credential) -> AccessKey:
    key: AccessKey = house.run(callers.key(credential))
    return key


def test_a_key_is_known_by_its_id(house: Installed, callers: Callers, credential: Credential, realm: Realm) -> None:
    key = found(house, callers, credential)
    assert key.account == realm.account
    assert actor(key) == f"arn:aws:iam::{realm.account}:access-key/{credential.access_key_id}"


def test_keys_that_open_nothing(house: Installed, callers: Callers, credential: Credential, realm: Realm) -> None:
    strangers = [
        (replace(credential, access_key_id="AKIA" + "X" * 16), "UnrecognizedClientException"),
        (replace(credential, access_key_id="AKIA\x00" + "X" * 16), "UnrecognizedClientException"),
        (replace(credential, security_token="token"), "UnrecognizedClientException"),
        (replace(credential, form="query"), "IncompleteSignatureException"),
    ]
    for stranger, code in strangers:
        with pytest.raises(SignatureRefused) as caught:
            found(house, callers, stranger)
        assert caught.value.code == code
    act = house.runtime.act(realm, "system")
    house.write(lambda tx: access_keys.set_status(tx, act, credential.access_key_id, Status.INACTIVE))
    with pytest.raises(SignatureRefused):
        found(house, callers, credential)


def test_a_realm_is_an_account_and_any_region() -> None:
    assert realm("123456789012", "eu-west-3") == Realm("123456789012", "eu-west-3")
    with pytest.raises(InvalidRequest, match="us-east-1"):
        realm("123456789012", "nowhere")


def test_signed_requests_carry_what_the_tests_think(operator: Credentials) -> None:
    request = signed(operator, "GET", "/things?maxResults=1", region="eu-west-1")
    assert f"{operator.access_key}/" in str(request.headers["Authorization"])
    assert "/eu-west-1/iot/aws4_request" in str(request.headers["Authorization"])
