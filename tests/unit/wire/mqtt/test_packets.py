"""Packets are values."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from fleetgate.wire.mqtt.packets import PubAck, Publish, PubRec, QoS, Will
from fleetgate.wire.mqtt.properties import NO_PROPERTIES


def test_packets_are_equal_by_kind_and_value() -> None:
    assert Publish("a", b"x") == Publish("a", b"x", QoS.AT_MOST_ONCE, properties={})
    assert PubAck(1) == PubAck(1)
    different: list[object] = [PubAck(1), PubRec(1)]
    assert different[0] != different[1]
    assert repr(PubRec(1)).startswith("PubRec(packet_id=1")


def test_packets_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        PubAck(1).packet_id = 2  # type: ignore[misc]  # that is the point
    assert not hasattr(PubAck(1), "__dict__")
    assert Publish("a").properties is Will("a").properties is NO_PROPERTIES
