"""Values of a statement are JSON's, and Undefined; conversions as AWS IoT SQL documents them. Nothing here raises."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final


class Undefined:
    """What is not there, or cannot be worked out. There is one: `UNDEFINED`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNDEFINED"


UNDEFINED: Final = Undefined()
LONGEST: Final = 256 * 1024
"""Characters of a string that a statement makes; a longer one is Undefined."""

_LARGEST: Final = 10**34
_NUMBER: Final = re.compile(r"-?\d{1,400}(\.\d{1,400})?([eE][+-]?\d{1,5})?")


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def bounded(value: float) -> Any:
    """A number that JSON can say: whole ones beyond 34 digits become floating, and what is none is Undefined."""
    if isinstance(value, int) and abs(value) < _LARGEST:
        return value
    try:
        near = float(value)
    except OverflowError:
        return UNDEFINED
    return near if math.isfinite(near) else UNDEFINED


def number(value: Any) -> Any:
    """As a number: numbers, and strings that look like one."""
    if is_number(value):
        return bounded(value)
    if isinstance(value, str) and value.isascii() and _NUMBER.fullmatch(value):
        return bounded(int(value) if value.lstrip("-").isdigit() else float(value))
    return UNDEFINED


def boolean(value: Any) -> Any:
    """As a boolean: booleans, and the strings true and false."""
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.lower(), UNDEFINED)
    return value if isinstance(value, bool) else UNDEFINED


def text(value: Any) -> Any:
    """As a string: arrays and objects as their JSON; null and Undefined are none."""
    if isinstance(value, str):
        return value
    if value is None or value is UNDEFINED:
        return UNDEFINED
    if isinstance(value, bool):
        return "true" if value else "false"
    plain = bounded(value) if is_number(value) else defined(value)
    if plain is UNDEFINED:
        return UNDEFINED
    found = json.dumps(plain, separators=(",", ":"), ensure_ascii=False)
    return found if len(found) <= LONGEST else UNDEFINED


def defined(value: Any) -> Any:
    """*value* without members that are Undefined; in an array they are null, so that the others keep their place.

    Undefined where it would be longer than twice `LONGEST` as JSON: a short statement can ask for very much.
    """
    left = [2 * LONGEST]
    found = _defined(value, left)
    return found if left[0] >= 0 else UNDEFINED


def _defined(value: Any, left: list[int]) -> Any:
    left[0] -= len(value) + 2 if isinstance(value, str) else 4
    if left[0] < 0:
        return None
    if isinstance(value, dict):
        left[0] -= sum(map(len, value))
        return {name: _defined(each, left) for name, each in value.items() if each is not UNDEFINED}
    if isinstance(value, list):
        return [_defined(each, left) for each in value]
    return None if value is UNDEFINED else value


def equal(left: Any, right: Any) -> Any:
    """`=`: Undefined beside Undefined; numbers, and strings that look like them, by value; otherwise type and value."""
    if left is UNDEFINED or right is UNDEFINED:
        return UNDEFINED
    if is_number(left) != is_number(right) and isinstance(left, str) != isinstance(right, str):
        left, right = number(left), number(right)
        return left == right and left is not UNDEFINED
    if isinstance(left, bool) != isinstance(right, bool):
        left, right = boolean(left), boolean(right)
        return left is right and left is not UNDEFINED
    return left == right


def ordered(left: Any, right: Any) -> tuple[Any, Any] | None:
    """Both sides of `<` and the like, made comparable: strings as they are, anything else as numbers; or None."""
    if isinstance(left, str) and isinstance(right, str):
        return left, right
    left, right = number(left), number(right)
    return None if left is UNDEFINED or right is UNDEFINED else (left, right)
