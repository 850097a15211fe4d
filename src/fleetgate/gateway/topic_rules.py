"""Topic rules at work: every message that was let in meets the rules of its realm (AWS: rules engine, Basic Ingest).

Rules are kept parsed, in memory, and read anew when one changes. A realm without rules costs one look into a dict.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from fleetgate.errors import FleetgateError
from fleetgate.gateway.observer import Origin
from fleetgate.names import Act, Realm
from fleetgate.registry import events, outbox, topic_rules
from fleetgate.registry.topic_rules import TopicRule
from fleetgate.runtime import Runtime
from fleetgate.sql import parse, substitution
from fleetgate.sql.effort import Effort, TooMuch
from fleetgate.sql.evaluate import Message, Output, run
from fleetgate.sql.substitution import Template
from fleetgate.sql.syntax import Statement
from fleetgate.sql.values import UNDEFINED
from fleetgate.wire.mqtt.errors import ProtocolError
from fleetgate.wire.mqtt.packets import Publish, QoS
from fleetgate.wire.mqtt.properties import Properties
from fleetgate.wire.mqtt.topics import FilterTree, check_topic

log = structlog.get_logger(__name__)

BASIC_INGEST: Final = "$aws/rules/"
MOST_REPUBLISHED: Final = 100
"""Messages that rules make of one message, and of what they made of it: two rules may feed each other."""
MOST_ERRORS: Final = 10
"""Beside them, messages of error actions."""
MOST_AT_ONCE: Final = 1_000
"""Messages whose functions are being called; the actions of more fail."""
LARGEST: Final = 128 * 1024
"""Bytes of a payload that is republished."""


class ActionFailed(Exception):
    """The message is for the error action."""


@dataclass(frozen=True, slots=True)
class Republish:
    topic: Template
    qos: QoS
    headers: Mapping[str, Template]
    user_properties: tuple[tuple[Template, Template], ...]
    name: str = "RepublishAction"

    @property
    def resource(self) -> str:
        return self.topic.source


@dataclass(frozen=True, slots=True)
class Invoke:
    resource: str
    """The function's ARN."""
    name: str = "LambdaAction"


Action = Republish | Invoke


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """A rule as it is run."""

    name: str
    statement: Statement
    actions: tuple[Action, ...]
    error_action: Action | None


class _Rules:
    """The rules of one realm that are switched on."""

    def __init__(self, found: Sequence[Rule], parent: bool) -> None:
        self.by_name = {rule.name: rule for rule in found}
        self._tree: FilterTree[Rule] = FilterTree(parent=parent)
        for rule in found:
            if rule.statement.source is not None:
                self._tree.add(rule.statement.source, rule)

    def match(self, topic: str) -> tuple[Sequence[Rule], str]:
        """Who is concerned, and the topic as `topic()` has it there."""
        if not topic.startswith(BASIC_INGEST):
            return self._tree.match(topic), topic
        name, _, rest = topic.removeprefix(BASIC_INGEST).partition("/")
        rule = self.by_name.get(name)
        return ([] if rule is None else [rule]), rest


@dataclass(slots=True)
class _Chain:
    """What came of one message so far."""

    left: int = MOST_REPUBLISHED
    errors_left: int = MOST_ERRORS
    effort: Effort = field(default_factory=Effort)

    def spend(self, *, error: bool) -> bool:
        """Whether one more may be made. Errors have an allowance of their own: that the other is spent is one."""
        if error:
            self.errors_left -= 1
            return self.errors_left >= 0
        self.left -= 1
        return self.left >= 0


@dataclass(frozen=True, slots=True)
class _Case:
    """One rule, one message."""

    rule: Rule
    act: Act
    arrived: Publish
    message: Message
    chain: _Chain
    failures: list[dict[str, str]] = field(default_factory=list)

    def failed(self, action: Action, problem: str) -> None:
        told = {"failedAction": action.name, "failedResource": action.resource, "errorMessage": problem}
        self.failures.append(told)
        log.warning("rule action failed", rule=self.rule.name, request_id=self.act.request_id, reason=problem)

    def told(self) -> dict[str, Any]:
        """AWS's message to an error action."""
        return {
            "ruleName": self.rule.name,
            "topic": self.arrived.topic,
            "cloudwatchTraceId": self.message.trace_id,
            "clientId": self.message.client_id,
            "base64OriginalPayload": base64.b64encode(self.arrived.payload).decode(),
            "failures": self.failures,
        }


class TopicRules:
    """`load` before the doors open, `consume` for `Dispatcher.add`, `take` for every message; `close` ends calls."""

    def __init__(self, runtime: Runtime, publish: Callable[[Realm, Publish], object], *, parent: bool = False) -> None:
        """*publish* is what a republished message goes through. *parent*: whether `a/#` selects `a`."""
        self._runtime, self._publish, self._parent = runtime, publish, parent
        self._rules: dict[Realm, _Rules] = {}
        self._looks = 0
        self._seen: dict[Realm, int] = {}  # which look its rules are from
        self._tasks: set[asyncio.Task[None]] = set()
        self._chain: _Chain | None = None

    # -- what rules there are ------------------------------------------------------------------------------------------

    def any_in(self, realm: Realm) -> bool:
        return realm in self._rules

    async def load(self) -> None:
        """The rules of every realm. Raises Unavailable."""
        for realm in await self._runtime.database.read(topic_rules.realms):
            await self._reload(realm)

    def consume(self, entries: Sequence[outbox.Entry]) -> None:
        for realm in {entry.realm for entry in entries if isinstance(entry.event, events.TopicRuleChanged)}:
            self._begin(self._reload_patiently(realm))

    def forget(self) -> None:
        """A dev server was emptied."""
        self._rules.clear()

    async def _reload_patiently(self, realm: Realm) -> None:
        """A database that is away comes back; until then the rules stay as they were."""
        while True:
            try:
                await self._reload(realm)
            except FleetgateError as error:
                log.warning("topic rules not read", realm=str(realm), reason=error.message)
                await asyncio.sleep(1)
            else:
                return

    async def _reload(self, realm: Realm) -> None:
        self._looks += 1
        look = self._looks
        found = await self._runtime.database.read(lambda tx: topic_rules.running(tx, realm))
        if look < self._seen.get(realm, 0):  # a later look was quicker
            return
        self._seen[realm] = look
        rules = [rule for rule in map(_prepared, found) if rule is not None]
        if rules:
            self._rules[realm] = _Rules(rules, self._parent)
        else:
            self._rules.pop(realm, None)

    # -- messages ------------------------------------------------------------------------------------------------------

    def take(self, realm: Realm, arrived: Publish, origin: Origin) -> None:
        """Run every rule that *arrived* concerns: statements and republishing at once, functions in the background."""
        rules = self._rules.get(realm)
        if rules is None:
            return
        concerned, topic = rules.match(arrived.topic)
        if not concerned:
            return
        actor = "system" if origin.principal is None else origin.principal.actor
        act = self._runtime.act(realm, actor)
        chain = self._chain or _Chain()
        message = Message(
            topic=topic,
            payload=arrived.payload,
            now=act.now,
            account=realm.account,
            client_id=origin.client_id,
            principal=None if origin.principal is None else origin.principal.identifier,
            trace_id=act.request_id,
            entropy=self._runtime.entropy,
            effort=chain.effort,
        )
        for rule in concerned:
            try:
                self._run(_Case(rule, act, arrived, message, chain))
            except Exception:
                log.exception("rule failed", rule=rule.name, realm=str(realm), request_id=act.request_id)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _run(self, case: _Case) -> None:
        try:
            output = run(case.rule.statement, case.message)
        except TooMuch as problem:
            for action in case.rule.actions:
                case.failed(action, str(problem))
            self._report(case)
            return
        if output is None:
            return
        calls = []
        for action in case.rule.actions:
            if isinstance(action, Invoke):
                calls.append(action)
                continue
            self._republish(case, action, output)
        if calls and len(self._tasks) < MOST_AT_ONCE:
            self._begin(self._call_all(case, calls, output.value))
            return
        for action in calls:
            case.failed(action, f"{MOST_AT_ONCE} calls are under way already")
        self._report(case)

    async def _call_all(self, case: _Case, calls: Sequence[Invoke], value: Any) -> None:
        await asyncio.gather(*(self._call(case, action, value) for action in calls))
        self._report(case)

    async def _call(self, case: _Case, action: Invoke, value: Any) -> None:
        if value is UNDEFINED:
            case.failed(action, "the payload is not JSON; select encode(*, 'base64') AS data to pass it on")
            return
        try:
            await self._runtime.functions.invoke(case.act, action.resource, value)
        except FleetgateError as error:
            case.failed(action, error.message)
        except Exception as error:
            log.exception("rule failed", rule=case.rule.name, request_id=case.act.request_id)
            case.failed(action, type(error).__name__)

    def _report(self, case: _Case) -> None:
        """Have the error action told, once, of everything that failed."""
        action = case.rule.error_action
        if not case.failures or action is None:
            return
        told = case.told()
        output = Output(json.dumps(told, separators=(",", ":")).encode(), told)
        if isinstance(action, Invoke):
            if len(self._tasks) < MOST_AT_ONCE:
                self._begin(self._call(case, action, told))
        else:
            self._republish(case, action, output, error=True)

    def _republish(self, case: _Case, action: Republish, output: Output, *, error: bool = False) -> None:
        try:
            ready = _filled(action, output, case.message)
        except ActionFailed as problem:
            case.failed(action, str(problem))
            return
        if not case.chain.spend(error=error):
            case.failed(action, f"rules made {MOST_REPUBLISHED} messages of one; do they feed each other?")
            return
        before, self._chain = self._chain, case.chain
        try:
            self._publish(case.act.realm, ready)
        finally:
            self._chain = before

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


# --- pure -------------------------------------------------------------------------------------------------------------


def _prepared(rule: TopicRule) -> Rule | None:
    given = rule.definition
    try:
        statement = parse.parse(given.statement, given.statement_version)
        actions = tuple(map(_action, given.actions))
        return Rule(rule.name, statement, actions, None if given.error_action is None else _action(given.error_action))
    except (FleetgateError, LookupError, ValueError) as error:  # kept by another version, or by hand
        log.warning("topic rule not run", rule=rule.name, reason=str(error))
        return None


def _action(given: topic_rules.Action) -> Action:
    if "lambda" in given:
        return Invoke(given["lambda"]["functionArn"])
    republish = given["republish"]
    headers = republish.get("headers", {})
    return Republish(
        substitution.parse(republish["topic"]),
        QoS(republish.get("qos", 0)),
        {name: substitution.parse(text) for name, text in headers.items() if name != "userProperties"},
        tuple(
            (substitution.parse(each["key"]), substitution.parse(each["value"]))
            for each in headers.get("userProperties", ())
        ),
    )


def _filled(action: Republish, output: Output, message: Message) -> Publish:
    """Raises ActionFailed."""
    topic = _text(action.topic, message)
    if topic.startswith("$$"):  # AWS: how a template begins a reserved topic
        topic = topic[1:]
    if topic.startswith("$") and not topic.startswith(BASIC_INGEST):
        raise ActionFailed(f"{topic} is reserved")
    if len(output.payload) > LARGEST:
        raise ActionFailed(f"the payload has {len(output.payload)} bytes; at most {LARGEST} are allowed")
    try:
        check_topic(topic, 256)
    except ProtocolError as error:
        raise ActionFailed(str(error)) from error
    return Publish(topic, output.payload, action.qos, properties=_properties(action, message))


def _properties(action: Republish, message: Message) -> Properties:
    found = Properties()
    for name, template in action.headers.items():
        text = _text(template, message)
        match name:
            case "payloadFormatIndicator":
                found["payload_format_indicator"] = int(text in {"1", "UTF8_DATA"})
            case "contentType":
                found["content_type"] = text
            case "responseTopic":
                found["response_topic"] = text
            case "correlationData":
                found["correlation_data"] = text.encode("utf-8", "replace")
            case "messageExpiry":
                found["message_expiry_interval"] = _seconds(text)
    if action.user_properties:
        pairs = action.user_properties
        found["user_property"] = tuple((_text(key, message), _text(value, message)) for key, value in pairs)
    return found


def _seconds(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 9:
        return int(text)
    raise ActionFailed(f"messageExpiry is a number of seconds, not {text!r:.60}")


def _text(template: Template, message: Message) -> str:
    text = template.fill(message)
    if text is None:
        raise ActionFailed(f"{template.source:.200} has no value for this message")
    return text
