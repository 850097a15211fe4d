"""The MQTT door, packet by packet."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.pki import TestAuthority
from tests.server import REALM
from tests.unit.gateway.callers import ALL, Caller, Hall, allow, document

from fleetgate.database.port import Tx
from fleetgate.errors import Unavailable
from fleetgate.gateway import reserved
from fleetgate.gateway.reserved import Answer
from fleetgate.pki import certificate as certificates
from fleetgate.registry import attachments, claims, policies, things
from fleetgate.registry import certificates as registry
from fleetgate.registry.certificates import Status
from fleetgate.wire.mqtt.encoding import encode
from fleetgate.wire.mqtt.errors import Reason
from fleetgate.wire.mqtt.packets import (
    V4,
    V5,
    ConnAck,
    Connect,
    Disconnect,
    PingReq,
    PingResp,
    PubAck,
    Publish,
    QoS,
    SubAck,
    Subscribe,
    Subscription,
    UnsubAck,
    Unsubscribe,
    Will,
)
from fleetgate.wire.mqtt.properties import Properties
from fleetgate.wire.mqtt.rules import AWS

VERSIONS = pytest.mark.parametrize("version", [V4, V5], ids=["3.1.1", "5"])
CONNECT = allow("iot:Connect", "*")


def subscribe(*filters: str, qos: QoS = QoS.AT_LEAST_ONCE, number: int = 1) -> Subscribe:
    return Subscribe(number, tuple(Subscription(each, qos) for each in filters))


# --- CONNECT ----------------------------------------------------------------------------------------------------------


async def test_nobody_is_shown_out_without_a_word(hall: Hall) -> None:
    caller = hall.call(None)
    caller.send(Connect("c"))
    assert await caller.closed() == []


@pytest.mark.parametrize("status", [Status.INACTIVE, Status.REVOKED, Status.PENDING_ACTIVATION])
async def test_a_certificate_that_is_not_in_force_is_shown_out(hall: Hall, status: Status) -> None:
    caller = hall.call(await hall.certificate(ALL, status=status))
    caller.send(Connect("c"))
    assert await caller.closed() == []
    [(action, reason)] = hall.refused()
    assert action == "Connect"
    assert f"is {status}, not ACTIVE" in reason


@VERSIONS
async def test_a_newcomer_is_taken_in_for_the_next_time(hall: Hall, version: int) -> None:
    maker = TestAuthority("Works CA")
    await hall.authority(maker)
    leaf = certificates.load(maker.leaf())
    for _ in range(2):
        caller = hall.call(leaf)
        caller.send(Connect("c", version))
        assert await caller.closed() == []
    assert hall.refused() == []
    act, fingerprint = hall.runtime.act(REALM, "system"), certificates.fingerprint(leaf)

    def activate(tx: Tx) -> None:
        policies.create(tx, act, "newcomers", document(ALL))
        attachments.attach_policy(tx, act, "newcomers", REALM.arn("cert", fingerprint))
        registry.set_status(tx, act, fingerprint, Status.ACTIVE)

    await hall.runtime.write(activate)
    assert (await hall.call(leaf).connect(version=version)).reason is Reason.SUCCESS


async def test_who_may_hear_of_newcomers(hall: Hall) -> None:
    maker = TestAuthority("Works CA")
    topic = f"$aws/events/certificates/registered/{await hall.authority(maker)}"
    watching = hall.call(await hall.certificate(ALL))
    deaf = allow(["iot:Connect", "iot:Subscribe"], "*")
    forbidden = hall.call(await hall.certificate(deaf, name="deaf"))
    blind = hall.call(await hall.certificate(CONNECT, name="blind"))
    for number, caller in enumerate((watching, forbidden, blind)):
        await caller.connect(f"c{number}")
        caller.send(subscribe("$aws/events/certificates/registered/+"))
    answers = [await caller.receive() for caller in (watching, forbidden, blind)]
    assert [each.reasons for each in answers if isinstance(each, SubAck)] == [(1,), (1,), (Reason.NOT_AUTHORIZED,)]
    newcomer = hall.call(certificates.load(maker.leaf()))
    newcomer.send(Connect("new"))
    await newcomer.closed()
    await hall.tell()
    told = await watching.receive()
    assert isinstance(told, Publish)
    assert (told.topic, told.qos, told.retain) == (topic, QoS.AT_LEAST_ONCE, False)
    assert json.loads(told.payload)["certificateStatus"] == "PENDING_ACTIVATION"
    assert await forbidden.idle() == await blind.idle() == []


async def test_whoever_says_nothing_is_shown_out(hall: Hall) -> None:
    hall = Hall(hall.house, replace(AWS, answer_timeout=0))
    assert await hall.call(await hall.certificate(ALL)).closed() == []


@pytest.mark.parametrize("data", [b"\xc0\x00", b"GET / HTTP/1.1\r\nHost: " + b"a" * 70, b"\x10\xff\xff\xff\xff\xff"])
async def test_what_is_no_connect_is_shown_out(hall: Hall, data: bytes) -> None:
    caller = hall.call(await hall.certificate(ALL))
    caller.raw(data)
    assert await caller.closed() == []


@VERSIONS
async def test_a_certificate_in_force_is_let_in_and_its_first_time_is_noted(hall: Hall, version: int) -> None:
    certificate = await hall.certificate(ALL)
    for _ in range(2):
        caller = hall.call(certificate)
        answer = await caller.connect(version=version)
        assert (answer.reason, answer.session_present) == (Reason.SUCCESS, False)
        caller.leave()
        kept = await hall.runtime.database.read(lambda tx: tx.rows("SELECT first_connected_at FROM certificates"))
        assert [row["first_connected_at"] for row in kept] == [hall.house.time[0]], "before the CONNACK"


class CannotWrite:
    """A database that is read only for now."""

    def __init__(self, database: Any) -> None:
        self.glance = database.glance
        self.broken = True
        self._database = database

    async def write(self, work: Callable[..., Any]) -> Any:
        if self.broken:
            raise Unavailable("The database is locked.")
        return await self._database.write(work)


@VERSIONS
async def test_who_cannot_be_noted_is_not_let_in(hall: Hall, version: int) -> None:
    """Else a claim could take over its thing as one that never connected."""
    database: Any = CannotWrite(hall.runtime.database)
    certificate, runtime = await hall.certificate(ALL), replace(hall.runtime, database=database)
    caller = hall.call(certificate, runtime)
    assert (await caller.connect(version=version)).reason is Reason.SERVER_UNAVAILABLE
    await caller.closed()
    database.broken = False
    caller = hall.call(certificate, runtime)
    assert (await caller.connect(version=version)).reason is Reason.SUCCESS
    database.broken = True
    assert (await hall.call(certificate, runtime).connect("d")).reason is Reason.SUCCESS, "noted once and for all"


async def test_who_leaves_before_it_is_noted_has_no_session(hall: Hall) -> None:
    go = asyncio.Event()

    class Slow(CannotWrite):
        async def write(self, work: Callable[..., Any]) -> Any:
            await go.wait()
            return await self._database.write(work)

    database: Any = Slow(hall.runtime.database)
    caller = hall.call(await hall.certificate(ALL), replace(hall.runtime, database=database))
    caller.send(Connect("c"))
    caller.leave()
    go.set()
    await caller.idle()
    assert hall.courier.switchboard(caller.door.realm).sink("c") is None
    assert list(hall.courier.guests()) == []


async def test_who_brings_no_client_id_is_given_one(hall: Hall) -> None:
    caller = hall.call(await hall.certificate(ALL))
    answer = await caller.connect("")
    assert answer.properties["assigned_client_identifier"] == caller.door.client_id
    assert caller.door.client_id.startswith("auto-")


async def test_a_connect_that_no_policy_allows(hall: Hall) -> None:
    certificate = await hall.certificate(allow("iot:Connect", "client/other"))
    caller = hall.call(certificate)
    answer = await caller.connect()
    assert answer.reason is Reason.NOT_AUTHORIZED
    assert "The connection may not iot:Connect" in answer.properties["reason_string"]
    assert hall.house.refusals[-1].act.request_id in answer.properties["reason_string"]
    await caller.closed()
    caller = hall.call(certificate)
    caller.send(Connect("c", V4))
    assert await caller.closed() == []
    assert [action for action, _ in hall.refused()] == ["iot:Connect"] * 2


@pytest.mark.parametrize(
    ("statements", "retain", "lacking"),
    [
        ([CONNECT], False, "iot:Publish"),
        ([CONNECT, allow("iot:Publish", "topic/w")], True, "iot:RetainPublish"),
    ],
)
async def test_a_will_wants_the_right_to_publish_it(
    hall: Hall, statements: list[Any], retain: bool, lacking: str
) -> None:
    caller = hall.call(await hall.certificate(*statements))
    answer = await caller.connect(will=Will("w", retain=retain))
    assert answer.reason is Reason.NOT_AUTHORIZED
    assert [action for action, _ in hall.refused()] == [lacking]


@pytest.mark.parametrize("version", [V4, V5])
@pytest.mark.parametrize("topic", ["$aws/events/certificates/registered/ca", "$fleetgate/things/t/rotate", "$SYS/a"])
async def test_a_will_says_nothing_in_the_name_of_the_server(hall: Hall, topic: str, version: int) -> None:
    """It would reach the functions that let certificates in, and devices that rotate when they are told to."""
    certificate = await hall.certificate(ALL)
    caller = hall.call(certificate)
    caller.send(Connect("c", version, will=Will(topic, b"{}", QoS.AT_LEAST_ONCE)))
    said = await caller.closed()
    assert [answer.reason for answer in said if isinstance(answer, ConnAck)] == (
        [Reason.TOPIC_NAME_INVALID] if version == V5 else []
    )
    assert len(said) == (version == V5)
    assert not (await hall.call(certificate).connect("d", will=Will("$aws/rules/r/a"))).reason


async def test_nothing_is_taken_of_whoever_was_turned_away(hall: Hall) -> None:
    """Not even what a WebSocket has in hand already when it closes."""
    listener = await let_in(hall, ALL)
    listener.send(subscribe("t"))
    await listener.receive()
    caller = hall.call(await hall.certificate(allow("iot:Publish", "*"), name="mute"))
    caller.send(Connect("c", V4))
    await caller.idle()
    assert caller.wire.over
    for packet in (Publish("t", b"1"), subscribe("u")):
        caller.raw(encode(packet, V4))
    assert await listener.idle() == []
    assert [action for action, _ in hall.refused()] == ["iot:Connect"]


async def test_conditions_on_what_a_connect_brings(hall: Hall) -> None:
    persistent: dict[str, Any] = {"ForAllValues:StringEquals": {"iot:ConnectAttributes": ["PersistentConnect"]}}
    plain: dict[str, Any] = {"ForAllValues:StringEquals": {"iot:ConnectAttributes": ["nothing"]}}
    loose = await hall.certificate(allow("iot:Connect", "*", **persistent), name="loose")
    strict = await hall.certificate(allow("iot:Connect", "*", **plain), name="strict")
    lasting = Properties(session_expiry_interval=60)
    assert not (await hall.call(loose).connect("a", properties=lasting)).reason
    assert not (await hall.call(loose).connect("b", version=V4, clean_start=False)).reason
    assert not (await hall.call(strict).connect("c", version=V4)).reason
    assert (await hall.call(strict).connect("d", properties=lasting)).reason is Reason.NOT_AUTHORIZED
    assert (await hall.call(loose).connect("e", will=Will("w"))).reason is Reason.NOT_AUTHORIZED


async def test_a_second_connection_throws_out_the_first(hall: Hall) -> None:
    certificate = await hall.certificate(ALL)
    first, second = hall.call(certificate), hall.call(certificate)
    await first.connect()
    await second.connect()
    [farewell] = await first.closed()
    assert isinstance(farewell, Disconnect)
    assert farewell.reason is Reason.SESSION_TAKEN_OVER


async def test_a_session_waits_for_its_client(hall: Hall) -> None:
    certificate = await hall.certificate(ALL)
    first, other = hall.call(certificate), hall.call(certificate)
    lasting = Properties(session_expiry_interval=60)
    await first.connect(properties=lasting)
    first.send(subscribe("a"))
    await first.receive()
    first.leave()
    await other.connect("o")
    other.send(Publish("a", b"1", QoS.AT_LEAST_ONCE, packet_id=1))
    await other.receive()
    again = hall.call(certificate)
    assert (await again.connect(clean_start=False, properties=lasting)).session_present
    message = await again.receive()
    assert isinstance(message, Publish)
    assert message.payload == b"1"


async def test_whoever_does_not_read_is_not_read_either(hall: Hall) -> None:
    caller = hall.call(await hall.certificate(ALL))
    await caller.connect()
    write, wire = caller.wire.write, caller.wire

    def narrow(data: bytes | bytearray | memoryview) -> None:
        """As a transport that is full tells its protocol."""
        write(data)
        if len(wire.sent) >= 20:
            caller.door.pause_writing()

    wire.write = narrow  # type: ignore[method-assign] # this test's own transport
    caller.send(*[PingReq()] * 1000)
    assert (len(wire.sent), wire.paused) == (20, True)
    caller.send(PingReq())
    assert len(wire.sent) == 20
    for _ in range(101):
        assert await caller.idle() != []
        caller.door.resume_writing()
    assert not wire.sent
    assert not wire.paused
    caller.send(PingReq())
    assert await caller.idle() == [PingResp()]


async def test_a_connection_lost_while_it_is_looked_up(hall: Hall) -> None:
    caller = hall.call(await hall.certificate(ALL))
    caller.send(Connect("c"))
    caller.leave()
    await caller.idle()
    assert list(hall.courier.guests()) == []
    assert not caller.wire.sent


async def test_a_database_that_is_gone(hall: Hall) -> None:
    class Gone:
        async def glance(self, work: Callable[..., Any]) -> Any:
            raise Unavailable("The database does not answer.")

    gone: Any = Gone()
    caller = hall.call(await hall.certificate(ALL), replace(hall.runtime, database=gone))
    answer = await caller.connect()
    assert answer.reason is Reason.SERVER_UNAVAILABLE
    assert "does not answer" not in answer.properties["reason_string"]


async def test_a_bug_closes_the_connection_and_no_more(hall: Hall) -> None:
    class Broken:
        async def glance(self, work: Callable[..., Any]) -> Any:
            raise ZeroDivisionError

    broken: Any = Broken()
    certificate = await hall.certificate(ALL)
    caller = hall.call(certificate, replace(hall.runtime, database=broken))
    assert (await caller.connect()).reason is Reason.UNSPECIFIED_ERROR
    assert not (await hall.call(certificate).connect()).reason


# --- PUBLISH ----------------------------------------------------------------------------------------------------------


async def let_in(hall: Hall, *statements: Any, version: int = V5, name: str = "device") -> Caller:
    caller = hall.call(await hall.certificate(*statements, name=name))
    await caller.connect(name, version=version)
    return caller


@VERSIONS
@pytest.mark.parametrize("qos", [QoS.AT_MOST_ONCE, QoS.AT_LEAST_ONCE])
async def test_messages_go_from_one_to_the_other(hall: Hall, version: int, qos: QoS) -> None:
    caller = await let_in(hall, ALL, version=version)
    caller.send(subscribe("a/#"))
    assert await caller.receive() == SubAck(1, (Reason.GRANTED_QOS_1,))
    caller.send(Publish("a/b", b"1", qos, packet_id=2 if qos else None))
    said = await caller.idle()
    assert (PubAck(2) in said) is bool(qos)
    [message] = [packet for packet in said if isinstance(packet, Publish)]
    assert (message.topic, message.payload, message.qos) == ("a/b", b"1", qos)
    if qos:
        assert message.packet_id is not None
        caller.send(PubAck(message.packet_id))


async def test_a_denied_message_with_an_acknowledgement_to_refuse(hall: Hall) -> None:
    caller = await let_in(hall, CONNECT)
    caller.send(Publish("a", qos=QoS.AT_LEAST_ONCE, packet_id=1))
    answer = await caller.receive()
    assert isinstance(answer, PubAck)
    assert answer.reason is Reason.NOT_AUTHORIZED
    assert "The connection may not iot:Publish" in answer.properties["reason_string"]
    assert not caller.wire.over


@pytest.mark.parametrize(("version", "qos"), [(V5, 0), (V4, 0), (V4, 1)])
async def test_a_denied_message_without_one_ends_the_connection(hall: Hall, version: int, qos: int) -> None:
    caller = await let_in(hall, CONNECT, version=version)
    caller.send(Publish("a", qos=QoS(qos), packet_id=1 if qos else None))
    said = await caller.closed()
    if version == V4:
        assert said == []
    else:
        [farewell] = said
        assert isinstance(farewell, Disconnect)
        assert farewell.reason is Reason.NOT_AUTHORIZED


async def test_to_retain_is_a_right_of_its_own(hall: Hall) -> None:
    caller = await let_in(hall, CONNECT, allow("iot:Publish", "*"))
    caller.send(Publish("a", b"1", QoS.AT_LEAST_ONCE, retain=True, packet_id=1))
    answer = await caller.receive()
    assert isinstance(answer, PubAck)
    assert answer.reason is Reason.NOT_AUTHORIZED
    assert [action for action, _ in hall.refused()] == ["iot:RetainPublish"]


async def test_retained_messages_come_after_the_suback_and_have_an_end(hall: Hall) -> None:
    hall = Hall(hall.house, replace(AWS, retained_messages=1))
    caller = await let_in(hall, ALL)
    caller.send(Publish("a", b"1", QoS.AT_LEAST_ONCE, retain=True, packet_id=1))
    caller.send(Publish("b", b"1", QoS.AT_LEAST_ONCE, retain=True, packet_id=2))
    assert await caller.receive() == PubAck(1)
    assert await caller.receive() == PubAck(2, Reason.QUOTA_EXCEEDED)
    caller.send(subscribe("a"))
    suback, message = await caller.idle()
    assert suback == SubAck(1, (Reason.GRANTED_QOS_1,))
    assert isinstance(message, Publish)
    assert message.retain


async def test_basic_ingest_is_taken_and_reaches_nobody(hall: Hall) -> None:
    caller = await let_in(hall, ALL)
    caller.send(subscribe("#"))
    await caller.receive()
    caller.send(Publish("$aws/rules/r/a", b"1", QoS.AT_LEAST_ONCE, packet_id=1))
    assert await caller.idle() == [PubAck(1)]


@pytest.mark.parametrize("topic", ["$aws/unknown", "$SYS/broker", "$aws/certificates/create/xml"])
async def test_other_reserved_topics_are_not_there(hall: Hall, topic: str) -> None:
    caller = await let_in(hall, ALL)
    caller.send(Publish(topic))
    [farewell] = await caller.closed()
    assert isinstance(farewell, Disconnect)
    assert farewell.reason is Reason.TOPIC_NAME_INVALID


async def test_a_message_over_what_the_peer_takes_counts_as_delivered(hall: Hall) -> None:
    certificate = await hall.certificate(ALL)
    small, other = hall.call(certificate), hall.call(certificate)
    await small.connect(properties=Properties(maximum_packet_size=200, receive_maximum=1))
    small.send(subscribe("a"))
    await small.receive()
    await other.connect("o")
    for number, size in enumerate((1000, 1000, 1)):
        other.send(Publish("a", b"x" * size, QoS.AT_LEAST_ONCE, packet_id=number + 1))
    message = await small.receive()
    assert isinstance(message, Publish)
    assert len(message.payload) == 1, "the window of one was not blocked by those before"


async def test_what_may_not_be_received_is_not_delivered(hall: Hall) -> None:
    caller = await let_in(hall, CONNECT, allow(["iot:Publish", "iot:Subscribe"], "*"), allow("iot:Receive", "topic/b"))
    caller.send(subscribe("#"))
    await caller.receive()
    caller.send(Publish("a"), Publish("b"))
    [message] = await caller.idle()
    assert isinstance(message, Publish)
    assert message.topic == "b"


# --- SUBSCRIBE --------------------------------------------------------------------------------------------------------


async def test_each_filter_is_judged(hall: Hall) -> None:
    caller = await let_in(hall, CONNECT, allow("iot:Subscribe", "topicfilter/a"))
    caller.send(subscribe("a", "b"))
    answer = await caller.receive()
    assert isinstance(answer, SubAck)
    assert answer.reasons == (Reason.GRANTED_QOS_1, Reason.NOT_AUTHORIZED)
    assert "iot:Subscribe" in answer.properties["reason_string"]


async def test_a_denied_filter_ends_a_connection_of_3_1_1(hall: Hall) -> None:
    caller = await let_in(hall, CONNECT, allow("iot:Subscribe", "topicfilter/a"), version=V4)
    caller.send(subscribe("a", "b"))
    assert await caller.closed() == []


@VERSIONS
async def test_unsubscribe(hall: Hall, version: int) -> None:
    caller = await let_in(hall, ALL, version=version)
    caller.send(subscribe("a"))
    await caller.receive()
    caller.send(Unsubscribe(2, ("a", "b")))
    expected = (Reason.SUCCESS, Reason.NO_SUBSCRIPTION_EXISTED) if version == V5 else ()
    assert await caller.receive() == UnsubAck(2, expected)
    caller.send(Publish("a"))
    assert await caller.idle() == []


# --- reserved topics --------------------------------------------------------------------------------------------------


class Slow:
    """A flow that ends when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go, self.calls = asyncio.Event(), 0
        monkeypatch.setattr(reserved, "answer", self)

    async def __call__(self, runtime: Any, act: Any, asker: Any, call: Any, payload: bytes) -> Answer:
        self.calls += 1
        await self.go.wait()
        return Answer(f"{call.topic}/accepted", payload)


CREATE = "$aws/certificates/create/json"


@VERSIONS
async def test_a_request_is_acknowledged_and_answered_without_a_subscription(hall: Hall, version: int) -> None:
    caller = await let_in(hall, ALL, version=version)
    caller.send(Publish(CREATE, b"{}", QoS.AT_LEAST_ONCE, packet_id=1))
    acknowledgement, answer = await caller.receive(), await caller.receive()
    assert acknowledgement == PubAck(1)
    assert isinstance(answer, Publish)
    assert (answer.topic, answer.qos) == (f"{CREATE}/rejected", 0)
    assert json.loads(answer.payload)["statusCode"] == 403


async def test_an_answer_that_comes_soon_takes_the_acknowledgement_along(
    hall: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(monkeypatch)
    caller = await let_in(hall, ALL)
    sent: list[bytes] = []
    monkeypatch.setattr(caller.wire, "write", sent.append)
    caller.send(Publish(CREATE, b"{}", QoS.AT_LEAST_ONCE, packet_id=1))
    slow.go.set()
    await caller.idle()
    [together] = sent
    assert [type(packet) for packet in caller.connection.receive(together, 0)] == [PubAck, Publish]


async def test_an_answer_that_takes_its_time_does_not_hold_up_the_acknowledgement(
    hall: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(monkeypatch)
    caller = await let_in(hall, ALL)
    caller.send(Publish(CREATE, b"{}", QoS.AT_LEAST_ONCE, packet_id=1))
    assert await caller.receive() == PubAck(1)
    slow.go.set()
    assert isinstance(await caller.receive(), Publish)


async def test_what_comes_meanwhile_waits_its_turn(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(monkeypatch)
    caller = await let_in(hall, ALL)
    caller.send(Publish(CREATE, b"1"), PingReq(), Publish(CREATE, b"2"), PingReq())
    await asyncio.sleep(0)
    caller.send(PingReq())
    assert slow.calls == 1
    slow.go.set()
    said = [packet.payload if isinstance(packet, Publish) else type(packet) for packet in await caller.idle()]
    assert said == [b"1", PingResp, b"2", PingResp, PingResp]


async def test_whoever_sends_too_much_meanwhile_is_not_read(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(monkeypatch)
    caller = await let_in(hall, ALL)
    caller.send(Publish(CREATE))
    for number in range(3):
        assert not caller.wire.paused
        caller.send(Publish(f"a/{number}", b"x" * 100_000))
    assert caller.wire.paused
    slow.go.set()
    await caller.idle()
    assert not caller.wire.paused


async def test_an_answer_to_somebody_who_has_left_goes_nowhere(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(monkeypatch)
    caller = await let_in(hall, ALL)
    caller.send(Publish(CREATE), Publish(CREATE))
    await asyncio.sleep(0)
    caller.leave()
    slow.go.set()
    assert await caller.idle() == []
    assert slow.calls == 1


# --- the end ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("goodbye", [True, False])
async def test_a_will_is_sent_unless_there_was_a_goodbye(hall: Hall, goodbye: bool) -> None:
    certificate = await hall.certificate(ALL)
    watcher, caller = hall.call(certificate), hall.call(certificate)
    await watcher.connect("w")
    watcher.send(subscribe("will"))
    await watcher.receive()
    await caller.connect(will=Will("will", b"gone"))
    if goodbye:
        caller.send(Disconnect())
        assert await caller.closed() == []
    else:
        caller.leave()
    assert [type(packet) for packet in await watcher.idle()] == ([] if goodbye else [Publish])


async def test_a_peer_that_breaks_the_protocol(hall: Hall) -> None:
    caller = await let_in(hall, ALL)
    caller.raw(b"\x20\x00\x00")
    [farewell] = await caller.closed()
    assert isinstance(farewell, Disconnect)
    assert farewell.reason is Reason.PROTOCOL_ERROR


async def test_a_silent_peer_is_shown_out(hall: Hall) -> None:
    caller = hall.call(await hall.certificate(ALL))
    await caller.connect(keep_alive=30)
    hall.house.pass_(44_000)
    hall.courier.tick()
    assert not caller.wire.over
    hall.house.pass_(1_000)
    hall.courier.tick()
    [farewell] = await caller.closed()
    assert isinstance(farewell, Disconnect)
    assert farewell.reason is Reason.KEEP_ALIVE_TIMEOUT


async def test_a_connection_does_not_outlive_its_certificate(hall: Hall) -> None:
    caller = hall.call(await hall.certificate(ALL, lasting=60_000))
    await caller.connect(keep_alive=600)
    hall.house.pass_(59_000)
    hall.courier.tick()
    assert not caller.wire.over
    hall.house.pass_(2_000)
    hall.courier.tick()
    [farewell] = await caller.closed()
    assert isinstance(farewell, Disconnect)
    assert farewell.reason is Reason.NOT_AUTHORIZED


# --- changes ----------------------------------------------------------------------------------------------------------


async def test_another_default_version_holds_at_once(hall: Hall) -> None:
    caller = await let_in(hall, CONNECT)
    publish = Publish("a", qos=QoS.AT_LEAST_ONCE, packet_id=1)
    caller.send(publish)
    assert (await caller.receive()).reason is Reason.NOT_AUTHORIZED  # type: ignore[union-attr] # a PUBACK
    await hall.change(lambda tx, act: policies.create_version(tx, act, "device", document(ALL), set_as_default=True))
    await caller.idle()
    caller.send(publish)
    assert await caller.receive() == PubAck(1)


@pytest.mark.parametrize("status", [Status.INACTIVE, Status.REVOKED])
async def test_a_certificate_put_out_of_force_loses_its_connection(hall: Hall, status: Status) -> None:
    certificate = await hall.certificate(ALL)
    caller = hall.call(certificate)
    await caller.connect()
    await hall.status(certificate, status)
    [farewell] = await caller.closed()
    assert isinstance(farewell, Disconnect)
    assert farewell.reason is Reason.NOT_AUTHORIZED
    assert list(hall.courier.guests()) == []


async def speaks_for(caller: Caller) -> str | None:
    await caller.idle()
    return caller.door.thing


async def test_rights_that_come_with_a_thing(hall: Hall) -> None:
    certificate = await hall.certificate(CONNECT, allow("iot:Publish", "topic/${iot:Connection.Thing.ThingName}"))
    caller = hall.call(certificate)
    await caller.connect("t")
    assert await speaks_for(caller) is None
    fingerprint = certificates.fingerprint(certificate)

    def attach(tx: Any, act: Any) -> None:
        things.create(tx, act, "t")
        attachments.attach_principal(tx, act, "t", fingerprint)

    await hall.change(attach)
    assert await speaks_for(caller) == "t"
    caller.send(Publish("t", qos=QoS.AT_LEAST_ONCE, packet_id=1))
    assert await caller.receive() == PubAck(1)
    await hall.change(lambda tx, act: attachments.detach_principal(tx, act, "t", fingerprint))
    assert await speaks_for(caller) is None


async def device(hall: Hall, name: str, *things_of: str) -> Any:
    """A certificate under a policy of that name, on these things, which are made where there are none."""
    certificate = await hall.certificate(ALL, name=name)

    def attach(tx: Any, act: Any) -> None:
        for thing in things_of:
            if things.find(tx, act.realm, thing) is None:
                things.create(tx, act, thing)
            attachments.attach_principal(tx, act, thing, certificates.fingerprint(certificate))

    await hall.change(attach)
    return certificate


@VERSIONS
async def test_a_device_is_not_thrown_off_by_whoever_takes_its_name(hall: Hall, version: int) -> None:
    pump, claim = hall.call(await device(hall, "pump", "pump-7")), await device(hall, "claim")
    other = await device(hall, "other", "pump-8")
    await pump.connect("pump-7")
    for stranger in (claim, other):
        caller = hall.call(stranger)
        caller.send(Connect("pump-7", version))
        said = await caller.closed()
        if version == V4:
            assert said == []
        else:
            [answer] = said
            assert isinstance(answer, ConnAck)
            assert answer.reason is Reason.NOT_AUTHORIZED
    assert [action for action, _ in hall.refused()] == ["iot:Connect"] * 2
    pump.send(PingReq())
    assert await pump.receive() == PingResp()


async def test_a_device_is_displaced_by_its_next_certificate_and_a_claim_by_anybody(hall: Hall) -> None:
    claim = await device(hall, "claim")
    inside = hall.call(claim)
    await inside.connect("pump-7")
    successors = [claim, await device(hall, "new", "pump-7"), await device(hall, "newer", "pump-7")]
    for certificate in successors:
        successor = hall.call(certificate)
        await successor.connect("pump-7")
        [farewell] = await inside.closed()
        assert isinstance(farewell, Disconnect)
        assert farewell.reason is Reason.SESSION_TAKEN_OVER
        inside = successor


async def test_sessions_last_for_devices_only(hall: Hall) -> None:
    claim, pump = await device(hall, "claim"), await device(hall, "pump", "pump-7")
    shared = await device(hall, "shared", "pump-9")
    fingerprint = certificates.fingerprint(shared)
    await hall.change(lambda tx, act: claims.register(tx, act, fingerprint, batch="b", maximum=10))
    lasting = Properties(session_expiry_interval=3600)
    switchboard = hall.courier.switchboard(REALM)
    for certificate, seconds in ((claim, 300), (shared, 300), (pump, 3600)):
        caller = hall.call(certificate)
        answer = await caller.connect("c", properties=lasting)
        assert answer.properties.get("session_expiry_interval", 3600) == seconds
        caller.leave()
        caller = hall.call(certificate)
        await caller.connect("d", version=V4, clean_start=False)
        caller.leave()
        session = switchboard.session("d")
        assert session is not None
        assert session.expiry == seconds
    short = await hall.call(claim).connect("e", properties=Properties(session_expiry_interval=60))
    assert "session_expiry_interval" not in short.properties


async def test_one_certificate_leaves_ten_sessions(hall: Hall) -> None:
    claim = await device(hall, "claim")
    for number in range(12):
        caller = hall.call(claim)
        await caller.connect(f"c-{number}", properties=Properties(session_expiry_interval=60))
        caller.leave()
    switchboard = hall.courier.switchboard(REALM)
    assert [number for number in range(12) if switchboard.session(f"c-{number}")] == list(range(2, 12))


@pytest.mark.parametrize("error", [Unavailable("The database does not answer."), ZeroDivisionError()])
async def test_who_cannot_be_judged_is_shown_out(hall: Hall, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    caller = await let_in(hall, ALL)

    async def gone(_: Any) -> Any:
        raise error

    monkeypatch.setattr(hall.runtime.database, "glance", gone)
    caller.door.judge_anew()
    [farewell] = await caller.closed()
    assert isinstance(farewell, Disconnect)
    assert farewell.reason is Reason.UNSPECIFIED_ERROR, "0x88 may not stand in a DISCONNECT"


async def test_a_reset_shows_everybody_out(hall: Hall) -> None:
    caller = await let_in(hall, ALL)
    await hall.courier.empty()
    [farewell] = await caller.closed()
    assert isinstance(farewell, Disconnect)
    assert farewell.reason is Reason.ADMINISTRATIVE_ACTION


# --- messages from the API --------------------------------------------------------------------------------------------


async def test_a_message_that_is_handed_over_is_confirmed_by_its_own_acknowledgement(hall: Hall) -> None:
    """Also where it has to wait until the client takes more."""
    caller = hall.call(await hall.certificate(ALL))
    await caller.connect(properties=Properties(receive_maximum=1))
    sent = [hall.courier.send(REALM, "c", Publish("t", b"%d" % number, QoS.AT_LEAST_ONCE)) for number in range(3)]
    [first, second, third] = [asyncio.ensure_future(each) for each in sent if not isinstance(each, bool)]
    for number, confirmed in enumerate((first, second)):
        [message] = await caller.idle()
        assert isinstance(message, Publish)
        assert message.payload == b"%d" % number
        assert not confirmed.done()
        caller.send(PubAck(message.packet_id or 0))
        assert await confirmed is True
    assert not third.done()
    last = hall.courier.send(REALM, "c", Publish("t", b"last", QoS.AT_LEAST_ONCE))
    assert not isinstance(last, bool)
    caller.leave()
    assert await third is False
    assert await last is False
    assert hall.courier.send(REALM, "c", Publish("t")) is False
