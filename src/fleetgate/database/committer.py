"""One writing connection, and whose turn it is: functions run on their caller's event loop, commits on a thread.

A statement takes microseconds, and between two threads each one would pass Python's lock back and forth, which costs
more than the statement; waiting for the disk takes long and needs no lock. So a loop runs its functions itself, and the
thread commits. While it does, functions gather, and all that have gathered are the next batch.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeVar, cast

from fleetgate.database.batch import BATCH, Lost, Transaction, give_up, group_commit, run
from fleetgate.database.port import Tx
from fleetgate.database.workers import Job, closed, hand_back
from fleetgate.errors import Unavailable

T = TypeVar("T")
_Step = Callable[[Sequence[Job]], None]

_LOOK_SECONDS: Final = 1.0
# Where several came together, more are coming: a commit for each handful would cost more than this wait.
_GATHER_SECONDS: Final = 0.002


class PromptTransaction(Transaction, Protocol):
    def begin_now(self) -> bool:
        """`begin` without waiting. False when it cannot be had, which `begin` then waits for, or tells why."""

    def close(self) -> None: ...


class Committer:
    """Owns *transaction* and the thread that commits it."""

    def __init__(self, transaction: PromptTransaction, *, limit: int) -> None:
        self._transaction = transaction
        self._limit = limit
        self._gate = threading.Lock()
        self._waiting: deque[tuple[Job, bool]] = deque()
        self._taken = False  # somebody has the connection, or is about to
        self._offered: asyncio.AbstractEventLoop | None = None  # whose turn is on its way through the loop
        self._closed = False
        self._orders: queue.SimpleQueue[tuple[_Step, list[Job]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._live, name="writing thread", daemon=True)
        self._thread.start()

    async def call(self, work: Callable[[Tx], T], *, apart: bool = False) -> T:
        """What *work* returns or raises, once it is durable. *apart*: on the thread, because it may take long.

        Raises Unavailable when too many wait or the committer has gone home.
        """
        loop = asyncio.get_running_loop()
        job = Job(work, loop, loop.create_future())
        with self._gate:
            if self._closed:
                raise closed()
            if len(self._waiting) >= self._limit:
                raise Unavailable(f"{self._limit} calls wait for the writing thread already; try again in a moment.")
            self._waiting.append((job, apart))
            mine, self._taken = not self._taken, True
        if mine:
            self._offered = loop
            loop.call_soon(self._turn)  # not at once: what others ask for in this round of the loop shares the commit
        return cast("T", await job.future)

    async def close(self) -> None:
        """Serve what waits, refuse what comes after, and wait for the thread to end."""
        with self._gate:
            idle = not self._closed and not self._taken
            self._closed = True
        if idle:
            self._orders.put(None)
        await asyncio.to_thread(self._thread.join)

    # -- on an event loop --------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        """Run what waits and leave the commit to the thread."""
        self._offered = None
        jobs, apart = self._take()
        step = self._serve
        if jobs and not apart and self._transaction.begin_now():
            step = self._commit
            try:
                run(self._transaction, jobs)
            except Lost as lost:
                give_up(self._transaction, jobs, lost)
                step = self._pass_on
        self._orders.put((step, jobs))

    def _take(self) -> tuple[list[Job], bool]:
        """The next batch: functions of one kind, in the order of their calls, perhaps none."""
        jobs: list[Job] = []
        with self._gate:
            apart = bool(self._waiting) and self._waiting[0][1]
            while self._waiting and self._waiting[0][1] == apart and len(jobs) < BATCH:
                job, _ = self._waiting.popleft()
                if not job.future.cancelled():
                    jobs.append(job)
        return jobs, apart

    # -- on the thread -----------------------------------------------------------------------------------------------

    def _live(self) -> None:
        while (order := self._next()) is not None:
            step, jobs = order
            try:
                step(jobs)
            except BaseException as error:  # noqa: BLE001 # the thread must outlive every error, or all would hang
                for job in jobs:
                    job.fail(error)
                self._pass_on(jobs)
            del order, step, jobs  # results are the callers' now; an idle thread keeps nothing alive
        self._transaction.close()

    def _next(self) -> tuple[_Step, list[Job]] | None:
        while True:
            try:
                return self._orders.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                if self._offered is not None and self._offered.is_closed():  # before its turn came
                    return self._stand_in()

    def _stand_in(self) -> tuple[_Step, list[Job]]:
        self._offered = None
        return self._serve, self._take()[0]

    def _commit(self, jobs: Sequence[Job]) -> None:
        try:
            self._transaction.commit()
        except Lost as lost:
            give_up(self._transaction, jobs, lost)
        self._pass_on(jobs)

    def _serve(self, jobs: Sequence[Job]) -> None:
        """All of it here: functions that take long, and those that another process keeps waiting."""
        if jobs:
            group_commit(self._transaction, jobs)
        self._pass_on(jobs)

    def _pass_on(self, jobs: Sequence[Job]) -> None:
        """Tell those who have waited for this, and give the turn to whoever is next."""
        hand_back(jobs)
        with self._gate:
            if not self._waiting:
                self._taken = False
                if self._closed:
                    self._orders.put(None)
                return
            self._offered = loop = self._waiting[0][0].loop
        try:
            if len(jobs) > 1:
                loop.call_soon_threadsafe(loop.call_later, _GATHER_SECONDS, self._turn)
            else:
                loop.call_soon_threadsafe(self._turn)
        except RuntimeError:  # it has closed
            self._orders.put(self._stand_in())
