"""What an installation does by itself, on a database of its own."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest

from fleetgate.database.migrate import migrate
from fleetgate.database.open import open_database
from fleetgate.database.port import Database, Tx
from fleetgate.names import Act, Realm
from fleetgate.registry import audit, outbox
from fleetgate.registry.events import PolicyChanged
from fleetgate.runtime import Refusal
from fleetgate.upkeep import EVENTS_KEPT, MOST_AT_ONCE, MOST_WAITING, Upkeep

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
        upkeep.refused(Refusal(act(number), "Connect", "client/a", "the certificate is not registered"))
    await upkeep.finish()
    report = await database.read(audit.verify)
    assert (report.sealed, report.unsealed, report.broken) == (MOST_AT_ONCE + 1, 0, None)


async def test_a_flood_of_refusals_is_bounded(database: Database) -> None:
    upkeep = Upkeep(database, lambda: NOW)
    for number in range(MOST_WAITING + 3):
        upkeep.refused(Refusal(act(number), "Connect", "client/a", "no"))
    await upkeep.finish()
    report = await database.read(audit.verify)
    assert report.sealed == MOST_WAITING


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
