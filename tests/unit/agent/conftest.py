from __future__ import annotations

import pytest
from tests.unit.agent.cloud import CA_KEY, Cloud, Recorder, certify

from fleetgate.agent.tls import Endpoint, KeyTexts
from fleetgate.pki import keys
from fleetgate.pki.keys import KeyKind


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Endpoint:
    """With one CA: reading all of the system's for each context would take most of the tests' time."""
    ca = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.write_text(certify(CA_KEY.public_key()))
    return Endpoint("localhost", ca_file=ca)


@pytest.fixture
def claim() -> KeyTexts:
    key = keys.generate(KeyKind.EC_P256)
    return KeyTexts(certify(key.public_key()), keys.private_key_pem(key))


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()
