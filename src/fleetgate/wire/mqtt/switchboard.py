"""The in-process router: who is connected, who wants what, and what happens when somebody leaves.

It writes nothing itself: messages go to the `Sink` of each connection, synchronously. Times are milliseconds, and the
caller's: it calls `due` when `next_due` says so.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, cast

from fleetgate.wire.mqtt import journal
from fleetgate.wire.mqtt.errors import ProtocolError, Reason
from fleetgate.wire.mqtt.packets import V5, Connect, Disconnect, Publish, QoS, Subscription, Will
from fleetgate.wire.mqtt.properties import NO_PROPERTIES, Properties
from fleetgate.wire.mqtt.retained import Retained
from fleetgate.wire.mqtt.rules import AWS, NEVER, Rules
from fleetgate.wire.mqtt.session import Session
from fleetgate.wire.mqtt.subscribers import NOBODY, Client, Group, Offer, Owner, S, Sink, Subscriber, Subscribers
from fleetgate.wire.mqtt.topics import SharedFilter, split_shared

__all__ = ["NOBODY", "Attached", "Granted", "Owner", "Sink", "Switchboard"]

# Answered to the connection that asked: no message is ever routed to these, and no subscription to them worth keeping.
_NEVER_ROUTED: Final = ("$aws/certificates/", "$aws/provisioning-templates/")


@dataclass(frozen=True, slots=True)
class Attached(Generic[S]):
    """What `attach` did. Write CONNACK with *session_present*, then the *backlog*, before anything else is run."""

    session: Session
    session_present: bool
    displaced: S | None
    """The connection that had this client identifier: say 0x8E to it and close it."""
    backlog: tuple[Publish, ...] = ()


@dataclass(frozen=True, slots=True)
class Granted:
    """The SUBACK's reason for one filter, and the retained messages to write after the SUBACK."""

    reason: Reason
    retained: tuple[Publish, ...] = ()


class Switchboard(Generic[S]):
    """Sessions, subscriptions, wills and retained messages of one server."""

    def __init__(
        self,
        rules: Rules = AWS,
        pass_on: Callable[[Publish, str], object] | None = None,
        record: journal.Record | None = None,
    ) -> None:
        """*pass_on* is given wills and their client identifiers, to publish them; `publish`, if it is not given.

        *record* is given every change that has to be written down for sessions and retained messages to outlive the
        process: of a session from its first subscription on.
        """
        self.rules = rules
        self._pass_on, self._record = pass_on, record
        self.retained = Retained(rules, record)
        self._clients: dict[str, Client[S]] = {}
        self._away: dict[str, dict[str, None]] = {}  # by owner: identifiers without a connection, in order of leaving
        self.subscribers: Subscribers[S] = Subscribers(rules)
        self._timers: list[tuple[int, str]] = []  # a heap; entries that no longer hold are skipped when they come up

    # -- coming and going --------------------------------------------------------------------------------------------

    def attach(self, connect: Connect, sink: S, now: int, owner: Owner = NOBODY) -> Attached[S]:
        """A client is admitted. *connect* carries its final client identifier (assigned, if it came empty).

        A connection under the same identifier is displaced [MQTT-3.1.4-3]; its will is sent, except a delayed one whose
        session goes on (MQTT 5, 3.1.3.2.2). A later `detach` of the displaced sink changes nothing.
        """
        old = self._clients.get(connect.client_id)
        goes_on = old is not None and old.owner.yields_to(owner) and self._goes_on(old, connect, now)
        displaced = None if old is None else old.sink
        if old is not None:
            self._leave_for_another(old, goes_on, now)
        # The will's publication runs foreign code, so look again.
        client = self._clients.get(connect.client_id) if goes_on else None
        present = client is not None
        if client is None:
            client = Client(Session(connect.client_id, connect.version, self.rules))
            self._clients[connect.client_id] = client
        self._is_back(client)
        client.owner, session = owner, client.session
        session.version, session.expiry = connect.version, min(self.rules.session_expiry(connect), owner.longest)
        client.sink, client.will, client.will_at, client.expires_at = sink, connect.will, None, None
        self._note(client)
        window = connect.properties.get("receive_maximum") if connect.version >= V5 else None
        backlog = self._permitted(client, session.resume(now, window), now)
        return Attached(session, present, displaced, backlog)

    def detach(
        self,
        client_id: str,
        sink: S,
        now: int,
        farewell: Disconnect | None = None,
        *,
        send_will: bool = True,
        keep_session: bool = True,
    ) -> bool:
        """A connection is over; *farewell* is the client's own DISCONNECT, if it sent one. False: it was displaced.

        The will is sent unless the client said DISCONNECT 0x00 [MQTT-3.1.2-8, MQTT-3.1.2-10]. *send_will* and
        *keep_session* are what an administrator who ends a connection may switch off.
        """
        client = self._clients.get(client_id)
        if client is None or client.sink is not sink:
            return False
        session, will, client.sink = client.session, client.will, None
        client.will = None
        session.pause()
        if farewell is not None:
            send_will = send_will and farewell.reason != Reason.NORMAL_DISCONNECTION
            if (expiry := farewell.properties.get("session_expiry_interval")) is not None:
                session.expiry = min(expiry, self.rules.session_expiry_most, client.owner.longest)
        delay = will.properties.get("will_delay_interval", 0) if will is not None else 0
        stays = keep_session and session.expiry > 0 and len(self._clients) <= self.rules.sessions
        if stays:
            client.expires_at = None if session.expiry == NEVER else now + session.expiry * 1000
            self._wake(client.expires_at, client_id)
            self._note(client, now)
            session.record_unacknowledged()
            self._away.setdefault(client.owner.name, {})[client_id] = None
        else:
            self._forget(client)
        if will is not None and send_will:
            if stays and delay:
                client.will, client.will_at = will, now + delay * 1000
                self._wake(client.will_at, client_id)
            else:
                self._publish_will(will, client_id, now)
        self._make_room(client.owner, now)
        return True

    def forget(self, owner: str) -> None:
        """End every session of the owner of this name; of those with a connection, too, whose will is not sent."""
        for client in [each for each in self._clients.values() if each.owner.name == owner]:
            client.will = None
            self._forget(client)

    def _make_room(self, owner: Owner, now: int) -> None:
        """End the sessions that this owner left first, while there are too many of them."""
        while owner.name and len(away := self._away.get(owner.name, {})) > self.rules.sessions_per_certificate:
            client = self._clients[next(iter(away))]
            will, client.will = client.will, None
            self._forget(client)
            if will is not None:
                self._publish_will(will, client.session.client_id, now)

    def _is_back(self, client: Client[S]) -> None:
        """It is connected, or no more: not among those away."""
        away = self._away.get(client.owner.name)
        if away is not None:
            away.pop(client.session.client_id, None)
            if not away:
                del self._away[client.owner.name]

    def due(self, now: int) -> None:
        """Send delayed wills and end sessions whose time has come."""
        while self._timers and self._timers[0][0] <= now:
            _, client_id = heapq.heappop(self._timers)
            client = self._clients.get(client_id)
            if client is None or client.sink is not None:
                continue
            expired = client.expires_at is not None and client.expires_at <= now
            will, at = client.will, client.will_at
            if expired:
                self._forget(client)
            if will is not None and at is not None and (expired or at <= now):
                client.will = client.will_at = None
                self._publish_will(will, client_id, now)

    def next_due(self) -> int | None:
        """When to call `due` next; None when nothing waits."""
        while self._timers and not self._holds(*self._timers[0]):
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def session(self, client_id: str) -> Session | None:
        client = self._clients.get(client_id)
        return None if client is None else client.session

    def sink(self, client_id: str) -> S | None:
        """The live connection under this identifier."""
        client = self._clients.get(client_id)
        return None if client is None else client.sink

    def _goes_on(self, old: Client[S], connect: Connect, now: int) -> bool:
        session = old.session
        if connect.clean_start or not session.expiry or (old.expires_at is not None and old.expires_at <= now):
            return False
        return self.rules.sessions_cross_versions or session.version == connect.version

    def release(self, client_id: str, now: int, *, goes_on: bool) -> S | None:
        """The client is connected to another node now, which takes its session over if that *goes_on*: nothing is left
        of it here. The connection that it had: say 0x8E to it and close it.
        """
        client = self._clients.get(client_id)
        if client is None:
            return None
        sink = client.sink
        if goes_on and client.recorded:
            client.session.pause()
            client.session.record_unacknowledged()
            self._note(client, now)  # the last that is recorded here: when it is written, all before it is
        self._leave_for_another(client, goes_on, now)
        if goes_on and self._clients.get(client_id) is client:
            client.recorded, client.session.record = False, None  # its record is the other node's
            self._forget(client)
        return sink

    def _leave_for_another(self, old: Client[S], goes_on: bool, now: int) -> None:
        will, at, live = old.will, old.will_at, old.sink is not None
        old.sink = old.will = old.will_at = None
        old.session.pause()
        if not goes_on:
            self._forget(old)
        if will is None:
            return
        delayed = will.properties.get("will_delay_interval", 0) > 0 if live else at is not None and now < at
        if not (goes_on and delayed):
            self._publish_will(will, old.session.client_id, now)

    def _forget(self, client: Client[S]) -> None:
        for subscriber in list(client.subscribers.values()):
            self.subscribers.remove(subscriber)
        client.session.subscriptions.clear()
        if client.recorded and self._record is not None:
            client.recorded, client.session.record = False, None
            self._record(journal.SessionEnded(client.session.client_id))
        if self._clients.get(client.session.client_id) is client:
            self._is_back(client)
            del self._clients[client.session.client_id]

    def _publish_will(self, will: Will, client_id: str, now: int) -> None:
        properties = {name: value for name, value in will.properties.items() if name != "will_delay_interval"}
        message = Publish(
            will.topic, will.payload, will.qos, will.retain, properties=cast("Properties", properties or NO_PROPERTIES)
        )
        if self._pass_on is None:
            self.publish(message, now, client_id)
        else:
            self._pass_on(message, client_id)

    def _wake(self, at: int | None, client_id: str) -> None:
        if at is None:
            return
        heapq.heappush(self._timers, (at, client_id))
        if len(self._timers) > 64 + 4 * len(self._clients):  # mostly entries of clients that came back
            self._timers = [entry for entry in set(self._timers) if self._holds(*entry)]
            heapq.heapify(self._timers)

    def _holds(self, at: int, client_id: str) -> bool:
        client = self._clients.get(client_id)
        return client is not None and client.sink is None and at in {client.will_at, client.expires_at}

    # -- what outlives the process -----------------------------------------------------------------------------------

    def _note(self, client: Client[S], left_at: int | None = None) -> None:
        """A session that is recorded has a connection now, or none since *left_at*."""
        if client.recorded and self._record is not None:
            session, owner = client.session, client.owner
            about = (session.client_id, session.version, owner.name, owner.entitled, owner.longest)
            self._record(journal.SessionKept(*about, session.expiry, left_at))

    def _note_subscribed(self, client: Client[S], subscription: Subscription, identifier: int | None) -> None:
        session, record = client.session, self._record
        if record is None or not (client.recorded or session.expiry):
            return
        if not client.recorded:
            if subscription.topic_filter.startswith(_NEVER_ROUTED):
                return
            client.recorded, session.record = True, record
            self._note(client)
            for other in client.subscribers.values():  # from before the session was worth recording
                record(journal.Subscribed(session.client_id, other.subscription, other.identifier))
        else:
            record(journal.Subscribed(session.client_id, subscription, identifier))

    def restore(
        self,
        kept: journal.SessionKept,
        subscribed: Iterable[journal.Subscribed],
        queued: Iterable[journal.Queued],
        now: int,
    ) -> bool:
        """Take a session in as it was recorded, without its connection. False: its time is over, or its id is taken.

        One that had a connection has none since *now*. Messages are in the order of their numbers.
        """
        left_at = now if kept.left_at is None else kept.left_at
        expires_at = None if kept.expiry == NEVER else left_at + kept.expiry * 1000
        if kept.client_id in self._clients or (expires_at is not None and expires_at <= now):
            return False
        session = Session(kept.client_id, kept.version, self.rules)
        session.expiry, session.record = kept.expiry, self._record
        owner = Owner(kept.owner, kept.entitled, kept.longest)
        client = self._clients[kept.client_id] = Client(session, owner, expires_at=expires_at, recorded=True)
        for each in subscribed:
            shared = split_shared(each.subscription.topic_filter)
            self.subscribers.add(Subscriber(client, each.subscription, each.identifier, shared))
            session.subscriptions[each.subscription.topic_filter] = each.subscription
        session.restore(queued)
        self._wake(expires_at, kept.client_id)
        self._away.setdefault(owner.name, {})[kept.client_id] = None
        if kept.left_at is None:
            self._note(client, now)
        return True

    # -- subscriptions -----------------------------------------------------------------------------------------------

    def subscribe(
        self, session: Session, subscription: Subscription, now: int, identifier: int | None = None
    ) -> Granted:
        """Add or replace [MQTT-3.8.4-3] one subscription. A refusal is a reason of 0x80 or above, nothing is raised."""
        client, topic_filter = self._clients.get(session.client_id), subscription.topic_filter
        if client is None or client.session is not session:
            return Granted(Reason.UNSPECIFIED_ERROR)
        try:
            shared = self.rules.check_filter(topic_filter)
        except ProtocolError as error:
            return Granted(error.reason)
        old = client.subscribers.get(topic_filter)
        if old is None and self.rules.subscriptions is not None and len(client.subscribers) >= self.rules.subscriptions:
            return Granted(Reason.QUOTA_EXCEEDED)
        if old is not None:
            self.subscribers.remove(old)
        granted = replace(subscription, qos=QoS(min(subscription.qos, self.rules.maximum_qos)))
        subscriber = Subscriber(client, granted, identifier, shared)
        self.subscribers.add(subscriber)
        session.subscriptions[topic_filter] = granted
        self._note_subscribed(client, granted, identifier)
        wants = shared is None and (granted.retain_handling == 0 or (granted.retain_handling == 1 and old is None))
        retained = self._retained_for(subscriber, now) if wants else ()
        return Granted(Reason(granted.qos), retained)

    def unsubscribe(self, session: Session, topic_filter: str) -> Reason:
        """The UNSUBACK's reason for one filter."""
        client = self._clients.get(session.client_id)
        subscriber = client.subscribers.get(topic_filter) if client is not None else None
        if subscriber is None or subscriber.client.session is not session:
            return Reason.NO_SUBSCRIPTION_EXISTED
        self.subscribers.remove(subscriber)
        session.subscriptions.pop(topic_filter, None)
        if session.record is not None:
            session.record(journal.Unsubscribed(session.client_id, topic_filter))
        return Reason.SUCCESS

    def _retained_for(self, subscriber: Subscriber[S], now: int) -> tuple[Publish, ...]:
        client, given = subscriber.client, []
        identifiers = () if subscriber.identifier is None else (subscriber.identifier,)
        for message in self.retained.select(subscriber.subscription.topic_filter, now):
            offer = Offer(min(message.qos, subscriber.subscription.qos), True, identifiers)  # 3.1.1: [MQTT-3.3.1-8]
            if client.sink is None or client.sink.may_receive(message.topic):
                ready = client.session.deliver(offer.copy(message), now)
                if ready is not None:
                    given.append(ready)
        return tuple(given)

    # -- messages ----------------------------------------------------------------------------------------------------

    def publish(
        self,
        message: Publish,
        now: int,
        publisher: str | None = None,
        serves: Callable[[SharedFilter], bool] | None = None,
    ) -> int:
        """Route a message to every session that wants it, one copy each; to how many it went or for how many it waits.

        *publisher* is the client identifier it came from, for no-local. With RETAIN it is kept, too, if
        `can_retain` says so. *serves* tells which shared subscriptions are served here; all, if it is not given.
        """
        message = self._forwarded(message)
        if message.retain:
            self.retained.keep(replace(message, qos=QoS(min(message.qos, self.rules.maximum_qos))), now)
        copies: dict[tuple[int, bool, tuple[int, ...]], Publish] = {}
        count = 0
        for client, offer in self.subscribers.offers(message, publisher).items():
            copy = copies.get(offer.key)
            if copy is None:
                copy = copies[offer.key] = offer.copy(message)
            count += self._hand(client, copy, now)
        for group in self.subscribers.groups(message.topic):
            if serves is None or serves(group.shared):
                count += self._hand_to_one(group, message, now)
        return count

    def wants(self, topic: str) -> bool:
        """Whether anybody has subscribed to what is on *topic*."""
        return self.subscribers.any_for(topic)

    def publish_to(self, client_id: str, message: Publish, now: int, publisher: str | None = None) -> bool:
        """Hand a message to one client alone, if a subscription of its own wants it."""
        client = self._clients.get(client_id)
        offer = None if client is None else self.subscribers.offers(message, publisher).get(client)
        return client is not None and offer is not None and self._hand(client, offer.copy(message), now)

    def recorded(self) -> list[str]:
        """The clients whose sessions are written down."""
        return [client_id for client_id, client in self._clients.items() if client.recorded]

    def deliver(self, client_id: str, message: Publish, now: int) -> bool:
        """Hand a message to one session, whatever it subscribed to (the answer to a request). False: not reached."""
        client = self._clients.get(client_id)
        if client is None:
            return False
        ready = client.session.deliver(message, now)
        if ready is not None and client.sink is not None:
            client.sink.deliver(ready)
        return ready is not None or message.qos > 0

    def acknowledged(self, session: Session, packet_id: int, now: int) -> None:
        """A PUBACK came (or the PUBLISH was too large to be sent): the next messages go out."""
        client = self._clients.get(session.client_id)
        ready = session.acknowledged(packet_id, now)
        if client is not None and client.session is session and client.sink is not None:
            for message in self._permitted(client, ready, now):
                client.sink.deliver(message)

    def can_retain(self, topic: str) -> bool:
        """Whether a retained message on this topic would be kept; if not, AWS IoT answers 0x97."""
        return self.retained.room(topic)

    def _forwarded(self, message: Publish) -> Publish:
        """The message as it is passed on: without what belongs to the publisher's connection alone."""
        properties = message.properties
        most = self.rules.message_expiry_most
        if properties and ("topic_alias" in properties or "subscription_identifier" in properties):
            kept = cast("dict[str, Any]", dict(properties))
            kept.pop("topic_alias", None)
            kept.pop("subscription_identifier", None)
            properties = cast("Properties", kept)
        if most is not None and properties.get("message_expiry_interval", 0) > most:
            properties = cast("Properties", {**properties, "message_expiry_interval": most})
        if properties is message.properties and message.packet_id is None and not message.duplicate:
            return message
        return Publish(message.topic, message.payload, message.qos, message.retain, properties=properties)

    def _hand(self, client: Client[S], copy: Publish, now: int) -> bool:
        sink = client.sink
        if sink is not None and not sink.may_receive(copy.topic):
            return False
        ready = client.session.deliver(copy, now)
        if ready is not None and sink is not None:
            sink.deliver(ready)
        return ready is not None or copy.qos > 0

    def _hand_to_one(self, group: Group[S], message: Publish, now: int) -> bool:
        """To the next connected member that may have it; else it waits for the first who is away (MQTT 5, 4.8.2)."""
        for member in group.in_turn():
            if self._hand(member.client, member.offer(message).copy(message), now):
                group.served(member)
                return True
        return False

    def _permitted(self, client: Client[S], ready: list[Publish], now: int) -> tuple[Publish, ...]:
        """Those of the messages due that the connection may receive; the others make room for their successors."""
        given: list[Publish] = []
        while ready:
            refused = []
            for message in ready:
                if client.sink is not None and not client.sink.may_receive(message.topic):
                    refused.append(message)
                else:
                    given.append(message)
            ready = []
            for message in refused:
                ready += client.session.acknowledged(cast("int", message.packet_id), now)
        return tuple(given)
