"""What a switchboard has written down, and that a new one made of it goes on where the first was."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace

from fleetgate.wire.mqtt import journal
from fleetgate.wire.mqtt.journal import Change
from fleetgate.wire.mqtt.packets import V4, V5, Connect, Disconnect, Publish, QoS, Subscription
from fleetgate.wire.mqtt.rules import NEVER, STANDARD, Rules
from fleetgate.wire.mqtt.switchboard import NOBODY, Attached, Owner, Switchboard

Q1 = QoS.AT_LEAST_ONCE
HOUR = 3_600_000


@dataclass(eq=False)
class Line:
    heard: list[Publish] = field(default_factory=list)

    def deliver(self, message: Publish, /) -> None:
        self.heard.append(message)

    def may_receive(self, topic: str, /) -> bool:
        return True


class Board(Switchboard[Line]):
    """With a journal, and a second board made of it."""

    def __init__(self, rules: Rules = STANDARD) -> None:
        self.changes: list[Change] = []
        super().__init__(rules, record=self.changes.append)

    def join(
        self, client_id: str, now: int = 0, *, lasts: int = 3600, clean: bool = False, owner: Owner = NOBODY
    ) -> Attached[Line]:
        return self.attach(
            Connect(client_id, V5, clean, properties={"session_expiry_interval": lasts}), Line(), now, owner
        )

    def leave(self, client_id: str, now: int = 0, farewell: Disconnect | None = None) -> None:
        sink = self.sink(client_id)
        assert sink is not None
        self.detach(client_id, sink, now, farewell)

    def after_a_crash(self, now: int = 0) -> Board:
        """What a reader of the journal makes of it."""
        sessions: dict[str, journal.SessionKept] = {}
        subscribed: defaultdict[str, dict[str, journal.Subscribed]] = defaultdict(dict)
        queued: defaultdict[str, dict[int, journal.Queued]] = defaultdict(dict)
        retained: dict[str, journal.RetainedKept] = {}
        for change in self.changes:
            match change:
                case journal.SessionKept(client_id):
                    sessions[client_id] = change
                case journal.SessionEnded(client_id):
                    del sessions[client_id]
                    subscribed.pop(client_id, None)
                    queued.pop(client_id, None)
                case journal.Subscribed(client_id, subscription):
                    subscribed[client_id][subscription.topic_filter] = change
                case journal.Unsubscribed(client_id, topic_filter):
                    del subscribed[client_id][topic_filter]
                case journal.Queued(client_id, number):
                    assert number not in queued[client_id]
                    queued[client_id][number] = change
                case journal.Settled(client_id, number):
                    del queued[client_id][number]
                case journal.RetainedKept(message):
                    retained[message.topic] = change
                case journal.RetainedGone(topic):
                    del retained[topic]
        board = Board(self.rules)
        for client_id, kept in sessions.items():
            messages = [queued[client_id][number] for number in sorted(queued[client_id])]
            board.restore(kept, subscribed[client_id].values(), messages, now)
        for one in retained.values():
            board.retained.restore(one.message, one.came)
        return board


def payloads(messages: tuple[Publish, ...]) -> list[bytes]:
    return [message.payload for message in messages]


def test_nothing_is_written_where_nothing_lasts() -> None:
    board = Board()
    for name, lasts in (("on", 0), ("lasting", 3600)):
        session = board.join(name, lasts=lasts).session
        if name == "on":
            board.subscribe(session, Subscription("t", Q1), 0)
    board.publish(Publish("t", b"1", Q1), 0)
    board.leave("on")
    board.leave("lasting")
    assert board.changes == []


def test_nothing_more_is_written_while_everybody_is_there() -> None:
    board = Board()
    session = board.join("a").session
    board.subscribe(session, Subscription("t", Q1), 0)
    before = len(board.changes)
    board.publish(Publish("t", b"1", Q1), 0)
    board.acknowledged(session, 1, 0)
    assert len(board.changes) == before


def test_answers_to_the_asker_are_no_reason_to_write() -> None:
    board = Board()
    session = board.join("a").session
    board.subscribe(session, Subscription("$aws/certificates/create/json/accepted", Q1), 0)
    assert board.changes == []
    board.subscribe(session, Subscription("t", Q1), 0)
    again = board.after_a_crash().session("a")
    assert again is not None
    assert set(again.subscriptions) == {"$aws/certificates/create/json/accepted", "t"}


def test_subscriptions_survive_with_their_options() -> None:
    board = Board()
    session = board.join("a").session
    given = Subscription("t/+", Q1, no_local=True, retain_as_published=True, retain_handling=2)
    board.subscribe(session, given, 0, identifier=7)
    board.subscribe(session, Subscription("u"), 0)
    board.subscribe(session, Subscription("$share/g/v", Q1), 0)
    board.unsubscribe(session, "u")
    again = board.after_a_crash()
    attached = again.join("a")
    assert attached.session_present
    assert attached.session.subscriptions == {"t/+": given, "$share/g/v": Subscription("$share/g/v", Q1)}
    again.publish(Publish("t/1", b"x", Q1, retain=True), 0, "other")
    again.publish(Publish("v", b"y", Q1), 0)
    line = again.sink("a")
    assert line is not None
    assert [(each.topic, each.retain, dict(each.properties)) for each in line.heard] == [
        ("t/1", True, {"subscription_identifier": (7,)}),
        ("v", False, {}),
    ]


def test_what_waited_is_given_after_a_crash_in_its_order_and_once() -> None:
    board = Board()
    session = board.join("a").session
    board.subscribe(session, Subscription("t", Q1), 0)
    board.publish(Publish("t", b"sent", Q1), 0)
    board.publish(Publish("t", b"taken", Q1), 0)
    board.acknowledged(session, 2, 0)
    board.leave("a")
    for payload in (b"1", b"2"):
        board.publish(Publish("t", payload, Q1), 0)
    board.publish(Publish("t", b"lost", QoS.AT_MOST_ONCE), 0)
    again = board.after_a_crash()
    attached = again.join("a")
    assert payloads(attached.backlog) == [b"sent", b"1", b"2"]
    for message in attached.backlog:
        assert message.packet_id is not None
        again.acknowledged(attached.session, message.packet_id, 0)
    again.changes = board.changes + again.changes
    assert payloads(again.after_a_crash().join("a").backlog) == []


def test_what_waits_behind_a_full_window_is_written_too() -> None:
    board = Board(replace(STANDARD, receive_maximum=1))
    session = board.join("a").session
    board.subscribe(session, Subscription("t", Q1), 0)
    for payload in (b"1", b"2"):
        board.publish(Publish("t", payload, Q1), 0)
    assert payloads(board.after_a_crash().join("a").backlog) == [b"2"]
    board.acknowledged(session, 1, 0)
    board.acknowledged(session, 2, 0)
    assert payloads(board.after_a_crash().join("a").backlog) == []


def test_the_bounded_queue_and_expired_messages_leave_no_rows() -> None:
    board = Board(replace(STANDARD, queued_messages=2))
    board.subscribe(board.join("a").session, Subscription("t", Q1), 0)
    board.leave("a")
    for number in range(4):
        board.publish(Publish("t", b"%d" % number, Q1, properties={"message_expiry_interval": 10 + number}), 0)
    attached = board.after_a_crash().join("a", 12_000)
    assert payloads(attached.backlog) == [b"3"]
    assert attached.backlog[0].properties["message_expiry_interval"] == 1
    board.join("a", 12_000)
    settled = [change.number for change in board.changes if isinstance(change, journal.Settled)]
    assert settled == [1, 2, 3]


def test_a_session_lasts_as_long_as_it_would_have() -> None:
    board = Board()
    board.subscribe(board.join("a").session, Subscription("t"), 0)
    board.leave("a", 1000)
    assert board.after_a_crash(HOUR + 999).join("a", HOUR + 999).session_present
    assert not board.after_a_crash(HOUR + 1000).join("a", HOUR + 1000).session_present
    again = board.after_a_crash(2000)
    again.due(HOUR + 1000)
    assert again.session("a") is None
    assert again.changes[-1] == journal.SessionEnded("a")


def test_whoever_was_connected_at_the_crash_left_when_the_server_came_back() -> None:
    board = Board()
    board.subscribe(board.join("a").session, Subscription("t"), 0)
    again = board.after_a_crash(5 * HOUR)
    assert again.join("a", 6 * HOUR - 1).session_present
    again = board.after_a_crash(5 * HOUR)
    assert not again.join("a", 6 * HOUR).session_present
    back = board.after_a_crash(5 * HOUR)
    back.changes = board.changes + back.changes
    assert not back.after_a_crash(6 * HOUR).join("a", 6 * HOUR).session_present, "one crash lengthens it, not each"


def test_what_ends_a_session_ends_it_for_good() -> None:
    ended = [journal.SessionEnded("a")]
    for end in ("clean start", "goodbye", "owner"):
        board = Board()
        owner = Owner("cert/1", entitled=True)
        board.subscribe(board.join("a", owner=owner).session, Subscription("t"), 0)
        if end == "clean start":
            board.leave("a")
            board.join("a", clean=True, owner=owner)
        elif end == "goodbye":
            board.leave("a", 0, Disconnect(properties={"session_expiry_interval": 0}))
        else:
            board.leave("a")
            board.join("a", owner=Owner("cert/2"))
        assert board.changes[-1:] == ended, end


def test_a_session_without_end_and_its_owner() -> None:
    board = Board()
    owner = Owner("cert/1", entitled=True, longest=NEVER)
    board.subscribe(board.join("a", lasts=NEVER, owner=owner).session, Subscription("t"), 0)
    board.leave("a")
    assert board.after_a_crash(10**15).join("a", 10**15, owner=owner).session_present
    assert not board.after_a_crash().join("a", owner=Owner("cert/2")).session_present


def test_a_session_of_3_1_1_stays_one() -> None:
    board = Board(replace(STANDARD, sessions_cross_versions=False))
    attached = board.attach(Connect("a", V4, clean_start=False), Line(), 0)
    board.subscribe(attached.session, Subscription("t"), 0)
    assert not board.after_a_crash().join("a").session_present
    assert board.after_a_crash().attach(Connect("a", V4, clean_start=False), Line(), 0).session_present


def test_retained_messages() -> None:
    board = Board()
    for topic, payload in (("a", b"1"), ("a", b"2"), ("b", b"1"), ("b", b""), ("c", b"")):
        board.publish(Publish(topic, payload, Q1, retain=True, properties={"message_expiry_interval": 60}), 1000)
    again = board.after_a_crash()
    assert again.retained.topics() == ["a"]
    kept = again.retained.get("a", 31_000)
    assert kept is not None
    assert (kept.payload, kept.properties["message_expiry_interval"], again.retained.came("a")) == (b"2", 30, 1000)
    again.retained.sweep(61_000)
    assert again.changes == [journal.RetainedGone("a")]
    assert again.retained.came("a") is None


def test_a_taken_client_identifier_is_not_restored_over() -> None:
    board = Board()
    board.join("a")
    assert not board.restore(journal.SessionKept("a", V5, "", False, NEVER, 60, None), [], [], 0)
