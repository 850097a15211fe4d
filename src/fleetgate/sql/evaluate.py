"""A statement meets a message: what goes on to the rule's actions, or that nothing does."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from fleetgate.sql.effort import Effort
from fleetgate.sql.functions import PURE, numeric, quotient, remainder
from fleetgate.sql.syntax import (
    Binary,
    Call,
    Case,
    Element,
    Expression,
    Items,
    Literal,
    Member,
    Members,
    Name,
    Star,
    Statement,
    Unary,
)
from fleetgate.sql.values import LONGEST, UNDEFINED, boolean, defined, equal, is_number, number, ordered, text

NO_CLIENT: Final = "n/a"


@dataclass(frozen=True)  # no slots: what the payload says is worked out once, when it is first asked for
class Message:
    """What a rule looks at."""

    topic: str
    """As `topic()` has it: for Basic Ingest, without `$aws/rules/<rule>/`."""
    payload: bytes = field(repr=False)
    now: int
    """Milliseconds UTC."""
    account: str = ""
    client_id: str | None = None
    principal: str | None = None
    trace_id: str = ""
    entropy: Callable[[int], bytes] = bytes
    effort: Effort = field(default_factory=Effort, compare=False)
    """What is left to all who look at it."""

    @cached_property
    def value(self) -> Any:
        """The payload as JSON; UNDEFINED where it is none."""
        try:
            return json.loads(self.payload, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            return UNDEFINED


@dataclass(frozen=True, slots=True)
class Output:
    """What a rule passes on: *payload* as it goes on a topic, *value* as it goes to a function (UNDEFINED: no JSON)."""

    payload: bytes = field(repr=False)
    value: Any = field(repr=False)


def run(statement: Statement, message: Message) -> Output | None:
    """What *statement* makes of *message*, which is on a topic of its source; None where its WHERE does not hold, or
    where it selects from what has no members. Raises TooMuch.
    """
    try:
        if statement.where is not None and boolean(evaluate(statement.where, message)) is not True:
            return None
        if statement.passes_all and not statement.value:
            return Output(message.payload, message.value)
        selected = _value(statement, message) if statement.value else _object(statement, message)
        if selected is UNDEFINED:
            return None
        return Output(_bytes(selected), selected)
    except RecursionError:  # a payload as deep as that
        return None


def evaluate(expression: Expression, message: Message) -> Any:
    """The value of *expression*. Raises RecursionError for what is too deep, TooMuch, and nothing else."""
    return _EVALUATE[type(expression)](expression, message)


def _looked_at(expression: Expression, message: Message) -> Any:
    """The value of what a function or an operator works on."""
    value = evaluate(expression, message)
    message.effort.spend(value, message.payload)
    return value


def _value(statement: Statement, message: Message) -> Any:
    value = evaluate(statement.items[0].expression, message)
    if statement.version == "2015-10-08" and isinstance(value, list):
        return UNDEFINED  # documented: an array on top needs 2016-03-23
    return value if value is UNDEFINED else defined(value)


def _object(statement: Statement, message: Message) -> Any:
    """What has a name of its own goes over what came with `*`, wherever that stands: no payload can pretend to be
    what a function says.
    """
    found: dict[str, Any] = {}
    if any(isinstance(item.expression, Star) for item in statement.items):
        given = message.value if message.payload else {}
        if not isinstance(given, dict):
            return UNDEFINED
        found.update(given)
    for item in statement.items:
        if item.path and (value := evaluate(item.expression, message)) is not UNDEFINED:
            _put(found, item.path, value)
    return defined(found)


def _put(found: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for name in path[:-1]:
        inner = found.get(name)
        found[name] = dict(inner) if isinstance(inner, dict) else {}
        found = found[name]
    found[path[-1]] = value


def _bytes(value: Any) -> bytes:
    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return json.dumps(value, separators=(",", ":")).encode()


# --- expressions ------------------------------------------------------------------------------------------------------


def _call(expression: Call, message: Message) -> Any:
    about = _ABOUT_THE_MESSAGE.get(expression.function)
    if about is not None:
        return about(message, *(_looked_at(each, message) for each in expression.arguments))
    if expression.function == "encode" and isinstance(expression.arguments[0], Star):
        message.effort.spend([], message.payload)
        return PURE["encode"][2](message.payload, evaluate(expression.arguments[1], message))
    return PURE[expression.function][2](*(_looked_at(each, message) for each in expression.arguments))


def _member(expression: Member, message: Message) -> Any:
    of = evaluate(expression.of, message)
    return of.get(expression.name, UNDEFINED) if isinstance(of, dict) else UNDEFINED


def _name(expression: Name, message: Message) -> Any:
    return message.value.get(expression.name, UNDEFINED) if isinstance(message.value, dict) else UNDEFINED


def _element(expression: Element, message: Message) -> Any:
    of, at = evaluate(expression.of, message), evaluate(expression.index, message)
    return PURE["get"][2](of, at)


def _unary(expression: Unary, message: Message) -> Any:
    value = evaluate(expression.operand, message)
    if expression.operator == "-":
        return numeric(lambda given: -given)(value)
    truth = boolean(value)
    return UNDEFINED if truth is UNDEFINED else not truth


def _binary(expression: Binary, message: Message) -> Any:
    operator, left = expression.operator, _looked_at(expression.left, message)
    if operator in {"AND", "OR"}:
        return _joined(operator == "OR", boolean(left), expression.right, message)
    right = _looked_at(expression.right, message)
    match operator:
        case "=":
            return equal(left, right)
        case "<>":
            same = equal(left, right)
            return UNDEFINED if same is UNDEFINED else not same
        case "IN":
            return any(equal(left, each) is True for each in right) if isinstance(right, list) else UNDEFINED
        case "<" | "<=" | ">" | ">=":
            return _compared(operator, left, right)
        case "+":
            return _sum(left, right)
    return _ARITHMETIC[operator](left, right)


def _joined(decisive: bool, left: Any, right: Expression, message: Message) -> Any:
    """AND (false decides) and OR (true does); otherwise both must be booleans."""
    if left is decisive:
        return decisive
    other = boolean(evaluate(right, message))
    if other is decisive:
        return decisive
    return UNDEFINED if left is UNDEFINED or other is UNDEFINED else not decisive


def _compared(operator: str, left: Any, right: Any) -> Any:
    sides = ordered(left, right)
    if sides is None:
        return UNDEFINED
    lower, higher = sides if operator[0] == "<" else sides[::-1]
    return bool(lower <= higher) if operator.endswith("=") else bool(lower < higher)


def _sum(left: Any, right: Any) -> Any:
    """Of numbers; with a string on either side they are joined."""
    if is_number(left) and is_number(right):
        return numeric(lambda a, b: a + b)(left, right)
    if not isinstance(left, str) and not isinstance(right, str):
        return UNDEFINED
    first, second = text(left), text(right)
    if first is UNDEFINED or second is UNDEFINED or len(first) + len(second) > LONGEST:
        return UNDEFINED
    return first + second


_ARITHMETIC: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "-": numeric(lambda a, b: a - b),
    "*": numeric(lambda a, b: a * b),
    "/": numeric(quotient),
    "%": numeric(remainder),
}


def _case(expression: Case, message: Message) -> Any:
    subject = None if expression.subject is None else _looked_at(expression.subject, message)
    for condition, value in expression.branches:
        found = _looked_at(condition, message)
        holds = boolean(found) if expression.subject is None else equal(subject, found)
        if holds is True:
            return evaluate(value, message)
    return UNDEFINED if expression.otherwise is None else evaluate(expression.otherwise, message)


_EVALUATE: Final[Mapping[type, Callable[[Any, Message], Any]]] = {
    Literal: lambda expression, message: expression.value,
    Star: lambda expression, message: message.value,
    Name: _name,
    Member: _member,
    Element: _element,
    Call: _call,
    Unary: _unary,
    Binary: _binary,
    Items: lambda expression, message: [_looked_at(each, message) for each in expression.items],
    Members: lambda expression, message: {name: _looked_at(each, message) for name, each in expression.members},
    Case: _case,
}


# --- functions of the message -----------------------------------------------------------------------------------------


def _topic(message: Message, level: Any = None) -> Any:
    """The topic, or one of its levels, counted from 1."""
    if level is None:
        return message.topic
    levels, at = message.topic.split("/"), number(level)
    return levels[at - 1] if isinstance(at, int) and 1 <= at <= len(levels) else UNDEFINED


def _new_uuid(message: Message) -> str:
    return str(uuid.UUID(bytes=message.entropy(16), version=4))


def _random(message: Message) -> float:
    """From 0 to below 1, with 53 bits."""
    return (int.from_bytes(message.entropy(8), "big") >> 11) / 2**53


_ABOUT_THE_MESSAGE: Final[Mapping[str, Callable[..., Any]]] = {
    "accountid": lambda message: message.account,
    "clientid": lambda message: NO_CLIENT if message.client_id is None else message.client_id,
    "newuuid": _new_uuid,
    "principal": lambda message: UNDEFINED if message.principal is None else message.principal,
    "rand": _random,
    "timestamp": lambda message: message.now,
    "topic": _topic,
    "traceid": lambda message: message.trace_id,
}


def _no_constant(word: str) -> Any:
    raise ValueError(word)
