from __future__ import annotations

import pytest

from fleetgate.errors import InvalidRequest
from fleetgate.registry.attributes import changed


def test_replace_merge_remove() -> None:
    old = {"a": "1", "b": "2"}
    assert changed(old, None, False, 3, "X") == old
    assert changed(old, {"c": "3"}, False, 3, "X") == {"c": "3"}
    assert changed(old, {"c": "3"}, True, 3, "X") == {"a": "1", "b": "2", "c": "3"}
    assert changed(old, {"a": "", "b": "9"}, True, 3, "X") == {"b": "9"}
    assert changed(old, {}, False, 3, "X") == {}
    assert old == {"a": "1", "b": "2"}


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(InvalidRequest) as refused:
        changed({}, {"bad name": "x", "a": "with space", "b": "1"}, False, 1, "A thing")
    text = refused.value.message
    assert "'bad name'" in text
    assert "Attribute a:" in text
    assert "A thing can have 1 attributes, not 3." in text


def test_removing_makes_room() -> None:
    assert changed({"a": "1"}, {"a": "", "b": "2"}, True, 1, "X") == {"b": "2"}
