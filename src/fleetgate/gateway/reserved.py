"""Reserved topics: a request that a device publishes, and the answer to the connection that asked, and to nobody else.

They never enter the switchboard: many devices share one claim certificate, and one set of topics with it.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import cbor2
import structlog

from fleetgate.errors import FleetgateError, InvalidRequest, Refused
from fleetgate.names import Act
from fleetgate.provisioning import claim
from fleetgate.provisioning.claim import Asker
from fleetgate.runtime import Refusal, Runtime
from fleetgate.wire import cbor
from fleetgate.wire.restjson import strict_json
from fleetgate.wire.restjson.message import Malformed

log = structlog.get_logger(__name__)

Flow = Callable[[Runtime, Act, Asker, str, Mapping[str, Any]], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Call:
    """A reserved topic, understood."""

    topic: str
    action: str
    """AWS's name of the operation: for the audit trail."""
    flow: Flow
    name: str
    """What stands in the topic's place for a name, or nothing."""
    format: str
    """`json` or `cbor`: the answer comes in the request's."""


@dataclass(frozen=True, slots=True)
class Answer:
    topic: str
    payload: bytes


# One row for each way in: the topic's levels, where `*` stands for a name and the last one is the format.
_TOPICS: Final[dict[tuple[str, ...], tuple[str, Flow]]] = {
    ("$aws", "certificates", "create"): (
        "CreateKeysAndCertificate",
        lambda runtime, act, asker, _, request: claim.create_keys(runtime, act, asker),
    ),
    ("$aws", "certificates", "create-from-csr"): (
        "CreateCertificateFromCsr",
        lambda runtime, act, asker, _, request: claim.create_from_csr(runtime, act, asker, request),
    ),
    ("$aws", "provisioning-templates", "*", "provision"): ("RegisterThing", claim.register_thing),
}
_FORMATS: Final = ("json", "cbor")
# AWS's names for what has another one on the provisioning topics.
_CODES: Final = {"ThrottlingException": "Throttled", "InternalFailureException": "InternalError"}


def find(topic: str) -> Call | None:
    """The call that *topic* makes, or None where it makes none."""
    *levels, form = topic.split("/")
    if form not in _FORMATS:
        return None
    for pattern, (action, flow) in _TOPICS.items():
        if len(pattern) == len(levels) and all(
            ours in {"*", theirs} for ours, theirs in zip(pattern, levels, strict=True)
        ):
            name = next((theirs for ours, theirs in zip(pattern, levels, strict=True) if ours == "*"), "")
            return Call(topic, action, flow, name, form)
    return None


async def answer(runtime: Runtime, act: Act, asker: Asker, call: Call, payload: bytes) -> Answer:
    """Run the flow. Whatever happens, there is exactly one answer: accepted, or rejected with all three members."""
    try:
        request = _decode(call.format, payload)
        result = await call.flow(runtime, act, asker, call.name, request)
    except FleetgateError as error:
        if isinstance(error, Refused):
            runtime.refused(Refusal(act, call.action, call.topic, error.reason))
        log.info("refused", action=call.action, code=error.code, reason=error.reason, request_id=act.request_id)
        return Answer(f"{call.topic}/rejected", _encode(call.format, rejection(error, act)))
    except Exception:
        log.exception("failed", action=call.action, topic=call.topic, request_id=act.request_id)
        return Answer(f"{call.topic}/rejected", _encode(call.format, rejection(FleetgateError(""), act)))
    return Answer(f"{call.topic}/accepted", _encode(call.format, result))


def rejection(error: FleetgateError, act: Act) -> dict[str, Any]:
    """AWS's error object, and the correlation id beside it. What is the server's fault is not told in detail."""
    code = _CODES.get(error.code) or error.code.removesuffix("Exception")
    message = error.message if isinstance(error, Refused) else "The server cannot answer this now; try again later."
    return {"statusCode": error.status, "errorCode": code, "errorMessage": message, "requestId": act.request_id}


def _decode(form: str, payload: bytes) -> Mapping[str, Any]:
    """The request object; an empty payload is an empty one. Raises InvalidRequest."""
    if not payload:
        return {}
    try:
        value = strict_json.parse(payload, "The payload") if form == "json" else cbor.parse(payload)
    except Malformed as error:
        raise InvalidRequest(str(error)) from error
    except cbor.Malformed as error:
        raise InvalidRequest(f"The payload is not CBOR that can be read here: {error}.") from error
    if not isinstance(value, dict):
        raise InvalidRequest(f"The payload is {form.upper()}, but not a map of members.")
    return value


def _encode(form: str, value: Mapping[str, Any]) -> bytes:
    if form == "json":
        return json.dumps(value, separators=(",", ":")).encode()
    return cbor2.dumps(value)
