from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetgate.search.values import lowered, number, sort_key, stored


def test_only_ascii_letters_change_case() -> None:
    assert lowered("AbZ-9_\u212a\u00c4") == "abz-9_\u212a\u00c4"


@pytest.mark.parametrize(
    ("text", "value"),
    [("75", 75.0), ("-1.5", -1.5), ("+2", 2.0), ("007", 7.0), ("1e3", 1000.0), ("2.5E-1", 0.25), ("-0", 0.0)],
)
def test_numbers(text: str, value: float) -> None:
    assert number(text) == value
    assert stored(text) == sort_key(value)


@pytest.mark.parametrize(
    "text", ["", "a", "1a", "1.", ".5", "1-2", "0x10", "nan", "inf", "9" * 800, "1_0", " 1", "\u0661"]
)
def test_what_is_no_number(text: str) -> None:
    assert number(text) is None
    assert stored(text) is None


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_keys_are_in_the_order_of_numbers(one: float, other: float) -> None:
    assert (sort_key(one) < sort_key(other)) == (one < other)
    assert (sort_key(one) == sort_key(other)) == (one == other)
    assert -(2**63) <= sort_key(one) < 2**63
