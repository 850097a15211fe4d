from __future__ import annotations

from typing import Any

import pytest

from fleetgate.sql import values
from fleetgate.sql.values import UNDEFINED


@pytest.mark.parametrize(
    ("value", "wanted"),
    [(5, 5), ("-5", -5), ("1.5e3", 1500.0), ("1e99999", UNDEFINED), ("x", UNDEFINED), (True, UNDEFINED),
     (None, UNDEFINED), ("٣", UNDEFINED), (10**40, 1e40), ("9" * 401, UNDEFINED)],
)  # fmt: skip
def test_numbers(value: Any, wanted: Any) -> None:
    assert values.number(value) == wanted


@pytest.mark.parametrize(
    ("value", "wanted"),
    [("x", "x"), (5, "5"), (1.5, "1.5"), (True, "true"), (None, UNDEFINED), ([1, UNDEFINED], "[1,null]"),
     ({"a": UNDEFINED, "b": "ü"}, '{"b":"ü"}'), (["x" * 300_000] * 3, UNDEFINED)],
)  # fmt: skip
def test_texts(value: Any, wanted: Any) -> None:
    assert values.text(value) == wanted


def test_defined_is_bounded() -> None:
    long = "x" * 100_000
    assert values.defined([long] * 3) == [long] * 3
    assert values.defined([long] * 9) is UNDEFINED


def test_equality() -> None:
    assert values.equal(1, 1.0) is True
    assert values.equal("01", 1) is True
    assert values.equal("x", 1) is False
    assert values.equal("true", True) is True
    assert values.equal(None, 0) is False
    assert values.equal(UNDEFINED, UNDEFINED) is UNDEFINED
