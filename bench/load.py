"""Who asks: processes of their own, each with an event loop and some requests in flight at any time."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Final, Protocol, Self

import uvloop

PROCESSES: Final = max(1, len(os.sched_getaffinity(0)) - 1)
"""One core is the server's."""
_PATIENCE: Final = 120.0


class Scenario(Protocol):
    """One kind of request. `prepare` makes everything that can be made before the clock runs."""

    def prepare(self, count: int, prefix: str) -> None: ...

    async def perform(self, number: int) -> float:
        """Do it once; the seconds until the answer was there. Raises when it went wrong."""

    async def close(self) -> None: ...


@dataclass(slots=True)
class Tally:
    """What came of a load."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    """Seconds, of those that went well."""
    errors: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, parts: Sequence[Self]) -> Self:
        """Of loads that ran side by side."""
        return cls(
            max(part.seconds for part in parts),
            sorted(latency for part in parts for latency in part.latencies),
            [error for part in parts for error in part.errors],
        )


class Crowd:
    """Loading processes that wait for work. Started once, because starting one takes longer than a round."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._ends: list[Connection] = []
        self._processes = []
        for _ in range(PROCESSES):
            ours, theirs = context.Pipe()
            process = context.Process(target=_live, args=(theirs,), daemon=True)
            process.start()
            self._ends.append(ours)
            self._processes.append(process)

    def prepare(self, scenario: Scenario, count: int, in_flight: int, prefix: str) -> None:
        """Hand out *count* requests, *in_flight* at any time; *prefix* makes their names new ones."""
        share = count // PROCESSES
        for number, end in enumerate(self._ends):
            end.send((scenario, share, max(1, in_flight // PROCESSES), f"{prefix}-{number}"))
        self._answers()

    def start(self) -> None:
        """Send everything that was prepared."""
        for end in self._ends:
            end.send(None)

    def finish(self) -> Tally:
        """Wait until all of it is answered."""
        return Tally.of(self._answers())

    def _answers(self) -> list[Any]:
        answers = []
        for end in self._ends:
            if not end.poll(_PATIENCE):
                raise RuntimeError(f"A loading process said nothing for {_PATIENCE:.0f} s.")
            answer = end.recv()
            if isinstance(answer, Exception):
                raise answer
            answers.append(answer)
        return answers

    def close(self) -> None:
        for end in self._ends:
            end.close()
        for process in self._processes:
            process.join(_PATIENCE)


def _live(end: Connection) -> None:
    while True:
        try:
            scenario, count, in_flight, prefix = end.recv()
            scenario.prepare(count, prefix)
            end.send("ready")
            end.recv()
            end.send(uvloop.run(_run(scenario, count, in_flight)))
        except EOFError:
            return
        except Exception as error:  # noqa: BLE001 # the other side raises it
            end.send(RuntimeError(f"{type(error).__name__}: {error}"))


async def _run(scenario: Scenario, count: int, in_flight: int) -> Tally:
    tally, numbers = Tally(), iter(range(count))

    async def one_after_another() -> None:
        for number in numbers:
            try:
                tally.latencies.append(await scenario.perform(number))
            except Exception as error:  # noqa: BLE001 # counted, and the first ones are shown
                tally.errors.append(f"{type(error).__name__}: {error}")

    loop, going = asyncio.get_running_loop(), True

    def stay_awake() -> None:
        """Waking a process that sleeps on another core is charged to whoever sends to it, and costs several times what
        sending does. Real devices are not on the server's machine; so this process polls and never sleeps.
        """
        if going:
            loop.call_soon(stay_awake)

    stay_awake()
    began = time.perf_counter()
    await asyncio.gather(*(one_after_another() for _ in range(in_flight)))
    tally.seconds = time.perf_counter() - began
    going = False
    await scenario.close()
    return tally
