"""What went wrong, as an answer: the one place where exceptions become status, code and message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import structlog

from fleetgate.database.port import Conflict
from fleetgate.errors import AccessDenied, ConflictingUpdate, InvalidRequest, Refused, Unavailable
from fleetgate.wire.query import codec as query
from fleetgate.wire.restjson.codec import encode_error
from fleetgate.wire.restjson.message import Malformed, Response
from fleetgate.wire.restjson.model import Operation
from fleetgate.wire.restjson.routes import NoSuchOperation
from fleetgate.wire.restjson.sigv4 import SignatureRefused

log = structlog.get_logger(__name__)

QUERY_SERVICES: Final = frozenset({"iam", "sts"})
"""Their clients read XML and nothing else."""

FORBIDDEN: Final = "ForbiddenException"
"""What `iot-data` calls a denial; `iot` says AccessDeniedException."""
_NOT_SERVED: Final = "NotImplementedException"
_INTERNAL: Final = "InternalFailureException"


class NotServed(Exception):
    """Part of AWS, and not of this version. The message says what is missing."""


class NotConfirmed(Exception):
    """A client did not acknowledge a message in time."""


class TooLarge(Exception):
    """The request's body is longer than any operation needs."""


class TooSlow(Exception):
    """The request's body did not arrive in time."""


# What the query protocol calls the same refusals (iam's model; IAM and STS: Common errors).
_QUERY: Final[Mapping[str, tuple[str, int]]] = {
    "AccessDeniedException": ("AccessDenied", 403),
    "ConflictingResourceUpdateException": ("ConcurrentModification", 409),
    "DeleteConflictException": ("DeleteConflict", 409),
    "InternalFailureException": ("InternalFailure", 500),
    "InvalidRequestException": ("ValidationError", 400),
    "LimitExceededException": ("LimitExceeded", 409),
    "MalformedPolicyException": ("MalformedPolicyDocument", 400),
    "ResourceAlreadyExistsException": ("EntityAlreadyExists", 409),
    "ResourceNotFoundException": ("NoSuchEntity", 404),
    "ServiceUnavailableException": ("ServiceUnavailable", 503),
    "ThrottlingException": ("Throttling", 400),
    "UnknownOperationException": ("InvalidAction", 400),
}


def answer_to(error: Exception, service: str, operation: Operation | None, request_id: str) -> Response:
    """The answer to a request that ended in *error*; *operation* is None where it did not get so far.

    What is no refusal is logged whole, and its words stay here: the request id leads to them.
    """
    code, message = _told(error, operation, request_id)
    if service in QUERY_SERVICES:
        code = error.code if isinstance(error, Refused) else code
        status = encode_error(None, code, message, request_id).status
        if isinstance(error, SignatureRefused):
            return query.encode_error(status, error.query_code, message, request_id)
        shown, status = _QUERY.get(code, (code.removesuffix("Exception"), status))
        return query.encode_error(status, shown, message, request_id)
    members = error.members if isinstance(error, Refused) else {}
    return encode_error(operation, code, message, request_id, **members)


def _told(error: Exception, operation: Operation | None, request_id: str) -> tuple[str, str]:
    match error:
        case Refused():
            return _code(error, operation), error.message
        case SignatureRefused():
            return error.code, error.message
        case Malformed():
            return InvalidRequest.code, str(error)
        case NoSuchOperation():
            return "MethodNotAllowedException" if error.allowed else "UnknownOperationException", str(error)
        case NotServed():
            return _NOT_SERVED, str(error)
        case NotConfirmed():
            return "GatewayTimeoutException", str(error)
        case TooLarge():
            return "RequestEntityTooLargeException", str(error)
        case TooSlow():
            return "RequestTimeoutException", str(error)
        case Conflict():
            return ConflictingUpdate.code, "Somebody else changed the same at the same time. Try again."
        case Unavailable():
            log.warning("request not answered", request_id=request_id, reason=error.message)
            return Unavailable.code, "The installation cannot answer this now. Try again in a while."
    log.error("request failed", request_id=request_id, operation=operation and operation.name, exc_info=error)
    return _INTERNAL, f"Something went wrong that should not. The server's log has it under {request_id}."


def _code(error: Refused, operation: Operation | None) -> str:
    """Refusals that only the provisioning topics name are invalid requests here."""
    if isinstance(error, AccessDenied) and operation is not None and operation.service == "iot-data":
        return FORBIDDEN
    unknown = operation is not None and error.code not in operation.errors
    return InvalidRequest.code if unknown and isinstance(error, InvalidRequest) else error.code
