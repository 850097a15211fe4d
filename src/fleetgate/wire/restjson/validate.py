"""The service model's constraints, enforced: required, min, max, enum and pattern.

Clients check little of this themselves (boto3 neither maxima nor patterns nor enums), so the server must.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any, Final

import regex

from fleetgate.wire.restjson.model import Operation, Shape

MAX_PROBLEMS: Final = 50
PATTERN_SECONDS: Final = 0.25  # no pattern of the models needs a millisecond for a megabyte


def problems(operation: Operation, params: Mapping[str, Any]) -> list[str]:
    """Everything in *params* (as codec.decode gives them) that the model forbids, each with its path; [] if it fits.

    After MAX_PROBLEMS the rest is only mentioned. Values of shapes marked sensitive are not repeated.
    """
    found = list(islice(_structure(operation.input.shape, params, ""), MAX_PROBLEMS + 1))
    if len(found) > MAX_PROBLEMS:
        found[MAX_PROBLEMS] = "There are more problems, which are not listed."
    return found


def _structure(shape: Shape, value: Any, path: str) -> Iterator[str]:
    prefix = f"{path}." if path else ""
    for name in shape.required:
        if value.get(name) is None:
            yield f"{prefix}{name} is required."
    members = shape.members
    for name, item in value.items():
        if item is not None and (member := members.get(name)) is not None:
            yield from _CHECKS[member.shape.kind](member.shape, item, prefix + name)


def _list(shape: Shape, value: Any, path: str) -> Iterator[str]:
    assert shape.element is not None
    if problem := _count(shape, value, path):
        yield problem
    else:
        check = _CHECKS[shape.element.kind]
        for index, item in enumerate(value):
            yield from check(shape.element, item, f"{path}[{index}]")


def _map(shape: Shape, value: Any, path: str) -> Iterator[str]:
    assert shape.key is not None
    assert shape.element is not None
    if problem := _count(shape, value, path):
        yield problem
    else:
        check = _CHECKS[shape.element.kind]
        for key, item in value.items():
            at = f"{path}[{_shown(shape.key, key)}]"
            yield from _string(shape.key, key, f"The name of {at}")
            yield from check(shape.element, item, at)


def _count(shape: Shape, value: Any, path: str) -> str | None:
    count = len(value)
    if shape.maximum is not None and count > shape.maximum:
        return f"{path} has {count} items; at most {shape.maximum} are allowed."
    if shape.minimum is not None and count < shape.minimum:
        return f"{path} has {count} items; at least {shape.minimum} must be given."
    return None


def _string(shape: Shape, value: Any, path: str) -> Iterator[str]:
    """At most one problem: a text that is too long is not matched as well, which also bounds the matching."""
    length = len(value)
    if shape.maximum is not None and length > shape.maximum:
        yield f"{path} is {length} characters long; at most {shape.maximum} are allowed."
    elif shape.minimum is not None and length < shape.minimum:
        yield f"{path} is {length} characters long; at least {shape.minimum} must be given."
    elif shape.enum and value not in shape.enum:
        yield f"{path}: {_shown(shape, value)} is none of {', '.join(shape.enum)}."
    elif shape.pattern and not _matches(shape.pattern, value):
        yield f"{path}: {_shown(shape, value)} does not match the pattern {shape.pattern}"


def _blob(shape: Shape, value: Any, path: str) -> Iterator[str]:
    length = len(value)
    if shape.maximum is not None and length > shape.maximum:
        yield f"{path} is {length} bytes long; at most {shape.maximum} are allowed."
    elif shape.minimum is not None and length < shape.minimum:
        yield f"{path} is {length} bytes long; at least {shape.minimum} must be given."


def _number(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if shape.maximum is not None and value > shape.maximum:
        yield f"{path}: {_shown(shape, value)} is above the maximum of {shape.maximum}."
    elif shape.minimum is not None and value < shape.minimum:
        yield f"{path}: {_shown(shape, value)} is below the minimum of {shape.minimum}."


def _nothing(shape: Shape, value: Any, path: str) -> Iterator[str]:
    return iter(())


def _shown(shape: Shape, value: Any) -> str:
    if shape.sensitive:
        return "the value (not shown)"
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}..."


_CHECKS: Final[dict[str, Callable[[Shape, Any, str], Iterator[str]]]] = {
    "structure": _structure,
    "list": _list,
    "map": _map,
    "string": _string,
    "blob": _blob,
    "integer": _number,
    "long": _number,
    "float": _number,
    "double": _number,
    "boolean": _nothing,
    "timestamp": _nothing,
}


# --- patterns: Java's syntax and meaning ------------------------------------------------------------------------------

# In Java these are ASCII unless told otherwise; in Python they know all of Unicode. What goes into a class's
# brackets ends in a range, so that a hyphen after it stays a hyphen:
_ASCII: Final = {
    r"\w": "_a-zA-Z0-9",
    r"\d": "0-9",
    r"\s": r" \t-\r",
    r"\p{Graph}": "!-~",
    r"\p{Print}": " -~",
    r"\p{Upper}": "A-Z",
    r"\p{Lower}": "a-z",
    r"\p{Alpha}": "a-zA-Z",
    r"\p{Digit}": "0-9",
    r"\p{Alnum}": "a-zA-Z0-9",
    r"\p{Punct}": r"!-/:-@\[-`{-~",
    r"\p{Space}": r" \t-\r",
    r"\p{Cntrl}": r"\x7f\x00-\x1f",
}
_TOKEN: Final = re.compile(r"\\p\{\w+\}|\\.|\[\^?|[\].]", re.DOTALL)

# A run of one class of characters cannot backtrack, and the standard re is several times as fast as regex.
_ONE_CLASS: Final = re.compile(r"\^?\[(?:[^\[\]\\]|\\[^pPwWdDsSb])+\][*+]?\$?")


def _matches(pattern: str, value: str) -> bool:
    try:
        return _matcher(pattern)(value)
    except TimeoutError:
        return False


@lru_cache(maxsize=1024)
def _matcher(pattern: str) -> Callable[[str], bool]:
    """Does a text match *pattern* as a whole?"""
    python = _translated(pattern)
    if _ONE_CLASS.fullmatch(python):
        simple = re.compile(python).fullmatch
        return lambda value: simple(value) is not None
    full = regex.compile(python).fullmatch
    return lambda value: full(value, timeout=PATTERN_SECONDS) is not None


def _translated(pattern: str) -> str:
    r"""*pattern* with Java's ASCII classes spelled out. A negated one inside brackets (`[\s\S]`) stays as it is: there
    the models use it only to say "anything".
    """
    inside = False

    def replace(token: re.Match[str]) -> str:
        nonlocal inside
        text = token[0]
        if text in {"[", "[^"}:
            inside = True
        elif text == "]":
            inside = False
        elif text == ".":
            return "." if inside else r"[^\n\r\x85\u2028\u2029]"
        elif text in _ASCII:
            return _ASCII[text] if inside else f"[{_ASCII[text]}]"
        elif text.lower() in _ASCII and not inside:  # \W, \D, \S
            return f"[^{_ASCII[text.lower()]}]"
        return text

    return _TOKEN.sub(replace, pattern)
