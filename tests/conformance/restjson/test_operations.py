"""Every operation of iot and iot-data, both ways, against AWS's own client.

A real botocore client signs and sends each call; instead of a socket it meets our codec. Parameters that it was given
must come out of decode() unchanged and without problems; results and errors that we encode must come out of the client.
"""

import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import botocore.session
import pytest
import regex
from botocore import xform_name
from botocore.awsrequest import AWSPreparedRequest, AWSResponse, HeadersDict
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, OperationModel, Shape, StringShape, StructureShape

from fleetgate.wire.restjson import codec, model, validate
from fleetgate.wire.restjson.codec import Request, Response
from fleetgate.wire.restjson.model import Model, Operation
from fleetgate.wire.restjson.sigv4 import Verifier, parse

SERVICES = {name: model.load(name) for name in ("iot", "iot-data")}
EVERY = [(service, name) for service, loaded in SERVICES.items() for name in loaded.operations]
KEY, SECRET, TOKEN = "AKIDEXAMPLE", "secret", "token+/=="
MOMENT = datetime(2019, 1, 28, 23, 8, 41, tzinfo=UTC)
REQUEST_ID = "4b1bd8d7-6a5e-4b5e-9d2c-7d8d3a4ab0a1"

Answer = Callable[[Operation, dict[str, Any]], Response]


# --- a botocore client whose network is our codec --------------------------------------------------------------------


class Client:
    """*answer* is called with what the last call decoded to, and what it returns is what the client receives."""

    def __init__(self, service: str) -> None:
        session = botocore.session.Session()
        session.set_credentials(KEY, SECRET, TOKEN)
        self.service = SERVICES[service]
        self.client: BaseClient = session.create_client(
            service,
            "us-east-1",
            endpoint_url="http://localhost:8443",
            config=Config(retries={"total_max_attempts": 1}, parameter_validation=True),
        )
        self.client.meta.events.register("before-send", self._receive)
        self.verifier = Verifier()
        self.answer: Answer = lambda operation, params: codec.encode(operation, {}, REQUEST_ID)
        self.seen: list[tuple[str, dict[str, Any], list[str]]] = []

    def _receive(self, request: AWSPreparedRequest, **_: Any) -> Any:
        received = taken_apart(request)
        credential = parse(received)
        assert (credential.region, credential.service) == ("us-east-1", self.service.signing_name)
        assert credential.security_token == TOKEN
        self.verifier.verify(received, credential, SECRET, credential.signed_at)
        operation, labels = self.service.match(received.method, received.raw_path)
        params = codec.decode(operation, labels, received)
        self.seen.append((operation.name, params, validate.problems(operation, params)))
        response = self.answer(operation, params)
        headers: Any = HeadersDict(response.headers)
        return AWSResponse(request.url, response.status, headers, Raw(response.body))

    def call(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = getattr(self.client, xform_name(operation))(**params)
        return result


class Raw(io.BytesIO):
    def stream(self, *_: Any, **__: Any) -> Any:
        yield self.read()


def taken_apart(request: AWSPreparedRequest) -> Request:
    url = urlsplit(request.url)
    items: list[tuple[str, Any]] = list(request.headers.items())
    headers = {
        name.lower(): (value if isinstance(value, bytes) else value.encode()).decode("latin-1") for name, value in items
    }
    headers.setdefault("host", url.netloc)
    body: Any = request.body or b""
    return Request(request.method, url.path, url.query, headers, body if isinstance(body, bytes) else body.encode())


@pytest.fixture(scope="module")
def clients() -> dict[str, Client]:
    return {service: Client(service) for service in SERVICES}


# --- examples, made from botocore's own reading of the model ---------------------------------------------------------

_LOADER = Loader()
_BOTOCORE = {
    service: botocore.model.ServiceModel(_LOADER.load_service_model(service, "service-2"), service)
    for service in SERVICES
}

# The first of these that a shape's constraints allow; so that what may hold strange characters does.
TEXTS = [
    "a b/\u00fc%2F&=+~#?;",
    "a:b/c d",
    "a:b_c-1",
    "a.b-1",
    "ab-1",
    "ab",
    "12",
    "1.0",
    ",",
    "LAST",
    "p99.9",
    "f0" * 32,
    "abcdef-" * 6,
    "arn:aws:iot:us-east-1:123456789012:cert/" + "f0" * 32,
    "arn:aws:acm:us-east-1:123456789012:certificate/ab-1",
    "https://example.com/a",
    "https://ingestion-a1.b2.sfdcnow.com/streams/a/b/event",
    "123456789012",  # from here on: what iam and sts ask for
    "/a/",
    "AKIA0123456789ABCDEF",
    "123456",
    "a.example.com",
    "v1",
    "o-abcdefghij",
    "p-12345678",
    "aws:SourceIp",
    "o-abcdefghij/r-abcd/ou-abcd-abcdefgh/",
    "o-a1b2c3d4e5/r-f6g7h8i9j0example/ou-ghi0-awsccccc/ou-jkl0-awsddddd/",
]


def text_for(shape: StringShape) -> str:
    if shape.enum:
        return str(shape.enum[-1])
    shortest, longest = shape.metadata.get("min", 0), shape.metadata.get("max", 10_000)
    pattern = shape.metadata.get("pattern", r"[\s\S]*").replace(r"\p{Graph}", "!-~")  # as Java understands it
    for text in TEXTS:
        for candidate in (text, (text * (shortest // len(text) + 1))[: max(shortest, 1)]):
            if shortest <= len(candidate) <= longest and regex.fullmatch(pattern, candidate):
                return candidate
    raise AssertionError(f"no example for {shape.name}: {shape.metadata}")


def number_for(shape: Shape) -> float:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if shape.type_name in {"integer", "long"}:
        return int(high if high is not None else low if low is not None else 2**31 - 1)
    return float(high if high is not None else low if low is not None else -0.125)


def example(shape: Shape, member: Shape | None = None) -> Any:
    if (member or shape).serialization.get("jsonvalue"):
        return [{"k": "\u00fc"}, None, 1.5]
    match shape.type_name:
        case "structure":
            assert isinstance(shape, StructureShape)
            return {name: example(inner) for name, inner in shape.members.items()}
        case "list":
            assert isinstance(shape, ListShape)
            return [example(shape.member)] * max(1, shape.metadata.get("min", 1))
        case "map":
            assert isinstance(shape, MapShape)
            return {example(shape.key): example(shape.value)}
        case "string":
            assert isinstance(shape, StringShape)
            return text_for(shape)
        case "boolean":
            return True
        case "blob":
            return b"\x00\xff{"
        case "timestamp":
            return MOMENT
        case _:
            return number_for(shape)


def sparse(shape: Shape) -> Any:
    """Like example(), but structures hold only what is required."""
    if isinstance(shape, StructureShape):
        return {name: sparse(shape.members[name]) for name in shape.required_members}
    return example(shape)


def in_milliseconds(value: Any) -> Any:
    """What boto3 gives as datetime is an integer here."""
    if isinstance(value, datetime):
        return (value - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    if isinstance(value, dict):
        return {name: in_milliseconds(item) for name, item in value.items()}
    if isinstance(value, list):
        return [in_milliseconds(item) for item in value]
    return value.read() if hasattr(value, "read") else value


def modelled(service: str, operation: str) -> OperationModel:
    return _BOTOCORE[service].operation_model(operation)


# --- requests --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [example, sparse])
@pytest.mark.parametrize(("service", "operation"), EVERY)
def test_parameters_arrive(
    clients: dict[str, Client], service: str, operation: str, make: Callable[[Shape], Any]
) -> None:
    shape = modelled(service, operation).input_shape
    params = make(shape) if shape else {}
    client = clients[service]
    client.answer = lambda operation, params: codec.encode(operation, {}, REQUEST_ID)
    client.call(operation, params)
    name, decoded, problems = client.seen[-1]
    assert name == operation
    if make is sparse:  # the client fills tokens in, and a body without a member for it is an empty one
        for member in decoded.keys() - params.keys():
            assert member in {"payload", "clientRequestToken", "clientToken"}
            del decoded[member]
    assert decoded == in_milliseconds(params)
    assert problems == []


@pytest.mark.parametrize(("service", "operation"), EVERY)
def test_every_required_member_is_missed(service: str, operation: str) -> None:
    ours, shape = SERVICES[service].operation(operation), modelled(service, operation).input_shape
    required = shape.required_members if shape else []
    assert validate.problems(ours, {}) == [f"{name} is required." for name in required]


def bounds(shape: Shape, value: Any) -> list[Any]:
    """Values just outside *shape*'s constraints, made from a proper *value*."""
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    wrong: list[Any] = []
    if shape.type_name in {"integer", "long", "float", "double"}:
        return [edge + step for edge, step in ((low, -1), (high, 1)) if edge is not None]
    if shape.type_name == "string":
        assert isinstance(shape, StringShape)
        if shape.enum:
            return ["BOGUS"]
        if shape.metadata.get("pattern", r"[\s\S]*") not in {r"[\s\S]*", "^[^$].*"}:  # these take a tab
            wrong.append("\t" * max(1, low or 1))
        return [*wrong, *(["a" * (low - 1)] if low else []), *(["a" * (high + 1)] if high else [])]
    if shape.type_name == "list":
        return [*([[]] if low else []), *([value * (high + 1)] if high else [])]
    return wrong


@pytest.mark.parametrize(("service", "operation"), EVERY)
def test_every_constraint_at_the_top_is_enforced(service: str, operation: str) -> None:
    shape = modelled(service, operation).input_shape
    if shape is None:
        return
    params = in_milliseconds(example(shape))
    for name, member in shape.members.items():
        for wrong in bounds(member, params[name]):
            found = validate.problems(SERVICES[service].operation(operation), {**params, name: wrong})
            assert len(found) == 1, (name, wrong)
            assert found[0].startswith(name)


# --- results ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("service", "operation"), EVERY)
def test_results_arrive(clients: dict[str, Client], service: str, operation: str) -> None:
    described = modelled(service, operation)
    shape = described.output_shape
    result = in_milliseconds(example(shape)) if shape else {}
    if "statusCode" in result:
        result["statusCode"] = 202
    client = clients[service]
    client.answer = lambda operation, params: codec.encode(operation, result, REQUEST_ID)
    received = client.call(operation, example(described.input_shape) if described.input_shape else {})
    metadata = received.pop("ResponseMetadata")
    assert in_milliseconds(received) == result
    assert metadata["RequestId"] == REQUEST_ID
    assert metadata["HTTPStatusCode"] == result.get("statusCode", 200)


def test_fractions_of_seconds_arrive(clients: dict[str, Client]) -> None:
    client = clients["iot"]
    client.answer = lambda operation, params: codec.encode(
        operation, {"thingTypeMetadata": {"creationDate": 1_548_716_921_289}}, REQUEST_ID
    )
    received = client.call("DescribeThingType", {"thingTypeName": "t"})
    assert in_milliseconds(received["thingTypeMetadata"]) == {"creationDate": 1_548_716_921_289}


# --- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("service", "operation"), EVERY)
def test_errors_arrive(clients: dict[str, Client], service: str, operation: str) -> None:
    described, client = modelled(service, operation), clients[service]
    params = sparse(described.input_shape) if described.input_shape else {}
    shapes: list[Any] = described.error_shapes
    assert tuple(shape.error_code for shape in shapes) == SERVICES[service].operation(operation).declared
    for shape in shapes:
        members = {name: "a:b" for name in shape.members if name != "message"}

        def refuse(ours: Operation, _: Any, code: str = shape.error_code, members: Any = members) -> Response:
            return codec.encode_error(ours, code, "Gr\u00fc\u00dfe: why.", REQUEST_ID, **members)

        client.answer = refuse
        with pytest.raises(getattr(client.client.exceptions, shape.name)) as caught:
            client.call(operation, params)
        response = caught.value.response
        assert response["Error"] == {"Code": shape.error_code, "Message": "Gr\u00fc\u00dfe: why."}
        assert response["ResponseMetadata"]["HTTPStatusCode"] == shape.metadata["error"]["httpStatusCode"]
        assert response["ResponseMetadata"]["RequestId"] == REQUEST_ID
        assert {name: response[name] for name in members} == members


@pytest.mark.parametrize(
    ("code", "status"), [("AccessDeniedException", 403), ("UnknownOperationException", 404), ("Whatever", 400)]
)
def test_errors_that_no_model_names(clients: dict[str, Client], code: str, status: int) -> None:
    client = clients["iot"]
    client.answer = lambda operation, _: codec.encode_error(operation, code, "why", REQUEST_ID)
    with pytest.raises(ClientError) as caught:
        client.call("ListThings", {})
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


# --- the model -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", [*SERVICES, "sts"])
def test_the_model_is_the_one_that_botocores_loader_finds(service: str) -> None:
    ours: Model = model.load(service)
    theirs = botocore.model.ServiceModel(_LOADER.load_service_model(service, "service-2"), service)
    assert ours.operations == tuple(theirs.operation_names)
    assert (ours.version, ours.protocol, ours.signing_name) == (
        theirs.api_version,
        theirs.protocol,
        theirs.signing_name,
    )
