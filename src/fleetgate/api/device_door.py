"""Devices over HTTPS: requests of `iot-data` that carry no signature, judged by the policies of a client certificate,
or of an authorizer's function (AWS: custom authentication over HTTPS, which may publish alone).

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
from fleetgate.access import AuthorizerPrincipal, Grounds, Principal
from fleetgate.api import messages
from fleetgate.api.data_plane import ANSWERS
from fleetgate.api.handling import Params
from fleetgate.api.refusals import FORBIDDEN, answer_to
from fleetgate.broker import Broker
from fleetgate.database.port import Tx
from fleetgate.errors import AccessDenied, InvalidRequest, Refused, all_of
from fleetgate.names import Act
from fleetgate.pki import certificate
from fleetgate.provisioning import custom_authentication
from fleetgate.provisioning.authorized import AuthorizedEntrance, Peer
from fleetgate.provisioning.authorizer_choice import CUSTOM
from fleetgate.runtime import Refusal, Runtime
from fleetgate.wire.restjson import codec, model
from fleetgate.wire.restjson.message import Malformed, Request, Response
from fleetgate.wire.restjson.model import Operation
from fleetgate.wire.restjson.routes import NoSuchOperation
from fleetgate.wire.restjson.validate import problems

PREFIXES: Final = ("/topics/", "/retainedMessage")
_PROTOCOL: Final = "HTTPS"
_NOBODY: Final = "The request is not authenticated."
"""All that somebody is told whom no authorizer lets in."""


class DeviceDoor:
    def __init__(self, runtime: Runtime, broker: Broker) -> None:
        self._runtime, self._broker = runtime, broker
        self._model = model.load("iot-data")
        self._authorized = AuthorizedEntrance(runtime)

    def serves(self, scope: Mapping[str, Any], request: Request) -> bool:
        """A device's request: it came by the devices' listener and without a signature."""
        return (
            "tls" in scope.get("extensions", {})
            and request.raw_path.startswith(PREFIXES)
            and not request.headers.get("authorization", "").startswith("AWS4-")
            and "X-Amz-Signature=" not in request.query
        )

    async def answer(self, scope: Mapping[str, Any], request: Request, act: Act) -> Response:
        """Whatever happens, with a message and the correlation id (`traceId`), which is the act's."""
        operation: Operation | None = None
        try:
            operation, labels = self._model.match(request.method, request.raw_path)
            act, grounds, principal = await self._identify(scope, request, act)
            params = _params(operation, labels, request)
            _require(act, grounds, principal, operation.name, params)
            if operation.name == "Publish":
                await messages.publish(self._broker, act, params, principal)
                return _published(act)
            result = await ANSWERS[operation.name][0](self._broker, act, params)
            return codec.encode(operation, result, act.request_id)
        except Exception as error:  # noqa: BLE001 # whatever it is, the device gets an answer and the log the rest
            self._note(act, request, operation, error)
            return _refusal(error, operation, act.request_id)

    async def _identify(self, scope: Mapping[str, Any], request: Request, act: Act) -> tuple[Act, Grounds, Principal]:
        """Raises AccessDenied."""
        peer = _peer(scope)

        def look(tx: Tx) -> tuple[Principal, Grounds] | None:
            home = endpoints.home(tx, self._runtime.config.gateway, peer.server_name)
            if home is not None and home.domain is not None:
                if home.domain.authentication_type in CUSTOM:
                    return None
                endpoints.check(home.domain, _PROTOCOL, "AWS_X509")
            assert peer.fingerprint is not None
            found = access.identify(tx, peer.fingerprint, act.now, None if home is None else home.realm)
            return found, access.grounds(tx, found, None, peer.address)

        known = None
        named = custom_authentication.names_authorizer_over_http(request.headers, request.query)
        if peer.fingerprint is not None and not named:
            known = await self._runtime.database.glance(look)
        principal, grounds = known or await self._by_authorizer(scope, request, peer)
        return replace(act, realm=principal.realm, actor=principal.actor), grounds, principal

    async def _by_authorizer(self, scope: Mapping[str, Any], request: Request, peer: Peer) -> tuple[Principal, Grounds]:
        presented = custom_authentication.of_http(request.headers, request.query, peer.server_name)
        connection = repr(scope.get("client"))
        try:
            principal = await self._authorized.admit(peer, presented, _PROTOCOL, "Publish", connection)
        except Refused as error:
            raise AccessDenied(_NOBODY, reason=error.reason) from error
        if principal is None:
            raise AccessDenied(_NOBODY)
        address = peer.address
        grounds = await self._runtime.database.glance(lambda tx: access.grounds(tx, principal, None, address))
        return principal, grounds

    def _note(self, act: Act, request: Request, operation: Operation | None, error: Exception) -> None:
        if isinstance(error, Refused | Malformed | NoSuchOperation):
            reason = error.reason if isinstance(error, Refused) else str(error)
            action = "Request" if operation is None else operation.name
            self._runtime.refused(Refusal(act, action, f"{request.method} {request.raw_path}"[:200], reason))


def _peer(scope: Mapping[str, Any]) -> Peer:
    chain, address = _chain(scope), str((scope.get("client") or ("",))[0])
    fingerprint = certificate.fingerprint(x509.load_pem_x509_certificate(chain[0].encode())) if chain else None
    return Peer(fingerprint, scope["extensions"]["tls"].get("server_name"), address)


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


def _require(act: Act, grounds: Grounds, principal: Principal, operation: str, params: Params) -> None:
    """Raises AccessDenied, also for what a device has no business with."""
    if isinstance(principal, AuthorizerPrincipal) and operation != "Publish":
        raise AccessDenied(f"{operation} is not for devices that an authorizer lets in.")
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
            raise AccessDenied(verdict.explain("The device"))


def _published(act: Act) -> Response:
    body = json.dumps({"message": "OK", "traceId": act.request_id}).encode()
    return Response(200, {"content-type": "application/json", "x-amzn-requestid": act.request_id}, body)


def _refusal(error: Exception, operation: Operation | None, request_id: str) -> Response:
    if isinstance(error, AccessDenied):
        return codec.encode_error(None, FORBIDDEN, error.message, request_id, traceId=request_id)
    plain = answer_to(error, "iot-data", operation, request_id)
    body = json.dumps({**json.loads(plain.body), "traceId": request_id}).encode()
    return replace(plain, body=body)
