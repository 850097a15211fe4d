"""Whether one document answers a query. What the registry finds by SQL is held against this."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

from fleetgate.search.fields import CONNECTIVITY, WORDS
from fleetgate.search.tree import And, Bound, Exact, Match, Node, Not, Or, Pattern, Present, Range, Test, Wildcard, Word
from fleetgate.search.values import lowered, number

Document: TypeAlias = Mapping[str, Sequence[str]]
"""Field to values; a field without values is not there."""


def matches(query: Node, document: Document) -> bool:
    """Whether *document* is among what *query* finds."""
    match query:
        case And(children):
            return all(matches(child, document) for child in children)
        case Or(children):
            return any(matches(child, document) for child in children)
        case Not(child):
            return not matches(child, document)
        case Match(field, test) if field is not None:
            return _some(field, test, document)
        case Match(_, Present()):
            return True
        case Match(_, test):
            everywhere = (field for field in document if not field.startswith(CONNECTIVITY))
            return any(_some(field, test, document) for field in everywhere)


def _some(field: str, test: Test, document: Document) -> bool:
    found = document.get(field, ())
    return any(passes(test, value) for value in (_words(found, test) if field in WORDS else found))


def _words(texts: Sequence[str], test: Test) -> Iterator[str]:
    for text in texts:
        words = text.split()
        length = len(test.text.split()) if isinstance(test, Word) else 1
        yield from (" ".join(words[start : start + length]) for start in range(len(words)))


def passes(test: Test, value: str) -> bool:
    """Whether one value passes."""
    match test:
        case Present():
            return True
        case Word(text):
            return lowered(value) == text
        case Exact(text):
            return value == text
        case Pattern(parts):
            return _compiled(parts).fullmatch(lowered(value)) is not None
        case Range():
            return _within(test, value)


def _within(test: Range, value: str) -> bool:
    found: float | str | None = number(value) if test.numeric else lowered(value)
    return found is not None and _side(test.low, found, 1) and _side(test.high, found, -1)


def _side(bound: Bound | None, value: float | str, way: int) -> bool:
    """Whether *value* lies above (*way* 1) or below (-1) *bound*."""
    if bound is None:
        return True
    end: Any = bound.number if isinstance(value, float) else bound.text
    return bound.inclusive if value == end else (value > end) == (way > 0)


@lru_cache(maxsize=256)
def _compiled(parts: tuple[str | Wildcard, ...]) -> re.Pattern[str]:
    wild = {Wildcard.ANY: ".*", Wildcard.ONE: "."}
    return re.compile("".join(re.escape(part) if isinstance(part, str) else wild[part] for part in parts), re.DOTALL)
