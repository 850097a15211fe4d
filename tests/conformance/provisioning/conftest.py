from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.provisioning.desk import Desk, Format
from tests.fleet import make_fleet

from fleetgate import config
from fleetgate.works import works


@pytest.fixture
def settings() -> dict[str, Any]:
    """What a test wants otherwise, by dotted name."""
    return {}


@pytest.fixture
async def desk(tmp_path: Path, settings: dict[str, Any]) -> AsyncIterator[Desk]:
    given = {
        "server.data_dir": str(tmp_path / "data"),
        "database.url": "sqlite:///:memory:",
        "authority.key_pool": 0,
        **settings,
    }
    async with works(config.load(None, given)) as opened:
        fleet = await make_fleet(opened.runtime, tmp_path / "claim", maximum=5_000)
        yield Desk(opened.runtime, fleet, tmp_path)


@pytest.fixture(params=["json", "cbor"])
def form(request: pytest.FixtureRequest) -> Format:
    chosen: Format = request.param
    return chosen
