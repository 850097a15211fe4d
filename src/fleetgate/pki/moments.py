"""Moments as certificates write them: whole seconds UTC, in two forms (RFC 5280 section 4.1.2.5)."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from typing import Final

from fleetgate.pki import der

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MILLISECOND: Final = dt.timedelta(milliseconds=1)

LATEST: Final = 253_402_300_799_000
"""9999-12-31T23:59:59Z in milliseconds: "no well-defined expiration date" (RFC 5280 section 4.1.2.5)."""


def from_datetime(value: dt.datetime) -> int:
    """Milliseconds UTC of an aware datetime."""
    return (value - _EPOCH) // _MILLISECOND


def to_datetime(milliseconds: int) -> dt.datetime:
    """The aware datetime of the whole second that *milliseconds* UTC falls in."""
    return _EPOCH + dt.timedelta(seconds=milliseconds // 1000)


def text_of(milliseconds: int) -> str:
    """`2049-12-31T23:59:59Z`."""
    return to_datetime(milliseconds).strftime("%Y-%m-%dT%H:%M:%SZ")


@lru_cache(maxsize=64)  # a second's certificates begin together, and AWS's all end together
def read(time: der.Element) -> int:
    """Milliseconds UTC of an encoded Time. Raises der.Malformed unless it has seconds and ends in Z."""
    digits = 12 if time.tag == der.UTC_TIME else 14
    text = time.body.decode("ascii", "replace")
    if time.tag not in (der.UTC_TIME, der.GENERALIZED_TIME) or len(text) != digits + 1 or text[-1] != "Z":
        raise der.Malformed("a time that is neither YYMMDDHHMMSSZ nor YYYYMMDDHHMMSSZ")
    if not (text[:-1].isascii() and text[:-1].isdigit()):
        raise der.Malformed("a time that is not made of digits")
    century = "" if digits == 14 else "19" if text >= "50" else "20"
    text = century + text
    month, day, hour, minute, second = (int(text[at : at + 2]) for at in range(4, 14, 2))
    try:
        return from_datetime(dt.datetime(int(text[:4]), month, day, hour, minute, second, tzinfo=dt.UTC))
    except ValueError as error:
        raise der.Malformed(f"a time that does not exist: {text}") from error
