"""Which reason codes each packet may carry (MQTT 5, 2.4, table 2-6), and 3.1.1's return codes beside them."""

from __future__ import annotations

from collections.abc import Mapping

from fleetgate.wire.mqtt.errors import Malformed, ProtocolError, Reason
from fleetgate.wire.mqtt.packets import V5
from fleetgate.wire.mqtt.properties import (
    AUTH,
    CONNACK,
    DISCONNECT,
    PACKET_NAMES,
    PUBACK,
    PUBCOMP,
    PUBREC,
    PUBREL,
    SUBACK,
    UNSUBACK,
)


def _reasons(*codes: int) -> Mapping[int, Reason]:
    return {code: Reason(code) for code in codes}


_PUBLISH_ANSWERS = _reasons(0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99)
_RELEASE_ANSWERS = _reasons(0x00, 0x92)
_BY_PACKET: dict[int, Mapping[int, Reason]] = {
    CONNACK: _reasons(0x00, *range(0x80, 0x8B), 0x8C, 0x90, 0x95, 0x97, *range(0x99, 0x9E), 0x9F),
    PUBACK: _PUBLISH_ANSWERS,
    PUBREC: _PUBLISH_ANSWERS,
    PUBREL: _RELEASE_ANSWERS,
    PUBCOMP: _RELEASE_ANSWERS,
    SUBACK: _reasons(0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2),
    UNSUBACK: _reasons(0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91),
    DISCONNECT: _reasons(
        0x00, 0x04, *range(0x80, 0x84), 0x87, 0x89, 0x8B, 0x8C, *range(0x8D, 0x91), *range(0x93, 0xA3)
    ),
    AUTH: _reasons(0x00, 0x18, 0x19),
}

# MQTT 3.1.1, 3.2.2.3. Reasons that are not here have no return code: the server closes without a CONNACK.
_RETURN_CODES = {
    Reason.SUCCESS: 0,
    Reason.UNSUPPORTED_PROTOCOL_VERSION: 1,
    Reason.CLIENT_IDENTIFIER_NOT_VALID: 2,
    Reason.SERVER_UNAVAILABLE: 3,
    Reason.SERVER_BUSY: 3,
    Reason.SERVER_SHUTTING_DOWN: 3,
    Reason.USE_ANOTHER_SERVER: 3,
    Reason.CONNECTION_RATE_EXCEEDED: 3,
    Reason.BAD_USER_NAME_OR_PASSWORD: 4,
    Reason.BAD_AUTHENTICATION_METHOD: 4,
    Reason.NOT_AUTHORIZED: 5,
    Reason.BANNED: 5,
}
_BY_RETURN_CODE = {
    0: Reason.SUCCESS,
    1: Reason.UNSUPPORTED_PROTOCOL_VERSION,
    2: Reason.CLIENT_IDENTIFIER_NOT_VALID,
    3: Reason.SERVER_UNAVAILABLE,
    4: Reason.BAD_USER_NAME_OR_PASSWORD,
    5: Reason.NOT_AUTHORIZED,
}


def read_reason(code: int, packet: int) -> Reason:
    """The reason a packet of this type carries. Raises `ProtocolError` 0x82 for one it may not carry."""
    try:
        return _BY_PACKET[packet][code]
    except KeyError:
        message = f"a {PACKET_NAMES[packet]} may not carry the reason code 0x{code:02X}"
        raise ProtocolError(Reason.PROTOCOL_ERROR, message) from None


def allows(reason: Reason, packet: int) -> bool:
    return reason in _BY_PACKET[packet]


def fitting(reason: Reason, packet: int) -> Reason:
    """The reason itself, or the nearest one that MQTT 5 lets this packet carry."""
    if allows(reason, packet):
        return reason
    return Reason.SERVER_UNAVAILABLE if reason is Reason.SERVER_SHUTTING_DOWN else Reason.UNSPECIFIED_ERROR


def has_return_code(reason: Reason) -> bool:
    """Whether a 3.1.1 CONNACK can say it."""
    return reason in _RETURN_CODES


def connack_code(reason: Reason, version: int) -> int:
    if version >= V5:
        return read_reason(reason, CONNACK)
    if reason not in _RETURN_CODES:
        raise Malformed(f"MQTT 3.1.1 has no CONNACK return code for {reason.name}: close without a CONNACK")
    return _RETURN_CODES[reason]


def read_connack_code(code: int, version: int) -> Reason:
    """In 3.1.1 a reserved return code still is a refusal; AWS IoT is known to have sent 7."""
    return read_reason(code, CONNACK) if version >= V5 else _BY_RETURN_CODE.get(code, Reason.UNSPECIFIED_ERROR)


def suback_code(reason: Reason, version: int) -> int:
    """3.1.1 has one failure code, 0x80, for all of MQTT 5's [MQTT-3.9.3-2]."""
    code = read_reason(reason, SUBACK)
    return code if version >= V5 or code < 0x80 else Reason.UNSPECIFIED_ERROR


def read_suback_code(code: int, version: int) -> Reason:
    if version < V5 and code not in {0, 1, 2, 0x80}:
        raise Malformed(f"a 3.1.1 SUBACK may not carry the return code 0x{code:02X}")
    return read_reason(code, SUBACK)
