"""Values as queries compare them: in lower case, and as numbers where they are some."""

from __future__ import annotations

import re
import string
import struct
from typing import Final

_LOWER: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_NUMBER: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_LARGEST: Final = float("1e308")


def lowered(text: str) -> str:
    """*text* with A to Z in lower case and nothing else changed, as the databases' `lower` has stored text."""
    return text.translate(_LOWER)


def number(text: str) -> float | None:
    """The number that the whole of *text* is, as JSON writes numbers (leading zeros forgiven); None for no number."""
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if -_LARGEST <= value <= _LARGEST else None


def sort_key(value: float) -> int:
    """A 64-bit integer for each number, in the order of the numbers: what a database keeps and compares."""
    (bits,) = struct.unpack(">q", struct.pack(">d", value))
    return int(bits) if bits >= 0 else -(int(bits) & 0x7FFF_FFFF_FFFF_FFFF)


def stored(text: str) -> int | None:
    """The `sort_key` of the number that *text* is; None for no number."""
    value = number(text)
    return None if value is None else sort_key(value)
