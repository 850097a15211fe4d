from __future__ import annotations

from collections import Counter

from fleetgate.gateway.shares import Plain, Shares
from fleetgate.names import Realm
from fleetgate.wire.mqtt.topics import SharedFilter

REALM, ELSEWHERE = Realm("123456789012", "us-east-1"), Realm("210987654321", "us-east-1")
CREW = SharedFilter("crew", "jobs/+")


def plain(realm: Realm, shared: SharedFilter) -> Plain:
    return (str(realm), shared.share_name, shared.topic_filter)


def test_alone_everything_is_served_here() -> None:
    given = Shares("east").choose(REALM, "jobs/1", {CREW})
    assert not given
    assert given.serves_here(CREW)


def test_members_elsewhere_alone_have_every_message() -> None:
    shares = Shares("east")
    shares.tell("west", [plain(REALM, CREW)])
    for _ in range(5):
        given = shares.choose(REALM, "jobs/1", set())
        assert given.elsewhere == {"west": [("crew", "jobs/+")]}
        assert not given.serves_here(CREW)
    assert not shares.choose(REALM, "other", set())
    assert not shares.choose(ELSEWHERE, "jobs/1", set())


def test_nodes_with_members_take_turns() -> None:
    shares = Shares("east")
    shares.tell("west", [plain(REALM, CREW)])
    shares.tell("north", [plain(REALM, CREW), plain(ELSEWHERE, CREW)])
    turns: Counter[str] = Counter()
    for _ in range(300):
        given = shares.choose(REALM, "jobs/1", {CREW})
        turns[next(iter(given.elsewhere), "east")] += 1
    assert turns == {"east": 100, "west": 100, "north": 100}


def test_who_left_is_given_nothing() -> None:
    shares = Shares("east")
    shares.tell("west", [plain(REALM, CREW)])
    shares.forget("west")
    shares.forget("west")
    assert not shares.choose(REALM, "jobs/1", {CREW})


def test_what_another_node_gave_is_served_and_nothing_else() -> None:
    sender, receiver, other = Shares("east"), Shares("west"), Shares("north")
    sender.tell("west", [plain(REALM, CREW)])
    elsewhere = sender.choose(REALM, "jobs/1", set()).elsewhere
    assert receiver.served(elsewhere)(CREW)
    assert not receiver.served(elsewhere)(SharedFilter("other", "jobs/+"))
    assert not other.served(elsewhere)(CREW)
    assert not receiver.served({})(CREW)
