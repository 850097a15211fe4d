"""What an installation does by itself, on a database of its own."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from fleetgate.database.migrate import migrate
from fleetgate.database.open import open_database
from fleetgate.database.port import Database, Tx
from fleetgate.errors import Unavailable
from fleetgate.names import NO_ACCOUNT, Act, Realm
from fleetgate.registry import audit, outbox
from fleetgate.registry.events import PolicyChanged
from fleetgate.runtime import Refusal
from fleetgate.upkeep import EVENTS_KEPT, MOST_A_MINUTE, MOST_AT_ONCE, MOST_WAITING, Upkeep

REALM = Realm("123456789012", "us-east-1")
NOW = 1_700_000_000_000


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    opened = open_database(":memory:")
    await migrate(opened, NOW)
    yield opened
    await opened.close()


def act(number: int = 1, at: int = NOW) -> Act:
    return Act(REALM, "system", at, str(uuid.UUID(int=number)))


async def test_refusals_end_in_the_sealed_audit_trail(database: Database) -> None:
    upkeep = Upkeep(database, lambda: NOW)
    for number in range(MOST_AT_ONCE + 1):
        upkeep.refused(Refusal(act(number), f"Action{number}", "client/a", "the certificate is not registered"))
    await upkeep.finish()
    report = await database.read(audit.verify)
    assert (report.sealed, report.unsealed, report.broken) == (MOST_AT_ONCE + 1, 0, None)


async def test_a_flood_of_refusals_is_bounded(database: Database) -> None:
    upkeep = Upkeep(database, lambda: NOW)
    for number in range(MOST_WAITING + 3):
        upkeep.refused(Refusal(act(number), f"Action{number}", "client/a", "no"))
    await upkeep.finish()
    report = await database.read(audit.verify)
    assert report.sealed == MOST_WAITING


@pytest.mark.parametrize("realm", [NO_ACCOUNT, REALM])
async def test_one_source_gets_so_many_entries_a_minute_and_one_that_counts_the_rest(
    database: Database, realm: Realm
) -> None:
    """Strangers are one source whatever they call themselves; a known actor is one by itself."""
    upkeep = Upkeep(database, lambda: NOW)
    for number in range(MOST_A_MINUTE + 40):
        actor = f"cert/{number}" if realm == NO_ACCOUNT else "cert/a"
        upkeep.refused(Refusal(Act(realm, actor, NOW, str(uuid.UUID(int=number))), "Connect", "client/a", "no"))
    upkeep.refused(Refusal(act(999), "Connect", "client/b", "somebody else's"))
    await upkeep.finish()
    entries = (await database.read(lambda tx: audit.page(tx, realm, limit=1000))).items
    mine = [entry for entry in entries if entry.target == "client/a"]
    assert len(mine) == MOST_A_MINUTE + 1
    assert sum("40 more within a minute" in entry.reason for entry in mine) == 1
    others = (await database.read(lambda tx: audit.page(tx, REALM, limit=1000))).items
    assert [entry.reason for entry in others if entry.target == "client/b"] == ["somebody else's"]


async def test_each_minute_begins_anew(database: Database) -> None:
    now = NOW
    upkeep = Upkeep(database, lambda: now)
    for minute in range(2):
        now = NOW + minute * 60_000
        for number in range(MOST_A_MINUTE + 1):
            upkeep.refused(Refusal(act(1000 * minute + number, now), "Connect", "client/a", "no"))
        now += 60_000
        await upkeep._write()
    entries = (await database.read(lambda tx: audit.page(tx, REALM, limit=1000))).items
    assert len(entries) == 2 * (MOST_A_MINUTE + 1)


async def test_events_that_were_handed_out_long_ago_are_forgotten(database: Database) -> None:
    old, count = act(2, NOW - EVENTS_KEPT - 1), 2 * MOST_AT_ONCE + 1

    def happen(tx: Tx) -> None:
        for version in range(count):
            outbox.add(tx, old, PolicyChanged("old", version))
        outbox.add(tx, act(3), PolicyChanged("new", 1))
        outbox.delivered(tx, [entry.id for entry in outbox.pending(tx, count + 1)])
        outbox.add(tx, act(4, NOW - EVENTS_KEPT - 1), PolicyChanged("waiting", 1))

    await database.write(happen)
    await Upkeep(database, lambda: NOW)._sweep()
    await database.write(lambda tx: outbox.replay(tx, 0))
    left = await database.read(lambda tx: outbox.pending(tx, 10))
    assert [entry.event.policy_name for entry in left if isinstance(entry.event, PolicyChanged)] == ["waiting", "new"]


async def test_a_clock_that_is_set_back_puts_nothing_off(database: Database) -> None:
    now = NOW
    upkeep = Upkeep(database, lambda: now)
    await upkeep._sweep()
    old = act(2, NOW - EVENTS_KEPT - 100_000)

    def happen(tx: Tx) -> None:
        outbox.add(tx, old, PolicyChanged("old", 1))
        outbox.delivered(tx, [entry.id for entry in outbox.pending(tx, 1)])

    await database.write(happen)
    now = NOW + 1
    await upkeep._sweep()
    assert await database.write(lambda tx: outbox.replay(tx, 0)) == 1, "it is not a minute since the last one"
    await database.write(lambda tx: outbox.delivered(tx, [entry.id for entry in outbox.pending(tx, 1)]))
    now = NOW - 1
    await upkeep._sweep()
    assert await database.write(lambda tx: outbox.replay(tx, 0)) == 0


class Gone:
    """A database that answers nobody as long as it is away."""

    def __init__(self, database: Database) -> None:
        self._database, self.away = database, True

    async def read(self, work: Callable[[Tx], Any]) -> Any:
        return await self._database.read(work)

    async def glance(self, work: Callable[[Tx], Any]) -> Any:
        return await self._database.glance(work)

    async def write(self, work: Callable[[Tx], Any]) -> Any:
        if self.away:
            raise Unavailable("The database does not answer.")
        return await self._database.write(work)

    async def close(self) -> None:
        await self._database.close()


async def test_refusals_wait_for_a_database_that_is_away(database: Database) -> None:
    gone = Gone(database)
    upkeep = Upkeep(gone, lambda: NOW)
    for number in range(MOST_AT_ONCE + 1):
        upkeep.refused(Refusal(act(number), f"Action{number}", "client/a", "no"))
    with pytest.raises(Unavailable):
        await upkeep.finish()
    gone.away = False
    await upkeep.finish()
    report = await database.read(audit.verify)
    assert (report.sealed, report.broken) == (MOST_AT_ONCE + 1, None)


async def test_it_goes_on_when_the_database_is_back(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleetgate.upkeep._SECONDS", 0.001)
    gone = Gone(database)
    upkeep = Upkeep(gone, lambda: NOW)
    upkeep.refused(Refusal(act(), "Connect", "client/a", "no"))
    running = asyncio.create_task(upkeep.run())
    await asyncio.sleep(0.01)
    gone.away = False
    async with asyncio.timeout(10):
        while (await database.read(audit.verify)).sealed == 0:  # noqa: ASYNC110 # rows set no event
            await asyncio.sleep(0.001)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
