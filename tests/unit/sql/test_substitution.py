from __future__ import annotations

import pytest

from fleetgate.errors import SqlParseFailed
from fleetgate.sql.evaluate import Message
from fleetgate.sql.substitution import parse

MESSAGE = Message("a/b", b'{"id": 7, "o": {"k": "v"}}', 5)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("plain", "plain"),
        ("", ""),
        ("x/${id}/${o.k}/${topic(2)}", "x/7/v/b"),
        ("${get({'a': '}'}, 'a')}${timestamp()}", "}5"),
        ("$${id}", "$7"),
        ("a/${missing}", None),
    ],
)
def test_filling(source: str, text: str | None) -> None:
    assert parse(source).fill(MESSAGE) == text


@pytest.mark.parametrize(("source", "told"), [("${id", "no closing brace"), ("${a b}", "nothing"), ("${}", "wanted")])
def test_what_cannot_be_used(source: str, told: str) -> None:
    with pytest.raises(SqlParseFailed, match=told):
        parse(source)
