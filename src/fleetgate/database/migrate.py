"""Schema files: numbered `.sql`, applied in order, each in one transaction that also writes it down."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final, Protocol, TypeVar

from fleetgate.database.port import Tx
from fleetgate.database.statement import statements
from fleetgate.errors import FleetgateError, Unavailable, all_of

T = TypeVar("T")

SCHEMA: Final = files("fleetgate.database") / "schema"
_FILE: Final = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_BOOK: Final = """CREATE TABLE IF NOT EXISTS schema_versions (
    version BIGINT NOT NULL, name TEXT NOT NULL, applied_at BIGINT NOT NULL, checksum TEXT NOT NULL,
    PRIMARY KEY (version)
)"""


class Migratable(Protocol):
    """A `Database` whose schema can be changed."""

    async def read(self, work: Callable[[Tx], T]) -> T: ...

    async def alter(self, work: Callable[[Tx], T]) -> T: ...


@dataclass(frozen=True, slots=True)
class Migration:
    """One schema file. *checksum* is the SHA-256 of its text."""

    version: int
    name: str
    script: str
    checksum: str


def load(folder: Traversable = SCHEMA) -> list[Migration]:
    """The schema files in *folder* by number. Raises Unavailable naming every file that is misnamed or missing."""
    found, problems = [], []
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        match = _FILE.fullmatch(file.name)
        if match:
            script = file.read_text(encoding="utf-8")
            found.append(Migration(int(match[1]), match[2], script, hashlib.sha256(script.encode()).hexdigest()))
        elif file.name.endswith(".sql"):
            problems.append(f"{file.name} is not named like 0001_name.sql.")
    for expected, migration in enumerate(found, start=1):
        if migration.version != expected:
            problems.append(f"{migration.version:04}_{migration.name}.sql stands where number {expected:04} must be.")
    if problems:
        raise Unavailable(f"The schema folder {folder} is not whole: {all_of(problems)}")
    return found


async def migrate(database: Migratable, now: int, folder: Traversable = SCHEMA) -> list[str]:
    """Bring the schema up to date and give the names of what was applied; nothing when there is nothing to do.

    Nodes may start at once: the row in schema_versions comes first in each transaction, so one node applies a file and
    the others find it done. Raises Unavailable when the database is newer than this program or when a file that was
    applied has changed since.
    """
    migrations, done = load(folder), []
    await _open_book(database)
    while (migration := await database.read(partial(outstanding, migrations=migrations))) is not None:
        try:
            await database.alter(partial(apply, migration=migration, now=now))
        except Exception:
            if await database.read(partial(outstanding, migrations=migrations)) == migration:
                raise
        else:
            done.append(migration.name)
    return done


def outstanding(tx: Tx, migrations: Sequence[Migration]) -> Migration | None:
    """The first of *migrations* that the database lacks. Raises Unavailable when the two do not belong together."""
    applied = tx.rows("SELECT version, name, checksum FROM schema_versions ORDER BY version")
    known = {migration.version: migration for migration in migrations}
    problems = []
    for row in applied:
        migration = known.get(row["version"])
        if migration is None:
            problems.append(
                f"The database has schema {row['version']:04}_{row['name']}, which this program does not know: a newer "
                "fleetgate made it. Start that one, or restore a backup from before."
            )
        elif migration.checksum != row["checksum"]:
            problems.append(
                f"The schema file {migration.version:04}_{migration.name}.sql is not the one that was applied to the "
                "database. Install the original package again; changes belong into a new file."
            )
    if problems:
        raise Unavailable(all_of(problems))
    present = {row["version"] for row in applied}
    return next((migration for migration in migrations if migration.version not in present), None)


def apply(tx: Tx, migration: Migration, now: int) -> None:
    """Write *migration* down and run it. Raises `Conflict` when another node is doing so."""
    tx.run(
        "INSERT INTO schema_versions (version, name, applied_at, checksum) VALUES (:version, :name, :now, :checksum)",
        version=migration.version,
        name=migration.name,
        now=now,
        checksum=migration.checksum,
    )
    for statement in statements(migration.script):
        tx.run(statement)


def create(tx: Tx, migrations: Sequence[Migration], now: int) -> None:
    """The whole schema at once in an empty database."""
    tx.run(_BOOK)
    for migration in migrations:
        apply(tx, migration, now)


async def _open_book(database: Migratable) -> None:
    """Make the table of versions unless it is there (to ask first needs no right to create tables)."""

    def look(tx: Tx) -> None:
        tx.rows("SELECT version FROM schema_versions LIMIT 1")

    try:
        await database.read(look)
    except FleetgateError:
        raise
    except Exception:  # noqa: BLE001 # each engine has its own error for a missing table
        try:
            await database.alter(lambda tx: tx.run(_BOOK))
        except Exception:  # noqa: BLE001 # another node may have been first; if not, this raises
            await database.read(look)
