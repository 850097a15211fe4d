"""One server for all journeys of a worker; every test fills it under a name of its own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.journeys.paho_device import V5, V311, Device
from tests.server import Batch, Identity, Live, serving

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with serving(tmp_path_factory.mktemp("server")) as server:
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
def connect(live: Live) -> Iterator[Callable[..., Device]]:
    """Connect a paho device; all of them are disconnected at the end of the test."""
    devices: list[Device] = []

    def connect(identity: Identity, client_id: str, version: int = V5, **options: Any) -> Device:
        device = Device(live, identity, client_id, version, **options)
        devices.append(device)
        device.connect()
        return device

    yield connect
    for device in devices:
        device.disconnect()
