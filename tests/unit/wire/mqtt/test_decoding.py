"""Cutting packets off a buffer, and reading them. What must be refused stands in the conformance suite."""

from __future__ import annotations

import pytest

from fleetgate.wire.mqtt.decoding import connect_version, decode, split
from fleetgate.wire.mqtt.errors import Malformed, ProtocolError, Reason
from fleetgate.wire.mqtt.packets import (
    V4,
    V5,
    Auth,
    ConnAck,
    Connect,
    Disconnect,
    PubAck,
    Publish,
    QoS,
    SubAck,
    UnsubAck,
)


def test_split_takes_one_packet_at_a_time() -> None:
    buffer = bytearray(b"\xc0\0\x30\3\0\1a\x30")
    assert split(buffer, 100) == (0xC0, b"")
    assert split(buffer, 100) == (0x30, b"\0\1a")
    assert split(buffer, 100) is None
    assert buffer == b"\x30"
    assert split(bytearray(), 100) is None
    assert split(bytearray(b"\x30\x80"), 100) is None


def test_split_takes_lengths_of_up_to_four_bytes() -> None:
    """A length in more bytes than it needs is let pass: small clients leave room for the longest."""
    assert split(bytearray(b"\x30\x83\x80\x80\0abc"), 100) == (0x30, b"abc")
    with pytest.raises(Malformed, match="four bytes"):
        split(bytearray(b"\x30\xff\xff\xff\xff"), 10**9)


def test_split_bounds_the_packet_by_its_header() -> None:
    assert split(bytearray(b"\x30\x08"), 10) is None
    with pytest.raises(ProtocolError, match="11 bytes is over the limit of 10") as error:
        split(bytearray(b"\x30\x09"), 10)
    assert error.value.reason == Reason.PACKET_TOO_LARGE


@pytest.mark.parametrize(
    ("body", "version"),
    [
        (b"\0\4MQTT\5", V5),
        (b"\0\4MQTT\4", V4),
        (b"\0\4MQTT\7", V5),
        (b"\0\4MQTT\3", V4),
        (b"\0\6MQIsdp\3", V4),
        (b"\0\4MQTT", V4),
        (b"", V4),
    ],
)
def test_the_version_in_which_to_refuse(body: bytes, version: int) -> None:
    assert connect_version(body) == version


def test_a_connect_carries_its_own_version() -> None:
    assert decode(0x10, b"\0\4MQTT\5\2\0\0\0\0\1a", V4) == Connect("a", V5)
    assert decode(0x10, b"\0\4MQTT\4\2\0\0\0\1a", V5) == Connect("a", V4)


def test_a_username_needs_no_password_in_any_version() -> None:
    assert decode(0x10, b"\0\4MQTT\4\x82\0\0\0\1a\0\1u", V4) == Connect("a", V4, username="u")
    assert decode(0x10, b"\0\4MQTT\5\x42\0\0\0\0\1a\0\1p", V5) == Connect("a", V5, password=b"p")


def test_a_password_is_not_shown() -> None:
    assert "hunter2" not in repr(Connect("a", password=b"hunter2"))


def test_short_forms_of_mqtt_5() -> None:
    assert decode(0x40, b"\0\1", V5) == PubAck(1)
    assert decode(0x40, b"\0\1\x97", V5) == PubAck(1, Reason.QUOTA_EXCEEDED)
    assert decode(0x40, b"\0\1\0\0", V5) == PubAck(1)
    assert decode(0xE0, b"", V5) == Disconnect()
    assert decode(0xE0, b"\4", V5) == Disconnect(Reason.DISCONNECT_WITH_WILL)
    assert decode(0xF0, b"", V5) == Auth()


def test_the_two_forms_of_a_message() -> None:
    assert decode(0x3B, b"\0\1a\0\7hi", V4) == Publish("a", b"hi", QoS.AT_LEAST_ONCE, True, True, 7)
    assert decode(0x32, b"\0\1a\0\7\0hi", V5) == Publish("a", b"hi", QoS.AT_LEAST_ONCE, packet_id=7)
    empty = decode(0x30, b"\0\0\3\x23\0\1hi", V5)
    assert empty == Publish("", b"hi", properties={"topic_alias": 1})


@pytest.mark.parametrize(
    ("first", "body"),
    [(0x30, b""), (0x30, b"\0"), (0x30, b"\0\2a"), (0x32, b"\0\1a"), (0x32, b"\0\1a\0"), (0x30, b"\0\2\xc3")],
)
def test_a_message_cut_short(first: int, body: bytes) -> None:
    for version in (V4, V5):
        with pytest.raises(Malformed):
            decode(first, body, version)


def test_answers_keep_their_order() -> None:
    assert decode(0x90, b"\0\1\0\x87\0\1", V5) == SubAck(1, (Reason.NOT_AUTHORIZED, Reason.SUCCESS, Reason(1)))
    assert decode(0xB0, b"\0\1\0\x11\0", V5) == UnsubAck(1, (Reason.NO_SUBSCRIPTION_EXISTED, Reason.SUCCESS))
    assert decode(0xB0, b"\0\1", V4) == UnsubAck(1)
    assert decode(0x20, b"\1\0", V4) == ConnAck(session_present=True)
