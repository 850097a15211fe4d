"""One value at a time: JSON value or text -> parameter, result -> JSON value, as the value's shape says.

Strict on the way in (no type is guessed into another), loud on the way out.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from fleetgate.wire.restjson import strict_json, timestamps
from fleetgate.wire.restjson.message import Malformed
from fleetgate.wire.restjson.model import Member, Shape

MAX_FAULTS: Final = 50


class Unencodable(Exception):
    """A result does not fit its operation's output: a mistake in whoever made the result, never the client's."""


# --- JSON value -> parameter -----------------------------------------------------------------------------------------


def decoded(members: Mapping[str, Member], value: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters in a JSON object whose *members* are given by their wire names; unknown names and nulls are left
    out. Raises Malformed with every mistyped member and its path (up to MAX_FAULTS).
    """
    try:
        return _members(members, value)
    except Malformed as error:  # only now, when something is wrong, is the way to it worth looking for
        faults = islice(_member_faults(members, value, ""), MAX_FAULTS)
        raise Malformed("; ".join(faults) + ".") from error


def _members(members: Mapping[str, Member], value: Mapping[str, Any]) -> dict[str, Any]:
    return {
        member.name: _DECODERS[member.shape.kind](member.shape, item)
        for name, item in value.items()
        if item is not None and (member := members.get(name)) is not None
    }


def _member_faults(members: Mapping[str, Member], value: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for name, item in value.items():
        if item is not None and name in members:
            yield from _faults(members[name].shape, item, f"{prefix}{name}")


def _faults(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if shape.kind == "structure" and type(value) is dict:
        yield from _member_faults(shape.wire, value, f"{path}.")
    elif shape.kind == "map" and type(value) is dict and shape.element is not None:
        for name, item in value.items():
            if item is not None:
                yield from _faults(shape.element, item, f"{path}[{name[:100]!r}]")
    elif shape.kind == "list" and type(value) is list and shape.element is not None:
        for index, item in enumerate(value):
            yield from _faults(shape.element, item, f"{path}[{index}]")
    else:
        try:
            _DECODERS[shape.kind](shape, value)
        except Malformed as error:
            yield f"{path} {error}"


def _structure(shape: Shape, value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise _wrong("an object", value)
    return _members(shape.wire, value)


def _map(shape: Shape, value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise _wrong("an object", value)
    assert shape.element is not None
    element, decoder = shape.element, _DECODERS[shape.element.kind]
    return {name: decoder(element, item) for name, item in value.items() if item is not None}


def _list(shape: Shape, value: Any) -> list[Any]:
    if type(value) is not list:
        raise _wrong("a list", value)
    assert shape.element is not None
    element, decoder = shape.element, _DECODERS[shape.element.kind]
    return [decoder(element, item) for item in value]


def _string(shape: Shape, value: Any) -> str:
    if type(value) is str:
        return value
    raise _wrong("a string", value)


def _boolean(shape: Shape, value: Any) -> bool:
    if type(value) is bool:
        return value
    raise _wrong("true or false", value)


def _integer(shape: Shape, value: Any) -> int:
    if type(value) is not int:
        raise _wrong("a whole number", value)
    bits = 31 if shape.kind == "integer" else 63
    if not -(1 << bits) <= value < 1 << bits:
        raise Malformed(f"must fit {bits + 1} bits; {value} does not")
    return value


def _number(shape: Shape, value: Any) -> float:
    if type(value) is float or type(value) is int:
        return value
    raise _wrong("a number", value)


def _blob(shape: Shape, value: Any) -> bytes:
    if type(value) is not str:
        raise _wrong("a base64 string", value)
    try:
        return base64.b64decode(value, validate=True)
    except ValueError as error:
        raise Malformed("must be base64") from error


def _timestamp(shape: Shape, value: Any) -> int:
    if type(value) not in {int, float, str}:
        raise _wrong("a time", value)
    try:
        return timestamps.parse(value)
    except ValueError as error:
        raise Malformed(f"must be a time, as epoch seconds or ISO 8601; {str(value)[:40]!r} is none") from error


_DECODERS: Final[dict[str, Callable[[Shape, Any], Any]]] = {
    "structure": _structure,
    "map": _map,
    "list": _list,
    "string": _string,
    "boolean": _boolean,
    "integer": _integer,
    "long": _integer,
    "float": _number,
    "double": _number,
    "blob": _blob,
    "timestamp": _timestamp,
}

_CALLED: Final = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}


def _wrong(wanted: str, value: Any) -> Malformed:
    return Malformed(f"must be {wanted}, not {_CALLED.get(type(value), 'a number')}")


# --- text -> parameter: labels, query, headers -----------------------------------------------------------------------

_BROKEN_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_NUMBER: Final = re.compile(r"-?[0-9]{1,40}(?:\.[0-9]{1,40})?(?:[eE][+-]?[0-9]{1,3})?")
_WHOLE_NUMBER: Final = re.compile(r"-?[0-9]{1,20}")
_TRUTH: Final = {"true": True, "false": False}


def form_decoded(text: str) -> str:
    """*text* of a query, where a plus is a space. Raises Malformed."""
    return percent_decoded(text.replace("+", " ") if "+" in text else text)


def percent_decoded(text: str) -> str:
    """*text* without its percent-encoding. Raises Malformed for a broken one, for invalid UTF-8 and for NUL."""
    if not text.isascii():
        raise Malformed(f"{text[:100]!a} must be percent-encoded.")
    if "%" not in text:
        result = text
    elif _BROKEN_PERCENT.search(text):
        raise Malformed(f"{text[:100]!r} holds a % without two hexadecimal digits after it.")
    else:
        try:
            result = unquote_to_bytes(text).decode()
        except UnicodeError as error:
            raise Malformed(f"{text[:100]!r} is not percent-encoded UTF-8.") from error
    if "\0" in result:
        raise Malformed(f"{result[:100]!r} holds a NUL character.")
    return result


def from_header(member: Member, text: str) -> Any:
    """A header's value; *text* has one character per byte. Raises Malformed."""
    text = text.strip(" \t")
    if member.json_in_header:
        try:
            return strict_json.parse(base64.b64decode(text, validate=True), f"The header {member.wire}")
        except ValueError as error:
            raise Malformed(f"The header {member.wire} must be base64 of JSON.") from error
    try:
        text = text if text.isascii() else text.encode("latin-1").decode()
    except UnicodeError as error:
        raise Malformed(f"The header {member.wire} is not UTF-8.") from error
    return from_text(member, text)


def from_text(member: Member, text: str) -> Any:
    """The value of *member* that stands outside the body. Raises Malformed."""
    shape = member.shape
    if shape.kind == "string":
        return text
    try:
        return _TEXT_DECODERS[shape.kind](shape, text)
    except Malformed as error:
        raise Malformed(f"{member.wire} {error}.") from error


def _boolean_text(shape: Shape, text: str) -> bool:
    value = _TRUTH.get(text.lower())
    if value is None:
        raise Malformed(f"must be true or false, not {text[:40]!r}")
    return value


def _integer_text(shape: Shape, text: str) -> int:
    if not _WHOLE_NUMBER.fullmatch(text):
        raise Malformed(f"must be a whole number, not {text[:40]!r}")
    return _integer(shape, int(text))


def _number_text(shape: Shape, text: str) -> float:
    if not _NUMBER.fullmatch(text) or math.isinf(value := float(text)):
        raise Malformed(f"must be a number, not {text[:40]!r}")
    return value


_TEXT_DECODERS: Final[dict[str, Callable[[Shape, str], Any]]] = {
    "boolean": _boolean_text,
    "integer": _integer_text,
    "long": _integer_text,
    "float": _number_text,
    "double": _number_text,
    "blob": _blob,
    "timestamp": _timestamp,
}


# --- result -> JSON value --------------------------------------------------------------------------------------------

_TYPES: Final[dict[str, type | tuple[type, ...]]] = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "long": int,
    "float": (float, int),
    "double": (float, int),
    "blob": bytes,
    "timestamp": int,
    "structure": Mapping,
    "map": Mapping,
    "list": (list, tuple),
}


def member_of(shape: Shape, name: str) -> Member:
    """The member of a structure by its name in results. Raises Unencodable."""
    member = shape.members.get(name)
    if member is None:
        raise Unencodable(f"{shape.name} has no member {name!r}; it has {', '.join(shape.members)}.")
    return member


def encoded(shape: Shape, value: Any, path: str) -> Any:
    """*value* as the JSON value that *shape* asks for; None is left out of structures and maps. Raises Unencodable."""
    kind = shape.kind
    if not isinstance(value, _TYPES[kind]) or (kind != "boolean" and isinstance(value, bool)):
        raise Unencodable(f"{path}: {type(value).__name__} is not a {kind}.")
    encoder = _ENCODERS.get(kind)
    return value if encoder is None else encoder(shape, value, path)


def _encoded_structure(shape: Shape, value: Mapping[str, Any], path: str) -> dict[str, Any]:
    return {
        (member := member_of(shape, name)).wire: encoded(member.shape, item, f"{path}.{name}")
        for name, item in value.items()
        if item is not None
    }


def _encoded_map(shape: Shape, value: Mapping[str, Any], path: str) -> dict[str, Any]:
    assert shape.element is not None
    return {name: encoded(shape.element, item, f"{path}[{name!r}]") for name, item in value.items() if item is not None}


def _encoded_list(shape: Shape, value: list[Any], path: str) -> list[Any]:
    assert shape.element is not None
    return [encoded(shape.element, item, f"{path}[]") for item in value]


def _encoded_timestamp(shape: Shape, value: int, path: str) -> float | str:
    try:
        return timestamps.write(value, shape.time_format)
    except OverflowError as error:
        raise Unencodable(f"{path}: {value} is no time in milliseconds.") from error


_ENCODERS: Final[dict[str, Callable[[Shape, Any, str], Any]]] = {
    "structure": _encoded_structure,
    "map": _encoded_map,
    "list": _encoded_list,
    "blob": lambda shape, value, path: base64.b64encode(value).decode(),
    "timestamp": _encoded_timestamp,
}


def payload(member: Member, value: Any) -> bytes:
    """The whole body, where one member is the body. Raises Unencodable."""
    if member.shape.kind != "blob":
        return dumps(encoded(member.shape, value, member.name))
    if not isinstance(value, bytes):
        raise Unencodable(f"{member.name}: {type(value).__name__} is not bytes.")
    return value


def header_text(member: Member, value: Any) -> str:
    """A header's value. Raises Unencodable."""
    if member.json_in_header:
        return base64.b64encode(dumps(value)).decode()
    text = encoded(member.shape, value, member.name)
    return str(text).lower() if isinstance(text, bool) else str(text)


_ENCODER: Final = json.JSONEncoder(check_circular=False, allow_nan=False, separators=(",", ":"))


def dumps(value: Any) -> bytes:
    """*value* as JSON in ASCII. Raises Unencodable."""
    try:
        return _ENCODER.encode(value).encode()
    except (TypeError, ValueError) as error:
        raise Unencodable(str(error)) from error
