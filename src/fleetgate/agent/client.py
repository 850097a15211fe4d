"""A small MQTT client, 3.1.1 and 5: enough for a device that provisions itself and then speaks for itself.

    client = await dial(endpoint, context, Connect("device-1", V4, keep_alive=60))
    await client.subscribe("cmd/device-1")
    await client.publish("data/device-1", b"21.5")
    async for message in client.messages(): ...
    await client.disconnect()

One event loop, one connection, no reconnecting: who wants that calls `dial` again. All that goes wrong is an
`AgentFailed` that says what was being done.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, Final, TypeVar, cast

from fleetgate.agent.errors import AgentFailed, ConnectionLost, Declined, TimedOut, TlsFailed, Unreachable, described
from fleetgate.agent.tls import Endpoint, failure
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
    UnsubAck,
    Unsubscribe,
)
from fleetgate.wire.mqtt.properties import Properties
from fleetgate.wire.mqtt.rules import STANDARD

T = TypeVar("T")

RULES: Final = replace(STANDARD, answer_timeout=30)
MOST_UNREAD: Final = 1000
"""Messages that nobody has taken yet; the oldest is dropped for the newest."""
_GOODBYE_SECONDS: Final = 2.0
_UNADMITTED: Final = (
    "the server closed it without a word, as servers do with certificates that they do not know or that are not "
    "active, and with client ids that the certificate's policy does not allow"
)
_CLOSED: Final = "the server closed it without a word, as MQTT 3.1.1 servers do when a policy does not allow something"


async def dial(endpoint: Endpoint, context: ssl.SSLContext, connect: Connect, timeout: float = 10.0) -> Client:  # noqa: ASYNC109 # the step is named in the error
    """A client whose CONNECT was accepted. *timeout* (seconds) is for TCP and TLS, and again for the CONNACK.

    Raises Unreachable, TlsFailed, TimedOut, ConnectionLost and Declined.
    """
    client = Client()
    where = str(endpoint)
    try:
        async with asyncio.timeout(timeout):
            await asyncio.get_running_loop().create_connection(
                lambda: client,
                endpoint.host,
                endpoint.port,
                ssl=context,
                server_hostname=endpoint.server_name or endpoint.host,
                ssl_shutdown_timeout=_GOODBYE_SECONDS,
            )
    except TimeoutError as error:
        raise TimedOut(f"opening TLS to {where}", timeout) from error
    except ssl.SSLError as error:
        why, retryable = failure(error)
        raise TlsFailed(where, why, retryable=retryable) from error
    except OSError as error:
        raise Unreachable(where, error.strerror or str(error)) from error
    try:
        await client.open(connect, timeout)
    except BaseException:
        client.abort()
        raise
    return client


class Client(asyncio.Protocol):
    """The protocol of one connection: `dial` makes it."""

    def __init__(self) -> None:
        self.connack = ConnAck()
        """The server's answer to CONNECT: its properties hold an assigned client id, limits and so on."""
        self._loop = asyncio.get_running_loop()
        self._connection = Connection(Role.CLIENT, RULES, self._now())
        self._transport: asyncio.Transport
        self._opening: asyncio.Future[ConnAck] = self._loop.create_future()
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._lost: AgentFailed | None = None
        self._leaving = False
        self._answers: dict[int, asyncio.Future[PubAck | SubAck | UnsubAck]] = {}
        self._expected: list[tuple[frozenset[str], asyncio.Future[Publish]]] = []
        self._unread: deque[Publish] = deque(maxlen=MOST_UNREAD)
        self._arrived = asyncio.Event()
        self._alarm: asyncio.TimerHandle | None = None

    # -- what a device does ------------------------------------------------------------------------------------------

    async def open(self, connect: Connect, timeout: float) -> None:  # noqa: ASYNC109 # the step is named in the error
        """Send CONNECT and wait for the server's yes. Raises Declined, ConnectionLost, TimedOut."""
        if self._lost is None:
            self._send(connect)
        self.connack = await self._wait(self._opening, "waiting for CONNACK", timeout)
        if self.connack.reason:
            said = self.connack.properties.get("reason_string", "")
            raise Declined("the connection", self.connack.reason, said)

    async def subscribe(
        self,
        *topic_filters: str,
        qos: QoS = QoS.AT_LEAST_ONCE,
        timeout: float = 10.0,  # noqa: ASYNC109 # the step is named in the error
    ) -> None:
        """One SUBSCRIBE, granted in whole. Raises Declined with the first filter that is refused, and as `publish`."""
        subscriptions = tuple(Subscription(each, qos) for each in topic_filters)
        packet = Subscribe(self._connection.packet_id(), subscriptions)
        answer = await self._ask(packet, packet.packet_id, f"subscribing to {', '.join(topic_filters)}", timeout)
        assert isinstance(answer, SubAck)
        for topic_filter, reason in zip(topic_filters, answer.reasons, strict=True):
            if reason >= Reason.UNSPECIFIED_ERROR:
                raise Declined(f"the subscription to {topic_filter}", reason, _said(answer))

    async def unsubscribe(self, *topic_filters: str, timeout: float = 10.0) -> None:  # noqa: ASYNC109 # as above
        """Raises as `subscribe` does."""
        packet = Unsubscribe(self._connection.packet_id(), topic_filters)
        answer = await self._ask(packet, packet.packet_id, f"unsubscribing from {', '.join(topic_filters)}", timeout)
        refused = [reason for reason in answer.reasons if reason >= Reason.UNSPECIFIED_ERROR]  # type: ignore[union-attr] # an UNSUBACK
        if refused:
            raise Declined(f"to unsubscribe from {', '.join(topic_filters)}", refused[0], _said(answer))

    async def publish(
        self,
        topic: str,
        payload: bytes = b"",
        qos: QoS = QoS.AT_LEAST_ONCE,
        *,
        retain: bool = False,
        timeout: float = 10.0,  # noqa: ASYNC109 # the step is named in the error
    ) -> None:
        """With QoS 1, until the server has acknowledged it. Raises Declined, ConnectionLost, TimedOut."""
        packet = Publish(topic, payload, qos, retain)
        if qos is QoS.AT_MOST_ONCE:
            self._check()
            self._send(packet)
            return
        packet = replace(packet, packet_id=self._connection.packet_id())
        assert packet.packet_id is not None
        answer = await self._ask(packet, packet.packet_id, f"publishing to {topic}", timeout)
        assert isinstance(answer, PubAck)
        if answer.reason >= Reason.UNSPECIFIED_ERROR:
            raise Declined(f"the message to {topic}", answer.reason, _said(answer))

    @contextmanager
    def expecting(self, *topics: str) -> Iterator[Expected]:
        """The next message on one of *topics*, which `messages` then does not see: begin to wait before asking for it.

        >>> with client.expecting("a/accepted", "a/rejected") as answer:
        ...     await client.publish("a", b"{}")
        ...     message = await answer.within(10)
        """
        future: asyncio.Future[Publish] = self._loop.create_future()
        entry = (frozenset(topics), future)
        self._expected.append(entry)
        if self._lost is not None:
            _fail(future, self._lost)
        try:
            yield Expected(self, topics, future)
        finally:
            with suppress(ValueError):
                self._expected.remove(entry)
            future.cancel()

    async def messages(self) -> AsyncIterator[Publish]:
        """Every message that comes and that nobody expects. Ends with ConnectionLost; without error after
        `disconnect`.
        """
        while True:
            while self._unread:
                yield self._unread.popleft()
            if self._lost is not None:
                raise self._lost
            if self._closed.done():
                return
            self._arrived.clear()
            await self._arrived.wait()

    async def disconnect(self) -> None:
        """Say goodbye and close: a will is not sent. Safe to call on a connection that is lost."""
        if self.alive:
            self._leaving = True
            with suppress(ProtocolError):
                self._transport.write(self._connection.send(Disconnect(), self._now()))
            self._transport.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await asyncio.shield(self._closed)
        self.abort()

    def abort(self) -> None:
        """Drop the connection as it is."""
        self._leaving = True
        if not self._closed.done():
            self._transport.abort()

    @property
    def alive(self) -> bool:
        return self._lost is None and not self._leaving and not self._closed.done()

    # -- asyncio's side ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none of asyncio's classes

    def data_received(self, data: bytes) -> None:
        try:
            for packet in self._connection.receive(data, self._now()):
                self._take(packet)
        except ProtocolError as error:
            self._transport.write(self._connection.farewell(error.reason, str(error)))
            self._give_up(f"the server broke the protocol ({error})")
        self._set_alarm()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._closed.done():
            self._closed.set_result(None)
        if self._alarm is not None:
            self._alarm.cancel()
        if isinstance(exc, ssl.SSLError):
            why, retryable = failure(exc)
            peer = self._transport.get_extra_info("peername") or ("the server",)
            self._lose(TlsFailed(str(peer[0]), why, retryable=retryable))
        elif exc is not None:
            self._lose(ConnectionLost("waiting", str(exc)))
        else:
            self._lose(ConnectionLost("waiting", _CLOSED if self._opening.done() else _UNADMITTED))

    # -- packets -----------------------------------------------------------------------------------------------------

    def _take(self, packet: Packet) -> None:
        match packet:
            case ConnAck():
                if not self._opening.done():
                    self._opening.set_result(packet)
            case Publish():
                if packet.packet_id is not None:
                    self._send(PubAck(packet.packet_id))
                self._hand_over(packet)
            case PubAck() | SubAck() | UnsubAck():
                future = self._answers.get(packet.packet_id)
                if future is not None and not future.done():
                    future.set_result(packet)
            case Disconnect():
                said = packet.properties.get("reason_string", "")
                why = f"the server said {described(packet.reason)}{': ' if said else ''}{said}"
                self._give_up(why, packet.reason)

    def _hand_over(self, message: Publish) -> None:
        for topics, future in self._expected:
            if message.topic in topics and not future.done():
                future.set_result(message)
                return
        self._unread.append(message)
        self._arrived.set()

    def _send(self, packet: Packet) -> None:
        self._transport.write(self._connection.send(packet, self._now()))
        self._set_alarm()

    def _check(self) -> None:
        if self._lost is not None:
            raise self._lost
        if not self.alive:
            raise ConnectionLost("sending", "it was closed on this side")

    async def _ask(self, packet: Packet, packet_id: int, step: str, seconds: float) -> PubAck | SubAck | UnsubAck:
        """Send and wait for the answer under the same packet identifier."""
        future: asyncio.Future[PubAck | SubAck | UnsubAck] = self._loop.create_future()
        self._answers[packet_id] = future
        try:
            self._check()
            self._send(packet)
            return await self._wait(future, step, seconds)
        except ProtocolError as error:
            raise Declined(step, error.reason, str(error)) from error
        finally:
            del self._answers[packet_id]

    async def _wait(self, future: Awaitable[T], step: str, seconds: float) -> T:
        try:
            async with asyncio.timeout(seconds):
                return await future
        except TimeoutError:
            raise TimedOut(step, seconds) from None
        except ConnectionLost as lost:
            raise ConnectionLost(step, lost.why, lost.reason_code) from None

    # -- the end -----------------------------------------------------------------------------------------------------

    def _give_up(self, why: str, reason: Reason | None = None) -> None:
        self._lose(ConnectionLost("waiting", why, reason))
        self._transport.close()

    def _lose(self, error: AgentFailed) -> None:
        """Tell everybody who waits; the first reason counts."""
        if self._lost is None and not self._leaving:
            self._lost = error
        told = self._lost or ConnectionLost("waiting", "it was closed on this side")
        waiting: list[asyncio.Future[Any]] = [self._opening, *self._answers.values()]
        for future in [*waiting, *(future for _, future in self._expected)]:
            _fail(future, told)
        self._arrived.set()

    # -- keep-alive --------------------------------------------------------------------------------------------------

    def _now(self) -> int:
        return int(self._loop.time() * 1000)

    def _set_alarm(self) -> None:
        """At the connection's next deadline. One that is set for earlier looks again when it rings, so that a busy
        connection does not set one for each packet.
        """
        deadline = self._connection.deadline()
        if deadline is None or self._closed.done():
            return
        if self._alarm is None or self._alarm.cancelled() or self._alarm.when() > deadline / 1000:
            if self._alarm is not None:
                self._alarm.cancel()
            self._alarm = self._loop.call_at(deadline / 1000, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        now = self._now()
        if self._connection.overdue(now):
            self._give_up("the server does not answer any more")
            self._transport.abort()
        elif self._connection.ping_due(now):
            self._send(PingReq())
        else:
            self._set_alarm()


class Expected:
    """A message that is waited for."""

    def __init__(self, client: Client, topics: tuple[str, ...], future: asyncio.Future[Publish]) -> None:
        self._client, self._topics, self._future = client, topics, future

    async def within(self, seconds: float, step: str = "") -> Publish:
        """The message. Raises TimedOut, ConnectionLost, which name *step*, or the topics."""
        step = step or f"waiting for {' or '.join(self._topics)}"
        return await self._client._wait(self._future, step, seconds)  # noqa: SLF001 # of one piece with the client


def _fail(future: asyncio.Future[T], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # marks it as seen: whoever waits is told, and nobody has to


def _said(answer: PubAck | SubAck | UnsubAck) -> str:
    properties: Properties = answer.properties
    return properties.get("reason_string", "")
