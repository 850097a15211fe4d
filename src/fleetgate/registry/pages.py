"""Pages by key: a page starts after the last key of the one before, so it costs the same wherever it lies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from fleetgate.database.port import Row, Tx
from fleetgate.errors import InvalidRequest

T = TypeVar("T")

LARGEST: Final = 1000
_DIGITS: Final = 15
_BAD_TOKEN: Final = "The page token is none of this list. Start again without one."  # noqa: S105 - a message, no secret


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    items: tuple[T, ...]
    next_key: str | None
    """What to pass as `after` for the next page; None on the last."""


def read(
    tx: Tx,
    select: str,
    where: Sequence[str],
    order: str,
    limit: int,
    make: Callable[[Row], T],
    key: Callable[[Row], str],
    /,
    **values: Any,
) -> Page[T]:
    """One page of *select* (everything before WHERE). *key* makes the next key from the last row.

    Every text here is written in this package; what a caller sends comes in *values*. Raises InvalidRequest for a
    *limit* outside 1..1000.
    """
    if not 1 <= limit <= LARGEST:
        raise InvalidRequest(f"A page has 1 to {LARGEST} items, not {limit}.")
    sql = " ".join([select, "WHERE", " AND ".join(where), "ORDER BY", order, "LIMIT :most"])
    rows = tx.rows(sql, most=limit + 1, **values)
    shown = rows[:limit]
    return Page(tuple(make(row) for row in shown), key(shown[-1]) if len(rows) > limit else None)


def name_after(after: str | None) -> str:
    """The key of a list ordered by name; the first page starts after the empty name."""
    if after is not None and "\0" in after:
        raise InvalidRequest(_BAD_TOKEN)
    return after or ""


def number_after(after: str | None) -> int:
    """The key of a list ordered by a number above zero."""
    if after is None:
        return 0
    if not (after.isascii() and after.isdigit() and len(after) <= _DIGITS):
        raise InvalidRequest(_BAD_TOKEN)
    return int(after)


def moment_key(created_at: int, name: str) -> str:
    """The key of a list ordered by time, then name."""
    return f"{created_at}/{name}"


def moment_after(after: str) -> tuple[int, str]:
    """The inverse of `moment_key`. Raises InvalidRequest."""
    moment, _, name = after.partition("/")
    return number_after(moment), name_after(name)


def by_creation(after: str | None, name_column: str, ascending: bool) -> tuple[list[str], str, dict[str, Any]]:
    """Condition, order and values of a list ordered by creation: for `read`."""
    values: dict[str, Any] = {}
    where = []
    if after is not None:
        values["after_at"], values["after_name"] = moment_after(after)
        where.append(f"(created_at, {name_column}) {'>' if ascending else '<'} (:after_at, :after_name)")
    direction = "ASC" if ascending else "DESC"
    return where, f"created_at {direction}, {name_column} {direction}", values


def beginning(prefix: str) -> tuple[str, str]:
    """The half-open range of names that begin with *prefix*. No name or attribute value has a `~`, nor a code above."""
    return prefix, prefix + "~"
