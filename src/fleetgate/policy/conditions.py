"""Condition operators (IAM JSON policy elements: Condition operators), IoT policies using the same ones.

A condition compares the request's values of one key with the values in the policy. What IAM says of special cases:

    key absent               false; true for a negated operator, with IfExists and with ForAllValues
    several policy values    any of them fits; none of them, for a negated operator
    ForAllValues             each of the request's values fits; true if there are none
    ForAnyValue              at least one of the request's values fits; false if there are none

An empty string counts as no value for the last two. An operator without them, asked about a key with several values,
takes any of them (a negated one needs all of them to differ).
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from functools import partial
from operator import eq, ge, gt, le, lt
from typing import Any, Final, TypeAlias

from fleetgate.policy.grammar import Grammar
from fleetgate.policy.pattern import (
    Join,
    Matcher,
    Tokens,
    any_of,
    arn_fields,
    arn_glob,
    either,
    fold,
    has_variables,
    ignoring_case,
    tokenize,
)
from fleetgate.policy.variables import Bound, Choice, Context


class Quantifier(Enum):
    NONE = ""
    ALL = "ForAllValues"
    ANY = "ForAnyValue"


@dataclass(frozen=True, slots=True)
class Condition:
    operator: str
    """In AWS's spelling, without quantifier and IfExists; `Null` for the one operator that asks for presence."""
    quantifier: Quantifier
    if_exists: bool
    key: str
    """As written."""
    choice: Choice

    def judge(self, context: Context, grammar: Grammar, *, denies: bool) -> tuple[bool, list[str]]:
        """Does it hold, and if not, for lack of which keys and variables (none if for another reason)?"""
        values = context.get(fold(self.key))
        if self.operator == "Null":
            return self.choice.bind(context, grammar, denies=denies).holds("false" if values else "true"), []
        if self.quantifier is not Quantifier.NONE:
            values = tuple(filter(None, values))
        if not values:
            holds = self._holds_without_values()
            return holds, [] if holds else [self.key]
        return self._compare(values, self.choice.bind(context, grammar, denies=denies))

    def _holds_without_values(self) -> bool:
        if self.if_exists or self.quantifier is Quantifier.ALL:
            return True
        return self.choice.negated and self.quantifier is Quantifier.NONE

    def _compare(self, values: Sequence[str], bound: Bound) -> tuple[bool, list[str]]:
        """Each value holds, lacks something, or fails."""
        failing = [value for value in values if not bound.holds(value)]
        lacks = [lacking for value in failing if (lacking := bound.lacking(value))]
        if self._every:
            missing = lacks if len(lacks) == len(failing) else []
            return not failing, [name for names in missing for name in names]
        holds = len(failing) < len(values)
        return holds, [] if holds else [name for names in lacks for name in names]

    @property
    def _every(self) -> bool:
        if self.quantifier is Quantifier.NONE:
            return self.choice.negated
        return self.quantifier is Quantifier.ALL


# --- the operators ----------------------------------------------------------------------------------------------------

Read: TypeAlias = Callable[[str], Matcher]
Compile: TypeAlias = Callable[[Sequence[str], bool, bool], Choice]
"""(policy values, negated, variables are on) -> Choice; ValueError says what is wrong with one of the values."""


def read_condition(operator: str, key: str, values: Sequence[str], *, variables: bool) -> Condition:
    """The condition `{operator: {key: values}}`; *operator* was approved by `split_operator`.

    Raises ValueError, with words for the author, when a value is not one the operator can compare with.
    """
    quantifier, name, if_exists = split_operator(operator)
    negated, compile_ = OPERATORS[name]
    return Condition(name, quantifier, if_exists, key, compile_(values, negated, variables))


def split_operator(operator: str) -> tuple[Quantifier, str, bool]:
    """`ForAnyValue:StringLikeIfExists` taken apart, in any case of letters. Raises ValueError if there is none such."""
    before, colon, rest = operator.rpartition(":")
    quantifier = _QUANTIFIERS.get(before.lower()) if colon else Quantifier.NONE
    bare = rest.lower()
    if_exists = bare.endswith("ifexists")
    name = _NAMES.get(bare.removesuffix("ifexists"))
    if quantifier is None or name is None:
        raise ValueError("there is no such condition operator")
    if name == "Null" and (if_exists or quantifier is not Quantifier.NONE):
        raise ValueError("Null takes neither IfExists nor ForAllValues nor ForAnyValue")
    return quantifier, name, if_exists


def _text(wildcards: bool, join: Join) -> Compile:
    def compile_(values: Sequence[str], negated: bool, variables: bool) -> Choice:
        patterns = [tokenize(value, variables=variables, wildcards=wildcards) for value in values]
        return Choice.of_patterns(values, patterns, join, negated=negated)

    return compile_


def _arn(values: Sequence[str], negated: bool, variables: bool) -> Choice:
    patterns = [arn_pattern(value, variables=variables) for value in values]
    return Choice.of_patterns(values, patterns, arns, negated=negated)


def arns(patterns: Iterable[Tokens]) -> Matcher:
    return any_of(patterns, arn_glob)


_PARTITION: Final = re.compile(r"aws[a-z-]*")


def arn_pattern(text: str, *, variables: bool) -> Tokens:
    """The tokens of an ARN with wildcards and variables, or of a lone `*`. Raises ValueError."""
    tokens = tokenize(text, variables=variables)
    if tokens == tokenize("*"):
        return tokens
    fields = arn_fields(tokens)
    complete = len(fields) == 6 or (len(fields) > 2 and text.endswith("*"))
    if fields[0] != ("arn",) or not complete or not all(fields[1:3]) or not fields[-1]:
        raise ValueError(
            f"{text!r} is neither * nor an ARN; one looks like arn:aws:iot:us-east-1:123456789012:topic/a/*"
        )
    partition = "".join(token for token in fields[1] if isinstance(token, str))
    if len(fields[1]) == 1 and partition and not _PARTITION.fullmatch(partition):
        raise ValueError(f"{text!r}: there is no partition {partition!r}; ARNs begin with arn:aws:")
    return tokens


def _each(read_value: Read) -> Compile:
    """For operators that take no variables: each policy value is read once, here."""

    def compile_(values: Sequence[str], negated: bool, variables: bool) -> Choice:
        if variables and any(has_variables(tokenize(value)) for value in values):
            raise ValueError("variables stand in values of String and Arn operators only")
        return Choice.of_matcher(values, either([read_value(value) for value in values]), negated=negated)

    return compile_


def _order(convert: Callable[[str], Any], compare: Callable[[Any, Any], bool]) -> Compile:
    """*convert* raises ValueError for what it cannot read; a request's value that it cannot read does not compare."""

    def read_value(wanted_text: str) -> Matcher:
        wanted = convert(wanted_text)

        def match(text: str) -> bool:
            try:
                actual = convert(text)
            except ValueError:
                return False
            return compare(actual, wanted)

        return match

    return _each(read_value)


_NUMBER: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")


def _number(text: str) -> Decimal:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is not a number; one looks like 10 or -2.5")
    return Decimal(text)


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS: Final = re.compile(r"[0-9]{1,15}")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:.]+(Z|[+-][0-9]{2}:[0-9]{2})?)?")


def _date(text: str) -> float:
    """Seconds since 1970."""
    if _SECONDS.fullmatch(text):
        return int(text)
    try:
        moment = datetime.fromisoformat(text) if _DATE.fullmatch(text) else None
    except ValueError:
        moment = None
    if moment is None:
        raise ValueError(f"{text!r} is not a date; one looks like 2030-01-31T12:00:00Z, or seconds since 1970")
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH).total_seconds()


def _boolean(text: str) -> bool:
    if text.lower() not in {"true", "false"}:
        raise ValueError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


def _binary(text: str) -> bytes:
    try:
        return base64.b64decode(text.encode(), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError(f"{text!r} is not Base64") from None


def _network(text: str) -> Matcher:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is not an address or a network; one looks like 203.0.113.0/24") from None

    def match(text: str) -> bool:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return False
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return address in network or (mapped is not None and mapped in network)

    return match


def _presence(text: str) -> Matcher:
    wanted = "true" if _boolean(text) else "false"
    return wanted.__eq__


_EXACT: Final = _text(wildcards=False, join=any_of)
_LIKE: Final = _text(wildcards=True, join=any_of)
_IGNORING_CASE: Final = _text(wildcards=False, join=ignoring_case)
_NUMERIC: Final = partial(_order, _number)
_DATED: Final = partial(_order, _date)

OPERATORS: Final[dict[str, tuple[bool, Compile]]] = {
    "StringEquals": (False, _EXACT),
    "StringNotEquals": (True, _EXACT),
    "StringEqualsIgnoreCase": (False, _IGNORING_CASE),
    "StringNotEqualsIgnoreCase": (True, _IGNORING_CASE),
    "StringLike": (False, _LIKE),
    "StringNotLike": (True, _LIKE),
    "NumericEquals": (False, _NUMERIC(eq)),
    "NumericNotEquals": (True, _NUMERIC(eq)),
    "NumericLessThan": (False, _NUMERIC(lt)),
    "NumericLessThanEquals": (False, _NUMERIC(le)),
    "NumericGreaterThan": (False, _NUMERIC(gt)),
    "NumericGreaterThanEquals": (False, _NUMERIC(ge)),
    "DateEquals": (False, _DATED(eq)),
    "DateNotEquals": (True, _DATED(eq)),
    "DateLessThan": (False, _DATED(lt)),
    "DateLessThanEquals": (False, _DATED(le)),
    "DateGreaterThan": (False, _DATED(gt)),
    "DateGreaterThanEquals": (False, _DATED(ge)),
    "Bool": (False, _order(_boolean, eq)),
    "BinaryEquals": (False, _order(_binary, eq)),
    "IpAddress": (False, _each(_network)),
    "NotIpAddress": (True, _each(_network)),
    "ArnEquals": (False, _arn),
    "ArnLike": (False, _arn),
    "ArnNotEquals": (True, _arn),
    "ArnNotLike": (True, _arn),
    "Null": (False, _each(_presence)),
}
"""Name -> (does it hold where the comparison does not?, how its values are read)."""

_NAMES: Final = {name.lower(): name for name in OPERATORS}
_QUANTIFIERS: Final = {quantifier.value.lower(): quantifier for quantifier in Quantifier if quantifier.value}
