"""Threads that work for event loops: one bounded queue, and one wake-up per batch and loop.

Waking a loop costs more than a small statement, and so does a thread changing hands; both are paid once per batch.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Protocol, TypeVar, cast

from fleetgate.database.port import Tx
from fleetgate.errors import Unavailable

T = TypeVar("T")
Work = Callable[[Tx], Any]


@dataclass(slots=True, eq=False)
class Job:
    """A function on its way to a transaction, and what came of it."""

    work: Work
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    value: Any = None
    error: BaseException | None = None

    def succeed(self, value: Any) -> None:
        self.value, self.error = value, None

    def fail(self, error: BaseException) -> None:
        if isinstance(error, StopIteration):  # a future refuses it, and the caller would wait for ever
            error = RuntimeError(f"the function raised {error!r}")
        self.value, self.error = None, error

    def tell(self) -> None:
        """Hand the outcome to whoever waits. Only on the loop's own thread."""
        if self.future.done():
            return
        if self.error is None:
            self.future.set_result(self.value)
        else:
            self.future.set_exception(self.error)


class Session(Protocol):
    """What one thread works with: a connection of its own."""

    def serve(self, jobs: Sequence[Job]) -> None:
        """Let every job succeed or fail."""

    def close(self) -> None: ...


class Workers:
    """One thread for each of *sessions*, all fed from one queue, each taking up to *batch* jobs at a time.

    Nobody waits for company: a thread that is free takes what is there, be it one job.
    """

    def __init__(self, name: str, sessions: Sequence[Session], *, batch: int, limit: int) -> None:
        self._name = name
        self._batch = batch
        self._limit = limit
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._gate = threading.Lock()
        self._closed = False
        self._threads = [threading.Thread(target=self._live, args=(s,), name=name, daemon=True) for s in sessions]
        for thread in self._threads:
            thread.start()

    async def call(self, work: Callable[[Tx], T]) -> T:
        """What *work* returns or raises. Raises Unavailable when the queue is full or the workers have gone home."""
        loop = asyncio.get_running_loop()
        job = Job(work, loop, loop.create_future())
        with self._gate:  # nothing may enter the queue behind the end marks
            if self._closed:
                raise closed()
            if self._queue.qsize() >= self._limit:
                raise Unavailable(f"{self._limit} calls wait for the {self._name} already; try again in a moment.")
            self._queue.put(job)
        return cast("T", await job.future)

    async def close(self) -> None:
        """Serve what is queued, refuse what comes after, and wait for the threads to end."""
        with self._gate:
            if not self._closed:
                self._closed = True
                for _ in self._threads:
                    self._queue.put(None)
        await asyncio.to_thread(self._join)

    def _join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _live(self, session: Session) -> None:
        while jobs := self._take():
            waiting = [job for job in jobs if not job.future.cancelled()]
            try:
                session.serve(waiting)
            except BaseException as error:  # noqa: BLE001 # the thread must outlive every error, or all would hang
                for job in waiting:
                    job.fail(error)
            hand_back(waiting)
            del jobs, waiting  # results are the callers' now; an idle thread keeps nothing alive
        session.close()

    def _take(self) -> list[Job]:
        """At least one job, or none at all when the end has come."""
        jobs: list[Job] = []
        job = self._queue.get()
        while job is not None:
            jobs.append(job)
            if len(jobs) == self._batch:
                return jobs
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                return jobs
        if jobs:
            self._queue.put(None)  # first these, then the end
        return jobs


def closed() -> Unavailable:
    """What every call gets after the end."""
    return Unavailable("The database is closed, because the server is shutting down.")


def hand_back(jobs: Sequence[Job]) -> None:
    """Let every loop tell its callers; from whatever thread."""
    for loop, done in groupby(jobs, key=lambda job: job.loop):
        with contextlib.suppress(RuntimeError):  # the loop has closed, and whoever waited is gone with it
            loop.call_soon_threadsafe(_tell, list(done))


def _tell(jobs: Sequence[Job]) -> None:
    for job in jobs:
        job.tell()
