"""The port: a transaction is a plain function run against a `Tx`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
Row = Mapping[str, Any]


class Conflict(Exception):
    """A unique key is taken, or a referenced row is missing."""


class Tx(Protocol):
    """One open transaction. SQL is the subset that SQLite and PostgreSQL share, with `:name` parameters.

    Values are str, int, bytes-free: TEXT, BIGINT (INTEGER) and NULL. Booleans are stored as 0 and 1. Text is compared
    byte by byte, LIKE minds the case and wants its ESCAPE written. Both methods raise `Conflict`, after which the
    function may go on, and InvalidRequest for text with NUL or half a surrogate pair and for integers over 64 bits.
    """

    def rows(self, sql: str, /, **values: Any) -> list[Row]:
        """Every row of a query (or of a statement with RETURNING)."""

    def run(self, sql: str, /, **values: Any) -> int:
        """How many rows a statement touched. Raises `Conflict`."""


class Database(Protocol):
    """`read` and `write` run *work* in one transaction and give back what it returns; what it raises comes through
    and leaves nothing behind. *work* depends on its `Tx` alone, because it may run more than once.
    """

    async def read(self, work: Callable[[Tx], T]) -> T:
        """A read-only transaction on its own snapshot, off the event loop."""

    async def glance(self, work: Callable[[Tx], T]) -> T:
        """A read of a few rows by key. SQLite answers on the caller's thread (microseconds); PostgreSQL as `read`."""

    async def write(self, work: Callable[[Tx], T]) -> T:
        """A transaction that is durable when this returns."""

    async def close(self) -> None: ...
