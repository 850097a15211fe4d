"""One MQTT connection's two directions: bytes in and packets out, one by one, and what is said in answer.

`mqtt.Door` says what each packet means; here is when the next one is taken, and how a connection ends.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Iterator

import structlog

from fleetgate.errors import FleetgateError
from fleetgate.gateway.courier import Courier
from fleetgate.wire.mqtt.connection import Connection, Role
from fleetgate.wire.mqtt.errors import ProtocolError, Reason
from fleetgate.wire.mqtt.packets import Connect, Packet, PubAck

log = structlog.get_logger(__name__)

# What a client may send while an earlier packet of its is being answered, before its socket is left unread.
_MOST_WAITING = 256 * 1024
# How long the acknowledgement of a request waits for the answer, to save both sides a packet.
_COMPANY_SECONDS = 0.05


class Conversation(asyncio.Protocol, ABC):
    """Bytes come in and go out through the plaintext transport of the listener or of a WebSocket; the protocol's own
    rules are `wire.mqtt`'s. Packets are taken one by one, and while one waits for the database or a hook the next stay
    unread.
    """

    def __init__(self, courier: Courier) -> None:
        self.client_id = ""
        self._courier = courier
        self._connection = Connection(Role.SERVER, courier.rules, courier.now())
        self._transport: asyncio.Transport
        self._patience: asyncio.TimerHandle
        self._busy: asyncio.Task[None] | None = None
        self._kept = b""
        self._keeping: asyncio.TimerHandle
        self._full = False  # the transport: the peer does not read
        self._paused = False  # the reading
        self._over = False
        self._ending: Reason | None = None  # why it is over, where this end said so

    @abstractmethod
    def _take(self, packet: Packet) -> Awaitable[None] | None:
        """What *packet* means; something to wait for, where it cannot be done at once. May raise ProtocolError."""

    @abstractmethod
    def _left(self) -> None:
        """The transport is gone; called once."""

    # -- the transport -----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        # Later, when the courier knows it, its `tick` keeps the time.
        patience = self._courier.rules.answer_timeout
        self._patience = asyncio.get_running_loop().call_later(patience, self._vanish)

    def data_received(self, data: bytes) -> None:
        if self._over:  # a WebSocket may have more frames in hand than were wanted
            return
        packets = self._connection.receive(data, self._courier.now())
        if self._busy is None and not self._full:
            self._go_through(packets)
        elif self._connection.waiting > _MOST_WAITING:
            self._pause()

    def pause_writing(self) -> None:
        """The peer does not read: nothing more is taken that would have to be answered."""
        self._full = True
        self._pause()

    def resume_writing(self) -> None:
        self._full = False
        self._go_on()

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._over = True
        self._patience.cancel()
        self._left()

    # -- packets in --------------------------------------------------------------------------------------------------

    def _go_through(self, packets: Iterator[Packet]) -> None:
        """Take packet after packet until one has to wait for something."""
        try:
            for packet in packets:
                later = self._take(packet)
                if later is not None:
                    # A CONNECT on SQLite needs not wait. Nor may some requests, but a chain of those has no bound.
                    task = self._courier.begin(self._finish(later), at_once=isinstance(packet, Connect))
                    self._busy = task or self._busy
                    return
                if self._full or self._over:
                    return
        except ProtocolError as error:
            self._close(error.reason, str(error))

    async def _finish(self, later: Awaitable[None]) -> None:
        try:
            await later
        except ProtocolError as error:
            self._close(error.reason, str(error))
        except FleetgateError as error:
            log.warning("connection closed", reason=error.message, client_id=self.client_id)
            self._close(Reason.SERVER_UNAVAILABLE, "the server cannot answer this now")
        except Exception:
            log.exception("connection closed", client_id=self.client_id)
            self._close(Reason.UNSPECIFIED_ERROR, "")
        self._busy = None
        self._go_on()

    def _go_on(self) -> None:
        """Take what was left lying, unless there still is a reason to let it lie."""
        if self._over or self._full or self._busy is not None:
            return
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        self._go_through(self._connection.receive(b"", self._courier.now()))

    # -- packets out -------------------------------------------------------------------------------------------------

    def _send(self, packet: Packet) -> None:
        if not self._over:
            self._write(self._connection.send(packet, self._courier.now()))

    def _send_in_company(self, packet: PubAck) -> None:
        """Send it with what is sent next, if that comes soon."""
        self._kept += self._connection.send(packet, self._courier.now())
        self._keeping = asyncio.get_running_loop().call_later(_COMPANY_SECONDS, self._write, b"")

    def _write(self, data: bytes) -> None:
        """Send *data*, after what was kept to leave together with it."""
        if self._kept:
            data, self._kept = self._kept + data, b""
            self._keeping.cancel()
        self._transport.write(data)

    def _close(self, reason: Reason, message: str) -> None:
        """Say why, where the version has words for it, and close."""
        if not self._over:
            self._over, self._ending = True, reason
            self._write(self._connection.farewell(reason, message))
            self._transport.close()

    def _vanish(self) -> None:
        """Close without a word: who is not known is told nothing."""
        self._over = True
        self._transport.close()
