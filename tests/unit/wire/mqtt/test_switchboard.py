"""The switchboard where the conformance dialogues do not reach: administration, policies, timers, re-entrance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from fleetgate.wire.mqtt import journal
from fleetgate.wire.mqtt.errors import Reason
from fleetgate.wire.mqtt.packets import V4, Connect, Disconnect, Publish, QoS, Subscription, Will
from fleetgate.wire.mqtt.rules import AWS, NEVER, STANDARD, Rules
from fleetgate.wire.mqtt.session import Session
from fleetgate.wire.mqtt.switchboard import NOBODY, Attached, Granted, Owner, Switchboard
from fleetgate.wire.mqtt.topics import SharedFilter

Q1 = QoS.AT_LEAST_ONCE


class Line:
    """A sink that keeps what it is given."""

    def __init__(self, forbidden: str = "secret") -> None:
        self.heard: list[Publish] = []
        self.forbidden = forbidden
        self.then: Callable[[], object] = lambda: None

    def deliver(self, message: Publish, /) -> None:
        self.heard.append(message)
        self.then()

    def may_receive(self, topic: str, /) -> bool:
        return topic != self.forbidden

    def payloads(self) -> list[bytes]:
        return [message.payload for message in self.heard]


class Board(Switchboard[Line]):
    """With one word for joining and one for leaving."""

    def join(self, client_id: str, now: int = 0, *, lasts: int = 600, will: Will | None = None) -> Attached[Line]:
        connect = Connect(
            client_id, clean_start=False, will=will, properties={"session_expiry_interval": lasts} if lasts else {}
        )
        return self.attach(connect, Line(), now)

    def line(self, client_id: str) -> Line:
        sink = self.sink(client_id)
        assert sink is not None
        return sink


def board(rules: Rules = STANDARD) -> Board:
    return Board(rules)


def test_who_is_there() -> None:
    house = board()
    assert house.session("a") is None
    assert house.sink("a") is None
    attached = house.join("a")
    assert house.session("a") is attached.session
    assert isinstance(house.sink("a"), Line)
    house.detach("a", house.line("a"), 0)
    assert house.session("a") is attached.session
    assert house.sink("a") is None


def test_publish_counts_who_gets_it() -> None:
    house = board()
    for name in ("on", "off", "forbidden"):
        session = house.join(name).session
        house.subscribe(session, Subscription("#", Q1), 0)
    house.line("forbidden").forbidden = "t"
    house.detach("off", house.line("off"), 0)
    assert house.publish(Publish("t", qos=Q1), 0) == 2  # one now, one later
    assert house.publish(Publish("t"), 0) == 1
    assert house.publish(Publish("$nobody"), 0) == 0


def test_a_message_is_stripped_of_its_publishers_affairs() -> None:
    house = board(AWS)
    session = house.join("a").session
    house.subscribe(session, Subscription("t"), 0)
    house.publish(
        Publish(
            "t",
            b"x",
            Q1,
            False,
            True,
            77,
            {"topic_alias": 3, "subscription_identifier": (4,), "message_expiry_interval": 10**9},
        ),
        0,
    )
    assert house.line("a").heard == [Publish("t", b"x", properties={"message_expiry_interval": 604_800})]


def test_receivers_of_qos_0_share_one_message() -> None:
    house = board()
    for name in "abc":
        house.subscribe(house.join(name).session, Subscription("t"), 0)
    message = Publish("t", b"x")
    assert house.publish(message, 0) == 3
    assert all(house.line(name).heard[0] is message for name in "abc")


def test_direct_delivery_needs_no_subscription() -> None:
    """The answers on reserved topics go to the one who asked."""
    house = board()
    house.join("a")
    house.join("b")
    house.subscribe(house.join("b").session, Subscription("#"), 0)
    assert house.deliver("a", Publish("$aws/x/accepted", b"key"), 0)
    assert house.deliver("a", Publish("$aws/x/accepted", b"key", Q1), 0)
    assert [(one.payload, one.packet_id) for one in house.line("a").heard] == [(b"key", None), (b"key", 1)]
    assert house.line("b").heard == []
    assert not house.deliver("nobody", Publish("t"), 0)
    house.detach("a", house.line("a"), 0)
    assert not house.deliver("a", Publish("t"), 0)
    assert house.deliver("a", Publish("t", qos=Q1), 0)


def test_administrators_may_spare_the_will_and_the_session() -> None:
    house = board()
    house.subscribe(house.join("w").session, Subscription("will"), 0)
    house.join("a", will=Will("will", b"x"))
    assert house.detach("a", house.line("a"), 0, send_will=False, keep_session=False)
    assert house.session("a") is None
    assert house.line("w").heard == []
    house.join("a", will=Will("will", b"x"))
    assert house.detach("a", house.line("a"), 0, keep_session=False)
    assert house.line("w").payloads() == [b"x"]
    assert not house.detach("a", Line(), 0)


def test_a_farewell_bounds_the_expiry_it_asks_for() -> None:
    house = board(AWS)
    house.join("a")
    house.detach("a", house.line("a"), 0, Disconnect(properties={"session_expiry_interval": NEVER}))
    assert house.next_due() == 604_800_000


def test_a_session_that_is_not_the_current_one_changes_nothing() -> None:
    house = board()
    old = house.join("a", lasts=0).session
    house.detach("a", house.line("a"), 0)
    assert house.subscribe(old, Subscription("t"), 0) == Granted(Reason.UNSPECIFIED_ERROR)
    assert house.unsubscribe(old, "t") is Reason.NO_SUBSCRIPTION_EXISTED
    new = house.join("a").session
    house.subscribe(new, Subscription("t"), 0)
    assert house.subscribe(old, Subscription("u"), 0).reason >= 0x80
    assert house.unsubscribe(old, "t") is Reason.NO_SUBSCRIPTION_EXISTED
    assert new.subscriptions == {"t": Subscription("t")}
    house.acknowledged(Session("ghost", V4, STANDARD), 1, 0)


def test_a_session_lists_its_subscriptions_as_granted() -> None:
    house = board()
    session = house.join("a").session
    house.subscribe(session, Subscription("t", QoS.EXACTLY_ONCE), 0)
    assert session.subscriptions == {"t": Subscription("t", Q1)}
    assert house.unsubscribe(session, "t") is Reason.SUCCESS
    assert session.subscriptions == {}


def test_what_may_not_be_received_makes_room_for_the_next() -> None:
    house = board(replace(STANDARD, receive_maximum=1))
    session = house.join("a").session
    house.subscribe(session, Subscription("#", Q1), 0)
    house.publish(Publish("t", b"1", Q1), 0)
    for topic, payload in (("secret", b"2"), ("later", b"3"), ("t", b"4")):
        house.publish(Publish(topic, payload, Q1), 0)
    house.line("a").forbidden = "later"  # the policy changed meanwhile
    house.acknowledged(session, 1, 0)
    assert house.line("a").payloads() == [b"1", b"4"]


def test_the_backlog_asks_the_policy_too() -> None:
    house = board()
    house.subscribe(house.join("a").session, Subscription("#", Q1), 0)
    house.detach("a", house.line("a"), 0)
    house.publish(Publish("secret", b"1", Q1), 0)
    house.publish(Publish("open", b"2", Q1), 0)
    again = house.join("a")
    assert [one.payload for one in again.backlog] == [b"2"]
    assert again.session.unacknowledged == 1


def test_retained_messages_over_the_window_follow_the_acknowledgements() -> None:
    house = board(replace(STANDARD, receive_maximum=2))
    for name in "abc":
        house.publish(Publish(name, name.encode(), Q1, True), 0)
    session = house.join("x").session
    given = house.subscribe(session, Subscription("#", Q1), 0).retained
    assert [one.payload for one in given] == [b"a", b"b"]
    assert all(one.retain for one in given)
    house.acknowledged(session, 1, 0)
    assert house.line("x").payloads() == [b"c"]


def test_shared_subscriptions_pass_over_who_may_not() -> None:
    house = board()
    for name in ("a", "b"):
        house.subscribe(house.join(name).session, Subscription("$share/g/t", Q1), 0)
    house.line("a").forbidden = "t"
    for _ in range(3):
        assert house.publish(Publish("t", qos=Q1), 0) == 1
    assert (len(house.line("a").heard), len(house.line("b").heard)) == (0, 3)
    house.line("b").forbidden = "t"
    assert house.publish(Publish("t", qos=Q1), 0) == 0


def test_a_sink_may_hang_up_while_it_is_served() -> None:
    house = board()
    for name in "abc":
        house.subscribe(house.join(name, lasts=0, will=Will("t", b"will")).session, Subscription("t"), 0)
    victim = house.line("b")
    house.line("a").then = lambda: house.detach("b", victim, 0)
    house.publish(Publish("t", b"1"), 0)
    assert house.session("b") is None
    assert victim.heard == []
    assert sorted(house.line("c").payloads()) == [b"1", b"will"]


def test_a_will_may_bring_the_client_back() -> None:
    house = board()
    house.subscribe(house.join("w").session, Subscription("will"), 0)
    house.join("a", lasts=0, will=Will("will", b"x"))
    watcher = house.line("w")
    watcher.then = lambda: house.join("a")
    house.detach("a", house.line("a"), 0)
    assert house.sink("a") is not None


def test_sessions_that_nobody_comes_back_for_are_bounded() -> None:
    house = board(replace(STANDARD, sessions=2))
    for client_id in ("a", "b", "c", "d"):
        house.join(client_id)
        house.detach(client_id, house.line(client_id), 0)
    assert [house.session(client_id) is not None for client_id in "abcd"] == [True, True, False, False]
    assert house.join("a", 1).session_present
    house.detach("a", house.line("a"), 1)
    house.due(10**9)
    house.join("d", 10**9)
    house.detach("d", house.line("d"), 10**9)
    assert house.session("d") is not None


def left(house: Board, client_id: str, owner: Owner, now: int, will: Will | None = None) -> Attached[Line]:
    """Come and go."""
    connect = Connect(client_id, clean_start=False, will=will, properties={"session_expiry_interval": 600})
    attached = house.attach(connect, Line(), now, owner)
    house.detach(client_id, house.line(client_id), now)
    return attached


def test_sessions_that_one_certificate_leaves_are_bounded() -> None:
    house = board(replace(STANDARD, sessions_per_certificate=2))
    watcher = house.join("watcher")
    house.subscribe(watcher.session, Subscription("will", Q1), 0)
    one, other = Owner("one"), Owner("other")
    left(house, "a", one, 0, Will("will", b"a", properties={"will_delay_interval": 5}))
    left(house, "b", one, 1)
    left(house, "z", other, 2)
    assert left(house, "a", one, 3, Will("will", b"a again", properties={"will_delay_interval": 5})).session_present
    assert house.line("watcher").payloads() == []
    left(house, "c", one, 4)
    assert [house.session(name) is not None for name in "abcz"] == [True, False, True, True], "b was left first"
    left(house, "d", one, 5)
    assert [house.session(name) is not None for name in "acdz"] == [False, True, True, True]
    assert house.line("watcher").payloads() == [b"a again"], "the end of a session does not swallow its will"
    house.due(10**9)
    for number in range(5):
        left(house, f"later-{number}", NOBODY, 10**9)
    assert all(house.session(f"later-{number}") for number in range(5))


def test_an_owner_is_forgotten_with_and_without_a_connection() -> None:
    house, one = board(), Owner("one")
    watcher = house.join("watcher")
    house.subscribe(watcher.session, Subscription("#", Q1), 0)
    left(house, "a", one, 0, Will("will", b"a", properties={"will_delay_interval": 5}))
    there = Line()
    house.attach(Connect("b", clean_start=False, will=Will("will", b"b")), there, 0, one)
    left(house, "z", Owner("other"), 0)
    house.forget("one")
    assert [house.session(name) is not None for name in ("a", "b", "z", "watcher")] == [False, False, True, True]
    assert not house.detach("b", there, 1), "its end changes nothing any more"
    house.due(10**9)
    assert house.line("watcher").payloads() == []
    assert not left(house, "a", one, 2).session_present


def test_an_owner_may_have_shorter_sessions() -> None:
    house, owner = board(), Owner("one", longest=60)
    assert left(house, "a", owner, 0).session.expiry == 60
    house.attach(Connect("b", properties={"session_expiry_interval": 10}), Line(), 0, owner)
    asked = Disconnect(properties={"session_expiry_interval": 600})
    house.detach("b", house.line("b"), 0, asked)
    house.due(59_999)
    assert house.session("a") is not None
    assert house.session("b") is not None
    house.due(60_000)
    assert house.session("a") is None
    assert house.session("b") is None


def test_a_session_goes_on_for_those_who_are_entitled_to_it() -> None:
    device, again, claim = Owner("device", entitled=True), Owner("again", entitled=True), Owner("claim")
    house = board()
    left(house, "a", device, 0)
    assert left(house, "a", device, 0).session_present
    assert left(house, "a", again, 0).session_present
    assert not left(house, "a", claim, 0).session_present
    assert left(house, "a", Owner("another claim"), 0).session_present
    assert left(house, "a", device, 0).session_present


def test_times_that_no_longer_hold_are_forgotten() -> None:
    house = board()
    will = Will("will", b"x", properties={"will_delay_interval": 5})
    for now in range(0, 1_000_000, 1000):
        house.join("a", now, will=will)
        house.detach("a", house.line("a"), now)
        assert len(house._timers) < 80
    assert house.next_due() == 1_004_000
    house.due(1_004_000)
    assert house.next_due() == 999_000 + 600_000
    house.due(10**9)
    assert house.next_due() is None
    assert house.session("a") is None
    house.join("a", will=will)
    house.detach("a", house.line("a"), 0)
    assert house.next_due() == 5000
    house.join("a", 1000)
    assert house.next_due() is None


def test_a_late_timer_still_sends_the_will() -> None:
    """The client is back after the will's time, but before anybody looked."""
    house = board()
    house.subscribe(house.join("w").session, Subscription("will"), 0)
    house.join("a", will=Will("will", b"x", properties={"will_delay_interval": 5}))
    house.detach("a", house.line("a"), 0)
    assert house.join("a", 6000).session_present
    assert house.line("w").payloads() == [b"x"]
    house.due(10_000)
    assert house.line("w").payloads() == [b"x"]


def test_3_1_1_windows_are_the_servers() -> None:
    house = board(AWS)
    house.attach(Connect("a", V4), Line(), 0)
    session = house.session("a")
    assert session is not None
    house.subscribe(session, Subscription("t", Q1), 0)
    for _ in range(150):
        house.publish(Publish("t", qos=Q1), 0)
    assert len(house.line("a").heard) == 100


def test_shared_subscriptions_are_given_no_retained_messages() -> None:
    for rules in (AWS, STANDARD):
        house = board(rules)
        house.publish(Publish("t", b"1", retain=True), 0)
        session = house.join("a").session
        assert house.subscribe(session, Subscription("$share/g/t", Q1), 0).retained == ()
        assert house.subscribe(session, Subscription("t", Q1), 0).retained != ()


# -- another node ------------------------------------------------------------------------------------------------------


def test_a_client_that_is_released_leaves_nothing_but_its_record() -> None:
    changes: list[journal.Change] = []
    house = Board(STANDARD, record=changes.append)
    session = house.join("a").session
    house.subscribe(session, Subscription("t", Q1), 0)
    house.publish(Publish("t", b"sent", Q1), 0)
    sink = house.sink("a")
    assert house.release("a", 5, goes_on=True) is sink
    assert (house.session("a"), house.publish(Publish("t", b"x", Q1), 6)) == (None, 0)
    queued = [each.message.payload for each in changes if isinstance(each, journal.Queued)]
    assert queued == [b"sent"]  # nobody acknowledged it: the other node sends it again
    assert not any(isinstance(each, journal.SessionEnded) for each in changes)
    assert sink is not None
    assert not house.detach("a", sink, 7)
    assert house.release("a", 8, goes_on=True) is None


def test_a_client_that_begins_anew_elsewhere_ends_its_session_and_says_its_will() -> None:
    changes: list[journal.Change] = []
    house = Board(STANDARD, record=changes.append)
    house.subscribe(house.join("b").session, Subscription("will"), 0)
    session = house.join("a", will=Will("will", b"gone")).session
    house.subscribe(session, Subscription("t", Q1), 0)
    house.release("a", 5, goes_on=False)
    assert house.session("a") is None
    assert journal.SessionEnded("a") in changes
    assert house.line("b").payloads() == [b"gone"]


def test_shared_subscriptions_are_served_where_it_is_said() -> None:
    told: list[list[SharedFilter]] = []
    house = board()
    house.subscribers.groups_changed = lambda: told.append(house.subscribers.shared)
    session = house.join("a").session
    house.subscribe(session, Subscription("$share/crew/t", Q1), 0)
    crew = SharedFilter("crew", "t")
    assert house.publish(Publish("t", b"1", Q1), 0, serves=lambda shared: shared != crew) == 0
    assert house.publish(Publish("t", b"2", Q1), 0, serves=lambda shared: shared == crew) == 1
    house.unsubscribe(session, "$share/crew/t")
    assert told == [[crew], []]
    assert house.line("a").payloads() == [b"2"]


def test_one_client_alone_is_told() -> None:
    house = board()
    for name in ("a", "b"):
        house.subscribe(house.join(name).session, Subscription("t", Q1), 0)
    assert house.publish_to("a", Publish("t", b"1", Q1), 0)
    assert not house.publish_to("a", Publish("u", b"1", Q1), 0)
    assert not house.publish_to("c", Publish("t", b"1", Q1), 0)
    assert (house.line("a").payloads(), house.line("b").payloads()) == ([b"1"], [])
