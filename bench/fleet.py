"""A registry with many things, filled with SQL in bulk through the real schema: what an API would take hours for."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from fleetgate.database.migrate import migrate
from fleetgate.database.open import open_database
from fleetgate.names import Act, Realm
from fleetgate.registry import indexing
from fleetgate.search.values import lowered, stored

REALM: Final = Realm("123456789012", "us-east-1")
GROUPS: Final = 200
TYPES: Final = ("lamp", "Tap", "meter", "valve")
COLOURS: Final = ("red", "green", "blue", "Grey")
_ROWS: Final = 20_000
_NOW: Final = 1_700_000_000_000


def serial(number: int) -> str:
    """Spread over the alphabet, so that neighbours by serial number are none by name."""
    return f"SN{number * 7_368_787 % 9_999_991:07}"


def attributes(number: int) -> dict[str, str]:
    return {"serial": serial(number), "colour": COLOURS[number % 7 % 4], "battery": str(number * 37 % 1000 / 10)}


def fill(file: Path, count: int) -> float:
    """A database of *count* things in *file*, unless there is one; the seconds that took."""
    begun = time.monotonic()
    if file.exists():
        return 0.0
    partial = file.with_suffix(".part")
    partial.unlink(missing_ok=True)
    asyncio.run(_create(partial))
    with sqlite3.connect(partial, isolation_level=None) as connection:
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -400000")
        # Without their indexes rows are only appended, and an index is made by sorting.
        made = connection.execute(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL AND tbl_name LIKE 'thing%'"
        ).fetchall()
        for name, _ in made:
            connection.execute(f"DROP INDEX {name}")
        connection.execute("BEGIN")
        _groups(connection)
        for first in range(0, count, _ROWS):
            _things(connection, range(first, min(first + _ROWS, count)))
        connection.execute("COMMIT")
        for _, sql in made:
            connection.execute(sql)
        connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    partial.rename(file)
    return time.monotonic() - begun


async def _create(file: Path) -> None:
    database = open_database(file)
    await migrate(database, _NOW)
    act = Act(REALM, "system", _NOW, "00000000-0000-0000-0000-000000000001")
    await database.write(lambda tx: indexing.update(tx, act, {"thingIndexingMode": "REGISTRY"}))
    await database.close()


def _groups(connection: sqlite3.Connection) -> None:
    for name in TYPES:
        _insert(
            connection, "thing_types", [{"name": name, "type_id": name, "description": "", "searchable": "[]"}], _NOW
        )
    groups = [
        {
            "name": f"group{number:03}",
            "group_id": f"g{number}",
            "path": f"group{number:03}/",
            "description": "",
            "attributes": "{}",
            "version": 1,
        }
        for number in range(GROUPS)
    ]
    _insert(connection, "thing_groups", groups, _NOW)


def _things(connection: sqlite3.Connection, numbers: range) -> None:
    _insert(connection, "things", list(_thing_rows(numbers)), _NOW)
    _insert(connection, "thing_attributes", list(_attribute_rows(numbers)))
    _insert(connection, "thing_group_members", list(_member_rows(numbers)))


def name(number: int) -> str:
    return f"Thing-{number:07}"


def _thing_rows(numbers: range) -> Iterator[dict[str, Any]]:
    for number in numbers:
        yield {
            "name": name(number),
            "folded_name": lowered(name(number)),
            "thing_id": f"{number * 2_654_435_761 % 2**32:08x}-0000-4000-8000-{number:012x}",
            "type_name": TYPES[number % 5] if number % 5 < len(TYPES) else None,
            "attributes": json.dumps(attributes(number)),
            "version": 1,
            "updated_at": _NOW,
        }


def _attribute_rows(numbers: range) -> Iterator[dict[str, Any]]:
    for number in numbers:
        for each, value in sorted(attributes(number).items()):
            yield {
                "thing_name": name(number),
                "name": each,
                "value": value,
                "folded": lowered(value),
                "number": stored(value),
            }


def _member_rows(numbers: range) -> Iterator[dict[str, Any]]:
    for number in numbers:
        group = f"group{number // len(TYPES) % GROUPS:03}"
        row = {"thing_name": name(number), "root_name": group, "group_name": group, "group_path": f"{group}/"}
        yield row | {"added_at": _NOW}


def _insert(
    connection: sqlite3.Connection, table: str, rows: list[dict[str, Any]], created_at: int | None = None
) -> None:
    more = {"realm": str(REALM), **({} if created_at is None else {"created_at": created_at})}
    columns = [*rows[0], *more]
    marks = ", ".join(f":{column}" for column in columns)
    connection.executemany(
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})",  # names of this file
        [{**row, **more} for row in rows],
    )
