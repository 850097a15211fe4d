"""The door itself: accept, TLS handshake, and then MQTT or HTTP by port and ALPN.

The inner protocol (`gateway.mqtt.Door`, or uvicorn's HTTP protocol) sees an ordinary transport that carries
plaintext. The peer's certificate is reported, not judged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol, cast

import structlog
from cryptography import x509
from OpenSSL import SSL

from fleetgate.wire.tls import Tls, TlsFailure

log = structlog.get_logger(__name__)

HANDSHAKE_SECONDS = 10.0
GOODBYE_SECONDS = 2.0
# For one connection that is closed, to take what is left to say: long enough for a slow link.
LINGER_SECONDS = 10.0
# A peer that does not read what it asked for may not fill the server's memory. More than a session's queue, which may
# come at once.
MOST_UNREAD = 10 * 1024 * 1024
# And one that has been asked to take what is waiting for it takes this much in this time, or is cut off: slow links do,
# also behind the kernel's own buffer, which is filled anew in large pieces.
STALL_SECONDS = 120.0
LEAST_TAKEN = 4 * 1024
# What is written while a piece of the peer's is taken in leaves together, up to here.
_MOST_HELD = 64 * 1024


class Visitor(Protocol):
    """What an inner protocol is told of the peer."""

    @property
    def certificate(self) -> x509.Certificate | None: ...
    @property
    def server_name(self) -> str | None: ...
    @property
    def address(self) -> str: ...


Admit = Callable[["Doorway"], asyncio.Protocol]


class Plain(asyncio.Transport):
    """What the inner protocol writes to: plaintext in, TLS records out."""

    def __init__(self, doorway: Doorway, outer: asyncio.Transport) -> None:
        super().__init__()
        self._doorway, self._outer = doorway, outer

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._doorway.change_to(cast("asyncio.Protocol", protocol))

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        # uvicorn asks for `sslcontext` to know that the scheme is https.
        return True if name == "sslcontext" else self._outer.get_extra_info(name, default)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._doorway.write(bytes(data))

    def is_closing(self) -> bool:
        return self._outer.is_closing()

    def close(self) -> None:
        self._doorway.close()

    def abort(self) -> None:
        self._outer.abort()

    def pause_reading(self) -> None:
        if not self._outer.is_closing():
            self._outer.pause_reading()

    def resume_reading(self) -> None:
        if not self._outer.is_closing():
            self._outer.resume_reading()

    def is_reading(self) -> bool:
        return self._outer.is_reading()

    def get_write_buffer_size(self) -> int:
        return self._outer.get_write_buffer_size()


class Doorway(asyncio.Protocol):
    """One accepted connection: TLS between the socket and the inner protocol that *admit* chooses."""

    __slots__ = (
        "_admit",
        "_held",
        "_here",
        "_inner",
        "_leave",
        "_outer",
        "_patience",
        "_sent",
        "_stalling",
        "_unsent",
        "_unwanted",
        "tls",
    )

    def __init__(self, context: SSL.Context, admit: Admit, leave: Callable[[Doorway], None]) -> None:
        self.tls = Tls(context)
        self._admit, self._leave = admit, leave
        self._inner: asyncio.Protocol | None = None
        self._held = False
        self._unsent = 0  # bytes written and not flushed yet
        self._sent = 0  # bytes handed to the socket
        self._stalling: asyncio.TimerHandle | None = None  # while writing is paused
        self._here = self._unwanted = False  # it has its transport; it was closed before that

    @property
    def certificate(self) -> x509.Certificate | None:
        return self.tls.peer

    @property
    def server_name(self) -> str | None:
        return self.tls.server_name

    @property
    def address(self) -> str:
        peer = self._outer.get_extra_info("peername")
        return str(peer[0]) if peer else ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._outer = cast("asyncio.Transport", transport)  # uvloop's own is not derived from it
        self._patience = asyncio.get_running_loop().call_later(HANDSHAKE_SECONDS, self._outer.abort)
        self._here = True
        if self._unwanted:
            self._outer.abort()

    def data_received(self, data: bytes) -> None:
        self._held = True  # whatever is written meanwhile leaves in one piece
        try:
            plain = self.tls.receive(data)
            if self._inner is None and self.tls.established:
                self._enter()
            if plain and self._inner is not None:
                self._inner.data_received(plain)
        except TlsFailure as failure:
            log.debug("tls refused", reason=str(failure), address=self.address)
            self._depart()
            return
        self._held = False
        self._flush()
        if self.tls.ended:
            self.close()

    def _enter(self) -> None:
        self._patience.cancel()
        self._inner = self._admit(self)
        self._inner.connection_made(Plain(self, self._outer))

    def change_to(self, inner: asyncio.Protocol) -> None:
        """From now on the plaintext is *inner*'s."""
        self._inner = inner

    def write(self, data: bytes) -> None:
        """Encrypt and send; a peer that lets more than `MOST_UNREAD` bytes wait is cut off."""
        if not data or self._outer.is_closing():
            return
        try:
            self.tls.send(data)
        except TlsFailure:
            self._outer.abort()
            return
        self._unsent += len(data)
        if not self._held or self._unsent > _MOST_HELD:
            self._flush()

    def _flush(self) -> None:
        self._unsent = 0
        if records := self.tls.outgoing():
            self._outer.write(records)
            self._sent += len(records)
            if self._outer.get_write_buffer_size() > MOST_UNREAD:
                log.info("connection cut off", reason="the peer does not read", address=self.address)
                self._outer.abort()

    def close(self) -> None:
        """Close after everything written has left, with a TLS goodbye."""
        if not self._here:
            self._unwanted = True
        elif not self._outer.is_closing():
            self.tls.close()
            self._depart()

    def _depart(self) -> None:
        """Close when what is left to say has been taken, or has not been for too long."""
        self._held = False
        self._flush()
        self._outer.close()
        self._patience.cancel()
        self._patience = asyncio.get_running_loop().call_later(LINGER_SECONDS, self._outer.abort)

    def abort(self) -> None:
        """Close at once, whatever is still to be sent."""
        if self._here:
            self._outer.abort()
        self._unwanted = True

    def pause_writing(self) -> None:
        self._watch()
        if self._inner is not None:
            self._inner.pause_writing()

    def _watch(self) -> None:
        """Look again in a while whether the peer takes what waits for it."""
        taken = self._taken()
        self._stalling = asyncio.get_running_loop().call_later(STALL_SECONDS, self._look, taken)

    def _look(self, taken: int) -> None:
        if self._taken() - taken >= LEAST_TAKEN:
            self._watch()
        else:
            log.info("connection cut off", reason="the peer has stopped reading", address=self.address)
            self._outer.abort()

    def _taken(self) -> int:
        return self._sent - self._outer.get_write_buffer_size()

    def _unwatch(self) -> None:
        if self._stalling is not None:
            self._stalling.cancel()
            self._stalling = None

    def resume_writing(self) -> None:
        self._unwatch()
        if self._inner is not None:
            self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._patience.cancel()
        self._unwatch()
        self._leave(self)
        if self._inner is not None:
            self._inner.connection_lost(exc)


class Listener:
    """Accepts on any number of addresses; over *most* connections at once, newcomers are turned away."""

    def __init__(self, most: int) -> None:
        self.contexts: dict[str, SSL.Context] = {}
        """By name, looked up at every accept: another context is shown from the next handshake on."""
        self._most = most
        self._inside: set[Doorway] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._servers: list[asyncio.Server] = []
        self._closing = False

    async def listen(self, host: str, port: int, context: str, admit: Admit) -> int:
        """Accept on *host*:*port* (0: any free one) with the *context* of that name; gives back the port."""

        def accept() -> asyncio.BaseProtocol:
            if self._closing:
                return Turned()
            if len(self._inside) >= self._most:
                log.warning("connection turned away", reason="maximum_connections", most=self._most)
                return Turned()
            doorway = Doorway(self.contexts[context], admit, self._leave)
            self._inside.add(doorway)
            self._empty.clear()
            return doorway

        server = await asyncio.get_running_loop().create_server(accept, host, port, backlog=4096, reuse_address=True)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    def _leave(self, doorway: Doorway) -> None:
        self._inside.discard(doorway)
        if not self._inside:
            self._empty.set()

    def stop(self) -> None:
        """Accept nobody any more; who is inside stays."""
        self._closing = True
        for server in self._servers:
            server.close()

    async def close(self) -> None:
        """Accept nobody any more and see everybody out; who does not take what is left to say in time is cut off."""
        self.stop()
        for doorway in tuple(self._inside):
            doorway.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_SECONDS):
                await self._empty.wait()
        for doorway in tuple(self._inside):
            doorway.abort()
        for server in self._servers:
            await server.wait_closed()


class Turned(asyncio.Protocol):
    """For a newcomer when the house is full: the door closes again."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()
