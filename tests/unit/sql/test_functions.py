from __future__ import annotations

from typing import Any

from fleetgate.sql import functions
from fleetgate.sql.values import UNDEFINED


def test_every_function_survives_what_makes_no_sense() -> None:
    for name, (least, _, work) in functions.PURE.items():
        odd: tuple[Any, ...] = (UNDEFINED, None, True, [], {}, "x", "", -1, 10**30, 1.5, "\ud800")
        for value in odd:
            work(*[value] * least)
        assert name in functions.listed()


def test_whole_numbers_divide_whole() -> None:
    assert [functions.quotient(*pair) for pair in ((7, 2), (-7, 2), (7, -2), (7.0, 2))] == [3, -3, -3, 3.5]
    assert [functions.remainder(*pair) for pair in ((7, 4), (-7, 4), (7, -4))] == [3, -3, 3]


def test_arrays_are_joined_within_bounds() -> None:
    assert functions.concat([1], 2, [3]) == [1, 2, 3]
    assert functions.concat([0] * 6000, [0] * 6000) is UNDEFINED
