from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.agent.cloud import Recorder

from fleetgate.agent.backoff import Backoff, persist
from fleetgate.agent.errors import AgentFailed, GaveUp, Rejected, TimedOut


@given(
    st.integers(1, 10_000),
    st.floats(0, 1, exclude_max=True),
    st.floats(0.001, 100),
    st.floats(0.001, 1000),
)
def test_a_wait_is_somewhere_up_to_a_bound_that_doubles(
    attempt: int, chance: float, first: float, longest: float
) -> None:
    backoff = Backoff(first=first, longest=longest)
    assert 0 <= backoff.wait(attempt, chance) <= min(longest, first * 2.0 ** min(attempt - 1, 1000))


def test_the_bounds() -> None:
    backoff = Backoff(first=1, longest=10)
    assert [backoff.wait(attempt, 1.0) for attempt in range(1, 7)] == [1, 2, 4, 8, 10, 10]
    assert backoff.wait(3, 0.25) == 1


class Attempts:
    """Fails as it is told, and then succeeds with its number."""

    def __init__(self, *failures: AgentFailed) -> None:
        self.failures = list(failures)

    async def __call__(self, number: int) -> int:
        if self.failures:
            raise self.failures.pop(0)
        return number


LATE = TimedOut("waiting", 1)


async def test_it_persists_until_it_works(recorder: Recorder) -> None:
    assert await persist(Attempts(LATE, LATE), Backoff(first=1, longest=10), recorder.around) == 3
    assert recorder.pauses == [0.5, 1]
    assert recorder.said[0] == f"{LATE.message} Attempt 1 of 8; the next one in 0.5 s."


async def test_it_gives_up_after_the_last_attempt(recorder: Recorder) -> None:
    with pytest.raises(GaveUp, match=r"after 3 attempts\. .*while waiting") as caught:
        await persist(Attempts(LATE, LATE, LATE), Backoff(attempts=3), recorder.around)
    assert caught.value.last is LATE
    assert caught.value.attempts == 3
    assert len(recorder.pauses) == 2, "nobody waits after the last"


async def test_what_repeating_does_not_cure_comes_through_at_once(recorder: Recorder) -> None:
    refused = Rejected("RegisterThing", 403, "AccessDenied", "no", "r-1")
    with pytest.raises(Rejected) as caught:
        await persist(Attempts(LATE, refused), Backoff(), recorder.around)
    assert caught.value is refused
    assert len(recorder.pauses) == 1
