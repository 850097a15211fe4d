"""Who wants what: the subscriptions of all sessions, shared and not, found by topic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar, cast

from fleetgate.wire.mqtt.packets import Publish, QoS, Subscription, Will
from fleetgate.wire.mqtt.properties import Properties
from fleetgate.wire.mqtt.rules import NEVER, Rules
from fleetgate.wire.mqtt.session import Session
from fleetgate.wire.mqtt.topics import FilterTree, SharedFilter


class Sink(Protocol):
    """One live connection, as the switchboard sees it."""

    def deliver(self, message: Publish, /) -> None:
        """Write this packet. It must not raise; it may call the switchboard."""

    def may_receive(self, topic: str, /) -> bool:
        """Whether the connection's policy lets it receive from this topic (AWS IoT: iot:Receive)."""


S = TypeVar("S", bound=Sink)


@dataclass(frozen=True, slots=True)
class Owner:
    """Who a session belongs to. The sessions that one owner leaves behind are counted; those of nobody are not."""

    name: str = ""
    entitled: bool = False
    """The client identifier is this owner's by right: another one that is not entitled to it begins a session anew."""
    longest: int = NEVER
    """Seconds that a session may outlive its connection, if the rules do not say less."""

    def yields_to(self, other: Owner) -> bool:
        return self.name == other.name or other.entitled or not self.entitled


NOBODY = Owner()


@dataclass(eq=False, slots=True)
class Client(Generic[S]):
    """A session with its connection, if it has one."""

    session: Session
    owner: Owner = NOBODY
    sink: S | None = None
    will: Will | None = None
    will_at: int | None = None
    expires_at: int | None = None
    recorded: bool = False  # it has been handed out as a `SessionKept`
    subscribers: dict[str, Subscriber[S]] = field(default_factory=dict)


@dataclass(eq=False, slots=True)
class Subscriber(Generic[S]):
    """One subscription of one client."""

    client: Client[S]
    subscription: Subscription
    identifier: int | None
    shared: SharedFilter | None

    def offer(self, message: Publish) -> Offer:
        wish = self.subscription
        identifiers = () if self.identifier is None else (self.identifier,)
        return Offer(min(message.qos, wish.qos), message.retain and wish.retain_as_published, identifiers)


@dataclass(eq=False, slots=True)
class Group(Generic[S]):
    """The members of one shared subscription, served in turn."""

    shared: SharedFilter
    members: list[Subscriber[S]] = field(default_factory=list)
    turn: int = 0

    def in_turn(self) -> list[Subscriber[S]]:
        """The connected ones from the next on, then those who are away."""
        at = self.turn % len(self.members)
        members = self.members[at:] + self.members[:at]
        return sorted(members, key=lambda one: one.client.sink is None)

    def served(self, member: Subscriber[S]) -> None:
        if member.client.sink is not None and member in self.members:
            self.turn = self.members.index(member) + 1


@dataclass(slots=True)
class Offer:
    """One client's copy of a message: the best of all its subscriptions that match (MQTT 5, 3.3.4)."""

    qos: int
    retain: bool
    identifiers: tuple[int, ...]

    @property
    def key(self) -> tuple[int, bool, tuple[int, ...]]:
        return self.qos, self.retain, self.identifiers

    def copy(self, message: Publish) -> Publish:
        if self.qos == message.qos and self.retain == message.retain and not self.identifiers:
            return message
        properties = message.properties
        if self.identifiers:
            properties = cast("Properties", {**properties, "subscription_identifier": self.identifiers})
        return Publish(message.topic, message.payload, QoS(self.qos), self.retain, properties=properties)


class Subscribers(Generic[S]):
    def __init__(self, rules: Rules) -> None:
        self.groups_changed: Callable[[], None] | None = None
        """Called when the first member of a shared subscription comes, or the last one goes."""
        parent = rules.hash_matches_parent
        self._tree: FilterTree[Subscriber[S]] = FilterTree(parent=parent)
        self._groups: dict[SharedFilter, Group[S]] = {}
        self._shared: FilterTree[Group[S]] = FilterTree(parent=parent)

    def add(self, subscriber: Subscriber[S]) -> None:
        subscriber.client.subscribers[subscriber.subscription.topic_filter] = subscriber
        if subscriber.shared is None:
            self._tree.add(subscriber.subscription.topic_filter, subscriber)
            return
        group = self._groups.get(subscriber.shared)
        if group is None:
            group = self._groups[subscriber.shared] = Group(subscriber.shared)
            self._shared.add(subscriber.shared.topic_filter, group)
            self._tell()
        group.members.append(subscriber)

    def remove(self, subscriber: Subscriber[S]) -> None:
        del subscriber.client.subscribers[subscriber.subscription.topic_filter]
        if subscriber.shared is None:
            self._tree.remove(subscriber.subscription.topic_filter, subscriber)
            return
        group = self._groups[subscriber.shared]
        group.members.remove(subscriber)
        if not group.members:
            del self._groups[subscriber.shared]
            self._shared.remove(subscriber.shared.topic_filter, group)
            self._tell()

    def _tell(self) -> None:
        if self.groups_changed is not None:
            self.groups_changed()

    @property
    def shared(self) -> list[SharedFilter]:
        """The shared subscriptions that have members."""
        return list(self._groups)

    def any_for(self, topic: str) -> bool:
        """Whether anybody subscribed to this topic."""
        return bool(self._tree.match(topic)) or bool(self.groups(topic))

    def groups(self, topic: str) -> list[Group[S]]:
        """The shared subscriptions that want this topic: each of them gives a message to one member."""
        return self._shared.match(topic) if self._shared else []

    def offers(self, message: Publish, publisher: str | None) -> dict[Client[S], Offer]:
        """One copy for each client whose own subscriptions match."""
        offers: dict[Client[S], Offer] = {}
        for subscriber in self._tree.match(message.topic):
            client, wish = subscriber.client, subscriber.subscription
            if wish.no_local and client.session.client_id == publisher:  # [MQTT-3.8.3-3]
                continue
            better = subscriber.offer(message)
            offer = offers.get(client)
            if offer is None:
                offers[client] = better
            else:
                offer.qos, offer.retain = max(offer.qos, better.qos), offer.retain or better.retain
                offer.identifiers += better.identifiers  # [MQTT-3.3.4-4]
        return offers
