"""One suite, two engines: `address` is a fresh place for a database of either kind, `database` is one opened there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fleetgate.database.open import open_database
from fleetgate.database.port import Tx
from fleetgate.database.postgres import PostgresDatabase
from fleetgate.database.sqlite import SqliteDatabase


def _tables(tx: Tx) -> None:
    tx.run("CREATE TABLE notes (k TEXT NOT NULL, v BIGINT, parent TEXT REFERENCES notes (k), PRIMARY KEY (k))")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "fleet.db")
    found: str = request.getfixturevalue("postgres_url")
    return found


@pytest.fixture
async def database(address: str) -> AsyncIterator[SqliteDatabase | PostgresDatabase]:
    opened = open_database(address)
    await opened.alter(_tables)
    yield opened
    await opened.close()
