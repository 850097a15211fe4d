"""Operators taken apart, and what they refuse. What they answer is in tests/vectors/policy/conditions.json."""

from __future__ import annotations

import pytest

from fleetgate.policy.conditions import OPERATORS, Quantifier, arn_pattern, read_condition, split_operator
from fleetgate.policy.grammar import IAM
from fleetgate.policy.variables import Context

SAMPLES = {"Numeric": "1", "Date": "2030-01-01", "Bool": "true", "Binary": "QQ==", "Null": "true", "Arn": "*"}
READABLE = {name: next((v for k, v in SAMPLES.items() if name.startswith(k)), "10.0.0.0") for name in OPERATORS}
NEGATED = {name for name in OPERATORS if "Not" in name}


@pytest.mark.parametrize(
    ("written", "parts"),
    [
        ("StringLike", (Quantifier.NONE, "StringLike", False)),
        ("forallvalues:arnnotlikeifexists", (Quantifier.ALL, "ArnNotLike", True)),
        ("ForAnyValue:StringEqualsIfExists", (Quantifier.ANY, "StringEquals", True)),
    ],
)
def test_an_operator_taken_apart(written: str, parts: tuple[Quantifier, str, bool]) -> None:
    assert split_operator(written) == parts


@pytest.mark.parametrize("written", ["", "IfExists", ":", "x:Bool", "Bool:", "ForAnyValue:", "StringLike "])
def test_no_operator(written: str) -> None:
    with pytest.raises(ValueError, match="no such condition operator"):
        split_operator(written)


@pytest.mark.parametrize("name", [name for name in OPERATORS if name != "Null"])
@pytest.mark.parametrize("quantifier", Quantifier)
@pytest.mark.parametrize("if_exists", [False, True])
def test_an_absent_key(name: str, quantifier: Quantifier, if_exists: bool) -> None:
    written = f"{quantifier.value}{':' * bool(quantifier.value)}{name}{'IfExists' * if_exists}"
    condition = read_condition(written, "a:b", [READABLE[name]], variables=True)
    holds, missing = condition.judge(Context(), IAM, denies=False)
    assert holds is (if_exists or quantifier is Quantifier.ALL or (quantifier is Quantifier.NONE and name in NEGATED))
    assert missing == ([] if holds else ["a:b"])


@pytest.mark.parametrize("name", sorted(NEGATED))
def test_a_negated_operator_is_the_contrary_of_its_twin(name: str) -> None:
    twin = name.replace("Not", "")
    value = READABLE[name]
    conditions = [read_condition(each, "a:b", [value], variables=True) for each in (name, twin)]
    for given in (value, "203.0.113.1", "garbage", "2"):
        context = Context.of({"a:b": given})
        first, second = (condition.judge(context, IAM, denies=False)[0] for condition in conditions)
        assert first is not second


def test_variables_may_be_off() -> None:
    condition = read_condition("StringEquals", "a:b", ["${a:c"], variables=False)
    assert condition.judge(Context.of({"a:b": "${a:c"}), IAM, denies=False) == (True, [])


def test_a_set_lacks_what_all_its_failing_values_lack() -> None:
    condition = read_condition("ForAllValues:StringLike", "a:b", ["x", "y-${a:c}"], variables=True)
    assert condition.judge(Context.of({"a:b": ["x", "y-1"]}), IAM, denies=False) == (False, ["a:c"])
    assert condition.judge(Context.of({"a:b": ["z", "y-1"]}), IAM, denies=False) == (False, [])


@pytest.mark.parametrize(
    "text",
    [
        "*",
        "arn:aws:iot:*",
        "arn:aws-us-gov:iot:us-gov-west-1:1:topic/x",
        "arn:*:iot:*:*:*",
        "arn:aws:s3:::b",
        "arn:aws:*",
    ],
)
def test_resources(text: str) -> None:
    assert arn_pattern(text, variables=True)


@pytest.mark.parametrize(
    "text", ["", "**x", "arn", "arn:*", "arn:aws", "a*:aws:iot:::x", "arn:aws:iot:::", "arn:aws::::x"]
)
def test_no_resources(text: str) -> None:
    with pytest.raises(ValueError, match="one looks like arn:aws:iot:"):
        arn_pattern(text, variables=True)
