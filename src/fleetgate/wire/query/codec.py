"""Requests become parameters, results become XML, as the operation's shapes say (AWS query protocol).

Parameters and results are those of `wire.restjson.codec`: plain dicts in the model's names, times in integer
milliseconds UTC, blobs as bytes. Constraints are checked by `wire.restjson.validate`, as there.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final
from xml.sax.saxutils import escape

from fleetgate.wire.query.form import Tree
from fleetgate.wire.restjson import timestamps, values
from fleetgate.wire.restjson.message import Malformed, Response
from fleetgate.wire.restjson.model import Member, Operation, Shape

MAX_FAULTS: Final = 50
_INDEX: Final = re.compile(r"[1-9][0-9]{0,5}")
_REQUEST_ID: Final = "x-amzn-requestid"


# --- form -> parameters -----------------------------------------------------------------------------------------------


def action(form: Tree) -> str:
    """The operation that *form* (see `form.read`) asks for. Raises Malformed."""
    named = form.get("Action")
    if not isinstance(named, str) or not named:
        raise Malformed("The form names no operation: Action is missing.")
    return named


def decode(operation: Operation, version: str, form: Tree) -> dict[str, Any]:
    """The parameters that *form* gives to *operation* of the API's *version*; unknown fields are ignored.

    Raises Malformed for another version, or with every mistyped field and its name.
    """
    if form.get("Version", version) != version:
        raise Malformed(f"{operation.service} is served in version {version}; the form asks for another.")
    faults: list[str] = []
    params = _structure(operation.input.shape, form, "", faults)
    if faults:
        raise Malformed("; ".join(islice(faults, MAX_FAULTS)) + ".")
    return params


def _structure(shape: Shape, tree: Tree, prefix: str, faults: list[str]) -> dict[str, Any]:
    found = {}
    for member in shape.wire.values():
        given = tree.get(member.wire)
        if given is not None:
            value = _value(member.shape, given, f"{prefix}{member.wire}", faults)
            if value is not None:
                found[member.name] = value
    return found


def _value(shape: Shape, given: str | Tree, path: str, faults: list[str]) -> Any:
    """None when *given* is not of *shape*, which then stands in *faults*."""
    if shape.kind == "list" and shape.element is not None:
        return _list(shape.element, given, path, faults)
    if shape.kind == "map" and shape.element is not None:
        return _map(shape.element, given, path, faults)
    if shape.kind == "structure":
        if isinstance(given, str):
            faults.append(f"{path} must be a structure, not a value")
            return None
        return _structure(shape, given, f"{path}.", faults)
    if not isinstance(given, str):
        faults.append(f"{path} must be a value, not a structure")
        return None
    try:
        return values.from_text(Member(path, path, shape), given)
    except Malformed as error:
        faults.append(str(error).removesuffix("."))
        return None


def _list(element: Shape, given: str | Tree, path: str, faults: list[str]) -> list[Any]:
    """SDKs send an empty list as an empty value."""
    items = _items(given, "member", path, faults)
    return [_value(element, item, name, faults) for name, item in items]


def _map(element: Shape, given: str | Tree, path: str, faults: list[str]) -> dict[str, Any]:
    found = {}
    for name, entry in _items(given, "entry", path, faults):
        key = entry.get("key") if isinstance(entry, dict) else None
        if not isinstance(entry, dict) or not isinstance(key, str) or "value" not in entry:
            faults.append(f"{name} must have a key and a value")
        else:
            found[key] = _value(element, entry["value"], f"{name}.value", faults)
    return found


def _items(given: str | Tree, word: str, path: str, faults: list[str]) -> list[tuple[str, str | Tree]]:
    """Name and content of `<path>.<word>.1`, `.2` and so on, in the order of their numbers."""
    if given == "":
        return []
    inside = given.get(word) if isinstance(given, dict) else None
    if not isinstance(inside, dict) or not all(_INDEX.fullmatch(number) for number in inside):
        faults.append(f"{path} must be given as {path}.{word}.1, {path}.{word}.2 and so on")
        return []
    return [(f"{path}.{word}.{number}", inside[number]) for number in sorted(inside, key=int)]


# --- result -> answer -------------------------------------------------------------------------------------------------


def encode(operation: Operation, namespace: str, result: Mapping[str, Any], request_id: str) -> Response:
    """The answer that carries *result*; members that are None are left out.

    Raises Unencodable when *result* has a member the output does not know, or a value of the wrong type.
    """
    name, inside = operation.name, ""
    if operation.output is not None:
        inside = f"<{name}Result>{''.join(_members(operation.output.shape, result, ''))}</{name}Result>"
    elif result:
        raise values.Unencodable(f"{name} has no output, but the result has {', '.join(result)}.")
    metadata = f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
    return _answer(200, f'<{name}Response xmlns="{namespace}">{inside}{metadata}</{name}Response>', request_id)


def _members(shape: Shape, value: Mapping[str, Any], path: str) -> Iterator[str]:
    for name, item in value.items():
        if item is not None:
            member = values.member_of(shape, name)
            yield f"<{member.wire}>{_content(member.shape, item, f'{path}{name}')}</{member.wire}>"


def _content(shape: Shape, value: Any, path: str) -> str:
    if shape.kind == "structure":
        return "".join(_members(shape, value, f"{path}."))
    if shape.kind == "list" and shape.element is not None:
        return "".join(f"<member>{_content(shape.element, item, path)}</member>" for item in value)
    if shape.kind == "map" and shape.element is not None:
        return "".join(
            f"<entry><key>{_text(key)}</key><value>{_content(shape.element, item, path)}</value></entry>"
            for key, item in value.items()
        )
    if shape.kind == "timestamp" and isinstance(value, int):
        return str(timestamps.write(value - value % 1000, "iso8601")).replace(".000Z", "Z")
    if shape.kind == "blob" and isinstance(value, bytes):
        return base64.b64encode(value).decode()
    plain = values.encoded(shape, value, path)
    return _text(str(plain).lower() if isinstance(plain, bool) else str(plain))


# What XML 1.0 has no way to write (section 2.2).
_UNWRITABLE: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _text(text: str) -> str:
    """A carriage return as it is would be read as a line feed (XML 1.0, section 2.11)."""
    return escape(_UNWRITABLE.sub("\ufffd", text), {"\r": "&#13;"})


# --- errors -----------------------------------------------------------------------------------------------------------


def encode_error(status: int, code: str, message: str, request_id: str, namespace: str = "") -> Response:
    """A refusal, with the side at fault as *status* tells it."""
    side = "Sender" if status < 500 else "Receiver"
    where = f' xmlns="{namespace}"' if namespace else ""
    error = f"<Error><Type>{side}</Type><Code>{_text(code)}</Code><Message>{_text(message)}</Message></Error>"
    return _answer(
        status, f"<ErrorResponse{where}>{error}<RequestId>{request_id}</RequestId></ErrorResponse>", request_id
    )


def _answer(status: int, xml: str, request_id: str) -> Response:
    return Response(status, {_REQUEST_ID: request_id, "content-type": "text/xml"}, xml.encode())
