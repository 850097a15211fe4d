"""Reason codes by packet, and the few that 3.1.1 knows."""

from __future__ import annotations

import pytest

from fleetgate.wire.mqtt import codes
from fleetgate.wire.mqtt import properties as kind
from fleetgate.wire.mqtt.errors import Malformed, ProtocolError, Reason
from fleetgate.wire.mqtt.packets import V4, V5


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_belongs_to_some_packet(reason: Reason) -> None:
    assert any(codes.allows(reason, packet) for packet in codes._BY_PACKET)


def test_reasons_are_refused_where_they_do_not_belong() -> None:
    assert codes.read_reason(0x8E, kind.DISCONNECT) is Reason.SESSION_TAKEN_OVER
    with pytest.raises(ProtocolError, match="a PUBACK may not carry the reason code 0x8E") as error:
        codes.read_reason(0x8E, kind.PUBACK)
    assert error.value.reason == Reason.PROTOCOL_ERROR


@pytest.mark.parametrize("reason", [one for one in Reason if codes.has_return_code(one)])
def test_return_codes_of_3_1_1(reason: Reason) -> None:
    code = codes.connack_code(reason, V4)
    assert 0 <= code <= 5
    assert codes.connack_code(codes.read_connack_code(code, V4), V4) == code
    assert codes.connack_code(codes.fitting(reason, kind.CONNACK), V5) >= 0x80 or not reason


def test_3_1_1_has_no_word_for_the_rest() -> None:
    with pytest.raises(Malformed, match="close without a CONNACK"):
        codes.connack_code(Reason.QUOTA_EXCEEDED, V4)
    assert codes.read_connack_code(7, V4) is Reason.UNSPECIFIED_ERROR
    assert codes.suback_code(Reason.QUOTA_EXCEEDED, V4) == 0x80
    assert codes.suback_code(Reason.GRANTED_QOS_1, V4) == 1
    with pytest.raises(Malformed, match="0x97"):
        codes.read_suback_code(0x97, V4)
    assert codes.read_suback_code(0x97, V5) is Reason.QUOTA_EXCEEDED


def test_what_a_packet_cannot_say_is_said_in_general() -> None:
    assert codes.fitting(Reason.QUOTA_EXCEEDED, kind.CONNACK) is Reason.QUOTA_EXCEEDED
    assert codes.fitting(Reason.SERVER_SHUTTING_DOWN, kind.CONNACK) is Reason.SERVER_UNAVAILABLE
    assert codes.fitting(Reason.SERVER_SHUTTING_DOWN, kind.DISCONNECT) is Reason.SERVER_SHUTTING_DOWN
    assert codes.fitting(Reason.PACKET_IDENTIFIER_IN_USE, kind.DISCONNECT) is Reason.UNSPECIFIED_ERROR
