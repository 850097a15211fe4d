"""CBOR (RFC 8949) as far as JSON goes: maps with text keys, arrays, texts, integers, floats, true, false and null.

What strangers send is read with this. A general decoder makes dates, regular expressions, numbers of any size and
values that hold each other out of tags, and a few hundred bytes of those can keep a server busy for minutes.
"""

from __future__ import annotations

import math
import struct
from typing import Any, Final, NoReturn

MAX_DEPTH: Final = 32
"""Arrays and maps within each other."""
MAX_VALUES: Final = 5_000
"""Keys, values, arrays and maps in all: every byte may be one, and each takes microseconds."""

_SELF_DESCRIBED: Final = b"\xd9\xd9\xf7"  # section 3.4.6: may stand in front and means nothing
_BREAK: Final = object()
_KINDS: Final = {2: "a byte string", 6: "a tag"}
_SIMPLE: Final = {20: False, 21: True, 22: None}
_FLOATS: Final = {25: ">e", 26: ">f", 27: ">d"}
_LENGTHS: Final = {24: 1, 25: 2, 26: 4, 27: 8}
_INDEFINITE: Final = 31


class Malformed(ValueError):
    """The bytes are no CBOR, or more than is read here; the message says what and where."""


def parse(data: bytes) -> Any:
    """The one value in *data*; lengths may be definite or not.

    Raises Malformed: not well-formed, something after the value, any other kind of value than the module's, a key given
    twice in one map, a NaN or an infinity, invalid UTF-8, a NUL character, more than `MAX_VALUES`, nesting deeper than
    `MAX_DEPTH`.
    """
    reader = _Reader(data)
    if data.startswith(_SELF_DESCRIBED):
        reader.at = len(_SELF_DESCRIBED)
    value = reader.value(MAX_DEPTH)
    if reader.at < len(data):
        raise Malformed(f"something follows the value at byte {reader.at}")
    return value


class _Reader:
    """A place in the data."""

    __slots__ = ("at", "data", "left")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.left = MAX_VALUES

    def value(self, depth: int) -> Any:
        found = self.item(depth)
        if found is _BREAK:
            self.refuse("an end without a beginning")
        return found

    def item(self, depth: int) -> Any:
        """A value, or the end of an indefinite length."""
        self.left -= 1
        if self.left < 0:
            self.refuse(f"one value more than {MAX_VALUES}")
        head = self.take(1)[0]
        major, info = head >> 5, head & 0x1F
        match major:
            case 0:
                return self.argument(info)
            case 1:
                return -1 - self.argument(info)
            case 3:
                return self.text(info)
            case 4:
                return self.array(info, self.deeper(depth))
            case 5:
                return self.map(info, self.deeper(depth))
            case 7:
                return self.simple(info)
        return self.refuse(f"{_KINDS[major]}, which is not read here")

    def simple(self, info: int) -> Any:
        """Major type 7: floats, true, false, null, and the end of an indefinite length."""
        if info in _SIMPLE:
            return _SIMPLE[info]
        if info == _INDEFINITE:
            return _BREAK
        if info not in _FLOATS:
            self.refuse("a simple value that is not true, false or null")
        (number,) = struct.unpack(_FLOATS[info], self.take(_LENGTHS[info]))
        if not math.isfinite(number):
            self.refuse(f"{number}, which is no number")
        return number

    def text(self, info: int) -> str:
        if info != _INDEFINITE:
            return self.chunk(info)
        chunks = []
        while (head := self.take(1)[0]) != 0xFF:
            if head >> 5 != 3 or head & 0x1F == _INDEFINITE:
                self.refuse("a piece of a text that is none")
            chunks.append(self.chunk(head & 0x1F))
        return "".join(chunks)

    def chunk(self, info: int) -> str:
        raw = self.take(self.argument(info))
        if b"\0" in raw:
            self.refuse("a text with a NUL character")
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return self.refuse("a text that is not UTF-8")

    def array(self, info: int, depth: int) -> list[Any]:
        if info != _INDEFINITE:
            return [self.value(depth) for _ in range(self.count(info, 1))]
        found = []
        while (value := self.item(depth)) is not _BREAK:
            found.append(value)
        return found

    def map(self, info: int, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if info != _INDEFINITE:
            for _ in range(self.count(info, 2)):
                self.member(found, self.value(depth), depth)
            return found
        while (key := self.item(depth)) is not _BREAK:
            self.member(found, key, depth)
        return found

    def member(self, found: dict[str, Any], key: Any, depth: int) -> None:
        if not isinstance(key, str):
            self.refuse("the key of a map that is not a text")
        if key in found:
            self.refuse(f"the key {key[:40]!r} for the second time")
        found[key] = self.value(depth)

    def argument(self, info: int) -> int:
        """Section 3: the number that a head carries."""
        if info < 24:
            return info
        if info not in _LENGTHS:
            self.refuse("a length that is not allowed")
        return int.from_bytes(self.take(_LENGTHS[info]), "big")

    def count(self, info: int, size: int) -> int:
        """How many items follow, of *size* bytes each at least: more than there is room for are not waited for."""
        count = self.argument(info)
        if count * size > len(self.data) - self.at:
            self.refuse("the end, in the middle of a value")
        return count

    def deeper(self, depth: int) -> int:
        if depth == 0:
            self.refuse(f"nesting deeper than {MAX_DEPTH} levels")
        return depth - 1

    def take(self, length: int) -> bytes:
        end = self.at + length
        if end > len(self.data):
            self.refuse("the end, in the middle of a value")
        taken = self.data[self.at : end]
        self.at = end
        return taken

    def refuse(self, what: str) -> NoReturn:
        raise Malformed(f"at byte {self.at} there is {what}")
