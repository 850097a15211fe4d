"""Judging requests by policies: an explicit Deny beats an Allow, and what no statement allows is denied (IAM, IoT).

A device's connection makes one `Rights` and asks it about each packet. `decide` and `decide_all` are for single
questions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, TypeAlias

from fleetgate.policy.document import Document, Statement
from fleetgate.policy.principals import Caller
from fleetgate.policy.variables import Bound, Context


@dataclass(frozen=True, slots=True)
class Named:
    """A policy as it is attached: *version* is its version id, as text."""

    name: str
    version: str
    document: Document


@dataclass(frozen=True, slots=True)
class Request:
    action: str
    """`iot:Publish`, in any case of letters."""
    resource: str
    """The whole ARN; `*` for an action on no resource in particular, which then only a statement on `*` covers."""
    context: Context = field(default_factory=Context)
    caller: Caller | None = None
    """Whom trust policies ask for."""


@dataclass(frozen=True, slots=True)
class StatementRef:
    policy: str
    version: str
    index: int
    """From zero, as in `Statement[0]`."""
    sid: str | None = None

    def __str__(self) -> str:
        sid = f" ({self.sid})" if self.sid else ""
        return f"policy {self.policy} version {self.version}, Statement[{self.index}]{sid}"


class Reason(Enum):
    EXPLICIT = "explicit"
    IMPLICIT = "implicit"


@dataclass(frozen=True, slots=True)
class Allowed:
    statement: StatementRef
    action: str
    resource: str

    def __bool__(self) -> Literal[True]:
        return True

    def explain(self, who: str = "The caller") -> str:
        """One line for people: *who* asked for what on what, and what decided."""
        return f"{who} may {self.action} on {self.resource!r}: {self.statement} allows it."


@dataclass(frozen=True, slots=True)
class Denied:
    reason: Reason
    statement: StatementRef | None
    """The statement that denies; None when merely none allows."""
    missing: tuple[str, ...]
    """Variables and condition keys without (usable) values that alone kept a statement from allowing it."""
    action: str
    resource: str

    def __bool__(self) -> Literal[False]:
        return False

    def explain(self, who: str = "The caller") -> str:
        """One line for people: *who* asked for what on what, and what decided."""
        asked = f"{who} may not {self.action} on {self.resource!r}"
        if self.statement:
            return f"{asked}: {self.statement} denies it."
        if not self.missing:
            return f"{asked}: no statement allows it."
        return f"{asked}: a statement would allow it, but this request has no usable {', '.join(self.missing)}."


Verdict: TypeAlias = Allowed | Denied


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that policies say about one request, as TestAuthorization reports it."""

    verdict: Verdict
    allows: tuple[StatementRef, ...]
    denies: tuple[StatementRef, ...]
    silent: tuple[str, ...]
    """Names of the policies of which no statement matches."""
    missing: tuple[str, ...]
    """Variables and keys that alone kept a statement, of either effect, from matching."""


def decide(policies: Iterable[Named], request: Request) -> Verdict:
    return Rights(policies, request.context, request.caller).decide(request.action, request.resource)


def decide_all(policies: Sequence[Named], request: Request) -> Findings:
    """Like `decide`, going on after the statement that decides."""
    rights = Rights(policies, request.context, request.caller)
    rules = rights.rules(request.action)
    denies = [rule.ref for rule in rules.denies if rule.matches(request.resource)]
    allows = [rule.ref for rule in rules.allows if rule.matches(request.resource)]
    speaking = {ref.policy for ref in denies + allows}
    return Findings(
        rights.decide(request.action, request.resource),
        tuple(allows),
        tuple(denies),
        tuple(policy.name for policy in policies if policy.name not in speaking),
        _missing((*rules.denies, *rules.allows), request.resource),
    )


@dataclass(frozen=True, slots=True)
class _Rule:
    """A statement that speaks about an action and, but for what it lacks, about this context."""

    ref: StatementRef
    resources: Bound | None
    """None: whatever the resource."""
    lacks: tuple[str, ...]
    """Without these its conditions cannot hold."""

    def matches(self, resource: str) -> bool:
        return not self.lacks and (self.resources is None or self.resources.holds(resource))

    def lacking(self, resource: str) -> list[str]:
        """What alone keeps it from matching."""
        if self.resources is None or self.resources.holds(resource):
            return list(self.lacks)
        names = self.resources.lacking(resource)
        return [*names, *self.lacks] if names else []


@dataclass(frozen=True, slots=True)
class _Rules:
    """All that is said about one action."""

    denies: tuple[_Rule, ...]
    allows: tuple[_Rule, ...]


class Rights:
    """What the holder of *policies* may do in one context: variables substituted and conditions judged once.

    Make a new one when policies or context change. Conditions on keys that hold for one packet only (those of Connect)
    belong in the context of a `Rights` made for that packet.
    """

    __slots__ = ("_by_action", "_caller", "_context", "_policies")

    def __init__(self, policies: Iterable[Named], context: Context, caller: Caller | None = None) -> None:
        self._policies = tuple(policies)
        self._context = context
        self._caller = caller
        self._by_action: dict[str, _Rules] = {}

    def decide(self, action: str, resource: str) -> Verdict:
        rules = self._by_action.get(action) or self.rules(action)
        for rule in rules.denies:
            if rule.matches(resource):
                return Denied(Reason.EXPLICIT, rule.ref, (), action, resource)
        for rule in rules.allows:
            if rule.matches(resource):
                return Allowed(rule.ref, action, resource)
        return Denied(Reason.IMPLICIT, None, _missing(rules.allows, resource), action, resource)

    def rules(self, action: str) -> _Rules:
        """The statements about *action*; kept, for the actions that are asked about are few."""
        denies: list[_Rule] = []
        allows: list[_Rule] = []
        for policy in self._policies:
            for index, statement in enumerate(policy.document.statements):
                rule = self._rule(policy, index, statement, action.lower())
                if rule:
                    (denies if statement.denies else allows).append(rule)
        rules = self._by_action[action] = _Rules(tuple(denies), tuple(allows))
        return rules

    def _rule(self, policy: Named, index: int, statement: Statement, action: str) -> _Rule | None:
        grammar, denies = policy.document.grammar, statement.denies
        if not statement.actions.bind(self._context, grammar, denies=denies).holds(action):
            return None
        if statement.principals and not statement.principals.cover(self._caller):
            return None
        lacks: list[str] = []
        for condition in statement.conditions:
            holds, missing = condition.judge(self._context, grammar, denies=denies)
            if not holds and not missing:
                return None
            lacks += missing
        resources = statement.resources
        bound = resources.bind(self._context, grammar, denies=denies) if resources else None
        ref = StatementRef(policy.name, policy.version, index, statement.sid)
        return _Rule(ref, bound, tuple(lacks))


def _missing(rules: Iterable[_Rule], resource: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for rule in rules for name in rule.lacking(resource)))
