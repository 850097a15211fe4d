"""The client against the other end of `wire.mqtt`, back to back."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable

import pytest
from tests.unit.agent.cloud import Peer

from fleetgate.agent import tls
from fleetgate.agent.client import MOST_UNREAD, Client, dial
from fleetgate.agent.errors import ConnectionLost, Declined, TimedOut, TlsFailed, Unreachable
from fleetgate.agent.tls import Endpoint
from fleetgate.wire.mqtt.errors import Reason
from fleetgate.wire.mqtt.packets import (
    V4,
    V5,
    ConnAck,
    Connect,
    Disconnect,
    PingReq,
    PubAck,
    Publish,
    QoS,
    SubAck,
    Subscribe,
    UnsubAck,
    Unsubscribe,
)
from fleetgate.wire.mqtt.properties import Properties

SOON = 0.02
"""Seconds for what is waited for in vain."""
PATIENCE = 10.0
"""For what comes."""


async def connected(version: int = V5, keep_alive: int = 0) -> tuple[Client, Peer]:
    client = Client()
    peer = Peer(client)
    await client.open(Connect("c", version, keep_alive=keep_alive), PATIENCE)
    return client, peer


async def test_connect() -> None:
    client, peer = await connected()
    assert peer.packets == [Connect("c", V5)]
    assert client.connack.properties["maximum_qos"] == 1
    assert client.alive


async def test_connect_is_declined() -> None:
    client = Client()
    peer = Peer(client)
    peer.answers[Connect] = ConnAck(Reason.NOT_AUTHORIZED, properties=Properties(reason_string="no statement"))
    with pytest.raises(
        Declined, match=r"refused the connection with not authorized \(0x87\): no statement\."
    ) as caught:
        await client.open(Connect("c"), PATIENCE)
    assert not caught.value.retryable


async def test_connect_is_declined_in_3_1_1() -> None:
    client = Client()
    peer = Peer(client)
    peer.answers[Connect] = ConnAck(Reason.SERVER_UNAVAILABLE)
    with pytest.raises(Declined, match=r"server unavailable \(0x88\)\.") as caught:
        await client.open(Connect("c", V4), PATIENCE)
    assert caught.value.retryable


async def test_no_answer_to_connect() -> None:
    client = Client()
    Peer(client).silent.add(Connect)
    with pytest.raises(TimedOut, match="while waiting for CONNACK"):
        await client.open(Connect("c"), SOON)


async def test_a_server_that_closes_before_its_connack() -> None:
    client = Client()
    peer = Peer(client)
    peer.silent.add(Connect)
    opening = asyncio.create_task(client.open(Connect("c"), 1))
    await asyncio.sleep(0)
    peer.pipe.lose()
    with pytest.raises(
        ConnectionLost, match="while waiting for CONNACK: the server closed it without a word, as"
    ) as it:
        await opening
    assert it.value.retryable
    assert not client.alive


async def test_a_connection_lost_before_it_could_ask() -> None:
    client = Client()
    peer = Peer(client)
    peer.pipe.lose(ConnectionResetError("reset"))
    await asyncio.sleep(0)
    with pytest.raises(ConnectionLost, match="while waiting for CONNACK: reset"):
        await client.open(Connect("c"), PATIENCE)


async def test_a_server_that_refuses_the_certificate_after_the_handshake() -> None:
    client = Client()
    peer = Peer(client)
    refusal = ssl.SSLError(1, "")
    refusal.reason = "TLSV13_ALERT_CERTIFICATE_REQUIRED"
    peer.pipe.lose(refusal)
    await asyncio.sleep(0)
    with pytest.raises(TlsFailed, match="TLS with the server failed: tlsv13 alert certificate required"):
        await client.open(Connect("c"), PATIENCE)


@pytest.mark.parametrize("version", [V4, V5])
async def test_publish_waits_for_the_acknowledgement(version: int) -> None:
    client, peer = await connected(version)
    await client.publish("a/b", b"1")
    assert peer.packets[1:] == [Publish("a/b", b"1", QoS.AT_LEAST_ONCE, packet_id=1)]


async def test_publish_at_most_once_waits_for_nothing() -> None:
    client, peer = await connected()
    await client.publish("a/b", b"1", QoS.AT_MOST_ONCE, retain=True)
    await client.publish("a/b", b"2")
    assert [(each.payload, each.qos, each.retain) for each in peer.packets if isinstance(each, Publish)] == [
        (b"1", 0, True),
        (b"2", 1, False),
    ]


async def test_a_message_is_declined() -> None:
    client, peer = await connected()
    peer.answers[Publish] = PubAck(1, Reason.NOT_AUTHORIZED, Properties(reason_string="no statement"))
    with pytest.raises(Declined, match=r"refused the message to a/b with not authorized \(0x87\): no statement"):
        await client.publish("a/b")
    assert client.alive


async def test_a_server_that_closes_instead_of_acknowledging() -> None:
    client, peer = await connected(V4)
    peer.silent.add(Publish)
    publishing = asyncio.create_task(client.publish("a/b"))
    await asyncio.sleep(0)
    peer.pipe.lose()
    with pytest.raises(ConnectionLost, match="while publishing to a/b: the server closed it without a word, as MQTT 3"):
        await publishing
    for again in (client.publish("a/b"), client.publish("a/b", qos=QoS.AT_MOST_ONCE), client.subscribe("a")):
        with pytest.raises(ConnectionLost):
            await again


async def test_a_server_that_says_why_it_closes() -> None:
    client, peer = await connected()
    peer.answers[Publish] = Disconnect(Reason.SERVER_SHUTTING_DOWN, Properties(reason_string="see you"))
    with pytest.raises(ConnectionLost, match=r"server shutting down \(0x8B\): see you") as caught:
        await client.publish("a/b")
    assert caught.value.reason_code is Reason.SERVER_SHUTTING_DOWN
    assert caught.value.retryable


async def test_no_acknowledgement() -> None:
    client, peer = await connected()
    peer.silent.add(Publish)
    with pytest.raises(TimedOut, match="while publishing to a/b"):
        await client.publish("a/b", timeout=SOON)
    peer.send(PubAck(1))  # too late: nobody waits any more
    await client.subscribe("a")


async def test_what_the_server_cannot_take_is_not_sent() -> None:
    client, _ = await connected()
    with pytest.raises(Declined, match="refused publishing to a/b with qos not supported"):
        await client.publish("a/b", qos=QoS.EXACTLY_ONCE)


async def test_subscribe_and_unsubscribe() -> None:
    client, peer = await connected()
    await client.subscribe("a", "b/#")
    await client.unsubscribe("a", "b/#")
    subscribe, unsubscribe = peer.packets[1:]
    assert isinstance(subscribe, Subscribe)
    assert [each.topic_filter for each in subscribe.subscriptions] == ["a", "b/#"]
    assert isinstance(unsubscribe, Unsubscribe)
    assert unsubscribe.topic_filters == ("a", "b/#")


async def test_a_subscription_is_declined() -> None:
    client, peer = await connected()
    peer.answers[Subscribe] = SubAck(1, (Reason.GRANTED_QOS_0, Reason.NOT_AUTHORIZED), Properties(reason_string="no"))
    with pytest.raises(Declined, match=r"refused the subscription to b with not authorized \(0x87\): no"):
        await client.subscribe("a", "b")


async def test_to_unsubscribe_is_declined() -> None:
    client, peer = await connected()
    peer.answers[Unsubscribe] = UnsubAck(1, (Reason.NO_SUBSCRIPTION_EXISTED, Reason.UNSPECIFIED_ERROR))
    with pytest.raises(Declined, match="refused to unsubscribe from a, b with unspecified error"):
        await client.unsubscribe("a", "b")


async def test_messages_come_in_order_and_are_acknowledged() -> None:
    client, peer = await connected()
    peer.send(Publish("a", b"1", QoS.AT_LEAST_ONCE, packet_id=7))
    peer.send(Publish("a", b"2"))
    messages = client.messages()
    assert [(await anext(messages)).payload for _ in range(2)] == [b"1", b"2"]
    await asyncio.sleep(0)
    assert peer.packets[1:] == [PubAck(7)]
    waiting = asyncio.ensure_future(anext(messages))
    await asyncio.sleep(0)
    peer.send(Publish("b", b"3"))
    assert (await waiting).payload == b"3"


async def test_messages_end_with_the_reason_of_the_end() -> None:
    client, peer = await connected()
    peer.send(Publish("a", b"1"))
    peer.send(Disconnect(Reason.SESSION_TAKEN_OVER))
    messages = client.messages()
    assert (await anext(messages)).payload == b"1"
    with pytest.raises(ConnectionLost, match="session taken over"):
        await anext(messages)


async def test_messages_end_without_error_after_disconnect() -> None:
    client, peer = await connected()
    peer.send(Publish("a", b"1"))
    waiting = asyncio.create_task(_all(client))
    await asyncio.sleep(0)
    await client.disconnect()
    assert [each.payload for each in await waiting] == [b"1"]
    assert peer.packets[1:] == [Disconnect()]


async def _all(client: Client) -> list[Publish]:
    return [message async for message in client.messages()]


async def test_messages_that_nobody_takes_do_not_fill_the_memory() -> None:
    client, peer = await connected()
    for number in range(MOST_UNREAD + 1):
        peer.send(Publish("a", str(number).encode()))
    await asyncio.sleep(0)
    assert (await anext(client.messages())).payload == b"1", "the oldest gave way"


async def test_an_expected_message_goes_to_whoever_expects_it() -> None:
    client, peer = await connected()
    with client.expecting("a/accepted", "a/rejected") as answer, client.expecting("b") as other:
        peer.send(Publish("c", b"1"))
        peer.send(Publish("a/rejected", b"2"))
        peer.send(Publish("a/rejected", b"3"))
        assert (await answer.within(PATIENCE)).payload == b"2"
        with pytest.raises(TimedOut, match=r"while waiting for b\."):
            await other.within(SOON)
    assert [(await anext(client.messages())).payload for _ in range(2)] == [b"1", b"3"]


async def test_nothing_is_expected_of_a_connection_that_is_lost() -> None:
    client, peer = await connected()
    with client.expecting("a") as answer:
        peer.pipe.lose()
        with pytest.raises(ConnectionLost, match="while waiting for a"):
            await answer.within(PATIENCE)
    with client.expecting("a") as answer, pytest.raises(ConnectionLost):
        await answer.within(PATIENCE)


@pytest.mark.parametrize("waits", ["publish", "expect"])
async def test_whoever_waits_when_this_side_leaves_is_told(waits: str) -> None:
    client, peer = await connected()
    peer.silent.add(Publish)
    with client.expecting("a") as answer:
        waiting: Awaitable[object] = client.publish("b") if waits == "publish" else answer.within(1)
        task = asyncio.ensure_future(waiting)
        await asyncio.sleep(0)
        await client.disconnect()
        with pytest.raises(ConnectionLost, match="it was closed on this side"):
            await task
    with pytest.raises(ConnectionLost, match="it was closed on this side"):
        await client.publish("b")
    await client.disconnect()  # once more changes nothing


async def test_a_server_that_breaks_the_protocol() -> None:
    client, peer = await connected()
    peer.pipe.to_client(b"\xf0\x00\xff")
    with pytest.raises(ConnectionLost, match=r"while publishing to a: the server broke the protocol \(.+\)"):
        await client.publish("a")
    await asyncio.sleep(0)
    assert isinstance(peer.packets[-1], Disconnect)
    assert peer.packets[-1].reason is Reason.PROTOCOL_ERROR


async def test_a_disconnect_that_the_server_does_not_follow() -> None:
    client, peer = await connected()
    peer.silent.add(Disconnect)
    await client.disconnect()
    assert not client.alive
    assert client._closed.done()


class Clock:
    """The loop's clock and timers, moved by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.loop = asyncio.get_running_loop()
        self.now = 1000.0
        self.timers: list[tuple[float, Callable[[], None]]] = []
        monkeypatch.setattr(self.loop, "time", lambda: self.now)

    async def pass_(self, seconds: float) -> None:
        self.now += seconds
        for _ in range(4):
            await asyncio.sleep(0)


async def test_pings_keep_the_connection_and_a_dead_one_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    client = Client()
    peer = Peer(client)
    await client.open(Connect("c", V4, keep_alive=40), 10)
    await clock.pass_(29)
    assert PingReq() not in peer.packets
    await clock.pass_(1.01)
    assert peer.packets.count(PingReq()) == 1
    await clock.pass_(30.01)
    assert peer.packets.count(PingReq()) == 2
    peer.silent.add(PingReq)
    await clock.pass_(30.01)
    assert client.alive
    await clock.pass_(30.01)
    with pytest.raises(ConnectionLost, match="does not answer any more"):
        await client.publish("a")


async def test_whoever_speaks_does_not_ping(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    client = Client()
    peer = Peer(client)
    await client.open(Connect("c", V4, keep_alive=40), 10)
    for _ in range(4):
        await clock.pass_(20)
        await client.publish("a", qos=QoS.AT_MOST_ONCE)
    assert PingReq() not in peer.packets
    await client.disconnect()


class _Refusing:
    """A loop whose connections fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
        async def create_connection(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", create_connection)


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (
            ConnectionRefusedError(111, "Connection refused"),
            Unreachable,
            "a.example:8883 cannot be reached: Connection r",
        ),
        (OSError("Multiple exceptions"), Unreachable, "Multiple exceptions"),
        (TimeoutError(), TimedOut, "while opening TLS to a.example:8883"),
        (ssl.SSLError(1, "x"), TlsFailed, "TLS with a.example:8883 failed: the handshake broke off"),
    ],
)
async def test_dial_tells_what_went_wrong(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, kind: type[Exception], text: str
) -> None:
    _Refusing(monkeypatch, error)
    endpoint = Endpoint("a.example")
    with pytest.raises(kind, match=text):
        await dial(endpoint, tls.trust(endpoint), Connect("c"))
