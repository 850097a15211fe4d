"""Sessions and retained messages on the disk: written behind the switchboards, in their order, many in one commit.

What a client is told waits for it where it has to (`mark`, `since`); a change that nobody waits for is written all the
same. When the database is away, the changes wait, and whoever waits for them is told so.
"""

from __future__ import annotations

import asyncio
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

import structlog

from fleetgate.database.port import Database, Tx
from fleetgate.errors import FleetgateError, Unavailable
from fleetgate.names import Realm
from fleetgate.registry import retained, sessions
from fleetgate.wire.mqtt import journal
from fleetgate.wire.mqtt.decoding import decode, split
from fleetgate.wire.mqtt.encoding import encode
from fleetgate.wire.mqtt.journal import Change
from fleetgate.wire.mqtt.packets import V5, Publish, QoS, Subscription
from fleetgate.wire.mqtt.switchboard import Switchboard

log = structlog.get_logger(__name__)

_RETRY_SECONDS: Final = 1.0
# Of one transaction, so that others get their turn.
_MOST_AT_ONCE: Final = 2_000
_LARGEST: Final = 2**28

_Entry = tuple[Realm, Change]


class Recorder:
    def __init__(self, database: Database, clock: Callable[[], int], now: Callable[[], int], node: str = "") -> None:
        """*clock* gives milliseconds UTC, for what is written; *now* those that the switchboards go by. *node* is who
        keeps the sessions, where several do.
        """
        self._database, self._clock, self._now, self._node = database, clock, now, node
        self._waiting: list[_Entry] = []
        self._added = 0
        self._forgotten = 0  # how often
        self._next: asyncio.Future[None] | None = None  # when all that waits now is written
        self._writing: asyncio.Task[None] | None = None
        self._orphans: list[tuple[Realm, str]] = []  # sessions that are to be kept here, and are not here yet

    def add(self, realm: Realm, change: Change) -> None:
        self._waiting.append((realm, change))
        self._added += 1
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write())

    def mark(self) -> int:
        """To be given to `since` later."""
        return self._added

    def since(self, mark: int) -> asyncio.Future[None] | None:
        """Done when all that was added since then is on the disk; None where nothing was. Raises Unavailable."""
        if self._added == mark:
            return None
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        return self._next

    async def finish(self, seconds: float) -> None:
        """Before the house closes: wait until all is written, but not for ever."""
        if self._writing is not None:
            _, late = await asyncio.wait([self._writing], timeout=seconds)
            if late:
                log.warning("closed with changes of sessions not written", count=len(self._waiting))
                self._writing.cancel()

    async def forget(self) -> None:
        """Let go of what waits: all of it is to be emptied."""
        self._waiting.clear()
        self._forgotten += 1
        if self._writing is not None:
            await self._writing

    async def _write(self) -> None:
        """Runs while there is something to write."""
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:_MOST_AT_ONCE], self._waiting[_MOST_AT_ONCE:]
                written = None
                if not self._waiting:
                    written, self._next = self._next, None
                forgotten = self._forgotten
                failure = await self._write_down(batch)
                if failure is not None and forgotten == self._forgotten:
                    self._waiting = compact(batch + self._waiting)
                _settle(written, failure)
                if failure is not None:
                    _settle(self._next, failure)
                    self._next = None
                    await asyncio.sleep(_RETRY_SECONDS)
        finally:
            self._writing = None

    async def _write_down(self, batch: Sequence[_Entry]) -> FleetgateError | None:
        """Why it could not be written, for now."""
        try:
            await self._database.write(lambda tx: self._apply_all(tx, batch))
        except FleetgateError as error:
            log.warning("changes of sessions not written", reason=error.message, count=len(batch))
            return error
        except Exception:
            if len(batch) > 1:  # find the one that cannot be written, and go on without it
                for entry in batch:
                    if (failure := await self._write_down([entry])) is not None:
                        return failure
                return None
            log.exception("a change of a session is lost", change=type(batch[0][1]).__name__)
        return None

    def _apply_all(self, tx: Tx, batch: Sequence[_Entry]) -> None:
        for realm, change in batch:
            self._apply(tx, realm, change)

    def _apply(self, tx: Tx, realm: Realm, change: Change) -> None:
        match change:
            case journal.Queued(client_id, number, message, expires):
                sessions.enqueue(tx, realm, client_id, sessions.Message(number, pack(message), self._utc(expires)))
            case journal.Settled(client_id, number):
                sessions.settle(tx, realm, client_id, number)
            case journal.SessionKept():
                sessions.keep(tx, realm, _session(change, self._utc(change.left_at)), self._node)
            case journal.SessionEnded(client_id):
                sessions.end(tx, realm, client_id)
            case journal.Subscribed(client_id, subscription, identifier):
                sessions.subscribe(tx, realm, client_id, _subscription(subscription, identifier))
            case journal.Unsubscribed(client_id, topic_filter):
                sessions.unsubscribe(tx, realm, client_id, topic_filter)
            case journal.RetainedKept(message, came):
                came_at = came + self._clock() - self._now()
                retained.keep(tx, retained.Retained(realm, message.topic, pack(message), came_at))
            case journal.RetainedGone(topic):
                retained.drop(tx, realm, topic)

    def _utc(self, moment: int | None) -> int | None:
        return None if moment is None else moment + self._clock() - self._now()

    # -- when a server starts ----------------------------------------------------------------------------------------

    async def restore(self, switchboard: Callable[[Realm], Switchboard[Any]]) -> None:
        """Put everything that was written down back into the switchboards; what is over by now is let go."""
        kept, messages = await self._database.read(lambda tx: (sessions.stored(tx, self._node), retained.stored(tx)))
        now = self._now()
        ahead = self._clock() - now
        for each in kept:
            self._put_back(each, switchboard(each.realm))
        for one in messages:
            switchboard(one.realm).retained.restore(unpack(one.packet), one.came_at - ahead)
        for realm in {one.realm for one in messages}:
            switchboard(realm).retained.sweep(now)
        if kept or messages:
            log.info("sessions restored", sessions=len(kept), retained_messages=len(messages))

    def _put_back(self, kept: sessions.Stored, switchboard: Switchboard[Any]) -> bool:
        now = self._now()
        restored = switchboard.restore(*_changes(kept, self._clock() - now), now)
        if not restored and switchboard.session(kept.session.client_id) is None:
            self.add(kept.realm, journal.SessionEnded(kept.session.client_id))
        return restored

    # -- where several nodes serve -----------------------------------------------------------------------------------

    async def fetch(self, realm: Realm, client_id: str, switchboard: Switchboard[Any], *, goes_on: bool) -> str | None:
        """A client is about to connect here: its session is kept here from now on, or ends where it does not go on.
        The node that kept it, where there is one to go on with. Raises Unavailable.
        """
        kept = await self._database.glance(lambda tx: sessions.find(tx, realm, client_id))
        if kept is None or switchboard.session(client_id) is not None:
            return None
        if goes_on:
            return kept.node if self._put_back(kept, switchboard) else None
        self.add(realm, journal.SessionEnded(client_id))
        return None

    async def adopt(
        self, switchboard: Callable[[Realm], Switchboard[Any]], spared: Callable[[Realm, str], bool]
    ) -> AsyncIterator[tuple[Realm, str]]:
        """Keep the sessions of nodes that are dead: which those are, each at the moment when it is here. Those that are
        *spared* connect to another node right now, which keeps them. Raises Unavailable, and goes on where it stopped
        when it is called again.
        """
        now, node = self._clock(), self._node
        some = self._orphans or await self._database.glance(lambda tx: sessions.orphaned(tx, node, now))
        if some and not self._orphans:
            self._orphans += await self._database.write(lambda tx: sessions.adopt(tx, node, now, spared))
            log.info("sessions of dead nodes adopted", count=len(self._orphans))
        while self._orphans:
            realm, client_id = self._orphans[-1]
            find = partial(sessions.find, realm=realm, client_id=client_id)
            kept, here = await self._database.glance(find), switchboard(realm)
            self._orphans.pop()
            if kept is None or kept.node != node or here.session(client_id) is not None or spared(realm, client_id):
                continue
            self._put_back(kept, here)
            yield realm, client_id

    async def kept_here(self) -> set[tuple[str, str]]:
        """(realm, client id) of the sessions that are written down as kept by this node. Raises Unavailable."""
        return await self._database.glance(lambda tx: sessions.kept_by(tx, self._node))


def _settle(waiting: asyncio.Future[None] | None, failure: FleetgateError | None) -> None:
    if waiting is None or waiting.done():
        return
    if failure is None:
        waiting.set_result(None)
    else:
        waiting.set_exception(Unavailable("What has to outlive the server cannot be written now."))
        waiting.exception()  # nobody may be waiting any more


def compact(entries: Sequence[_Entry]) -> list[_Entry]:
    """The same without messages that came and went meanwhile, so that what waits for a database has a bound."""
    gone = {(realm, each.client_id, each.number) for realm, each in entries if isinstance(each, journal.Settled)}
    pairs = {
        (realm, each.client_id, each.number)
        for realm, each in entries
        if isinstance(each, journal.Queued) and (realm, each.client_id, each.number) in gone
    }
    return [
        (realm, each)
        for realm, each in entries
        if not isinstance(each, journal.Queued | journal.Settled) or (realm, each.client_id, each.number) not in pairs
    ]


def pack(message: Publish) -> str:
    """As a row keeps it."""
    packet = replace(message, packet_id=1 if message.qos else None, duplicate=False)
    return b64encode(encode(packet, V5)).decode()


def unpack(packet: str) -> Publish:
    """The inverse of `pack`."""
    frame = split(bytearray(b64decode(packet)), _LARGEST)
    assert frame is not None
    message = decode(*frame, V5)
    assert isinstance(message, Publish)
    return replace(message, packet_id=None)


def _session(kept: journal.SessionKept, left_at: int | None) -> sessions.Session:
    return sessions.Session(kept.client_id, kept.version, kept.owner, kept.entitled, kept.longest, kept.expiry, left_at)


def _subscription(given: Subscription, identifier: int | None) -> sessions.Subscription:
    options = (given.no_local, given.retain_as_published, given.retain_handling)
    return sessions.Subscription(given.topic_filter, int(given.qos), *options, identifier)


def _changes(
    stored: sessions.Stored, ahead: int
) -> tuple[journal.SessionKept, list[journal.Subscribed], list[journal.Queued]]:
    """A stored session in the switchboard's words; its clock is *ahead* of theirs."""
    kept, client_id = stored.session, stored.session.client_id
    about = (kept.version, kept.owner, kept.entitled, kept.longest, kept.expiry)
    subscribed = [
        journal.Subscribed(
            client_id,
            Subscription(
                each.topic_filter, QoS(each.qos), each.no_local, each.retain_as_published, each.retain_handling
            ),
            each.identifier,
        )
        for each in stored.subscriptions
    ]
    queued = [
        journal.Queued(
            client_id, each.number, unpack(each.packet), None if each.expires_at is None else each.expires_at - ahead
        )
        for each in stored.messages
    ]
    left_at = None if kept.left_at is None else kept.left_at - ahead
    return journal.SessionKept(client_id, *about, left_at), subscribed, queued
