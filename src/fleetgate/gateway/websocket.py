"""MQTT over WebSocket (RFC 6455; MQTT 5, 6): `GET /mqtt` with the subprotocol `mqtt` becomes a connection of the door.

Who signed the URL is its principal; nobody else is told more than 403. Frames need not match packets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import structlog
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    RejectData,
    TextMessage,
)
from wsproto.events import Request as Upgrade
from wsproto.utilities import ProtocolError

from fleetgate.errors import FleetgateError
from fleetgate.gateway.listener import Visitor
from fleetgate.gateway.signed import SignedEntrance, Upgraded
from fleetgate.names import NO_ACCOUNT
from fleetgate.runtime import Refusal, Runtime
from fleetgate.wire.restjson.message import Request
from fleetgate.wire.restjson.sigv4 import SignatureRefused

log = structlog.get_logger(__name__)

PATH: Final = b"/mqtt"
_SUBPROTOCOLS: Final = ("mqtt", "mqttv3.1")
_MOST_EARLY: Final = 64 * 1024
"""Bytes that a client may send before it is told that it is in."""


class WebSockets:
    """Makes the protocol of each WebSocket; *door* is that of MQTT."""

    def __init__(self, runtime: Runtime, door: Callable[[Visitor], asyncio.Protocol]) -> None:
        self.runtime, self.door = runtime, door
        self.signed = SignedEntrance(runtime)

    def open(self, visitor: Visitor, request: Request) -> WebSocket:
        return WebSocket(self, visitor, request)


class WebSocket(asyncio.Protocol):
    """One WebSocket, given the bytes of its upgrade and of all that follows."""

    def __init__(self, sockets: WebSockets, visitor: Visitor, request: Request) -> None:
        self._sockets, self._visitor, self._request = sockets, visitor, request
        self._frames = WSConnection(ConnectionType.SERVER)
        self._door: asyncio.Protocol | None = None
        self._opening: asyncio.Task[None] | None = None
        self._early = b""
        self._outer: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._outer = transport  # type: ignore[assignment] # uvloop's own and the listener's are not derived from it

    def data_received(self, data: bytes) -> None:
        if self._opening is not None and self._door is None:
            self._early += data
            if len(self._early) > _MOST_EARLY:
                self._outer.abort()
            return
        try:
            self._frames.receive_data(data)
            for event in self._frames.events():
                self._take(event)
        except ProtocolError as error:
            log.info("connection closed", reason=str(error), address=self._visitor.address)
            self._outer.close()

    def _take(self, event: Event) -> None:
        match event:
            case Upgrade():
                self._opening = asyncio.get_running_loop().create_task(self._open(event))
            case BytesMessage() if self._door is not None:
                self._door.data_received(bytes(event.data))
            case TextMessage():  # [MQTT-6.0.0-1]
                self.send(CloseConnection(1003, "MQTT is sent in binary frames"))
                self._outer.close()
            case Ping():
                self.send(event.response())
            case CloseConnection():
                self.send(event.response())
                self._outer.close()

    async def _open(self, upgrade: Upgrade) -> None:
        """Who is it? Then the answer to the upgrade, and whatever came early."""
        subprotocol = next((each for each in _SUBPROTOCOLS if each in upgrade.subprotocols), None)
        if subprotocol is None:
            self._reject(400, b"The subprotocol must be mqtt.")
            return
        principal = None
        try:
            if "X-Amz-Signature=" in self._request.query:
                principal = await self._sockets.signed.identify(self._request)
        except (SignatureRefused, FleetgateError) as error:
            runtime, reason = self._sockets.runtime, error.message
            act = runtime.act(NO_ACCOUNT, "unknown")
            runtime.refused(Refusal(act, "Connect", "GET /mqtt", reason))
            log.info("refused", action="Connect", reason=reason, address=self._visitor.address)
            self._reject(403, reason.encode())
            return
        if self._outer.is_closing():
            return
        self.send(AcceptConnection(subprotocol=subprotocol))
        visitor = Upgraded(self._request, self._visitor.server_name, self._visitor.address, principal)
        door = self._sockets.door(visitor)
        door.connection_made(Framed(self, self._outer))
        self._door = door
        early, self._early = self._early, b""
        self.data_received(early)

    def _reject(self, status: int, body: bytes) -> None:
        headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body)), (b"connection", b"close")]
        self._outer.write(self._frames.send(RejectConnection(status_code=status, headers=headers, has_body=True)))
        self._outer.write(self._frames.send(RejectData(data=body)))
        self._outer.close()

    def send(self, event: Event) -> None:
        if not self._outer.is_closing():
            self._outer.write(self._frames.send(event))

    def pause_writing(self) -> None:
        if self._door is not None:
            self._door.pause_writing()

    def resume_writing(self) -> None:
        if self._door is not None:
            self._door.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._opening is not None:
            self._opening.cancel()
        if self._door is not None:
            self._door.connection_lost(exc)


class Framed(asyncio.Transport):
    """What the door writes to: packets in, binary frames out."""

    def __init__(self, socket: WebSocket, outer: asyncio.Transport) -> None:
        super().__init__()
        self._socket, self._outer = socket, outer

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._outer.get_extra_info(name, default)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if data:
            self._socket.send(BytesMessage(bytes(data)))

    def is_closing(self) -> bool:
        return self._outer.is_closing()

    def close(self) -> None:
        if not self._outer.is_closing():
            self._socket.send(CloseConnection(1000))
            self._outer.close()

    def abort(self) -> None:
        self._outer.abort()

    def pause_reading(self) -> None:
        self._outer.pause_reading()

    def resume_reading(self) -> None:
        self._outer.resume_reading()

    def get_write_buffer_size(self) -> int:
        return self._outer.get_write_buffer_size()
