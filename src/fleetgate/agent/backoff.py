"""How long to wait before trying again, so that a fleet that failed together does not come back together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from fleetgate.agent.errors import AgentFailed, GaveUp

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential back-off with full jitter. Seconds."""

    attempts: int = 8
    """At most so many, the first one included."""
    first: float = 1.0
    """The longest wait after the first attempt; each later one may be twice as long."""
    longest: float = 60.0

    def wait(self, attempt: int, chance: float) -> float:
        """Seconds to wait after the *attempt*-th failure (from 1); *chance* is random in [0, 1)."""
        return chance * min(self.longest, self.first * 2.0 ** min(attempt - 1, 62))


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the flow takes from outside, so that a test can hand it in."""

    chance: Callable[[], float]
    """Random in [0, 1)."""
    clock: Callable[[], float]
    """Seconds, monotonic."""
    sleep: Callable[[float], Awaitable[None]]
    """Wait so many seconds."""
    say: Callable[[str], None] = lambda _: None
    """Told in one sentence what is being done; never a secret."""
    failed: Callable[[AgentFailed], None] = lambda _: None
    """Told of every attempt that failed."""


async def persist(attempt: Callable[[int], Awaitable[T]], backoff: Backoff, around: Surroundings) -> T:
    """What *attempt* (told its number, from 1) returns when it succeeds.

    An `AgentFailed` that is not retryable comes through at once; after the last attempt GaveUp is raised.
    """
    number = 1
    while True:
        try:
            return await attempt(number)
        except AgentFailed as failed:
            around.failed(failed)
            if not failed.retryable:
                raise
            if number >= backoff.attempts:
                raise GaveUp(number, failed) from failed
            pause = backoff.wait(number, around.chance())
            around.say(f"{failed.message} Attempt {number} of {backoff.attempts}; the next one in {pause:.1f} s.")
        await around.sleep(pause)
        number += 1
