"""Verdicts and what they say to people. Who wins is in tests/vectors/policy/evaluation.json."""

from __future__ import annotations

import json
import timeit
from typing import Any

import pytest

from fleetgate.policy.document import IAM, parse
from fleetgate.policy.evaluate import (
    Allowed,
    Denied,
    Named,
    Reason,
    Request,
    Rights,
    StatementRef,
    decide,
    decide_all,
)
from fleetgate.policy.variables import Thing, connection

ARN = "arn:aws:iot:us-east-1:123456789012:"
NAME = "${iot:Connection.Thing.ThingName}"


def statement(effect: str, action: str | list[str], resource: str | list[str], **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def policy(name: str, *statements: dict[str, Any], version: str = "1") -> Named:
    return Named(name, version, parse(json.dumps({"Version": "2012-10-17", "Statement": statements})))


def test_who_may() -> None:
    policies = [policy("fleet", statement("Allow", "iot:Publish", "*", Sid="Up"), version="3")]
    verdict = decide(policies, Request("iot:Publish", ARN + "topic/a"))
    assert verdict == Allowed(StatementRef("fleet", "3", 0, "Up"), "iot:Publish", ARN + "topic/a")
    assert verdict.explain("Client 'x'") == (
        "Client 'x' may iot:Publish on 'arn:aws:iot:us-east-1:123456789012:topic/a': "
        "policy fleet version 3, Statement[0] (Up) allows it."
    )


def test_who_may_not() -> None:
    policies = [policy("a", statement("Allow", "*", "*"), statement("Deny", "*", "*"))]
    verdict = decide(policies, Request("iot:Publish", ARN + "topic/a"))
    assert verdict == Denied(Reason.EXPLICIT, StatementRef("a", "1", 1), (), "iot:Publish", ARN + "topic/a")
    assert verdict.explain().endswith("policy a version 1, Statement[1] denies it.")


def test_who_is_not_spoken_of() -> None:
    verdict = decide([], Request("iot:Publish", "a\nb"))
    assert verdict == Denied(Reason.IMPLICIT, None, (), "iot:Publish", "a\nb")
    assert verdict.explain() == "The caller may not iot:Publish on 'a\\nb': no statement allows it."


def test_who_lacks_something() -> None:
    condition = {"Bool": {"iot:Connection.Thing.IsAttached": "true"}}
    policies = [policy("a", statement("Allow", "iot:Connect", f"{ARN}client/{NAME}", Condition=condition))]
    verdict = decide(policies, Request("iot:Connect", ARN + "client/lamp"))
    assert isinstance(verdict, Denied)
    assert verdict.missing == ("iot:Connection.Thing.ThingName", "iot:Connection.Thing.IsAttached")
    assert verdict.explain().endswith(
        "a statement would allow it, but this request has no usable "
        "iot:Connection.Thing.ThingName, iot:Connection.Thing.IsAttached."
    )


def test_everything_that_is_said() -> None:
    policies = [
        policy("yes", statement("Allow", "iot:*", ARN + "topic/*"), statement("Allow", "iot:Publish", "*")),
        policy("no", statement("Deny", "iot:Publish", ARN + "topic/a")),
        policy("maybe", statement("Deny", "iot:Publish", f"{ARN}topic/{NAME}")),
        policy("other", statement("Allow", "iot:Connect", "*")),
    ]
    findings = decide_all(policies, Request("iot:Publish", ARN + "topic/a"))
    assert findings.verdict.statement == StatementRef("no", "1", 0)
    assert findings.allows == (StatementRef("yes", "1", 0), StatementRef("yes", "1", 1))
    assert findings.denies == (StatementRef("no", "1", 0),)
    assert findings.silent == ("maybe", "other")
    assert findings.missing == ("iot:Connection.Thing.ThingName",)


def test_each_document_keeps_its_grammar() -> None:
    iam = parse(json.dumps({"Statement": statement("Allow", "iot:Publish", ARN + "topic/${iot:ClientId}")}), IAM)
    policies = [Named("iam", "1", iam), policy("iot", statement("Allow", "iot:Publish", ARN + "topic/x"))]
    rights = Rights(policies, connection(client_id="c"))
    assert rights.decide("iot:Publish", ARN + "topic/${iot:ClientId}")
    assert rights.decide("iot:Publish", ARN + "topic/x")
    assert not rights.decide("iot:Publish", ARN + "topic/c")


TYPICAL = policy(
    "fleet",
    statement("Allow", "iot:Connect", f"{ARN}client/{NAME}"),
    statement(
        "Allow",
        ["iot:Publish", "iot:Receive", "iot:RetainPublish"],
        [f"{ARN}topic/dt/{NAME}/*", f"{ARN}topic/$aws/things/{NAME}/shadow/*", f"{ARN}topic/$aws/things/{NAME}/jobs/*"],
    ),
    statement("Allow", "iot:Subscribe", [f"{ARN}topicfilter/cmd/{NAME}/*", f"{ARN}topicfilter/$aws/things/{NAME}/*"]),
    statement("Deny", "iot:Publish", ARN + "topic/dt/*/restricted/*"),
)


@pytest.mark.parametrize("topic", ["dt/lamp/temperature", "dt/lamp/restricted/x", "dt/desk/x"])
def test_a_packet_is_judged_in_microseconds(topic: str) -> None:
    rights = Rights([TYPICAL], connection(client_id="lamp", thing=Thing("lamp", attached=True)))
    resource = ARN + "topic/" + topic
    fastest = min(timeit.repeat(lambda: rights.decide("iot:Publish", resource), number=1000, repeat=5)) / 1000
    assert fastest < 50e-6  # about 2 on an idle machine: the bound is for a busy one
