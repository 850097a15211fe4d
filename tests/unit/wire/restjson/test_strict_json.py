import json

import pytest

from fleetgate.wire.restjson.message import Malformed
from fleetgate.wire.restjson.strict_json import MAX_BYTES, MAX_DEPTH, parse


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"{}", {}),
        (b' {"a": [1, -2.5, true, null, "x"]} ', {"a": [1, -2.5, True, None, "x"]}),
        ('"ü€😀"'.encode(), "ü€😀"),
        (rb'"\ud83d\ude00"', "😀"),
        (rb'"\\u0000"', r"\u0000"),
        (b"9223372036854775807", 9223372036854775807),
    ],
)
def test_reads_json(raw: bytes, value: object) -> None:
    assert parse(raw) == value


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"{} {}", "is not JSON"),
        (b'{"a":1,}', "line 1, column"),
        (b"{'a':1}", "is not JSON"),
        (b'"\x00"', "is not JSON"),
        (b"\xef\xbb\xbf{}", "is not JSON"),
        ("{}".encode("utf-16"), "is not UTF-8"),
        (b'"\xff"', "is not UTF-8: byte 1"),
        (b'"\xed\xa0\x80"', "is not UTF-8"),
        (b"NaN", "NaN is no JSON number"),
        (b"[Infinity]", "Infinity is no JSON number"),
        (b"-Infinity", "-Infinity is no JSON number"),
        (b"1e999", "too large"),
        (b"-1e999", "too large"),
        (b"9" * 41, "41 digits"),
        (b"9" * 10_000, "10000 digits"),
        (b'{"a":1,"b":2,"a":1}', "'a' is given twice"),
        (b'[{"x":{"b":2,"b":3}}]', "'b' is given twice"),
        (rb'"\ud800"', "surrogate"),
        (rb'{"\uDFFF":1}', "surrogate"),
        (rb'[{"a":["\u0000"]}]', "NUL"),
    ],
)
def test_refuses(raw: bytes, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        parse(raw)


def test_depth_is_bounded() -> None:
    assert parse(nested(MAX_DEPTH))
    assert parse(json.dumps([[]] * 1000).encode()) == [[]] * 1000
    with pytest.raises(Malformed, match="nested more than 32 deep"):
        parse(nested(MAX_DEPTH + 1))
    with pytest.raises(Malformed, match="nested more than 32 deep"):
        parse(b'{"a":' * 33 + b"1" + b"}" * 33)


@pytest.mark.parametrize("depth", [1_000, 10_000, 500_000])
def test_a_bomb_is_refused(depth: int) -> None:
    with pytest.raises(Malformed):
        parse(nested(depth))


def test_size_is_bounded() -> None:
    assert parse(b'"' + b"a" * (MAX_BYTES - 2) + b'"')
    with pytest.raises(Malformed, match="at most 1048576"):
        parse(b'"' + b"a" * (MAX_BYTES - 1) + b'"')


def test_many_names_and_one_twice_is_found_at_once() -> None:
    names = ",".join(f'"{n}":0' for n in range(80_000))
    with pytest.raises(Malformed, match="'79999' is given twice"):
        parse(f'{{{names},"79999":1}}'.encode())


def test_says_what_it_read() -> None:
    with pytest.raises(Malformed, match=r"^The header x is not JSON"):
        parse(b"?", "The header x")
