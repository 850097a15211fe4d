"""`kill -9` of the server at any moment: what it acknowledged is there, nothing is half made, every device arrives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.faults import soundness
from tests.faults.devices import Device, Steps, at_most, missing, surroundings
from tests.fleet import ClaimFleet, make_fleet
from tests.process import ServerProcess
from tests.server import REALM

from fleetgate.database.open import open_database
from fleetgate.database.port import Database
from fleetgate.registry import things
from fleetgate.registry.certificates import Status
from fleetgate.works import database_address, works

DEVICES = 200
AT_ONCE = 24
KILLS = 10
STARTING = 0.7
"""Seconds that a start takes on an idle machine."""
FOUNDING = 20_260_303
SEEDS = {"sqlite": 20_260_301, "postgres": 20_260_302}


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
async def process(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ServerProcess]:
    settings: dict[str, Any] = {}
    if request.param == "postgres":
        settings["database.url"] = request.getfixturevalue("postgres_url")
    process = ServerProcess.prepare(tmp_path, settings)
    yield process
    await process.close()


@pytest.fixture
def random(request: pytest.FixtureRequest) -> Random:
    return Random(SEEDS["postgres" if "postgres" in request.node.name else "sqlite"])


async def founded(process: ServerProcess, **options: Any) -> ClaimFleet:
    """Found the installation, and fill it with everything that a fleet needs."""
    async with works(process.config) as opened:
        return await make_fleet(opened.runtime, process.folder / "claim", **options)


@asynccontextmanager
async def opened(process: ServerProcess) -> AsyncIterator[Database]:
    """The server's database, beside the server."""
    database = open_database(database_address(process.config))
    try:
        yield database
    finally:
        await database.close()


async def kill_again_and_again(process: ServerProcess, steps: Steps, random: Random) -> None:
    """Kill it after some more steps of the devices and a moment, now and then also while it starts."""
    for _ in range(KILLS):
        await steps.more(random.randint(10, 60))
        if steps.over:
            return
        await asyncio.sleep(random.uniform(0.0, 0.02))  # any moment of what those steps set off
        await process.kill()
        await process.launch()
        if random.random() < 0.2:
            await asyncio.sleep(random.uniform(0.0, STARTING))
            await process.kill()
            await process.launch()
        await process.ready()


@pytest.mark.timeout(180)  # some twenty starts, on a machine that may be busy
async def test_every_device_arrives_and_nothing_is_half_made(process: ServerProcess, random: Random) -> None:
    fleet = await founded(process)
    devices = [Device(f"KILL-{number:03}") for number in range(DEVICES)]
    steps = Steps()
    around = surroundings(steps, random.randrange(2**32))
    await process.start()

    killing = asyncio.create_task(kill_again_and_again(process, steps, random))
    provisioning = asyncio.create_task(
        at_most(AT_ONCE, devices, lambda device: device.provision(process.endpoint, fleet, around))
    )
    provisioning.add_done_callback(lambda _: steps.finish())
    await asyncio.gather(provisioning, killing)

    # Once more, in peace: everything that was said must have outlived the last kill.
    await process.close()
    await process.start()
    await at_most(AT_ONCE, devices, lambda device: device.connects(process.endpoint))
    async with opened(process) as database:
        await soundness.settled(database)
        assert await database.read(soundness.faults) == []
        assert await database.read(lambda tx: missing(tx, devices)) == []
        names = await database.read(lambda tx: things.page(tx, REALM, limit=DEVICES + 1))
        assert [thing.name for thing in names.items] == [device.serial for device in devices]
        statuses = await database.read(soundness.statuses)
        interrupted = await database.read(soundness.unfinished) + statuses.total() - statuses[Status.ACTIVE]
    assert await process.end() == 0
    assert interrupted > 0, "no kill hit a device between its first request and its last answer"


async def test_a_server_that_is_killed_while_it_is_founded(tmp_path: Path) -> None:
    """The first start makes keys, certificates and a database; the next goes on from whatever a kill leaves of them."""
    random = Random(FOUNDING)
    process = ServerProcess.prepare(tmp_path)
    for _ in range(8):
        await process.launch()
        await asyncio.sleep(random.uniform(0.4, 1.0) * STARTING)
        await process.kill()
    await process.start()
    device, around = Device("FOUNDED"), surroundings(Steps(), FOUNDING)
    try:
        fleet = await founded(process)
        await device.provision(process.endpoint, fleet, around)
        async with opened(process) as database:
            await soundness.settled(database)
            assert await database.read(soundness.faults) == []
    finally:
        await process.close()
