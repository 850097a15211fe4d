"""The small CBOR reader, held against the examples of RFC 8949 (appendix A) and against a general implementation."""

from __future__ import annotations

import time
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetgate.wire.cbor import MAX_DEPTH, MAX_VALUES, Malformed, parse

EXAMPLES: list[tuple[str, Any]] = [
    ("00", 0),
    ("17", 23),
    ("1818", 24),
    ("1903e8", 1000),
    ("1a000f4240", 1_000_000),
    ("1bffffffffffffffff", 2**64 - 1),
    ("20", -1),
    ("3903e7", -1000),
    ("3bffffffffffffffff", -(2**64)),
    ("f90001", 5.960464477539063e-8),
    ("f93e00", 1.5),
    ("fa47c35000", 100_000.0),
    ("fb3ff199999999999a", 1.1),
    ("f4", False),
    ("f5", True),
    ("f6", None),
    ("60", ""),
    ("6449455446", "IETF"),
    ("62c3bc", "ü"),
    ("64f0908591", "\U00010151"),
    ("80", []),
    ("8301820203820405", [1, [2, 3], [4, 5]]),
    ("a0", {}),
    ("a26161016162820203", {"a": 1, "b": [2, 3]}),
    ("7f657374726561646d696e67ff", "streaming"),
    ("7fff", ""),
    ("9fff", []),
    ("9f018202039f0405ffff", [1, [2, 3], [4, 5]]),
    ("83018202039f0405ff", [1, [2, 3], [4, 5]]),
    ("bf61610161629f0203ffff", {"a": 1, "b": [2, 3]}),
    ("bf6346756ef563416d7421ff", {"Fun": True, "Amt": -2}),
    ("d9d9f7a0", {}),
]
REFUSED: dict[str, tuple[str, str]] = {
    "nothing": ("", "the end, in the middle of a value"),
    "a head without its argument": ("19", "the end, in the middle"),
    "a text that is cut off": ("6261", "the end, in the middle"),
    "an array that is cut off": ("8201", "the end, in the middle"),
    "a map that is cut off": ("a16161", "the end, in the middle"),
    "an indefinite array without an end": ("9f01", "the end, in the middle"),
    "a length of 2^64": ("bbffffffffffffffff", "the end, in the middle"),
    "a text of 2^62 bytes": ("7b4000000000000000", "the end, in the middle"),
    "an array of 2^40": ("9b0000010000000000", "the end, in the middle"),
    "a second value": ("a0a0", "something follows the value at byte 1"),
    "a reserved length": ("1c", "a length that is not allowed"),
    "an integer of indefinite length": ("1f", "a length that is not allowed"),
    "bytes": ("420102", "a byte string"),
    "a date": ("c11a514b67b0", "a tag"),
    "a number of any size": ("c249010000000000000000", "a tag"),
    "a shared value": ("d81c80", "a tag"),
    "undefined": ("f7", "a simple value that is not"),
    "a simple value": ("f0", "a simple value that is not"),
    "a simple value in two bytes": ("f8ff", "a simple value that is not"),
    "NaN": ("f97e00", "nan, which is no number"),
    "infinity": ("f97c00", "inf, which is no number"),
    "an end without a beginning": ("ff", "an end without a beginning"),
    "an end in place of a value": ("bf6161ff", "an end without a beginning"),
    "an end in a definite array": ("82ff01", "an end without a beginning"),
    "a key that is a number": ("a10102", "the key of a map that is not a text"),
    "a key that is a list": ("a18002", "the key of a map that is not a text"),
    "a key twice": ("a2616101616102", "the key 'a' for the second time"),
    "bad UTF-8": ("61ff", "a text that is not UTF-8"),
    "half a surrogate pair": ("63eda080", "a text that is not UTF-8"),
    "NUL": ("6100", "a NUL character"),
    "a text made of bytes": ("7f4161ff", "a piece of a text that is none"),
    "a text of indefinite pieces": ("7f7f6161ffff", "a piece of a text that is none"),
}


@pytest.mark.parametrize(("encoded", "value"), EXAMPLES)
def test_the_examples_of_the_standard(encoded: str, value: Any) -> None:
    found = parse(bytes.fromhex(encoded))
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize("what", REFUSED)
def test_everything_else_is_refused(what: str) -> None:
    encoded, why = REFUSED[what]
    with pytest.raises(Malformed) as refused:
        parse(bytes.fromhex(encoded))
    assert why in str(refused.value)


@pytest.mark.parametrize("opening", ["81", "9f", "a16161", "bf6161"])
def test_nesting_ends_somewhere(opening: str) -> None:
    deepest = bytes.fromhex(opening) * MAX_DEPTH
    with pytest.raises(Malformed, match="the end, in the middle"):
        parse(deepest)
    with pytest.raises(Malformed, match="nesting deeper than 32 levels"):
        parse(bytes.fromhex(opening) * 100_000)


def test_values_end_somewhere() -> None:
    assert len(parse(b"\x9f" + b"\x00" * (MAX_VALUES - 2) + b"\xff")) == MAX_VALUES - 2
    with pytest.raises(Malformed, match="one value more than 5000"):
        parse(b"\x9f" + b"\x00" * MAX_VALUES + b"\xff")


def test_few_bytes_do_not_become_many_values() -> None:
    """Values that are shared and shared again (tags 28 and 29) would be 15 ** 12 in a general decoder."""
    bomb = b"\xd8\x1c\x80"
    for level in range(12, 0, -1):
        bomb = b"\xd8\x1c\x8f" + bomb + b"\xd8\x1d" + bytes([level]) * 14
    begun = time.perf_counter()
    with pytest.raises(Malformed, match="a tag"):
        parse(b"\xa1\x61a" + bomb)
    assert time.perf_counter() - begun < 0.1


TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(value=PLAIN, canonical=st.booleans(), indefinite=st.booleans())
def test_what_others_write_is_read(value: Any, canonical: bool, indefinite: bool) -> None:
    encoded = cbor2.dumps(value, canonical=canonical, indefinite_containers=indefinite)
    assert parse(encoded) == value


@given(data=st.binary(max_size=40))
def test_any_bytes_are_read_as_others_do_or_refused(data: bytes) -> None:
    try:
        value = parse(data)
    except Malformed:
        return
    assert cbor2.loads(data) == value


@given(value=PLAIN, at=st.integers(0, 200), by=st.integers(1, 255))
def test_altered_bytes_raise_nothing_else(value: Any, at: int, by: int) -> None:
    encoded = bytearray(cbor2.dumps({"a": value, "b": [value]}))
    encoded[at % len(encoded)] ^= by
    try:
        found = parse(bytes(encoded))
    except Malformed:
        return
    assert cbor2.loads(bytes(encoded)) == found
