from __future__ import annotations

import contextlib
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetgate.errors import InvalidRequest
from fleetgate.provisioning import input_lines
from fleetgate.provisioning.input_lines import LONGEST, Line


def all_of(content: bytes, most: int = 3) -> list[Line]:
    """Every line, some at a time, each time from where the last time ended."""
    found: list[Line] = []
    last, position = 0, 0
    while True:
        stretch = input_lines.read(io.BytesIO(content), last, position, most)
        if stretch.end == position:
            assert stretch.lines == ()
            assert position == len(content)
            return found
        assert len(stretch.lines) <= most
        found += stretch.lines
        last, position = stretch.last, stretch.end


def test_lines_with_their_numbers_and_places() -> None:
    assert all_of(b'{"a":"1"}\n{"b":"2"}\r\n\n  \n{"c":"3"}') == [
        Line(1, 0, b'{"a":"1"}'),
        Line(2, 10, b'{"b":"2"}'),
        Line(5, 25, b'{"c":"3"}'),
    ]


@pytest.mark.parametrize("content", [b"", b"\n", b"\n\n\n\n\n", b"  \r\n\t\n"])
def test_files_without_lines(content: bytes) -> None:
    assert all_of(content) == []


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_line_of_the_greatest_length(end: bytes) -> None:
    assert all_of(b"x" * LONGEST + end) == [Line(1, 0, b"x" * LONGEST)]


@pytest.mark.parametrize("more", [1, 2, 3, LONGEST, 3 * LONGEST])
def test_longer_lines_are_told_and_passed_over(more: int) -> None:
    long = b"x" * (LONGEST + more)
    assert all_of(b"a\n" + long + b"\nb\n") == [Line(1, 0, b"a"), Line(2, 2, None), Line(3, len(long) + 3, b"b")]
    assert all_of(long) == [Line(1, 0, None)]


@given(st.lists(st.text(st.characters(exclude_characters="\n\r", codec="utf-8"))), st.integers(1, 9))
def test_every_line_is_read_once_however_it_is_cut(texts: list[str], most: int) -> None:
    content = "".join(f"{text}\n" for text in texts).encode()
    expected = [(number, text.encode()) for number, text in enumerate(texts, 1) if text.encode().strip(b" \t\r\n")]
    found = all_of(content, most)
    assert [(line.number, line.content) for line in found] == expected
    assert all(content[line.position :].startswith(line.content or b"") for line in found)


def test_parameters() -> None:
    assert input_lines.parameters(Line(2, 0, b'{"ThingName": "\xc3\xa4", "Number": 1}')) == {
        "ThingName": "ä",
        "Number": 1,
    }


def test_a_byte_order_mark_at_the_beginning_is_forgiven() -> None:
    content = b"\xef\xbb\xbf" + json.dumps({"a": "b"}).encode()
    assert input_lines.parameters(Line(1, 0, content)) == {"a": "b"}
    with pytest.raises(InvalidRequest, match="Not JSON"):
        input_lines.parameters(Line(2, 0, content))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "longer than 262144 bytes"),
        (b"{", "Not JSON"),
        (b"[]", "^The line: Must be a JSON object, not a list"),
        (b'"text"', "not a string"),
        (b'{"a": "1", "a": "2"}', "twice"),
        (b'{"a": NaN}', "NaN"),
        (b"\xff{}", "not UTF-8 text: invalid start byte at byte 0"),
        (b'{"a": "\\ud800"}', "surrogate"),
        (b"[" * 100_000, "Nested|Not JSON"),
    ],
)
def test_lines_that_are_no_parameters(content: bytes | None, what: str) -> None:
    with pytest.raises(InvalidRequest, match=what):
        input_lines.parameters(Line(7, 0, content))


@given(st.binary())
def test_any_bytes_are_parameters_or_refused(content: bytes) -> None:
    with contextlib.suppress(InvalidRequest):
        assert isinstance(input_lines.parameters(Line(1, 0, content)), dict)
