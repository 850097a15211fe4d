"""The two INSERT statements of the registry."""

from __future__ import annotations

from functools import cache
from typing import Any

from fleetgate.database.port import Tx


@cache
def _insert(table: str, columns: tuple[str, ...]) -> str:
    names, values = ", ".join(columns), ", ".join(f":{column}" for column in columns)
    return " ".join(["INSERT INTO", table, f"({names})", "VALUES", f"({values})"])


def insert(tx: Tx, table: str, /, **columns: Any) -> None:
    """One row. Raises `Conflict` when its key is taken or what it refers to is missing."""
    tx.run(_insert(table, tuple(columns)), **columns)


def insert_new(tx: Tx, table: str, /, **columns: Any) -> bool:
    """One row, unless its key is taken. PostgreSQL gives a transaction up at the first error, so nothing may fail."""
    return tx.run(_insert(table, tuple(columns)) + " ON CONFLICT DO NOTHING", **columns) == 1
