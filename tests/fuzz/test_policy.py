"""What holds of policies whatever they are."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fleetgate.errors import MalformedPolicy
from fleetgate.policy.conditions import OPERATORS
from fleetgate.policy.document import IAM, IOT, TRUST, Document, parse
from fleetgate.policy.evaluate import Allowed, Denied, Named, Reason, Request, Rights, decide, decide_all
from fleetgate.policy.principals import Caller
from fleetgate.policy.variables import Context, Thing, connection

ARN = "arn:aws:iot:us-east-1:123456789012:"
GRAMMARS = st.sampled_from([IOT, IAM, TRUST])

MEMBERS = [
    *("Version", "Id", "Statement", "Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"),
    *("Principal", "NotPrincipal", "AWS", "Service", "aws:SourceIp", "iot:ClientId", "Allow", "Deny", "*", "iot:*"),
    *("2012-10-17", "true", "10.0.0.0/8", ARN + "topic/${iot:ClientId}", "${", "${x}", "ForAllValues:StringLike"),
    *OPERATORS,
]
WORDS = st.sampled_from(MEMBERS) | st.text(max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=6),
    max_leaves=25,
)


def some(given_: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return given_ | st.lists(given_, min_size=1, max_size=3)


SEGMENTS = st.sampled_from(
    ["a", "b", "*", "?", "+", "#", "${iot:ClientId}", "${iot:Connection.Thing.ThingName}", "$aws"]
)
TOPICS = st.lists(SEGMENTS, min_size=1, max_size=3).map("/".join)
KINDS = st.sampled_from(["topic/", "topicfilter/", "client/", "*"])
RESOURCES = st.builds(lambda kind, topic: ARN + kind + topic, KINDS, TOPICS) | st.just("*")
ACTIONS = st.sampled_from(["iot:Publish", "iot:Subscribe", "iot:*", "*", "iot:?ub*"])
CONDITIONS = st.dictionaries(
    st.sampled_from(["StringEquals", "StringNotLike", "ForAllValues:StringLike", "ForAnyValue:StringEqualsIfExists"]),
    st.dictionaries(
        st.sampled_from(["iot:ClientId", "aws:K"]), some(st.sampled_from(["a", "*", "${iot:ClientId}"])), min_size=1
    ),
    max_size=2,
)
STATEMENTS = st.builds(
    lambda effect, act, actions, res, resources, condition: {
        "Effect": effect,
        act: actions,
        res: resources,
        "Condition": condition,
    },
    st.sampled_from(["Allow", "Deny"]),
    st.sampled_from(["Action", "Action", "Action", "NotAction"]),
    some(ACTIONS),
    st.sampled_from(["Resource", "Resource", "Resource", "NotResource"]),
    some(RESOURCES),
    CONDITIONS,
)
CONTEXTS = st.builds(
    lambda client_id, attached, k: connection(
        client_id=client_id, thing=Thing(client_id or "a", attached=attached), more={"aws:K": k}
    ),
    st.none() | st.sampled_from(["a", "b", "+", "*", ""]),
    st.booleans(),
    st.lists(st.sampled_from(["a", "b", ""]), max_size=2),
)
REQUESTS = st.builds(
    lambda action, kind, topic, context: Request(action, ARN + kind + topic, context),
    st.sampled_from(["iot:Publish", "iot:Subscribe"]),
    st.sampled_from(["topic/", "topicfilter/"]),
    st.lists(st.sampled_from(["a", "b", "+", "#", "*"]), min_size=1, max_size=3).map("/".join),
    CONTEXTS,
)


def policies(statements: list[dict[str, Any]]) -> list[Named]:
    return [
        Named(str(number), "1", parse(json.dumps({"Version": "2012-10-17", "Statement": one})))
        for number, one in enumerate(statements)
    ]


def read(text: str, grammar: Any) -> Document | None:
    try:
        return parse(text, grammar, longest=10**6)
    except MalformedPolicy:
        return None


@given(st.text() | JSON.map(json.dumps), GRAMMARS)
def test_any_text_is_a_document_or_refused(text: str, grammar: Any) -> None:
    read(text, grammar)


@given(STATEMENTS, st.data(), GRAMMARS)
@settings(max_examples=200)
def test_any_change_of_a_document_is_a_document_or_refused(statement: dict[str, Any], data: Any, grammar: Any) -> None:
    statement[data.draw(WORDS)] = data.draw(JSON)
    document = read(json.dumps({"Version": "2012-10-17", "Statement": [statement]}), grammar)
    if document:
        request = Request("iot:Publish", ARN + "topic/a", Context(), Caller("AWS", ("x",)))
        assert isinstance(decide([Named("p", "1", document)], request), Allowed | Denied)


@given(st.lists(STATEMENTS, max_size=4), REQUESTS)
def test_a_deny_always_wins(statements: list[dict[str, Any]], request: Request) -> None:
    deny = {"Effect": "Deny", "Action": "iot:*", "Resource": "*"}
    for position in range(len(statements) + 1):
        verdict = decide(policies([*statements[:position], deny, *statements[position:]]), request)
        assert isinstance(verdict, Denied)
        assert verdict.reason is Reason.EXPLICIT


@given(st.lists(STATEMENTS, max_size=4), STATEMENTS, REQUESTS)
def test_one_more_statement_changes_what_it_may(
    statements: list[dict[str, Any]], more: dict[str, Any], request: Request
) -> None:
    alone = decide_all(policies([more]), request)
    before, after = decide(policies(statements), request), decide(policies([*statements, more]), request)
    if alone.denies:
        assert not after
    elif alone.allows:
        assert bool(after) or (isinstance(before, Denied) and before.reason is Reason.EXPLICIT)
    else:
        assert bool(after) is bool(before)
        assert after.statement == before.statement


@given(st.lists(STATEMENTS, max_size=4), REQUESTS)
def test_the_order_of_policies_does_not_matter(statements: list[dict[str, Any]], request: Request) -> None:
    assert bool(decide(policies(statements), request)) is bool(decide(policies(statements[::-1]), request))


@given(st.lists(STATEMENTS, min_size=1, max_size=4), st.lists(REQUESTS, max_size=4))
def test_kept_rights_judge_as_fresh_ones(statements: list[dict[str, Any]], requests: list[Request]) -> None:
    attached = policies(statements)
    for context in {id(request.context): request.context for request in requests}.values():
        kept = Rights(attached, context)
        for request in requests:
            fresh = Request(request.action, request.resource, context)
            assert kept.decide(fresh.action, fresh.resource) == decide(attached, fresh)


@given(st.text(alphabet="ab*?+#$", min_size=1, max_size=6), st.text(alphabet="ab*?+#$/", max_size=8))
def test_a_client_id_stands_for_itself_or_for_nothing(client_id: str, topic: str) -> None:
    """Requirement S6: a device cannot write wildcards into its own policy."""
    own = policies([{"Effect": "Allow", "Action": "iot:Subscribe", "Resource": ARN + "topicfilter/${iot:ClientId}"}])
    verdict = decide(own, Request("iot:Subscribe", ARN + "topicfilter/" + topic, connection(client_id=client_id)))
    assert bool(verdict) is (topic == client_id and not set(client_id) & set("*?+#$"))


@given(st.lists(STATEMENTS, max_size=4), REQUESTS)
def test_a_missing_value_never_permits(statements: list[dict[str, Any]], request: Request) -> None:
    """What unconditional Allows permit without a client id, they permit with any."""
    allows = policies([{**statement, "Effect": "Allow", "Condition": {}} for statement in statements])
    if decide(allows, Request(request.action, request.resource)):
        assert decide(allows, request)
