"""What every `Database` promises."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from fleetgate.database.limits import Limits
from fleetgate.database.open import open_database
from fleetgate.database.port import Conflict, Database, Tx
from fleetgate.database.postgres import PostgresDatabase
from fleetgate.database.sqlite import SqliteDatabase
from fleetgate.errors import Unavailable

Opened = SqliteDatabase | PostgresDatabase
WRITER = Path(__file__).with_name("writer.py")


def put(key: str, value: int | None = None, parent: str | None = None) -> Callable[[Tx], str]:
    def work(tx: Tx) -> str:
        tx.run("INSERT INTO notes (k, v, parent) VALUES (:k, :v, :parent)", k=key, v=value, parent=parent)
        return key

    return work


def keys(tx: Tx) -> list[str]:
    return [row["k"] for row in tx.rows("SELECT k FROM notes ORDER BY k")]


def count(tx: Tx) -> int:
    [row] = tx.rows("SELECT count(*) AS n FROM notes")
    number: int = row["n"]
    return number


def increment(tx: Tx) -> int:
    """Read, think, write: an update is lost wherever two of these overlap."""
    [row] = tx.rows("SELECT v FROM notes WHERE k = :k", k="counter")
    assert tx.run("UPDATE notes SET v = :v WHERE k = :k", v=row["v"] + 1, k="counter") == 1
    following: int = row["v"] + 1
    return following


@contextlib.asynccontextmanager
async def busy_writer(database: Opened) -> AsyncIterator[None]:
    """Hold the writing connection, so that what is written meanwhile waits together and becomes one batch."""
    started, go = threading.Event(), threading.Event()

    def hold(tx: Tx) -> None:
        started.set()
        assert go.wait(30)

    held = asyncio.create_task(database.alter(hold))  # on a thread with either engine
    assert await asyncio.to_thread(started.wait, 30)
    try:
        yield
        await asyncio.sleep(0)  # let the tasks made inside put themselves into the queue
    finally:
        go.set()
        await held


async def together(database: Opened, *works: Callable[[Tx], Any]) -> list[Any]:
    """What became of *works*, which shared one batch."""
    async with busy_writer(database):
        tasks = [asyncio.create_task(database.write(work)) for work in works]
    return await asyncio.gather(*tasks, return_exceptions=True)


# One transaction ------------------------------------------------------------------------------------------------------


async def test_a_write_gives_back_the_result_and_is_there(database: Database) -> None:
    assert await database.write(put("a", 7)) == "a"

    assert await database.read(lambda tx: tx.rows("SELECT k, v, parent FROM notes")) == [
        {"k": "a", "v": 7, "parent": None}
    ]


async def test_what_a_write_raises_comes_through_and_leaves_nothing(database: Database) -> None:
    problem = ValueError("no")

    def work(tx: Tx) -> None:
        put("a")(tx)
        raise problem

    with pytest.raises(ValueError, match="no") as caught:
        await database.write(work)
    assert caught.value is problem
    assert await database.read(keys) == []


@pytest.mark.parametrize("method", ["read", "glance"])
async def test_what_a_read_raises_comes_through_and_the_next_one_works(database: Database, method: str) -> None:
    def work(tx: Tx) -> None:
        keys(tx)
        raise LookupError("none")

    with pytest.raises(LookupError, match="none"):
        await getattr(database, method)(work)
    assert await getattr(database, method)(keys) == []


@pytest.mark.parametrize("method", ["read", "glance"])
async def test_a_reader_cannot_write(database: Database, method: str) -> None:
    with pytest.raises(Exception, match=r"read-?only") as caught:
        await getattr(database, method)(put("a"))
    assert not isinstance(caught.value, Unavailable), "a bug must not look like a bad hour of the installation"
    assert await database.read(keys) == []


async def test_a_function_sees_its_own_writes(database: Database) -> None:
    def work(tx: Tx) -> list[str]:
        put("a")(tx)
        put("b", parent="a")(tx)
        return keys(tx)

    assert await database.write(work) == ["a", "b"]


async def test_stop_iteration_reaches_the_caller_as_an_error(database: Database) -> None:
    def work(tx: Tx) -> str:
        return next(iter(keys(tx)))

    with pytest.raises(RuntimeError, match="StopIteration"):
        await database.write(work)
    with pytest.raises(RuntimeError, match="StopIteration"):
        await database.read(work)


async def test_a_mistake_in_the_sql_is_no_conflict_and_not_unavailable(database: Database) -> None:
    for sql in ("SELEKT 1", "SELECT nothing FROM notes", "INSERT INTO notes (k) VALUES (NULL)"):
        with pytest.raises(Exception, match=r".") as caught:
            await database.write(lambda tx, sql=sql: tx.run(sql))  # type: ignore[misc] # the lambda's default
        assert not isinstance(caught.value, Conflict | Unavailable)
    await database.write(put("after"))


# Conflicts ------------------------------------------------------------------------------------------------------------


async def test_a_taken_key_is_a_conflict(database: Database) -> None:
    await database.write(put("a"))

    with pytest.raises(Conflict):
        await database.write(put("a"))


async def test_a_missing_parent_and_a_needed_one_are_conflicts(database: Database) -> None:
    await database.write(put("a"))
    await database.write(put("b", parent="a"))

    with pytest.raises(Conflict):
        await database.write(put("c", parent="nobody"))
    with pytest.raises(Conflict):
        await database.write(lambda tx: tx.run("DELETE FROM notes WHERE k = :k", k="a"))
    assert await database.read(keys) == ["a", "b"]


async def test_a_conflict_under_returning(database: Database) -> None:
    await database.write(put("a"))

    with pytest.raises(Conflict):
        await database.write(lambda tx: tx.rows("INSERT INTO notes (k) VALUES (:k) RETURNING k", k="a"))


async def test_a_function_may_catch_a_conflict_and_go_on(database: Database) -> None:
    await database.write(put("taken", 1))

    def work(tx: Tx) -> int:
        put("before")(tx)
        for key in ("taken", "taken"):
            with pytest.raises(Conflict):
                put(key, 2)(tx)
        put("after")(tx)
        [row] = tx.rows("SELECT v FROM notes WHERE k = :k", k="taken")
        value: int = row["v"]
        return value

    assert await database.write(work) == 1
    assert await database.read(keys) == ["after", "before", "taken"]


async def test_an_error_after_a_caught_conflict_leaves_nothing(database: Database) -> None:
    await database.write(put("taken"))

    def work(tx: Tx) -> None:
        put("before")(tx)
        with contextlib.suppress(Conflict):
            put("taken")(tx)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await database.write(work)
    assert await database.read(keys) == ["taken"]


# Batches --------------------------------------------------------------------------------------------------------------


async def test_an_error_in_a_batch_is_its_own_callers_alone(database: Opened) -> None:
    def breaks(tx: Tx) -> None:
        put("half")(tx)
        raise ValueError("mine")

    def catches(tx: Tx) -> str:
        with contextlib.suppress(Conflict):
            put("first")(tx)
        return put("caught")(tx)

    outcomes = await together(
        database, put("first"), breaks, put("second"), put("first"), lambda tx: tx.run("SELEKT"), catches, put("last")
    )

    assert [type(outcome).__name__ for outcome in outcomes[1:5:2]] == ["ValueError", "Conflict"]
    assert isinstance(outcomes[4], Exception)
    assert [outcomes[i] for i in (0, 2, 5, 6)] == ["first", "second", "caught", "last"]
    assert await database.read(keys) == ["caught", "first", "last", "second"]


async def test_functions_of_a_batch_run_in_the_order_of_their_calls(database: Opened) -> None:
    seen: list[int] = []
    outcomes = await together(database, *(lambda tx, i=i: seen.append(i) for i in range(100)))

    assert outcomes == [None] * 100
    assert seen == list(range(100))


async def test_nothing_of_a_batch_is_seen_before_it_is_committed(address: str, database: Opened) -> None:
    async def look() -> list[str]:
        other = open_database(address)
        try:
            return await other.read(keys)
        finally:
            await other.close()

    def looks_from_outside(_: Tx) -> list[str]:
        with ThreadPoolExecutor(1) as outside:
            return outside.submit(asyncio.run, look()).result(30)

    assert await together(database, put("a"), looks_from_outside) == ["a", []]
    assert await database.read(keys) == ["a"]


async def test_no_increment_is_lost(database: Database) -> None:
    await database.write(put("counter", 0))

    results = await asyncio.gather(*(database.write(increment) for _ in range(400)))

    assert sorted(results) == list(range(1, 401))
    assert await database.read(lambda tx: tx.rows("SELECT v FROM notes")) == [{"v": 400}]


async def test_no_increment_is_lost_between_two_nodes(database: Database, address: str) -> None:
    await database.write(put("counter", 0))
    other = open_database(address, Limits(patience=20_000))

    results = await asyncio.gather(*((database, other)[i % 2].write(increment) for i in range(200)))

    assert sorted(results) == list(range(1, 201))
    await other.close()


# Reading --------------------------------------------------------------------------------------------------------------


async def test_a_reader_keeps_its_snapshot(database: Database) -> None:
    await database.write(put("a"))
    looked, go = threading.Event(), threading.Event()

    def look_twice(tx: Tx) -> tuple[list[str], list[str]]:
        first = keys(tx)
        looked.set()
        assert go.wait(30)
        return first, keys(tx)

    reading = asyncio.create_task(database.read(look_twice))
    assert await asyncio.to_thread(looked.wait, 30)
    await database.write(put("b"))
    assert await database.read(keys) == ["a", "b"]
    go.set()
    assert await reading == (["a"], ["a"])


async def test_a_glance_sees_everything_committed_before_it(database: Database) -> None:
    for number in range(50):
        await database.write(put(f"{number:03}"))
        assert await database.glance(count) == number + 1


async def test_readers_work_side_by_side_while_the_writer_is_busy(database: Opened) -> None:
    meeting = threading.Barrier(3)

    def meet(tx: Tx) -> int:
        meeting.wait(30)
        return count(tx)

    async with busy_writer(database):
        assert await asyncio.gather(*(database.read(meet) for _ in range(3))) == [0, 0, 0]
        assert await database.glance(count) == 0


# Bounds and ends ------------------------------------------------------------------------------------------------------


async def test_a_full_queue_refuses(address: str, database: Database) -> None:
    small = open_database(address, Limits(queue=3))
    async with busy_writer(small):
        waiting = [asyncio.create_task(small.write(put(key))) for key in "abc"]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="3 calls wait for the writing thread"):
            await small.write(put("d"))
    assert await asyncio.gather(*waiting) == ["a", "b", "c"]
    await small.write(put("e"))
    await small.close()


async def test_a_caller_who_left_while_queued_changes_nothing(database: Opened) -> None:
    async with busy_writer(database):
        left = asyncio.create_task(database.write(put("left")))
        stayed = asyncio.create_task(database.write(put("stayed")))
        await asyncio.sleep(0)
        left.cancel()
        with pytest.raises(asyncio.CancelledError):
            await left
    assert await stayed == "stayed"
    assert await database.read(keys) == ["stayed"]


async def test_closing_serves_what_is_queued_and_refuses_the_rest(address: str, database: Database) -> None:
    closing = open_database(address)
    async with busy_writer(closing):
        tasks = [asyncio.create_task(closing.write(put(f"{number:03}"))) for number in range(200)]
        await asyncio.sleep(0)
        end = asyncio.create_task(closing.close())
    outcomes = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 30)
    await asyncio.wait_for(end, 30)

    assert outcomes == [f"{number:03}" for number in range(200)]
    assert await database.read(keys) == outcomes
    for call in (closing.write(put("late")), closing.read(keys), closing.glance(keys)):
        with pytest.raises(Unavailable, match="closed"):
            await call
    await closing.close()


def test_event_loops_in_several_threads_share_a_database(address: str) -> None:
    async def first() -> Any:
        opened = open_database(address)
        await opened.alter(lambda tx: tx.run("CREATE TABLE notes (k TEXT PRIMARY KEY, v BIGINT, parent TEXT)"))
        return opened

    opened = asyncio.run(first())
    counts: list[int] = []

    async def use(name: str) -> None:
        await asyncio.gather(*(opened.write(put(f"{name}{number}")) for number in range(50)))
        await opened.glance(count)
        counts.append(await opened.read(count))

    threads = [threading.Thread(target=lambda name=name: asyncio.run(use(name))) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(counts) == 150
    asyncio.run(opened.close())


async def test_an_event_loop_that_is_gone_harms_nobody(database: Opened) -> None:
    entered, go = threading.Event(), threading.Event()

    def waits(tx: Tx) -> None:
        entered.set()
        assert go.wait(30)
        put("kept")(tx)

    async def leave() -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(asyncio.ensure_future(database.alter(waits))), 0.001)
        await asyncio.to_thread(entered.wait, 30)

    await asyncio.to_thread(asyncio.run, leave())
    go.set()
    await database.write(put("next"))
    assert await database.read(keys) == ["kept", "next"]


# Durability -----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def writer_process(address: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, str(WRITER), address]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=dict(os.environ)) as process:
        try:
            yield process
        finally:
            process.kill()


async def test_what_was_acknowledged_survives_kill_9(address: str, database: Opened) -> None:
    await database.alter(lambda tx: tx.run("CREATE TABLE pairs (unit BIGINT, half BIGINT, PRIMARY KEY (unit, half))"))
    await database.close()
    with writer_process(address) as process:
        assert process.stdout is not None
        acknowledged = [int(process.stdout.readline()) for _ in range(500)]
        process.send_signal(signal.SIGKILL)
        acknowledged += [int(line) for line in process.stdout.read().splitlines(keepends=True) if line.endswith(b"\n")]
    assert process.returncode == -signal.SIGKILL

    again = open_database(address)
    rows = await again.read(lambda tx: tx.rows("SELECT unit, count(*) AS halves FROM pairs GROUP BY unit"))
    await again.close()
    halves = {row["unit"]: row["halves"] for row in rows}
    assert set(acknowledged) <= set(halves)
    assert set(halves.values()) == {2}, "a unit is there whole or not at all"
