"""Documents read. What is refused, and why, is in tests/vectors/policy/malformed.json."""

from __future__ import annotations

import json

import pytest

from fleetgate.errors import MalformedPolicy
from fleetgate.policy.conditions import Quantifier
from fleetgate.policy.document import IAM, IOT, Effect, parse, size

ALLOW = {"Effect": "Allow", "Action": "iot:Publish", "Resource": "*"}


def test_a_whole_document() -> None:
    document = parse(
        json.dumps(
            {
                "Version": "2012-10-17",
                "Id": "any text",
                "Statement": [
                    ALLOW,
                    {
                        "Sid": "Two",
                        "Effect": "Deny",
                        "NotAction": ["iot:Connect", "iot:Rec*"],
                        "NotResource": ["arn:aws:iot:us-east-1:123456789012:topic/a"],
                        "Condition": {"ForAnyValue:StringLikeIfExists": {"a:b": ["x", 1, True]}},
                    },
                ],
            }
        )
    )
    assert (document.version, document.id, document.grammar) == ("2012-10-17", "any text", IOT)
    first, second = document.statements
    assert (first.effect, first.sid, first.conditions, first.principals) == (Effect.ALLOW, None, (), None)
    assert (first.actions.texts, first.actions.negated) == (("iot:Publish",), False)
    assert (second.effect, second.sid, second.denies) == (Effect.DENY, "Two", True)
    assert (second.actions.texts, second.actions.negated) == (("iot:Connect", "iot:Rec*"), True)
    assert second.resources is not None
    assert second.resources.negated
    (condition,) = second.conditions
    assert (condition.operator, condition.quantifier, condition.if_exists) == ("StringLike", Quantifier.ANY, True)
    assert (condition.key, condition.choice.texts) == ("a:b", ("x", "1", "true"))


def test_equal_texts_are_equal_documents() -> None:
    text = json.dumps({"Statement": [ALLOW]})
    assert parse(text) == parse(text)
    assert parse(text) != parse(text, IAM)
    assert parse(text) != parse(text.replace("Publish", "Receive"))


def test_without_version_it_is_the_old_one() -> None:
    assert parse(json.dumps({"Statement": ALLOW})).version == "2008-10-17"


def test_a_repeated_sid_is_fine_in_an_iot_policy() -> None:
    text = json.dumps({"Statement": [{**ALLOW, "Sid": "A"}, {**ALLOW, "Sid": "A"}, {**ALLOW, "Sid": ""}]})
    assert [statement.sid for statement in parse(text).statements] == ["A", "A", ""]
    with pytest.raises(MalformedPolicy, match=r"Statement\[1\]\.Sid"):
        parse(text, IAM)


def test_an_empty_sid_may_be_repeated() -> None:
    text = json.dumps({"Statement": [{**ALLOW, "Sid": ""}, {**ALLOW, "Sid": ""}]})
    assert len(parse(text, IAM).statements) == 2


def test_the_limit_does_not_count_white_space() -> None:
    text = json.dumps({"Statement": ALLOW}, indent=8) + "\n" * 3000
    assert size(text) == len(json.dumps({"Statement": ALLOW}, separators=(",", ":")))
    assert len(parse(text, longest=size(text)).statements) == 1
    with pytest.raises(MalformedPolicy, match=f"{size(text)} characters, .* of {size(text) - 1} allowed"):
        parse(text, longest=size(text) - 1)


def test_the_limit_of_iot_policies_is_2048() -> None:
    def sized(length: int) -> str:
        empty = json.dumps({"Statement": {**ALLOW, "Sid": ""}}, separators=(",", ":"))
        return empty.replace('"Sid":""', f'"Sid":"{"x" * (length - len(empty))}"')

    assert len(parse(sized(2048)).statements) == 1
    with pytest.raises(MalformedPolicy, match="of 2048 allowed"):
        parse(sized(2049))


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"Statement":' * 100_000, "1" * 10_000, "\ud800", "\x00", '"\\ud800"']
)
def test_hostile_texts(text: str) -> None:
    with pytest.raises(MalformedPolicy):
        parse(text, longest=10**7)


def test_deep_nesting_says_so() -> None:
    with pytest.raises(MalformedPolicy, match="nested far too deeply"):
        parse("[" * 100_000, longest=10**7)


def test_many_repeated_members_are_not_slow() -> None:
    repeated = ",".join(f'"m{number}":1' for number in range(30_000))
    with pytest.raises(MalformedPolicy):
        parse(json.dumps({"Statement": ALLOW})[:-1] + ', "Id": {' + repeated + "}}", longest=10**7)
