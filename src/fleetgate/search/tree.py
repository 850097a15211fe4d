"""What a query says, as a tree of frozen values: the vocabulary between `query`, `evaluate` and the registry's SQL."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias


class Wildcard(Enum):
    ANY = "*"
    """Any number of characters, none too."""
    ONE = "?"
    """One character."""


@dataclass(frozen=True, slots=True)
class Word:
    """The whole value, or one word of a text of words. In lower case."""

    text: str


@dataclass(frozen=True, slots=True)
class Exact:
    """The whole value, case and all. No query says this: the registry puts it in place of what a term comes to."""

    text: str


@dataclass(frozen=True, slots=True)
class Pattern:
    """A value with wildcards; literal parts are in lower case."""

    parts: tuple[str | Wildcard, ...]

    @property
    def prefix(self) -> str:
        """What every match begins with."""
        first = self.parts[0]
        return first if isinstance(first, str) else ""

    @property
    def only_prefix(self) -> bool:
        return len(self.parts) == 2 and isinstance(self.parts[0], str) and self.parts[1] is Wildcard.ANY


@dataclass(frozen=True, slots=True)
class Present:
    """`*` alone: the field is there, whatever its value."""


@dataclass(frozen=True, slots=True)
class Bound:
    text: str
    """In lower case."""
    inclusive: bool
    number: float | None
    """None where the text is none, or was quoted."""


@dataclass(frozen=True, slots=True)
class Range:
    """Between *low* and *high*, None where that side is open; never both."""

    low: Bound | None
    high: Bound | None

    @property
    def numeric(self) -> bool:
        """Whether values are compared as numbers (those that are none then lie outside) or as texts."""
        return all(bound.number is not None for bound in (self.low, self.high) if bound is not None)


Test: TypeAlias = Word | Exact | Pattern | Present | Range


@dataclass(frozen=True, slots=True)
class Match:
    """One term: some value of *field* passes *test*; of any field where *field* is None."""

    field: str | None
    test: Test


@dataclass(frozen=True, slots=True)
class Not:
    child: Node


@dataclass(frozen=True, slots=True)
class And:
    """Two children or more; of none, which no query says, everything."""

    children: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Two children or more; of none, which no query says, nothing."""

    children: tuple[Node, ...]


Node: TypeAlias = Match | Not | And | Or

EVERYTHING: Final = Match(None, Present())
"""The query `*`."""
