from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest

from fleetgate import endpoints
from fleetgate.config import GatewayConfig
from fleetgate.database.open import memory
from fleetgate.database.port import Tx
from fleetgate.errors import AccessDenied, InvalidRequest
from fleetgate.names import Act, Realm
from fleetgate.registry import domains
from fleetgate.registry.domains import DomainType, Status

REALM = Realm("123456789012", "eu-west-1")
ACT = Act(REALM, "system", 1_790_000_000_000, str(uuid.UUID(int=1)))
SHARED = GatewayConfig(endpoint_names=("localhost", "127.0.0.1"))
OWN = GatewayConfig(endpoint_names=("Gate.example.com",), endpoint_suffix="IoT.example.com")


@pytest.fixture
def tx() -> Iterator[Tx]:
    database = memory()
    yield database.tx
    database.close()


def test_the_default_endpoint() -> None:
    assert endpoints.address(SHARED, REALM) == "localhost"
    assert endpoints.address(OWN, REALM) == "123456789012-eu-west-1.iot.example.com"


@pytest.mark.parametrize(
    "name", [None, "gate.example.com", "iot.example.com", "elsewhere.example", "x.iot.example.com"]
)
def test_names_that_tell_nothing(tx: Tx, name: str | None) -> None:
    assert endpoints.home(tx, OWN, name) is None


@pytest.mark.parametrize(
    "label", ["12345678901-eu-west-1", "123456789012-nowhere", "123456789012", "a.123456789012-eu-west-1"]
)
def test_labels_that_no_account_has(tx: Tx, label: str) -> None:
    assert endpoints.home(tx, OWN, f"{label}.iot.example.com") is None


def test_an_endpoint_of_its_own_tells_account_and_region(tx: Tx) -> None:
    assert endpoints.home(tx, OWN, endpoints.address(OWN, REALM)) == endpoints.Home(REALM, None)
    assert endpoints.home(tx, SHARED, endpoints.address(OWN, REALM)) is None


def test_a_domain_configuration_tells_it_while_it_is_enabled(tx: Tx) -> None:
    made = domains.create(tx, ACT, "d", "devices.example.net", DomainType.CUSTOMER_MANAGED)
    assert endpoints.home(tx, SHARED, "devices.example.net") == endpoints.Home(REALM, made)
    assert endpoints.realm(tx, SHARED, "devices.example.net") == REALM
    domains.update(tx, ACT, replace(made, status=Status.DISABLED))
    with pytest.raises(AccessDenied, match="d of account 123456789012 is DISABLED"):
        endpoints.home(tx, SHARED, "devices.example.net")


def test_what_the_certificate_speaks_for() -> None:
    assert endpoints.server_names(SHARED, ["a.example"]) == ("localhost", "127.0.0.1", "a.example")
    names = endpoints.server_names(OWN, ["a.example", "d1.iot.example.com", "a.b.iot.example.com"])
    assert names == ("Gate.example.com", "*.iot.example.com", "a.example", "a.b.iot.example.com")


def test_a_name_is_made_below_the_suffix_or_the_first_host() -> None:
    assert endpoints.new_address(OWN, ACT, "one").endswith(".iot.example.com")
    assert endpoints.new_address(SHARED, ACT, "one").endswith(".localhost")
    assert endpoints.new_address(SHARED, ACT, "one") != endpoints.new_address(SHARED, ACT, "two")
    with pytest.raises(InvalidRequest, match="Give a domainName"):
        endpoints.new_address(GatewayConfig(endpoint_names=("127.0.0.1",)), ACT, "one")


def test_what_nobody_may_have() -> None:
    for name in ("gate.example.com", "iot.example.com", "x.iot.example.com"):
        assert endpoints.is_reserved(OWN, name)
    for name in ("example.com", "xiot.example.com", "other.example.com"):
        assert not endpoints.is_reserved(OWN, name)
