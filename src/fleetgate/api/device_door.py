"""Devices over HTTPS: requests of `iot-data` that carry no signature, judged by the policies of a client certificate.

`POST /topics/<topic>?qos=` (AWS: Publishing over HTTPS), and retained messages. There is no client id, so that policy
variables which need one, or a thing, have no value.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from cryptography import x509

from fleetgate import access, endpoints
from fleetgate.access import Grounds, Principal
from fleetgate.api import messages
from fleetgate.api.data_plane import ANSWERS
from fleetgate.api.handling import Params
from fleetgate.api.refusals import answer_to
from fleetgate.broker import Broker
from fleetgate.database.port import Tx
from fleetgate.errors import AccessDenied, InvalidRequest, Refused, all_of
from fleetgate.names import Act
from fleetgate.pki import certificate
from fleetgate.runtime import Refusal, Runtime
from fleetgate.wire.restjson import codec, model
from fleetgate.wire.restjson.message import Malformed, Request, Response
from fleetgate.wire.restjson.model import Operation
from fleetgate.wire.restjson.routes import NoSuchOperation
from fleetgate.wire.restjson.validate import problems

PREFIXES: Final = ("/topics/", "/retainedMessage")
_FORBIDDEN: Final = "ForbiddenException"


class DeviceDoor:
    def __init__(self, runtime: Runtime, broker: Broker) -> None:
        self._runtime, self._broker = runtime, broker
        self._model = model.load("iot-data")

    def serves(self, scope: Mapping[str, Any], request: Request) -> bool:
        """A device's request: it came with a client certificate and without a signature."""
        return (
            bool(_chain(scope))
            and request.raw_path.startswith(PREFIXES)
            and "authorization" not in request.headers
            and "X-Amz-Signature=" not in request.query
        )

    async def answer(self, scope: Mapping[str, Any], request: Request, act: Act) -> Response:
        """Whatever happens, with a message and the correlation id (`traceId`), which is the act's."""
        operation: Operation | None = None
        try:
            operation, labels = self._model.match(request.method, request.raw_path)
            act, grounds, principal = await self._identify(scope, act)
            params = _params(operation, labels, request)
            _require(act, grounds, operation.name, params)
            if operation.name == "Publish":
                await messages.publish(self._broker, act, params, principal)
                return _published(act)
            result = await ANSWERS[operation.name][0](self._broker, act, params)
            return codec.encode(operation, result, act.request_id)
        except Exception as error:  # noqa: BLE001 # whatever it is, the device gets an answer and the log the rest
            self._note(act, request, operation, error)
            return _refusal(error, operation, act.request_id)

    async def _identify(self, scope: Mapping[str, Any], act: Act) -> tuple[Act, Grounds, Principal]:
        """Raises AccessDenied."""
        shown = x509.load_pem_x509_certificate(_chain(scope)[0].encode())
        fingerprint, server_name = certificate.fingerprint(shown), scope["extensions"]["tls"].get("server_name")
        address = (scope.get("client") or ("",))[0]

        def look(tx: Tx) -> tuple[Principal, Grounds]:
            home = endpoints.realm(tx, self._runtime.config.gateway, server_name)
            found = access.identify(tx, fingerprint, act.now, home)
            return found, access.grounds(tx, found, None, address)

        principal, grounds = await self._runtime.database.glance(look)
        return replace(act, realm=principal.realm, actor=principal.actor), grounds, principal

    def _note(self, act: Act, request: Request, operation: Operation | None, error: Exception) -> None:
        if isinstance(error, Refused | Malformed | NoSuchOperation):
            reason = error.reason if isinstance(error, Refused) else str(error)
            action = "Request" if operation is None else operation.name
            self._runtime.refused(Refusal(act, action, f"{request.method} {request.raw_path}"[:200], reason))


def _chain(scope: Mapping[str, Any]) -> list[str]:
    """The client's certificates as PEM (ASGI TLS extension); none on the operators' listener."""
    chain: list[str] = scope.get("extensions", {}).get("tls", {}).get("client_cert_chain", [])
    return chain


def _params(operation: Operation, labels: Mapping[str, str], request: Request) -> Params:
    """Raises Malformed, InvalidRequest."""
    params = codec.decode(operation, labels, request)
    if found := problems(operation, params):
        raise InvalidRequest(all_of(found))
    return params


def _require(act: Act, grounds: Grounds, operation: str, params: Params) -> None:
    """Raises AccessDenied, also for what a device has no business with."""
    match operation:
        case "Publish":
            actions = ["iot:Publish", "iot:RetainPublish"] if params.get("retain") else ["iot:Publish"]
            resource = act.realm.arn("topic", params["topic"])
        case "GetRetainedMessage":
            actions, resource = ["iot:GetRetainedMessage"], act.realm.arn("topic", params["topic"])
        case "ListRetainedMessages":
            actions, resource = ["iot:ListRetainedMessages"], "*"
        case _:
            raise AccessDenied(f"{operation} is not for devices.")
    for action in actions:
        verdict = grounds.rights().decide(action, resource)
        if not verdict:
            raise AccessDenied(verdict.explain("The certificate"))


def _published(act: Act) -> Response:
    body = json.dumps({"message": "OK", "traceId": act.request_id}).encode()
    return Response(200, {"content-type": "application/json", "x-amzn-requestid": act.request_id}, body)


def _refusal(error: Exception, operation: Operation | None, request_id: str) -> Response:
    if isinstance(error, AccessDenied):
        return codec.encode_error(None, _FORBIDDEN, error.message, request_id, traceId=request_id)
    plain = answer_to(error, "iot-data", operation, request_id)
    body = json.dumps({**json.loads(plain.body), "traceId": request_id}).encode()
    return replace(plain, body=body)
