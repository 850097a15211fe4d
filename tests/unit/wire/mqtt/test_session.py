"""The outgoing window of QoS 1, its queue and what happens over a reconnect."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from fleetgate.wire.mqtt.packets import V5, Publish, QoS
from fleetgate.wire.mqtt.rules import AWS, STANDARD, Rules
from fleetgate.wire.mqtt.session import Session


def message(payload: bytes = b"!", **properties: int) -> Publish:
    return Publish("t", payload, QoS.AT_LEAST_ONCE, properties=properties)  # type: ignore[arg-type]  # by name


def online(rules: Rules = STANDARD, window: int | None = None) -> Session:
    session = Session("a", V5, rules)
    assert session.resume(0, window) == []
    return session


def payloads(sent: list[Publish]) -> list[bytes]:
    return [one.payload for one in sent]


def test_qos_0_is_handed_on_as_it_is_or_let_go() -> None:
    session, plain = online(), Publish("t", b"x")
    assert session.deliver(plain, 0) is plain
    session.pause()
    assert session.deliver(plain, 0) is None
    assert session.resume(0) == []


def test_qos_1_gets_an_identifier() -> None:
    session = online()
    first, second = session.deliver(message(), 0), session.deliver(message(), 0)
    assert first == replace(message(), packet_id=1)
    assert second == replace(message(), packet_id=2)
    assert session.unacknowledged == 2


def test_identifiers_go_round_and_pass_over_those_in_use() -> None:
    session = online()
    held = session.deliver(message(), 0)
    assert held is not None
    assert held.packet_id == 1
    for number in range(2, 65_536):
        assert session.deliver(message(), 0) is not None
        session.acknowledged(number, 0)
    following = session.deliver(message(), 0)
    assert following is not None
    assert following.packet_id == 2


def test_a_full_window_queues_and_acknowledgements_move_on() -> None:
    session = online(window=1)
    assert session.deliver(message(b"1"), 0) is not None
    assert session.deliver(message(b"2"), 0) is None
    assert session.deliver(message(b"3"), 0) is None
    assert session.queued == 2
    assert session.acknowledged(99, 0) == []
    assert payloads(session.acknowledged(1, 0)) == [b"2"]
    assert session.queued == 1


def test_the_servers_window_bounds_the_clients() -> None:
    session = online(replace(AWS, receive_maximum=2), window=65_535)
    assert [session.deliver(message(), 0) is None for _ in range(3)] == [False, False, True]


def test_all_identifiers_in_use_only_queues() -> None:
    session = online()
    for _ in range(65_535):
        assert session.deliver(message(), 0) is not None
    assert session.deliver(message(), 0) is None
    assert session.resume(0, 10) != []
    assert session.unacknowledged == 65_535


def test_a_smaller_window_after_a_reconnect() -> None:
    session = online(window=3)
    for number in range(5):
        session.deliver(message(b"%d" % number), 0)
    session.pause()
    session.deliver(message(b"5"), 0)
    again = session.resume(0, 1)
    assert payloads(again) == [b"0"]
    assert again[0].duplicate
    assert session.deliver(message(b"6"), 0) is None
    rest: list[Publish] = []
    waiting = again
    while waiting:
        (one,) = waiting
        waiting = session.acknowledged(one.packet_id or 0, 0)
        rest += waiting
    assert payloads(rest) == [b"1", b"2", b"3", b"4", b"5", b"6"]
    assert [one.duplicate for one in rest] == [True, True, False, False, False, False]


def test_an_acknowledgement_for_what_was_not_sent_again_yet_is_taken() -> None:
    session = online(window=2)
    session.deliver(message(b"1"), 0)
    session.deliver(message(b"2"), 0)
    session.pause()
    assert payloads(session.resume(0, 1)) == [b"1"]
    assert session.acknowledged(2, 0) == []
    assert session.acknowledged(1, 0) == []
    assert session.unacknowledged == 0


def test_acknowledged_while_offline_sends_nothing() -> None:
    session = online(window=1)
    session.deliver(message(b"1"), 0)
    session.deliver(message(b"2"), 0)
    session.pause()
    assert session.acknowledged(1, 0) == []
    assert payloads(session.resume(0)) == [b"2"]


def test_expiry() -> None:
    session = online(window=1)
    now = session.deliver(message(b"1", message_expiry_interval=10), 0)
    assert now is not None
    assert now.properties == {"message_expiry_interval": 10}
    session.deliver(message(b"2", message_expiry_interval=10), 0)
    session.deliver(message(b"3", message_expiry_interval=20), 0)
    (following,) = session.acknowledged(1, 10_000)
    assert following.payload == b"3"
    assert following.properties == {"message_expiry_interval": 10}
    session.pause()
    (again,) = session.resume(19_001)
    assert again.properties == {"message_expiry_interval": 1}
    session.pause()
    assert session.resume(20_000) == []
    assert session.unacknowledged == 0


def test_the_queue_drops_the_oldest() -> None:
    session = Session("a", V5, replace(STANDARD, queued_messages=3))
    for number in range(5):
        session.deliver(message(b"%d" % number), 0)
    assert session.dropped == 2
    assert payloads(session.resume(0)) == [b"2", b"3", b"4"]


def test_the_queue_is_bounded_in_bytes_too() -> None:
    session = Session("a", V5, replace(STANDARD, queued_bytes=100))
    for _ in range(5):
        session.deliver(message(bytes(30)), 0)
    assert (session.queued, session.dropped) == (3, 2)
    session.deliver(message(bytes(200)), 0)
    assert (session.queued, session.dropped) == (0, 6)
    stuffed = replace(message(b""), properties={"user_property": (("a", "b" * 200),)})
    session.deliver(stuffed, 0)
    assert session.queued == 0
    for _ in range(3):
        session.deliver(message(bytes(30)), 0)
    assert session.queued == 3


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["send", "ack", "drop", "come"]), max_size=60), st.integers(1, 4))
def test_at_least_once_and_in_order(steps: list[str], window: int) -> None:
    """Whatever happens, every message is acknowledged once in the end, in order, and the window holds."""
    session = online(window=window)
    wire: list[Publish] = []  # sent on this connection, not acknowledged
    done: list[bytes] = []
    sent, live = 0, True

    def acknowledge() -> None:
        one = wire.pop(0)
        done.append(one.payload)
        wire.extend(session.acknowledged(one.packet_id or 0, 0))

    for step in [*steps, "come"]:
        if step == "send":
            ready = session.deliver(message(b"%d" % sent), 0)
            sent += 1
            wire += [ready] if ready is not None else []
        elif step == "ack" and wire:
            acknowledge()
        elif step == "drop" and live:
            session.pause()
            wire.clear()
            live = False
        elif step == "come" and not live:
            wire.extend(session.resume(0, window))
            live = True
        assert len(wire) <= window
        assert len({one.packet_id for one in wire}) == len(wire)
    while wire:
        acknowledge()
    assert done == [b"%d" % number for number in range(sent)]
