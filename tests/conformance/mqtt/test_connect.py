"""CONNECT, CONNACK, keep-alive, DISCONNECT and AUTH, by the numbers of the standards' statements.

Numbers without a version are MQTT 5's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from fleetgate.wire.mqtt.connection import Connection, Phase, Role
from fleetgate.wire.mqtt.encoding import encode
from fleetgate.wire.mqtt.errors import ProtocolError, Reason
from fleetgate.wire.mqtt.packets import (
    V4,
    V5,
    Auth,
    ConnAck,
    Connect,
    Disconnect,
    PingReq,
    PingResp,
    Publish,
    QoS,
    SubAck,
    Subscribe,
    Subscription,
    Will,
)
from fleetgate.wire.mqtt.rules import AWS, STANDARD

if TYPE_CHECKING:
    from tests.conformance.mqtt.conftest import Dialogue, OpenDialogue

Fresh = Callable[..., "Dialogue"]
BOTH = pytest.mark.parametrize("version", [V4, V5])


def connect_bytes(name: bytes = b"MQTT", level: int = 4, flags: int = 2, tail: bytes = b"\0\1a") -> bytes:
    body = len(name).to_bytes(2) + name + bytes((level, flags, 0, 60)) + tail
    return bytes((0x10, len(body))) + body


REFUSED = [
    # statement, bytes, reason, what the server says before it closes
    ("3.1.1 3.1.2-1", connect_bytes(b"MQTX"), Reason.MALFORMED_PACKET, b""),
    ("3.1.1 3.1.2-2 level 3", connect_bytes(b"MQIsdp", 3), Reason.UNSUPPORTED_PROTOCOL_VERSION, b"\x20\2\0\1"),
    ("3.1.1 3.1.2-2 level 2", connect_bytes(level=2), Reason.UNSUPPORTED_PROTOCOL_VERSION, b"\x20\2\0\1"),
    ("3.1.2-2 level 6", connect_bytes(level=6), Reason.UNSUPPORTED_PROTOCOL_VERSION, b"\x20\3\0\x84\0"),
    ("3.1.1 3.1.2-3", connect_bytes(flags=3), Reason.MALFORMED_PACKET, b""),
    ("3.1.2-3", connect_bytes(level=5, flags=3), Reason.MALFORMED_PACKET, b"\x20\3\0\x81\0"),
    ("3.1.1 3.1.2-13", connect_bytes(flags=0x0A), Reason.MALFORMED_PACKET, b""),
    ("3.1.2-11", connect_bytes(level=5, flags=0x0A), Reason.MALFORMED_PACKET, b"\x20\3\0\x81\0"),
    ("3.1.1 3.1.2-15", connect_bytes(flags=0x22), Reason.MALFORMED_PACKET, b""),
    ("3.1.2-13", connect_bytes(level=5, flags=0x22), Reason.MALFORMED_PACKET, b"\x20\3\0\x81\0"),
    ("3.1.1 3.1.2-14", connect_bytes(flags=0x1E, tail=b"\0\1a\0\1w\0\1!"), Reason.MALFORMED_PACKET, b""),
    (
        "3.1.2-12",
        connect_bytes(level=5, flags=0x1E, tail=b"\0\0\1a\0\0\1w\0\1!"),
        Reason.MALFORMED_PACKET,
        b"\x20\3\0\x81\0",
    ),
    ("3.1.1 3.1.2-9", connect_bytes(flags=0x06), Reason.MALFORMED_PACKET, b""),
    ("3.1.1 3.1.2-19", connect_bytes(flags=0x82), Reason.MALFORMED_PACKET, b""),
    ("3.1.1 3.1.2-18", connect_bytes(tail=b"\0\1a\0\4user"), Reason.MALFORMED_PACKET, b""),
    ("3.1.1 3.1.2-21", connect_bytes(flags=0xC2, tail=b"\0\1a\0\4user"), Reason.MALFORMED_PACKET, b""),
    ("3.1.1 3.1.2-22", connect_bytes(flags=0x42, tail=b"\0\1a\0\4pass"), Reason.MALFORMED_PACKET, b""),
    ("3.1.1 3.1.3-8", connect_bytes(flags=0, tail=b"\0\0"), Reason.CLIENT_IDENTIFIER_NOT_VALID, b"\x20\2\0\2"),
    ("3.1.1 3.1.3-3", connect_bytes(tail=b""), Reason.MALFORMED_PACKET, b""),
    ("3.1.1 3.1.3-4", connect_bytes(tail=b"\0\1\xff"), Reason.MALFORMED_PACKET, b""),
    ("3.1.1 3.1.3-10", connect_bytes(flags=6, tail=b"\0\1a\0\1\xff\0\0"), Reason.MALFORMED_PACKET, b""),
    ("3.1.1 4.7.1-1 in a will", connect_bytes(flags=6, tail=b"\0\1a\0\1#\0\0"), Reason.TOPIC_NAME_INVALID, b""),
    (
        "3.1.2.11.4 receive maximum 0",
        connect_bytes(level=5, tail=b"\3\x21\0\0\0\1a"),
        Reason.PROTOCOL_ERROR,
        b"\x20\3\0\x82\0",
    ),
    (
        "3.1.2.11.4 packet size 0",
        connect_bytes(level=5, tail=b"\5\x27\0\0\0\0\0\1a"),
        Reason.PROTOCOL_ERROR,
        b"\x20\3\0\x82\0",
    ),
    (
        "3.1.2.11.9 data without a method",
        connect_bytes(level=5, tail=b"\4\x16\0\1x\0\1a"),
        Reason.PROTOCOL_ERROR,
        b"\x20\3\0\x82\0",
    ),
    (
        "4.12.0-1",
        connect_bytes(level=5, tail=b"\4\x15\0\1x\0\1a"),
        Reason.BAD_AUTHENTICATION_METHOD,
        b"\x20\3\0\x8c\0",
    ),
    (
        "3.1.3.2 a will property elsewhere",
        connect_bytes(level=5, tail=b"\5\x18\0\0\0\1\0\1a"),
        Reason.PROTOCOL_ERROR,
        b"\x20\3\0\x82\0",
    ),
]


@pytest.mark.parametrize(("data", "reason", "farewell"), [pytest.param(*line[1:], id=line[0]) for line in REFUSED])
def test_connect_is_refused(fresh: Fresh, data: bytes, reason: Reason, farewell: bytes) -> None:
    """[MQTT-3.1.4-1]; 3.1.1 closes without a CONNACK where it has no return code for it."""
    dialogue = fresh()
    assert dialogue.server_refuses(data) == reason
    assert dialogue.server.farewell(reason) == farewell
    assert dialogue.server.phase is Phase.CLOSED


@BOTH
def test_first_packet_must_be_connect(fresh: Fresh, version: int) -> None:
    """[MQTT-3.1.0-1]"""
    dialogue = fresh()
    assert dialogue.server_refuses(encode(PingReq(), version)) == Reason.PROTOCOL_ERROR
    assert dialogue.server.farewell(Reason.PROTOCOL_ERROR) == b""


@BOTH
def test_nothing_is_processed_behind_a_refused_connect(fresh: Fresh, version: int) -> None:
    """[MQTT-3.1.4-6]; 3.1.1 [MQTT-3.1.4-5]: clients may send on without waiting for the CONNACK."""
    dialogue = fresh()
    connect = Connect("a", version)
    packets = dialogue.server.receive(encode(connect, version) + encode(Publish("a"), version), dialogue.now)
    assert next(packets) == connect
    dialogue.server.send(ConnAck(Reason.NOT_AUTHORIZED), dialogue.now)
    assert list(packets) == []


@BOTH
def test_packets_behind_an_accepted_connect_are_processed(fresh: Fresh, version: int) -> None:
    dialogue = fresh()
    data = encode(Connect("a", version), version) + encode(Publish("a"), version)
    assert dialogue.client_writes(data) == [Connect("a", version), Publish("a")]


@BOTH
def test_first_packet_of_a_server_is_connack(fresh: Fresh, version: int) -> None:
    """[MQTT-3.2.0-1]"""
    dialogue = fresh()
    dialogue.client_says(Connect("a", version))
    assert dialogue.client_refuses(encode(PingResp(), version)) == Reason.PROTOCOL_ERROR
    with pytest.raises(ProtocolError, match="not due"):
        dialogue.server.send(Publish("a"), dialogue.now)


@BOTH
def test_a_session_that_starts_clean_is_not_present(fresh: Fresh, version: int) -> None:
    """[MQTT-3.2.2-2] on the server, [MQTT-3.2.2-4] on the client; 3.1.1 [MQTT-3.2.2-1]."""
    dialogue = fresh()
    dialogue.client_says(Connect("a", version))
    present = ConnAck(session_present=True)
    with pytest.raises(ProtocolError, match="starts clean"):
        dialogue.server.send(present, dialogue.now)
    assert dialogue.client_refuses(encode(present, version)) == Reason.PROTOCOL_ERROR


@BOTH
def test_a_refusal_never_speaks_of_a_session(version: int) -> None:
    """[MQTT-3.2.2-6]; 3.1.1 [MQTT-3.2.2-4]"""
    client = Connection(Role.CLIENT)
    client.send(Connect("a", version, clean_start=False), 0)
    raw = b"\x20\2\1\5" if version == V4 else b"\x20\3\1\x87\0"
    with pytest.raises(ProtocolError):
        list(client.receive(raw, 0))


@BOTH
def test_connack_flags_are_reserved(version: int) -> None:
    """[MQTT-3.2.2-1]; 3.1.1 3.2.2.1"""
    client = Connection(Role.CLIENT)
    client.send(Connect("a", version, clean_start=False), 0)
    with pytest.raises(ProtocolError) as error:
        list(client.receive(b"\x20\2\2\0" if version == V4 else b"\x20\3\2\0\0", 0))
    assert error.value.reason == Reason.MALFORMED_PACKET


@BOTH
def test_a_refusing_connack_closes(fresh: Fresh, version: int) -> None:
    """[MQTT-3.2.2-7]; 3.1.1 [MQTT-3.2.2-5]"""
    dialogue = fresh()
    dialogue.client_says(Connect("a", version))
    assert dialogue.server_says(ConnAck(Reason.NOT_AUTHORIZED)) == [ConnAck(Reason.NOT_AUTHORIZED)]
    assert dialogue.server.phase is dialogue.client.phase is Phase.CLOSED
    assert dialogue.client.send(PingReq(), dialogue.now) == b""


def test_3_1_1_closes_where_no_return_code_fits(fresh: Fresh) -> None:
    """3.1.1 [MQTT-3.2.2-6]"""
    dialogue = fresh()
    dialogue.client_says(Connect("a", V4))
    assert dialogue.server_says(ConnAck(Reason.QUOTA_EXCEEDED)) == []
    assert dialogue.server.phase is Phase.CLOSED


def test_a_will_above_the_maximum_qos_is_refused(fresh: Fresh) -> None:
    """[MQTT-3.2.2-12]"""
    for version, farewell in ((V4, b""), (V5, b"\x20\3\0\x9b\0")):
        dialogue = fresh(STANDARD)
        refused = Connect("a", version, will=Will("w", qos=QoS.EXACTLY_ONCE))
        assert dialogue.server_refuses(encode(refused, version)) == Reason.QOS_NOT_SUPPORTED
        assert dialogue.server.farewell(Reason.QOS_NOT_SUPPORTED) == farewell


def test_a_lower_maximum_qos_still_takes_every_subscribe(talk: OpenDialogue) -> None:
    """[MQTT-3.2.2-10]"""
    asked = Subscribe(1, (Subscription("a", QoS.EXACTLY_ONCE),))
    assert talk(rules=STANDARD).client_says(asked) == [asked]


@pytest.mark.parametrize(("version", "farewell"), [(V4, b""), (V5, b"\xe0\1\x9b")])
def test_a_publish_above_the_maximum_qos(talk: OpenDialogue, version: int, farewell: bytes) -> None:
    """[MQTT-3.2.2-11]"""
    dialogue = talk(version, rules=STANDARD)
    data = encode(Publish("a", qos=QoS.EXACTLY_ONCE, packet_id=1), version)
    assert dialogue.server_refuses(data) == Reason.QOS_NOT_SUPPORTED
    assert dialogue.server.farewell(Reason.QOS_NOT_SUPPORTED) == farewell


def test_a_client_keeps_to_what_the_server_announced(talk: OpenDialogue) -> None:
    """[MQTT-3.2.2-11, MQTT-3.2.2-14, MQTT-3.2.2-15]"""
    said = {"maximum_qos": 1, "retain_available": 0, "maximum_packet_size": 30}
    dialogue = talk(connack=ConnAck(properties=said))  # type: ignore[arg-type]  # a plain dict, as on the wire
    for packet, reason in (
        (Publish("a", qos=QoS.EXACTLY_ONCE, packet_id=1), Reason.QOS_NOT_SUPPORTED),
        (Publish("a", retain=True), Reason.RETAIN_NOT_SUPPORTED),
        (Subscribe(1, (Subscription("a" * 40),)), Reason.PACKET_TOO_LARGE),
    ):
        with pytest.raises(ProtocolError) as error:
            dialogue.client.send(packet, dialogue.now)
        assert error.value.reason == reason
    assert dialogue.client.send(Publish("a", bytes(40)), dialogue.now) == b""


# -- keep-alive --------------------------------------------------------------------------------------------------------


@BOTH
def test_a_silent_client_is_overdue_after_one_and_a_half_keep_alives(talk: OpenDialogue, version: int) -> None:
    """[MQTT-3.1.2-22]; 3.1.1 [MQTT-3.1.2-24]"""
    dialogue = talk(version, Connect("a", version, keep_alive=60))
    assert dialogue.server.deadline() == dialogue.now + 90_000
    dialogue.wait(89.999)
    assert not dialogue.server.overdue(dialogue.now)
    dialogue.client_says(PingReq())
    dialogue.wait(89.999)
    assert not dialogue.server.overdue(dialogue.now)
    dialogue.wait(0.001)
    assert dialogue.server.overdue(dialogue.now)


def test_part_of_a_packet_is_no_sign_of_life(talk: OpenDialogue) -> None:
    """[MQTT-3.1.2-22] speaks of control packets."""
    dialogue = talk(V4, Connect("a", V4, keep_alive=60))
    dialogue.wait(80)
    dialogue.client_writes(b"\x30\x10")
    dialogue.wait(10)
    assert dialogue.server.overdue(dialogue.now)


@BOTH
def test_a_client_pings_before_its_keep_alive_ends(talk: OpenDialogue, version: int) -> None:
    """[MQTT-3.1.2-20]; 3.1.1 [MQTT-3.1.2-23]; [MQTT-3.12.4-1] is the gateway's."""
    dialogue = talk(version, Connect("a", version, keep_alive=60))
    due = dialogue.client.deadline()
    assert due is not None
    assert due < dialogue.now + 60_000
    assert not dialogue.client.ping_due(due - 1)
    assert dialogue.client.ping_due(due)
    dialogue.now = due
    assert dialogue.client_says(PingReq()) == [PingReq()]
    assert not dialogue.client.ping_due(due)
    assert not dialogue.client.overdue(due)
    dialogue.wait(30)
    assert dialogue.client.overdue(dialogue.now)  # nobody answered
    assert dialogue.server_says(PingResp()) == [PingResp()]
    assert not dialogue.client.overdue(dialogue.now)


@BOTH
def test_keep_alive_0_waits_for_ever(talk: OpenDialogue, version: int) -> None:
    dialogue = talk(version)
    assert dialogue.server.deadline() is None
    assert dialogue.client.deadline() is None
    dialogue.wait(10**6)
    assert not dialogue.server.overdue(dialogue.now)
    assert not dialogue.client.ping_due(dialogue.now)


def test_the_servers_keep_alive_holds_for_both(talk: OpenDialogue) -> None:
    """[MQTT-3.1.2-21, MQTT-3.2.2-21]"""
    connect = Connect("a", keep_alive=6)
    dialogue = talk(connect=connect, connack=ConnAck(properties=AWS.announcement(connect)), rules=AWS)
    assert dialogue.server.keep_alive == dialogue.client.keep_alive == 30


def test_the_clients_keep_alive_holds_if_the_server_says_nothing(talk: OpenDialogue) -> None:
    """[MQTT-3.2.2-22]"""
    assert talk(connect=Connect("a", keep_alive=6), rules=AWS).server.keep_alive == 6


def test_3_1_1_cannot_be_told_and_is_held_to_the_clamped_keep_alive(talk: OpenDialogue) -> None:
    """AWS IoT: 30 to 1200 seconds, none at all is 1200."""
    for asked, holds in ((6, 30), (600, 600), (5000, 1200), (0, 1200)):
        assert talk(V4, Connect("a", V4, keep_alive=asked), rules=AWS).server.keep_alive == holds


def test_connect_and_connack_must_come_in_time(fresh: Fresh) -> None:
    """3.1.4: a server should close if no CONNECT comes within a reasonable time."""
    dialogue = fresh(replace(STANDARD, answer_timeout=10))
    assert dialogue.server.deadline() == dialogue.now + 10_000
    assert dialogue.client.deadline() is None
    dialogue.wait(10)
    assert dialogue.server.overdue(dialogue.now)
    dialogue.client_says(Connect("a"))
    assert not dialogue.server.overdue(dialogue.now)
    assert dialogue.server.deadline() is None
    dialogue.wait(30)
    assert dialogue.client.overdue(dialogue.now)
    dialogue.server_says(ConnAck())
    assert not dialogue.client.overdue(dialogue.now)


# -- leaving -----------------------------------------------------------------------------------------------------------


@BOTH
def test_nothing_is_read_or_sent_after_disconnect(talk: OpenDialogue, version: int) -> None:
    """[MQTT-3.14.4-1]; 3.1.1 [MQTT-3.14.4-2]"""
    dialogue = talk(version)
    data = encode(Disconnect(), version) + encode(Publish("a"), version)
    assert dialogue.client_writes(data) == [Disconnect()]
    assert dialogue.server.send(Publish("a"), dialogue.now) == b""
    assert dialogue.server.farewell(Reason.SERVER_SHUTTING_DOWN) == b""
    assert dialogue.client.send(Disconnect(), dialogue.now) == encode(Disconnect(), version)
    assert dialogue.client.send(Publish("a"), dialogue.now) == b""
    assert dialogue.server.deadline() is None


def test_a_server_says_why_it_closes(talk: OpenDialogue) -> None:
    dialogue = talk(V5)
    farewell = dialogue.server.farewell(Reason.SESSION_TAKEN_OVER, "another connection has this client identifier")
    said = {"reason_string": "another connection has this client identifier"}
    assert dialogue.server_writes(farewell) == [Disconnect(Reason.SESSION_TAKEN_OVER, said)]  # type: ignore[arg-type]
    assert dialogue.client.phase is Phase.CLOSED
    assert talk(V4).server.farewell(Reason.SESSION_TAKEN_OVER) == b""  # 3.1.1: the client alone sends DISCONNECT
    dialogue = talk(V4)
    assert dialogue.server.send(Disconnect(Reason.SESSION_TAKEN_OVER), dialogue.now) == b""
    assert dialogue.server.phase is Phase.CLOSED


def test_disconnect_waits_for_the_connack(fresh: Fresh) -> None:
    """[MQTT-3.14.0-1]"""
    dialogue = fresh()
    dialogue.client_says(Connect("a"))
    with pytest.raises(ProtocolError, match="not due"):
        dialogue.server.send(Disconnect(), dialogue.now)


def test_session_expiry_in_disconnect(talk: OpenDialogue) -> None:
    """[MQTT-3.14.2-2] for the server; 3.14.2.2.2 for the client."""
    later = Disconnect(properties={"session_expiry_interval": 10})
    with pytest.raises(ProtocolError, match="did not"):
        talk().client.send(later, 0)
    with pytest.raises(ProtocolError, match="server's DISCONNECT"):
        talk().server.send(later, 0)
    lasting = Connect("a", properties={"session_expiry_interval": 60})
    assert talk(connect=lasting).client_says(later) == [later]
    zero = Disconnect(properties={"session_expiry_interval": 0})
    assert talk().client_says(zero) == [zero]


# -- size and explanations ---------------------------------------------------------------------------------------------


def test_a_server_keeps_to_the_clients_maximum_packet_size(talk: OpenDialogue) -> None:
    """[MQTT-3.1.2-24, MQTT-3.1.2-25, MQTT-3.9.2-1, MQTT-3.9.2-2, MQTT-3.14.2-3]"""
    dialogue = talk(connect=Connect("a", properties={"maximum_packet_size": 20}))
    assert dialogue.server_says(Publish("a", bytes(30), QoS.AT_LEAST_ONCE, packet_id=1)) == []
    assert dialogue.server_says(Publish("a", b"!", QoS.AT_LEAST_ONCE, packet_id=1)) != []  # 1 is still free
    dialogue.client_says(Subscribe(5, (Subscription("a"),)))
    answer = SubAck(5, (Reason.GRANTED_QOS_0,), {"reason_string": "x" * 20, "user_property": (("a", "b"),)})
    assert dialogue.server_says(answer) == [SubAck(5, (Reason.GRANTED_QOS_0,))]
    with pytest.raises(ProtocolError) as error:
        dialogue.server.send(SubAck(6, (Reason.GRANTED_QOS_0,) * 30), dialogue.now)
    assert error.value.reason == Reason.PACKET_TOO_LARGE
    farewell = dialogue.server.farewell(Reason.QUOTA_EXCEEDED, "y" * 300)
    assert dialogue.server_writes(farewell) == [Disconnect(Reason.QUOTA_EXCEEDED)]


def test_a_farewell_that_fits_nowhere_is_left_out(talk: OpenDialogue) -> None:
    dialogue = talk(connect=Connect("a", properties={"maximum_packet_size": 5}))
    assert dialogue.server.farewell(Reason.QUOTA_EXCEEDED, "y") == b"\xe0\1\x97"
    tiny = Connection(Role.SERVER, STANDARD)
    list(tiny.receive(encode(Connect("a", properties={"maximum_packet_size": 2}), V5), 0))
    assert tiny.farewell(Reason.NOT_AUTHORIZED) == b""


def test_a_client_may_ask_for_no_explanations(talk: OpenDialogue) -> None:
    """[MQTT-3.1.2-29]"""
    dialogue = talk(connect=Connect("a", properties={"request_problem_information": 0}))
    dialogue.client_says(Subscribe(5, (Subscription("a"),)))
    answer = SubAck(5, (Reason.NOT_AUTHORIZED,), {"reason_string": "no"})
    assert dialogue.server_says(answer) == [SubAck(5, (Reason.NOT_AUTHORIZED,))]
    message = Publish("a", properties={"user_property": (("a", "b"),)})
    assert dialogue.server_says(message) == [message]
    assert b"why" in dialogue.server.farewell(Reason.NOT_AUTHORIZED, "why")


@BOTH
def test_a_packet_over_the_limit_is_refused_before_it_is_there(talk: OpenDialogue, version: int) -> None:
    dialogue = talk(version, rules=replace(STANDARD, maximum_packet_size=1000))
    assert dialogue.server_refuses(b"\x30\xff\xff\x7f") == Reason.PACKET_TOO_LARGE


# -- enhanced authentication, as a client ------------------------------------------------------------------------------


def test_auth_goes_with_the_connects_method(fresh: Fresh) -> None:
    """[MQTT-4.12.0-2, MQTT-4.12.0-3, MQTT-4.12.0-5]"""
    dialogue = fresh()
    client = dialogue.client
    client.send(Connect("a", properties={"authentication_method": "m"}), 0)
    more = Auth(Reason.CONTINUE_AUTHENTICATION, {"authentication_method": "m"})
    assert list(client.receive(encode(more, V5), 0)) == [more]
    assert client.send(more, 0) == encode(more, V5)
    assert list(client.receive(encode(ConnAck(), V5), 0)) == [ConnAck()]
    with pytest.raises(ProtocolError, match="method"):
        client.send(Auth(Reason.REAUTHENTICATE, {"authentication_method": "other"}), 0)
    other = Auth(Reason.SUCCESS, {"authentication_method": "other"})
    assert dialogue.client_refuses(encode(other, V5)) == Reason.PROTOCOL_ERROR
