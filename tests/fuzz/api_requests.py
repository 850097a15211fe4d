"""Requests to the operators' door, made from the service models: nearly right, or hostile, by a seeded dice."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final
from urllib.parse import quote, urlencode

from fleetgate.api.services import Service
from fleetgate.wire.restjson.model import Member, Operation, Shape

STRANGE: Final = (
    "",
    " ",
    "\0",
    "a\0b",
    "\ud800",
    "\u202etxet",
    "\U0001f9ea",
    "e\u0301" * 5,
    "a" * 129,
    "b" * 70_000,
    "9" * 40,
    "f" * 64,
    "0x" + "F" * 64,
    "../../..",
    "%2e%2e%2f",
    "a%2Fb",
    "%00",
    "'; DROP TABLE things; --",
    '" OR 1=1',
    "${iot:Connection.Thing.ThingName}",
    "{{7*7}}",
    "\r\nx-amzn-errortype: no",
    "*",
    "null",
    "-1",
    "1e309",
)
NUMBERS: Final = (1, 1, 2, 3, 25, 250, 251, 0, -1, 2**31 - 1, 2**31, 2**63 - 1, 2**63, 10**30)
WRONG: Final[tuple[Any, ...]] = (None, True, 1, 1.5, -0.0, 1e300, "", "x", [], {}, [None], [[[]]], {"a": {"b": [{}]}})
DEEP: Final = "[" * 40 + "]" * 40
VERY_DEEP: Final = "[" * 5000
PATHS: Final = (
    "/",
    "//",
    "/things/",
    "/things//a",
    "/things/..",
    "/things/%2e%2e",
    "/things/a/../../policies/p",
    "/things/a%2F..%2Fb",
    "/things/%ff%fe",
    "/things/a;b=c",
    "/things/" + "a" * 9000,
    "/_fleetgate/reset",
    "/_fleetgate/../things",
    "/tags?resourceArn=a&resourceArn=b",
    "/things?maxResults=1&maxResults=2",
    "/things?maxResults=%00",
    "/things?nextToken=%ff",
    "/things?=&&&==&a",
    "/things?" + "a=b&" * 2000,
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request before it is signed."""

    operation: str
    method: str
    path: str
    """With its query."""
    body: bytes
    headers: dict[str, str]


@dataclass(slots=True)
class Dice:
    """*words* are texts that fit, by the name of their shape in the model; *any* are names of things that exist."""

    random: Random
    words: Mapping[str, Sequence[str]]
    any: Sequence[str]
    hostile: float = 0.12
    """How often a value is none that fits."""
    _depth: int = field(default=0)

    def request(self, service: Service, operation: Operation) -> Wanted:
        if service.model.protocol == "query":
            return self._form(service, operation)
        path = operation.uri.partition("?")[0]
        for label in operation.input.labels:
            path = path.replace(f"{{{label.wire}}}", _escaped(self._text_of(label)) or "x")
        pairs = [
            (name, self._text_of(member))
            for name, member in operation.input.query.items()
            if name in operation.input.shape.required or self.random.random() < 0.5
        ]
        if pairs and self.random.random() < 0.03:
            pairs.append(self.random.choice(pairs))
        query = "&".join(f"{name}={_escaped(text)}" for name, text in pairs)
        headers = {member.wire: _in_header(self._text_of(member)) for member in operation.input.headers}
        body = self._body(operation) if operation.input.body or operation.input.payload else b""
        return Wanted(operation.name, operation.method, f"{path}?{query}" if query else path, body, headers)

    def _body(self, operation: Operation) -> bytes:
        roll = self.random.random()
        if roll < 0.03:
            return self.random.choice(
                [b"", b"{", b"null", b"[]", b"\xff", DEEP.encode(), VERY_DEEP.encode(), b'{"a":1,"a":2}']
            )
        if operation.input.payload:
            return self.random.choice([b"", b"x", b"\xff\x00", b"x" * 200_000])
        members = {member.name: member for member in operation.input.body.values()}
        required = tuple(name for name in operation.input.shape.required if name in members)
        value = self._value(Shape("Body", "structure", members=members, required=required), in_body=True)
        return json.dumps(value).encode()

    def _form(self, service: Service, operation: Operation) -> Wanted:
        pairs: list[tuple[str, str]] = [("Action", operation.name), ("Version", service.model.version)]
        value = self._value(operation.input.shape, in_body=True)
        pairs += _flattened("", value)
        if self.random.random() < 0.05:
            pairs.append(self.random.choice(pairs))
        body = urlencode([(name, text.encode("utf-8", "surrogatepass")) for name, text in pairs]).encode()
        headers = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
        return Wanted(operation.name, "POST", "/", body, headers)

    def _text_of(self, member: Member) -> str:
        value = self._value(member.shape)
        if isinstance(value, bool):
            return str(value).lower()
        return value if isinstance(value, str) else json.dumps(value)

    def _value(self, shape: Shape, *, in_body: bool = False) -> Any:
        if shape.name != "Body" and self.random.random() < self.hostile / 3:
            return self.random.choice(WRONG) if in_body else self.random.choice(STRANGE)
        if shape.kind == "structure":
            return self._structure(shape, in_body)
        if shape.kind == "list":
            assert shape.element
            count = self.random.choice([0, 1, 1, 2, 3, 60])
            return [self._value(shape.element, in_body=in_body) for _ in range(count)]
        if shape.kind == "map":
            assert shape.element
            assert shape.key
            keys = [self._string(shape.key) for _ in range(self.random.choice([0, 1, 1, 2, 60]))]
            return {key: self._value(shape.element, in_body=in_body) for key in keys}
        if shape.kind == "string":
            return self._string(shape)
        if shape.kind == "boolean":
            return self.random.random() < 0.5
        if shape.kind == "blob":
            return self.random.choice(["", "AAAA", "!"])
        return self.random.choice(NUMBERS)

    def _structure(self, shape: Shape, in_body: bool) -> Any:
        self._depth += 1
        chance = 0.5 if self._depth < 4 else 0.0
        found = {
            member.wire: self._value(member.shape, in_body=in_body)
            for name, member in shape.members.items()
            if name in shape.required or self.random.random() < chance
        }
        self._depth -= 1
        return found

    def _string(self, shape: Shape) -> str:
        roll = self.random.random()
        if roll < self.hostile:
            return self.random.choice(STRANGE)
        if roll < self.hostile + 0.08:
            return self.random.choice(self.any)
        if shape.enum:
            return self.random.choice(shape.enum)
        return self.random.choice(self.words.get(shape.name, self.any))


def _flattened(name: str, value: Any) -> list[tuple[str, str]]:
    """As the query protocol writes *value*."""
    if isinstance(value, dict):
        return [pair for key, each in value.items() for pair in _flattened(f"{name}.{key}" if name else key, each)]
    if isinstance(value, list):
        return [pair for n, each in enumerate(value) for pair in _flattened(f"{name}.member.{n + 1}", each)]
    text = str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)
    return [(name, text)]


def _escaped(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


def _in_header(text: str) -> str:
    """As a client can send it: Latin-1 without what ends a header."""
    latin = text.encode("utf-8", "replace").decode("latin-1")
    return "".join(char for char in latin if char.isprintable())[:4000].strip()
