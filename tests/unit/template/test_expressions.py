from typing import Any

import pytest

from fleetgate.errors import InvalidParameters
from fleetgate.template.expressions import (
    LIMIT,
    Expression,
    Items,
    Join,
    Reference,
    Scope,
    Split,
    Substitute,
    Text,
    text_of,
)
from fleetgate.template.functions import Reader
from fleetgate.template.problems import Problems


def scope(**values: str) -> Scope:
    return Scope(values, {"M": {"long": {"text": "x" * 5000}}}, Problems())


def expression(written: Any) -> Expression:
    problems = Problems()
    found = Reader({"M": {"long": {"text": "x" * 5000}}}, problems).text(written, "here")
    assert not problems
    return found


@pytest.mark.parametrize(
    "written",
    [
        {"Fn::Join": ["", [{"Ref": "long"}] * 40]},
        {"Fn::Join": ["y" * 5000, [""] * 60]},
        {"Fn::Sub": "${long}" * 40},
        {"Fn::Sub": ["${x}" * 100_000, {"x": {"Ref": "long"}}]},
        {"Fn::Join": ["", [{"Fn::FindInMap": ["M", {"Ref": "key"}, "text"]}] * 60]},
        {"Fn::Join": ["", [{"Fn::Select": [0, {"Fn::Split": [",", {"Ref": "long"}]}]}] * 40]},
        # every level ten times the one below
        {"Fn::Sub": ["${x}" * 10, {"x": {"Fn::Sub": ["${x}" * 10, {"x": {"Fn::Sub": "${long}" * 10}}]}}]},
    ],
)
def test_output_is_bounded(written: Any) -> None:
    room = scope(long="x" * 10_000, key="long")
    assert text_of(expression(written), room, "here") is None
    with pytest.raises(InvalidParameters, match=f"renders to more than {LIMIT} characters"):
        room.problems.throw(InvalidParameters)


def test_the_bound_is_exact() -> None:
    room = scope(a="x" * (LIMIT // 2))
    assert text_of(expression({"Fn::Join": ["", [{"Ref": "a"}]]}), room, "here") == "x" * (LIMIT // 2)
    assert room.remaining == 0
    assert not room.problems


def test_one_value_too_long_for_all_is_a_problem_where_it_is_looked_up() -> None:
    room = scope(a="x" * (LIMIT + 1))
    assert text_of(Split(",", Reference("a"), "here"), room, "here") is None
    assert room.problems


def test_names_a_substitution_binds_itself_are_no_references() -> None:
    found = expression({"Fn::Sub": ["${a}${b}${!c}", {"a": {"Fn::Join": ["", [{"Ref": "d"}, "x"]]}, "unused": "y"}]})
    assert set(found.references()) == {"b", "d"}


def test_references_of_every_function() -> None:
    found = expression(
        {
            "Fn::Join": [
                ",",
                [
                    {"Fn::Select": [{"Ref": "index"}, {"Fn::Split": ["-", {"Ref": "source"}]}]},
                    {"Fn::FindInMap": ["M", {"Ref": "key"}, {"Fn::Sub": "${second}"}]},
                ],
            ]
        }
    )
    assert list(found.references()) == ["index", "source", "key", "second"]


def test_values_inserted_are_not_read_again() -> None:
    room = scope(a="${b}", b='{"Ref": "a"}')
    assert text_of(Substitute((Reference("a"), Text("-"), Reference("b")), {}, "here"), room, "here") == (
        '${b}-{"Ref": "a"}'
    )


def test_a_list_where_an_item_should_be_names_the_item() -> None:
    room = scope()
    mapped = Reader({"M": {"a": {"b": ("x", "y")}}}, Problems()).text({"Fn::FindInMap": ["M", "a", "b"]}, "here")
    room.mappings = {"M": {"a": {"b": ("x", "y")}}}
    assert text_of(Join("", Items((Text("z"), mapped), "here"), "here"), room, "here") is None
    with pytest.raises(InvalidParameters, match=r"\Ahere\[1\]: Needs one text"):
        room.problems.throw(InvalidParameters)
