"""Bytes to packets: `split` cuts one packet off a buffer, `decode` reads it.

A packet that `decode` returns is valid by every rule of its version that can be judged without knowing the
connection's past; `connection` judges the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from fleetgate.wire.mqtt import codes
from fleetgate.wire.mqtt import properties as kind
from fleetgate.wire.mqtt.errors import Malformed, ProtocolError, Reason
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
from fleetgate.wire.mqtt.primitives import Reader
from fleetgate.wire.mqtt.properties import NO_PROPERTIES, Properties, read_properties
from fleetgate.wire.mqtt.topics import check_filter, check_topic

_A = TypeVar("_A", PubAck, PubRec, PubRel, PubComp)

_QOS: Final = tuple(QoS)
# The fixed header's flags by packet type [MQTT-2.1.3-1]; a PUBLISH's mean something, type 0 is forbidden.
_FLAGS: Final = (None, 0, 0, None, 0, 0, 2, 0, 2, 0, 2, 0, 0, 0, 0, 0)


def split(buffer: bytearray, limit: int) -> tuple[int, bytes] | None:
    """Cut one whole packet off the buffer as (first byte, body), or None when more bytes are needed.

    *limit* bounds the whole packet in bytes. Raises `ProtocolError` 0x95 as soon as the header announces more, and
    `Malformed` for a remaining length of more than four bytes (MQTT 5, 2.1.4).
    """
    have = len(buffer)
    length = shift = 0
    for at in range(1, 5):
        if have <= at:
            return None
        byte = buffer[at]
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    else:
        raise Malformed("the remaining length is longer than four bytes")
    end = at + 1 + length
    if end > limit:
        raise ProtocolError(Reason.PACKET_TOO_LARGE, f"a packet of {end} bytes is over the limit of {limit}")
    if have < end:
        return None
    first, body = buffer[0], bytes(buffer[at + 1 : end])
    del buffer[:end]
    return first, body


def decode(first: int, body: bytes, version: int) -> Packet:
    """The packet with this first byte and body. *version* is the connection's; a CONNECT carries its own.

    Raises `ProtocolError` (or its kind `Malformed`) and nothing else.
    """
    packet_type, flags = first >> 4, first & 0x0F
    if packet_type == kind.PUBLISH:
        return _publish(body, flags, version)
    if packet_type == 0 or (packet_type == kind.AUTH and version < V5):
        raise Malformed(f"no packet has the type {packet_type}")
    if flags != _FLAGS[packet_type]:
        raise Malformed(f"reserved flags of a {kind.PACKET_NAMES[packet_type]} are set")
    read = Reader(body)
    packet = _DECODERS[packet_type](read, version)
    if read:
        raise Malformed(f"a {kind.PACKET_NAMES[packet_type]} is longer than its fields")
    return packet


def connect_version(body: bytes) -> int:
    """The version in which to refuse a CONNECT that could not be decoded."""
    return V5 if body[:6] == b"\0\4MQTT" and body[6:7] >= b"\5" else V4


def _publish(body: bytes, flags: int, version: int) -> Publish:
    try:
        at = 2 + (body[0] << 8 | body[1])
        topic = body[2:at].decode()
        packet_id = None
        if flags & 0x06:
            packet_id = body[at] << 8 | body[at + 1]
            at += 2
    except IndexError:
        raise Malformed("a PUBLISH is shorter than its fields") from None
    except UnicodeDecodeError:
        raise Malformed("a topic is not valid UTF-8") from None
    if at > len(body):
        raise Malformed("a PUBLISH is shorter than its fields")
    qos = _qos(flags >> 1 & 3)
    if flags & 8 and not qos:
        raise Malformed("DUP is set with QoS 0")  # [MQTT-3.3.1-2]
    if packet_id == 0:
        raise Malformed("the packet identifier is 0")  # [MQTT-2.2.1-3]
    properties = NO_PROPERTIES
    if version >= V5:
        if body[at : at + 1] == b"\0":
            at += 1
        else:
            read = Reader(body[at:])
            properties = read_properties(read, kind.PUBLISH)
            return Publish(
                _topic(topic, properties), read.rest(), qos, bool(flags & 1), bool(flags & 8), packet_id, properties
            )
    if not topic or "+" in topic or "#" in topic or "\0" in topic:
        topic = _topic(topic, properties if version >= V5 else None)
    return Publish(topic, body[at:], qos, bool(flags & 1), bool(flags & 8), packet_id, properties)


def _topic(topic: str, properties: Properties | None) -> str:
    """The slow look at a topic: in MQTT 5 (properties given) it may be empty beside a topic alias (3.3.2.1)."""
    if "\0" in topic:
        raise Malformed("a topic holds U+0000")
    if topic or properties is None:
        check_topic(topic)
    elif "topic_alias" not in properties:
        raise ProtocolError(Reason.PROTOCOL_ERROR, "a PUBLISH has neither a topic nor a topic alias")
    return topic


def _connect(read: Reader, version: int) -> Connect:
    version = _protocol(read)
    flags, keep_alive = read.u8(), read.u16()
    _check_connect_flags(flags, version)
    properties = read_properties(read, kind.CONNECT) if version >= V5 else NO_PROPERTIES
    client_id, clean_start = read.text(), bool(flags & 0x02)
    if not client_id and not clean_start and version < V5:  # [MQTT-3.1.3-8] of 3.1.1
        raise ProtocolError(Reason.CLIENT_IDENTIFIER_NOT_VALID, "an empty client identifier needs a clean session")
    will = _will(read, flags, version) if flags & 0x04 else None
    username = read.text() if flags & 0x80 else None
    password = read.binary() if flags & 0x40 else None
    return Connect(client_id, version, clean_start, keep_alive, username, password, will, properties)


def _protocol(read: Reader) -> int:
    name, level = read.text(), read.u8()
    if name not in {"MQTT", "MQIsdp"}:  # [MQTT-3.1.2-1]
        raise Malformed("the protocol name is not MQTT")
    if name == "MQIsdp" or level not in {V4, V5}:  # [MQTT-3.1.2-2]
        message = f"protocol {name} level {level} is not spoken here: use MQTT 3.1.1 (level 4) or 5"
        raise ProtocolError(Reason.UNSUPPORTED_PROTOCOL_VERSION, message)
    return level


def _check_connect_flags(flags: int, version: int) -> None:
    if flags & 0x01:
        raise Malformed("the reserved connect flag is set")  # [MQTT-3.1.2-3]
    if not flags & 0x04 and flags & 0x38:
        raise Malformed("a will QoS or will retain flag is set without a will")  # [MQTT-3.1.2-11, -13]
    if version < V5 and flags & 0xC0 == 0x40:
        raise Malformed("a password is given without a user name")  # [MQTT-3.1.2-22] of 3.1.1


def _will(read: Reader, flags: int, version: int) -> Will:
    properties = read_properties(read, kind.WILL) if version >= V5 else NO_PROPERTIES
    topic, payload = read.text(), read.binary()
    check_topic(topic)
    return Will(topic, payload, _qos(flags >> 3 & 3), bool(flags & 0x20), properties)


def _connack(read: Reader, version: int) -> ConnAck:
    flags, reason = read.u8(), codes.read_connack_code(read.u8(), version)
    if flags > 1:
        raise Malformed("reserved CONNACK flags are set")  # [MQTT-3.2.2-1]
    if flags and reason:
        raise ProtocolError(Reason.PROTOCOL_ERROR, "a refusing CONNACK says that a session is present")
    return ConnAck(reason, bool(flags), read_properties(read, kind.CONNACK) if version >= V5 else NO_PROPERTIES)


def _acknowledgement(cls: type[_A], packet_type: int) -> Callable[[Reader, int], _A]:
    def read_acknowledgement(read: Reader, version: int) -> _A:
        packet_id = _packet_id(read)
        if version < V5 or not read:
            return cls(packet_id)
        reason = codes.read_reason(read.u8(), packet_type)
        return cls(packet_id, reason, read_properties(read, packet_type) if read else NO_PROPERTIES)

    return read_acknowledgement


def _subscribe(read: Reader, version: int) -> Subscribe:
    packet_id = _packet_id(read)
    properties = read_properties(read, kind.SUBSCRIBE) if version >= V5 else NO_PROPERTIES
    subscriptions = [_subscription(read, version)]  # at least one [MQTT-3.8.3-2]
    while read:
        subscriptions.append(_subscription(read, version))
    return Subscribe(packet_id, tuple(subscriptions), properties)


def _subscription(read: Reader, version: int) -> Subscription:
    topic_filter, options = read.text(), read.u8()
    shared = check_filter(topic_filter)
    qos = _qos(options & 3)
    if options < 4:
        return Subscription(topic_filter, qos)
    if version < V5 or options & 0xC0:
        raise Malformed("reserved subscription options are set")  # [MQTT-3.8.3-5]; 3.1.1 [MQTT-3-8.3-4]
    if options & 0x30 == 0x30:
        raise ProtocolError(Reason.PROTOCOL_ERROR, "retain handling is 3")
    if shared and options & 4:
        raise ProtocolError(Reason.PROTOCOL_ERROR, "a shared subscription has no-local set")  # [MQTT-3.8.3-4]
    return Subscription(topic_filter, qos, bool(options & 4), bool(options & 8), options >> 4)


def _unsubscribe(read: Reader, version: int) -> Unsubscribe:
    packet_id = _packet_id(read)
    properties = read_properties(read, kind.UNSUBSCRIBE) if version >= V5 else NO_PROPERTIES
    filters = [read.text()]  # at least one [MQTT-3.10.3-2]
    while read:
        filters.append(read.text())
    for topic_filter in filters:
        check_filter(topic_filter)
    return Unsubscribe(packet_id, tuple(filters), properties)


def _suback(read: Reader, version: int) -> SubAck:
    packet_id = _packet_id(read)
    properties = read_properties(read, kind.SUBACK) if version >= V5 else NO_PROPERTIES
    if not read:
        raise Malformed("a SUBACK answers no filter")
    return SubAck(packet_id, tuple(codes.read_suback_code(code, version) for code in read.rest()), properties)


def _unsuback(read: Reader, version: int) -> UnsubAck:
    packet_id = _packet_id(read)
    if version < V5:
        return UnsubAck(packet_id)
    properties = read_properties(read, kind.UNSUBACK)
    if not read:
        raise Malformed("an UNSUBACK answers no filter")
    return UnsubAck(packet_id, tuple(codes.read_reason(code, kind.UNSUBACK) for code in read.rest()), properties)


def _disconnect(read: Reader, version: int) -> Disconnect:
    if version < V5 or not read:
        return Disconnect()
    reason = codes.read_reason(read.u8(), kind.DISCONNECT)
    return Disconnect(reason, read_properties(read, kind.DISCONNECT) if read else NO_PROPERTIES)


def _auth(read: Reader, version: int) -> Auth:
    if not read:
        return Auth()
    reason, properties = codes.read_reason(read.u8(), kind.AUTH), read_properties(read, kind.AUTH)
    if "authentication_method" not in properties:
        raise ProtocolError(Reason.PROTOCOL_ERROR, "an AUTH names no authentication_method")
    return Auth(reason, properties)


def _qos(value: int) -> QoS:
    if value == 3:
        raise Malformed("QoS is 3")  # [MQTT-3.3.1-4]
    return _QOS[value]


def _packet_id(read: Reader) -> int:
    if (packet_id := read.u16()) == 0:
        raise Malformed("the packet identifier is 0")  # [MQTT-2.2.1-3]
    return packet_id


_DECODERS: dict[int, Callable[[Reader, int], Packet]] = {
    kind.CONNECT: _connect,
    kind.CONNACK: _connack,
    kind.PUBACK: _acknowledgement(PubAck, kind.PUBACK),
    kind.PUBREC: _acknowledgement(PubRec, kind.PUBREC),
    kind.PUBREL: _acknowledgement(PubRel, kind.PUBREL),
    kind.PUBCOMP: _acknowledgement(PubComp, kind.PUBCOMP),
    kind.SUBSCRIBE: _subscribe,
    kind.SUBACK: _suback,
    kind.UNSUBSCRIBE: _unsubscribe,
    kind.UNSUBACK: _unsuback,
    kind.PINGREQ: lambda read, version: PingReq(),
    kind.PINGRESP: lambda read, version: PingResp(),
    kind.DISCONNECT: _disconnect,
    kind.AUTH: _auth,
}
