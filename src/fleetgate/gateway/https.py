"""HTTP: uvicorn's protocol for one connection, on the operators' plain listener or behind the devices' TLS.

Both run the same ASGI app. On the devices' side it is told who is at the door by ASGI's `tls` extension: the peer's
certificate chain as PEM, and the server name it asked for.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import uvicorn
from cryptography.hazmat.primitives.serialization import Encoding
from uvicorn.server import ServerState

from fleetgate.gateway.listener import Visitor

_SECONDS_IDLE = 75


class HttpDoors:
    """Makes the HTTP protocol of each connection; all of them share one state."""

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
        self._state = ServerState()
        self._servers: list[asyncio.Server] = []

    def door(self, visitor: Visitor | None = None) -> asyncio.Protocol:
        """The protocol for one connection; *visitor* is the device at the other end of the TLS."""
        protocol: Any = self._config.http_protocol_class(  # type: ignore[call-arg] # typed as asyncio.Protocol only
            config=self._config, server_state=self._state, app_state={}
        )
        if visitor is not None:
            protocol.app = _Told(protocol.app, visitor)
        door: asyncio.Protocol = protocol
        return door

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
        for connection in tuple(self._state.connections):
            connection.shutdown()
        if self._state.tasks:
            await asyncio.wait(self._state.tasks, timeout=5)


class _Told:
    """The app, told who is at the door (ASGI TLS extension, version 0.2)."""

    def __init__(self, app: Any, visitor: Visitor) -> None:
        self._app, self._visitor = app, visitor

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        certificate = self._visitor.certificate
        chain = [certificate.public_bytes(Encoding.PEM).decode()] if certificate is not None else []
        scope.setdefault("extensions", {})["tls"] = {
            "server_cert": None,
            "client_cert_chain": chain,
            "client_cert_name": certificate.subject.rfc4514_string() if certificate is not None else None,
            "client_cert_error": None,
            "tls_version": None,
            "cipher_suite": None,
            "server_name": self._visitor.server_name,
        }
        await self._app(scope, receive, send)
