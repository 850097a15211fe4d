"""The primitive types of the MQTT wire (MQTT 5, 1.5): integers, strings, binary data.

Everything here raises `Malformed`, and nothing else, on bytes or values that do not fit.
"""

from __future__ import annotations

from fleetgate.wire.mqtt.errors import Malformed

MAX_VARINT = 268_435_455  # four bytes of seven bits each (MQTT 5, 1.5.5)


class Reader:
    """Takes primitive values off the front of one packet's body. True while bytes are left."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def u8(self) -> int:
        at = self._at
        try:
            value = self._data[at]
        except IndexError:
            raise Malformed(_SHORT) from None
        self._at = at + 1
        return value

    def u16(self) -> int:
        data, at = self._data, self._at
        try:
            value = data[at] << 8 | data[at + 1]
        except IndexError:
            raise Malformed(_SHORT) from None
        self._at = at + 2
        return value

    def u32(self) -> int:
        return int.from_bytes(self.take(4))

    def varint(self) -> int:
        """A variable byte integer in its shortest form [MQTT-1.5.5-1]."""
        value = 0
        for shift in (0, 7, 14, 21):
            byte = self.u8()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if not byte and shift:
                    raise Malformed("a variable byte integer has more bytes than it needs")
                return value
        raise Malformed("a variable byte integer is longer than four bytes")

    def binary(self) -> bytes:
        return self.take(self.u16())

    def text(self) -> str:
        """UTF-8 without surrogates and without U+0000 [MQTT-1.5.4-1, MQTT-1.5.4-2]; a BOM is kept [MQTT-1.5.4-3]."""
        data, at = self._data, self._at
        try:
            end = at + 2 + (data[at] << 8 | data[at + 1])
            if end > len(data):
                raise Malformed(_SHORT)
            value = data[at + 2 : end].decode()
        except IndexError:
            raise Malformed(_SHORT) from None
        except UnicodeDecodeError:
            raise Malformed("a string is not valid UTF-8") from None
        if "\0" in value:
            raise Malformed("a string holds U+0000")
        self._at = end
        return value

    def pair(self) -> tuple[str, str]:
        return self.text(), self.text()

    def take(self, size: int) -> bytes:
        data, at = self._data, self._at
        end = at + size
        if end > len(data):
            raise Malformed(_SHORT)
        self._at = end
        return data[at:end]

    def rest(self) -> bytes:
        at, self._at = self._at, len(self._data)
        return self._data[at:]


def u8(value: int) -> bytes:
    return _number(value, 1)


def u16(value: int) -> bytes:
    return _number(value, 2)


def u32(value: int) -> bytes:
    return _number(value, 4)


def varint(value: int) -> bytes:
    if 0 <= value < 0x80:
        return bytes((value,))
    if not 0 <= value <= MAX_VARINT:
        raise Malformed(f"{value} does not fit a variable byte integer (0 to {MAX_VARINT})")
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def binary(value: bytes) -> bytes:
    size = len(value)
    if size > 0xFFFF:
        raise Malformed(f"binary data of {size} bytes is longer than 65535 bytes")
    return size.to_bytes(2) + value


def text(value: str) -> bytes:
    try:
        data = value.encode()
    except UnicodeEncodeError:
        raise Malformed("a string holds a surrogate, which UTF-8 cannot carry") from None
    if b"\0" in data:
        raise Malformed("a string holds U+0000")
    size = len(data)
    if size > 0xFFFF:
        raise Malformed(f"a string of {size} bytes is longer than 65535 bytes")
    return size.to_bytes(2) + data


def pair(value: tuple[str, str]) -> bytes:
    return text(value[0]) + text(value[1])


def _number(value: int, size: int) -> bytes:
    try:
        return value.to_bytes(size)
    except OverflowError:
        raise Malformed(f"{value} does not fit {size} unsigned byte(s)") from None


_SHORT = "the packet is shorter than its fields"
