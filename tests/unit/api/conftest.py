"""One installation for all tests of a worker; every test has an account of its own in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.credentials import Credentials
from tests.pki import TestAuthority
from tests.runtime import REGION, Installed, installed

from fleetgate.names import Realm


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    with installed(tmp_path_factory.mktemp("installation")) as running:
        yield running


@pytest.fixture
def realm(house: Installed) -> Realm:
    house.clock.ahead = 0
    return Realm(house.account(), REGION)


@pytest.fixture
def operator(house: Installed, realm: Realm) -> Credentials:
    return house.operator(realm.account)


@pytest.fixture
def iot(house: Installed, operator: Credentials) -> Any:
    """A boto3 client of the test's own account."""
    return house.client(operator)


@pytest.fixture
def ca(realm: Realm) -> TestAuthority:
    """A CA that nobody has registered."""
    return TestAuthority(f"CA of {realm.account}")
