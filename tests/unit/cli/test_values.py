from __future__ import annotations

import time
from pathlib import Path

import pytest
import typer

from fleetgate.cli import values
from fleetgate.registry.budgets import Rate


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("30s", 30_000), ("m", 60_000), ("1m", 60_000), ("12h", 43_200_000), ("7d", 604_800_000), ("5ms", 5)],
)
def test_durations(text: str, milliseconds: int) -> None:
    assert values.duration(text) == milliseconds


@pytest.mark.parametrize("text", ["", "5", "0s", "-1s", "1 m", "1w", "1h30m"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="no duration"):
        values.duration(text)


def test_rates() -> None:
    assert values.rate("100/1m") == Rate(100, 60_000)
    assert values.rate("5/s") == Rate(5, 1000)


@pytest.mark.parametrize("text", ["100", "0/1m", "x/1m", "-1/1m", "100/", "/1m", "1/1/1m"])
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        values.rate(text)


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("2026-01-31", 1_769_817_600_000),
        ("2026-01-31T12:00", 1_769_860_800_000),
        ("2026-01-31T12:00Z", 1_769_860_800_000),
        ("2026-01-31T13:00+01:00", 1_769_860_800_000),
    ],
)
def test_moments_are_utc_unless_they_say_otherwise(text: str, milliseconds: int) -> None:
    assert values.moment(text) == milliseconds
    assert values.ago(text) == milliseconds


def test_a_duration_is_counted_from_now() -> None:
    before = time.time() * 1000
    assert before + 3_599_000 < values.moment("1h") < before + 3_700_000
    assert before - 3_601_000 < values.ago("1h") < before - 3_500_000


@pytest.mark.parametrize("text", ["", "tomorrow", "2026-13-01", "30"])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="no time"):
        values.moment(text)


def test_pairs() -> None:
    assert values.pair("a=b=c") == ("a", "b=c")
    assert values.pair("a=") == ("a", "")
    for text in ("a", "=b", ""):
        with pytest.raises(typer.BadParameter, match="NAME=VALUE"):
            values.pair(text)


def test_serials_are_the_lines_of_a_file_that_say_something(tmp_path: Path) -> None:
    file = tmp_path / "serials.txt"
    file.write_text("SN-1\n\n  # the second box\n SN-2 \nSN-1\n")
    assert values.serials(file) == ("SN-1", "SN-2", "SN-1")


def test_a_file_without_serials_is_a_mistake(tmp_path: Path) -> None:
    file = tmp_path / "serials.txt"
    file.write_text("# none yet\n")
    with pytest.raises(typer.BadParameter, match="no serial number"):
        values.serials(file)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(typer.BadParameter, match="UTF-8"):
        values.serials(file)
