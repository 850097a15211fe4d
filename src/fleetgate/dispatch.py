"""After the commit: one task reads new outbox rows and hands them to whoever cares, at least once.

A row leaves the outbox only when every consumer has had it, so a crash in between means that it is handed out again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

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


class Dispatcher:
    """`stir` after a commit; `run` until cancelled."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._consumers: list[tuple[Consumer, Consumer | None]] = []
        self._stirred = asyncio.Event()
        self._stirred.set()  # a crash may have left rows behind

    def add(self, consumer: Consumer, give_up: Consumer | None = None) -> None:
        """*consumer* is called with entries in order and must not block. What it raises is logged, and it is told
        again, `MOST_TRIES` times in all; then *give_up* has the entries instead, to close
        what *consumer* could not guard.
        """
        self._consumers.append((consumer, give_up))

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
        entries = await self._database.glance(lambda tx: outbox.pending(tx, MOST_AT_ONCE))
        if entries:
            for consumer, give_up in self._consumers:
                told = any(self._tell(consumer, entries) for _ in range(MOST_TRIES))
                if not told and give_up is not None:
                    self._tell(give_up, entries)
            ids = [entry.id for entry in entries]
            await self._database.write(lambda tx: outbox.delivered(tx, ids))
        return len(entries)

    def _tell(self, consumer: Consumer, entries: Sequence[outbox.Entry]) -> bool:
        try:
            consumer(entries)
        except Exception:
            log.exception("event consumer failed", consumer=repr(consumer))
            return False
        return True
