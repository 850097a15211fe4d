"""Topic rules: CreateTopicRule, GetTopicRule, ReplaceTopicRule, EnableTopicRule, DisableTopicRule, DeleteTopicRule,
ListTopicRules.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from fleetgate.api import tags
from fleetgate.api.handling import Params, Result
from fleetgate.api.listing import Listing
from fleetgate.database.port import Tx
from fleetgate.errors import InvalidRequest, SqlParseFailed, all_of
from fleetgate.names import Act
from fleetgate.registry import topic_rules
from fleetgate.registry.topic_rules import Definition, TopicRule
from fleetgate.sql import parse, substitution
from fleetgate.sql.syntax import FIRST_VERSION, VERSIONS
from fleetgate.wire.mqtt import topics
from fleetgate.wire.mqtt.errors import ProtocolError

MOST_ACTIONS: Final = 10
_RULES: Final = Listing("topic-rules")
_FUNCTION: Final = re.compile(
    r"arn:aws[a-z-]*:lambda:[a-z0-9-]+:[0-9]{12}:function:[a-zA-Z0-9_-]{1,64}(:[\w$-]{1,128})?"
)
_ROLE: Final = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]{1,512}", re.ASCII)
_MOST_BYTES, _MOST_SLASHES = 256, 7


def create_topic_rule(tx: Tx, act: Act, params: Params) -> Result:
    name = params["ruleName"]
    topic_rules.create(tx, act, name, _definition(params["topicRulePayload"]))
    given = parse_qsl(params.get("tags", ""), keep_blank_values=True)
    listed = [{"Key": key, "Value": value} for key, value in given]
    tags.put_given(tx, act, act.realm.arn("rule", name), {"tags": listed})
    return {}


def get_topic_rule(tx: Tx, act: Act, params: Params) -> Result:
    rule = topic_rules.get(tx, act.realm, params["ruleName"])
    given = rule.definition
    described = {
        "ruleName": rule.name,
        "sql": given.statement,
        "awsIotSqlVersion": given.statement_version,
        "createdAt": rule.created_at,
        "actions": [dict(each) for each in given.actions],
        "ruleDisabled": not given.enabled,
    }
    if given.description:
        described["description"] = given.description
    if given.error_action is not None:
        described["errorAction"] = dict(given.error_action)
    return {"ruleArn": act.realm.arn("rule", rule.name), "rule": described}


def replace_topic_rule(tx: Tx, act: Act, params: Params) -> Result:
    topic_rules.get(tx, act.realm, params["ruleName"])
    topic_rules.replace(tx, act, params["ruleName"], _definition(params["topicRulePayload"]))
    return {}


def enable_topic_rule(tx: Tx, act: Act, params: Params) -> Result:
    topic_rules.set_enabled(tx, act, params["ruleName"], True)
    return {}


def disable_topic_rule(tx: Tx, act: Act, params: Params) -> Result:
    topic_rules.set_enabled(tx, act, params["ruleName"], False)
    return {}


def delete_topic_rule(tx: Tx, act: Act, params: Params) -> Result:
    topic_rules.delete(tx, act, params["ruleName"])
    return {}


def list_topic_rules(tx: Tx, act: Act, params: Params) -> Result:
    after, limit = _RULES.opened(params)
    disabled = params.get("ruleDisabled")
    page = topic_rules.page(
        tx,
        act.realm,
        after,
        min(limit, 1000),
        source=params.get("topic"),
        enabled=None if disabled is None else not disabled,
    )
    return {"rules": [_listed(act, rule) for rule in page.items], "nextToken": _RULES.token(page, params)}


def _listed(act: Act, rule: TopicRule) -> Result:
    return {
        "ruleArn": act.realm.arn("rule", rule.name),
        "ruleName": rule.name,
        "topicPattern": rule.definition.source,
        "createdAt": rule.created_at,
        "ruleDisabled": not rule.definition.enabled,
    }


# --- what a rule is given ---------------------------------------------------------------------------------------------


def _definition(payload: Mapping[str, Any]) -> Definition:
    """Raises SqlParseFailed for the statement, and InvalidRequest with every problem of the rest."""
    version = payload.get("awsIotSqlVersion", FIRST_VERSION)
    if version not in VERSIONS:
        raise InvalidRequest(f"awsIotSqlVersion is one of {', '.join(VERSIONS)}, not {version!r:.60}.")
    source = parse.parse(payload["sql"], version).source or ""
    problems = _source_problems(source)
    if len(payload["actions"]) > MOST_ACTIONS:
        problems.append(f"A rule has at most {MOST_ACTIONS} actions, not {len(payload['actions'])}.")
    for at, action in enumerate(payload["actions"]):
        problems += [f"actions[{at}]: {problem}" for problem in _action_problems(action)]
    error_action = payload.get("errorAction")
    if error_action is not None:
        problems += [f"errorAction: {problem}" for problem in _action_problems(error_action)]
    if problems:
        raise InvalidRequest(all_of(problems))
    return Definition(
        statement=payload["sql"],
        statement_version=version,
        source=source,
        actions=payload["actions"],
        error_action=error_action,
        description=payload.get("description", ""),
        enabled=not payload.get("ruleDisabled", False),
    )


def _source_problems(source: str) -> list[str]:
    if not source:
        return []
    try:
        shared = topics.check_filter(source, _MOST_BYTES, None if source.startswith("$aws/") else _MOST_SLASHES)
    except ProtocolError as error:
        return [f"The topic filter after FROM cannot be used: {error}."]
    return ["A rule has no shared subscription; write FROM without $share/."] if shared else []


def _action_problems(action: Mapping[str, Any]) -> list[str]:
    if len(action) != 1:
        return [f"an action has one member, such as republish or lambda, not {len(action)}."]
    [(kind, given)] = action.items()
    if kind not in _CHECK:
        return [f"{kind} is not supported here; republish and lambda are."]
    return _CHECK[kind](given)


def _republish_problems(given: Mapping[str, Any]) -> list[str]:
    problems = _role_problems(given["roleArn"])
    topic = given["topic"]
    if not topic:
        problems.append("the topic of republish is empty.")
    if topic.startswith("$aws/") or (topic.startswith("$$aws/") and not topic.startswith("$$aws/rules/")):
        problems.append("republish reaches no reserved topic but $$aws/rules/<rule>/...")
    headers = given.get("headers", {})
    texts = [topic, *(value for value in headers.values() if isinstance(value, str))]
    texts += [each[part] for each in headers.get("userProperties", ()) for part in ("key", "value")]
    for text in texts:
        try:
            parsed = substitution.parse(text)
        except SqlParseFailed as error:
            problems.append(error.message)
            continue
        if text is topic and any(isinstance(part, str) and re.search("[#+]", part) for part in parsed.parts):
            problems.append("the topic of republish has a wildcard.")
    return problems


def _function_problems(given: Mapping[str, Any]) -> list[str]:
    arn = given["functionArn"]
    if _FUNCTION.fullmatch(arn):
        return []
    return [f"functionArn is the ARN of a function (arn:aws:lambda:REGION:ACCOUNT:function:NAME), not {arn!r:.120}."]


def _role_problems(arn: str) -> list[str]:
    if _ROLE.fullmatch(arn):
        return []
    return [f"roleArn is the ARN of a role (arn:aws:iam::ACCOUNT:role/NAME), not {arn!r:.120}."]


_CHECK: Final[Mapping[str, Callable[[Mapping[str, Any]], list[str]]]] = {
    "republish": _republish_problems,
    "lambda": _function_problems,
}
