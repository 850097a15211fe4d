"""What an installation does by itself: write down refusals, seal the audit trail, sweep what nobody needs any more."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace

import structlog

from fleetgate.database.port import Database, Tx
from fleetgate.errors import FleetgateError
from fleetgate.names import NO_ACCOUNT
from fleetgate.registry import audit, certificates, outbox, temporary_credentials
from fleetgate.runtime import Refusal

log = structlog.get_logger(__name__)

# A flood of refusals may fill neither memory nor the database: what does not fit is counted and said in one entry.
MOST_WAITING = 10_000
MOST_AT_ONCE = 500
_SECONDS = 0.5
_SWEEP_MILLISECONDS = 5_000  # each takes a thousand expired tokens at most: 200 a second
EVENTS_KEPT = 7 * 86_400_000
"""How long events stay that were handed out, so that they can be handed out again. Milliseconds."""


MOST_A_MINUTE = 60
"""Refusals of one kind and source that are written down one by one within a minute; the rest are counted together. All
who are nobody's are one source: otherwise strangers could fill the disk."""
_MINUTE = 60_000


class Upkeep:
    """`run` until cancelled; `finish` writes what is still waiting."""

    def __init__(self, database: Database, clock: Callable[[], int]) -> None:
        self._database = database
        self._clock = clock
        self._refusals: deque[Refusal] = deque()
        self._dropped = 0
        self._swept_at = 0
        self._minute_began = clock()
        self._told: Counter[tuple[str, str]] = Counter()
        self._more: dict[tuple[str, str], Refusal] = {}

    def refused(self, refusal: Refusal) -> None:
        """Remember *refusal* for the audit trail."""
        source = "nobody" if refusal.act.realm == NO_ACCOUNT else f"{refusal.act.realm} {refusal.act.actor}"
        key = (source, refusal.action)
        self._told[key] += 1
        if self._told[key] > MOST_A_MINUTE:
            self._more[key] = refusal
        else:
            self._wait(refusal)

    def _wait(self, refusal: Refusal) -> None:
        if len(self._refusals) < MOST_WAITING:
            self._refusals.append(refusal)
        else:
            self._dropped += 1

    def _round_up(self) -> None:
        """One entry for all that were not written down one by one."""
        for key, last in self._more.items():
            count = self._told[key] - MOST_A_MINUTE
            self._wait(replace(last, reason=f"{count} more within a minute, this the last: {last.reason}"))
        self._told.clear()
        self._more.clear()
        self._minute_began = self._clock()

    async def run(self) -> None:
        while True:
            await asyncio.sleep(_SECONDS)
            try:
                await self._write()
                await self._sweep()
            except FleetgateError as error:
                log.warning("upkeep postponed", reason=error.message)

    async def finish(self) -> None:
        """Write every refusal and seal the audit trail to its end."""
        self._round_up()
        await self._write()

    async def _write(self) -> None:
        if abs(self._clock() - self._minute_began) >= _MINUTE:
            self._round_up()
        while self._refusals:
            batch = [self._refusals.popleft() for _ in range(min(MOST_AT_ONCE, len(self._refusals)))]
            try:
                await self._database.write(lambda tx, batch=batch: _write_down(tx, batch))  # type: ignore[misc]
            except FleetgateError:
                self._refusals.extendleft(reversed(batch))
                raise
        if self._dropped:
            log.warning("refusals not written down", count=self._dropped)
            self._dropped = 0
        while await self._database.glance(audit.unsealed):
            await self._database.write(lambda tx: audit.seal(tx, self._clock(), MOST_AT_ONCE))

    async def _sweep(self) -> None:
        now = self._clock()
        if 0 <= now - self._swept_at < _SWEEP_MILLISECONDS:  # not so where the clock was set back
            return
        self._swept_at = now
        if swept := await self._database.write(lambda tx: _forget(tx, now)):
            log.info("unprovisioned certificates swept", count=swept)
        while await self._database.write(lambda tx: outbox.prune(tx, now - EVENTS_KEPT, MOST_AT_ONCE)) == MOST_AT_ONCE:
            pass


def _forget(tx: Tx, now: int) -> int:
    """What has run out. How many certificates there were."""
    temporary_credentials.sweep(tx, now)
    return certificates.sweep(tx, now)


def _write_down(tx: Tx, refusals: list[Refusal]) -> None:
    for refusal in refusals:
        audit.add(tx, refusal.act, refusal.action, refusal.target, "refused", refusal.reason)
