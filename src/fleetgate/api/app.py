"""The operators' door: an ASGI application that speaks AWS IoT's control plane, and of `iam` and `sts` what it needs.

    read the body -> check the signature -> match -> decode -> validate -> authorise -> run the handler -> encode

Beside it, unsigned: credentials for devices (`credential_provider`), `GET /_fleetgate/health`, revocation lists and
OCSP, signed links to reports, and on a dev server `POST /_fleetgate/reset`.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from fleetgate import __version__, operators
from fleetgate.api import actions, data_plane, reports, table
from fleetgate.api.credential_provider import CredentialProvider
from fleetgate.api.device_door import DeviceDoor
from fleetgate.api.handling import Asking, Params, Personal
from fleetgate.api.refusals import NotServed, TooLarge, TooSlow, answer_to
from fleetgate.api.revocation import StatusDoor
from fleetgate.api.services import IOT, SERVICES, Service
from fleetgate.broker import Broker
from fleetgate.database.port import Conflict
from fleetgate.errors import InvalidRequest, Refused, Unavailable, all_of
from fleetgate.names import NO_ACCOUNT, Act
from fleetgate.operators import Operator, Operators
from fleetgate.policy.variables import Values
from fleetgate.registry import outbox
from fleetgate.runtime import Refusal, Runtime
from fleetgate.wire.restjson import sigv4
from fleetgate.wire.restjson.message import Malformed, Request, Response
from fleetgate.wire.restjson.model import Operation
from fleetgate.wire.restjson.routes import NoSuchOperation
from fleetgate.wire.restjson.sigv4 import SignatureRefused
from fleetgate.wire.restjson.validate import problems

Scope: TypeAlias = dict[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[dict[str, Any]]]
Send: TypeAlias = Callable[[dict[str, Any]], Awaitable[None]]
Reset: TypeAlias = Callable[[], Awaitable[None]]

LARGEST_BODY: Final = 1024 * 1024
BODY_SECONDS: Final = 30.0
OWN: Final = "/_fleetgate/"

_SHOWN: Final = 200


def build(runtime: Runtime, reset: Reset | None = None, broker: Broker | None = None) -> Api:
    """The ASGI 3 application; *reset* is what a dev server does to empty itself, *broker* has the live connections."""
    if broker is None:
        return Api(runtime, reset)
    return Api(runtime, reset, {**SERVICES, **data_plane.services(broker)}, DeviceDoor(runtime, broker))


@dataclass(slots=True)
class _Exchange:
    """One request on its way; filled as it goes, so that a refusal can say how far it came."""

    act: Act
    scheme: str
    address: str
    """The client's."""
    service: str = IOT.name
    operator: Operator | None = None
    operation: Operation | None = None


class Api:
    def __init__(
        self,
        runtime: Runtime,
        reset: Reset | None = None,
        services: Mapping[str, Service] = SERVICES,
        devices: DeviceDoor | None = None,
    ) -> None:
        """*services* go by the name in a signature's scope. Raises RuntimeError where one and its model differ."""
        self._runtime = runtime
        self._reset = reset
        self._operators = Operators(runtime)
        self._services = services
        self._devices = devices
        for service in services.values():
            table.check(service.model, service.operations)
        self._status = StatusDoor(runtime)
        self._credentials = CredentialProvider(runtime)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"This application speaks HTTP only, not {scope['type']}.")
        raw_path = scope["raw_path"].decode("latin-1")
        if raw_path.startswith(reports.PREFIX):
            query = scope["query_string"].decode("latin-1")
            return await reports.serve(self._runtime, scope["method"], raw_path, query, send)
        if self._credentials.serves(scope):
            response: Response | None = await self._credentials.answer(scope)
        elif self._status.serves(raw_path):
            response = await self._status.answer(scope["method"], raw_path, receive)
        elif raw_path.startswith(OWN):
            response = await self._own(scope["method"], raw_path)
        else:
            response = await self._answer(scope, raw_path, receive)
        if response is not None:
            await _send(response, send)
        return None

    # --- AWS's -------------------------------------------------------------------------------------------------------

    async def _answer(self, scope: Scope, raw_path: str, receive: Receive) -> Response | None:
        """None when the client is gone."""
        runtime = self._runtime
        request_id = str(uuid.UUID(bytes=runtime.entropy(16), version=4))
        act = Act(NO_ACCOUNT, "unknown", runtime.clock(), request_id)
        exchange = _Exchange(act, scope.get("scheme", "http"), (scope.get("client") or ("",))[0])
        try:
            body = await _body(receive)
            if body is None:
                return None
            request = Request(
                scope["method"], raw_path, scope["query_string"].decode("latin-1"), _headers(scope["headers"]), body
            )
            if self._devices is not None and self._devices.serves(scope, request):
                return await self._devices.answer(scope, request, exchange.act)
            return await self._run(exchange, request)
        except Exception as error:  # noqa: BLE001 # whatever it is, the client gets an answer and the log the rest
            self._note(exchange, f"{scope['method']} {raw_path}"[:_SHOWN], error)
            return answer_to(error, exchange.service, exchange.operation, request_id)

    async def _run(self, exchange: _Exchange, request: Request) -> Response:
        service = await self._admit(exchange, request)
        operation, params_of = service.match(request)
        exchange.operation = operation
        handler = service.operations.get(operation.name)
        if handler is None:
            raise NotServed(
                f"fleetgate {__version__} does not serve {operation.name}; docs/coverage.md lists what it does."
            )
        params = params_of()
        if found := problems(operation, params):
            raise InvalidRequest(all_of(found))
        operator = exchange.operator
        assert operator is not None
        if not operator.unbounded or isinstance(handler, Personal):
            asking = Asking(operator, self._context(exchange, request, params))
            await self._authorise(exchange.act, asking, operation, params)
            handler = handler.asked_by(asking) if isinstance(handler, Personal) else handler
        result = await handler.run(self._runtime, exchange.act, operation.name, params)
        return service.encode(operation, result, exchange.act.request_id)

    async def _admit(self, exchange: _Exchange, request: Request) -> Service:
        """Raises SignatureRefused, InvalidRequest for a scope that names no region, NotServed for another service."""
        credential = sigv4.parse(request)
        exchange.service = credential.service
        service = self._services.get(credential.service)
        act = exchange.act
        claimed = await self._operators.claimed(credential, act.now, (service or IOT).forms)
        exchange.operator = operator = claimed.operator
        region = credential.region if service is None or service.region is None else service.region
        realm = operators.realm(operator.account, region)
        asked_at = f"{exchange.scheme}://{request.headers.get('host', '')}"
        exchange.act = Act(realm, operator.actor, act.now, act.request_id, asked_at)
        self._operators.verify(request, credential, claimed, act.now)
        if service is None:
            raise NotServed(
                f"fleetgate {__version__} does not serve {credential.service[:40]} here, only "
                f"{', '.join(self._services)}; docs/coverage.md lists what it does."
            )
        return service

    def _context(self, exchange: _Exchange, request: Request, params: Params) -> dict[str, Values]:
        agent = request.headers.get("user-agent", "")
        return actions.context(exchange.act, params, exchange.address, exchange.scheme, agent)

    async def _authorise(self, act: Act, asking: Asking, operation: Operation, params: Params) -> None:
        """Raises AccessDenied."""
        if asking.operator.unbounded:
            return
        asked = await self._runtime.database.glance(lambda tx: actions.asked(tx, act, operation, params))
        for each in asked:
            asking.operator.standing({**asking.context, **each.context}).require(each.action, each.resource)

    def _note(self, exchange: _Exchange, target: str, error: Exception) -> None:
        """Whoever was told no, not let in or not let do something, is in the audit trail."""
        match error:
            case SignatureRefused():
                action, reason = "Authenticate", f"{error.code}: {error.message}"
            case Refused():
                action, reason = "Request", error.reason
            case Conflict():
                action, reason = "Request", "somebody else changed the same at the same time"
            case Malformed() | NoSuchOperation() | NotServed() | TooLarge() | TooSlow():
                action, reason = "Request", str(error)
            case _:
                return
        if exchange.operation is not None:
            action = exchange.operation.name
        self._runtime.refused(Refusal(exchange.act, action, target, reason))

    # --- fleetgate's own ----------------------------------------------------------------------------------------------

    async def _own(self, method: str, path: str) -> Response | None:
        if (method, path) == ("GET", f"{OWN}health"):
            return await self._health()
        if (method, path) == ("POST", f"{OWN}reset") and self._reset is not None:
            await self._reset()
            return _json(200, {"status": "reset"})
        return _json(404, {"message": "Not Found"})

    async def _health(self) -> Response:
        try:
            await self._runtime.database.glance(lambda tx: outbox.pending(tx, 1))
        except Unavailable:
            return _json(503, {"status": "unavailable", "version": __version__})
        return _json(200, {"status": "ok", "version": __version__})


# --- ASGI -------------------------------------------------------------------------------------------------------------


async def _body(receive: Receive) -> bytes | None:
    """The whole body; None when the client went away. Raises TooLarge, TooSlow."""
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                chunks.append(message.get("body", b""))
                size += len(chunks[-1])
                if size > LARGEST_BODY:
                    raise TooLarge(f"The body is longer than {LARGEST_BODY} bytes.")
                if not message.get("more_body", False):
                    return b"".join(chunks)
    except TimeoutError as error:
        raise TooSlow(f"The body did not arrive within {BODY_SECONDS:.0f} seconds.") from error


def _headers(pairs: list[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers


def _json(status: int, body: dict[str, str]) -> Response:
    return Response(status, {"content-type": "application/json"}, json.dumps(body).encode())


async def _send(response: Response, send: Send) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.items()]
    headers.append((b"content-length", b"%d" % len(response.body)))
    if response.status in {408, 413}:  # whatever is left of the body would be read as the next request
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})
