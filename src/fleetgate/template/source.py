"""Strict JSON: what a lenient parser would guess at is a problem instead.

Refused are repeated names (RFC 8259 section 4 leaves their meaning open), NaN and infinities, numbers beyond 64 bits,
text no database or UTF-8 encoder takes (lone surrogates, U+0000), and nesting deeper than DEPTH.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from typing import Any, Final, NoReturn

from fleetgate.template.problems import Problems, member, nearest, shown

DEPTH: Final = 32
"""Levels of nesting; an intrinsic function takes two or three."""

_DIGITS: Final = 19


class _Written(list[tuple[str, Any]]):
    """An object as it was written: names in order, repeated ones too."""


def read_object(text: str, path: str, problems: Problems) -> dict[str, Any] | None:
    """The JSON object in *text*, or None with the problems told. *path* leads to *text* within the template."""
    try:
        raw = json.loads(
            text, object_pairs_hook=_Written, parse_constant=_constant, parse_int=_integer, parse_float=_float
        )
    except json.JSONDecodeError as error:
        problems.add(path, f"Not JSON: {error.msg} (line {error.lineno}, column {error.colno}).")
    except RecursionError:
        problems.add(path, f"Nested more than {DEPTH} levels deep.")
    except ValueError as error:
        problems.add(path, f"Not JSON: {error}")
    else:
        if isinstance(raw, _Written):
            return _object(raw, path, 1, problems)
        problems.add(path, f"Must be a JSON object, not {kind_of(raw)}.")
    return None


def kind_of(value: object) -> str:
    """The JSON kind of *value*, with its article; CBOR brings other kinds, which go by their Python name."""
    if value is None:
        return "null"
    for kind, called in ((bool, "a boolean"), (str, "a string"), (dict, "an object"), (list, "a list")):
        if isinstance(value, kind):
            return called
    return "a number" if isinstance(value, int | float) else type(value).__name__


def is_text(value: str) -> bool:
    """False for a lone surrogate or U+0000: neither can be stored or sent as UTF-8 text."""
    return not any(char == "\0" or "\ud800" <= char <= "\udfff" for char in value)


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value.")


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > _DIGITS:
        raise ValueError(f"the number {shown(digits)} is too long.")
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"the number {shown(digits)} is too large.")
    return number


def _object(pairs: _Written, path: str, depth: int, problems: Problems) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        where = member(path, name)
        if name in found:
            problems.add(where, "This name stands twice in its object; keep one.")
        found[_text(name, where, problems)] = _plain(value, where, depth, problems)
    return found


def _plain(value: Any, path: str, depth: int, problems: Problems) -> Any:
    if isinstance(value, str):
        return _text(value, path, problems)
    if not isinstance(value, list):
        return value
    if depth == DEPTH:
        problems.add(path, f"Nested more than {DEPTH} levels deep.")
        return None
    if isinstance(value, _Written):
        return _object(value, path, depth + 1, problems)
    return [_plain(item, f"{path}[{index}]", depth + 1, problems) for index, item in enumerate(value)]


def _text(value: str, path: str, problems: Problems) -> str:
    if not is_text(value):
        problems.add(path, "Holds U+0000 or half of a surrogate pair, which is not text.")
    return value


def members_of(value: Any, path: str, known: Collection[str], problems: Problems) -> dict[str, Any]:
    """The members of *value* that are *known*; every other one, and anything but an object, is a problem."""
    if not isinstance(value, dict):
        problems.add(path, f"Must be an object, not {kind_of(value)}.")
        return {}
    for name in value:
        if name not in known:
            problems.add(member(path, name), f"There is no {shown(name)} here{nearest(name, known)}")
    return {name: item for name, item in value.items() if name in known}
