"""The parts of a rule's SQL statement (AWS IoT SQL reference), as frozen values. `at` is an offset in the statement."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

VERSIONS: Final = ("2015-10-08", "2016-03-23", "beta")
FIRST_VERSION: Final = VERSIONS[0]
"""Of a rule that names none."""


@dataclass(frozen=True, slots=True)
class Literal:
    value: Any


@dataclass(frozen=True, slots=True)
class Star:
    """The whole payload."""


@dataclass(frozen=True, slots=True)
class Name:
    """A member of the payload."""

    name: str


@dataclass(frozen=True, slots=True)
class Member:
    of: Expression
    name: str


@dataclass(frozen=True, slots=True)
class Element:
    of: Expression
    index: Expression


@dataclass(frozen=True, slots=True)
class Call:
    function: str
    """In lower case."""
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Unary:
    operator: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class Binary:
    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Items:
    """`[a, b]`, or `(a, b)` after IN."""

    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Members:
    """`{'a': b}`"""

    members: tuple[tuple[str, Expression], ...]


@dataclass(frozen=True, slots=True)
class Case:
    """`CASE subject WHEN a THEN b ... ELSE c END`; without a subject the WHENs are conditions."""

    subject: Expression | None
    branches: tuple[tuple[Expression, Expression], ...]
    otherwise: Expression | None


Expression: TypeAlias = Literal | Star | Name | Member | Element | Call | Unary | Binary | Items | Members | Case


@dataclass(frozen=True, slots=True)
class Item:
    """One of the select list."""

    expression: Expression
    path: tuple[str, ...]
    """Where its value goes in the output; empty for `*`."""


@dataclass(frozen=True, slots=True)
class Statement:
    items: tuple[Item, ...]
    value: bool
    """SELECT VALUE: the output is the one item itself."""
    source: str | None
    """The topic filter. Without one, only Basic Ingest reaches the rule."""
    where: Expression | None
    version: str

    @property
    def passes_all(self) -> bool:
        """Whether the payload goes through as it is: `SELECT *`."""
        return len(self.items) == 1 and isinstance(self.items[0].expression, Star)


def children(expression: Expression) -> Iterator[Expression]:
    """The expressions directly inside *expression*."""
    match expression:
        case Member(of):
            yield of
        case Element(of, index):
            yield from (of, index)
        case Call(_, parts) | Items(parts):
            yield from parts
        case Unary(_, operand):
            yield operand
        case Binary(_, left, right):
            yield from (left, right)
        case Members(members):
            yield from (each for _, each in members)
        case Case(subject, branches, otherwise):
            yield from (each for each in (subject, otherwise) if each is not None)
            for branch in branches:
                yield from branch
