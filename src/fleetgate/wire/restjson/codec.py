"""Requests become parameters, results become answers, as the operation's shapes say.

Parameters and results are plain dicts in the model's names, as boto3 takes and gives them, but for times, which are
integer milliseconds UTC, and blobs, which are bytes. Types are checked here, constraints (required, lengths, patterns,
enums) in `validate`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fleetgate.wire.restjson import strict_json, values
from fleetgate.wire.restjson.message import Malformed, Request, Response
from fleetgate.wire.restjson.model import Envelope, Member, Operation
from fleetgate.wire.restjson.values import Unencodable

__all__ = ["Malformed", "Request", "Response", "Unencodable", "decode", "encode", "encode_error"]

_JSON: Final = "application/json"
_REQUEST_ID: Final = "x-amzn-requestid"
_ERROR_TYPE: Final = "x-amzn-errortype"


# --- request -> parameters -------------------------------------------------------------------------------------------


def decode(operation: Operation, labels: Mapping[str, str], request: Request) -> dict[str, Any]:
    """The parameters that *request* gives to *operation*; *labels* are those of Model.match.

    What the model does not know is ignored, null counts as absent, and an operation without body members never looks at
    the body. Raises Malformed, for the body with all mistyped members at once.
    """
    envelope = operation.input
    params: dict[str, Any] = {}
    for member in envelope.labels:
        params[member.name] = values.from_text(member, values.percent_decoded(labels[member.wire]))
    if envelope.query and request.query:
        _decode_query(envelope.query, request.query, params)
    for member in envelope.headers:
        if (text := request.headers.get(member.wire)) is not None:
            params[member.name] = values.from_header(member, text)
    if envelope.payload is not None:
        _decode_payload(envelope.payload, request.body, params)
    elif envelope.body and request.body:
        _decode_body(envelope, request.body, params)
    return params


def _decode_query(members: Mapping[str, Member], query: str, params: dict[str, Any]) -> None:
    for pair in query.split("&"):
        key, _, text = pair.partition("=")
        member = members.get(values.form_decoded(key))
        if member is None:
            continue
        if member.shape.element is not None:
            item = Member(member.name, member.wire, member.shape.element)
            params.setdefault(member.name, []).append(values.from_text(item, values.form_decoded(text)))
        elif member.name in params:
            raise Malformed(f"{member.wire} is given twice in the query.")
        else:
            params[member.name] = values.from_text(member, values.form_decoded(text))


def _decode_payload(member: Member, body: bytes, params: dict[str, Any]) -> None:
    if member.shape.kind == "blob":
        params[member.name] = body
    elif body:
        params.update(values.decoded({member.name: member}, {member.name: strict_json.parse(body)}))


def _decode_body(envelope: Envelope, body: bytes, params: dict[str, Any]) -> None:
    value = strict_json.parse(body)
    if type(value) is not dict:
        raise Malformed("The body must be a JSON object.")
    params.update(values.decoded(envelope.body, value))


# --- result -> answer ------------------------------------------------------------------------------------------------


def encode(operation: Operation, result: Mapping[str, Any], request_id: str) -> Response:
    """The answer that carries *result*; members that are None are left out.

    Raises Unencodable when *result* has a member the output does not know, or a value of the wrong type.
    """
    headers = {_REQUEST_ID: request_id}
    status, output = operation.status, operation.output
    if output is None:
        if result:
            raise Unencodable(f"{operation.name} has no output, but the result has {', '.join(result)}.")
        return Response(status, headers, b"")
    body: dict[str, Any] = {}
    payload: bytes | None = None
    for name, value in result.items():
        if value is None:
            continue
        member = values.member_of(output.shape, name)
        if member is output.payload:
            payload = values.payload(member, value)
        elif member.location is None:
            body[member.wire] = values.encoded(member.shape, value, name)
        elif member.location == "statusCode":
            status = values.encoded(member.shape, value, name)
        else:
            headers[member.wire] = values.header_text(member, value)
    if status in {204, 304}:
        return Response(status, headers, b"")
    headers["content-type"] = _JSON
    return Response(status, headers, (payload or b"") if output.payload else values.dumps(body))


# --- errors ----------------------------------------------------------------------------------------------------------

# Codes that AWS answers without naming them in a service's model. Where a model names one, the model's status holds.
_STATUS: Final = {
    "AccessDeniedException": 403,
    "ExpiredTokenException": 403,
    "ForbiddenException": 403,
    "GatewayTimeoutException": 504,
    "IncompleteSignatureException": 403,
    "InternalFailure": 500,
    "InternalFailureException": 500,
    "InvalidSignatureException": 403,
    "MethodNotAllowedException": 405,
    "MissingAuthenticationTokenException": 403,
    "NotImplemented": 501,
    "NotImplementedException": 501,
    "RequestEntityTooLargeException": 413,
    "RequestTimeoutException": 408,
    "ResourceNotFoundException": 404,
    "ServiceUnavailableException": 503,
    "SignatureDoesNotMatch": 403,
    "ThrottlingException": 429,
    "UnknownOperationException": 404,
    "UnrecognizedClientException": 403,
}


def encode_error(operation: Operation | None, code: str, message: str, request_id: str, **members: Any) -> Response:
    """A refusal. *members* stand beside the message in the body (`resourceId`, `resourceArn`, `traceId`).

    The status is the one the operation's service gives to *code*; then that of AWS's general codes; else 400.
    """
    modelled = operation.errors.get(code) if operation else None
    status = modelled.status if modelled else _STATUS.get(code, 400)
    headers = {_REQUEST_ID: request_id, _ERROR_TYPE: code, "content-type": _JSON}
    present = {name: value for name, value in members.items() if value is not None}
    return Response(status, headers, values.dumps({"message": message, **present}))
