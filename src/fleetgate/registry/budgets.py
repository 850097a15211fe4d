"""What a claim certificate and a batch of them are held to alike: a switch, a time, a count, a rate. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from fleetgate.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class Rate:
    """At most *count* devices in each *interval* (milliseconds), counted from the first of them."""

    count: int
    interval: int

    def __post_init__(self) -> None:
        if self.count < 1 or self.interval < 1:
            raise InvalidRequest("A rate has a count and an interval of 1 at least.")


class Budgeted(Protocol):
    """Times in milliseconds UTC; None is no bound."""

    @property
    def title(self) -> str:
        """As the audit trail names it."""

    @property
    def enabled(self) -> bool: ...
    @property
    def maximum(self) -> int | None: ...
    @property
    def used(self) -> int: ...
    @property
    def rate(self) -> Rate | None: ...
    @property
    def window_started(self) -> int: ...
    @property
    def window_used(self) -> int: ...
    @property
    def not_before(self) -> int | None: ...
    @property
    def not_after(self) -> int | None: ...


def check(whose: str, maximum: int | None, not_before: int | None, not_after: int | None) -> None:
    """Raises InvalidRequest for bounds that nothing could keep to."""
    if maximum is not None and maximum < 1:
        raise InvalidRequest(f"A {whose} provisions one device at least; leave the maximum out for no bound.")
    if not_before is not None and not_after is not None and not_after <= not_before:
        raise InvalidRequest(f"A {whose} ends after it begins: {_day(not_after)} is not after {_day(not_before)}.")


def _day(milliseconds: int) -> str:
    """`2026-01-31T12:00:00Z`"""
    return f"{datetime.fromtimestamp(milliseconds // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def remaining(budget: Budgeted) -> int | None:
    """How many devices more; None without a bound."""
    return None if budget.maximum is None else max(0, budget.maximum - budget.used)


def objections(budget: Budgeted, now: int) -> Iterator[str]:
    """What is against another device at all, whatever is left to count."""
    if not budget.enabled:
        yield f"{budget.title} is switched off."
    if budget.not_before is not None and now < budget.not_before:
        yield f"{budget.title} does not hold yet."
    if budget.not_after is not None and now >= budget.not_after:
        yield f"{budget.title} holds no longer."


def exhausted(budget: Budgeted) -> str | None:
    """Why no new device fits; None where one does."""
    if remaining(budget) == 0:
        return f"{budget.title} has provisioned all {budget.maximum} devices of its budget."
    return None


def too_fast(budget: Budgeted, now: int) -> str | None:
    """Why one more device now is too many; None where it is not."""
    if budget.rate is None or _window_is_over(budget, now) or budget.window_used < budget.rate.count:
        return None
    return f"{budget.title} is at its rate of {budget.rate.count} in {budget.rate.interval} ms."


def paced(budget: Budgeted, now: int) -> tuple[int, int]:
    """Beginning and count of the rate's window with one more device."""
    if budget.rate is None:
        return budget.window_started, budget.window_used
    return (now, 1) if _window_is_over(budget, now) else (budget.window_started, budget.window_used + 1)


def _window_is_over(budget: Budgeted, now: int) -> bool:
    """Also where the clock was set back."""
    return budget.rate is not None and not 0 <= now - budget.window_started < budget.rate.interval
