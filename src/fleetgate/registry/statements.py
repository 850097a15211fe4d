"""The INSERT statements of the registry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


@cache
def _insert_rows(table: str, columns: tuple[str, ...], count: int) -> str:
    rows = (", ".join(f":{column}{number}" for column in columns) for number in range(count))
    values = ", ".join(f"({row})" for row in rows)
    return " ".join(["INSERT INTO", table, f"({', '.join(columns)})", "VALUES", values])


def insert_rows(tx: Tx, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Some rows with the same columns, in one statement. Raises `Conflict`."""
    if rows:
        values = {f"{column}{number}": value for number, row in enumerate(rows) for column, value in row.items()}
        tx.run(_insert_rows(table, tuple(rows[0]), len(rows)), **values)


def insert_new(tx: Tx, table: str, /, **columns: Any) -> bool:
    """One row, unless its key is taken. PostgreSQL gives a transaction up at the first error, so nothing may fail."""
    return tx.run(_insert(table, tuple(columns)) + " ON CONFLICT DO NOTHING", **columns) == 1
