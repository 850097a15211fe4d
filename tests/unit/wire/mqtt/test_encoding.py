"""`encode` refuses what no peer would accept, and writes the vectors of the standard."""

from __future__ import annotations

import pytest

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

Q1 = QoS.AT_LEAST_ONCE


@pytest.mark.parametrize(
    ("packet", "version", "data"),
    [
        (Connect("a", V4, keep_alive=10), V4, "100d 0004 4d515454 04 02 000a 0001 61"),
        (
            Connect("a", V5, False, 10, "u", b"p", Will("w", b"m", Q1, True)),
            V5,
            "101b 0004 4d515454 05 ec 000a 00 0001 61 00 0001 77 0001 6d 0001 75 0001 70",
        ),
        (ConnAck(session_present=True), V4, "2002 01 00"),
        (ConnAck(Reason.NOT_AUTHORIZED), V4, "2002 00 05"),
        (ConnAck(Reason.NOT_AUTHORIZED), V5, "2003 00 87 00"),
        (Publish("a/b", b"hi", Q1, True, True, 10), V4, "3b09 0003 612f62 000a 6869"),
        (Publish("a/b", b"hi", properties={"topic_alias": 1}), V5, "300b 0003 612f62 03 23 0001 6869"),
        (PubAck(1), V5, "4002 0001"),
        (PubAck(1, Reason.NOT_AUTHORIZED), V5, "4003 0001 87"),
        (PubAck(1, Reason.NOT_AUTHORIZED), V4, "4002 0001"),
        (PubAck(1, properties={"reason_string": "x"}), V5, "4008 0001 00 04 1f 0001 78"),
        (PubRec(1), V4, "5002 0001"),
        (PubRel(1), V4, "6202 0001"),
        (PubComp(1), V4, "7002 0001"),
        (Subscribe(10, (Subscription("a/b", Q1), Subscription("c"))), V4, "820c 000a 0003 612f62 01 0001 63 00"),
        (Subscribe(10, (Subscription("c", Q1, True, True, 2),)), V5, "8207 000a 00 0001 63 2d"),
        (SubAck(10, (Reason.GRANTED_QOS_1, Reason.QUOTA_EXCEEDED)), V4, "9004 000a 01 80"),
        (SubAck(10, (Reason.GRANTED_QOS_1, Reason.QUOTA_EXCEEDED)), V5, "9005 000a 00 01 97"),
        (Unsubscribe(10, ("a", "b")), V4, "a208 000a 0001 61 0001 62"),
        (UnsubAck(10, (Reason.NO_SUBSCRIPTION_EXISTED,)), V5, "b004 000a 00 11"),
        (UnsubAck(10, (Reason.NO_SUBSCRIPTION_EXISTED,)), V4, "b002 000a"),
        (PingReq(), V4, "c000"),
        (PingResp(), V5, "d000"),
        (Disconnect(), V5, "e000"),
        (Disconnect(Reason.SESSION_TAKEN_OVER), V5, "e001 8e"),
        (Auth(), V5, "f000"),
        (Auth(Reason.REAUTHENTICATE, {"authentication_method": "m"}), V5, "f006 19 04 15 0001 6d"),
    ],
)
def test_vectors(packet: Packet, version: int, data: str) -> None:
    assert encode(packet, version).hex() == data.replace(" ", "")


def test_long_packets_have_long_lengths() -> None:
    assert encode(Publish("a", bytes(200)), V4)[:3] == b"\x30\xcb\1"
    assert encode(Publish("a", bytes(130_000)), V4)[:4] == b"\x30\xd3\xf7\7"


@pytest.mark.parametrize(
    ("packet", "version", "message"),
    [
        (Connect("", V4, clean_start=False), V4, "clean session"),
        (Connect("a", V4, password=b"x"), V4, "needs a user name"),
        (Connect("a", keep_alive=65_536), V5, "does not fit"),
        (Connect("a", username="x" * 65_536), V5, "longer than 65535"),
        (Connect("a", will=Will("w/#")), V5, "wildcard"),
        (ConnAck(Reason.NOT_AUTHORIZED, session_present=True), V5, "session is present"),
        (ConnAck(Reason.QUOTA_EXCEEDED), V4, "close without"),
        (ConnAck(Reason.SESSION_TAKEN_OVER), V5, "may not carry"),
        (Publish(""), V5, "empty"),
        (Publish("", properties={"topic_alias": 1}), V4, "empty"),
        (Publish("a/#"), V5, "wildcard"),
        (Publish("a", packet_id=1), V4, "QoS 0"),
        (Publish("a", duplicate=True), V4, "QoS 0"),
        (Publish("a", qos=Q1), V4, "packet identifier"),
        (Publish("a", qos=Q1, packet_id=0), V4, "packet identifier"),
        (Publish("a", qos=Q1, packet_id=65_536), V4, "does not fit"),
        (Publish("\ud800"), V5, "surrogate"),
        (PubAck(0), V4, "packet identifier"),
        (PubAck(1, Reason.SESSION_TAKEN_OVER), V5, "may not carry"),
        (Subscribe(1, ()), V5, "no filter"),
        (Subscribe(1, (Subscription("a#"),)), V5, "whole last level"),
        (Subscribe(1, (Subscription("a", retain_handling=3),)), V5, "retain handling is 3"),
        (Subscribe(1, (Subscription("$share/g/a", no_local=True),)), V5, "no-local"),
        (SubAck(1, ()), V5, "no filter"),
        (Unsubscribe(1, ()), V5, "no filter"),
        (Unsubscribe(1, ("",)), V5, "empty"),
        (UnsubAck(1, ()), V5, "no filter"),
        (UnsubAck(1, (Reason.GRANTED_QOS_1,)), V5, "may not carry"),
        (Disconnect(Reason.GRANTED_QOS_1), V5, "may not carry"),
        (Auth(), V4, "no AUTH"),
        (Auth(Reason.REAUTHENTICATE), V5, "authentication_method"),
        (Publish("a", bytes(268_435_456)), V4, "does not fit"),
    ],
)
def test_what_no_peer_would_accept_is_refused(packet: Packet, version: int, message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        encode(packet, version)
