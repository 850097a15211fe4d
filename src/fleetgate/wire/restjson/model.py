"""AWS's service models as tables: the one file that knows how botocore keeps them.

The description of a service is data that botocore ships (`data/<service>/<version>/service-2.json.gz`). It is read from
the package itself and not through botocore's loader: importing the loader takes ten times as long as reading the data,
and the loader also honours AWS_DATA_PATH and ~/.aws/models, so that a server's routes would depend on somebody's home.

Routes are built at once, operations on first use; what comes out is frozen and free of botocore.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from fleetgate.wire.restjson.routes import NoSuchOperation, Routes

_KINDS: Final = frozenset(
    ["structure", "list", "map", "string", "integer", "long", "float", "double", "boolean", "blob", "timestamp"]
)
_IN_TEXT: Final = _KINDS - {"structure", "list", "map"}  # what can stand in a path, a query or a header

# How a timestamp is written where the model does not say (Smithy's httpBindings and the protocols' defaults).
_TIME_IN_BODY: Final = {"rest-json": "unixTimestamp", "json": "unixTimestamp"}
_TIME_AT: Final[dict[str | None, str]] = {"header": "rfc822", "querystring": "iso8601", "uri": "iso8601"}

# AWS's documentation and its port 8443 samples publish to /topics/a/b with the slashes as they are; SDKs send a%2Fb.
_SLASHES_ALLOWED: Final = {("iot-data", "/topics/{topic}"): "/topics/{topic+}"}


class NoSuchService(Exception):
    """botocore ships no model by this name, or is not installed."""


class UnsupportedModel(Exception):
    """The model uses something that no operation of iot, iot-data, iam or sts needs; it must be taught here first."""


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """A type. *minimum* and *maximum* bound a number's value, a text's or blob's length, a list's or map's count."""

    name: str
    kind: str
    members: Mapping[str, Member] = field(default_factory=dict, repr=False)  # of a structure, by parameter name
    wire: Mapping[str, Member] = field(default_factory=dict, repr=False)  # the same by name on the wire
    required: tuple[str, ...] = ()
    element: Shape | None = None  # of a list, and of a map its values
    key: Shape | None = None  # of a map
    minimum: float | None = None
    maximum: float | None = None
    pattern: str | None = None  # in Java's syntax
    enum: tuple[str, ...] = ()
    sensitive: bool = False
    time_format: str = "unixTimestamp"  # or iso8601, rfc822


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """A structure's member: *name* in parameters and results, *wire* in JSON, query, header or URI."""

    name: str
    wire: str
    shape: Shape
    location: str | None = None  # None: the body; uri, querystring, header, statusCode
    json_in_header: bool = False  # the model's jsonvalue: base64 of JSON


@dataclass(frozen=True, slots=True, eq=False)
class Envelope:
    """An operation's input or output: one structure, and where in an HTTP message its members are."""

    shape: Shape
    labels: tuple[Member, ...] = ()
    query: Mapping[str, Member] = field(default_factory=dict)  # by wire name
    headers: tuple[Member, ...] = ()  # wire names in lower case
    payload: Member | None = None  # the member that is the whole body
    body: Mapping[str, Member] = field(default_factory=dict)  # the members of the JSON body, by wire name


@dataclass(frozen=True, slots=True)
class ErrorShape:
    code: str
    status: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """*errors* are all of the service, by code; *declared* the codes this operation names."""

    service: str
    name: str
    method: str
    uri: str
    status: int
    input: Envelope
    output: Envelope | None
    errors: Mapping[str, ErrorShape] = field(repr=False)
    declared: tuple[str, ...]


class Model:
    """One service. *description* is a parsed service-2.json; see load() for botocore's."""

    def __init__(self, service: str, description: Mapping[str, Any]) -> None:
        metadata = description["metadata"]
        self.service = service
        self.version: str = metadata["apiVersion"]
        self.protocol: str = metadata["protocol"]
        self.namespace: str = metadata.get("xmlNamespace", "")  # of answers in XML
        self.signing_name: str = metadata.get("signingName", metadata["endpointPrefix"])
        self.errors: Mapping[str, ErrorShape] = MappingProxyType(_errors(description["shapes"]))
        self._raw: Mapping[str, Any] = description["operations"]
        self._shapes = _Shapes(description["shapes"], _TIME_IN_BODY.get(self.protocol, "iso8601"))
        self._compiled: dict[str, Operation] = {}
        self._routes = Routes()
        if self.protocol == "rest-json":
            self._add_routes()

    def _add_routes(self) -> None:
        for name, raw in self._raw.items():
            uri = raw["http"]["requestUri"].partition("?")[0]
            self._routes.add(raw["http"]["method"], _SLASHES_ALLOWED.get((self.service, uri), uri), name)

    @property
    def operations(self) -> tuple[str, ...]:
        """The names of all operations, in the model's order."""
        return tuple(self._raw)

    def operation(self, name: str) -> Operation:
        """The operation called *name*, compiled on its first use. Raises NoSuchOperation."""
        operation = self._compiled.get(name)
        if operation is None:
            if name not in self._raw:
                raise NoSuchOperation(f"{self.service} has no operation called {name[:100]}.")
            operation = self._compiled[name] = self._compile(name, self._raw[name])
        return operation

    def match(self, method: str, raw_path: str) -> tuple[Operation, Mapping[str, str]]:
        """The operation that a request means, and the path's labels, still percent-encoded (codec.decode undoes that).

        *raw_path* is the path as sent, without the query. Raises NoSuchOperation.
        """
        name, labels = self._routes.match(method, raw_path)
        return self.operation(name), labels

    def _compile(self, name: str, raw: Mapping[str, Any]) -> Operation:
        return Operation(
            service=self.service,
            name=name,
            method=raw["http"]["method"],
            uri=raw["http"]["requestUri"],
            status=raw["http"].get("responseCode", 200),
            input=self._shapes.envelope(raw["input"]["shape"]) if "input" in raw else Envelope(_EMPTY),
            output=self._shapes.envelope(raw["output"]["shape"]) if "output" in raw else None,
            errors=self.errors,
            declared=tuple(self._shapes.code(error["shape"]) for error in raw.get("errors", ())),
        )


_EMPTY: Final = Shape("Empty", "structure")


class _Shapes:
    """Compiles shapes, each once; a structure may contain itself."""

    def __init__(self, raw: Mapping[str, Any], time_in_body: str) -> None:
        self._raw = raw
        self._time_in_body = time_in_body
        self._known: dict[tuple[str, str], Shape] = {}

    def code(self, name: str) -> str:
        return _code(name, self._raw[name])

    def envelope(self, name: str) -> Envelope:
        shape = self._shape(name, self._time_in_body)
        members = shape.members.values()
        payload = self._raw[name].get("payload")
        return Envelope(
            shape=shape,
            labels=tuple(member for member in members if member.location == "uri"),
            query={member.wire: member for member in members if member.location == "querystring"},
            headers=tuple(member for member in members if member.location == "header"),
            payload=shape.members[payload] if payload else None,
            body={} if payload else {member.wire: member for member in members if member.location is None},
        )

    def _shape(self, name: str, time_format: str) -> Shape:
        shape = self._known.get((name, time_format))
        if shape is None:
            shape = self._compile(name, self._raw[name], time_format)
            self._known[name, time_format] = shape
        return shape

    def _compile(self, name: str, raw: Mapping[str, Any], time_format: str) -> Shape:
        kind = raw["type"]
        if kind not in _KINDS:
            raise UnsupportedModel(f"{name} is a {kind}")
        members: dict[str, Member] = {}
        wire: dict[str, Member] = {}
        element = raw.get("member") or raw.get("value")
        shape = Shape(
            name=name,
            kind=kind,
            members=members,
            wire=wire,
            required=tuple(raw.get("required", ())),
            element=self._shape(element["shape"], time_format) if element else None,
            key=self._shape(raw["key"]["shape"], time_format) if "key" in raw else None,
            minimum=raw.get("min"),
            maximum=raw.get("max"),
            pattern=raw.get("pattern"),
            enum=tuple(raw.get("enum", ())),
            sensitive=raw.get("sensitive", False),
            time_format=raw.get("timestampFormat", time_format),
        )
        if kind == "structure":
            self._known[name, time_format] = shape  # before its members: one of them may lead back here
            members.update((member, self._member(member, about)) for member, about in raw["members"].items())
            wire.update((member.wire, member) for member in members.values())
        return shape

    def _member(self, name: str, raw: Mapping[str, Any]) -> Member:
        location = raw.get("location")
        wire = raw.get("locationName", name)
        shape = self._shape(raw["shape"], _TIME_AT.get(location, self._time_in_body))
        if "timestampFormat" in raw:
            shape = replace(shape, time_format=raw["timestampFormat"])
        _require_supported(name, location, shape)
        return Member(
            name=name,
            wire=wire.lower() if location == "header" else wire,
            shape=shape,
            location=location,
            json_in_header=raw.get("jsonvalue", False),
        )


def _require_supported(name: str, location: str | None, shape: Shape) -> None:
    if location is None or shape.kind in _IN_TEXT:
        return
    if location == "querystring" and shape.kind == "list" and shape.element and shape.element.kind in _IN_TEXT:
        return
    raise UnsupportedModel(f"{name}, a {shape.kind}, stands in the {location}")


def _code(name: str, raw: Mapping[str, Any]) -> str:
    """An error's code: its shape's name, unless the model says otherwise (the query protocol's do)."""
    code: str = raw.get("error", {}).get("code", name)
    return code


def _errors(shapes: Mapping[str, Any]) -> dict[str, ErrorShape]:
    found = (
        ErrorShape(
            code=_code(name, raw),
            status=raw.get("error", {}).get("httpStatusCode", 500 if raw.get("fault") else 400),
            members=tuple(raw["members"]),
        )
        for name, raw in shapes.items()
        if raw.get("exception")
    )
    return {error.code: error for error in found}


def load(service: str) -> Model:
    """The newest model that botocore ships of *service* (`iot`, `iot-data`, `iam`, `sts`). Raises NoSuchService."""
    return Model(service, json.loads(_read(service)))


def _read(service: str) -> bytes:
    spec = importlib.util.find_spec("botocore")
    for package in (spec and spec.submodule_search_locations) or ():
        versions = sorted(Path(package, "data", service).glob("*/service-2.json*"), reverse=True)
        for path in versions:
            if path.suffix == ".gz":
                return gzip.decompress(path.read_bytes())
            if path.suffix == ".json":
                return path.read_bytes()
    raise NoSuchService(f"botocore has no model of {service!r}; install the package botocore, 1.40 or newer.")
