"""Who is connected, written down for fleet indexing (GetThingConnectivityData; `connectivity` in searches).

Only in realms that index connectivity. What changes is written in the background, many things in one transaction, the
last change of each; nobody waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final

import structlog

from fleetgate.errors import FleetgateError
from fleetgate.gateway.observer import Departure, Visit
from fleetgate.names import NO_ACCOUNT, Realm
from fleetgate.registry import connectivity, indexing, outbox
from fleetgate.registry.connectivity import Change, Connectivity
from fleetgate.registry.events import IndexingChanged
from fleetgate.runtime import Runtime
from fleetgate.wire.mqtt.packets import Connect

log = structlog.get_logger(__name__)

_SECONDS: Final = 0.2
"""Between a change and its writing, so that many go together."""
_RETRY_SECONDS: Final = 1.0
_MOST_AT_ONCE: Final = 500

_Key = tuple[Realm, str]


class ThingConnectivity:
    def __init__(self, runtime: Runtime, node: str | None = None) -> None:
        """*node* is this one's id among several that give signs of life."""
        self._runtime, self._shared = runtime, node is not None
        self._node = node or runtime.act(NO_ACCOUNT, "system").request_id
        self._realms: set[Realm] = set()
        self._present: dict[_Key, tuple[Visit, Connectivity]] = {}
        self._waiting: dict[_Key, Connectivity] = {}
        self._writing: asyncio.Task[None] | None = None

    async def load(self) -> None:
        """When a server starts: nobody is connected to those that did not end properly."""
        self._realms = await self._runtime.database.read(indexing.with_connectivity)
        await self.bury()

    async def bury(self) -> None:
        """Nobody is connected to servers that are dead. Raises Unavailable."""
        database, now = self._runtime.database, self._runtime.clock()
        for node in await database.read(partial(connectivity.left_behind, now=now)):
            while await database.write(partial(connectivity.end_of, node=node, now=now, reason="SERVER_ERROR")):
                pass

    def connected(self, visit: Visit, connect: Connect) -> None:
        if visit.thing is None:
            return
        state = Connectivity(
            thing_name=visit.thing,
            client_id=visit.client_id,
            connected=True,
            changed_at=self._runtime.clock(),
            keep_alive=connect.keep_alive,
            clean_session=connect.clean_start,
        )
        self._present[visit.realm, visit.thing] = visit, state
        self._add(visit.realm, state)

    def disconnected(self, visit: Visit, why: Departure) -> None:
        if visit.thing is None:
            return
        there = self._present.get((visit.realm, visit.thing))
        if there is None or there[0] is not visit:  # displaced: another connection speaks for the thing already
            return
        del self._present[visit.realm, visit.thing]
        if self._shared and why is Departure.DUPLICATE_CLIENTID:  # it is connected to another node, which says so
            return
        state = Connectivity(visit.thing, visit.client_id, False, self._runtime.clock(), str(why))
        self._add(visit.realm, state)

    def consume(self, entries: Sequence[outbox.Entry]) -> None:
        """Where connectivity is indexed from now on, all who are there are written down."""
        for entry in entries:
            if isinstance(entry.event, IndexingChanged):
                if entry.event.connectivity and entry.realm not in self._realms:
                    self._realms.add(entry.realm)
                    for (realm, _), (_, state) in list(self._present.items()):
                        self._add(realm, state)
                elif not entry.event.connectivity:
                    self._realms.discard(entry.realm)

    def forget(self) -> None:
        """A dev server was emptied."""
        self._realms.clear()
        self._waiting.clear()

    async def finish(self, seconds: float) -> None:
        """Before the house closes: write what waits, but not for ever."""
        if self._writing is not None:
            await asyncio.wait([self._writing], timeout=seconds)
            self._writing.cancel()

    def _add(self, realm: Realm, state: Connectivity) -> None:
        if realm not in self._realms:
            return
        self._waiting[realm, state.thing_name] = state
        if self._writing is None or self._writing.done():
            self._writing = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> None:
        """Runs while there is something to write."""
        await asyncio.sleep(_SECONDS)
        while self._waiting:
            batch = dict(list(self._waiting.items())[:_MOST_AT_ONCE])
            changes = [Change(realm, state) for (realm, _), state in batch.items()]
            try:
                await self._runtime.database.write(partial(connectivity.note, node=self._node, changes=changes))
            except FleetgateError as error:
                log.warning("connectivity of things not written", reason=error.message, count=len(changes))
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            for key, state in batch.items():
                if self._waiting.get(key) is state:
                    del self._waiting[key]
