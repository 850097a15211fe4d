"""After the commit: one task reads new outbox rows and hands them to whoever cares, at least once.

A row leaves the outbox only when every consumer has had it, so a crash in between means that it is handed out again.

Where several nodes serve, one of them takes each event and tells those of its consumers that act on it for all; those
that look after a node's own connections are told on every node.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog

from fleetgate.database.port import Database
from fleetgate.errors import FleetgateError
from fleetgate.registry import outbox

log = structlog.get_logger(__name__)

Consumer = Callable[[Sequence[outbox.Entry]], None]

MOST_TRIES = 3
"""How often a consumer that fails is told of the same entries."""

MOST_AT_ONCE = 500
# Commits that come in a burst share one look at the outbox; well inside the second that live connections are promised.
_GATHER_SECONDS = 0.05
_LOOK_SECONDS = 0.5
_RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Share:
    """One node among several."""

    node: str
    """Its id in the registry of nodes, where it gives signs of life."""
    clock: Callable[[], int]


@dataclass(frozen=True, slots=True)
class _Told:
    consumer: Consumer
    give_up: Consumer | None
    everywhere: bool


class Dispatcher:
    """`stir` after a commit; `run` until cancelled."""

    def __init__(self, database: Database, share: Share | None = None) -> None:
        self._database = database
        self._share = share
        self._mark: outbox.Mark | None = None
        self._taken: list[outbox.Entry] = []  # by this node, and nobody was told yet
        self._told: list[outbox.Entry] = []  # and that is not written down yet
        self._consumers: list[_Told] = []
        self._stirred = asyncio.Event()
        self._stirred.set()  # a crash may have left rows behind

    def add(self, consumer: Consumer, give_up: Consumer | None = None, *, everywhere: bool = False) -> None:
        """*consumer* is called with entries in order and must not block. What it raises is logged, and it is told
        again, `MOST_TRIES` times in all; then *give_up* has the entries instead, to close what *consumer* could not
        guard. *everywhere*: on every node, and not only on the one that took the entries.
        """
        self._consumers.append(_Told(consumer, give_up, everywhere))

    async def begin(self) -> None:
        """Before the doors open: what happens from now on is heard. Raises Unavailable."""
        if self._share is not None and self._mark is None:
            self._mark = await self._database.glance(outbox.last)

    def stir(self) -> None:
        self._stirred.set()

    async def run(self) -> None:
        while True:
            # Other processes write too (the command line, other nodes), and nobody tells of their commits.
            with suppress(TimeoutError):
                # Not `wait_for`, which on Python 3.11 forgets a cancellation that comes together with the event.
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._stirred.wait()
            await asyncio.sleep(_GATHER_SECONDS)
            self._stirred.clear()
            try:
                while await self._hand_out() == MOST_AT_ONCE:
                    pass
            except FleetgateError as error:
                log.warning("outbox not read", reason=error.message)
                await asyncio.sleep(_RETRY_SECONDS)
                self._stirred.set()

    async def _hand_out(self) -> int:
        if self._share is not None:
            return await self._hand_out_shared(self._share)
        entries = await self._database.glance(lambda tx: outbox.pending(tx, MOST_AT_ONCE))
        if entries:
            self._tell_those(self._consumers, entries)
            await self._delivered(entries)
        return len(entries)

    async def _hand_out_shared(self, share: Share) -> int:
        await self.begin()
        mark = self._mark or outbox.Mark()
        if not self._taken:
            self._taken = await self._take(share)
        # With what this node took itself: it is behind the mark, too.
        heard, self._mark = await self._database.glance(lambda tx: outbox.taken_since(tx, mark, MOST_AT_ONCE))
        if heard:
            self._tell_those([each for each in self._consumers if each.everywhere], heard)
        taken, self._taken = self._taken, []
        if taken:
            self._tell_those([each for each in self._consumers if not each.everywhere], taken)
            self._told += taken
        if self._told:
            await self._delivered(self._told)
            self._told = []
        return max(len(heard), len(taken))

    async def _take(self, share: Share) -> list[outbox.Entry]:
        """They are nobody else's while this node lives, so none may be lost when the database fails afterwards."""
        if not await self._database.glance(lambda tx: outbox.untaken(tx, share.clock(), 1)):
            return []
        return await self._database.write(lambda tx: outbox.take(tx, share.node, share.clock(), MOST_AT_ONCE))

    async def _delivered(self, entries: Sequence[outbox.Entry]) -> None:
        ids = [entry.id for entry in entries]
        await self._database.write(lambda tx: outbox.delivered(tx, ids))

    def _tell_those(self, consumers: Sequence[_Told], entries: Sequence[outbox.Entry]) -> None:
        for each in consumers:
            told = any(self._tell(each.consumer, entries) for _ in range(MOST_TRIES))
            if not told and each.give_up is not None:
                self._tell(each.give_up, entries)

    def _tell(self, consumer: Consumer, entries: Sequence[outbox.Entry]) -> bool:
        try:
            consumer(entries)
        except Exception:
            log.exception("event consumer failed", consumer=repr(consumer))
            return False
        return True
