"""Queries as SQL: the condition under which a thing is found, and the streams of things that a term brings.

One text for both databases. A condition is over one row `t` of things and is never NULL, so that NOT means not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Final

from fleetgate.registry import pages
from fleetgate.search.fields import ATTRIBUTES, CONNECTIVITY, TIMESTAMP
from fleetgate.search.tree import (
    And,
    Bound,
    Exact,
    Match,
    Node,
    Not,
    Or,
    Pattern,
    Present,
    Range,
    Test,
    Wildcard,
    Word,
)
from fleetgate.search.values import sort_key

NEVER: Final = "1 = 0"
ALWAYS: Final = "1 = 1"
_FARTHEST: Final = 2**62
_FOLDED: Final = {"t.name": "t.folded_name", "x.value": "x.folded", "d.value": "d.folded"}
"""Columns that are kept in lower case once more."""
_LIKE: Final = {Wildcard.ANY: "%", Wildcard.ONE: "_"}


@dataclass(slots=True)
class Values:
    """The parameters of one statement: every value gets a name of its own."""

    prefix: str = "p"
    named: dict[str, Any] = field(default_factory=dict)

    def put(self, value: str | int) -> str:
        """*value* is a parameter from now on; what to write for it in SQL."""
        name = f"{self.prefix}{len(self.named)}"
        self.named[name] = value
        return f":{name}"


def condition(query: Node, values: Values) -> str:
    """When the thing in `t` is found by *query*."""
    match query:
        case And(()) | Match(None, Present()):
            return ALWAYS
        case And(children):
            return "(" + " AND ".join(condition(child, values) for child in children) + ")"
        case Or(()):
            return f"({NEVER})"
        case Or(children):
            return "(" + " OR ".join(condition(child, values) for child in children) + ")"
        case Not(child):
            return f"NOT {condition(child, values)}"
        case Match(None, test):
            return _anywhere(test, values)
        case Match(name, test):
            return _term(str(name), test, values)


def _anywhere(test: Test, values: Values) -> str:
    fields = ("thingName", "thingId", "thingTypeName", "thingGroupNames")
    every = [_term(name, test, values) for name in fields]
    every.append(_exists("thing_attributes", passed("x.value", test, values)))
    return "(" + " OR ".join(every) + ")"


def _term(name: str, test: Test, values: Values) -> str:
    if name.startswith(ATTRIBUTES):
        attribute = f"x.name = {values.put(name.removeprefix(ATTRIBUTES))}"
        return _exists("thing_attributes", attribute, *_attribute(test, values))
    match name:
        case "thingName":
            return f"({passed('t.name', test, values)})"
        case "thingId":
            return f"({passed('t.thing_id', test, values)})"
        case "thingTypeName":
            return f"(t.type_name IS NOT NULL AND {passed('t.type_name', test, values)})"
        case "thingGroupNames":
            return _exists("thing_group_members", passed("x.group_name", test, values))
        case _ if name.startswith(CONNECTIVITY):
            return _exists("thing_connectivity", *_connectivity(name, test, values))
        case _:
            return f"({NEVER})"


def _connectivity(name: str, test: Test, values: Values) -> list[str]:
    if name == TIMESTAMP:
        if isinstance(test, Range) and test.numeric:
            return _timed("x.changed_at", test, values)
        return [passed("CAST(x.changed_at AS TEXT)", test, values)]
    if name == "connectivity.connected":
        return [passed("CASE x.connected WHEN 1 THEN 'true' ELSE 'false' END", test, values)]
    return ["x.reason IS NOT NULL", passed("x.reason", test, values)]


def _timed(column: str, test: Range, values: Values) -> list[str]:
    """*column* holds an integer, so each end becomes the nearest integer inside."""
    found = []
    for bound, sign, inwards in ((test.low, ">=", 1), (test.high, "<=", -1)):
        if bound is not None and bound.number is not None:
            end = math.ceil(bound.number) if inwards > 0 else math.floor(bound.number)
            end += inwards if end == bound.number and not bound.inclusive else 0
            found.append(f"{column} {sign} {values.put(max(-_FARTHEST, min(_FARTHEST, end)))}")
    return found


def _exists(table: str, *where: str) -> str:
    # Every text here is written in this file; what a caller sends is in the values.
    own = "x.realm = t.realm AND x.thing_name = t.name"
    return f"EXISTS (SELECT 1 FROM {table} x WHERE {' AND '.join([own, *where])})"  # noqa: S608 # as above


def _attribute(test: Test, values: Values) -> list[str]:
    if isinstance(test, Range) and test.numeric:
        return numbered("x.number", test, values)
    return [passed("x.value", test, values)]


def passed(column: str, test: Test, values: Values) -> str:
    """When the text in *column* passes *test*."""
    match test:
        case Present():
            return ALWAYS
        case Exact(text):
            return f"{column} = {values.put(text)}"
        case Word(text):
            return f"{folded(column)} = {values.put(text)}"
        case Pattern():
            return " AND ".join(_patterned(folded(column), test, values))
        case Range():
            return " AND ".join(bounded(folded(column), test, values))


def folded(column: str) -> str:
    """*column* in lower case."""
    return _FOLDED.get(column, f"lower({column})")


def _patterned(column: str, test: Pattern, values: Values) -> list[str]:
    found = []
    if test.prefix:
        low, high = pages.beginning(test.prefix)
        found = [f"{column} >= {values.put(low)}", f"{column} < {values.put(high)}"]
    return found if test.only_prefix else [*found, like(column, test, values)]


def like(column: str, test: Pattern, values: Values) -> str:
    escaped = (_escaped(part) if isinstance(part, str) else _LIKE[part] for part in test.parts)
    return f"{column} LIKE {values.put(''.join(escaped))} ESCAPE '!'"


def _escaped(text: str) -> str:
    return text.replace("!", "!!").replace("%", "!%").replace("_", "!_")


def bounded(column: str, test: Range, values: Values) -> list[str]:
    """The ends of a range of texts, low first."""
    ends = ((test.low, ">"), (test.high, "<"))
    return [f"{column} {_operator(bound, sign)} {values.put(bound.text)}" for bound, sign in ends if bound is not None]


def numbered(column: str, test: Range, values: Values) -> list[str]:
    """The ends of a range of numbers; *column* holds a `sort_key`, or NULL for what is none."""
    found = [f"{column} IS NOT NULL"]
    for bound, sign in ((test.low, ">"), (test.high, "<")):
        if bound is not None and bound.number is not None:
            found.append(f"{column} {_operator(bound, sign)} {values.put(sort_key(bound.number))}")
    return found


def _operator(bound: Bound, sign: str) -> str:
    return f"{sign}=" if bound.inclusive else sign
