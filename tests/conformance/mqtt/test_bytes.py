"""What a receiver must refuse in the bytes of one packet, by the number of the standard's statement.

Each line: statement, version, what is wrong, the packet, the reason. The packet is written to a server (or a client)
whose connection is open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fleetgate.wire.mqtt.errors import Reason
from fleetgate.wire.mqtt.packets import V4, V5, ConnAck, Connect, Publish

if TYPE_CHECKING:
    from tests.conformance.mqtt.conftest import OpenDialogue

MALFORMED, PROTOCOL = Reason.MALFORMED_PACKET, Reason.PROTOCOL_ERROR
FILTER, TOPIC, ALIAS = Reason.TOPIC_FILTER_INVALID, Reason.TOPIC_NAME_INVALID, Reason.TOPIC_ALIAS_INVALID


def frame(first: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return bytes((first, len(body))) + body


def text(value: bytes) -> bytes:
    return len(value).to_bytes(2) + value


ID = b"\0\7"
NONE = b"\0"  # no properties

TO_SERVER = [
    ("3.1.1 1.5.3-1", V4, "a surrogate in a topic", frame(0x30, text(b"\xed\xa0\x80")), MALFORMED),
    ("3.1.1 1.5.3-1", V4, "an overlong form", frame(0x30, text(b"\xc0\xaf")), MALFORMED),
    ("3.1.1 1.5.3-2", V4, "U+0000 in a topic", frame(0x30, text(b"a\0b")), MALFORMED),
    ("3.1.1 1.5.3-2", V4, "U+0000 in a filter", frame(0x82, ID, text(b"a\0b"), b"\0"), MALFORMED),
    ("3.1.1 2.2.2-2", V4, "flags of PUBACK", frame(0x41, ID), MALFORMED),
    ("3.1.1 2.2.2-2", V4, "flags of PINGREQ", frame(0xC1), MALFORMED),
    ("3.1.1 2.3.1-1", V4, "packet identifier 0", frame(0x32, text(b"a"), b"\0\0"), MALFORMED),
    ("3.1.1 2.3.1-1", V4, "packet identifier 0", frame(0x82, b"\0\0", text(b"a"), b"\0"), MALFORMED),
    ("3.1.1 3.3.1-2", V4, "DUP with QoS 0", frame(0x38, text(b"a")), MALFORMED),
    ("3.1.1 3.3.1-4", V4, "QoS 3", frame(0x36, text(b"a"), ID), MALFORMED),
    ("3.1.1 3.3.2-2", V4, "# in a topic", frame(0x30, text(b"a/#")), TOPIC),
    ("3.1.1 3.3.2-2", V4, "+ in a topic", frame(0x30, text(b"a/+")), TOPIC),
    ("3.1.1 3.6.1-1", V4, "flags of PUBREL", frame(0x60, ID), MALFORMED),
    ("3.1.1 3.8.1-1", V4, "flags of SUBSCRIBE", frame(0x80, ID, text(b"a"), b"\0"), MALFORMED),
    ("3.1.1 3.8.3-3", V4, "no filter", frame(0x82, ID), MALFORMED),
    ("3.1.1 3-8.3-4", V4, "QoS 3", frame(0x82, ID, text(b"a"), b"\3"), MALFORMED),
    ("3.1.1 3-8.3-4", V4, "reserved bits", frame(0x82, ID, text(b"a"), b"\4"), MALFORMED),
    ("3.1.1 3.10.1-1", V4, "flags of UNSUBSCRIBE", frame(0xA0, ID, text(b"a")), MALFORMED),
    ("3.1.1 3.10.3-2", V4, "no filter", frame(0xA2, ID), MALFORMED),
    ("3.1.1 3.14.1-1", V4, "flags of DISCONNECT", frame(0xE8), MALFORMED),
    ("3.1.1 4.7.1-2", V4, "# inside a level", frame(0x82, ID, text(b"a#"), b"\0"), FILTER),
    ("3.1.1 4.7.1-2", V4, "# before the end", frame(0x82, ID, text(b"a/#/b"), b"\0"), FILTER),
    ("3.1.1 4.7.1-3", V4, "+ inside a level", frame(0x82, ID, text(b"a+/b"), b"\0"), FILTER),
    ("3.1.1 4.7.3-1", V4, "an empty topic", frame(0x30, text(b"")), TOPIC),
    ("3.1.1 4.7.3-1", V4, "an empty filter", frame(0x82, ID, text(b""), b"\0"), FILTER),
    ("3.1.1 4.7.3-1", V4, "an empty filter", frame(0xA2, ID, text(b"")), FILTER),
    ("3.1.1 2.2.1", V4, "type 0", frame(0x00), MALFORMED),
    ("3.1.1 2.2.1", V4, "type 15", frame(0xF0), MALFORMED),
    ("3.1.1 2.2.3", V4, "five bytes of length", b"\x30\xff\xff\xff\xff\x01", MALFORMED),
    ("3.1.1 3.4", V4, "PUBACK with a tail", frame(0x40, ID, b"\0"), MALFORMED),
    ("3.1.1 3.14", V4, "DISCONNECT with a tail", frame(0xE0, b"\0"), MALFORMED),
    ("1.5.4-1", V5, "a surrogate in a topic", frame(0x30, text(b"\xed\xbf\xbf"), NONE), MALFORMED),
    ("1.5.4-2", V5, "U+0000 in a topic", frame(0x30, text(b"\0"), NONE), MALFORMED),
    ("1.5.5-1", V5, "a property length in two bytes", frame(0x30, text(b"a"), b"\x80\0"), MALFORMED),
    ("1.5.5", V5, "a property length in five", frame(0x30, text(b"a"), b"\xff\xff\xff\xff\1"), MALFORMED),
    ("1.5.7-1", V5, "U+0000 in a pair", frame(0x30, text(b"a"), b"\x08\x26\0\1a\0\2b\0"), MALFORMED),
    ("2.1.3-1", V5, "flags of PINGREQ", frame(0xC2), MALFORMED),
    ("2.2.1-3", V5, "packet identifier 0", frame(0x32, text(b"a"), b"\0\0", NONE), MALFORMED),
    ("2.2.2-1", V5, "no property length", frame(0x30, text(b"a")), MALFORMED),
    ("2.2.2.2", V5, "an unknown property", frame(0x30, text(b"a"), b"\2\x7f\0"), MALFORMED),
    ("2.2.2.2", V5, "a property of another packet", frame(0x30, text(b"a"), b"\3\x21\0\1"), PROTOCOL),
    ("2.2.2.2", V5, "properties beyond the packet", frame(0x30, text(b"a"), b"\x09\1\1"), MALFORMED),
    ("2.2.2.2", V5, "a property cut short", frame(0x30, text(b"a"), b"\2\2\0"), MALFORMED),
    ("3.3.1-2", V5, "DUP with QoS 0", frame(0x38, text(b"a"), NONE), MALFORMED),
    ("3.3.1-4", V5, "QoS 3", frame(0x36, text(b"a"), ID, NONE), MALFORMED),
    ("3.3.2-2", V5, "# in a topic", frame(0x30, text(b"#"), NONE), TOPIC),
    ("3.3.2-8", V5, "topic alias 0", frame(0x30, text(b"a"), b"\3\x23\0\0"), ALIAS),
    ("3.3.2-9", V5, "an alias above the maximum", frame(0x30, text(b"a"), b"\3\x23\0\1"), ALIAS),
    ("3.3.2-14", V5, "# in a response topic", frame(0x30, text(b"a"), b"\4\x08\0\1#"), TOPIC),
    ("3.3.2.1", V5, "neither topic nor alias", frame(0x30, text(b""), NONE), PROTOCOL),
    ("3.3.2.3.2", V5, "payload format 2", frame(0x30, text(b"a"), b"\2\1\2"), PROTOCOL),
    ("3.3.2.3.2", V5, "payload format twice", frame(0x30, text(b"a"), b"\4\1\1\1\1"), PROTOCOL),
    ("3.3.2.3.8", V5, "subscription identifier 0", frame(0x30, text(b"a"), b"\2\x0b\0"), PROTOCOL),
    ("3.3.4-6", V5, "a client's subscription identifier", frame(0x30, text(b"a"), b"\2\x0b\1"), PROTOCOL),
    ("3.4.2-1", V5, "a reason PUBACK has not", frame(0x40, ID, b"\x81"), PROTOCOL),
    ("3.5.2-1", V5, "a reason PUBREC has not", frame(0x50, ID, b"\x92"), PROTOCOL),
    ("3.6.1-1", V5, "flags of PUBREL", frame(0x60, ID), MALFORMED),
    ("3.6.2-1", V5, "a reason PUBREL has not", frame(0x62, ID, b"\x80"), PROTOCOL),
    ("3.7.2-1", V5, "a reason PUBCOMP has not", frame(0x70, ID, b"\x80"), PROTOCOL),
    ("3.8.1-1", V5, "flags of SUBSCRIBE", frame(0x80, ID, NONE, text(b"a"), b"\0"), MALFORMED),
    ("3.8.2.1.2", V5, "identifier twice", frame(0x82, ID, b"\4\x0b\1\x0b\2", text(b"a"), b"\0"), PROTOCOL),
    ("3.8.2.1.2", V5, "identifier 0", frame(0x82, ID, b"\2\x0b\0", text(b"a"), b"\0"), PROTOCOL),
    ("3.8.3-2", V5, "no filter", frame(0x82, ID, NONE), MALFORMED),
    ("3.8.3-4", V5, "no local on a shared one", frame(0x82, ID, NONE, text(b"$share/g/a"), b"\4"), PROTOCOL),
    ("3.8.3-5", V5, "reserved bits", frame(0x82, ID, NONE, text(b"a"), b"\x40"), MALFORMED),
    ("3.8.3.1", V5, "QoS 3", frame(0x82, ID, NONE, text(b"a"), b"\3"), MALFORMED),
    ("3.8.3.1", V5, "retain handling 3", frame(0x82, ID, NONE, text(b"a"), b"\x30"), PROTOCOL),
    ("3.10.1-1", V5, "flags of UNSUBSCRIBE", frame(0xA0, ID, NONE, text(b"a")), MALFORMED),
    ("3.10.3-2", V5, "no filter", frame(0xA2, ID, NONE), MALFORMED),
    ("3.14.1-1", V5, "flags of DISCONNECT", frame(0xE1), MALFORMED),
    ("3.14.2-1", V5, "a reason DISCONNECT has not", frame(0xE0, b"\1"), PROTOCOL),
    ("3.14.2.2.2", V5, "an expiry CONNECT had not", frame(0xE0, b"\0\5\x11\0\0\0\1"), PROTOCOL),
    ("3.15.1-1", V5, "flags of AUTH", frame(0xF1), MALFORMED),
    ("3.15.2-1", V5, "a reason AUTH has not", frame(0xF0, b"\1\0"), PROTOCOL),
    ("3.15.2.2.2", V5, "no authentication method", frame(0xF0, b"\x18\0"), PROTOCOL),
    ("4.12.0-7", V5, "AUTH without a method in CONNECT", frame(0xF0), PROTOCOL),
    ("4.7.1-1", V5, "# before the end", frame(0x82, ID, NONE, text(b"#/a"), b"\0"), FILTER),
    ("4.7.1-2", V5, "+ inside a level", frame(0xA2, ID, NONE, text(b"a/+b")), FILTER),
    ("4.8.2-1", V5, "an empty share name", frame(0x82, ID, NONE, text(b"$share//a"), b"\0"), FILTER),
    ("4.8.2-2", V5, "a wildcard in a share name", frame(0x82, ID, NONE, text(b"$share/+/a"), b"\0"), FILTER),
    ("4.8.2-2", V5, "no filter behind the share", frame(0x82, ID, NONE, text(b"$share/g"), b"\0"), FILTER),
    ("3.1.0-2", V5, "a second CONNECT", frame(0x10, text(b"MQTT"), b"\5\2\0\0\0", text(b"")), PROTOCOL),
    ("2.1.2", V5, "a CONNACK from a client", frame(0x20, b"\0\0\0"), PROTOCOL),
    ("2.1.2", V5, "a SUBACK from a client", frame(0x90, ID, b"\0\0"), PROTOCOL),
    ("2.1.2", V5, "type 0", frame(0x00), MALFORMED),
]

TO_CLIENT = [
    ("3.1.1 3.9.3-2", V4, "a reserved return code", frame(0x90, ID, b"\x87"), MALFORMED),
    ("3.1.1 2.2.1", V4, "a DISCONNECT from a server", frame(0xE0), PROTOCOL),
    ("2.1.2", V5, "a SUBSCRIBE from a server", frame(0x82, ID, NONE, text(b"a"), b"\0"), PROTOCOL),
    ("3.2.0-2", V5, "a second CONNACK", frame(0x20, b"\0\0\0"), PROTOCOL),
    ("3.3.2-11", V5, "an alias above the maximum", frame(0x30, text(b"a"), b"\3\x23\0\1"), ALIAS),
    ("3.8.4-2", V5, "a SUBACK nobody waits for", frame(0x90, ID, b"\0\0"), PROTOCOL),
    ("3.9.3", V5, "a SUBACK without reasons", frame(0x90, ID, b"\0"), MALFORMED),
    ("3.11.3-2", V5, "a reason UNSUBACK has not", frame(0xB0, ID, b"\0\1"), PROTOCOL),
    ("3.11.3", V5, "an UNSUBACK without reasons", frame(0xB0, ID, b"\0"), MALFORMED),
    ("3.14.2-2", V5, "a server's session expiry", frame(0xE0, b"\0\5\x11\0\0\0\1"), PROTOCOL),
    ("4.12.0-6", V5, "AUTH without a method in CONNECT", frame(0xF0), PROTOCOL),
]


@pytest.mark.parametrize(
    ("version", "data", "reason"),
    [pytest.param(line[1], *line[3:], id=f"{line[0]} {line[2]}") for line in TO_SERVER],
)
def test_server_breaks_off(talk: OpenDialogue, version: int, data: bytes, reason: Reason) -> None:
    dialogue = talk(version)
    assert dialogue.server_refuses(data) == reason
    farewell = dialogue.server.farewell(reason)
    if version == V4:  # [MQTT-4.8.0-1]: 3.1.1 can only close
        assert farewell == b""
    else:
        assert farewell == bytes((0xE0, 1, reason))
    assert dialogue.client_writes(frame(0xC0)) == []  # nothing is read any more


@pytest.mark.parametrize(
    ("version", "data", "reason"),
    [pytest.param(line[1], *line[3:], id=f"{line[0]} {line[2]}") for line in TO_CLIENT],
)
def test_client_breaks_off(talk: OpenDialogue, version: int, data: bytes, reason: Reason) -> None:
    assert talk(version).client_refuses(data) == reason


@pytest.mark.parametrize("version", [V4, V5])
def test_a_packet_cut_anywhere_waits_for_its_rest(talk: OpenDialogue, version: int) -> None:
    """[MQTT-6.0.0-2]: packets are not aligned to anything."""
    dialogue = talk(version)
    data = dialogue.client.send(Publish("a/b", b"payload" * 40), dialogue.now)
    for byte in data[:-1]:
        assert dialogue.client_writes(bytes((byte,))) == []
    assert dialogue.client_writes(data[-1:]) == [Publish("a/b", b"payload" * 40)]


@pytest.mark.parametrize("version", [V4, V5])
def test_a_byte_order_mark_is_part_of_the_topic(talk: OpenDialogue, version: int) -> None:
    """[MQTT-1.5.4-3], 3.1.1 [MQTT-1.5.3-3]"""
    message = Publish("\ufeffa", b"!")
    assert talk(version).client_says(message) == [message]


def test_3_1_1_reserved_return_codes_still_refuse(talk: OpenDialogue) -> None:
    dialogue = talk(V4)
    dialogue = type(dialogue)(dialogue.server.rules)
    dialogue.client_says(Connect("a", V4))
    assert dialogue.server_writes(frame(0x20, b"\0\7")) == [ConnAck(Reason.UNSPECIFIED_ERROR)]
