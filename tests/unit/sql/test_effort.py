"""What a short statement may cost."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fleetgate.sql.effort import MOST, Effort, TooMuch
from fleetgate.sql.evaluate import Message, run
from fleetgate.sql.parse import parse
from fleetgate.sql.substitution import parse as template

LONG = {"text": "x" * 120_000, "list": list(range(12_000)), "deep": [[list(range(10_000))]]}
SHORT = {"text": "x", "list": [1, 2], "deep": [[[1]]]}


def message(payload: Any, effort: Effort | None = None) -> Message:
    return Message("t", json.dumps(payload).encode(), 0, effort=effort or Effort())


@pytest.mark.parametrize(
    "expression",
    [
        "sha512(text)",
        "replace(text, 'x', 'y')",
        "text = 'y'",
        "text + 'y'",
        "(-5 IN list)",
        "upper(deep)",
        "deep = list",
        "upper([deep, deep])",
        "upper({'a': deep})",
        "encode(*, 'base64')",
        "CASE text WHEN 'y' THEN 1 END",
        "CASE WHEN text THEN 1 END",
    ],
)
def test_much_of_a_long_payload_is_given_up_and_of_a_short_one_is_not(expression: str) -> None:
    statement = parse(f"SELECT {', '.join(f'{expression} AS a{at}' for at in range(2000))} FROM 't'")
    assert run(statement, message(SHORT)) is not None
    with pytest.raises(TooMuch):
        run(statement, message(LONG))


def test_a_payload_as_long_as_it_may_be_is_looked_at_many_times() -> None:
    statement = parse(f"SELECT {', '.join(f'upper(text) AS a{at}' for at in range(3))}, list[7], deep FROM 't'")
    for _ in range(20):
        assert run(statement, message(LONG)) is not None
    paths = parse(f"SELECT {', '.join(f'deep[0][0][{at}] AS a{at}' for at in range(2000))} FROM 't'")
    assert run(paths, message(LONG)) is not None


def test_what_is_spent_is_spent_for_all_who_look() -> None:
    effort = Effort()
    effort.spend("x" * (MOST - 3), b"")
    assert effort.left == 2
    one = message({"a": "xx"}, effort)
    assert template("${upper(a)}").fill(one) is None
    assert template("${a}").fill(one) == "xx"
    with pytest.raises(TooMuch):
        run(parse("SELECT upper(a) AS b FROM 't'"), one)
