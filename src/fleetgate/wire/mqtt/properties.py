"""The properties of MQTT 5 (2.2.2): one table says each one's type, where it may stand and which values it may take."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, TypedDict, cast

from fleetgate.wire.mqtt import primitives as wire
from fleetgate.wire.mqtt.errors import Malformed, ProtocolError, Reason
from fleetgate.wire.mqtt.primitives import MAX_VARINT, Reader
from fleetgate.wire.mqtt.topics import check_topic

# The packet types of MQTT 5, 2.1.2. WILL stands for the will's own properties inside a CONNECT (3.1.3.2).
WILL, CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = range(8)
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH = range(8, 16)
# fmt: off
PACKET_NAMES: Final = (
    "will", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP",
    "SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
)
# fmt: on


class Properties(TypedDict, total=False):
    """Properties by name. Intervals are seconds, sizes are bytes. 3.1.1 has none: they are left out there."""

    payload_format_indicator: int
    message_expiry_interval: int
    content_type: str
    response_topic: str
    correlation_data: bytes
    subscription_identifier: tuple[int, ...]
    session_expiry_interval: int
    assigned_client_identifier: str
    server_keep_alive: int
    authentication_method: str
    authentication_data: bytes
    request_problem_information: int
    will_delay_interval: int
    request_response_information: int
    response_information: str
    server_reference: str
    reason_string: str
    receive_maximum: int
    topic_alias_maximum: int
    topic_alias: int
    maximum_qos: int
    retain_available: int
    user_property: tuple[tuple[str, str], ...]
    maximum_packet_size: int
    wildcard_subscription_available: int
    subscription_identifier_available: int
    shared_subscription_available: int


# One unchangeable empty mapping for the many packets that have no properties.
NO_PROPERTIES: Final = cast("Properties", MappingProxyType({}))

_REPEATABLE = frozenset({"user_property", "subscription_identifier"})


@dataclass(frozen=True, slots=True)
class _Property:
    identifier: int
    name: str
    read: Callable[[Reader], Any]
    write: Callable[[Any], bytes]
    packets: Collection[int]
    least: int = 0
    most: int = 0xFFFF_FFFF


_MESSAGE = (WILL, PUBLISH)
_ACKNOWLEDGEMENTS = (PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK)
_EVERYWHERE = (WILL, CONNECT, CONNACK, PUBLISH, *_ACKNOWLEDGEMENTS, SUBSCRIBE, UNSUBSCRIBE, DISCONNECT, AUTH)
_OPENING = (CONNECT, CONNACK)
_BY_IDENTIFIER: dict[int, _Property] = {
    entry.identifier: entry
    for entry in (
        _Property(0x01, "payload_format_indicator", Reader.u8, wire.u8, _MESSAGE, most=1),
        _Property(0x02, "message_expiry_interval", Reader.u32, wire.u32, _MESSAGE),
        _Property(0x03, "content_type", Reader.text, wire.text, _MESSAGE),
        _Property(0x08, "response_topic", Reader.text, wire.text, _MESSAGE),
        _Property(0x09, "correlation_data", Reader.binary, wire.binary, _MESSAGE),
        _Property(0x0B, "subscription_identifier", Reader.varint, wire.varint, (PUBLISH, SUBSCRIBE), 1, MAX_VARINT),
        _Property(0x11, "session_expiry_interval", Reader.u32, wire.u32, (CONNECT, CONNACK, DISCONNECT)),
        _Property(0x12, "assigned_client_identifier", Reader.text, wire.text, (CONNACK,)),
        _Property(0x13, "server_keep_alive", Reader.u16, wire.u16, (CONNACK,)),
        _Property(0x15, "authentication_method", Reader.text, wire.text, (*_OPENING, AUTH)),
        _Property(0x16, "authentication_data", Reader.binary, wire.binary, (*_OPENING, AUTH)),
        _Property(0x17, "request_problem_information", Reader.u8, wire.u8, (CONNECT,), most=1),
        _Property(0x18, "will_delay_interval", Reader.u32, wire.u32, (WILL,)),
        _Property(0x19, "request_response_information", Reader.u8, wire.u8, (CONNECT,), most=1),
        _Property(0x1A, "response_information", Reader.text, wire.text, (CONNACK,)),
        _Property(0x1C, "server_reference", Reader.text, wire.text, (CONNACK, DISCONNECT)),
        _Property(0x1F, "reason_string", Reader.text, wire.text, (CONNACK, *_ACKNOWLEDGEMENTS, DISCONNECT, AUTH)),
        _Property(0x21, "receive_maximum", Reader.u16, wire.u16, _OPENING, least=1),
        _Property(0x22, "topic_alias_maximum", Reader.u16, wire.u16, _OPENING),
        _Property(0x23, "topic_alias", Reader.u16, wire.u16, (PUBLISH,), least=1),
        _Property(0x24, "maximum_qos", Reader.u8, wire.u8, (CONNACK,), most=1),
        _Property(0x25, "retain_available", Reader.u8, wire.u8, (CONNACK,), most=1),
        _Property(0x26, "user_property", Reader.pair, wire.pair, _EVERYWHERE),
        _Property(0x27, "maximum_packet_size", Reader.u32, wire.u32, _OPENING, least=1),
        _Property(0x28, "wildcard_subscription_available", Reader.u8, wire.u8, (CONNACK,), most=1),
        _Property(0x29, "subscription_identifier_available", Reader.u8, wire.u8, (CONNACK,), most=1),
        _Property(0x2A, "shared_subscription_available", Reader.u8, wire.u8, (CONNACK,), most=1),
    )
}
_BY_NAME = {entry.name: entry for entry in _BY_IDENTIFIER.values()}


def read_properties(read: Reader, packet: int) -> Properties:
    """The length and the properties of a packet of this type (or `WILL`).

    Raises `Malformed` for bytes that are no properties, `ProtocolError` 0x82 for a property that may not stand
    here, stands twice or has a forbidden value, and 0x94 for a topic alias of zero.
    """
    size = read.varint()
    if not size:
        return NO_PROPERTIES
    part, found = Reader(read.take(size)), cast("dict[str, Any]", {})
    while part:
        identifier = part.varint()
        if (entry := _BY_IDENTIFIER.get(identifier)) is None:
            raise Malformed(f"no property has the identifier 0x{identifier:02X}")
        name, value = entry.name, entry.read(part)
        _check(entry, value, packet)
        if name not in found:
            found[name] = (value,) if name in _REPEATABLE else value
        elif name in _REPEATABLE and not (packet == SUBSCRIBE and name == "subscription_identifier"):
            found[name] = (*found[name], value)
        else:
            raise ProtocolError(Reason.PROTOCOL_ERROR, f"{name} is given twice")
    _check_authentication(found)
    return cast("Properties", found)


def write_properties(properties: Properties, packet: int) -> bytes:
    """The length and the properties of a packet of this type. Raises as `read_properties` does."""
    if not properties:
        return b"\0"
    if packet == SUBSCRIBE and len(properties.get("subscription_identifier", ())) > 1:
        raise ProtocolError(Reason.PROTOCOL_ERROR, "subscription_identifier is given twice")
    _check_authentication(properties)
    out = b""
    for name, value in properties.items():
        if (entry := _BY_NAME.get(name)) is None:
            raise Malformed(f"no property is called {name}")
        for one in cast("tuple[Any, ...]", value) if name in _REPEATABLE else (value,):
            _check(entry, one, packet)
            out += bytes((entry.identifier,)) + entry.write(one)
    return wire.varint(len(out)) + out


def _check(entry: _Property, value: Any, packet: int) -> None:
    if packet not in entry.packets:
        raise ProtocolError(Reason.PROTOCOL_ERROR, f"{entry.name} may not stand in a {PACKET_NAMES[packet]}")
    if type(value) is int and not entry.least <= value <= entry.most:
        reason = Reason.TOPIC_ALIAS_INVALID if entry.name == "topic_alias" else Reason.PROTOCOL_ERROR
        raise ProtocolError(reason, f"{entry.name} is {value}, outside {entry.least} to {entry.most}")
    if entry.name == "response_topic":
        check_topic(value)  # [MQTT-3.3.2-14]


def _check_authentication(found: Collection[str]) -> None:
    if "authentication_data" in found and "authentication_method" not in found:
        raise ProtocolError(Reason.PROTOCOL_ERROR, "authentication_data is given without authentication_method")
