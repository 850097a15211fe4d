"""`kill -9` of the server between any two steps of a rotation, and the device's power lost with it: one credential that
works is left at every moment, and one alone in the end.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from tests.fleet import ClaimFleet, make_fleet
from tests.process import ServerProcess
from tests.server import REALM

from fleetgate.agent.backoff import Backoff
from fleetgate.agent.client import dial
from fleetgate.agent.errors import AgentFailed
from fleetgate.agent.provision import SURROUNDINGS, Options, provision, rotate
from fleetgate.agent.store import FolderStore
from fleetgate.agent.tls import present, trust
from fleetgate.database.open import open_database
from fleetgate.registry import attachments
from fleetgate.registry.certificates import Status
from fleetgate.wire.mqtt.packets import V5, Connect
from fleetgate.works import database_address, works

STEPS = ("Asking for a certificate", "Asking to be provisioned", "Connecting with the new certificate")


class PowerLoss(BaseException):
    pass


@pytest.fixture
async def process(tmp_path: Path) -> AsyncIterator[ServerProcess]:
    process = ServerProcess.prepare(tmp_path)
    yield process
    await process.close()


def wishes(process: ServerProcess, fleet: ClaimFleet) -> Options:
    backoff = Backoff(attempts=3, first=0.01, longest=0.05)
    return Options(process.endpoint, fleet.template, parameters={"SerialNumber": "SN-1"}, backoff=backoff)


async def works_now(process: ServerProcess, store: FolderStore) -> bool:
    """Whether the device gets in with what it has in force, or with what it was about to put in force."""
    for draft in (False, True):
        with suppress(AgentFailed):
            context = present(trust(process.endpoint), store.credentials(draft=draft))
            client = await dial(process.endpoint, context, Connect("SN-1", V5, keep_alive=60), 5)
            await client.disconnect()
            return True
    return False


async def active(process: ServerProcess) -> list[str]:
    database = open_database(database_address(process.config))
    try:
        found = await database.read(lambda tx: attachments.certificates_of(tx, REALM, "SN-1"))
    finally:
        await database.close()
    return [each.fingerprint for each in found if each.status is Status.ACTIVE]


async def test_a_rotation_that_is_cut_anywhere(process: ServerProcess, tmp_path: Path) -> None:
    async with works(process.config) as opened:
        fleet = await make_fleet(opened.runtime, process.folder / "claim")
    await process.start()
    options, folder = wishes(process, fleet), tmp_path / "device"
    with FolderStore(folder) as store:
        last = (await provision(options, fleet.claim, store)).certificate_id
    for step in STEPS:

        def cut(said: str, step: str = step) -> None:
            if said.startswith(step):
                raise PowerLoss

        with FolderStore(folder) as store, pytest.raises(PowerLoss):
            await rotate(options, store, replace(SURROUNDINGS, say=cut))
        await process.kill()
        await process.start()
        with FolderStore(folder) as store:
            assert await works_now(process, store), step
            result = await rotate(options, store)
            assert result.certificate_id != last
            last = result.certificate_id
            assert await works_now(process, store)
        assert await active(process) == [last], step
