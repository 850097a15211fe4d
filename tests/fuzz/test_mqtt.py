"""MQTT: every packet comes back as it was, and no bytes bring out anything but the documented errors."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from fleetgate.wire.mqtt import properties as kind
from fleetgate.wire.mqtt.codes import _BY_PACKET
from fleetgate.wire.mqtt.connection import Connection, Role
from fleetgate.wire.mqtt.decoding import decode, split
from fleetgate.wire.mqtt.encoding import encode
from fleetgate.wire.mqtt.errors import ProtocolError, Reason
from fleetgate.wire.mqtt.packets import (
    V4,
    V5,
    Auth,
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PingReq,
    PingResp,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    QoS,
    SubAck,
    Subscribe,
    Subscription,
    UnsubAck,
    Unsubscribe,
    Will,
)
from fleetgate.wire.mqtt.rules import STANDARD

SMALL = replace(STANDARD, maximum_packet_size=4096, maximum_qos=2)

strings = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
levels = st.text(st.characters(exclude_characters="\0+#", exclude_categories=["Cs"]), max_size=6)
topics = levels.filter(bool)
filters = st.builds("/".join, st.lists(st.one_of(levels, st.just("+")), min_size=1, max_size=4).filter(any)).flatmap(
    lambda one: st.sampled_from([one, f"{one}/#", "#", f"$share/group/{one}"])
)
filters = filters.filter(lambda one: not one.startswith("$share") or one.startswith("$share/group/"))
ids = st.integers(1, 65_535)
blobs = st.binary(max_size=20)
qos = st.sampled_from(QoS)
flags = st.booleans()
u8, u16, u32 = st.integers(0, 1), st.integers(0, 65_535), st.integers(0, 2**32 - 1)
pairs = st.lists(st.tuples(strings, strings), min_size=1, max_size=3).map(tuple)

MESSAGE: dict[str, st.SearchStrategy[Any]] = {
    "payload_format_indicator": u8,
    "message_expiry_interval": u32,
    "content_type": strings,
    "response_topic": topics,
    "correlation_data": blobs,
    "user_property": pairs,
}
EXPLANATION: dict[str, st.SearchStrategy[Any]] = {"reason_string": strings, "user_property": pairs}
AUTHENTICATED: dict[str, st.SearchStrategy[Any]] = {"authentication_method": strings, "user_property": pairs}


def having(required: dict[str, Any] | None = None, **optional: Any) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(required or {}, optional=optional)


def reasons(packet: int) -> st.SearchStrategy[Reason]:
    return st.sampled_from(sorted(_BY_PACKET[packet].values()))


wills = st.builds(Will, topics, blobs, qos, flags, having(None, will_delay_interval=u32, **MESSAGE))
connects = st.builds(
    Connect,
    strings,
    st.just(V5),
    flags,
    u16,
    st.none() | strings,
    st.none() | blobs,
    st.none() | wills,
    having(
        None,
        session_expiry_interval=u32,
        receive_maximum=ids,
        maximum_packet_size=st.integers(1, 2**32 - 1),
        topic_alias_maximum=u16,
        request_response_information=u8,
        request_problem_information=u8,
        **AUTHENTICATED,
    ),
)
connacks = st.builds(
    lambda reason, present, properties: ConnAck(reason, present and not reason, properties),
    reasons(kind.CONNACK),
    flags,
    having(
        None,
        session_expiry_interval=u32,
        receive_maximum=ids,
        maximum_qos=u8,
        retain_available=u8,
        maximum_packet_size=st.integers(1, 2**32 - 1),
        assigned_client_identifier=strings,
        topic_alias_maximum=u16,
        wildcard_subscription_available=u8,
        subscription_identifier_available=u8,
        shared_subscription_available=u8,
        server_keep_alive=u16,
        response_information=strings,
        server_reference=strings,
        **EXPLANATION,
    ),
)
numbers = st.lists(st.integers(1, 268_435_455), min_size=1, max_size=3).map(tuple)
publishes = st.builds(
    lambda topic, payload, level, retain, again, packet_id, properties: Publish(
        topic, payload, level, retain, bool(again and level), packet_id if level else None, properties
    ),
    topics,
    st.binary(max_size=300),
    qos,
    flags,
    flags,
    ids,
    having(None, topic_alias=ids, subscription_identifier=numbers, **MESSAGE),
)
subscriptions = st.builds(Subscription, filters, qos, flags, flags, st.integers(0, 2)).map(
    lambda one: replace(one, no_local=False) if one.topic_filter.startswith("$share") else one
)
subscribes = st.builds(
    Subscribe,
    ids,
    st.lists(subscriptions, min_size=1, max_size=4).map(tuple),
    having(None, subscription_identifier=st.integers(1, 268_435_455).map(lambda one: (one,)), user_property=pairs),
)
packets: st.SearchStrategy[Packet] = st.one_of(
    connects,
    connacks,
    publishes,
    st.builds(PubAck, ids, reasons(kind.PUBACK), having(None, **EXPLANATION)),
    st.builds(PubRec, ids, reasons(kind.PUBREC), having(None, **EXPLANATION)),
    st.builds(PubRel, ids, reasons(kind.PUBREL), having(None, **EXPLANATION)),
    st.builds(PubComp, ids, reasons(kind.PUBCOMP), having(None, **EXPLANATION)),
    subscribes,
    st.builds(
        SubAck,
        ids,
        st.lists(reasons(kind.SUBACK), min_size=1, max_size=4).map(tuple),
        having(None, **EXPLANATION),
    ),
    st.builds(
        Unsubscribe, ids, st.lists(filters, min_size=1, max_size=4).map(tuple), having(None, user_property=pairs)
    ),
    st.builds(
        UnsubAck,
        ids,
        st.lists(reasons(kind.UNSUBACK), min_size=1, max_size=4).map(tuple),
        having(None, **EXPLANATION),
    ),
    st.builds(PingReq),
    st.builds(PingResp),
    st.builds(
        Disconnect,
        reasons(kind.DISCONNECT),
        having(None, session_expiry_interval=u32, server_reference=strings, **EXPLANATION),
    ),
    st.builds(
        Auth,
        reasons(kind.AUTH),
        having({"authentication_method": strings}, authentication_data=blobs, **EXPLANATION),
    ),
)


def cut(data: bytes) -> tuple[int, bytes]:
    frame = split(bytearray(data), 10**6)
    assert frame is not None
    return frame


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(packets)
def test_every_packet_comes_back_in_mqtt_5(packet: Packet) -> None:
    assert decode(*cut(encode(packet, V5)), V5) == packet


def in_3_1_1(packet: Packet) -> Packet:
    """What 3.1.1 can carry of a packet."""
    bare: Any = packet
    if isinstance(packet, Connect):
        will = None if packet.will is None else replace(packet.will, properties={})
        return replace(packet, will=will, version=V4, properties={})
    if isinstance(packet, Subscribe):
        plain = tuple(Subscription(one.topic_filter, one.qos) for one in packet.subscriptions)
        return Subscribe(packet.packet_id, plain)
    if isinstance(packet, SubAck):
        codes = tuple(min(one, Reason.UNSPECIFIED_ERROR) for one in packet.reasons)
        return SubAck(packet.packet_id, codes)
    if isinstance(packet, UnsubAck):
        return UnsubAck(packet.packet_id)
    if isinstance(packet, (PubAck, PubRec, PubRel, PubComp)):
        return type(packet)(packet.packet_id)
    if isinstance(packet, Disconnect):
        return Disconnect()
    return packet if isinstance(packet, (PingReq, PingResp)) else replace(bare, properties={})


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(packets)
def test_every_packet_comes_back_in_3_1_1(packet: Packet) -> None:
    assume(not isinstance(packet, (Auth, ConnAck)))
    if isinstance(packet, Connect):
        assume(packet.username is not None or packet.password is None)
        assume(packet.client_id or packet.clean_start)
    bare = in_3_1_1(packet)
    assert decode(*cut(encode(bare if isinstance(packet, Connect) else packet, V4)), V4) == bare


CONNACK_REASONS = [
    Reason.SUCCESS,
    Reason.UNSUPPORTED_PROTOCOL_VERSION,
    Reason.CLIENT_IDENTIFIER_NOT_VALID,
    Reason.SERVER_UNAVAILABLE,
    Reason.BAD_USER_NAME_OR_PASSWORD,
    Reason.NOT_AUTHORIZED,
]


@pytest.mark.parametrize("reason", CONNACK_REASONS)
def test_the_return_codes_of_3_1_1_come_back(reason: Reason) -> None:
    assert decode(*cut(encode(ConnAck(reason), V4)), V4) == ConnAck(reason)


def feed(connection: Connection, data: bytes) -> None:
    """Bytes bring packets out, or a `ProtocolError`, or the wish for more; never more is kept than one packet."""
    refusal: ProtocolError | None = None
    try:
        for packet in connection.receive(data, 0):
            if not isinstance(packet, (Publish, ConnAck)):  # resolved aliases; reserved return codes
                assert decode(*cut(encode(packet, connection.version)), connection.version) == packet
    except ProtocolError as error:
        refusal = error
    assert len(connection._buffer) <= SMALL.maximum_packet_size
    if refusal is not None:
        assert isinstance(refusal.reason, Reason)
        assert str(refusal)
        farewell = connection.farewell(refusal.reason, str(refusal))
        if farewell:
            decode(*cut(farewell), connection.version)


def opened(role: Role, version: int) -> Connection:
    connection = Connection(role, SMALL)
    connect, connack = Connect("a", version), ConnAck()
    if role is Role.SERVER:
        list(connection.receive(encode(connect, version), 0))
        connection.send(connack, 0)
    else:
        connection.send(connect, 0)
        list(connection.receive(encode(connack, version), 0))
    return connection


ends = st.tuples(st.sampled_from(Role), st.sampled_from([V4, V5]))


@settings(max_examples=800, deadline=None)
@given(ends, flags, st.binary(max_size=200))
def test_random_bytes(end: tuple[Role, int], fresh: bool, data: bytes) -> None:
    feed(Connection(end[0], SMALL) if fresh else opened(*end), data)


@settings(max_examples=800, deadline=None)
@given(st.integers(0, 255), st.binary(max_size=100), st.sampled_from([V4, V5]))
def test_random_bodies(first: int, body: bytes, version: int) -> None:
    """Without the luck that a length must have; what is accepted can be written again."""
    try:
        packet = decode(first, body, version)
    except ProtocolError:
        return
    version = packet.version if isinstance(packet, Connect) else version
    if isinstance(packet, ConnAck) and version == V4 and packet.reason == Reason.UNSPECIFIED_ERROR:
        return  # a reserved return code, which we never write
    assert decode(*cut(encode(packet, version)), version) == packet


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    ends,
    flags,
    st.lists(packets, min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4),
    st.integers(1, 50),
)
def test_mutated_packets(
    end: tuple[Role, int], fresh: bool, said: list[Packet], changes: list[tuple[int, int]], piece: int
) -> None:
    role, version = end
    data = bytearray()
    for packet in said:
        if isinstance(packet, Connect) or version == V5:
            data += encode(packet, V5)
        elif not isinstance(packet, (Auth, ConnAck)):
            data += encode(packet, V4)
    for at, value in changes:
        if at < len(data):
            data[at] = value
    connection = Connection(role, SMALL) if fresh else opened(role, version)
    for start in range(0, len(data), piece):
        feed(connection, bytes(data[start : start + piece]))


@settings(max_examples=150, deadline=None)
@given(st.lists(publishes, max_size=8), st.integers(1, 40))
def test_pieces_of_any_size_give_the_same_packets(said: list[Publish], piece: int) -> None:
    said = [Publish(one.topic, one.payload, retain=one.retain) for one in said]
    data = b"".join(encode(one, V5) for one in said)
    connection = opened(Role.SERVER, V5)
    heard: list[Packet] = []
    for start in range(0, len(data), piece):
        heard += connection.receive(data[start : start + piece], 0)
    assert heard == said


CORPUS: list[Packet] = [
    Connect("device", will=Will("w/t", b"x", QoS.AT_LEAST_ONCE), username="u", password=b"p"),
    Connect("device", properties={"session_expiry_interval": 9, "receive_maximum": 3, "topic_alias_maximum": 2}),
    ConnAck(properties={"maximum_qos": 1, "server_keep_alive": 30, "assigned_client_identifier": "x"}),
    Publish("a/b", b"payload", QoS.AT_LEAST_ONCE, packet_id=1),
    Publish("a/b", b"payload", properties={"content_type": "x", "user_property": (("a", "b"), ("c", "d"))}),
    PubAck(1),
    PubRec(1, Reason.QUOTA_EXCEEDED, {"reason_string": "no"}),
    Subscribe(2, (Subscription("a/+/#", QoS.AT_LEAST_ONCE, True, True, 1), Subscription("$share/g/a"))),
    SubAck(2, (Reason.GRANTED_QOS_1, Reason.NOT_AUTHORIZED)),
    Unsubscribe(3, ("a/b", "#")),
    UnsubAck(3, (Reason.SUCCESS,)),
    PingReq(),
    Disconnect(Reason.DISCONNECT_WITH_WILL, {"reason_string": "bye"}),
]


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("version", [V4, V5])
def test_thousands_of_mutations(role: Role, version: int) -> None:
    """10,000 and more in all: bytes changed, cut out, doubled and put together."""
    dice = random.Random(f"{role}{version}")
    corpus = [encode(replace(one, version=version) if isinstance(one, Connect) else one, version) for one in CORPUS]
    for _ in range(3000):
        data = bytearray(b"".join(dice.choices(corpus, k=dice.randint(1, 3))))
        for _ in range(dice.randint(0, 4)):
            at = dice.randrange(len(data) + 1)
            match dice.randrange(4):
                case 0:
                    data[at : at + 1] = bytes((dice.randrange(256),))
                case 1:
                    del data[at : at + dice.randint(1, 4)]
                case 2:
                    data[at:at] = data[at : at + dice.randint(1, 8)]
                case _:
                    data[at:at] = dice.randbytes(dice.randint(1, 4))
        feed(opened(role, version) if dice.random() < 0.7 else Connection(role, SMALL), bytes(data))
