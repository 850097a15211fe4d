"""What a template's values are made of, and what they come to for one device.

Every expression has `gives` (TEXT, LIST or EITHER, known before rendering), `references()` (the names it needs) and
`evaluate(scope)`: its value, or None when a problem was told to the scope, so that one pass finds every problem.
`Members`, `Elements` and `Constant` occur in policy documents only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fleetgate.template.problems import Problems, nearest, shown

TEXT: Final = "text"
LIST: Final = "list"
EITHER: Final = "either"

LIMIT: Final = 262_144
"""Characters one rendering may produce, all steps counted: many times what any device needs."""

_WIDENING: Final = re.compile(r'[*?+#$"\\\x00-\x1f]')

Mappings = Mapping[str, Mapping[str, Mapping[str, str | tuple[str, ...]]]]
Value = str | tuple[str, ...]


@dataclass(slots=True)
class Scope:
    """Everything one rendering knows."""

    values: dict[str, str]
    """What each name stands for: parameters, pseudo parameters, and resources named so far."""
    mappings: Mappings
    problems: Problems
    explain: Callable[[str], str] = field(default=lambda name: "")
    """What to add when a name has no value."""
    trusted: frozenset[str] | None = None
    """Names whose values the template's author wrote; None trusts all."""
    failed: set[str] = field(default_factory=set)
    """Names whose own problems are told already."""
    guarded: str | None = None
    """The path of the policy document being rendered."""
    remaining: int = LIMIT

    def look_up(self, name: str) -> str | None:
        """The value of *name*. A policy document takes no value from outside that could widen it."""
        value = self.values.get(name)
        if value is None:
            if name not in self.failed:
                self.miss(name)
            return None
        return self.keep(value) if self._harmless(name, value) else None

    def miss(self, name: str) -> None:
        """Tells that *name* has no value, in AWS's words."""
        self.problems.tell(f"Cannot resolve reference value: {name}{self.explain(name)}")

    def _harmless(self, name: str, value: str) -> bool:
        if not self.guarded or self.trusted is None or name in self.trusted:
            return True
        unsafe = _WIDENING.search(value)
        if unsafe:
            self.problems.add(
                self.guarded,
                f"The value of {name} holds {unsafe[0]!r}, which would change what the policy allows.",
            )
        return not unsafe

    def keep(self, text: str) -> str | None:
        """*text*, counted against LIMIT."""
        return text if self.spend(len(text)) else None

    def spend(self, characters: int) -> bool:
        self.remaining -= characters
        if self.remaining < 0:
            self.problems.add("", f"It renders to more than {LIMIT} characters; send shorter parameters.")
        return self.remaining >= 0


@dataclass(frozen=True, slots=True)
class Text:
    """A string as it stands."""

    text: str
    gives = TEXT

    def references(self) -> Iterator[str]:
        return iter(())

    def evaluate(self, scope: Scope) -> str | None:
        return self.text


@dataclass(frozen=True, slots=True)
class Reference:
    """`{"Ref": name}`: a parameter, a pseudo parameter, or the name of a resource."""

    name: str
    gives = TEXT

    def references(self) -> Iterator[str]:
        yield self.name

    def evaluate(self, scope: Scope) -> str | None:
        return scope.look_up(self.name)


@dataclass(frozen=True, slots=True)
class Items:
    """A list whose items are texts."""

    items: tuple[Expression, ...]
    path: str
    gives = LIST

    def references(self) -> Iterator[str]:
        return _all_references(self.items)

    def evaluate(self, scope: Scope) -> tuple[str, ...] | None:
        return _complete([text_of(item, scope, f"{self.path}[{index}]") for index, item in enumerate(self.items)])


@dataclass(frozen=True, slots=True)
class Join:
    """`Fn::Join`: the items of a list with a delimiter between them."""

    delimiter: str
    items: Expression
    path: str
    gives = TEXT

    def references(self) -> Iterator[str]:
        return self.items.references()

    def evaluate(self, scope: Scope) -> str | None:
        items = list_of(self.items, scope, self.path)
        if items is None:
            return None
        length = sum(map(len, items)) + len(self.delimiter) * max(len(items) - 1, 0)
        return self.delimiter.join(items) if scope.spend(length) else None


@dataclass(frozen=True, slots=True)
class Split:
    """`Fn::Split`: the pieces of a text between delimiters."""

    delimiter: str
    source: Expression
    path: str
    gives = LIST

    def references(self) -> Iterator[str]:
        return self.source.references()

    def evaluate(self, scope: Scope) -> tuple[str, ...] | None:
        text = text_of(self.source, scope, self.path)
        if text is None or scope.keep(text) is None:
            return None
        return tuple(text.split(self.delimiter))


@dataclass(frozen=True, slots=True)
class Select:
    """`Fn::Select`: one item of a list, counted from 0. A place outside the list is a problem, never an empty text."""

    index: Expression
    items: Expression
    path: str
    gives = TEXT

    def references(self) -> Iterator[str]:
        return _all_references((self.index, self.items))

    def evaluate(self, scope: Scope) -> str | None:
        index = text_of(self.index, scope, self.path)
        items = list_of(self.items, scope, self.path)
        if index is None or items is None:
            return None
        if not re.fullmatch(r"[0-9]{1,6}", index):
            scope.problems.add(self.path, f"The index must be a whole number, 0 or more, not {shown(index)}.")
            return None
        if int(index) >= len(items):
            scope.problems.add(
                self.path, f"Index {index} is outside the list, which has {len(items)} items counted from 0."
            )
            return None
        return items[int(index)]


@dataclass(frozen=True, slots=True)
class FindInMap:
    """`Fn::FindInMap`: a value out of Mappings, by three names."""

    names: tuple[Expression, Expression, Expression]
    path: str
    gives = EITHER

    def references(self) -> Iterator[str]:
        return _all_references(self.names)

    def evaluate(self, scope: Scope) -> Value | None:
        names = _complete([text_of(name, scope, self.path) for name in self.names])
        found: Any = scope.mappings
        for name in names or ():
            if name not in found:
                scope.problems.add(self.path, f"Mappings has nothing under {shown(name)}{nearest(name, found)}")
                return None
            found = found[name]
        return None if names is None else self._counted(found, scope)

    @staticmethod
    def _counted(found: Value, scope: Scope) -> Value | None:
        return found if scope.spend(len("".join(found))) else None


@dataclass(frozen=True, slots=True)
class Substitute:
    """`Fn::Sub`: a text with `${name}` in it. Names of its own map come first, then those a Ref would find."""

    pieces: tuple[Text | Reference, ...]
    bindings: Mapping[str, Expression]
    path: str
    gives = TEXT

    def references(self) -> Iterator[str]:
        yield from (name for name in _all_references(self.pieces) if name not in self.bindings)
        yield from _all_references(self.bindings.values())

    def evaluate(self, scope: Scope) -> str | None:
        bound = {name: text_of(value, scope, self.path) for name, value in self.bindings.items()}
        made: list[str | None] = []
        for piece in self.pieces:
            if isinstance(piece, Reference) and piece.name in bound:
                made.append(bound[piece.name])
                if not scope.spend(len(made[-1] or "")):
                    return None
            else:
                made.append(piece.evaluate(scope))
        texts = _complete(made)
        return None if texts is None else scope.keep("".join(texts))


@dataclass(frozen=True, slots=True)
class Constant:
    """A number or a boolean."""

    value: float | bool
    gives = EITHER

    def references(self) -> Iterator[str]:
        return iter(())

    def evaluate(self, scope: Scope) -> Any:
        return self.value


@dataclass(frozen=True, slots=True)
class Elements:
    """A list of anything."""

    items: tuple[Expression, ...]
    gives = EITHER

    def references(self) -> Iterator[str]:
        return _all_references(self.items)

    def evaluate(self, scope: Scope) -> Any:
        return [item.evaluate(scope) for item in self.items]


@dataclass(frozen=True, slots=True)
class Members:
    """An object of anything."""

    members: Mapping[str, Expression]
    gives = EITHER

    def references(self) -> Iterator[str]:
        return _all_references(self.members.values())

    def evaluate(self, scope: Scope) -> Any:
        return {name: value.evaluate(scope) for name, value in self.members.items()}


Expression = Text | Reference | Items | Join | Split | Select | FindInMap | Substitute | Constant | Elements | Members


def text_of(expression: Expression, scope: Scope, path: str) -> str | None:
    """The text *expression* comes to; a list is a problem at *path*."""
    value = expression.evaluate(scope)
    if value is None or isinstance(value, str):
        return value
    scope.problems.add(path, "Needs one text, and the function gives a list; take one item with Fn::Select.")
    return None


def list_of(expression: Expression, scope: Scope, path: str) -> tuple[str, ...] | None:
    """The list *expression* comes to; a text is a problem at *path*."""
    value = expression.evaluate(scope)
    if value is None or isinstance(value, tuple):
        return value
    scope.problems.add(path, "Needs a list, and the function gives one text; divide it with Fn::Split.")
    return None


def _all_references(expressions: Iterable[Expression]) -> Iterator[str]:
    for expression in expressions:
        yield from expression.references()


def _complete(values: Sequence[str | None]) -> tuple[str, ...] | None:
    """*values* if none is missing."""
    found = tuple(value for value in values if value is not None)
    return found if len(found) == len(values) else None
