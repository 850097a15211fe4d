from __future__ import annotations

import json
import re
from typing import Any

import pytest
from structlog.testing import capture_logs

from fleetgate import errors
from fleetgate.api.refusals import NotServed, TooLarge, TooSlow, answer_to
from fleetgate.database.port import Conflict
from fleetgate.wire.restjson.message import Malformed
from fleetgate.wire.restjson.model import load
from fleetgate.wire.restjson.routes import NoSuchOperation
from fleetgate.wire.restjson.sigv4 import SignatureRefused

IOT = load("iot")
REQUEST_ID = "8a6f1d4e-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.InvalidRequest("m"), 400, "InvalidRequestException"),
        (errors.MalformedPolicy("m"), 400, "MalformedPolicyException"),
        (errors.InvalidSigningRequest("m"), 400, "InvalidRequestException"),
        (errors.InvalidParameters("m"), 400, "InvalidRequestException"),
        (errors.Throttled("m"), 400, "ThrottlingException"),
        (errors.Unauthenticated("m", "ExpiredTokenException"), 403, "ExpiredTokenException"),
        (errors.AccessDenied("m"), 403, "AccessDeniedException"),
        (errors.NotFound("m"), 404, "ResourceNotFoundException"),
        (errors.CertificateState("m"), 406, "CertificateStateException"),
        (errors.AlreadyExists("m"), 409, "ResourceAlreadyExistsException"),
        (errors.LimitExceeded("m"), 410, "LimitExceededException"),
        (SignatureRefused("InvalidSignatureException", "m"), 403, "InvalidSignatureException"),
        (Malformed("m"), 400, "InvalidRequestException"),
        (NoSuchOperation("m"), 404, "UnknownOperationException"),
        (NoSuchOperation("m", ("GET",)), 405, "MethodNotAllowedException"),
        (NotServed("m"), 501, "NotImplementedException"),
        (TooLarge("m"), 413, "RequestEntityTooLargeException"),
        (TooSlow("m"), 408, "RequestTimeoutException"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_is_answered(error: Exception, status: int, code: str) -> None:
    answer = answer_to(error, "iot", IOT.operation("CreateThing"), REQUEST_ID)
    assert (answer.status, answer.headers["x-amzn-errortype"]) == (status, code)
    assert answer.headers["x-amzn-requestid"] == REQUEST_ID
    assert json.loads(answer.body) == {"message": "m"}


def test_the_data_plane_has_a_name_of_its_own_for_a_denial() -> None:
    answer = answer_to(errors.AccessDenied("m"), "iotdata", load("iot-data").operation("Publish"), REQUEST_ID)
    assert (answer.status, answer.headers["x-amzn-errortype"]) == (403, "ForbiddenException")


def test_members_stand_beside_the_message() -> None:
    answer = answer_to(errors.AlreadyExists("m", resourceId="i", resourceArn="a"), "iot", None, REQUEST_ID)
    assert json.loads(answer.body) == {"message": "m", "resourceId": "i", "resourceArn": "a"}


def test_two_at_once() -> None:
    answer = answer_to(Conflict("UNIQUE constraint failed: things.name"), "iot", None, REQUEST_ID)
    assert (answer.headers["x-amzn-errortype"], b"constraint" in answer.body) == (
        "ConflictingResourceUpdateException",
        False,
    )


def logged(error: Exception) -> tuple[Any, Any]:
    with capture_logs() as logs:
        answer = answer_to(error, "iot", IOT.operation("CreateThing"), REQUEST_ID)
    return answer, logs


def test_an_installation_that_cannot_says_so_and_not_why() -> None:
    answer, [entry] = logged(errors.Unavailable("The disk /data is full."))
    assert (answer.status, answer.headers["x-amzn-errortype"]) == (503, "ServiceUnavailableException")
    assert b"/data" not in answer.body
    assert (entry["reason"], entry["request_id"]) == ("The disk /data is full.", REQUEST_ID)


@pytest.mark.parametrize("error", [ValueError("inside"), errors.FunctionFailed("inside")])
def test_a_mistake_of_ours_is_logged_whole_and_told_by_its_id(error: Exception) -> None:
    answer, [entry] = logged(error)
    assert (answer.status, answer.headers["x-amzn-errortype"]) == (500, "InternalFailureException")
    assert b"inside" not in answer.body
    assert REQUEST_ID in json.loads(answer.body)["message"]
    assert (entry["log_level"], entry["exc_info"], entry["operation"]) == ("error", error, "CreateThing")


@pytest.mark.parametrize(
    ("error", "status", "code", "side"),
    [
        (SignatureRefused("InvalidSignatureException", "<no>"), 403, "SignatureDoesNotMatch", "Sender"),
        (NotServed("<no>"), 501, "NotImplemented", "Receiver"),
    ],
)
def test_services_whose_clients_read_xml(error: Exception, status: int, code: str, side: str) -> None:
    answer = answer_to(error, "sts", None, REQUEST_ID)
    assert (answer.status, answer.headers["content-type"]) == (status, "text/xml")
    found = dict(re.findall(r"<(Type|Code|Message|RequestId)>(.*?)<", answer.body.decode()))
    assert found == {"Type": side, "Code": code, "Message": "&lt;no&gt;", "RequestId": REQUEST_ID}
