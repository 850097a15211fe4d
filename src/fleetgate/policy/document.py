"""Policy documents: JSON text in, a frozen Document out, or every problem at once with its path.

The grammar is IAM's (IAM JSON policy reference, Grammar); `grammar.IOT`, `IAM` and `TRUST` say which parts of it a kind
of document has.
"""

from __future__ import annotations

import difflib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from fleetgate import errors
from fleetgate.policy.conditions import OPERATORS, Condition, arn_pattern, arns, read_condition, split_operator
from fleetgate.policy.grammar import IAM, IOT, TRUST, Grammar
from fleetgate.policy.pattern import any_of, tokenize
from fleetgate.policy.principals import KINDS, Principals, entry
from fleetgate.policy.variables import Choice

__all__ = ["IAM", "IOT", "TRUST", "Condition", "Document", "Effect", "Grammar", "Statement", "parse", "size"]


class Effect(Enum):
    ALLOW = "Allow"
    DENY = "Deny"


@dataclass(frozen=True, slots=True)
class Statement:
    effect: Effect
    actions: Choice
    """Asked with an action in lower case."""
    resources: Choice | None
    """None in a trust policy: whatever the resource."""
    principals: Principals | None
    """None but in a trust policy: whoever asks."""
    conditions: tuple[Condition, ...]
    sid: str | None

    @property
    def denies(self) -> bool:
        return self.effect is Effect.DENY


@dataclass(frozen=True, slots=True)
class Document:
    version: str
    id: str | None
    statements: tuple[Statement, ...]
    grammar: Grammar


def size(text: str) -> int:
    """Characters that count towards a document's limit: all but white space."""
    return len("".join(text.split()))


def parse(text: str, grammar: Grammar = IOT, *, longest: int | None = None) -> Document:
    """The document that *text* (JSON) holds; *longest* characters (as `size` counts) in place of the grammar's limit.

    Raises MalformedPolicy, which names every problem with its path, and nothing else.
    """
    limit = grammar.longest if longest is None else longest
    if size(text) > limit:
        raise errors.MalformedPolicy(
            f"This is not {grammar.name}: it has {size(text)} characters, white space not counted, of {limit} allowed."
        )
    reader = _Reader(grammar)
    document = reader.document(text)
    if document is None or reader.problems:
        raise errors.MalformedPolicy(f"This is not {grammar.name}: {errors.all_of(reader.problems)}")
    return document


# --- JSON -------------------------------------------------------------------------------------------------------------


class _Number(str):
    """A JSON number or constant as it was written: a condition's value takes it for text, nothing else takes it."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class _Object:
    members: dict[str, Any]
    repeated: tuple[str, ...]

    @classmethod
    def of(cls, pairs: list[tuple[str, Any]]) -> _Object:
        counted = Counter(name for name, _ in pairs)
        return cls(dict(pairs), tuple(name for name, count in counted.items() if count > 1))


def _constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def _json(text: str) -> Any:
    """Raises ValueError with words for the author."""
    try:
        return json.loads(
            text, object_pairs_hook=_Object.of, parse_int=_Number, parse_float=_Number, parse_constant=_constant
        )
    except RecursionError:
        raise ValueError("nested far too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None


def _is_text(value: object) -> bool:
    return isinstance(value, str) and not isinstance(value, _Number)


_DESCRIBED: Final = {
    bool: "true or false",
    type(None): "null",
    list: "a list",
    _Object: "an object",
    _Number: "a number",
}


def _what(value: Any) -> str:
    return _DESCRIBED.get(type(value)) or repr(value)


def _nearest(word: str, known: Iterable[str]) -> str:
    by_case = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), by_case, n=1)
    return f"; did you mean {by_case[found[0]]}?" if found else ""


# --- the grammar ------------------------------------------------------------------------------------------------------

_VERSIONS: Final = ("2012-10-17", "2008-10-17")
_DOCUMENT: Final = ("Version", "Id", "Statement")
_STATEMENT: Final = (
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
)
_SID: Final = re.compile(r"[A-Za-z0-9]*")
_ACTION: Final = re.compile(r"\*|[A-Za-z0-9-]+:[A-Za-z0-9*?]+")
_KEY: Final = re.compile(r"[^:\s]+:.+")
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")


@dataclass(slots=True)
class _Reader:
    """Reads one document and goes on after each problem. What it cannot read becomes None, or is left out."""

    grammar: Grammar
    problems: list[str] = field(default_factory=list)
    variables: bool = True

    def problem(self, path: str, text: str) -> None:
        self.problems.append(f"{path}: {text}." if path else f"{text}.")

    def document(self, text: str) -> Document | None:
        try:
            whole = _json(text)
        except ValueError as error:
            self.problem("", str(error))
            return None
        members = self.members("", whole, _DOCUMENT)
        if members is None:
            return None
        version = self.version(members)
        self.variables = self.grammar.variables_always or version == "2012-10-17"
        id_ = self.text("Id", members["Id"]) if "Id" in members else None
        statements = self.statements(members)
        return Document(version, id_, statements, self.grammar)

    def version(self, members: Mapping[str, Any]) -> str:
        version = members.get("Version", "2008-10-17")
        if not _is_text(version) or version not in _VERSIONS:
            self.problem("Version", f'must be "2012-10-17" (or, of old, "2008-10-17"), not {_what(version)}')
        return str(version)

    def statements(self, members: Mapping[str, Any]) -> tuple[Statement, ...]:
        if "Statement" not in members:
            self.problem("Statement", "missing")
            return ()
        given = members["Statement"]
        if not isinstance(given, list):
            read = [self.statement("Statement", given)]
        elif given:
            read = [self.statement(f"Statement[{index}]", each) for index, each in enumerate(given)]
        else:
            self.problem("Statement", "empty; a policy has at least one statement")
            read = []
        self.unique_sids(read)
        return tuple(statement for statement in read if statement)

    def unique_sids(self, read: Sequence[Statement | None]) -> None:
        seen: set[str] = set()
        for index, statement in enumerate(read):
            sid = statement.sid if statement else None
            if self.grammar.unique_sids and sid and sid in seen:
                self.problem(f"Statement[{index}].Sid", f"{sid!r} is another statement's Sid already")
            seen.add(sid or "")

    def statement(self, path: str, given: Any) -> Statement | None:
        members = self.members(path, given, _STATEMENT)
        if members is None:
            return None
        effect = self.effect(path, members)
        actions = self.choice(path, members, "Action", True, self.actions)
        resources = self.choice(path, members, "Resource", self.grammar.has_resource, self.resources)
        named = self.principals(path, members, effect)
        found = self.conditions(f"{path}.Condition", members.get("Condition", _Object({}, ())))
        sid = self.sid(f"{path}.Sid", members["Sid"]) if "Sid" in members else None
        if effect is None or actions is None:
            return None
        return Statement(effect, actions, resources, named, found, sid)

    def effect(self, path: str, members: Mapping[str, Any]) -> Effect | None:
        given = members.get("Effect")
        if _is_text(given) and given in {"Allow", "Deny"}:
            return Effect(given)
        found = f"must be Allow or Deny, not {_what(given)}" if "Effect" in members else "missing; Allow or Deny"
        self.problem(f"{path}.Effect", found)
        return None

    def sid(self, path: str, given: Any) -> str | None:
        sid = self.text(path, given)
        if sid is not None and not _SID.fullmatch(sid):
            self.problem(path, f"{sid!r} may hold letters and digits only")
        return sid

    # An element and its Not-twin: exactly one of them, or neither where the grammar has no such element.

    def which(self, path: str, members: Mapping[str, Any], name: str, wanted: bool) -> str | None:
        present = [each for each in (name, f"Not{name}") if each in members]
        if not wanted:
            for each in present:
                self.problem(f"{path}.{each}", f"{self.grammar.name} has none")
            return None
        if len(present) != 1:
            both = "both are given; keep one" if present else "missing; one of them is needed"
            self.problem(path, f"{name}, Not{name}: {both}")
            return None
        return present[0]

    def choice(
        self,
        path: str,
        members: Mapping[str, Any],
        name: str,
        wanted: bool,
        read: Callable[[str, Sequence[tuple[str, str]], bool], Choice],
    ) -> Choice | None:
        chosen = self.which(path, members, name, wanted)
        if chosen is None:
            return None
        texts = self.texts(f"{path}.{chosen}", members[chosen])
        return read(f"{path}.{chosen}", texts, chosen != name) if texts else None

    def actions(self, path: str, texts: Sequence[tuple[str, str]], negated: bool) -> Choice:
        for at, text in texts:
            if not _ACTION.fullmatch(text):
                self.problem(at, f"{text!r} is not an action; one looks like iot:Publish, iot:* or *")
        words = [text for _, text in texts]
        tokens = [tokenize(word.lower(), variables=False) for word in words]
        return Choice.of_patterns(words, tokens, any_of, negated=negated)

    def resources(self, path: str, texts: Sequence[tuple[str, str]], negated: bool) -> Choice:
        tokens = []
        for at, text in texts:
            try:
                tokens.append(arn_pattern(text, variables=self.variables))
            except ValueError as error:
                self.problem(at, str(error))
        return Choice.of_patterns([text for _, text in texts], tokens, arns, negated=negated)

    def principals(self, path: str, members: Mapping[str, Any], effect: Effect | None) -> Principals | None:
        chosen = self.which(path, members, "Principal", self.grammar.has_principal)
        if chosen is None:
            return None
        given, path, negated = members[chosen], f"{path}.{chosen}", chosen != "Principal"
        if negated and effect is Effect.ALLOW:
            self.problem(path, "would allow everybody but those named; NotPrincipal goes with Deny only")
        if given == "*":
            return Principals(frozenset({("*", "*")}), negated)
        entries = [
            found
            for kind, names in (self.members(path, given, tuple(KINDS)) or {}).items()
            for at, name in self.texts(f"{path}.{kind}", names)
            for found in self.principal(at, kind, name)
        ]
        if isinstance(given, _Object) and not given.members:
            self.problem(path, "empty; name at least one principal")
        return Principals(frozenset(entries), negated)

    def principal(self, path: str, kind: str, name: str) -> list[tuple[str, str]]:
        try:
            return [entry(kind, name)]
        except ValueError as error:
            self.problem(path, str(error))
            return []

    def conditions(self, path: str, given: Any) -> tuple[Condition, ...]:
        found: list[Condition] = []
        for operator, keys in (self.members(path, given, None) or {}).items():
            at = f"{path}.{operator}"
            try:
                split_operator(operator)
            except ValueError as error:
                self.problem(at, f"{error}{_nearest(operator.rpartition(':')[2], OPERATORS)}")
                continue
            if isinstance(keys, _Object) and not keys.members:
                self.problem(at, "empty; give at least one key")
            for key, values in (self.members(at, keys, None) or {}).items():
                found += self.condition(f"{at}.{key}", operator, key, values)
        return tuple(found)

    def condition(self, path: str, operator: str, key: str, given: Any) -> list[Condition]:
        if not _KEY.fullmatch(key):
            self.problem(path, f"{key!r} is not a condition key; one looks like iot:ClientId or aws:SourceIp")
            return []
        values = [text for _, text in self.texts(path, given, scalars=True)]
        try:
            return [read_condition(operator, key, values, variables=self.variables)] if values else []
        except ValueError as error:
            self.problem(path, str(error))
            return []

    # The shapes: object, text, one text or a list of them.

    def members(self, path: str, given: Any, known: Sequence[str] | None) -> dict[str, Any] | None:
        """The members of an object; those not *known* are reported and left out. None if *given* is no object."""
        if not isinstance(given, _Object):
            self.problem(path, f"must be an object, not {_what(given)}")
            return None
        for name in given.repeated:
            self.problem(f"{path}.{name}".lstrip("."), "given more than once")
        if known is None:
            return given.members
        for name in [name for name in given.members if name not in known]:
            self.problem(f"{path}.{name}".lstrip("."), f"unknown{_nearest(name, known)}")
        return {name: value for name, value in given.members.items() if name in known}

    def text(self, path: str, given: Any) -> str | None:
        if not _is_text(given):
            self.problem(path, f"must be text, not {_what(given)}")
            return None
        if _LONE_SURROGATE.search(given):
            self.problem(path, "holds half of a surrogate pair, which is no character")
            return None
        return str(given)

    def texts(self, path: str, given: Any, *, scalars: bool = False) -> list[tuple[str, str]]:
        """(path, text) of one text or of each in a list; with *scalars* a number or a boolean is taken for its text."""
        if given == []:
            self.problem(path, "empty; give at least one value")
        each = (
            [(f"{path}[{i}]", value) for i, value in enumerate(given)] if isinstance(given, list) else [(path, given)]
        )
        read = [(at, self.text(at, _scalar(value) if scalars else value)) for at, value in each]
        return [(at, text) for at, text in read if text is not None]


def _scalar(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, _Number) else value
