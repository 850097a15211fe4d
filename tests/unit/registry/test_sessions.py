"""Sessions of MQTT clients: written change by change, read at once."""

from __future__ import annotations

from dataclasses import replace

from fleetgate.database.port import Tx
from fleetgate.names import Realm
from fleetgate.registry import nodes, sessions
from fleetgate.registry.sessions import Message, Session, Stored, Subscription

AWAY = Session("c", 5, "cert/1", True, 4_294_967_295, 3600, 1000)
WISH = Subscription("a/#", 1, True, False, 2, 7)
LETTER = Message(3, "bWVzc2FnZQ==", None)


def test_all_of_it_comes_back(tx: Tx, realm: Realm, elsewhere: Realm) -> None:
    sessions.keep(tx, realm, AWAY)
    other = replace(AWAY, client_id="d", left_at=500)
    sessions.keep(tx, elsewhere, other)
    sessions.subscribe(tx, realm, "c", WISH)
    plain = Subscription("b", 0, False, True, 0, None)
    sessions.subscribe(tx, realm, "c", plain)
    later = Message(10, "eA==", 5000)
    for message in (later, LETTER):
        sessions.enqueue(tx, realm, "c", message)
    assert sessions.stored(tx) == [
        Stored(elsewhere, other, (), (), ""),
        Stored(realm, AWAY, (WISH, plain), (LETTER, later), ""),
    ]


def test_writing_twice_is_writing_once_and_the_last_holds(tx: Tx, realm: Realm) -> None:
    for session in (AWAY, replace(AWAY, left_at=None, expiry=60)):
        sessions.keep(tx, realm, session)
    for wish in (WISH, replace(WISH, qos=0, identifier=None)):
        sessions.subscribe(tx, realm, "c", wish)
    for _ in range(2):
        sessions.enqueue(tx, realm, "c", LETTER)
    expected = Stored(
        realm, replace(AWAY, left_at=None, expiry=60), (replace(WISH, qos=0, identifier=None),), (LETTER,), ""
    )
    assert sessions.stored(tx) == [expected]


def test_what_is_over_is_gone(tx: Tx, realm: Realm) -> None:
    sessions.keep(tx, realm, AWAY)
    sessions.subscribe(tx, realm, "c", WISH)
    sessions.enqueue(tx, realm, "c", LETTER)
    sessions.unsubscribe(tx, realm, "c", "a/#")
    sessions.settle(tx, realm, "c", 3)
    assert sessions.stored(tx) == [Stored(realm, AWAY, (), (), "")]
    sessions.subscribe(tx, realm, "c", WISH)
    sessions.enqueue(tx, realm, "c", LETTER)
    sessions.end(tx, realm, "c")
    assert sessions.stored(tx) == []
    assert tx.rows("SELECT number FROM mqtt_messages") == tx.rows("SELECT qos FROM mqtt_subscriptions") == []


def test_nothing_is_kept_for_a_session_that_is_not(tx: Tx, realm: Realm, elsewhere: Realm) -> None:
    sessions.keep(tx, elsewhere, AWAY)
    sessions.subscribe(tx, realm, "c", WISH)
    sessions.enqueue(tx, realm, "c", LETTER)
    assert sessions.stored(tx) == [Stored(elsewhere, AWAY, (), (), "")]


def test_each_node_keeps_its_own(tx: Tx, realm: Realm) -> None:
    for name, node in (("a", "east"), ("b", "west")):
        sessions.keep(tx, realm, replace(AWAY, client_id=name), node)
        sessions.subscribe(tx, realm, name, WISH)
        sessions.enqueue(tx, realm, name, LETTER)
    assert sessions.stored(tx) == []
    assert sessions.stored(tx, "west") == [Stored(realm, replace(AWAY, client_id="b"), (WISH,), (LETTER,), "west")]
    assert sessions.find(tx, realm, "a") == Stored(realm, replace(AWAY, client_id="a"), (WISH,), (LETTER,), "east")
    assert sessions.find(tx, realm, "c") is None
    sessions.keep(tx, realm, replace(AWAY, client_id="a"), "west")
    assert sessions.kept_by(tx, "west") == {(str(realm), "a"), (str(realm), "b")}


def test_the_sessions_of_the_dead_are_adopted(tx: Tx, realm: Realm) -> None:
    now = 1_000_000
    for name, node in (("a", "east"), ("b", "west"), ("c", "north"), ("d", "")):
        sessions.keep(tx, realm, replace(AWAY, client_id=name), node)
    nodes.beat(tx, "1", "east", now)
    nodes.beat(tx, "2", "west", now)
    nodes.beat(tx, "3", "north", now - nodes.SILENCE)
    assert len(sessions.orphaned(tx, "east", now)) == 1

    def spared(of: Realm, name: str) -> bool:
        return (of, name) == (realm, "c")

    def nobody(of: Realm, name: str) -> bool:
        return False

    assert sessions.adopt(tx, "east", now, spared) == [(realm, "d")]
    assert sessions.adopt(tx, "east", now, nobody) == [(realm, "c")]
    assert sessions.adopt(tx, "west", now, nobody) == sessions.orphaned(tx, "west", now) == []
    assert sessions.kept_by(tx, "east") == {(str(realm), name) for name in "acd"}
