"""What one connection does beyond the dialogues of the conformance suite."""

from __future__ import annotations

import pytest

from fleetgate.wire.mqtt.connection import LONGEST_CONNECT, Connection, Phase, Role
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
    Publish,
    QoS,
    SubAck,
    Subscribe,
    Subscription,
    UnsubAck,
    Unsubscribe,
    Will,
)
from fleetgate.wire.mqtt.rules import AWS, STANDARD


def server(version: int = V5, connect: Connect | None = None) -> Connection:
    connection = Connection(Role.SERVER, AWS, 0)
    connect = connect or Connect("a", version)
    assert list(connection.receive(encode(connect, version), 0)) == [connect]
    connection.send(ConnAck(properties=AWS.announcement(connect)), 0)
    return connection


def client(version: int = V5) -> Connection:
    connection = Connection(Role.CLIENT, STANDARD, 0)
    connection.send(Connect("a", version), 0)
    assert list(connection.receive(encode(ConnAck(), version), 0)) == [ConnAck()]
    return connection


@pytest.mark.parametrize(
    "packet", [Connect("a"), Subscribe(1, (Subscription("a"),)), Unsubscribe(1, ("a",)), PingReq()]
)
def test_a_server_does_not_send_a_clients_packets(packet: Packet) -> None:
    with pytest.raises(ProtocolError, match="a server does not send"):
        server().send(packet, 0)


@pytest.mark.parametrize("packet", [ConnAck(), SubAck(1, (Reason.SUCCESS,)), UnsubAck(1), PingResp()])
def test_a_client_does_not_send_a_servers_packets(packet: Packet) -> None:
    with pytest.raises(ProtocolError, match="a client does not send"):
        client().send(packet, 0)


def test_order_of_our_own_packets() -> None:
    fresh = Connection(Role.CLIENT)
    with pytest.raises(ProtocolError, match="Publish is not due while the connection is NEW"):
        fresh.send(Publish("a"), 0)
    fresh.send(Connect("a"), 0)
    with pytest.raises(ProtocolError, match="Connect is not due while the connection is CONNECTING"):
        fresh.send(Connect("a"), 0)
    with pytest.raises(ProtocolError, match="ConnAck is not due while the connection is NEW"):
        Connection(Role.SERVER).send(ConnAck(), 0)
    with pytest.raises(ProtocolError, match="ConnAck is not due while the connection is OPEN"):
        server().send(ConnAck(), 0)
    with pytest.raises(ProtocolError, match="method"):
        server().send(Auth(), 0)


def test_whoever_is_not_in_yet_may_not_have_much_kept() -> None:
    connection = Connection(Role.SERVER, STANDARD, 0)
    with pytest.raises(ProtocolError) as refused:
        list(connection.receive(b"\x10\xff\xff\xff\x7f", 0))
    assert refused.value.reason is Reason.PACKET_TOO_LARGE
    assert connection.waiting == 0


def test_the_largest_connect_is_read_and_larger_packets_after_it() -> None:
    connection, long = Connection(Role.SERVER, STANDARD, 0), "x" * 65_535
    connect = Connect(long, V5, username=long, password=long.encode(), will=Will(long, long.encode()))
    assert list(connection.receive(encode(connect, V5), 0)) == [connect]
    connection.send(ConnAck(properties=STANDARD.announcement(connect)), 0)
    large = Publish("a", b"x" * LONGEST_CONNECT)
    assert list(connection.receive(encode(large, V5), 0)) == [large]


def test_a_client_hears_nothing_before_it_spoke() -> None:
    with pytest.raises(ProtocolError, match="not a CONNACK"):
        list(Connection(Role.CLIENT).receive(encode(ConnAck(), V5), 0))


def test_a_broken_connection_has_only_its_farewell() -> None:
    connection = server()
    with pytest.raises(ProtocolError) as error:
        list(connection.receive(b"\xc1\0", 0))
    assert list(connection.receive(encode(PingReq(), V5), 0)) == []
    with pytest.raises(ProtocolError, match="broken"):
        connection.send(PingResp(), 0)
    farewell = connection.farewell(error.value.reason, str(error.value))
    assert farewell == encode(Disconnect(error.value.reason, {"reason_string": str(error.value)}), V5)
    assert connection.phase is Phase.CLOSED
    assert connection.send(PingResp(), 0) == b""


def test_what_came_before_the_break_is_not_lost() -> None:
    packets = server().receive(encode(Publish("a"), V5) + b"\xc1\0", 0)
    assert next(packets) == Publish("a")
    with pytest.raises(ProtocolError):
        next(packets)


def test_bytes_are_kept_even_if_nobody_asks_for_packets() -> None:
    connection = server()
    connection.receive(encode(Publish("a"), V5), 0)
    assert list(connection.receive(encode(Publish("b"), V5), 0)) == [Publish("a"), Publish("b")]


def test_farewells() -> None:
    assert server().farewell(Reason.SERVER_SHUTTING_DOWN) == b"\xe0\1\x8b"
    assert server(V4).farewell(Reason.SERVER_SHUTTING_DOWN) == b""
    assert client().farewell(Reason.NORMAL_DISCONNECTION) == b"\xe0\0"
    assert client(V4).farewell(Reason.NORMAL_DISCONNECTION) == b"\xe0\0"
    assert client(V4).farewell(Reason.PROTOCOL_ERROR) == b""  # so that the will is sent
    assert client().farewell(Reason.PACKET_IDENTIFIER_IN_USE) == b"\xe0\1\x80"
    assert Connection(Role.SERVER).farewell(Reason.SERVER_BUSY) == b""
    assert Connection(Role.CLIENT).farewell(Reason.NORMAL_DISCONNECTION) == b""


def test_farewell_to_a_waiting_client() -> None:
    for version, reason, said in (
        (V4, Reason.SERVER_SHUTTING_DOWN, b"\x20\2\0\3"),
        (V4, Reason.QUOTA_EXCEEDED, b""),
        (V5, Reason.SERVER_SHUTTING_DOWN, b"\x20\3\0\x88\0"),
        (V5, Reason.NOT_AUTHORIZED, b"\x20\3\0\x87\0"),
    ):
        connection = Connection(Role.SERVER)
        list(connection.receive(encode(Connect("a", version), version), 0))
        assert connection.farewell(reason) == said


def test_a_farewell_can_say_anything() -> None:
    said = server().farewell(Reason.PROTOCOL_ERROR, "\ud800\0" + "x" * 10_000)
    assert len(said) < 600


@pytest.mark.parametrize(("client_id", "version"), [("$aws", V4), ("x" * 129, V5)])
def test_aws_iots_client_identifiers(client_id: str, version: int) -> None:
    connection = Connection(Role.SERVER, AWS)
    with pytest.raises(ProtocolError) as error:
        list(connection.receive(encode(Connect(client_id, version), version), 0))
    farewell = connection.farewell(error.value.reason)
    assert farewell == (b"\x20\2\0\2" if version == V4 else b"\x20\3\0\x85\0")


def test_the_client_pings_from_its_last_packet_on() -> None:
    connection = Connection(Role.CLIENT, STANDARD, 0)
    connection.send(Connect("a", keep_alive=100), 0)
    assert connection.deadline() == 30_000  # for the CONNACK
    list(connection.receive(encode(ConnAck(), V5), 1000))
    assert connection.deadline() == 75_000
    connection.send(Publish("a"), 50_000)
    assert connection.deadline() == 125_000
    connection.send(PingReq(), 125_000)
    assert connection.deadline() == 155_000
    list(connection.receive(encode(Publish("b"), V5), 126_000))  # any packet is a sign of life
    assert connection.deadline() == 200_000


def test_packet_identifiers_are_handed_out() -> None:
    connection = client()
    assert [connection.packet_id(), connection.packet_id()] == [1, 2]
    for packet_id in range(3, 65_536):
        connection.send(Publish("a", qos=QoS.AT_LEAST_ONCE, packet_id=packet_id), 0)
    assert connection.packet_id() == 1
    connection.send(Subscribe(1, (Subscription("a"),)), 0)
    connection.send(Unsubscribe(2, ("a",)), 0)
    with pytest.raises(ProtocolError, match="all packet identifiers"):
        connection.packet_id()
    list(connection.receive(encode(PubAck(500), V5), 0))
    assert connection.packet_id() == 500


def test_what_was_not_asked_for_waits() -> None:
    ping, connection = encode(PingReq(), V5), server()
    assert connection.waiting == 0
    connection.receive(ping + ping + ping[:1], 0)
    assert connection.waiting == 2 * len(ping) + 1
    assert list(connection.receive(b"", 0)) == [PingReq(), PingReq()]
    assert connection.waiting == 1
