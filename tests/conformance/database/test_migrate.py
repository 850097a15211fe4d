"""Schema files on either engine: in order, once, whole or not at all, by one node."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fleetgate.database.migrate import SCHEMA, load, migrate
from fleetgate.database.open import open_database
from fleetgate.database.port import Tx
from fleetgate.errors import Unavailable

FIRST = """-- Devices; a semicolon in a comment; changes nothing
CREATE TABLE devices (name TEXT NOT NULL, seen BIGINT, PRIMARY KEY (name));
CREATE INDEX devices_by_time ON devices (seen, name) WHERE seen IS NOT NULL;
INSERT INTO devices (name, seen) VALUES ('a;b', 1), ('100%', 2), (':x', NULL);
"""
SECOND = "ALTER TABLE devices ADD COLUMN note TEXT NOT NULL DEFAULT '-';\nUPDATE devices SET note = name || '!';\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "schema"
    made.mkdir()
    (made / "README.md").write_text("not a schema file")
    (made / "0001_devices.sql").write_text(FIRST)
    return made


def query(sql: str) -> Callable[[Tx], Any]:
    return lambda tx: tx.rows(sql)


async def test_files_are_applied_in_order_and_only_once(address: str, folder: Path) -> None:
    database = open_database(address)
    assert await migrate(database, 1_000, folder) == ["devices"]
    assert await migrate(database, 2_000, folder) == []

    (folder / "0002_notes.sql").write_text(SECOND)
    (folder / "0003_more.sql").write_text("UPDATE devices SET note = note || '?'")
    assert await migrate(database, 3_000, folder) == ["notes", "more"]

    assert await database.read(query("SELECT name, seen, note FROM devices ORDER BY name")) == [
        {"name": "100%", "seen": 2, "note": "100%!?"},
        {"name": ":x", "seen": None, "note": ":x!?"},
        {"name": "a;b", "seen": 1, "note": "a;b!?"},
    ]
    rows = await database.read(query("SELECT * FROM schema_versions ORDER BY version"))
    assert [(row["version"], row["name"], row["applied_at"]) for row in rows] == [
        (1, "devices", 1_000),
        (2, "notes", 3_000),
        (3, "more", 3_000),
    ]
    assert [row["checksum"] for row in rows] == [migration.checksum for migration in load(folder)]
    await database.close()


async def test_nodes_that_start_at_once_apply_each_file_once(address: str, folder: Path) -> None:
    (folder / "0002_notes.sql").write_text(SECOND)
    nodes = [open_database(address) for _ in range(4)]

    applied = await asyncio.gather(*(migrate(node, 1_000, folder) for node in nodes))

    assert sorted(name for names in applied for name in names) == ["devices", "notes"]
    assert await nodes[0].read(query("SELECT count(*) AS n FROM devices")) == [{"n": 3}]
    for node in nodes:
        await node.close()


async def test_a_file_that_fails_leaves_nothing_and_may_be_mended(address: str, folder: Path) -> None:
    broken = folder / "0002_broken.sql"
    broken.write_text(f"{SECOND}; CREATE TABLE devices (name TEXT);")
    database = open_database(address)

    with pytest.raises(Exception, match="already exists"):
        await migrate(database, 1_000, folder)
    assert await database.read(query("SELECT version FROM schema_versions")) == [{"version": 1}]
    [row] = await database.read(query("SELECT * FROM devices WHERE seen = 1"))
    assert set(row) == {"name", "seen"}

    broken.write_text(SECOND)
    assert await migrate(database, 2_000, folder) == ["broken"]
    await database.close()


async def test_a_database_that_is_newer_than_the_program_is_refused(address: str, folder: Path) -> None:
    (folder / "0002_notes.sql").write_text(SECOND)
    database = open_database(address)
    await migrate(database, 1_000, folder)
    (folder / "0002_notes.sql").unlink()

    with pytest.raises(Unavailable, match="0002_notes, which this program does not know: a newer fleetgate made it"):
        await migrate(database, 2_000, folder)
    await database.close()


async def test_a_file_that_has_changed_since_is_refused_before_anything_is_applied(address: str, folder: Path) -> None:
    database = open_database(address)
    await migrate(database, 1_000, folder)
    (folder / "0001_devices.sql").write_text(FIRST + "-- one more word")
    (folder / "0002_notes.sql").write_text(SECOND)

    with pytest.raises(Unavailable, match=r"0001_devices\.sql is not the one that was applied"):
        await migrate(database, 2_000, folder)
    assert await database.read(query("SELECT version FROM schema_versions")) == [{"version": 1}]
    await database.close()


async def test_the_schema_of_the_house_is_the_same_on_each_engine(address: str) -> None:
    database = open_database(address)
    assert await migrate(database, 1_000) == [migration.name for migration in load()]
    assert await migrate(database, 1_000) == []
    script = "".join(migration.script for migration in load())
    tables = [line.split()[2] for line in script.splitlines() if line.startswith("CREATE TABLE ")]

    assert len(tables) > 10
    for table in tables:
        assert await database.read(query(f"SELECT count(*) AS n FROM {table}")) == [{"n": 0}]
    await database.close()


def test_the_schema_is_found_in_the_installed_package() -> None:
    assert SCHEMA.is_dir()
    assert [migration.version for migration in load()] == list(range(1, len(load()) + 1))
