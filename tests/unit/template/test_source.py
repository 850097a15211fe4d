import json
from typing import Any

import pytest

from fleetgate.errors import InvalidRequest
from fleetgate.template.problems import Problems
from fleetgate.template.source import DEPTH, is_text, kind_of, members_of, read_object


def read(text: str) -> dict[str, Any] | None:
    problems = Problems()
    found = read_object(text, "", problems)
    problems.throw(InvalidRequest)
    return found


def test_plain_json_comes_through_unchanged() -> None:
    written = {"a": [1, -2.5, True, None, "ü\U0001f680"], "b": {"c": {}}, "n": 2**63}
    assert read(json.dumps(written)) == written


def nested(levels: int) -> str:
    return '{"a":' * (levels - 1) + "{}" + "}" * (levels - 1)


def test_nesting_is_bounded() -> None:
    assert read(nested(DEPTH))
    with pytest.raises(InvalidRequest, match=f"Nested more than {DEPTH} levels deep"):
        read(nested(DEPTH + 1))
    with pytest.raises(InvalidRequest, match=f"Nested more than {DEPTH} levels deep"):
        read('{"a":' + "[" * DEPTH + "]" * DEPTH + "}")


def test_nesting_beyond_the_parser_is_the_same_problem() -> None:
    with pytest.raises(InvalidRequest, match=f"The template: Nested more than {DEPTH} levels deep"):
        read("[" * 200_000)


@pytest.mark.parametrize("text", ["", "{", "{'a': 1}", '{"a": 1} x', "\ufeff{}", '{"a": Infinity}', '{"a": 1e400}'])
def test_what_is_not_json(text: str) -> None:
    with pytest.raises(InvalidRequest, match="Not JSON"):
        read(text)


def test_a_list_item_has_its_place_in_the_path() -> None:
    with pytest.raises(InvalidRequest, match=r"\Aa\[1\]\.b: This name stands twice"):
        read('{"a": [0, {"b": 1, "b": 2}]}')


@pytest.mark.parametrize(("text", "good"), [("", True), ("ü\U0001f680\n", True), ("a\0", False), ("\udfff", False)])
def test_text(text: str, good: bool) -> None:
    assert is_text(text) is good


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "null"),
        (True, "a boolean"),
        (1, "a number"),
        (1.5, "a number"),
        ("", "a string"),
        ([], "a list"),
        ({}, "an object"),
        (b"", "bytes"),
    ],
)
def test_kinds(value: Any, kind: Any) -> None:
    assert kind_of(value) == kind


def test_unknown_members_are_told_and_left_out() -> None:
    problems = Problems()
    assert members_of({"Type": 1, "Typ": 2}, "here", ("Type",), problems) == {"Type": 1}
    with pytest.raises(InvalidRequest, match=r"\Ahere\.Typ: There is no 'Typ' here; did you mean 'Type'\?\Z"):
        problems.throw(InvalidRequest)
