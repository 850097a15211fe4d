"""The in-process courier: one switchboard for each realm, and every live connection by its principal.

It hears of every change that somebody's rights may hang on and has the connections concerned judged anew, or sent away.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Protocol, cast

import structlog

from fleetgate.access import Principal
from fleetgate.broker import Connection
from fleetgate.gateway import eager
from fleetgate.gateway.departed import Departed
from fleetgate.gateway.observer import SERVER, Departure, Nobody, Observer, Origin, Visit
from fleetgate.gateway.recorder import Recorder
from fleetgate.names import Realm, certificate_of
from fleetgate.provisioning.just_in_time import registered_event
from fleetgate.registry import events, outbox
from fleetgate.registry.certificates import Status
from fleetgate.wire.mqtt.errors import Reason
from fleetgate.wire.mqtt.packets import Publish, QoS, Subscription
from fleetgate.wire.mqtt.rules import Rules
from fleetgate.wire.mqtt.switchboard import Sink, Switchboard
from fleetgate.wire.mqtt.topics import SharedFilter

log = structlog.get_logger(__name__)

# How often retained messages whose time is over are looked for.
_SWEEP_MILLISECONDS = 60_000


class Guest(Sink, Protocol):
    """A live connection, as the courier sees it."""

    realm: Realm
    actor: str
    """Its principal's: of one certificate, one authorizer's principal id, one operator."""

    @property
    def thing(self) -> str | None:
        """The thing it speaks for."""

    def holds(self, policy: str) -> bool:
        """Whether its rights rest on this policy."""

    def judge_anew(self) -> None:
        """Something its rights rest on has changed."""

    def dismiss(self, reason: Reason, message: str) -> None: ...

    def seen(self) -> Connection:
        """What is known of it."""

    def hand(self, message: Publish) -> Awaitable[bool] | None:
        """Deliver outside of every subscription; what is given back is true when it was acknowledged, false when it was
        not and the connection is over.
        """

    def tick(self, now: int) -> None:
        """Close if the peer has been silent for too long."""


@dataclass(frozen=True, slots=True)
class Summons:
    """A client that is let in: whoever else has a connection or session of it lets go."""

    realm: Realm
    client_id: str
    actor: str
    thing: str | None
    goes_on: bool
    """It wants its session, if there is one."""

    def plain(self) -> dict[str, Any]:
        return {**asdict(self), "realm": str(self.realm)}

    @classmethod
    def parse(cls, plain: Mapping[str, Any]) -> Summons:
        """The inverse of `plain`; what else is there does not matter. Raises KeyError, ValueError."""
        fields = {name: plain[name] for name in ("client_id", "actor", "thing", "goes_on")}
        return cls(realm=Realm.parse(plain["realm"]), **fields)

    def is_kept_from(self, holder: Guest) -> bool:
        """Whether this client id is, by its thing, the holder's and not the summoner's: a claim may connect as
        anything, but throws no device off.
        """
        return holder.actor != self.actor and holder.thing == self.client_id != self.thing


class Peers(Protocol):
    """The other nodes that serve the same fleet."""

    def pass_on(
        self, realm: Realm, message: Publish, origin: Origin
    ) -> tuple[Callable[[SharedFilter], bool] | None, Awaitable[None] | None]:
        """A message goes to all of them. Which shared subscriptions are served here, None for all of them; and what is
        to be awaited before the message is acknowledged.
        """

    async def summon(self, summons: Summons) -> bool:
        """False where the client may not have what another node has. Raises Unavailable."""

    def shares_changed(self) -> None: ...


class Courier:
    def __init__(
        self,
        rules: Rules,
        clock: Callable[[], int],
        recorder: Recorder | None = None,
        utc: Callable[[], int] | None = None,
    ) -> None:
        """*recorder* keeps what has to outlive the process; without one nothing does. *clock* gives the milliseconds
        that sessions go by, *utc* those of the calendar, if they are others.
        """
        self.rules = rules
        self._recorder = recorder
        shorter = min(rules.session_expiry_most, rules.session_expiry_unattached)
        self.passing = replace(rules, session_expiry_most=shorter)
        """The rules for a certificate that is not one device's own: its sessions do not last."""
        self._ahead = (utc or clock)() - clock()
        self._swept_at = clock()
        self._departed = Departed(utc or clock)
        self.observer: Observer = Nobody()
        """Told of what happens at the door."""
        self.peers: Peers | None = None
        """The other nodes, where there are any."""
        self.changes = 0
        """How often it has heard of changes: who looks something up meanwhile may have looked too early."""
        self.now = clock
        """Milliseconds that connections, sessions and keep-alives go by; no calendar."""
        self._switchboards: dict[Realm, Switchboard[Guest]] = {}
        self._guests: dict[tuple[Realm, str], set[Guest]] = defaultdict(set)
        self._answers: set[asyncio.Task[None]] = set()

    def switchboard(self, realm: Realm) -> Switchboard[Guest]:
        found = self._switchboards.get(realm)
        if found is None:

            def pass_on(will: Publish, client_id: str) -> None:
                self.publish(realm, will, Origin(client_id))

            record = None if self._recorder is None else partial(self._recorder.add, realm)
            found = self._switchboards[realm] = Switchboard(self.rules, pass_on, record)
            if self.peers is not None:
                found.subscribers.groups_changed = self.peers.shares_changed
        return found

    def publish(self, realm: Realm, message: Publish, origin: Origin = SERVER) -> Awaitable[None] | None:
        """Every message that was let in goes through here: to the subscribers, and to whoever observes. What is given
        back, if anything, is to be awaited before the message is acknowledged.
        """
        written = crossing = None
        if not message.topic.startswith("$aws/rules/"):
            serves = None
            if self.peers is not None:
                serves, crossing = self.peers.pass_on(realm, message, origin)
            mark = self.mark()
            self.switchboard(realm).publish(message, self.now(), origin.client_id, serves)
            written = self.written(mark)
        observed = self.observer.published(realm, message, origin)
        return _all(written, crossing, observed)

    # -- for the other nodes -----------------------------------------------------------------------------------------

    def receive(
        self, realm: Realm, message: Publish, client_id: str | None, serves: Callable[[SharedFilter], bool]
    ) -> Awaitable[None] | None:
        """A message that another node let in; to be awaited before it is acknowledged there."""
        mark = self.mark()
        self.switchboard(realm).publish(message, self.now(), client_id, serves)
        return self.written(mark)

    def may_displace(self, summons: Summons) -> bool:
        """Whether a client that is let in elsewhere may have what it would take from this node."""
        holder = self.switchboard(summons.realm).sink(summons.client_id)
        return holder is None or not summons.is_kept_from(holder)

    def release(self, realm: Realm, client_id: str, *, goes_on: bool) -> None:
        """Let go of a client, which is on another node now; its session, if that *goes_on*, is written down."""
        displaced = self.switchboard(realm).release(client_id, self.now(), goes_on=goes_on)
        if displaced is not None:
            displaced.dismiss(Reason.SESSION_TAKEN_OVER, "another connection came with this client id")

    def say_again(self, realm: Realm, client_id: str, message: Publish, publisher: str | None) -> None:
        """To a session that another node kept, which may not have had it: if it wants it."""
        self.switchboard(realm).publish_to(client_id, message, self.now(), publisher)

    def shared(self) -> list[tuple[str, str, str]]:
        """The shared subscriptions with members here: realm, share name, filter."""
        return [
            (str(realm), each.share_name, each.topic_filter)
            for realm, switchboard in self._switchboards.items()
            for each in switchboard.subscribers.shared
        ]

    def lasting(self) -> Iterator[tuple[Realm, str]]:
        """The sessions here that are written down: realm and client id."""
        for realm, switchboard in self._switchboards.items():
            for client_id in switchboard.recorded():
                yield realm, client_id

    # -- for those who speak HTTP (`fleetgate.broker`) ---------------------------------------------------------------

    def publish_as(self, realm: Realm, message: Publish, principal: Principal) -> Awaitable[None] | None:
        return self.publish(realm, message, Origin(None, principal))

    def can_retain(self, realm: Realm, topic: str) -> bool:
        return self.switchboard(realm).can_retain(topic)

    def retained(self, realm: Realm, topic: str) -> tuple[Publish, int] | None:
        kept = self.switchboard(realm).retained
        message, came = kept.get(topic, self.now()), kept.came(topic)
        return None if message is None or came is None else (message, came + self._ahead)

    def retained_topics(self, realm: Realm) -> Sequence[str]:
        return self.switchboard(realm).retained.topics()

    def connection(self, realm: Realm, client_id: str) -> Connection | None:
        switchboard = self.switchboard(realm)
        guest, session = switchboard.sink(client_id), switchboard.session(client_id)
        if guest is not None:
            return guest.seen()
        return self._departed.seen(realm, client_id, None if session is None else session.expiry)

    def subscriptions(self, realm: Realm, client_id: str) -> Sequence[Subscription] | None:
        session = self.switchboard(realm).session(client_id)
        return None if session is None else tuple(session.subscriptions.values())

    def end_connection(self, realm: Realm, client_id: str, *, clean: bool, send_will: bool) -> bool:
        switchboard = self.switchboard(realm)
        guest = switchboard.sink(client_id)
        if guest is None:
            return False
        switchboard.detach(client_id, guest, self.now(), send_will=send_will, keep_session=not clean)
        guest.dismiss(Reason.ADMINISTRATIVE_ACTION, "an operator ended the connection")
        return True

    def send(self, realm: Realm, client_id: str, message: Publish) -> Awaitable[bool] | bool:
        guest = self.switchboard(realm).sink(client_id)
        if guest is None or not guest.may_receive(message.topic):
            return False
        return guest.hand(message) or True

    def left(self, visit: Visit, why: Departure) -> None:
        """A connection that was let in is over."""
        self._departed.add(visit.realm, visit.client_id, why)
        self.observer.disconnected(visit, why)

    # -- what outlives the process -----------------------------------------------------------------------------------

    def mark(self) -> int:
        """Before something is asked of a switchboard: for `written`."""
        return 0 if self._recorder is None else self._recorder.mark()

    def written(self, mark: int) -> Awaitable[None] | None:
        """Done when what has changed since *mark* is on the disk; None where that was nothing. Raises Unavailable."""
        return None if self._recorder is None else self._recorder.since(mark)

    async def restore(self) -> None:
        """When a server starts: sessions and retained messages are as they were."""
        if self._recorder is not None:
            await self._recorder.restore(self.switchboard)

    def enter(self, guest: Guest) -> None:
        self._guests[guest.realm, guest.actor].add(guest)

    def leave(self, guest: Guest) -> None:
        """Also for a guest that never entered."""
        key = (guest.realm, guest.actor)
        self._guests[key].discard(guest)
        if not self._guests[key]:
            del self._guests[key]

    def begin(self, answer: Coroutine[Any, Any, None], *, at_once: bool = False) -> asyncio.Task[None] | None:
        """Run what a packet is answered with; `finish` waits for it, also when the connection is gone.

        *at_once*: None when it came to its end without having to wait for anything.
        """
        task = eager.start(answer) if at_once else asyncio.get_running_loop().create_task(answer)
        if task is None:
            return None
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)
        return task

    async def finish(self, seconds: float) -> None:
        """Before the doors close: wait for answers that are under way, but not for ever."""
        if self._answers:
            _, late = await asyncio.wait(tuple(self._answers), timeout=seconds)
            if late:
                log.warning("closed before everybody was answered", count=len(late))

    async def close(self, seconds: float) -> None:
        """After the doors have closed: what sessions are owed is written, but not for ever."""
        if self._recorder is not None:
            await self._recorder.finish(seconds)

    def guests(self) -> Iterable[Guest]:
        return [guest for some in self._guests.values() for guest in some]

    def tick(self) -> None:
        """Once a second: silent connections, delayed wills, ended sessions."""
        now = self.now()
        for guest in self.guests():
            guest.tick(now)
        for switchboard in self._switchboards.values():
            switchboard.due(now)
        if now - self._swept_at >= _SWEEP_MILLISECONDS:
            self._swept_at = now
            for switchboard in self._switchboards.values():
                switchboard.retained.sweep(now)

    def disconnect(self, realm: Realm, fingerprint: str, reason: Reason, message: str) -> None:
        """End every connection that came with this certificate."""
        self._send_away(self._with(realm, fingerprint), reason, message)

    def dismiss(self, reason: Reason, message: str) -> None:
        """Send everybody away."""
        self._send_away(self.guests(), reason, message)

    async def empty(self) -> None:
        """Send everybody away and forget every session and retained message (a dev server's reset)."""
        self.dismiss(Reason.ADMINISTRATIVE_ACTION, "the server was reset")
        self._switchboards.clear()
        self._departed.clear()
        if self._recorder is not None:
            await self._recorder.forget()
        self.observer.emptied()

    # -- events ------------------------------------------------------------------------------------------------------

    def consume(self, entries: Sequence[outbox.Entry]) -> None:
        """For `Dispatcher.add`."""
        self.changes += 1
        concerned: set[Guest] = set()
        for entry in entries:
            match entry.event:
                case events.CertificateStatusChanged(fingerprint, status):
                    if status != Status.ACTIVE:
                        self._retire(entry.realm, fingerprint, f"the certificate is {status} now")
                case events.CertificateDeleted(fingerprint):
                    self._retire(entry.realm, fingerprint, "the certificate was deleted")
                case events.IdentityWithdrawn(thing, fingerprints, retained):
                    self._withdraw(entry.realm, thing, fingerprints, retained)
                case event:
                    concerned.update(self._concerned(entry.realm, event))
        for guest in concerned:
            try:
                guest.judge_anew()
            except Exception:
                log.exception("connection not judged anew", realm=str(guest.realm), actor=guest.actor)
                self._send_away((guest,), Reason.UNSPECIFIED_ERROR, "")

    def announce(self, entries: Sequence[outbox.Entry]) -> None:
        """Say what devices may hear of. For `Dispatcher.add`; of several nodes, one."""
        for entry in entries:
            match entry.event:
                case events.CertificatePresented() as presented:
                    self._announce(entry.realm, *registered_event(entry, presented))
                case events.RotationAnnounced(topic, payload):
                    self._put_up(entry.realm, topic, payload)

    def give_up(self, entries: Sequence[outbox.Entry]) -> None:
        """Nobody could be told what these entries change: send away everybody whose rights may rest on it. Whoever
        comes again is judged. For `Dispatcher.add`, too.
        """
        self.changes += 1
        realms = {entry.realm for entry in entries}
        log.error("connections closed", reason="changes could not be told", realms=sorted(map(str, realms)))
        guests = [guest for guest in self.guests() if guest.realm in realms]
        self._send_away(guests, Reason.UNSPECIFIED_ERROR, "")

    def _send_away(self, guests: Iterable[Guest], reason: Reason, message: str) -> None:
        """All of them, also when one fails."""
        for guest in guests:
            try:
                guest.dismiss(reason, message)
            except Exception:
                log.exception("connection not closed", realm=str(guest.realm), actor=guest.actor)

    def _retire(self, realm: Realm, fingerprint: str, message: str) -> None:
        self.disconnect(realm, fingerprint, Reason.NOT_AUTHORIZED, message)

    def _announce(self, realm: Realm, topic: str, content: dict[str, Any]) -> None:
        """A message of the server's own, to whoever may have it and subscribed."""
        message = Publish(topic, json.dumps(content).encode(), QoS.AT_LEAST_ONCE)
        self.publish(realm, message)

    def _withdraw(self, realm: Realm, thing: str, fingerprints: Sequence[str], retained: bool) -> None:
        """Nothing is left for whoever comes under the same name: no session, and no message named after it."""
        switchboard = self.switchboard(realm)
        for fingerprint in fingerprints:
            switchboard.forget(f"cert/{fingerprint}")
            self._retire(realm, fingerprint, f"thing {thing} was withdrawn")
        if retained:
            switchboard.retained.forget(thing)

    def _put_up(self, realm: Realm, topic: str, payload: str) -> None:
        """A message of the server's own that waits for whoever comes later, too; empty, it is taken away."""
        self.publish(realm, Publish(topic, payload.encode(), QoS.AT_LEAST_ONCE, retain=True))

    def _concerned(self, realm: Realm, event: events.Event) -> Iterable[Guest]:
        match event:
            case events.ClaimChanged(claim, False):
                # It may be switched on again by now, and a connection that came since then is none to be ended.
                return self._with(realm, claim)
            case events.AttachmentChanged(_, target) if fingerprint := certificate_of(target):
                return self._with(realm, fingerprint)
            case events.PrincipalChanged(_, fingerprint):
                return self._with(realm, fingerprint)
            case events.PolicyChanged(policy):
                return [guest for guest in self._within(realm) if guest.holds(policy)]
            case events.ThingUpdated(thing) | events.ThingDeleted(thing) | events.GroupMembershipChanged(_, thing):
                return [guest for guest in self._within(realm) if guest.thing == thing]
            case events.AttachmentChanged() | events.ThingGroupDeleted():
                return [guest for guest in self._within(realm) if guest.thing is not None]
        return ()

    def _with(self, realm: Realm, fingerprint: str) -> Iterable[Guest]:
        return tuple(self._guests.get((realm, f"cert/{fingerprint}"), ()))

    def _within(self, realm: Realm) -> Iterable[Guest]:
        return [guest for (home, _), some in self._guests.items() if home == realm for guest in some]


def _all(*some: Awaitable[None] | None) -> Awaitable[None] | None:
    """One for all of them that are there. Nobody has to await it."""
    awaited = [each for each in some if each is not None]
    if len(awaited) < 2:
        return awaited[0] if awaited else None
    together = asyncio.gather(*awaited)
    together.add_done_callback(lambda done: done.cancelled() or done.exception())
    return cast("Awaitable[None]", together)
