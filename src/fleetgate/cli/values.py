"""Options that are more than a text or a number."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import typer

from fleetgate.registry.budgets import Rate

_UNITS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION: Final = re.compile(r"([0-9]{0,9})(ms|s|m|h|d)")


def duration(text: str) -> int:
    """Milliseconds of `90s`, `1m`, `m` (one of it), `12h`, `30d`."""
    match = _DURATION.fullmatch(text)
    if match is None or match[1] == "0":
        raise typer.BadParameter(f"{text!r} is no duration such as 30s, 10m, 12h or 7d.")
    return int(match[1] or 1) * _UNITS[match[2]]


def rate(text: str) -> Rate:
    """`100/1m`: so many in each interval."""
    count, slash, interval = text.partition("/")
    if not slash or not count.isdecimal() or int(count) < 1:
        raise typer.BadParameter(f"{text!r} is no rate such as 100/1m, which is a hundred in each minute.")
    return Rate(int(count), duration(interval))


def moment(text: str) -> int:
    """Milliseconds UTC of `2026-01-31`, `2026-01-31T12:00Z` (UTC unless it says otherwise), or `30d` from now."""
    if _DURATION.fullmatch(text):
        return time.time_ns() // 1_000_000 + duration(text)
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no time such as 2026-01-31, 2026-01-31T12:00Z or 30d.") from None
    return int((read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp() * 1000)


def ago(text: str) -> int:
    """Milliseconds UTC: a duration before now, or a time as `moment` takes it."""
    if _DURATION.fullmatch(text):
        return time.time_ns() // 1_000_000 - duration(text)
    return moment(text)


def pair(text: str) -> tuple[str, str]:
    """`NAME=VALUE`"""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE.")
    return name, value


def serials(path: Path) -> tuple[str, ...]:
    """Serial numbers of a file, one in a line; empty lines and those that begin with # are skipped."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise typer.BadParameter(f"{path} is not a text file in UTF-8.") from None
    found = tuple(line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#"))
    if not found:
        raise typer.BadParameter(f"{path} holds no serial number.")
    return found
