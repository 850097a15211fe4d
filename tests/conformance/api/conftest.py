"""A server that listens, on either database, and boto3 clients that know nothing but its address."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import boto3
import pytest
from botocore.config import Config
from psycopg.conninfo import conninfo_to_dict
from tests.server import Live, serving

from fleetgate.names import Act, Realm
from fleetgate.registry import access_keys

_numbers = itertools.count(200_000_000_001)


@pytest.fixture(scope="session", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def live(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    on_postgres = request.param == "postgres"
    place = request.getfixturevalue("postgres_server").database() if on_postgres else nullcontext("sqlite")
    with place as address:
        url = _with_path(address) if on_postgres else address
        overrides = {"database.url": url, "authority.device_key": "ec-p256", "authority.key_pool": 4}
        with serving(tmp_path_factory.mktemp("server"), overrides) as server:
            yield server


def _with_path(address: str) -> str:
    """The database in the address's path, where the configuration looks for it."""
    parts = conninfo_to_dict(address)
    return f"postgresql:///{parts.pop('dbname')}?{urlencode(parts, quote_via=quote)}"


@dataclass(frozen=True, slots=True)
class Account:
    """An account of one test's own, and its access key."""

    live: Live
    realm: Realm
    key: access_keys.Credentials

    def client(self, region: str = "us-east-1", **more: Any) -> Any:
        return boto3.client(
            "iot",
            endpoint_url=self.live.api_url,
            region_name=region,
            aws_access_key_id=self.key.id,
            aws_secret_access_key=self.key.secret,
            config=Config(retries={"total_max_attempts": 1}, max_pool_connections=16, **more),
        )


@pytest.fixture
def account(live: Live) -> Account:
    return opened(live)


@pytest.fixture
def neighbour(live: Live) -> Account:
    """Another account."""
    return opened(live)


def opened(live: Live, realm: Realm | None = None) -> Account:
    """A new account, or a new access key of *realm*'s."""
    runtime = live.server.runtime
    realm = realm or Realm(str(next(_numbers)), "us-east-1")
    key = access_keys.generate(runtime.entropy)
    act = Act(realm, "system", runtime.clock(), runtime.act(realm, "system").request_id)
    sealed = runtime.vault.seal(key.secret)
    live.run(runtime.write(lambda tx: access_keys.create(tx, act, key.id, label="test", sealed_secret=sealed)))
    return Account(live, realm, key)


@pytest.fixture
def iot(account: Account) -> Any:
    return account.client()
