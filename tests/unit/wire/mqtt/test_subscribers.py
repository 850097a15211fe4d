"""Who wants what, by itself."""

from __future__ import annotations

from fleetgate.wire.mqtt.packets import V5, Publish, QoS, Subscription
from fleetgate.wire.mqtt.rules import AWS, STANDARD, Rules
from fleetgate.wire.mqtt.session import Session
from fleetgate.wire.mqtt.subscribers import Client, Offer, Owner, Subscriber, Subscribers
from fleetgate.wire.mqtt.topics import split_shared

Q0, Q1 = QoS.AT_MOST_ONCE, QoS.AT_LEAST_ONCE


class Line:
    def deliver(self, message: Publish, /) -> None: ...

    def may_receive(self, topic: str, /) -> bool:
        return True


def client(name: str = "a", line: Line | None = None) -> Client[Line]:
    return Client(Session(name, V5, STANDARD), sink=line)


def add(
    known: Subscribers[Line], owner: Client[Line], wish: Subscription, identifier: int | None = None
) -> Subscriber[Line]:
    subscriber = Subscriber(owner, wish, identifier, split_shared(wish.topic_filter))
    known.add(subscriber)
    return subscriber


def test_one_copy_with_the_best_of_all_that_match() -> None:
    known: Subscribers[Line] = Subscribers(STANDARD)
    owner = client()
    add(known, owner, Subscription("t", Q1), 1)
    add(known, owner, Subscription("#", Q0, retain_as_published=True), 2)
    [(found, offer)] = known.offers(Publish("t", qos=Q1, retain=True), None).items()
    assert found is owner
    assert (offer.qos, offer.retain, sorted(offer.identifiers)) == (Q1, True, [1, 2])


def test_no_local_is_not_for_its_own_publisher() -> None:
    known: Subscribers[Line] = Subscribers(STANDARD)
    add(known, client(), Subscription("t", no_local=True))
    assert not known.offers(Publish("t"), "a")
    assert known.offers(Publish("t"), "b")


def test_a_removed_one_is_gone_with_its_group() -> None:
    known: Subscribers[Line] = Subscribers(STANDARD)
    owner = client()
    both = [add(known, owner, Subscription(each)) for each in ("t", "$share/g/t")]
    assert known.groups("t")
    for subscriber in both:
        known.remove(subscriber)
    assert not known.offers(Publish("t"), None)
    assert known.groups("t") == []
    assert owner.subscribers == {}


def test_a_group_serves_those_who_are_there_in_turn() -> None:
    known: Subscribers[Line] = Subscribers(STANDARD)
    for name, line in (("away", None), ("b", Line()), ("c", Line())):
        add(known, client(name, line), Subscription("$share/g/t", Q1))
    [group] = known.groups("t")
    order = []
    for _ in range(3):
        first = group.in_turn()[0]
        order.append(first.client.session.client_id)
        group.served(first)
    assert order == ["b", "c", "b"]
    assert group.in_turn()[-1].client.session.client_id == "away"


def test_the_parent_of_a_subtree() -> None:
    def found(rules: Rules) -> bool:
        known: Subscribers[Line] = Subscribers(rules)
        add(known, client(), Subscription("sensor/#"))
        return bool(known.offers(Publish("sensor"), None))

    assert (found(STANDARD), found(AWS)) == (True, False)


def test_a_copy_is_the_message_itself_where_nothing_differs() -> None:
    message = Publish("t", b"x", Q1)
    assert Offer(Q1, False, ()).copy(message) is message
    assert Offer(Q0, True, (3,)).copy(message) == Publish(
        "t", b"x", Q0, retain=True, properties={"subscription_identifier": (3,)}
    )


def test_whose_session_yields_to_whom() -> None:
    mine, thief = Owner("a", entitled=True), Owner("b")
    assert mine.yields_to(mine)
    assert not mine.yields_to(thief)
    assert thief.yields_to(mine)
