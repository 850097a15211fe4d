"""One server for all journeys of a worker; every test fills it under a name of its own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.dev_server import DevServer, dev_server
from tests.journeys.paho_device import V5, V311, Device
from tests.server import Batch, Endpoint, Identity, Live, serving

APPROVE = """
def lambda_handler(event, context):
    return {"allowProvisioning": True, "parameterOverrides": {"Site": "hall3"}}
"""
DENY = """
def lambda_handler(event, context):
    return {"allowProvisioning": False}
"""

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with serving(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture(scope="session")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    """A `fleetgate dev` of its own process, with a handler that approves and one that denies."""
    with dev_server(tmp_path_factory.mktemp("dev"), {"approve": APPROVE, "deny": DENY}) as server:
        yield server


@pytest.fixture
def name() -> str:
    """A name that no other test of this server uses."""
    return f"batch{next(_numbers)}"


@pytest.fixture
def batch(live: Live, name: str) -> Batch:
    return live.batch(name)


@pytest.fixture(params=[V311, V5], ids=["3.1.1", "5"])
def version(request: pytest.FixtureRequest) -> int:
    chosen: int = request.param
    return chosen


@pytest.fixture
def connect(request: pytest.FixtureRequest) -> Iterator[Callable[..., Device]]:
    """Connect a paho device to `live`, or where *to* says; all are disconnected at the end of the test."""
    devices: list[Device] = []

    def connect(
        identity: Identity | None, client_id: str, version: int = V5, *, to: Endpoint | None = None, **options: Any
    ) -> Device:
        device = Device(to or request.getfixturevalue("live"), identity, client_id, version, **options)
        devices.append(device)
        device.connect()
        return device

    yield connect
    for device in devices:
        device.disconnect()
