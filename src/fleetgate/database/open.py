"""From an address to a `Database`."""

from __future__ import annotations

import os
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fleetgate.database.limits import Limits
from fleetgate.database.migrate import SCHEMA, create, load
from fleetgate.database.sqlite import Memory, PassingDatabase, SqliteDatabase
from fleetgate.errors import Unavailable

if TYPE_CHECKING:
    from fleetgate.database.postgres import PostgresDatabase

_DEFAULTS: Final = Limits()


def open_database(address: str | os.PathLike[str], limits: Limits = _DEFAULTS) -> SqliteDatabase | PostgresDatabase:
    """Open the database at *address*; blocks until it answers. Raises Unavailable with what is wrong.

    `postgresql://...` (or `postgres://`) as libpq reads it; `sqlite:///relative.db`, `sqlite:////absolute.db` or a bare
    path; `:memory:` is a database in a temporary folder that is removed on closing.
    """
    text = os.fspath(address)
    scheme, separator, _ = text.partition("://")
    if scheme in {"postgresql", "postgres"} and separator:
        # The driver takes a tenth of a second to import, which every start on SQLite would pay for.
        from fleetgate.database.postgres import PostgresDatabase  # noqa: PLC0415

        return PostgresDatabase(text, limits)
    path = text.removeprefix("sqlite:///")
    if "://" in path:
        raise Unavailable(
            f"There is no database for {scheme}:// addresses. Give postgresql://host/name, sqlite:///file.db (with "
            "four slashes for an absolute path) or the path of a file."
        )
    if path == ":memory:":
        return PassingDatabase(limits)
    return SqliteDatabase(str(Path(path).absolute()), limits)


def memory(folder: Traversable = SCHEMA) -> Memory:
    """An empty SQLite database in memory with the whole schema, for plain functions under test."""
    database = Memory()
    database.run(lambda tx: create(tx, load(folder), now=0))
    return database
