"""The integers, strings and binary data of the wire."""

from __future__ import annotations

import pytest

from fleetgate.wire.mqtt import primitives
from fleetgate.wire.mqtt.errors import Malformed, Reason
from fleetgate.wire.mqtt.primitives import MAX_VARINT, Reader


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (0, b"\0"),
        (127, b"\x7f"),
        (128, b"\x80\1"),
        (16_383, b"\xff\x7f"),
        (16_384, b"\x80\x80\1"),
        (2_097_151, b"\xff\xff\x7f"),
        (MAX_VARINT, b"\xff\xff\xff\x7f"),
    ],
)
def test_varint_vectors_of_the_standard(value: int, data: bytes) -> None:
    """MQTT 5, table 1-1"""
    assert primitives.varint(value) == data
    assert Reader(data).varint() == value


@pytest.mark.parametrize("data", [b"\x80\0", b"\xff\xff\xff\xff\1", b"\x80", b""])
def test_varint_refuses(data: bytes) -> None:
    with pytest.raises(Malformed):
        Reader(data).varint()


@pytest.mark.parametrize("value", [-1, MAX_VARINT + 1])
def test_varint_cannot_write(value: int) -> None:
    with pytest.raises(Malformed, match="does not fit"):
        primitives.varint(value)


def test_numbers() -> None:
    read = Reader(primitives.u8(1) + primitives.u16(0x0203) + primitives.u32(0x04050607))
    assert (read.u8(), read.u16(), read.u32()) == (1, 0x0203, 0x04050607)
    assert not read
    for take in (read.u8, read.u16, read.u32):
        with pytest.raises(Malformed, match="shorter"):
            take()


@pytest.mark.parametrize("write", [primitives.u8, primitives.u16, primitives.u32])
def test_numbers_out_of_range(write: object) -> None:
    for value in (-1, 2**40):
        with pytest.raises(Malformed, match="does not fit"):
            write(value)  # type: ignore[operator]  # one of three functions


def test_strings() -> None:
    read = Reader(primitives.text("grüße\U0001f600") + primitives.binary(b"\0\xff") + primitives.pair(("a", "")) + b"z")
    assert read.text() == "grüße\U0001f600"
    assert read.binary() == b"\0\xff"
    assert read.pair() == ("a", "")
    assert read
    assert read.rest() == b"z"
    assert not read


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\0\1\xff", "not valid UTF-8"),
        (b"\0\3\xed\xa0\x80", "not valid UTF-8"),
        (b"\0\3a\0b", "U\\+0000"),
        (b"\0\2a", "shorter"),
        (b"\0", "shorter"),
    ],
)
def test_strings_that_cannot_be_read(data: bytes, message: str) -> None:
    with pytest.raises(Malformed, match=message) as error:
        Reader(data).text()
    assert error.value.reason == Reason.MALFORMED_PACKET


@pytest.mark.parametrize("value", ["\ud800", "a\0b", "x" * 65_536, "é" * 32_768])
def test_strings_that_cannot_be_written(value: str) -> None:
    with pytest.raises(Malformed):
        primitives.text(value)


def test_the_longest_string() -> None:
    longest = "é" * 32_767 + "x"
    assert Reader(primitives.text(longest)).text() == longest


def test_binary_data_has_a_bound() -> None:
    assert Reader(primitives.binary(bytes(65_535))).binary() == bytes(65_535)
    with pytest.raises(Malformed, match="longer than 65535"):
        primitives.binary(bytes(65_536))
