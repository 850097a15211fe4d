from __future__ import annotations

import logging

import pytest

from fleetgate.gateway.seldom import MOST_A_MINUTE, Seldom


@pytest.fixture
def now() -> list[float]:
    return [100.0]


@pytest.fixture
def log(now: list[float]) -> logging.Logger:
    made = logging.Logger("test")  # noqa: LOG001 # one that no other test knows
    made.addFilter(Seldom(lambda: now[0]))
    return made


class Kept(logging.Handler):
    def __init__(self, log: logging.Logger) -> None:
        super().__init__()
        self.said: list[str] = []
        log.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


def test_a_flood_of_warnings_is_counted(log: logging.Logger, now: list[float]) -> None:
    kept = Kept(log)
    for number in range(1000):
        log.warning("Invalid HTTP request %s.", number)
    assert kept.said == [f"Invalid HTTP request {number}." for number in range(MOST_A_MINUTE)]
    now[0] += 59
    log.warning("unsaid")
    now[0] += 1
    log.warning("Invalid %s.", "again")
    assert kept.said[MOST_A_MINUTE:] == [f"Invalid again. ({1001 - MOST_A_MINUTE} more before that were not logged)"]
    now[0] += 60
    log.warning("Invalid.")
    assert kept.said[-1] == "Invalid."


def test_errors_are_all_said(log: logging.Logger) -> None:
    kept = Kept(log)
    for _ in range(3 * MOST_A_MINUTE):
        log.error("Exception in ASGI application")
    assert len(kept.said) == 3 * MOST_A_MINUTE
