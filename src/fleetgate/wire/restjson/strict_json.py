"""JSON as a server must read it: bounded, and nothing that two readers could understand differently."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final, NoReturn

from fleetgate.wire.restjson.message import Malformed

MAX_BYTES: Final = 1024 * 1024  # AWS's largest field, a policy document, is 404,600 characters
MAX_DEPTH: Final = 32  # the deepest input of the iot model is 11

_MAX_DIGITS: Final = 40  # a 64-bit integer has 20
_SUSPECT: Final = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")


def parse(raw: bytes, what: str = "The body") -> Any:
    """The value that *raw* spells in UTF-8.

    Raises Malformed for anything that is not JSON (RFC 8259), for NaN and infinities, numbers too long for any field, a
    name given twice in one object, invalid UTF-8, lone surrogates, NUL characters (no database text may hold one), more
    than MAX_BYTES and nesting deeper than MAX_DEPTH.
    """
    if len(raw) > MAX_BYTES:
        raise Malformed(f"{what} is {len(raw)} bytes long; at most {MAX_BYTES} are read.")
    try:
        text = raw.decode()
        value = _DECODER.decode(text)
    except UnicodeDecodeError as error:
        raise Malformed(f"{what} is not UTF-8: byte {error.start} does not belong there.") from error
    except json.JSONDecodeError as error:
        raise Malformed(f"{what} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}.") from error
    except RecursionError as error:
        raise Malformed(f"{what} is nested more than {MAX_DEPTH} deep.") from error
    if text.count("[") + text.count("{") > MAX_DEPTH and _deeper_than(value, MAX_DEPTH):
        raise Malformed(f"{what} is nested more than {MAX_DEPTH} deep.")
    if _SUSPECT.search(text):
        _refuse_unstorable(value, what)
    return value


def _deeper_than(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        level = [
            child
            for parent in level
            if isinstance(parent, dict | list)
            for child in (parent.values() if isinstance(parent, dict) else parent)
        ]
    return any(isinstance(value, dict | list) for value in level)


def _refuse_unstorable(value: Any, what: str) -> None:
    for text in _texts(value):
        if "\0" in text:
            raise Malformed(f"{what} holds a NUL character.")
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise Malformed(f"{what} holds half of a surrogate pair, which is no character.")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        yield from value
        for item in value.values():
            yield from _texts(item)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise Malformed(f"The name {twice[:100]!r} is given twice in one JSON object.")
    return members


def _integer(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise Malformed(f"A number has {len(text)} digits; no field holds that many.")
    return int(text)


def _fraction(text: str) -> float:
    value = float(text)
    if value in {float("inf"), float("-inf")}:
        raise Malformed(f"The number {text[:40]} is too large.")
    return value


def _no_number(text: str) -> NoReturn:
    raise Malformed(f"{text} is no JSON number.")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_fraction, parse_constant=_no_number
)
