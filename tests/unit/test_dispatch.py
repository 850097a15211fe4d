"""The outbox is handed out: at least once, in order, to everybody, whatever one of them does."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from fleetgate.database.migrate import migrate
from fleetgate.database.open import open_database
from fleetgate.database.port import Database, Tx
from fleetgate.dispatch import MOST_AT_ONCE, MOST_TRIES, Dispatcher, Share
from fleetgate.errors import Unavailable
from fleetgate.names import Act, Realm
from fleetgate.registry import nodes, outbox
from fleetgate.registry.events import PolicyChanged

ACT = Act(Realm("123456789012", "us-east-1"), "system", 1_700_000_000_000, str(uuid.UUID(int=1)))


class Listener:
    def __init__(self) -> None:
        self.heard: list[int] = []
        self.changed = asyncio.Event()

    def __call__(self, entries: Sequence[outbox.Entry]) -> None:
        for entry in entries:
            assert isinstance(entry.event, PolicyChanged)
            self.heard.append(entry.event.default_version)
        self.changed.set()

    async def hears(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.heard) < count:
                self.changed.clear()
                await self.changed.wait()


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    opened = open_database(":memory:")
    await migrate(opened, ACT.now)
    yield opened
    await opened.close()


async def happen(database: Database, *versions: int) -> None:
    def add(tx: Tx) -> None:
        for version in versions:
            outbox.add(tx, ACT, PolicyChanged("p", version))

    await database.write(add)


async def emptied(database: Database) -> None:
    async with asyncio.timeout(10):
        while await database.read(lambda tx: outbox.pending(tx, 1)):  # noqa: ASYNC110 # rows set no event
            await asyncio.sleep(0)


@asynccontextmanager
async def running(dispatcher: Dispatcher) -> AsyncIterator[None]:
    task = asyncio.create_task(dispatcher.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_everybody_hears_everything_once(database: Database) -> None:
    dispatcher, first, second = Dispatcher(database), Listener(), Listener()
    dispatcher.add(first)
    dispatcher.add(second)
    await happen(database, 1, 2)  # what a crash left behind
    async with running(dispatcher):
        await first.hears(2)
        await happen(database, 3)
        dispatcher.stir()
        await first.hears(3)
        await emptied(database)
    assert sorted(first.heard) == sorted(second.heard) == [1, 2, 3]


async def test_what_another_process_commits_is_found_without_being_told(database: Database) -> None:
    dispatcher, listener = Dispatcher(database), Listener()
    dispatcher.add(listener)
    async with running(dispatcher):
        await happen(database, 1)
        await listener.hears(1)
        await happen(database, 2)
        await listener.hears(2)


async def test_more_than_one_handful(database: Database) -> None:
    dispatcher, listener = Dispatcher(database), Listener()
    dispatcher.add(listener)
    await happen(database, *range(MOST_AT_ONCE + 1))
    async with running(dispatcher):
        await listener.hears(MOST_AT_ONCE + 1)


async def test_one_that_fails_harms_nobody_else(database: Database) -> None:
    dispatcher, listener = Dispatcher(database), Listener()

    def fail(_: Sequence[outbox.Entry]) -> None:
        raise ZeroDivisionError

    dispatcher.add(fail)
    dispatcher.add(listener)
    await happen(database, 1)
    async with running(dispatcher):
        await listener.hears(1)
        await happen(database, 2)
        await listener.hears(2)


@pytest.mark.parametrize("failures", range(MOST_TRIES + 1))
async def test_one_that_fails_is_told_again_and_then_somebody_else_in_its_place(
    database: Database, failures: int
) -> None:
    dispatcher, listener, guard, tries = Dispatcher(database), Listener(), Listener(), 0

    def fail(entries: Sequence[outbox.Entry]) -> None:
        nonlocal tries
        tries += 1
        if tries <= failures:
            raise ZeroDivisionError
        listener(entries)

    dispatcher.add(fail, guard)
    await happen(database, 1)
    async with running(dispatcher):
        await emptied(database)
    assert tries == min(failures + 1, MOST_TRIES)
    assert (listener.heard, guard.heard) == (([1], []) if failures < MOST_TRIES else ([], [1]))


class Flaky:
    """A database that is gone for the first reads."""

    def __init__(self, database: Database, failures: int) -> None:
        self._database, self.failures = database, failures

    async def glance(self, work: Callable[..., Any]) -> Any:
        if self.failures:
            self.failures -= 1
            raise Unavailable("The database does not answer.")
        return await self._database.glance(work)

    async def read(self, work: Callable[..., Any]) -> Any:
        return await self._database.read(work)

    async def write(self, work: Callable[..., Any]) -> Any:
        return await self._database.write(work)

    async def close(self) -> None:
        await self._database.close()


async def test_a_database_that_is_gone_for_a_while(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleetgate.dispatch._RETRY_SECONDS", 0.01)
    dispatcher, listener = Dispatcher(Flaky(database, 2)), Listener()
    dispatcher.add(listener)
    await happen(database, 1)
    async with running(dispatcher):
        await listener.hears(1)


@pytest.mark.parametrize("turns", range(6))
async def test_it_ends_when_it_is_told_to_even_at_the_moment_of_a_commit(database: Database, turns: int) -> None:
    dispatcher, listener = Dispatcher(database), Listener()
    dispatcher.add(listener)
    await happen(database, 1)
    task = asyncio.create_task(dispatcher.run())
    await listener.hears(1)
    await emptied(database)
    await asyncio.sleep(0.01)  # it waits for the next commit now
    dispatcher.stir()
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=2)
    assert done, "it goes on for ever"
    assert task.cancelled()


def shared(database: Database, name: str, now: list[int]) -> Dispatcher:
    return Dispatcher(database, Share(name, lambda: now[0]))


async def test_of_several_nodes_one_acts_and_all_hear(database: Database) -> None:
    now = [ACT.now]
    for name in ("east", "west"):
        await database.write(lambda tx, name=name: nodes.beat(tx, name, name, ACT.now))  # type: ignore[misc] # bound now
    acts, heard = Listener(), [Listener(), Listener()]
    east, west = (shared(database, name, now) for name in ("east", "west"))
    for dispatcher, listener in zip((east, west), heard, strict=True):
        dispatcher.add(acts)
        dispatcher.add(listener, everywhere=True)
        await dispatcher.begin()
    await happen(database, *range(MOST_AT_ONCE + 10))
    async with running(east), running(west):
        for number in range(MOST_AT_ONCE + 10, MOST_AT_ONCE + 20):
            await happen(database, number)
            east.stir()
            west.stir()
        for listener in (acts, *heard):
            await listener.hears(MOST_AT_ONCE + 20)
        await emptied(database)
    assert sorted(acts.heard) == sorted(heard[0].heard) == sorted(heard[1].heard) == list(range(MOST_AT_ONCE + 20))
    assert heard[0].heard == heard[1].heard


async def test_what_a_dead_node_took_is_acted_on_by_another(database: Database) -> None:
    now = [ACT.now]
    await database.write(lambda tx: nodes.beat(tx, "east", "east", ACT.now))
    await happen(database, 1)
    await database.write(lambda tx: outbox.take(tx, "east", ACT.now, 10))
    west, acts = shared(database, "west", now), Listener()
    west.add(acts)
    async with running(west):
        await happen(database, 2)
        west.stir()
        await acts.hears(1)
        now[0] += nodes.SILENCE
        west.stir()
        await acts.hears(2)
    assert acts.heard == [2, 1]


async def test_a_node_hears_nothing_from_before_its_beginning(database: Database) -> None:
    now = [ACT.now]
    await happen(database, 1)
    await database.write(lambda tx: outbox.take(tx, "east", ACT.now, 10))
    west, heard = shared(database, "west", now), Listener()
    west.add(heard, everywhere=True)
    await west.begin()
    await database.write(lambda tx: nodes.beat(tx, "east", "east", ACT.now))
    await happen(database, 2)
    async with running(west):
        west.stir()
        await heard.hears(1)
    assert heard.heard == [2]


class Failing(Flaky):
    """A database that is gone after the first writes, for one call of a kind."""

    def __init__(self, database: Database, kind: str, after: int) -> None:
        super().__init__(database, 0)
        self._kind, self._left = kind, after

    def _count(self, kind: str) -> None:
        if kind == self._kind:
            self._left -= 1
            if self._left == 0:
                raise Unavailable("The database does not answer.")

    async def glance(self, work: Callable[..., Any]) -> Any:
        self._count("glance")
        return await super().glance(work)

    async def write(self, work: Callable[..., Any]) -> Any:
        self._count("write")
        return await super().write(work)


@pytest.mark.parametrize(("kind", "after"), [("glance", 1), ("glance", 2), ("glance", 3), ("write", 1), ("write", 2)])
async def test_what_a_node_took_is_told_and_settled_though_the_database_fails_between(
    database: Database, kind: str, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleetgate.dispatch._RETRY_SECONDS", 0.01)
    await database.write(lambda tx: nodes.beat(tx, "east", "east", ACT.now))
    east = Dispatcher(Failing(database, kind, after), Share("east", lambda: ACT.now))
    acts, heard = Listener(), Listener()
    east.add(acts)
    east.add(heard, everywhere=True)
    with suppress(Unavailable):
        await east.begin()
    await happen(database, 1)
    async with running(east):
        await acts.hears(1)
        await heard.hears(1)
        await emptied(database)
    assert acts.heard == heard.heard == [1]
