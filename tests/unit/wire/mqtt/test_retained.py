"""The retained messages by themselves."""

from __future__ import annotations

from dataclasses import replace

from fleetgate.wire.mqtt.packets import Publish
from fleetgate.wire.mqtt.retained import Retained
from fleetgate.wire.mqtt.rules import AWS, STANDARD


def test_room_is_bounded_but_topics_can_be_replaced() -> None:
    kept = Retained(replace(STANDARD, retained_messages=2))
    assert [kept.keep(Publish(topic, b"1"), 0) for topic in "abc"] == [True, True, False]
    assert kept.keep(Publish("a", b"2"), 0)
    assert kept.topics() == ["a", "b"]
    assert kept.keep(Publish("b", b""), 0)
    assert kept.keep(Publish("b", b""), 0)  # nothing to remove is no failure
    assert kept.keep(Publish("c", b"1"), 0)
    assert kept.get("a", 0) == Publish("a", b"2")
    assert kept.get("z", 0) is None


def test_reserved_topics() -> None:
    assert not Retained(AWS).keep(Publish("$aws/x", b"1"), 0)
    assert Retained(STANDARD).keep(Publish("$x", b"1"), 0)
    assert Retained(AWS).keep(Publish("$fleetgate/x", b"1"), 0), "the server's own"


def test_what_a_device_leaves_is_forgotten_with_it() -> None:
    kept = Retained(STANDARD)
    for topic in ("a/SN-1/b", "SN-1", "a/SN-10", "a/SN-1x/b", "sn-1/b"):
        kept.keep(Publish(topic, b"1"), 0)
    kept.forget("SN-1")
    assert kept.topics() == ["a/SN-10", "a/SN-1x/b", "sn-1/b"]


def test_expiry_counts_from_the_publication() -> None:
    kept = Retained(STANDARD)
    kept.keep(Publish("a", b"1", properties={"message_expiry_interval": 10, "content_type": "x"}), 1000)
    assert kept.get("a", 1000 + 2500) == Publish(
        "a", b"1", properties={"message_expiry_interval": 8, "content_type": "x"}
    )
    assert list(kept.select("#", 10_999)) != []
    assert list(kept.select("#", 11_000)) == []
    assert kept.topics() == []


def test_selection_by_filter() -> None:
    for rules, wild in ((STANDARD, ["t", "t/1", "t/2"]), (AWS, [])):
        kept = Retained(rules)
        for topic in ("t", "t/1", "t/2", "u"):
            kept.keep(Publish(topic, b"1"), 0)
        assert sorted(one.topic for one in kept.select("t/#", 0)) == wild
        assert [one.topic for one in kept.select("t/1", 0)] == ["t/1"]
