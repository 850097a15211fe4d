from __future__ import annotations

import pytest

from fleetgate.search.tree import Bound, Pattern, Range, Wildcard

ANY, ONE = Wildcard.ANY, Wildcard.ONE


@pytest.mark.parametrize(
    ("parts", "prefix", "alone"),
    [(("my", ANY), "my", True), (("my", ONE), "my", False), (("i", ANY, "t"), "i", False), ((ANY, "x"), "", False)],
)
def test_what_every_match_of_a_pattern_begins_with(parts: tuple[str | Wildcard, ...], prefix: str, alone: bool) -> None:
    pattern = Pattern(parts)
    assert (pattern.prefix, pattern.only_prefix) == (prefix, alone)


def test_a_range_is_one_of_numbers_where_each_end_is_one() -> None:
    one, a = Bound("1", True, 1.0), Bound("a", True, None)
    assert [Range(one, one).numeric, Range(one, None).numeric, Range(None, one).numeric] == [True] * 3
    assert [Range(one, a).numeric, Range(a, None).numeric] == [False] * 2
