"""The bus between nodes: a connection to an MQTT 5 broker that is made anew whenever it is lost.

The broker keeps a session for each node, under the node's name: what the others say while a node is away waits for it.
A message that came is acknowledged when it was dealt with, so a node that dies meanwhile hears of it again.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final, cast

import structlog

from fleetgate.errors import Unavailable
from fleetgate.wire.mqtt.connection import Connection, Role
from fleetgate.wire.mqtt.errors import ProtocolError, Reason
from fleetgate.wire.mqtt.packets import (
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PingReq,
    PubAck,
    Publish,
    QoS,
    SubAck,
    Subscribe,
    Subscription,
    Will,
)
from fleetgate.wire.mqtt.properties import Properties
from fleetgate.wire.mqtt.rules import STANDARD

log = structlog.get_logger(__name__)

RULES: Final = replace(STANDARD, answer_timeout=10)
KEEP_ALIVE: Final = 10
"""Seconds. A broker that says nothing for one and a half of them is left."""
SESSION_SECONDS: Final = 86_400
"""How long the broker keeps what was said to a node that is away."""
PATIENCE: Final = 10.0
"""Seconds that a message waits for the broker's acknowledgement."""
MOST_WAITING: Final = 10_000
"""Messages that wait for the broker; one more is refused."""
_LONGEST_WAIT: Final = 5.0
_OPEN_SECONDS: Final = 5.0

Take = Callable[[Publish], Awaitable[None] | None]
"""Deals with a message of another node; what it gives back, if anything, is awaited before the acknowledgement."""


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the bus is, and who comes."""

    host: str
    port: int
    node: str
    """The MQTT client identifier: the broker keeps this node's session under it."""
    context: ssl.SSLContext | None = None
    username: str | None = None
    password: bytes | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(eq=False, slots=True)
class _Waiting:
    """A message on its way to the broker."""

    message: Publish
    done: asyncio.Future[None]


class Bus:
    """`run` until cancelled. *filters* are subscribed to, without what this node says itself; *will* is what the broker
    says for this node when it is gone, *up* is called at each change of the connection.
    """

    def __init__(
        self,
        broker: Broker,
        filters: Sequence[str],
        take: Take,
        clock: Callable[[], int],
        *,
        will: Will | None = None,
        up: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self._broker, self._filters, self._take, self._clock = broker, tuple(filters), take, clock
        self._will, self._told = will, up
        self._link: _Link | None = None
        self._waiting: deque[_Waiting] = deque()  # not sent on this connection yet
        self._count = 0
        self.up = False

    def publish(self, message: Publish) -> asyncio.Future[None]:
        """To all other nodes; done when the broker has it. QoS 0 is done at once, and lost while there is no broker.

        The future raises Unavailable when the broker did not take the message within `PATIENCE`.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        done.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody has to look
        if message.qos == QoS.AT_MOST_ONCE:
            if self.up and self._link is not None:
                self._link.send(message)
            done.set_result(None)
            return done
        if self._count >= MOST_WAITING:
            done.set_exception(Unavailable("The bus between nodes takes no more messages; try again later."))
            return done
        self._count += 1
        waiting = _Waiting(message, done)
        alarm = loop.call_later(PATIENCE, _give_up, done)
        done.add_done_callback(lambda _: self._done(alarm))
        self._waiting.append(waiting)
        self._send_waiting()
        return done

    def _done(self, alarm: asyncio.TimerHandle) -> None:
        alarm.cancel()
        self._count -= 1

    def _send_waiting(self) -> None:
        while self.up and self._link is not None and self._waiting and self._link.room():
            waiting = self._waiting.popleft()
            if not waiting.done.done():
                self._link.publish(waiting)

    async def run(self) -> None:
        failures = 0
        try:
            while True:
                try:
                    await self._live()
                    failures = 0
                except (OSError, TimeoutError, ProtocolError, Unavailable) as error:
                    failures += 1
                    if failures in {1, 10, 100}:
                        log.warning("bus not reached", broker=str(self._broker), reason=str(error))
                most = min(_LONGEST_WAIT, 0.1 * 2 ** min(failures, 10))
                await asyncio.sleep(random.uniform(most / 2, most))  # noqa: S311 # nodes that come back at different times
        finally:
            self._close()

    async def _live(self) -> None:
        """One connection, from its opening to its end."""
        broker, loop = self._broker, asyncio.get_running_loop()
        link = _Link(self)
        async with asyncio.timeout(_OPEN_SECONDS):
            await loop.create_connection(lambda: link, broker.host, broker.port, ssl=broker.context)
            self._link = link
            try:
                await link.open(self._hello(), self._filters)
            except BaseException:
                link.abort()
                raise
        self._change(up=True)
        self._send_waiting()
        try:
            await link.over
        finally:
            link.abort()
            self._waiting.extendleft(reversed(link.unacknowledged()))
            self._change(up=False)

    def _hello(self) -> Connect:
        properties = Properties(session_expiry_interval=SESSION_SECONDS)
        return Connect(
            self._broker.node,
            clean_start=False,
            keep_alive=KEEP_ALIVE,
            username=self._broker.username,
            password=self._broker.password,
            will=self._will,
            properties=properties,
        )

    def _change(self, *, up: bool) -> None:
        if up != self.up:
            self.up = up
            log.info("bus connected" if up else "bus lost", broker=str(self._broker))
            self._told(up)

    def _close(self) -> None:
        if self._link is not None:
            self._link.leave()
        for waiting in self._waiting:
            if not waiting.done.done():
                waiting.done.set_exception(Unavailable("The server is stopping."))

    # -- as the link sees it -----------------------------------------------------------------------------------------

    def now(self) -> int:
        return self._clock()

    def came(self, message: Publish) -> Awaitable[None] | None:
        return self._take(message)

    def has_room(self) -> None:
        self._send_waiting()


def _give_up(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_exception(Unavailable("The bus between nodes does not answer; try again later."))


class _Link(asyncio.Protocol):
    """One connection to the broker."""

    def __init__(self, bus: Bus) -> None:
        loop = asyncio.get_running_loop()
        self._bus = bus
        self._connection = Connection(Role.CLIENT, RULES, bus.now())
        self._transport: asyncio.Transport | None = None
        self._opened: asyncio.Future[ConnAck] = loop.create_future()
        self._granted: asyncio.Future[SubAck] = loop.create_future()
        self.over: asyncio.Future[None] = loop.create_future()
        self._sent: dict[int, _Waiting] = {}
        self._window = 100
        self._late: deque[tuple[Publish, asyncio.Future[None]]] = deque()
        self._alarm: asyncio.TimerHandle | None = None

    async def open(self, hello: Connect, filters: Sequence[str]) -> None:
        """Raises Unavailable where the broker refuses."""
        self.send(hello)
        answer = await self._opened
        if answer.reason:
            said = answer.properties.get("reason_string", "")
            raise Unavailable(f"The broker refused the connection: {Reason(answer.reason).name} {said}".strip())
        self._window = min(1000, answer.properties.get("receive_maximum", 65_535))
        self._beat()
        wanted = tuple(Subscription(each, QoS.AT_LEAST_ONCE, no_local=True) for each in filters)
        self.send(Subscribe(self._connection.packet_id(), wanted))
        granted = await self._granted
        if any(reason >= Reason.UNSPECIFIED_ERROR for reason in granted.reasons):
            raise Unavailable("The broker refused the subscriptions of the bus; see to this user's rights there.")

    def room(self) -> bool:
        return len(self._sent) < self._window

    def publish(self, waiting: _Waiting) -> None:
        packet_id = self._connection.packet_id()
        self._sent[packet_id] = waiting
        self.send(replace(waiting.message, packet_id=packet_id))

    def unacknowledged(self) -> list[_Waiting]:
        """Sent again on the next connection: the broker may not have them."""
        return [waiting for waiting in self._sent.values() if not waiting.done.done()]

    def send(self, packet: Packet) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(self._connection.send(packet, self._bus.now()))

    # -- the transport -----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            for packet in self._connection.receive(data, self._bus.now()):
                self._heard(packet)
        except ProtocolError as error:
            log.warning("bus broken", reason=str(error))
            self._end(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc or ConnectionResetError("the broker closed the connection"))

    def _end(self, error: Exception) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        for future in (self._opened, self._granted):
            if not future.done():
                future.set_exception(error)
                future.exception()  # whoever still waits sees it; nobody may
        if not self.over.done():
            self.over.set_result(None)
        self.abort()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def leave(self) -> None:
        """Say goodbye; the session stays with the broker. The will is sent: others need not wait for this node."""
        with suppress(ProtocolError):
            self.send(Disconnect(Reason.DISCONNECT_WITH_WILL))
        if self._transport is not None:
            self._transport.close()

    def _beat(self) -> None:
        now = self._bus.now()
        if self._connection.overdue(now):
            self._end(TimeoutError("the broker says nothing"))
            return
        self.send(PingReq())
        self._alarm = asyncio.get_running_loop().call_later(KEEP_ALIVE / 2, self._beat)

    # -- packets -----------------------------------------------------------------------------------------------------

    def _heard(self, packet: Packet) -> None:
        match packet:
            case ConnAck():
                _settle(self._opened, packet)
            case SubAck():
                _settle(self._granted, packet)
            case PubAck():
                self._acknowledged(packet)
            case Publish():
                self._came(packet)
            case Disconnect():
                self._end(ConnectionResetError(f"the broker says goodbye: {Reason(packet.reason).name}"))

    def _acknowledged(self, packet: PubAck) -> None:
        waiting = self._sent.pop(packet.packet_id, None)
        if waiting is not None and not waiting.done.done():
            refused = packet.reason >= Reason.UNSPECIFIED_ERROR
            if refused:
                name = Reason(packet.reason).name
                waiting.done.set_exception(Unavailable(f"The broker of the bus did not take a message: {name}."))
            else:
                waiting.done.set_result(None)
        self._bus.has_room()

    def _came(self, message: Publish) -> None:
        later = self._bus.came(replace(message, packet_id=None))
        if later is not None:
            task = asyncio.ensure_future(later)
            task.add_done_callback(lambda done: self._dealt_with(message, done))
        elif message.packet_id is not None:
            self.send(PubAck(message.packet_id))

    def _dealt_with(self, message: Publish, done: asyncio.Future[Any]) -> None:
        """What could not be dealt with comes again: it stays unacknowledged until the next connection."""
        if done.cancelled() or done.exception() is not None:
            log.warning("message of another node not dealt with", topic=message.topic, reason=str(done))
            return
        if message.packet_id is not None:
            self.send(PubAck(message.packet_id))


def _settle(future: asyncio.Future[Any], value: object) -> None:
    if not future.done():
        future.set_result(value)
