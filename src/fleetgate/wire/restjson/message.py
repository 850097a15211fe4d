"""What goes over the wire, taken apart but not yet understood."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


class Malformed(Exception):
    """The request does not have its operation's form: broken JSON, a wrong type, a broken percent-encoding.

    The message says where and why, for the person who sent it. AWS answers such requests with 400.
    """


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request as it came in.

    *raw_path* and *query* are still percent-encoded (the query without its question mark). *headers* have lower-case
    names, repeated ones joined by a comma, and values of one character per byte (latin-1), as ASGI hands them over.
    """

    method: str
    raw_path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP answer. Header names are lower-case, as ASGI wants them; the length is the server's to add."""

    status: int
    headers: dict[str, str]
    body: bytes
