"""Packets to bytes. What `encode` writes, `decode` accepts: a packet that breaks the standard is refused here, too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from fleetgate.wire.mqtt import codes, primitives
from fleetgate.wire.mqtt import properties as kind
from fleetgate.wire.mqtt.errors import Malformed, ProtocolError, Reason
from fleetgate.wire.mqtt.packets import (
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
    SubAck,
    Subscribe,
    Subscription,
    UnsubAck,
    Unsubscribe,
    Will,
)
from fleetgate.wire.mqtt.properties import Properties, write_properties
from fleetgate.wire.mqtt.topics import check_filter, check_topic


def encode(packet: Packet, version: int) -> bytes:
    """The packet's bytes in this version.

    3.1.1 leaves out what it does not know: properties, reasons of acknowledgements, subscription options other than
    the QoS. Raises `ProtocolError` for a packet that no peer would accept.
    """
    first, body = _ENCODERS[type(packet)](packet, version)
    size = len(body)
    if size < 0x80:
        return bytes((first, size)) + body
    return bytes((first,)) + primitives.varint(size) + body


def _publish(packet: Publish, version: int) -> tuple[int, bytes]:
    topic, qos, properties = packet.topic, packet.qos, packet.properties
    if topic or version < V5 or "topic_alias" not in properties:
        check_topic(topic)
    head = primitives.text(topic)
    if qos:
        head += _packet_id(packet.packet_id)
    elif packet.packet_id is not None or packet.duplicate:
        raise Malformed("a PUBLISH with QoS 0 has a packet identifier or DUP")
    if version >= V5:
        head += write_properties(properties, kind.PUBLISH) if properties else b"\0"
    return 0x30 | packet.duplicate << 3 | qos << 1 | packet.retain, head + packet.payload


def _connect(packet: Connect, version: int) -> tuple[int, bytes]:
    version, will = packet.version, packet.will
    if version < V5 and packet.password is not None and packet.username is None:
        raise Malformed("a 3.1.1 password needs a user name")
    if version < V5 and not packet.client_id and not packet.clean_start:
        raise ProtocolError(Reason.CLIENT_IDENTIFIER_NOT_VALID, "an empty client identifier needs a clean session")
    flags, tail = packet.clean_start << 1, primitives.text(packet.client_id)
    if will is not None:
        flags |= 0x04 | will.qos << 3 | will.retain << 5
        tail += _will(will, version)
    if packet.username is not None:
        flags, tail = flags | 0x80, tail + primitives.text(packet.username)
    if packet.password is not None:
        flags, tail = flags | 0x40, tail + primitives.binary(packet.password)
    head = b"\0\4MQTT" + bytes((version, flags)) + primitives.u16(packet.keep_alive)
    return 0x10, head + _properties(packet.properties, kind.CONNECT, version) + tail


def _will(will: Will, version: int) -> bytes:
    check_topic(will.topic)
    properties = _properties(will.properties, kind.WILL, version)
    return properties + primitives.text(will.topic) + primitives.binary(will.payload)


def _connack(packet: ConnAck, version: int) -> tuple[int, bytes]:
    code = codes.connack_code(packet.reason, version)
    if code and packet.session_present:
        raise ProtocolError(Reason.PROTOCOL_ERROR, "a refusing CONNACK says that a session is present")
    return 0x20, bytes((packet.session_present, code)) + _properties(packet.properties, kind.CONNACK, version)


def _acknowledgement(first: int) -> Callable[[PubAck | PubRec | PubRel | PubComp, int], tuple[int, bytes]]:
    def write_acknowledgement(packet: PubAck | PubRec | PubRel | PubComp, version: int) -> tuple[int, bytes]:
        return first, _packet_id(packet.packet_id) + _reason(packet.reason, packet.properties, first >> 4, version)

    return write_acknowledgement


def _subscribe(packet: Subscribe, version: int) -> tuple[int, bytes]:
    if not packet.subscriptions:
        raise Malformed("a SUBSCRIBE has no filter")
    head = _packet_id(packet.packet_id) + _properties(packet.properties, kind.SUBSCRIBE, version)
    return 0x82, head + b"".join([_subscription(one, version) for one in packet.subscriptions])


def _subscription(one: Subscription, version: int) -> bytes:
    shared = check_filter(one.topic_filter)
    if version < V5:
        return primitives.text(one.topic_filter) + bytes((one.qos,))
    if not 0 <= one.retain_handling <= 2:
        raise ProtocolError(Reason.PROTOCOL_ERROR, f"retain handling is {one.retain_handling}, not 0, 1 or 2")
    if shared and one.no_local:
        raise ProtocolError(Reason.PROTOCOL_ERROR, "a shared subscription has no-local set")
    options = one.qos | one.no_local << 2 | one.retain_as_published << 3 | one.retain_handling << 4
    return primitives.text(one.topic_filter) + bytes((options,))


def _suback(packet: SubAck, version: int) -> tuple[int, bytes]:
    if not packet.reasons:
        raise Malformed("a SUBACK answers no filter")
    head = _packet_id(packet.packet_id) + _properties(packet.properties, kind.SUBACK, version)
    return 0x90, head + bytes([codes.suback_code(reason, version) for reason in packet.reasons])


def _unsubscribe(packet: Unsubscribe, version: int) -> tuple[int, bytes]:
    if not packet.topic_filters:
        raise Malformed("an UNSUBSCRIBE has no filter")
    for topic_filter in packet.topic_filters:
        check_filter(topic_filter)
    head = _packet_id(packet.packet_id) + _properties(packet.properties, kind.UNSUBSCRIBE, version)
    return 0xA2, head + b"".join([primitives.text(one) for one in packet.topic_filters])


def _unsuback(packet: UnsubAck, version: int) -> tuple[int, bytes]:
    head = _packet_id(packet.packet_id)
    if version < V5:
        return 0xB0, head
    if not packet.reasons:
        raise Malformed("an UNSUBACK answers no filter")
    head += write_properties(packet.properties, kind.UNSUBACK)
    return 0xB0, head + bytes([codes.read_reason(reason, kind.UNSUBACK) for reason in packet.reasons])


def _disconnect(packet: Disconnect, version: int) -> tuple[int, bytes]:
    return 0xE0, _reason(packet.reason, packet.properties, kind.DISCONNECT, version)


def _auth(packet: Auth, version: int) -> tuple[int, bytes]:
    if version < V5:
        raise Malformed("MQTT 3.1.1 has no AUTH")
    if not packet.reason and not packet.properties:
        return 0xF0, b""
    if "authentication_method" not in packet.properties:
        raise ProtocolError(Reason.PROTOCOL_ERROR, "an AUTH names no authentication_method")
    code = codes.read_reason(packet.reason, kind.AUTH)
    return 0xF0, bytes((code,)) + write_properties(packet.properties, kind.AUTH)


def _properties(properties: Properties, packet_type: int, version: int) -> bytes:
    return write_properties(properties, packet_type) if version >= V5 else b""


def _reason(reason: Reason, properties: Properties, packet_type: int, version: int) -> bytes:
    """The short forms of MQTT 5: nothing for plain success, no property length when there are no properties."""
    if version < V5 or not (reason or properties):
        return b""
    code = bytes((codes.read_reason(reason, packet_type),))
    return code + write_properties(properties, packet_type) if properties else code


def _packet_id(packet_id: int | None) -> bytes:
    if not packet_id:
        raise Malformed("the packet needs a packet identifier from 1 to 65535")
    return primitives.u16(packet_id)


_ENCODERS: Final[dict[type, Callable[[Any, int], tuple[int, bytes]]]] = {
    Connect: _connect,
    ConnAck: _connack,
    Publish: _publish,
    PubAck: _acknowledgement(0x40),
    PubRec: _acknowledgement(0x50),
    PubRel: _acknowledgement(0x62),
    PubComp: _acknowledgement(0x70),
    Subscribe: _subscribe,
    SubAck: _suback,
    Unsubscribe: _unsubscribe,
    UnsubAck: _unsuback,
    PingReq: lambda packet, version: (0xC0, b""),
    PingResp: lambda packet, version: (0xD0, b""),
    Disconnect: _disconnect,
    Auth: _auth,
}
