"""Times on the wire: integer milliseconds UTC <-> epoch seconds, ISO 8601 or an HTTP date."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_FIRST: Final = -62_135_596_800_000  # the year 1
_LAST: Final = 253_402_300_799_999  # the year 9999
_HTTP_DATE: Final = "%a, %d %b %Y %H:%M:%S GMT"


def parse(value: float | str) -> int:
    """Milliseconds UTC from what a client sent: epoch seconds as a number or as text, ISO 8601 (without an offset: UTC)
    or an HTTP date. Raises ValueError for anything else and for years outside 1 to 9999.
    """
    if isinstance(value, str):
        return _parse_text(value)
    if not _FIRST / 1000 <= value <= _LAST / 1000:
        raise ValueError(f"{value} lies outside the years 1 to 9999")
    return round(value * 1000)


def _parse_text(text: str) -> int:
    if len(text) > 40:
        raise ValueError("too long for a time")
    if text.isascii() and text.replace(".", "", 1).isdecimal() and len(text) != 8:  # 20250131 is ISO 8601
        return parse(float(text))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = datetime.strptime(text, _HTTP_DATE).replace(tzinfo=UTC)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max((moment - _EPOCH) // _MILLISECOND, _FIRST), _LAST)  # an offset may lead out of the calendar


def write(milliseconds: int, time_format: str) -> float | int | str:
    """*milliseconds* as `unixTimestamp` (seconds, with a fraction only where there is one), `iso8601` or `rfc822`."""
    if time_format == "unixTimestamp":
        return milliseconds / 1000 if milliseconds % 1000 else milliseconds // 1000
    moment = _EPOCH + milliseconds * _MILLISECOND
    if time_format == "rfc822":
        return moment.strftime(_HTTP_DATE)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
