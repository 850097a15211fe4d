"""What the database does when the disk, another process or the server fails: a clear error, nothing half, and on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import pytest
from tests.postgres import Server, private_server

from fleetgate.database.limits import Limits
from fleetgate.database.open import open_database
from fleetgate.database.port import Tx
from fleetgate.database.postgres import PostgresDatabase
from fleetgate.database.sqlite import SqliteDatabase
from fleetgate.errors import Unavailable

T = TypeVar("T")

TABLE = "CREATE TABLE notes (k TEXT NOT NULL, v BIGINT, text TEXT, PRIMARY KEY (k))"
DISK_LIMIT = Path(__file__).with_name("database_disk_limit.py")


def put(key: str, text: str = "") -> Callable[[Tx], str]:
    def work(tx: Tx) -> str:
        tx.run("INSERT INTO notes (k, v, text) VALUES (:k, 0, :text)", k=key, text=text)
        return key

    return work


def keys(tx: Tx) -> list[str]:
    return [row["k"] for row in tx.rows("SELECT k FROM notes ORDER BY k")]


@contextlib.asynccontextmanager
async def one_batch(database: SqliteDatabase | PostgresDatabase) -> AsyncIterator[None]:
    """What is written inside waits together for the writing connection."""
    started, go = threading.Event(), threading.Event()

    def hold(_: Tx) -> None:
        started.set()
        assert go.wait(30)

    held = asyncio.create_task(database.alter(hold))  # on a thread with either engine
    assert await asyncio.to_thread(started.wait, 30)
    yield
    await asyncio.sleep(0)
    go.set()
    await held


async def outcomes(database: SqliteDatabase | PostgresDatabase, *works: Callable[[Tx], Any]) -> list[Any]:
    """What became of *works* in one batch."""
    async with one_batch(database):
        tasks = [asyncio.create_task(database.write(work)) for work in works]
    return await asyncio.gather(*tasks, return_exceptions=True)


# SQLite ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    database = open_database(tmp_path / "fleet.db", Limits(patience=200))
    assert isinstance(database, SqliteDatabase)
    await database.alter(lambda tx: tx.run(TABLE))
    yield database
    await database.close()


async def test_a_full_disk_refuses_the_batch_whole_and_goes_on_later(sqlite: SqliteDatabase) -> None:
    [limit] = (await sqlite.write(lambda tx: tx.rows("PRAGMA page_count")))[0].values()

    def limited_to(pages: int) -> Callable[[Tx], Any]:
        return lambda tx: tx.rows(f"PRAGMA max_page_count = {pages}")

    await sqlite.write(put("before"))
    await sqlite.write(limited_to(limit + 2))
    results = await outcomes(sqlite, put("small"), put("big", "x" * 100_000), put("other"))

    assert [type(result) for result in results] == [Unavailable] * 3
    assert "the disk is full; make room" in str(results[0])
    assert await sqlite.read(keys) == ["before"]
    await sqlite.write(put("fits"))
    await sqlite.write(limited_to(1_000_000))
    await sqlite.write(put("big", "x" * 100_000))
    assert await sqlite.glance(keys) == ["before", "big", "fits"]


def test_a_disk_that_takes_no_more_bytes(tmp_path: Path) -> None:
    """In a process of its own whose files may not grow: every write call fails, at whatever point of the commit."""
    done = subprocess.run(
        [sys.executable, str(DISK_LIMIT), str(tmp_path / "fleet.db")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "refused\nwent on\n", "")
    with contextlib.closing(sqlite3.connect(tmp_path / "fleet.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        halves = dict(connection.execute("SELECT unit, count(*) FROM pairs GROUP BY unit").fetchall())
    assert set(halves.values()) == {2}


async def test_a_lock_held_by_another_process_is_waited_for_and_then_told(
    sqlite: SqliteDatabase, tmp_path: Path
) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "fleet.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        begun = time.monotonic()
        with pytest.raises(Unavailable, match="another process has locked it"):
            await sqlite.write(put("a"))
        assert 0.15 < time.monotonic() - begun < 5
        assert await sqlite.read(keys) == []
        assert await sqlite.glance(keys) == []

        waiting = asyncio.create_task(sqlite.write(put("b")))
        await asyncio.sleep(0)
        other.execute("COMMIT")
        assert await waiting == "b"


@pytest.mark.parametrize("content", [b"this is a letter, not a database " * 200, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_file_that_is_no_database_is_told_at_once(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "fleet.db"
    file.write_bytes(content)
    with pytest.raises(Unavailable, match=r"no SQLite database|damaged"):
        open_database(file)
    assert file.read_bytes() == content, "left for whoever wants to rescue it"


async def test_a_damaged_page_is_told_and_harms_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "fleet.db"
    database = open_database(file)
    await database.alter(lambda tx: tx.run(TABLE))
    for number in range(400):
        await database.write(put(f"{number:04}", "x" * 500))
    await database.alter(lambda tx: tx.run("CREATE TABLE healthy (k TEXT)"))
    [pages] = (await database.read(lambda tx: tx.rows("PRAGMA page_count")))[0].values()
    await database.close()
    with file.open("r+b") as opened:  # everything but the first page, which holds the schema, and the last
        opened.seek(4096)
        opened.write(b"\xa5" * 4096 * (pages - 2))

    database = open_database(file)
    for call in (database.read(keys), database.glance(keys), database.write(put("new"))):
        with pytest.raises(Unavailable, match="damaged; stop the server and restore"):
            await call
    await database.write(lambda tx: tx.rows("SELECT k FROM healthy"))
    await database.close()


# PostgreSQL -----------------------------------------------------------------------------------------------------------


@pytest.fixture
async def postgres(postgres_url: str) -> AsyncIterator[PostgresDatabase]:
    database = open_database(postgres_url, Limits(patience=5_000, statement_timeout=300, readers=2))
    assert isinstance(database, PostgresDatabase)
    await database.alter(lambda tx: tx.run(TABLE))
    yield database
    await database.close()


def backend(tx: Tx) -> int:
    [row] = tx.rows("SELECT pg_backend_pid() AS pid")
    pid: int = row["pid"]
    return pid


def end_backend(server: Server, pid: int) -> None:
    server.ask(f"SELECT pg_terminate_backend({pid}, 5000)")


@pytest.mark.postgres
async def test_connections_cut_while_idle_are_made_anew(postgres: PostgresDatabase, postgres_server: Server) -> None:
    for pid in {await postgres.write(backend), await postgres.read(backend), await postgres.read(backend)}:
        end_backend(postgres_server, pid)

    assert await postgres.write(put("a")) == "a"
    assert [await postgres.read(keys) for _ in range(4)] == [["a"]] * 4


@pytest.mark.postgres
async def test_a_connection_cut_before_the_commit_costs_nobody_anything(
    postgres: PostgresDatabase, postgres_server: Server
) -> None:
    runs = 0

    def cuts_once(tx: Tx) -> int:
        nonlocal runs
        runs += 1
        put("mine")(tx)
        if runs == 1:
            end_backend(postgres_server, backend(tx))
        put("mine too")(tx)
        return runs

    assert await outcomes(postgres, put("before"), cuts_once, put("after")) == ["before", 2, "after"]
    assert await postgres.read(keys) == ["after", "before", "mine", "mine too"]


@pytest.mark.postgres
async def test_a_reader_cut_off_reads_again(postgres: PostgresDatabase, postgres_server: Server) -> None:
    await postgres.write(put("a"))
    runs = 0

    def cuts_once(tx: Tx) -> list[str]:
        nonlocal runs
        runs += 1
        if runs == 1:
            end_backend(postgres_server, backend(tx))
        return keys(tx)

    assert await postgres.read(cuts_once) == ["a"]
    assert runs == 2


@pytest.mark.postgres
async def test_a_reader_that_is_cut_off_each_time_gives_up(postgres: PostgresDatabase, postgres_server: Server) -> None:
    runs = 0

    def cuts(tx: Tx) -> list[str]:
        nonlocal runs
        runs += 1
        end_backend(postgres_server, backend(tx))
        return keys(tx)

    with pytest.raises(Unavailable, match="connection to PostgreSQL was lost"):
        await postgres.read(cuts)
    assert runs == 10
    assert await postgres.read(keys) == []


@pytest.mark.postgres
async def test_a_connection_cut_during_the_commit_is_told_and_not_tried_again(postgres: PostgresDatabase) -> None:
    def set_trap(tx: Tx) -> None:
        tx.run(
            "CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(1); RETURN NULL; END $$"
        )
        tx.run(
            "CREATE CONSTRAINT TRIGGER cut AFTER INSERT ON notes DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW WHEN (NEW.k = 'trap') EXECUTE FUNCTION cut()"
        )

    await postgres.alter(set_trap)
    runs = 0

    def trapped(tx: Tx) -> None:
        nonlocal runs
        runs += 1
        put("trap")(tx)

    results = await outcomes(postgres, put("before"), trapped)

    assert [type(result) for result in results] == [Unavailable] * 2
    assert "may or may not have been made" in str(results[0])
    assert runs == 1
    assert await postgres.write(put("next")) == "next"


@pytest.mark.postgres
async def test_a_statement_that_takes_too_long_is_its_own_callers_trouble(postgres: PostgresDatabase) -> None:
    def slow(tx: Tx) -> None:
        put("half")(tx)
        tx.rows("SELECT pg_sleep(20)")

    results = await outcomes(postgres, put("a"), slow, put("b"))

    assert [results[0], results[2]] == ["a", "b"]
    assert isinstance(results[1], Unavailable)
    assert "took too long" in str(results[1])
    with pytest.raises(Unavailable, match="took too long"):
        await postgres.read(lambda tx: tx.rows("SELECT pg_sleep(20)"))
    assert await postgres.read(keys) == ["a", "b"]


@pytest.mark.postgres
async def test_a_schema_change_may_take_longer(postgres: PostgresDatabase) -> None:
    await postgres.alter(lambda tx: tx.rows("SELECT pg_sleep(0.6)"))
    with pytest.raises(Unavailable, match="took too long"):
        await postgres.write(lambda tx: tx.rows("SELECT pg_sleep(0.6)"))


@pytest.mark.postgres
async def test_a_function_that_others_always_outrun_is_told_so_alone(
    postgres: PostgresDatabase, postgres_url: str
) -> None:
    await postgres.write(put("hot"))
    runs = 0

    def outrun(tx: Tx) -> None:
        nonlocal runs
        runs += 1
        tx.rows("SELECT v FROM notes WHERE k = 'hot'")
        with psycopg.connect(postgres_url, autocommit=True) as other:
            other.execute("UPDATE notes SET v = v + 1 WHERE k = 'hot'")
        tx.run("UPDATE notes SET v = -1 WHERE k = 'hot'")

    results = await outcomes(postgres, put("a"), outrun, put("b"))

    assert [results[0], results[2]] == ["a", "b"]
    assert isinstance(results[1], Unavailable)
    assert "kept changing the same rows; nothing was changed" in str(results[1])
    assert runs == 12
    assert await postgres.read(lambda tx: tx.rows("SELECT v FROM notes WHERE k = 'hot'")) == [{"v": runs}]


@pytest.mark.postgres
async def test_nodes_that_lock_each_other_out_both_finish(postgres: PostgresDatabase, postgres_url: str) -> None:
    """Each takes one row and wants the other's: PostgreSQL breaks the deadlock, and the loser runs again."""
    other = open_database(postgres_url)
    await postgres.write(put("x"))
    await postgres.write(put("y"))
    meeting = threading.Barrier(2)

    def take(first: str, second: str) -> Callable[[Tx], None]:
        met: list[bool] = []

        def work(tx: Tx) -> None:
            tx.run("UPDATE notes SET v = v + 1 WHERE k = :k", k=first)
            if not met:
                met.append(True)
                meeting.wait(30)
            tx.run("UPDATE notes SET v = v + 1 WHERE k = :k", k=second)

        return work

    patient = open_database(postgres_url)
    await asyncio.gather(patient.write(take("x", "y")), other.write(take("y", "x")))
    assert await other.read(lambda tx: tx.rows("SELECT v FROM notes ORDER BY k")) == [{"v": 2}, {"v": 2}]
    await other.close()
    await patient.close()


@pytest.mark.postgres
async def test_a_swallowed_error_does_not_pass_for_success(postgres: PostgresDatabase) -> None:
    def careless(tx: Tx) -> None:
        put("half")(tx)
        with contextlib.suppress(psycopg.Error):
            tx.run("SELEKT")

    with pytest.raises(RuntimeError, match="the function went on as if it had not"):
        await postgres.write(careless)
    assert await postgres.read(keys) == []


@pytest.mark.postgres
async def test_a_function_that_ends_the_transaction_itself_fails(postgres: PostgresDatabase) -> None:
    for ending in ("COMMIT", "ROLLBACK"):
        with pytest.raises(Exception, match=r".") as caught:
            await postgres.write(lambda tx, ending=ending: tx.run(ending))  # type: ignore[misc]
        assert not isinstance(caught.value, Unavailable)
        assert await postgres.write(lambda tx: tx.rows("SELECT 1 AS n")) == [{"n": 1}]


@pytest.mark.postgres
async def test_prepared_statements_survive_a_change_of_the_schema(
    postgres: PostgresDatabase, postgres_url: str
) -> None:
    node = open_database(postgres_url, Limits(readers=1))
    await postgres.write(put("a"))
    for _ in range(10):
        await node.read(lambda tx: tx.rows("SELECT * FROM notes WHERE k = :k", k="a"))
        await node.write(lambda tx: tx.rows("SELECT * FROM notes WHERE k = :k", k="a"))
    await postgres.alter(lambda tx: tx.run("ALTER TABLE notes ADD COLUMN extra BIGINT"))

    for method in (node.read, node.write):
        [row] = await method(lambda tx: tx.rows("SELECT * FROM notes WHERE k = :k", k="a"))
        assert set(row) == {"k", "v", "text", "extra"}
    await node.close()


@pytest.fixture(scope="module")
def fragile() -> Iterator[Server]:
    """A server of this module's own, to be killed; it does wait for the disk."""
    with private_server("fsync = on") as server:
        yield server


async def once_it_answers(call: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """What *call* gives when a connection is tried again, which happens once a second."""
    async with asyncio.timeout(10):
        while True:
            try:
                return await call()
            except Unavailable:
                await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def crashed(server: Server) -> AsyncIterator[None]:
    """The server is dead inside, and runs again afterwards."""
    await asyncio.to_thread(server.kill)
    try:
        yield
    finally:
        await asyncio.to_thread(server.start)


@pytest.mark.postgres
async def test_a_server_that_crashes_keeps_what_it_acknowledged(fragile: Server) -> None:
    with fragile.database() as address:
        database = open_database(address, Limits(patience=100))
        await database.alter(lambda tx: tx.run(TABLE))
        acknowledged: list[str] = []
        enough = asyncio.Event()

        async def write(number: int) -> None:
            with contextlib.suppress(Unavailable):
                acknowledged.append(await database.write(put(f"{number:05}")))
            if len(acknowledged) >= 500:
                enough.set()

        writing = [asyncio.create_task(write(number)) for number in range(5000)]
        await enough.wait()
        async with crashed(fragile):
            await asyncio.gather(*writing)
            assert 500 <= len(acknowledged) < 5000
            with pytest.raises(Unavailable, match="PostgreSQL cannot be reached"):
                await database.read(keys)
        assert set(acknowledged) <= set(await once_it_answers(lambda: database.read(keys)))
        assert await once_it_answers(lambda: database.write(put("next"))) == "next"
        await database.close()


@pytest.mark.postgres
async def test_a_server_that_stays_away_delays_one_call_and_not_each(fragile: Server) -> None:
    with fragile.database() as address:
        database = open_database(address, Limits(patience=500))
        async with crashed(fragile):
            begun = time.monotonic()
            results = await asyncio.gather(
                *(database.write(put(str(number))) for number in range(500)),
                *(database.read(keys) for _ in range(50)),
                return_exceptions=True,
            )
            assert time.monotonic() - begun < 5
            assert {type(result) for result in results} == {Unavailable}
            await asyncio.wait_for(database.close(), 5)


@pytest.mark.postgres
async def test_a_server_that_is_back_within_the_patience_is_waited_for(fragile: Server) -> None:
    with fragile.database() as address:
        database = open_database(address, Limits(patience=20_000))
        await database.alter(lambda tx: tx.run(TABLE))
        async with crashed(fragile):
            writing = asyncio.create_task(database.write(put("a")))
            await asyncio.sleep(0)
        assert await writing == "a"
        await database.close()


@pytest.mark.postgres
async def test_closing_does_not_wait_for_a_server_that_is_away(fragile: Server) -> None:
    with fragile.database() as address:
        database = open_database(address, Limits(patience=60_000))
        async with crashed(fragile):
            tasks = [asyncio.create_task(database.write(put(str(number)))) for number in range(200)]
            await asyncio.sleep(0)
            await asyncio.wait_for(database.close(), 10)
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert {type(result) for result in results} == {Unavailable}


@pytest.mark.postgres
def test_a_database_in_another_encoding_is_refused(postgres_server: Server) -> None:
    name = f"fleetgate_latin_{os.getpid()}"
    postgres_server.ask(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    try:
        address = f"postgresql:///{name}?host={psycopg.conninfo.conninfo_to_dict(postgres_server.conninfo)['host']}"
        with pytest.raises(Unavailable, match="encoding is not UTF8; create it with ENCODING 'UTF8'"):
            open_database(f"{address}&user=postgres", Limits(patience=0))
    finally:
        postgres_server.ask(f"DROP DATABASE {name} WITH (FORCE)")
