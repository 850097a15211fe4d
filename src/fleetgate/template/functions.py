"""Reading a template's values: literals, `Ref` and the intrinsic functions, from JSON into expressions.

AWS documents the functions for fleet provisioning templates; they are read alike in all kinds, which takes nothing
from a template that goes without. Delimiters and `Fn::Sub` texts are literals, as in CloudFormation, where the
functions come from. `${!name}` in `Fn::Sub` gives `${name}`: how a policy variable passes through it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from fleetgate.template.expressions import (
    LIST,
    TEXT,
    Constant,
    Elements,
    Expression,
    FindInMap,
    Items,
    Join,
    Mappings,
    Members,
    Reference,
    Select,
    Split,
    Substitute,
    Text,
)
from fleetgate.template.problems import Problems, member, nearest, shown
from fleetgate.template.source import kind_of

_VARIABLE: Final = re.compile(r"\$\{(!?)([^{}]*)\}")

UNREAD: Final = Reference("")
"""Stands where a problem was told; a document that holds it is never handed out."""


def is_function(value: Any) -> bool:
    """Whether *value* is an object that can only be meant as a function."""
    return isinstance(value, dict) and any(name == "Ref" or name.startswith("Fn::") for name in value)


@dataclass(frozen=True, slots=True)
class Reader:
    """Turns JSON values into expressions; *mappings* is known first, so that literal look-ups are checked early."""

    mappings: Mappings
    problems: Problems

    def text(self, value: Any, path: str) -> Expression:
        """An expression that gives one text."""
        if isinstance(value, str):
            return Text(value)
        if not is_function(value):
            hint = "; put it in quotes" if isinstance(value, int | float) else ""
            return self.refuse(path, f"Must be a string or a function that gives one, not {kind_of(value)}{hint}.")
        return self._function(value, path, TEXT)

    def items(self, value: Any, path: str) -> Expression:
        """An expression that gives a list of texts."""
        if isinstance(value, list):
            return Items(tuple(self.text(item, f"{path}[{index}]") for index, item in enumerate(value)), path)
        if not is_function(value):
            return self.refuse(path, f"Must be a list or a function that gives one, not {kind_of(value)}.")
        return self._function(value, path, LIST)

    def tree(self, value: Any, path: str) -> Expression:
        """Any JSON with functions anywhere in it: a policy document written as an object."""
        if isinstance(value, str):
            return Text(value)
        if is_function(value):
            return self._function(value, path, None)
        if isinstance(value, dict):
            return Members({name: self.tree(item, member(path, name)) for name, item in value.items()})
        if isinstance(value, list):
            return Elements(tuple(self.tree(item, f"{path}[{index}]") for index, item in enumerate(value)))
        if value is None:
            return self.refuse(path, "Must not be null; leave the member out.")
        return Constant(value)

    def refuse(self, path: str, problem: str) -> Expression:
        self.problems.add(path, problem)
        return UNREAD

    def _function(self, value: dict[str, Any], path: str, wanted: str | None) -> Expression:
        if len(value) > 1:
            return self.refuse(path, f"A function stands alone in its object, not among {', '.join(value)[:200]}.")
        ((name, argument),) = value.items()
        read = _FUNCTIONS.get(name)
        if read is None:
            return self.refuse(path, f"There is no function {shown(name)}{nearest(name, _FUNCTIONS)}")
        expression = read(self, argument, member(path, name))
        if expression is not UNREAD and {wanted, expression.gives} == {TEXT, LIST}:
            wants = "Needs one text" if wanted == TEXT else "Needs a list"
            return self.refuse(path, f"{wants}, and {name} gives {'a list' if wanted == TEXT else 'one text'}.")
        return expression

    def arguments(self, argument: Any, count: int, form: str, path: str) -> list[Any] | None:
        if isinstance(argument, list) and len(argument) == count:
            return argument
        self.problems.add(path, f"Takes {form}.")
        return None

    def literal(self, value: Any, called: str, path: str) -> str | None:
        if isinstance(value, str):
            return value
        self.problems.add(path, f"The {called} must be a string, not {kind_of(value)}.")
        return None


def _ref(reader: Reader, argument: Any, path: str) -> Expression:
    if isinstance(argument, str) and argument:
        return Reference(argument)
    return reader.refuse(path, "Takes the name of a parameter or a resource.")


def _join(reader: Reader, argument: Any, path: str) -> Expression:
    given = reader.arguments(argument, 2, "[delimiter, list]", path)
    if given is None:
        return UNREAD
    delimiter = reader.literal(given[0], "delimiter", f"{path}[0]")
    items = reader.items(given[1], f"{path}[1]")
    return UNREAD if delimiter is None else Join(delimiter, items, f"{path}[1]")


def _split(reader: Reader, argument: Any, path: str) -> Expression:
    given = reader.arguments(argument, 2, "[delimiter, text]", path)
    if given is None:
        return UNREAD
    delimiter = reader.literal(given[0], "delimiter", f"{path}[0]")
    source = reader.text(given[1], f"{path}[1]")
    if delimiter == "":
        return reader.refuse(f"{path}[0]", "The delimiter must not be empty.")
    return UNREAD if delimiter is None else Split(delimiter, source, f"{path}[1]")


def _select(reader: Reader, argument: Any, path: str) -> Expression:
    given = reader.arguments(argument, 2, "[index, list]", path)
    if given is None:
        return UNREAD
    written = given[0]
    if isinstance(written, int) and not isinstance(written, bool):
        written = str(written)
    return Select(reader.text(written, f"{path}[0]"), reader.items(given[1], f"{path}[1]"), path)


def _find_in_map(reader: Reader, argument: Any, path: str) -> Expression:
    given = reader.arguments(argument, 3, "[map, top-level name, second-level name]", path)
    if given is None:
        return UNREAD
    first, second, third = (reader.text(value, f"{path}[{index}]") for index, value in enumerate(given))
    found: Any = reader.mappings
    for index, name in enumerate((first, second, third)):
        if not isinstance(name, Text):
            break
        if name.text not in found:
            where = f"{path}[{index}]"
            return reader.refuse(where, f"Mappings has nothing under {shown(name.text)}{nearest(name.text, found)}")
        found = found[name.text]
    return FindInMap((first, second, third), path)


def _sub(reader: Reader, argument: Any, path: str) -> Expression:
    template, bound = argument, {}
    if isinstance(argument, list):
        if len(argument) != 2 or not isinstance(argument[1], dict) or is_function(argument[1]):
            return reader.refuse(path, "Takes a string, or [string, {name: value}].")
        template, bound = argument
    bindings = {name: reader.text(value, member(f"{path}[1]", name)) for name, value in bound.items()}
    if not isinstance(template, str):
        return reader.refuse(path, "Takes a string, or [string, {name: value}].")
    return Substitute(_pieces(reader, template, path), bindings, path)


def _pieces(reader: Reader, template: str, path: str) -> tuple[Text | Reference, ...]:
    pieces: list[Text | Reference] = []
    end = 0
    for variable in _VARIABLE.finditer(template):
        pieces.append(Text(template[end : variable.start()]))
        pieces.append(Text(f"${{{variable[2]}}}") if variable[1] else Reference(variable[2]))
        if not variable[2]:
            reader.problems.add(path, "${} names nothing; write the name of a parameter between the braces.")
        end = variable.end()
    return (*(piece for piece in pieces if piece != Text("")), Text(template[end:]))


_FUNCTIONS: Final[dict[str, Callable[[Reader, Any, str], Expression]]] = {
    "Ref": _ref,
    "Fn::Join": _join,
    "Fn::Select": _select,
    "Fn::FindInMap": _find_in_map,
    "Fn::Split": _split,
    "Fn::Sub": _sub,
}
