from __future__ import annotations

from dataclasses import dataclass

import pytest

from fleetgate.errors import InvalidRequest
from fleetgate.registry import budgets
from fleetgate.registry.budgets import Rate


@dataclass(frozen=True)
class Some:
    title: str = "Some"
    enabled: bool = True
    maximum: int | None = None
    used: int = 0
    rate: Rate | None = None
    window_started: int = 0
    window_used: int = 0
    not_before: int | None = None
    not_after: int | None = None


@pytest.mark.parametrize(("count", "interval"), [(0, 1), (1, 0)])
def test_a_rate_is_positive(count: int, interval: int) -> None:
    with pytest.raises(InvalidRequest):
        Rate(count, interval)


@pytest.mark.parametrize("bounds", [(0, None, None), (None, 5, 5), (None, 6, 5)])
def test_bounds_that_nothing_keeps_to(bounds: tuple[int | None, int | None, int | None]) -> None:
    with pytest.raises(InvalidRequest, match="A claim"):
        budgets.check("claim", *bounds)


def test_bounds_that_can_be_kept_to() -> None:
    budgets.check("claim", 1, None, None)
    budgets.check("claim", None, 4, 5)
    with pytest.raises(InvalidRequest):
        budgets.check("claim", 0, 4, 5)


@pytest.mark.parametrize(
    ("some", "left"),
    [(Some(), None), (Some(maximum=3, used=1), 2), (Some(maximum=3, used=3), 0), (Some("", True, 1, 9), 0)],
)
def test_what_remains(some: Some, left: int | None) -> None:
    assert budgets.remaining(some) == left
    assert (budgets.exhausted(some) is not None) == (left == 0)


@pytest.mark.parametrize(
    ("some", "now", "said"),
    [
        (Some(), 5, []),
        (Some(enabled=False), 5, ["Some is switched off."]),
        (Some(not_before=6), 5, ["Some does not hold yet."]),
        (Some(not_before=5, not_after=6), 5, []),
        (Some(not_after=5), 5, ["Some holds no longer."]),
        (Some(enabled=False, not_after=5), 5, ["Some is switched off.", "Some holds no longer."]),
    ],
)
def test_objections(some: Some, now: int, said: list[str]) -> None:
    assert list(budgets.objections(some, now)) == said


@pytest.mark.parametrize(
    ("window", "now", "after"),
    [((100, 1), 109, (100, 2)), ((100, 2), 109, None), ((100, 2), 110, (110, 1)), ((100, 2), 99, (99, 1))],
    ids=["room", "full", "over", "clock set back"],
)
def test_the_rate(window: tuple[int, int], now: int, after: tuple[int, int] | None) -> None:
    some = Some(rate=Rate(2, 10), window_started=window[0], window_used=window[1])
    if after is None:
        assert budgets.too_fast(some, now) == "Some is at its rate of 2 in 10 ms."
    else:
        assert budgets.too_fast(some, now) is None
        assert budgets.paced(some, now) == after


def test_without_a_rate_nothing_is_counted() -> None:
    some = Some(window_started=3, window_used=4)
    assert budgets.too_fast(some, 10) is None
    assert budgets.paced(some, 10) == (3, 4)
