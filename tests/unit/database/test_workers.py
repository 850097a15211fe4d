"""`Workers` with a session that needs no database: it hands each function a `Tx` that nobody touches."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from fleetgate.database.port import Tx
from fleetgate.database.workers import Job, Workers
from fleetgate.errors import Unavailable

NO_TX = cast("Tx", None)


class Plain:
    """Runs what it is given and remembers the sizes of its batches."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.closed = False

    def serve(self, jobs: Sequence[Job]) -> None:
        self.batches.append(len(jobs))
        for job in jobs:
            try:
                job.succeed(job.work(NO_TX))
            except Exception as error:  # noqa: BLE001 # it belongs to the caller
                job.fail(error)

    def close(self) -> None:
        self.closed = True


def waits(event: threading.Event, started: threading.Event) -> Callable[[Tx], None]:
    def work(_: Tx) -> None:
        started.set()
        assert event.wait(30)

    return work


async def held(workers: Workers) -> tuple[threading.Event, asyncio.Task[None]]:
    """Hold the thread until the event is set."""
    go, started = threading.Event(), threading.Event()
    task = asyncio.create_task(workers.call(waits(go, started)))
    assert await asyncio.to_thread(started.wait, 30)
    return go, task


async def test_what_waits_together_is_served_together_up_to_the_bound() -> None:
    session = Plain()
    workers = Workers("test", [session], batch=4, limit=100)
    go, task = await held(workers)
    tasks = [asyncio.create_task(workers.call(lambda _, n=n: n)) for n in range(10)]  # type: ignore[misc]
    await asyncio.sleep(0)
    go.set()

    assert await asyncio.gather(*tasks) == list(range(10))
    await task
    assert session.batches == [1, 4, 4, 2]
    await workers.close()
    assert session.closed


async def test_a_batch_wakes_its_loop_once() -> None:
    workers = Workers("test", [Plain()], batch=64, limit=100)
    go, task = await held(workers)
    tasks = [asyncio.create_task(workers.call(lambda _: None)) for _ in range(50)]
    await asyncio.sleep(0)
    loop, wakes = asyncio.get_running_loop(), 0
    original = loop.call_soon_threadsafe

    def counted(*arguments: Any, **keywords: Any) -> Any:
        nonlocal wakes
        wakes += 1
        return original(*arguments, **keywords)

    loop.call_soon_threadsafe = counted  # type: ignore[method-assign,assignment] # to count, not to change
    go.set()
    await asyncio.gather(task, *tasks)
    loop.call_soon_threadsafe = original  # type: ignore[method-assign]
    assert wakes == 2, "one for the call that held the thread, one for the fifty"
    await workers.close()


async def test_a_session_that_breaks_fails_its_callers_and_goes_on() -> None:
    class Broken(Plain):
        def serve(self, jobs: Sequence[Job]) -> None:
            if not self.batches:
                self.batches.append(len(jobs))
                raise MemoryError("broken")
            super().serve(jobs)

    workers = Workers("test", [Broken()], batch=4, limit=100)
    with pytest.raises(MemoryError, match="broken"):
        await workers.call(lambda _: 1)
    assert await workers.call(lambda _: 2) == 2
    await workers.close()


async def test_a_call_that_was_cancelled_while_it_waited_is_not_run() -> None:
    ran: list[str] = []
    workers = Workers("test", [Plain()], batch=4, limit=100)
    go, task = await held(workers)
    left = asyncio.create_task(workers.call(lambda _: ran.append("left")))
    stayed = asyncio.create_task(workers.call(lambda _: ran.append("stayed")))
    await asyncio.sleep(0)
    left.cancel()
    await asyncio.sleep(0)
    go.set()
    await asyncio.gather(task, stayed)
    assert ran == ["stayed"]
    await workers.close()


async def test_a_call_that_is_cancelled_while_it_runs_disturbs_nobody() -> None:
    workers = Workers("test", [Plain()], batch=4, limit=100)
    go, task = await held(workers)
    task.cancel()
    await asyncio.sleep(0)
    go.set()
    assert await workers.call(lambda _: "next") == "next"
    assert task.cancelled()
    await workers.close()


async def test_a_full_queue_and_a_closed_one_refuse() -> None:
    workers = Workers("writing thread", [Plain()], batch=4, limit=2)
    go, task = await held(workers)
    tasks = [asyncio.create_task(workers.call(lambda _: None)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="2 calls wait for the writing thread already"):
        await workers.call(lambda _: None)
    go.set()
    await asyncio.gather(task, *tasks)
    await workers.close()
    with pytest.raises(Unavailable, match="closed"):
        await workers.call(lambda _: None)
    await workers.close()


async def test_closing_ends_every_thread_after_what_was_queued() -> None:
    sessions = [Plain() for _ in range(3)]
    workers = Workers("test", sessions, batch=1, limit=100)
    tasks = [asyncio.create_task(workers.call(lambda _, n=n: n)) for n in range(20)]  # type: ignore[misc]
    await asyncio.sleep(0)
    await workers.close()
    assert await asyncio.gather(*tasks) == list(range(20))
    assert all(session.closed for session in sessions)
    assert sum(sum(session.batches) for session in sessions) == 20
