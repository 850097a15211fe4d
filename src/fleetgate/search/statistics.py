"""What is counted over the values of one field (GetStatistics, GetPercentiles, GetCardinality, GetBucketsAggregation).

Everything is worked out of one histogram: how many things have which value.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

from fleetgate.search.values import lowered, number

Histogram: TypeAlias = Mapping[str, int]
"""A value, and how many have it."""
PERCENTS: Final = (1.0, 5.0, 25.0, 50.0, 75.0, 95.0, 99.0)
"""Where none are asked for."""
_BOOLEANS: Final = {"true": 1.0, "false": 0.0}


def numbers(values: Histogram, kind: str) -> list[tuple[float, int]]:
    """The numbers in *values* with their counts, ascending. *kind* is a field's type: a Boolean is 1 or 0; what is not
    of its field's type is left out.
    """
    found: dict[float, int] = {}
    for text, count in values.items():
        value = _BOOLEANS.get(lowered(text)) if kind == "Boolean" else number(text)
        if value is not None:
            found[value] = found.get(value, 0) + count
    return sorted(found.items())


def statistics(values: Histogram, kind: str) -> dict[str, float]:
    """AWS's `Statistics`: of texts only their count. Sums that are no number any more are left out."""
    if kind == "String":
        return {"count": sum(values.values())}
    found = numbers(values, kind)
    count = sum(times for _, times in found)
    if not count:
        return {"count": 0}
    total = _sum(value * times for value, times in found)
    average = total / count
    variance = _sum((value - average) * (value - average) * times for value, times in found) / count
    every = {
        "average": average,
        "sum": total,
        "minimum": found[0][0],
        "maximum": found[-1][0],
        "sumOfSquares": _sum(value * value * times for value, times in found),
        "variance": variance,
        "stdDeviation": math.sqrt(variance),
    }
    return {"count": count, **{name: value for name, value in every.items() if math.isfinite(value)}}


def _sum(values: Iterable[float]) -> float:
    """Not a number where it is too large for one."""
    try:
        return math.fsum(values)
    except (OverflowError, ValueError):  # the sum itself, or infinite parts of both signs
        return math.nan


def percentiles(values: Histogram, percents: Sequence[float] = PERCENTS) -> list[tuple[float, float]]:
    """(percent, value) for each of *percents*, between two values in proportion; nothing where there is no number."""
    found = numbers(values, "Number")
    count = sum(times for _, times in found)
    return [(percent, _at(found, percent / 100 * (count - 1))) for percent in percents] if count else []


def _at(found: Sequence[tuple[float, int]], rank: float) -> float:
    """The value at *rank*, counted from 0."""
    seen = 0
    for place, (value, times) in enumerate(found):
        seen += times
        if rank <= seen - 1 or place == len(found) - 1:
            return value
        if rank < seen:
            return value + (found[place + 1][0] - value) * (rank - (seen - 1))
    raise ValueError("there are no values")


def buckets(values: Histogram, most: int) -> list[tuple[str, int]]:
    """The *most* frequent values, each with its count; those as frequent as each other by value."""
    return sorted(values.items(), key=lambda item: (-item[1], item[0]))[:most]
