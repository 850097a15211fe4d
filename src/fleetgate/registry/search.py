"""Searches over things (SearchIndex on AWS_Things): a query becomes branches, a branch runs along a stream.

A query is an OR of branches. They are answered one after the other, each along the stream of one of its terms, with
everything else as a condition, and each without what an earlier one found. A page's key says in which branch, along
which stream and behind which row the next page begins, so a page costs the same wherever it lies. A branch is known by
its terms: a type, group or attribute that appears meanwhile may bring further branches before it. How much is looked at
for one page is bounded: a query that finds little in much gives short pages, empty ones too, and goes on behind them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from fleetgate.database.port import Row, Tx
from fleetgate.errors import InvalidRequest
from fleetgate.names import Realm
from fleetgate.registry import search_streams
from fleetgate.registry.pages import Page
from fleetgate.registry.search_conditions import ALWAYS, Values, condition, passed
from fleetgate.registry.search_streams import EVERY_THING, Key, Stream
from fleetgate.search.evaluate import Document
from fleetgate.search.fields import ATTRIBUTES
from fleetgate.search.tree import EVERYTHING, And, Exact, Match, Node, Not, Or, Present, Test

BUDGET: Final = 100_000
"""Rows of a stream that are looked at for one page."""
MOST_THINGS: Final = 100
"""On one page."""
_WINDOW: Final = 400
_TRIAL: Final = 100
_MOST_BRANCHES: Final = 64
_MOST_NAMES: Final = 16
"""As many types or groups as a term may come to before it is no longer taken apart."""
_BAD_TOKEN: Final = "The page token is none of this search. Start again without one."  # noqa: S105 - a message


@dataclass(frozen=True, slots=True)
class Branch:
    terms: tuple[Node, ...]
    """All of them hold of what is found."""
    before: tuple[Node, ...]
    """None of them does: the branches before this one."""

    @property
    def seal(self) -> str:
        """Tells it from the other branches of its query, whatever else there is."""
        return hashlib.sha256(repr(self.terms).encode()).hexdigest()[:12]

    def streams(self) -> list[tuple[Node | None, Stream]]:
        """The streams it can be answered along, each with the term that it stands for; in any case one."""
        found = [(term, stream) for term in self.terms if (stream := _stream(term))]
        return list(found) or [(None, EVERY_THING)]

    def rest(self, term: Node | None, stream: Stream, values: Values) -> list[str]:
        """What remains to be asked along the *stream* of *term*."""
        others = [condition(each, values) for each in self.terms if each is not term]
        others.sort(key=lambda each: "EXISTS" in each)  # what the row itself says comes first
        return [*stream.rest, *(each for each in others if each != ALWAYS), *self._unseen(values)]

    def _unseen(self, values: Values) -> Iterator[str]:
        return (f"NOT {condition(each, values)}" for each in self.before)


def _stream(term: Node) -> Stream | None:
    return search_streams.of(term) if isinstance(term, Match) else None


# --- from a query to branches -----------------------------------------------------------------------------------------


def branches(tx: Tx, realm: Realm, query: Node) -> list[Branch]:
    """*query* as branches. Terms over types, groups and all fields are replaced by what they come to."""
    resolved = _resolved(query, partial(_meaning, tx, realm))
    found = [terms for alternative in _alternatives(resolved) for terms in _spread(alternative)]
    if len(found) > _MOST_BRANCHES:
        found = [(resolved,)]
    wholes = [terms[0] if len(terms) == 1 else And(terms) for terms in found]
    return [Branch(terms, tuple(wholes[:number])) for number, terms in enumerate(found)]


def _resolved(query: Node, meaning: Callable[[Match], Node]) -> Node:
    match query:
        case And(children):
            return And(tuple(_resolved(child, meaning) for child in children))
        case Or(children):
            return Or(tuple(_resolved(child, meaning) for child in children))
        case Not(child):
            return Not(_resolved(child, meaning))
        case Match():
            return meaning(query)


def _meaning(tx: Tx, realm: Realm, term: Match) -> Node:
    match term:
        case Match("thingTypeName", test):
            return _named(tx, realm, "thing_types", "thingTypeName", test) or term
        case Match("thingGroupNames", test):
            return _named(tx, realm, "thing_groups", "thingGroupNames", test) or term
        case Match(None, test) if not isinstance(test, Present):
            return _anywhere(tx, realm, test) or term
        case _:
            return term


def _anywhere(tx: Tx, realm: Realm, test: Test) -> Node | None:
    attributes = attribute_names(tx, realm)
    if attributes is None:
        return None
    fields = ["thingName", "thingId", *(f"{ATTRIBUTES}{name}" for name in attributes)]
    named = [
        _meaning(tx, realm, Match("thingTypeName", test)),
        _meaning(tx, realm, Match("thingGroupNames", test)),
    ]
    return Or((*(Match(field, test) for field in fields), *named))


def _named(tx: Tx, realm: Realm, table: str, field: str, test: Test) -> Node | None:
    """*test* of a type's or group's name as the names that there are; None where those are many."""
    values = Values()
    # The table is one of two named in this file; what a caller sends is in the values.
    sql = f"SELECT n.name FROM {table} n WHERE n.realm = :realm AND {passed('n.name', test, values)} LIMIT :most"  # noqa: S608 # as above
    names = [row["name"] for row in tx.rows(sql, realm=str(realm), most=_MOST_NAMES + 1, **values.named)]
    if len(names) > _MOST_NAMES:
        return None
    exact = [Match(field, Exact(name)) for name in sorted(names)]
    return exact[0] if len(exact) == 1 else Or(tuple(exact))


def attribute_names(tx: Tx, realm: Realm) -> list[str] | None:
    """The names of all attributes of things in *realm*; None where those are many."""
    found: list[str] = []
    name, own = "", str(realm)
    for _ in range(4 * _MOST_BRANCHES):
        # From one name to the next in one seek, whichever realm it is of.
        rows = tx.rows(
            """SELECT name, realm FROM thing_attributes WHERE (name, realm) >= (:name, :realm)
               ORDER BY name, realm LIMIT 1""",
            name=name,
            realm=own,
        )
        if not rows:
            return found
        if rows[0]["realm"] == own:
            found.append(rows[0]["name"])
        # The realm of the next seek is this one's, and one name further where this name is done with.
        done = rows[0]["realm"] >= own
        name = f"{rows[0]['name']}\x01" if done else rows[0]["name"]
    return None


def _alternatives(query: Node) -> Iterator[Node]:
    if isinstance(query, Or):
        for child in query.children:
            yield from _alternatives(child)
    else:
        yield query


def _spread(query: Node) -> list[tuple[Node, ...]]:
    """*query*, which is no OR, as terms that all hold; as several such, where only an OR in it has streams."""
    terms = tuple(_conjuncts(query))
    if any(_stream(term) for term in terms):
        return [terms]
    for number, term in enumerate(terms):
        if isinstance(term, Or):
            alternatives = list(_alternatives(term))
            rest = terms[:number] + terms[number + 1 :]
            if all(any(_stream(each) for each in _conjuncts(alternative)) for alternative in alternatives):
                return [(*_conjuncts(alternative), *rest) for alternative in alternatives]
    return [terms]


def _conjuncts(query: Node) -> Iterator[Node]:
    if isinstance(query, And):
        for child in query.children:
            yield from _conjuncts(child)
    elif query != EVERYTHING:
        yield query


# --- pages ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Place:
    branch: str | None = None
    """The branch's seal; None for the first of them, at its beginning."""
    stream: int | None = None
    """None where no stream has been chosen yet."""
    key: Key | None = None

    def text(self) -> str:
        return json.dumps([self.branch, self.stream, self.key], separators=(",", ":"))

    @classmethod
    def parse(cls, text: str | None) -> _Place:
        """The inverse of `text`. Raises InvalidRequest."""
        if text is None:
            return cls()
        try:
            branch, stream, key = json.loads(text)
        except (ValueError, TypeError, RecursionError) as error:
            raise InvalidRequest(_BAD_TOKEN) from error
        placed = stream is None or (type(stream) is int and stream >= 0)
        keyed = key is None or (isinstance(key, list) and all(type(part) in {str, int} for part in key))
        if not (isinstance(branch, str) and placed and keyed):
            raise InvalidRequest(_BAD_TOKEN)
        return cls(branch, stream, key)


def page(
    tx: Tx, realm: Realm, query: Node, after: str | None = None, limit: int = MOST_THINGS, budget: int = BUDGET
) -> Page[Row]:
    """Rows of things that *query* finds, in the order of its streams; each of them once.

    A page may be short, or empty, with a next key: then *budget* rows were looked at. Raises InvalidRequest for a key
    of another query, and for one whose branch is no more because its type or group is gone, or there are so many by now
    that the query is no longer taken apart.
    """
    search = _Search(tx, realm, limit, budget)
    place = _Place.parse(after)
    parts = branches(tx, realm, query)
    for part in parts[_number(parts, place.branch) :]:
        begun = place if part.seal == place.branch else _Place()
        if (stopped := search.run(part, begun)) is not None:
            return Page(tuple(search.rows), stopped.text())
    return Page(tuple(search.rows), None)


def _number(parts: Sequence[Branch], seal: str | None) -> int:
    """Which of *parts* a key means. Raises InvalidRequest."""
    if seal is None:
        return 0
    for number, part in enumerate(parts):
        if part.seal == seal:
            return number
    raise InvalidRequest(_BAD_TOKEN)


class _Search:
    """One page in the making."""

    def __init__(self, tx: Tx, realm: Realm, limit: int, budget: int) -> None:
        self._tx = tx
        self._realm = str(realm)
        self._limit = limit
        self._budget = budget
        self.rows: list[Row] = []

    def run(self, branch: Branch, place: _Place) -> _Place | None:
        """Add what *branch* finds behind *place*; where to go on when the page is full or the budget spent."""
        streams = branch.streams()
        chosen = place.stream
        if chosen is None:
            chosen = self._choose(branch, streams)
        if chosen >= len(streams) or (place.key is not None and not streams[chosen][1].has(place.key)):
            raise InvalidRequest(_BAD_TOKEN)
        return self._along(branch, *streams[chosen], _Place(branch.seal, chosen, place.key))

    def _choose(self, branch: Branch, streams: Sequence[tuple[Node | None, Stream]]) -> int:
        """A short stream; among long ones that which brings most in its first rows, and where none brings anything the
        shortest.
        """
        alone = [stream for _, stream in streams]
        best, length = search_streams.shortest(self._tx, self._realm, alone, search_streams.SHORT)
        if length < search_streams.SHORT:
            return best
        hits = [self._hits(branch, term, stream) for term, stream in streams]
        if any(hits):
            return hits.index(max(hits))
        return search_streams.shortest(self._tx, self._realm, alone)[0]

    def _hits(self, branch: Branch, term: Node | None, stream: Stream) -> int:
        """How many of the first rows are found."""
        values = Values()
        rest = branch.rest(term, stream, values)
        return len(self._window(stream, None, self._window_end(stream, None, _TRIAL), rest, values))

    def _along(self, branch: Branch, term: Node | None, stream: Stream, place: _Place) -> _Place | None:
        key, size = place.key, _WINDOW
        while self._budget > 0:
            size = min(size, self._budget)
            values = Values()
            rest = branch.rest(term, stream, values)
            until = self._window_end(stream, key, size) if rest else None
            found = self._window(stream, key, until, rest, values)
            room = self._limit - len(self.rows)
            self.rows += found[:room]
            if len(found) > room:
                last = _key(found[room - 1], stream) if room else key
                return _Place(place.branch, place.stream, last)
            self._budget -= size if rest else len(found)
            if until is None:
                return None
            key, size = until, size * 4
        return _Place(place.branch, place.stream, key)

    def _window_end(self, stream: Stream, after: Key | None, size: int) -> Key | None:
        """The key of the last of the next *size* rows; None where there are fewer."""
        values = Values("w")
        where = " AND ".join(search_streams.alone(stream.within(after, None, values)))
        select = f"SELECT {_keys(stream)} FROM {stream.source_alone} WHERE {where}"  # noqa: S608 # as below
        sql = f"{select} ORDER BY {stream.order} LIMIT 1 OFFSET :skipped"
        rows = self._tx.rows(sql, realm=self._realm, skipped=size - 1, **stream.values, **values.named)
        return _key(rows[0], stream) if rows else None

    def _window(
        self, stream: Stream, after: Key | None, until: Key | None, rest: Sequence[str], values: Values
    ) -> list[Row]:
        where = " AND ".join([*stream.within(after, until, values), *rest])
        most = self._limit - len(self.rows) + 1
        sql = f"SELECT t.*, {_keys(stream)} FROM {stream.source} WHERE {where} ORDER BY {stream.order} LIMIT :most"  # noqa: S608 # written in this package; what a caller sends is in the values
        return self._tx.rows(sql, realm=self._realm, most=most, **stream.values, **values.named)


def _keys(stream: Stream) -> str:
    return ", ".join(f"{column} AS key{number}" for number, column in enumerate(stream.columns))


def _key(row: Row, stream: Stream) -> list[Any]:
    return [row[f"key{number}"] for number in range(len(stream.columns))]


# --- documents --------------------------------------------------------------------------------------------------------


def groups_of(tx: Tx, realm: Realm, names: Sequence[str]) -> dict[str, list[str]]:
    """The static groups that each of the things called *names* (100 at most) is in."""
    found: dict[str, list[str]] = {name: [] for name in names}
    if not names:
        return found
    padded = [*names, *[names[-1]] * (-len(names) % 25)]  # so that there are few statements
    listed = ", ".join(f":n{number}" for number in range(len(padded)))
    sql = f"SELECT thing_name, group_name FROM thing_group_members WHERE realm = :realm AND thing_name IN ({listed})"  # noqa: S608 # numbers of parameters
    for row in tx.rows(sql, realm=str(realm), **{f"n{number}": name for number, name in enumerate(padded)}):
        found[row["thing_name"]].append(row["group_name"])
    return {name: sorted(groups) for name, groups in found.items()}


def attributes_of(row: Row) -> dict[str, str]:
    found: dict[str, str] = json.loads(row["attributes"])
    return found


def document(row: Row, groups: Sequence[str]) -> Document:
    """A row of things as a query sees it, without connectivity."""
    return {
        "thingName": [row["name"]],
        "thingId": [row["thing_id"]],
        "thingTypeName": [row["type_name"]] if row["type_name"] else [],
        "thingGroupNames": groups,
        **{f"{ATTRIBUTES}{name}": [value] for name, value in attributes_of(row).items()},
    }
