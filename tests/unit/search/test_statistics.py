from __future__ import annotations

import pytest

from fleetgate.search.statistics import buckets, numbers, percentiles, statistics


def test_the_example_of_the_developer_guide() -> None:
    found = statistics({"-125": 1, "75": 1, "150": 1}, "Number")
    assert found == {
        "count": 3,
        "average": pytest.approx(33.333333333333336),
        "sum": 100.0,
        "minimum": -125.0,
        "maximum": 150.0,
        "sumOfSquares": 43750.0,
        "variance": pytest.approx(13472.22222222222),
        "stdDeviation": pytest.approx(116.06990230986766),
    }


def test_texts_are_counted_and_booleans_are_one_and_zero() -> None:
    assert statistics({"a": 2, "b": 1}, "String") == {"count": 3}
    found = statistics({"true": 3, "False": 1, "maybe": 7}, "Boolean")
    assert (found["count"], found["sum"], found["average"]) == (4, 3.0, 0.75)
    assert (found["minimum"], found["maximum"]) == (0.0, 1.0)


def test_what_is_of_another_type_is_left_out() -> None:
    assert numbers({"1": 1, "1.0": 2, "x": 5, "0.5": 1}, "Number") == [(0.5, 1), (1.0, 3)]
    assert statistics({"x": 5}, "Number") == {"count": 0}


def test_what_is_too_large_for_a_number_is_left_out() -> None:
    found = statistics({"1e308": 5, "-1e308": 1}, "Number")
    assert found == {"count": 6, "minimum": -1e308, "maximum": 1e308}


@pytest.mark.parametrize(
    ("percent", "value"), [(0, 1.0), (10, 1.4), (25, 2.0), (50, 2.0), (90, 2.6), (87.5, 2.5), (100, 3.0)]
)
def test_percentiles_lie_between_values_in_proportion(percent: float, value: float) -> None:
    [(asked, found)] = percentiles({"1": 1, "2": 3, "3": 1}, [percent])
    assert asked == percent
    assert found == pytest.approx(value)


def test_percentiles_by_default_and_of_nothing() -> None:
    assert percentiles({"7": 1}) == [(percent, 7.0) for percent in (1, 5, 25, 50, 75, 95, 99)]
    assert percentiles({"x": 1}) == []


def test_buckets_are_the_most_frequent_values() -> None:
    assert buckets({"b": 1, "a": 1, "c": 5}, 2) == [("c", 5), ("a", 1)]
