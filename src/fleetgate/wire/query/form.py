"""A form's fields as a tree: `Tags.member.1.Key=site` becomes {"Tags": {"member": {"1": {"Key": "site"}}}}."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

from fleetgate.wire.restjson.message import Malformed, Request
from fleetgate.wire.restjson.values import form_decoded

Tree: TypeAlias = "dict[str, str | Tree]"

MOST_FIELDS: Final = 2000
DEEPEST: Final = 12
_FORM: Final = "application/x-www-form-urlencoded"


def read(request: Request) -> Tree:
    """The fields of the query (but for a presigned request's own) and of a form in the body.

    Raises Malformed: not a form, broken percent-encoding, a field given twice or as a value and a structure at once,
    more than MOST_FIELDS fields, more than DEEPEST names in one.
    """
    root: Tree = {}
    for count, (name, text) in enumerate(_fields(request), 1):
        if count > MOST_FIELDS:
            raise Malformed(f"The form has more than {MOST_FIELDS} fields.")
        _put(root, name, text)
    return root


def _fields(request: Request) -> Iterator[tuple[str, str]]:
    for pair in request.query.split("&"):
        if pair and not pair.startswith("X-Amz-"):
            yield _field(pair)
    if not request.body:
        return
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _FORM:
        raise Malformed(f"The body must be a form ({_FORM}), not {kind[:60] or 'of no content type'}.")
    if not request.body.isascii():
        raise Malformed("The form must be percent-encoded.")
    for pair in request.body.decode("ascii").strip("\r\n").split("&"):
        if pair:
            yield _field(pair)


def _field(pair: str) -> tuple[str, str]:
    name, _, text = pair.partition("=")
    return form_decoded(name), form_decoded(text)


def _put(root: Tree, name: str, text: str) -> None:
    *path, last = name.split(".")
    if len(path) >= DEEPEST:
        raise Malformed(f"The field {name[:100]!r} is nested more than {DEEPEST} deep.")
    at = root
    for part in path:
        below = at.setdefault(part, {})
        if isinstance(below, str):
            # An empty list is sent as its bare name, which an item of it cannot be beside.
            raise Malformed(f"The field {name[:100]!r} lies below one that is a value itself.")
        at = below
    if last in at:
        raise Malformed(f"The field {name[:100]!r} is given twice.")
    at[last] = text
