"""What a request knows, and how policy variables take their values from it (AWS IoT policy variables, IAM variables).

Two rules of AWS IoT keep a device from writing its own policy: a value is substituted as literal text, and a value
that holds `* $ + ? #` is not substituted at all. A variable without a usable value makes its pattern match nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from fleetgate.policy.grammar import Grammar
from fleetgate.policy.pattern import Join, Matcher, Token, Tokens, Variable, Wild, any_of, fold, has_variables, replaced

Values: TypeAlias = str | Sequence[str]

_MOST_INDEXED: Final = 5
_AUTHENTICATED: Final = ("iot:clientid", "aws:sourceip", "iot:connection.thing.", "iot:certificate.")
_ESCAPED: Final = re.compile(r'[,"\\+=<>;]')


@dataclass(frozen=True, slots=True)
class Thing:
    """The thing a connection may speak for: the one named like its client id, or the certificate's exclusive thing."""

    name: str
    type_name: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    attached: bool = False
    """Is the certificate attached to it?"""
    exclusive: bool = False
    """Attached as an exclusive thing, so that the client id need not be its name."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A client certificate as plain values, in certificate order and as they stand in it: escaping is done here.

    *subject* and *issuer* map an attribute, which is the part of the variable after `Subject.` (`CommonName`,
    `OrganizationalUnit`, `AlternativeName.DNSName`, ...), to its values.
    """

    serial_number: str
    """Hexadecimal; empty if it is not known."""
    subject: Mapping[str, Sequence[str]] = field(default_factory=dict)
    issuer: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Context:
    """What a request knows. Keys ignore case; a key without values is absent."""

    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By folded key: see `pattern.fold`."""

    @classmethod
    def of(cls, values: Mapping[str, Values]) -> Context:
        """From keys in any spelling."""
        return cls({fold(key): _tuple(value) for key, value in values.items() if value or value == ""})

    def get(self, key: str) -> tuple[str, ...]:
        """The values of a key that is already folded; empty when it is absent."""
        return self.values.get(key, ())

    def extended(self, values: Mapping[str, Values]) -> Context:
        """These keys and those of *values*, which win. For what holds in one request only: `iot:ConnectAttributes`."""
        return Context({**self.values, **Context.of(values).values})


def connection(
    *,
    client_id: str | None = None,
    source_ip: str | None = None,
    thing: Thing | None = None,
    certificate: Certificate | None = None,
    more: Mapping[str, Values] | None = None,
) -> Context:
    """The context of a device's connection. *more* adds any other keys; those of client id, address, thing and
    certificate come from these arguments alone and are left out of *more*.
    """
    own: dict[str, Values] = {}
    if client_id is not None:
        own["iot:ClientId"] = client_id
    if source_ip is not None:
        own["aws:SourceIp"] = source_ip
    if thing is not None:
        own |= _of_thing(thing, client_id)
    if certificate is not None:
        own |= _of_certificate(certificate)
    others = {key: value for key, value in (more or {}).items() if not fold(key).startswith(_AUTHENTICATED)}
    return Context.of({**others, **own})


def _of_thing(thing: Thing, client_id: str | None) -> dict[str, Values]:
    """Only IsAttached is known of a thing that the connection may not speak for."""
    prefix = "iot:Connection.Thing."
    if not thing.attached or not (thing.exclusive or thing.name == client_id):
        return {prefix + "IsAttached": "false"}
    known: dict[str, Values] = {prefix + "ThingName": thing.name, prefix + "IsAttached": "true"}
    if thing.type_name is not None:
        known[prefix + "ThingTypeName"] = thing.type_name
    return known | {f"{prefix}Attributes[{name}]": value for name, value in thing.attributes.items()}


def _of_certificate(certificate: Certificate) -> dict[str, Values]:
    serial = certificate.serial_number
    known: dict[str, Values] = {"iot:Certificate.SerialNumber": serial} if serial else {}
    for party, attributes in (("Subject", certificate.subject), ("Issuer", certificate.issuer)):
        for name, values in attributes.items():
            known |= _indexed(f"iot:Certificate.{party}.{name}", [_escaped(value) for value in values])
    return known | {"iot:Certificate.AvailableKeys": [key for key in known if not key.endswith(".List")]}


def _indexed(name: str, values: Sequence[str]) -> dict[str, Values]:
    """The bare name is the first value, `.1` the second, up to five; `.List` is all of them.

    A sixth value stays in the list: left out, it would escape a `ForAllValues:` condition.
    """
    single: dict[str, Values] = {
        f"{name}.{index}" if index else name: value for index, value in enumerate(values[:_MOST_INDEXED])
    }
    return single | {f"{name}.List": values}


def _escaped(value: str) -> str:
    return _ESCAPED.sub(r"\\\g<0>", value)


def _tuple(value: Values) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


# --- patterns meet the context ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bound:
    """A question about one value, once the variables have theirs."""

    holds: Matcher
    hopes: tuple[tuple[Matcher, tuple[str, ...]], ...] = ()
    """What would also hold if the variables named beside it had fitting values."""

    def lacking(self, text: str) -> list[str]:
        """The variables for whose lack the question does not hold for *text*; none if it is not for such a lack."""
        return [name for matcher, names in self.hopes if matcher(text) for name in names]


@dataclass(frozen=True, slots=True)
class Choice:
    """Any of several patterns, or (*negated*) none of them: Resource, NotResource, the values of a condition."""

    texts: tuple[str, ...]
    negated: bool
    _patterns: tuple[Tokens, ...] = field(compare=False, repr=False)
    _join: Join = field(compare=False, repr=False)
    _fixed: Bound | None = field(compare=False, repr=False)
    """The answer for every context, when there are no variables."""

    @classmethod
    def of_patterns(
        cls,
        texts: Sequence[str],
        patterns: Sequence[Tokens],
        join: Join,
        *,
        negated: bool = False,
    ) -> Choice:
        if any(map(has_variables, patterns)):
            return cls(tuple(texts), negated, tuple(patterns), join, None)
        return cls.of_matcher(texts, join(patterns), negated=negated)

    @classmethod
    def of_matcher(cls, texts: Sequence[str], matcher: Matcher, *, negated: bool = False) -> Choice:
        holds = _not(matcher) if negated else matcher
        return cls(tuple(texts), negated, (), any_of, Bound(holds))

    def bind(self, context: Context, grammar: Grammar, *, denies: bool) -> Bound:
        """A pattern whose variable has no usable value matches nothing, so that a missing value never permits:
        where "none of these" would hold because of that, it holds only in a statement that denies.
        """
        if self._fixed:
            return self._fixed
        closed: list[Tokens] = []
        open_: list[tuple[Tokens, tuple[str, ...]]] = []
        for pattern in self._patterns:
            missing: list[str] = []
            tokens = substitute(pattern, context, grammar, missing)
            if missing:
                open_.append((tokens, tuple(missing)))
            else:
                closed.append(tokens)
        return (self._none_of if self.negated else self._one_of)(closed, open_, denies)

    def _one_of(self, closed: list[Tokens], open_: list[tuple[Tokens, tuple[str, ...]]], denies: bool) -> Bound:
        return Bound(self._join(closed), tuple((self._join([tokens]), names) for tokens, names in open_))

    def _none_of(self, closed: list[Tokens], open_: list[tuple[Tokens, tuple[str, ...]]], denies: bool) -> Bound:
        holds = _not(self._join(closed))
        if denies or not open_:
            return Bound(holds)
        return Bound(_nothing, ((holds, tuple(name for _, names in open_ for name in names)),))


def substitute(pattern: Tokens, context: Context, grammar: Grammar, missing: list[str]) -> Tokens:
    """*pattern* with its variables' values as literal text. One without a usable value becomes `*`, and its name is
    appended to *missing*.
    """

    def value_of(variable: Variable) -> Token:
        values = context.get(variable.key)
        if not values and variable.default is not None:
            return variable.default
        if len(values) == 1 and _usable(values[0], grammar):
            return values[0]
        missing.append(variable.name)
        return Wild.ANY

    return replaced(pattern, value_of)


def _usable(value: str, grammar: Grammar) -> bool:
    if grammar.longest_value is not None and len(value) > grammar.longest_value:
        return False
    return value != "" and grammar.unsubstitutable.isdisjoint(value)


def _not(matcher: Matcher) -> Matcher:
    return lambda text: not matcher(text)


def _nothing(text: str) -> bool:
    return False
