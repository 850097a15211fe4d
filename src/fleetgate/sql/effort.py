"""What all statements together may do about one message: a statement is short, and can ask for hours of work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

MOST: Final = 16 * 1024 * 1024
"""Characters that functions and operators look at, about: a hundred times the longest payload."""
_OF_A_MEMBER: Final = 16
_OF_A_BYTE: Final = 8  # of the payload: an array or object in it may be all of it, however deep


class TooMuch(Exception):
    """The statement is given up for this message."""

    def __init__(self) -> None:
        super().__init__("the statement is too much work for this message")


@dataclass(slots=True)
class Effort:
    left: int = MOST

    def spend(self, value: Any, payload: bytes) -> None:
        """Somebody is about to look at all of *value*. Raises TooMuch."""
        if isinstance(value, str):
            self.left -= len(value)
        elif isinstance(value, list | dict):
            self.left -= _OF_A_BYTE * len(payload) + _OF_A_MEMBER * len(value)
        self.left -= 1
        if self.left < 0:
            raise TooMuch
