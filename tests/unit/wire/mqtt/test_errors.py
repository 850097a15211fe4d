"""Reason codes and the errors that carry them."""

from __future__ import annotations

import pytest

from fleetgate.wire.mqtt.errors import Malformed, ProtocolError, Reason


def test_an_error_carries_its_reason_and_says_what_is_wrong() -> None:
    error = ProtocolError(Reason.PACKET_TOO_LARGE, "a packet of 9 bytes")
    assert (error.reason, str(error)) == (0x95, "a packet of 9 bytes")


def test_what_cannot_be_parsed_is_a_protocol_error_too() -> None:
    with pytest.raises(ProtocolError) as raised:
        raise Malformed("cut short")
    assert raised.value.reason is Reason.MALFORMED_PACKET


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (Reason.SUCCESS, 0x00),
        (Reason.DISCONNECT_WITH_WILL, 0x04),
        (Reason.NOT_AUTHORIZED, 0x87),
        (Reason.SESSION_TAKEN_OVER, 0x8E),
        (Reason.QUOTA_EXCEEDED, 0x97),
        (Reason.WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED, 0xA2),
    ],
)
def test_reason_codes_are_the_standards(reason: Reason, code: int) -> None:
    assert reason == code
