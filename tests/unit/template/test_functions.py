from typing import Any

import pytest

from fleetgate.errors import InvalidRequest
from fleetgate.template.expressions import Constant, Elements, Members, Reference, Text
from fleetgate.template.functions import Reader, is_function
from fleetgate.template.problems import Problems


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"Ref": "a"}, True),
        ({"Fn::Anything": "a"}, True),
        ({"Ref": "a", "b": "c"}, True),
        ({"Reference": "a", "fn::join": []}, False),
        ({}, False),
        (["Ref"], False),
        ("Ref", False),
        (None, False),
    ],
)
def test_what_is_meant_as_a_function(value: Any, expected: Any) -> None:
    assert is_function(value) is expected


def test_a_tree_keeps_its_shape() -> None:
    problems = Problems()
    found = Reader({}, problems).tree({"a": [1, True, "x", {"Ref": "y"}], "b": {}}, "here")
    assert found == Members({"a": Elements((Constant(1), Constant(True), Text("x"), Reference("y"))), "b": Members({})})
    assert not problems


def test_every_fault_of_a_function_is_told() -> None:
    problems = Problems()
    Reader({}, problems).text({"Fn::Join": [1, [{"Fn::Sub": 2}, {"Fn::Select": []}]]}, "here")
    with pytest.raises(InvalidRequest) as refused:
        problems.throw(InvalidRequest)
    assert [line.partition(":  ")[0].split(": ")[0] for line in refused.value.message.strip().splitlines()] == [
        "- here.Fn::Join[0]",
        "- here.Fn::Join[1][0].Fn::Sub",
        "- here.Fn::Join[1][1].Fn::Select",
    ]
