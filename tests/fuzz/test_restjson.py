"""Whatever arrives ends in parameters, or in one of the four documented refusals."""

import json
import random
import time
from collections import Counter
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fleetgate.wire.restjson import codec, model, strict_json, validate
from fleetgate.wire.restjson.codec import Malformed, Request
from fleetgate.wire.restjson.model import Member, Operation, Shape
from fleetgate.wire.restjson.routes import NoSuchOperation
from fleetgate.wire.restjson.sigv4 import SignatureRefused, Verifier, parse

SERVICES = [model.load("iot"), model.load("iot-data")]
OPERATIONS = [service.operation(name) for service in SERVICES for name in service.operations]
NOW = 1_440_938_160_000
AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iot/aws4_request, SignedHeaders=host;x-amz-date, "
    "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
)
PRESIGNED = (
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20150830%2Fus-east-1%2Fiotdevicegateway%2F"
    "aws4_request&X-Amz-Date=20150830T123600Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=" + "0" * 64
)
SCRAPS = [
    *("", "%", "%2F", "%00", "%ff", "%zz", "/", "//", "..", "?", "&", "=", "+", ";", ",", " ", "\t", "\0", "\r\n"),
    *("ü", "\x85", "€", "\ud800", "{", "}", "[", "]", '"', "\\", r"\ud800", r"\u0000", "NaN", "Infinity", "1e999"),
    *("null", "true", "-", "0" * 50, "9" * 5000, "[" * 2000, '{"a":' * 2000, '"a":1,"a":2', "A" * 300, "=?utf-8?q?"),
]  # fmt: skip


def value_for(source: random.Random, shape: Shape, depth: int = 0) -> Any:
    """A value that often has the right type."""
    if depth > 12 or source.random() < 0.03:
        return source.choice(
            [None, 0, -1, 2**31, 2**63, 10**39, 1.5, 1e308, "", "x", "\0", "\ud800", [], {}, True, [None]]
        )
    if shape.kind == "structure":
        chosen = [member for member in shape.members.values() if source.random() < 0.6]
        return {member.wire: value_for(source, member.shape, depth + 1) for member in chosen}
    if shape.kind == "list" and shape.element is not None:
        return [
            value_for(source, shape.element, depth + 1) for _ in range(source.choice([0, 1, 2, 60]) if depth < 3 else 1)
        ]
    if shape.kind == "map" and shape.element is not None:
        return {source.choice(["a", "b c", "", "ü"]): value_for(source, shape.element, depth + 1) for _ in range(2)}
    if shape.kind == "string":
        return source.choice([*shape.enum, "a", "a:b", "a b", "ü", "x" * 300, ""])
    if shape.kind == "boolean":
        return source.random() < 0.5
    return source.choice([0, 1, 250, 251, -1, 1.5, 2**31, "YQ==", "2019-01-28T23:08:41Z"])


def text_for(source: random.Random, member: Member) -> str:
    return str(value_for(source, member.shape)).encode("utf-8", "replace").decode("latin-1")


def request_for(source: random.Random, operation: Operation) -> Request:
    envelope = operation.input
    path = operation.uri.partition("?")[0]
    for member in envelope.labels:
        text = source.choice(["a", "a%3Ab", "a%2Fb", text_for(source, member), source.choice(SCRAPS)])
        path = path.replace(f"{{{member.wire}}}", text).replace(f"{{{member.wire}+}}", text)
    query = "&".join(f"{wire}={text_for(source, member)}" for wire, member in envelope.query.items())
    headers = {member.wire: text_for(source, member) for member in envelope.headers}
    if envelope.payload is not None:
        document: Any = value_for(source, envelope.payload.shape)
    else:
        document = {wire: value_for(source, member.shape) for wire, member in envelope.body.items()}
    signed = source.random()
    if signed < 0.7:
        headers |= {"host": "example.amazonaws.com", "x-amz-date": "20150830T123600Z", "authorization": AUTHORIZATION}
    elif signed < 0.9:
        query, headers["host"] = f"{query}&{PRESIGNED}", "example.amazonaws.com"
    return Request(operation.method, path, query, headers, json.dumps(document).encode())


def mutated(source: random.Random, text: str) -> str:
    at = source.randrange(len(text) + 1)
    match source.randrange(4):
        case 0:
            return text[:at] + source.choice(SCRAPS) + text[at:]
        case 1:
            return text[:at] + text[at + source.randrange(1, 5) :]
        case 2:
            return text[:at] + chr(source.randrange(256)) + text[at + 1 :]
        case _:
            return text[:at] + text[source.randrange(len(text) + 1) :]


def mutate(source: random.Random, request: Request) -> Request:
    match source.randrange(6):
        case 0:
            return replace(request, raw_path=mutated(source, request.raw_path))
        case 1:
            return replace(request, query=mutated(source, request.query))
        case 2:
            body = mutated(source, request.body.decode("latin-1")).encode("utf-8", "surrogatepass")
            return replace(request, body=body)
        case 3 if request.headers:
            name = source.choice(sorted(request.headers))
            return replace(request, headers={**request.headers, name: mutated(source, request.headers[name])})
        case 4:
            return replace(request, method=source.choice(["GET", "PUT", "POST", "BREW", ""]))
        case _:
            return request


def through(request: Request, verifier: Verifier) -> set[str]:
    """Every way that *request* may take, and how it ended; anything but the documented refusals passes through."""
    ends, messages = set(), []
    try:
        verifier.verify(request, parse(request), "secret", NOW)
    except SignatureRefused as error:
        ends |= {error.code}
        messages += [error.message, error.query_code]
    for service in SERVICES:
        try:
            operation, labels = service.match(request.method, request.raw_path)
            params = codec.decode(operation, labels, request)
            problems = validate.problems(operation, params)
            ends.add("problems" if problems else "params")
            messages += problems
        except (Malformed, NoSuchOperation) as error:
            ends.add(type(error).__name__)
            messages.append(str(error))
    assert all(0 < len(message) < 6000 for message in messages)
    return ends


def test_ten_thousand_requests() -> None:
    source = random.Random(20250131)
    verifier, ends, slowest = Verifier(), Counter[str](), 0.0
    for number in range(10_000):
        request = request_for(source, OPERATIONS[number % len(OPERATIONS)])
        for _ in range(source.randrange(3)):
            request = mutate(source, request)
        started = time.perf_counter()
        ends.update(through(request, verifier))
        slowest = max(slowest, time.perf_counter() - started)
    assert slowest < 1.0
    for end in ("params", "problems", "Malformed", "NoSuchOperation"):
        assert ends[end] > 100, ends
    for code in ("MissingAuthenticationToken", "IncompleteSignature", "InvalidSignature"):
        assert ends[f"{code}Exception"] > 100, ends


texts = st.text(max_size=40)
keys = st.sampled_from(
    ["authorization", "host", "x-amz-date", "x-amz-security-token", "x-amzn-principal", "x-amz-tagging"]
)


@settings(max_examples=500, deadline=None)
@given(
    st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE"]) | texts,
    st.sampled_from(["/things/", "/topics/", "/policies/", "/rules/", "", "/"]),
    texts,
    texts | st.text("X-AmzSigntureCdl=&%", max_size=60).map(lambda text: f"X-Amz-Signature=&{text}"),
    st.dictionaries(keys, texts | texts.map(lambda text: f"AWS4-HMAC-SHA256 {text}"), max_size=5),
    st.binary(max_size=60) | texts.map(lambda text: json.dumps({"thingTypeName": text, "sql": text}).encode()),
)
def test_arbitrary_requests(
    method: str, root: str, path: str, query: str, headers: dict[str, str], body: bytes
) -> None:
    assert through(Request(method, root + path, query, headers, body), Verifier())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(json_values, st.booleans())
def test_json_is_read_as_it_was_written_or_refused(value: Any, ascii_only: bool) -> None:
    raw = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    try:
        assert strict_json.parse(raw) == value
    except Malformed:
        assert r"\u0000" in json.dumps(value)


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=80))
def test_arbitrary_bytes_are_json_or_malformed(raw: bytes) -> None:
    try:
        value = strict_json.parse(raw)
    except Malformed:
        return
    assert strict_json.parse(json.dumps(value).encode()) == value
