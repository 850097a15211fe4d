"""Every operation of iam and sts, both ways, against AWS's own client, with our codec in the socket's place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import botocore.session
import pytest
from botocore import xform_name
from botocore.awsrequest import AWSPreparedRequest, AWSResponse, HeadersDict
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel, Shape
from tests.conformance.restjson.test_operations import MOMENT, Raw, example, in_milliseconds, sparse, taken_apart

from fleetgate.wire.query import codec, form
from fleetgate.wire.restjson import model, validate
from fleetgate.wire.restjson.codec import Response
from fleetgate.wire.restjson.model import Model
from fleetgate.wire.restjson.sigv4 import Verifier, parse

SERVICES = {name: model.load(name) for name in ("iam", "sts")}
# Sent without a signature: whoever asks shows a token of another party's.
UNSIGNED = {"AssumeRoleWithSAML", "AssumeRoleWithWebIdentity"}
EVERY = [(service, name) for service, loaded in SERVICES.items() for name in loaded.operations if name not in UNSIGNED]
# Their examples hold two members of a union, which botocore refuses, or a structure without members, which a form
# cannot say.
NO_EXAMPLE = {(example, "SimulatePrincipalPolicy"), (sparse, "AssumeRoot"), (sparse, "CreateDelegationRequest")}
SECRET = "secret"
REQUEST_ID = "4b1bd8d7-6a5e-4b5e-9d2c-7d8d3a4ab0a1"
_LOADER = Loader()
_BOTOCORE = {service: ServiceModel(_LOADER.load_service_model(service, "service-2"), service) for service in SERVICES}

Answer = Callable[[Model, str], Response]


class Client:
    def __init__(self, service: str) -> None:
        session = botocore.session.Session()
        session.set_credentials("AKIDEXAMPLE", SECRET, "token+/==")
        self.service = SERVICES[service]
        self.client = session.create_client(
            service,
            "us-east-1",
            endpoint_url="http://localhost:8443",
            config=Config(retries={"total_max_attempts": 1}),
        )
        # boto3 shows policies as parsed documents; here their text is compared.
        self.client.meta.events.register("before-send", self._receive)
        self.answer: Answer = lambda service, operation: self.encoded(operation, {})
        self.seen: tuple[str, dict[str, Any], list[str]] = ("", {}, [])

    def encoded(self, operation: str, result: Mapping[str, Any]) -> Response:
        return codec.encode(self.service.operation(operation), self.service.namespace, result, REQUEST_ID)

    def _receive(self, request: AWSPreparedRequest, **_: Any) -> Any:
        received = taken_apart(request)
        credential = parse(received)
        Verifier().verify(received, credential, SECRET, credential.signed_at)
        fields = form.read(received)
        operation = self.service.operation(codec.action(fields))
        params = codec.decode(operation, self.service.version, fields)
        self.seen = (operation.name, params, validate.problems(operation, params))
        response = self.answer(self.service, operation.name)
        headers: Any = HeadersDict(response.headers)
        return AWSResponse(request.url, response.status, headers, Raw(response.body))

    def call(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = getattr(self.client, xform_name(operation))(**params)
        return result


@pytest.fixture(scope="module")
def clients() -> dict[str, Client]:
    return {service: Client(service) for service in SERVICES}


def modelled(service: str, operation: str) -> OperationModel:
    return _BOTOCORE[service].operation_model(operation)


@pytest.mark.parametrize("make", [example, sparse])
@pytest.mark.parametrize(("service", "operation"), EVERY)
def test_parameters_arrive(
    clients: dict[str, Client], service: str, operation: str, make: Callable[[Shape], Any]
) -> None:
    shape = modelled(service, operation).input_shape
    if (make, operation) in NO_EXAMPLE:
        make = sparse if make is example else example
    params = make(shape) if shape else {}
    client = clients[service]
    client.answer = lambda service, operation: client.encoded(operation, {})
    client.call(operation, params)
    assert client.seen == (operation, in_milliseconds(params), [])


@pytest.mark.parametrize(("service", "operation"), EVERY)
def test_results_arrive(clients: dict[str, Client], service: str, operation: str) -> None:
    described = modelled(service, operation)
    shape = described.output_shape
    result = in_milliseconds(example(shape)) if shape else {}
    client = clients[service]
    client.answer = lambda service, operation: client.encoded(operation, result)
    make = sparse if (example, operation) in NO_EXAMPLE else example
    received = client.call(operation, make(described.input_shape) if described.input_shape else {})
    metadata = received.pop("ResponseMetadata")
    assert in_milliseconds(received) == result
    assert (metadata["RequestId"], metadata["HTTPStatusCode"]) == (REQUEST_ID, 200)


def test_times_are_whole_seconds_as_aws_writes_them() -> None:
    credentials = {"AccessKeyId": "A" * 16, "SecretAccessKey": "s", "SessionToken": "t", "Expiration": 1548716921289}
    answer = Client("sts").encoded("AssumeRole", {"Credentials": credentials})
    assert b"<Expiration>2019-01-28T23:08:41Z</Expiration>" in answer.body
    assert in_milliseconds(MOMENT) == 1548716921000


@pytest.mark.parametrize(("service", "operation"), EVERY)
def test_errors_arrive(clients: dict[str, Client], service: str, operation: str) -> None:
    described, client = modelled(service, operation), clients[service]
    params = sparse(described.input_shape) if described.input_shape else {}
    shapes: list[Any] = described.error_shapes
    assert tuple(shape.error_code for shape in shapes) == SERVICES[service].operation(operation).declared
    for shape in shapes:
        error = SERVICES[service].errors[shape.error_code]

        def refuse(service: Model, operation: str, code: str = error.code, status: int = error.status) -> Response:
            return codec.encode_error(status, code, "Gr\u00fc\u00dfe: <why> & \x07how.", REQUEST_ID)

        client.answer = refuse
        with pytest.raises(ClientError) as caught:
            client.call(operation, params)
        assert isinstance(caught.value, getattr(client.client.exceptions, shape.name))
        response: Any = caught.value.response
        assert response["Error"]["Code"] == shape.error_code
        assert response["Error"]["Message"] == "Gr\u00fc\u00dfe: <why> & \ufffdhow."
        assert response["ResponseMetadata"]["HTTPStatusCode"] == error.status
        assert response["ResponseMetadata"]["RequestId"] == REQUEST_ID
