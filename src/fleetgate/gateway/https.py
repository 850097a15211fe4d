"""HTTP: uvicorn's protocol for one connection, on the operators' plain listener or behind the devices' TLS.

Both run the same ASGI app. On the devices' side it is told who is at the door by ASGI's `tls` extension: the peer's
certificate chain as PEM, and the server name it asked for.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import Any

import structlog
import uvicorn
from cryptography.hazmat.primitives.serialization import Encoding
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from fleetgate.gateway.listener import Turned, Visitor
from fleetgate.gateway.seldom import ABOUT_REQUESTS
from fleetgate.gateway.websocket import PATH, WebSockets
from fleetgate.wire.restjson.message import Request

log = structlog.get_logger(__name__)

LONGEST_HEAD = 64 * 1024
"""Bytes of a request's line and headers together, and of whatever else is no body."""
SECONDS_FOR_HEAD = 30.0
"""From the connection, or from a later request's first byte, until its headers are complete."""
MOST_OPERATORS = 1_000
"""Connections of operators; one more is turned away."""
MOST_DEVICES = 2_000
"""Connections of devices that speak HTTP. The listener bounds all of devices' connections, which are mostly MQTT."""
MOST_STRANGERS = 500
"""Connections on the devices' side without a certificate: whoever signs keeps no device out by coming often."""
_SECONDS_IDLE = 75
_PIECE = 16 * 1024
_TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class HttpDoors:
    """Makes the HTTP protocol of each connection; operators and devices are counted apart."""

    def __init__(self, app: Any) -> None:
        """*app* is an ASGI 3 application."""
        self._config = uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=_SECONDS_IDLE,
        )
        self._config.load()
        logging.getLogger("uvicorn.error").addFilter(ABOUT_REQUESTS)
        self._operators, self._devices, self._strangers = ServerState(), ServerState(), ServerState()
        self._servers: list[asyncio.Server] = []
        self.sockets: WebSockets | None = None
        """What devices' WebSockets lead to."""

    def door(self, visitor: Visitor | None = None) -> asyncio.Protocol:
        """The protocol for one connection; *visitor* is the device at the other end of the TLS, an operator is none.

        A device may come without a certificate, and sign its requests.
        """
        if visitor is None:
            return self._admit(self._operators, MOST_OPERATORS)
        known = visitor.certificate is not None
        protocol = self._admit(*((self._devices, MOST_DEVICES) if known else (self._strangers, MOST_STRANGERS)))
        if isinstance(protocol, _Door):
            protocol.app = _Told(protocol.app, visitor)
            protocol.visitor, protocol.sockets = visitor, self.sockets
        return protocol

    def _admit(self, state: ServerState, most: int) -> asyncio.Protocol:
        if len(state.connections) >= most:
            log.warning("connection turned away", most=most)
            return Turned()
        return _Door(config=self._config, server_state=state, app_state={})

    async def listen(self, host: str, port: int, context: ssl.SSLContext | None = None) -> int:
        """Accept on *host*:*port* (0: any free one) and give back the port."""
        server = await asyncio.get_running_loop().create_server(
            self.door, host, port, ssl=context, backlog=2048, reuse_address=True
        )
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Let requests finish that have begun, and close."""
        for server in self._servers:
            server.close()
        for connection in (
            *self._operators.connections,
            *self._devices.connections,
            *self._strangers.connections,
        ):
            connection.shutdown()
        if tasks := self._operators.tasks | self._devices.tasks | self._strangers.tasks:
            await asyncio.wait(tasks, timeout=5)


class _Door(HttpToolsProtocol):
    """uvicorn's protocol, which has a bound for bodies, and here one for all else: in bytes and in time."""

    def __init__(self, config: uvicorn.Config, server_state: ServerState, app_state: dict[str, Any]) -> None:
        super().__init__(config=config, server_state=server_state, app_state=app_state)
        self._patience: asyncio.TimerHandle | None = None
        self._head = 0
        self._heard_body = False
        self.visitor: Visitor | None = None
        self.sockets: WebSockets | None = None

    def _should_upgrade_to_ws(self) -> bool:
        return self.sockets is not None and self.url.partition(b"?")[0] == PATH

    def handle_websocket_upgrade(self) -> None:
        """The connection is MQTT's from here on, and counts as one of the listener's alone."""
        assert self.visitor is not None
        assert self.sockets is not None
        self._stop_waiting()
        self.connections.discard(self)
        path, _, query = self.url.partition(b"?")
        method = self.scope["method"]
        lines = [f"{method} ".encode() + self.url + b" HTTP/1.1", *(b": ".join(each) for each in self.headers)]
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in self.headers}
        request = Request(method, path.decode("latin-1"), query.decode("latin-1"), headers, b"")
        socket = self.sockets.open(self.visitor, request)
        self.transport.set_protocol(socket)
        socket.connection_made(self.transport)
        socket.data_received(b"\r\n".join(lines) + b"\r\n\r\n")

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """In pieces, so that a head that is too long is noticed before it is kept."""
        for at in range(0, len(data), _PIECE):
            piece = data[at : at + _PIECE]
            self._heard_body = False
            super().data_received(piece)
            if self.transport.is_closing():
                return
            self._head += 0 if self._heard_body else len(piece)
            if self._head > LONGEST_HEAD:
                log.info("refused", reason=f"the head of a request is longer than {LONGEST_HEAD} bytes")
                self.transport.write(_TOO_LONG)
                self.transport.close()
                return

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head = 0
        self._wait_for_head()

    def on_headers_complete(self) -> None:
        self._stop_waiting()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._heard_body = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._heard_body = True
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        if self._patience is None:
            self._patience = self.loop.call_later(SECONDS_FOR_HEAD, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


class _Told:
    """The app, told who is at the door (ASGI TLS extension, version 0.2)."""

    def __init__(self, app: Any, visitor: Visitor) -> None:
        self._app, self._visitor = app, visitor

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        certificate = self._visitor.certificate
        scope.setdefault("extensions", {})["tls"] = {
            "server_cert": None,
            "client_cert_chain": [] if certificate is None else [certificate.public_bytes(Encoding.PEM).decode()],
            "client_cert_name": None if certificate is None else certificate.subject.rfc4514_string(),
            "client_cert_error": None,
            "tls_version": None,
            "cipher_suite": None,
            "server_name": self._visitor.server_name,
        }
        await self._app(scope, receive, send)
