"""Streams: the things that one term brings, in the order of an index, from any place in it.

A query is answered along the stream of one of its terms, and the rest of it is a condition on what comes by. So a page
costs what lies between two hits, wherever the page is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from fleetgate.database.port import Tx
from fleetgate.registry import pages
from fleetgate.registry.search_conditions import Values, bounded, folded, like, numbered
from fleetgate.search.fields import ATTRIBUTES
from fleetgate.search.tree import Exact, Match, Pattern, Present, Range, Test, Word

Key = Sequence[str | int]
"""Where a stream stands: the values of its columns in the last row."""

SHORT: Final = 2_000
"""Rows that are gone through whole without thinking of another stream."""
COUNTED: Final = 20_000
"""More rows than this are not told apart when the shortest stream is looked for."""


@dataclass(frozen=True, slots=True)
class Stream:
    source: str
    """What stands behind FROM. Things are `t` in it."""
    columns: tuple[str, ...]
    """The order: after `where`, those of the index that are not given. The thing's name is the last one."""
    where: tuple[str, ...]
    low: tuple[str, ...]
    """Where the stream begins, as conditions on the first column; a key takes their place."""
    high: tuple[str, ...]
    """Where it ends; the end of a window takes their place."""
    rest: tuple[str, ...]
    """What the order cannot say of the term."""
    values: dict[str, Any]

    def within(self, after: Key | None, until: Key | None, values: Values) -> list[str]:
        """The conditions of its rows behind *after* and up to *until*."""
        low = self.low if after is None else [self._beside(">", after, values)]
        high = self.high if until is None else [self._beside("<=", until, values)]
        return [*self.where, *low, *high]

    @property
    def source_alone(self) -> str:
        """What stands behind FROM where only the columns of the order are asked for; with `alone`."""
        return self.source.partition(" CROSS JOIN ")[0]

    def has(self, key: Key) -> bool:
        """Whether *key* could be a row's: as many values as there are columns, each of its column's type."""
        kinds = [int if column in _NUMBERS else str for column in self.columns]
        return [type(part) for part in key] == kinds

    def _beside(self, sign: str, key: Key, values: Values) -> str:
        put = [values.put(value) for value in key]
        if len(put) == 1:
            return f"{self.columns[0]} {sign} {put[0]}"
        return f"({', '.join(self.columns)}) {sign} ({', '.join(put)})"

    @property
    def order(self) -> str:
        return ", ".join(self.columns)


_NUMBERS: Final = frozenset({"d.number", "d.changed_at"})
"""Columns that hold integers; all others hold text."""
_THINGS: Final = "things t"
# CROSS JOIN is SQLite's way to be told which table comes first; to PostgreSQL it is a join like any other.
_ATTRIBUTES: Final = "thing_attributes d CROSS JOIN things t"
_MEMBERS: Final = "thing_group_members d CROSS JOIN things t"
_CONNECTIVITY: Final = "thing_connectivity d CROSS JOIN things t"
_BOOLEANS: Final = {"true": 1, "false": 0}
_OF_THING: Final = ("t.realm = d.realm", "t.name = d.thing_name")
EVERY_THING: Final = Stream(_THINGS, ("t.name",), ("t.realm = :realm",), (), (), (), {})


def of(term: Match) -> Stream | None:
    """The stream that *term* brings; None where no index knows."""
    values, where = Values("s"), tuple[str, ...]()
    if term.field is None:
        return None
    if term.field.startswith(ATTRIBUTES):
        return _of_attribute(term.field.removeprefix(ATTRIBUTES), term.test, values)
    match term:
        case Match("thingTypeName", Exact(text)):
            where = ("t.realm = :realm", f"t.type_name = {values.put(text)}")
            return Stream(_THINGS, ("t.name",), where, (), (), (), values.named)
        case Match("thingGroupNames", Exact(text)):
            where = (*_OF_THING, "d.realm = :realm", f"d.group_name = {values.put(text)}")
            return Stream(_MEMBERS, ("d.thing_name",), where, (), (), (), values.named)
        case Match("connectivity.connected", Word(text)):
            where = (*_OF_THING, "d.realm = :realm", f"d.connected = {values.put(_BOOLEANS.get(text, -1))}")
            columns = ("d.changed_at", "d.thing_name")
            return Stream(_CONNECTIVITY, columns, where, (), (), (), values.named)
        case Match("thingId", test):
            return _of_text(_THINGS, "t.thing_id", ("t.name",), ("t.realm = :realm",), test, values, folds=False)
        case Match("thingName", test):
            return _of_text(_THINGS, "t.name", (), ("t.realm = :realm",), test, values)
        case _:
            return None


def _of_attribute(name: str, test: Test, values: Values) -> Stream | None:
    where = (*_OF_THING, "d.realm = :realm", f"d.name = {values.put(name)}")
    if not (isinstance(test, Range) and test.numeric):
        return _of_text(_ATTRIBUTES, "d.value", ("d.thing_name",), where, test, values)
    known, *ends = numbered("d.number", test, values)
    low, high = _sides(test, ends)
    return Stream(_ATTRIBUTES, ("d.number", "d.thing_name"), (*where, known), low, high, (), values.named)


def _of_text(
    source: str,
    column: str,
    more: tuple[str, ...],
    where: tuple[str, ...],
    test: Test,
    values: Values,
    *,
    folds: bool = True,
) -> Stream | None:
    """In the order of an index over the text in lower case, the text itself, and what *more* there is; where nothing
    *folds* the text has no capitals.
    """
    plain = folded(column) if folds else column
    ordered = (plain, column, *more) if folds else (column, *more)
    match test:
        case Present():
            return Stream(source, ordered, where, (), (), (), values.named)
        case Word(text):
            given = (*where, f"{plain} = {values.put(text)}")
            return Stream(source, (column, *more), given, (), (), (), values.named)
        case Pattern() if test.prefix:
            low, high = (values.put(end) for end in pages.beginning(test.prefix))
            rest = () if test.only_prefix else (like(plain, test, values),)
            return Stream(source, ordered, where, (f"{plain} >= {low}",), (f"{plain} < {high}",), rest, values.named)
        case Range():
            ends = _sides(test, bounded(plain, test, values))
            return Stream(source, ordered, where, *ends, (), values.named)
        case _:
            return None


def _sides(test: Range, ends: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(ends[: test.low is not None]), tuple(ends[test.low is not None :])


def alone(where: Sequence[str]) -> list[str]:
    """*where* without what joins the thing itself."""
    return [each for each in where if each not in _OF_THING]


def shortest(tx: Tx, realm: str, streams: Sequence[Stream], most: int = COUNTED) -> tuple[int, int]:
    """Which of *streams* has the fewest rows, and how many; the first of those with *most* or more."""
    lengths: list[int] = []
    for stream in streams:
        lengths.append(_length(tx, realm, stream, most) if len(streams) > 1 else 0)
        if not lengths[-1]:
            break
    best = min(range(len(lengths)), key=lengths.__getitem__)
    return best, lengths[best]


def _length(tx: Tx, realm: str, stream: Stream, most: int) -> int:
    where = " AND ".join(alone(stream.within(None, None, Values())))
    # Written in this package; what a caller sends is in the values.
    rows = f"SELECT 1 FROM {stream.source_alone} WHERE {where} LIMIT :most"  # noqa: S608 # as above
    sql = f"SELECT count(*) AS number FROM ({rows}) counted"  # noqa: S608 # as above
    return int(tx.rows(sql, realm=realm, most=most, **stream.values)[0]["number"])
