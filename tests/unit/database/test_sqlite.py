from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from fleetgate.database.open import memory, open_database
from fleetgate.database.port import Conflict, Tx
from fleetgate.database.sqlite import judged
from fleetgate.errors import Unavailable


def add(tx: Tx, fingerprint: str) -> None:
    tx.run(
        "INSERT INTO access_keys (id, account, label, sealed_secret, status, created_at) "
        "VALUES (:id, 'a', 'l', 's', 'Active', 1)",
        id=fingerprint,
    )


def ids(tx: Tx) -> list[str]:
    return [row["id"] for row in tx.rows("SELECT id FROM access_keys ORDER BY id")]


def test_memory_has_the_schema_and_runs_transactions() -> None:
    database = memory()
    database.run(lambda tx: add(tx, "one"))

    def breaks(tx: Tx) -> None:
        add(tx, "two")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        database.run(breaks)
    with pytest.raises(Conflict):
        database.run(lambda tx: add(tx, "one"))
    assert database.run(ids) == ["one"]
    database.close()


def test_memory_gives_a_tx_for_single_statements() -> None:
    database = memory()
    add(database.tx, "one")
    with pytest.raises(Conflict):
        add(database.tx, "one")
    add(database.tx, "two")
    assert ids(database.tx) == ["one", "two"]
    database.close()


def test_two_memories_share_nothing() -> None:
    one, two = memory(), memory()
    add(one.tx, "one")
    assert ids(two.tx) == []
    one.close()
    two.close()


async def test_the_file_is_the_owners_alone_and_the_log_is_folded_in_on_closing(tmp_path: Path) -> None:
    file = tmp_path / "fleet.db"
    database = open_database(file)
    await database.alter(lambda tx: tx.run("CREATE TABLE t (k TEXT)"))

    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {
        "fleet.db": 0o600,
        "fleet.db-wal": 0o600,
        "fleet.db-shm": 0o600,
    }
    await database.close()
    assert [path.name for path in tmp_path.iterdir()] == ["fleet.db"]


async def test_what_is_acknowledged_is_synced(tmp_path: Path) -> None:
    database = open_database(tmp_path / "fleet.db")
    settings = {
        name: await database.write(lambda tx, name=name: next(iter(tx.rows(f"PRAGMA {name}")[0].values())))  # type: ignore[misc]
        for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
    }
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 0}
    await database.close()


@pytest.mark.parametrize("name", ["plain.db", "with space.db", "per%41cent.db", "quest?ion#.db", "ünï.db"])
async def test_any_file_name_will_do(tmp_path: Path, name: str) -> None:
    database = open_database(tmp_path / name)
    await database.alter(lambda tx: tx.run("CREATE TABLE t (k TEXT)"))
    assert await database.read(lambda tx: tx.rows("SELECT k FROM t")) == []
    assert (tmp_path / name).exists()
    await database.close()


async def test_a_function_that_ends_the_transaction_itself_fails_and_the_next_one_works() -> None:
    database = open_database(":memory:")
    with pytest.raises(sqlite3.OperationalError, match="no such savepoint"):
        await database.write(lambda tx: tx.run("COMMIT"))
    assert await database.write(lambda tx: tx.rows("SELECT 1 AS n")) == [{"n": 1}]
    with pytest.raises(sqlite3.OperationalError, match="no such savepoint"):
        await database.write(lambda tx: tx.run("ROLLBACK"))
    assert await database.read(lambda tx: tx.rows("SELECT 1 AS n")) == [{"n": 1}]
    await database.close()


def test_an_error_without_a_code_is_the_programs_own() -> None:
    error = sqlite3.ProgrammingError("wrong")
    assert judged(error, "x", reading=False) is error


def test_a_file_that_became_read_only_is_unavailable_to_writers() -> None:
    error = sqlite3.OperationalError("attempt to write a readonly database")
    error.sqlite_errorcode = sqlite3.SQLITE_READONLY
    assert isinstance(judged(error, "x", reading=False), Unavailable)
    assert judged(error, "x", reading=True) is error
