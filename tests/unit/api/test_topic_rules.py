from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from fleetgate.names import Realm

ROLE = "arn:aws:iam::123456789012:role/r"
REPUBLISH = {"republish": {"roleArn": ROLE, "topic": "b/${topic(1)}", "qos": 1}}
LAMBDA = {"lambda": {"functionArn": "arn:aws:lambda:us-east-1:123456789012:function:greet"}}


def rule(sql: str = "SELECT * FROM 'a/+'", *actions: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"sql": sql, "actions": list(actions) or [REPUBLISH], **more}


def test_a_rule_from_beginning_to_end(iot: Any, realm: Realm) -> None:
    arn = realm.arn("rule", "one")
    given = rule(
        "SELECT a, b AS c FROM 'x/#' WHERE a > 1",
        REPUBLISH,
        LAMBDA,
        description="d",
        awsIotSqlVersion="2016-03-23",
        errorAction=LAMBDA,
        ruleDisabled=True,
    )
    iot.create_topic_rule(ruleName="one", topicRulePayload=given, tags="team=a&site=b%20c")
    found = iot.get_topic_rule(ruleName="one")
    assert found["ruleArn"] == arn
    created = found["rule"].pop("createdAt")
    assert found["rule"] == {"ruleName": "one", **given}
    assert {tag["Key"]: tag["Value"] for tag in iot.list_tags_for_resource(resourceArn=arn)["tags"]} == {
        "team": "a",
        "site": "b c",
    }
    iot.enable_topic_rule(ruleName="one")
    iot.create_topic_rule(ruleName="two", topicRulePayload=rule())
    assert iot.list_topic_rules()["rules"][0] == {
        "ruleArn": arn,
        "ruleName": "one",
        "topicPattern": "x/#",
        "createdAt": created,
        "ruleDisabled": False,
    }
    assert [each["ruleName"] for each in iot.list_topic_rules(topic="a/+")["rules"]] == ["two"]
    iot.disable_topic_rule(ruleName="one")
    assert [each["ruleName"] for each in iot.list_topic_rules(ruleDisabled=True)["rules"]] == ["one"]
    pages = iot.get_paginator("list_topic_rules").paginate(PaginationConfig={"PageSize": 1})
    assert [each["ruleName"] for page in pages for each in page["rules"]] == ["one", "two"]
    iot.replace_topic_rule(ruleName="one", topicRulePayload=rule())
    replaced = iot.get_topic_rule(ruleName="one")["rule"]
    assert (replaced["sql"], replaced["ruleDisabled"], replaced["createdAt"]) == ("SELECT * FROM 'a/+'", False, created)
    assert (replaced["awsIotSqlVersion"], "description" in replaced) == ("2015-10-08", False)
    iot.delete_topic_rule(ruleName="one")
    assert [each["ruleName"] for each in iot.list_topic_rules()["rules"]] == ["two"]


@pytest.mark.parametrize(
    "ask", ["get_topic_rule", "delete_topic_rule", "enable_topic_rule", "disable_topic_rule", "replace_topic_rule"]
)
def test_a_rule_that_is_not_there(iot: Any, ask: str) -> None:
    more = {"topicRulePayload": rule()} if ask == "replace_topic_rule" else {}
    with pytest.raises(iot.exceptions.UnauthorizedException) as refused:
        getattr(iot, ask)(ruleName="nosuch", **more)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 401


def test_a_name_is_taken_once(iot: Any) -> None:
    iot.create_topic_rule(ruleName="one", topicRulePayload=rule())
    with pytest.raises(iot.exceptions.ResourceAlreadyExistsException):
        iot.create_topic_rule(ruleName="one", topicRulePayload=rule())


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (rule("SELECT * FROM 'a' WHERE"), "line 1, column 24"),
        (rule("SELECT * FROM 'a'", {"republish": {"roleArn": ROLE, "topic": "${a b}"}}), "actions[0]: ${a b}"),
        (rule("SELECT * FROM 'a/#/b'"), "The topic filter after FROM"),
        (rule("SELECT * FROM '$share/g/a'"), "no shared subscription"),
        (
            rule("SELECT * FROM 'a'", {"sqs": {"roleArn": ROLE, "queueUrl": "q"}}),
            "sqs is not supported here; republish",
        ),
        (rule("SELECT * FROM 'a'", {**LAMBDA, **REPUBLISH}), "an action has one member"),
        (rule("SELECT * FROM 'a'", *[REPUBLISH] * 11), None),
        (rule(awsIotSqlVersion="2020-01-01"), "awsIotSqlVersion is one of"),
        (rule(errorAction={"lambda": {"functionArn": "greet"}}), "errorAction: functionArn is the ARN"),
        (rule("SELECT * FROM 'a'", {"republish": {"roleArn": "r", "topic": "a/#"}}), "roleArn is the ARN of a role"),
        (rule("SELECT * FROM 'a'", {"republish": {"roleArn": ROLE, "topic": "a/#"}}), "has a wildcard"),
        (rule("SELECT * FROM 'a'", {"republish": {"roleArn": ROLE, "topic": "$$aws/events/x"}}), "no reserved topic"),
    ],
)
def test_what_is_refused(iot: Any, given: dict[str, Any], told: str | None) -> None:
    with pytest.raises(ClientError) as refused:
        iot.create_topic_rule(ruleName="one", topicRulePayload=given)
    error = refused.value.response["Error"]
    assert error["Code"] == ("SqlParseException" if told == "line 1, column 24" else "InvalidRequestException")
    assert told is None or told in error["Message"]
    assert iot.list_topic_rules()["rules"] == []
