"""Warnings that a stranger can cause as often as he likes: uvicorn says one for each malformed request."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

MOST_A_MINUTE: Final = 10
_MINUTE: Final = 60.0


class Seldom(logging.Filter):
    """Lets so many warnings a minute pass and counts the rest; the first of a later minute says how many they were.

    Errors pass all.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._began = clock()
        self._told = self._kept = 0

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno > logging.WARNING:
            return True
        now = self._clock()
        if now - self._began >= _MINUTE:
            if self._kept:
                record.msg, record.args = f"{record.getMessage()} ({self._kept} more before that were not logged)", ()
            self._began, self._told, self._kept = now, 0, 0
        if self._told < MOST_A_MINUTE:
            self._told += 1
            return True
        self._kept += 1
        return False


ABOUT_REQUESTS: Final = Seldom()
"""The one of this process, for uvicorn's logger."""
