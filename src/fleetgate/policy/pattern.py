"""Patterns: text with wildcards and variables, compiled to matchers that cannot be made slow.

    *               any run of characters, `/` included
    ?               any one character
    ${*} ${?} ${$}  the character itself; AWS IoT's guide also prints $(*) $(?) $($)
    ${name}         the value of a variable, never read as wildcards
    ${name, 'x'}    the same, or x where the request has no such value

`+` and `#` mean themselves, as does a `$` that opens none of these (`$aws/things/...`).

A pattern is first taken apart into tokens, a tuple of str, Wild and Variable. Tokens without variables compile to a
matcher. Matching is greedy from the left with the last piece anchored at the end, so its cost is bounded by the product
of the two lengths; nothing backtracks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias


class Wild(Enum):
    ANY = "*"
    ONE = "?"


@dataclass(frozen=True, slots=True)
class Variable:
    name: str
    """As written."""
    key: str
    """As `variables.Context` finds it: see `fold`."""
    default: str | None = None


Token: TypeAlias = str | Wild | Variable
Tokens: TypeAlias = tuple[Token, ...]
Matcher: TypeAlias = Callable[[str], bool]
Join: TypeAlias = Callable[[Iterable[Tokens]], Matcher]
"""Does any of these patterns, free of variables, match?"""

_SPECIAL: Final = re.compile(
    r"""  \$\{ (?P<escaped>[*?$]) \}
      |   \$\( (?P<bracketed>[*?$]) \)
      |   \$\{ (?P<variable>[^{}]*) \}
      |   (?P<unclosed> \$\{ )
      |   (?P<wild>[*?])
    """,
    re.VERBOSE,
)
_VARIABLE: Final = re.compile(r"(?P<name>[^,\[\]']+(\[[^\]']+\])?)(?P<rest>.*)", re.DOTALL)
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+:[A-Za-z0-9_][^\[\]]*(\[[^\]]+\])?")
_DEFAULT: Final = re.compile(r",\s*'([^']*)'")

_ALIASES: Final = {"iot:thing.thingname": "iot:connection.thing.thingname"}


def fold(name: str) -> str:
    """The one spelling of a context key or variable name: they ignore case, except for a thing attribute's own name."""
    head, bracket, rest = name.partition("[")
    head = head.lower()
    return _ALIASES.get(head, head) + bracket + rest


def tokenize(text: str, *, variables: bool = True, wildcards: bool = True) -> Tokens:
    """The tokens of *text*. Without *variables* a `$` is just a character; without *wildcards* so are `*` and `?`.

    Raises ValueError, with words for the author, when a `${` is not closed or does not hold a variable.
    """
    if not variables:
        return _merged(_wild_tokens(text)) if wildcards else _merged([text])
    tokens: list[Token] = []
    end = 0
    for found in _SPECIAL.finditer(text):
        tokens.append(text[end : found.start()])
        tokens.append(_token(found, wildcards))
        end = found.end()
    tokens.append(text[end:])
    return _merged(tokens)


def has_variables(tokens: Tokens) -> bool:
    return any(isinstance(token, Variable) for token in tokens)


def _token(found: re.Match[str], wildcards: bool) -> Token:
    if found["unclosed"]:
        raise ValueError("a `${` is not closed by a `}`; write ${$}{ if these characters themselves are meant")
    if found["wild"]:
        return Wild(found["wild"]) if wildcards else found["wild"]
    if found["variable"] is not None:
        return _variable(found["variable"])
    return found["escaped"] or found["bracketed"]


def _variable(body: str) -> Variable:
    parts = _VARIABLE.fullmatch(body)
    name, rest = (parts["name"].strip(), parts["rest"].strip()) if parts else ("", "")
    if not _NAME.fullmatch(name) or (rest and rest[0] != ","):
        raise ValueError(
            f"${{{body}}} is not a policy variable; one looks like ${{iot:ClientId}} or ${{aws:username, 'nobody'}}"
        )
    default = _DEFAULT.fullmatch(rest)
    if rest and not default:
        raise ValueError(f"${{{body}}}: a default value is written in single quotes, as in ${{{name}, 'nobody'}}")
    return Variable(name, fold(name), default[1] if default else None)


def _wild_tokens(text: str) -> Iterable[Token]:
    return (Wild(part) if part in {"*", "?"} else part for part in re.split(r"([*?])", text))


def _merged(tokens: Iterable[Token]) -> Tokens:
    """Neighbouring literals become one, a run of `*` one `*`; no empty literals."""
    merged: list[Token] = []
    for token in tokens:
        if not token:
            continue
        last = merged[-1] if merged else None
        if isinstance(token, str) and isinstance(last, str):
            merged[-1] = last + token
        elif token is not Wild.ANY or last is not Wild.ANY:
            merged.append(token)
    return tuple(merged)


def replaced(tokens: Tokens, value_of: Callable[[Variable], Token]) -> Tokens:
    """*tokens* with each variable replaced by what *value_of* says."""
    return _merged(value_of(token) if isinstance(token, Variable) else token for token in tokens)


# --- from tokens to matchers ------------------------------------------------------------------------------------------


def glob(tokens: Tokens) -> Matcher:
    """Does a whole text match? *tokens* hold no variables."""
    match tokens:
        case ():
            return "".__eq__
        case (str() as whole,):
            return whole.__eq__
        case (Wild.ANY,):
            return lambda text: True
        case (str() as first, Wild.ANY):
            return lambda text: text.startswith(first)
        case (Wild.ANY, str() as last):
            return lambda text: text.endswith(last)
        case (Wild.ANY, str() as middle, Wild.ANY):
            return lambda text: middle in text
        case (str() as first, Wild.ANY, str() as last):
            shortest = len(first) + len(last)
            return lambda text: len(text) >= shortest and text.startswith(first) and text.endswith(last)
    return _stretch([_Piece.of(piece) for piece in _split(tokens, Wild.ANY)])


@dataclass(frozen=True, slots=True)
class _Piece:
    """What stands between two `*`: of known width, found from the left."""

    width: int
    find: Callable[[str, int, int], int]
    """(text, start, end) -> where it begins within text[start:end], or -1."""

    @classmethod
    def of(cls, tokens: Tokens) -> _Piece:
        if Wild.ONE not in tokens:
            literal = "".join(token for token in tokens if isinstance(token, str))
            return cls(len(literal), lambda text, start, end: text.find(literal, start, end))
        expression = re.compile(
            "".join(re.escape(token) if isinstance(token, str) else "." for token in tokens), re.DOTALL
        )

        def find(text: str, start: int, end: int) -> int:
            found = expression.search(text, start, end)
            return found.start() if found else -1

        return cls(sum(len(token) if isinstance(token, str) else 1 for token in tokens), find)


def _stretch(pieces: list[_Piece]) -> Matcher:
    """The first piece stands at the start, the last at the end, the others in order wherever they are first found."""
    first, last, middle = pieces[0], pieces[-1], pieces[1:-1]
    if len(pieces) == 1:
        return lambda text: len(text) == first.width and first.find(text, 0, len(text)) == 0
    shortest = sum(piece.width for piece in pieces)

    def match(text: str) -> bool:
        end = len(text) - last.width
        if len(text) < shortest or first.find(text, 0, first.width) or last.find(text, end, len(text)) != end:
            return False
        position = first.width
        for piece in middle:
            found = piece.find(text, position, end)
            if found < 0:
                return False
            position = found + piece.width
        return True

    return match


def _split(tokens: Tokens, at: Wild) -> list[Tokens]:
    pieces: list[list[Token]] = [[]]
    for token in tokens:
        if token is at:
            pieces.append([])
        else:
            pieces[-1].append(token)
    return [tuple(piece) for piece in pieces]


def arn_fields(tokens: Tokens) -> list[Tokens]:
    """The fields between an ARN pattern's colons, at most six: the last keeps its own colons."""
    fields: list[list[Token]] = [[]]
    for token in tokens:
        if not isinstance(token, str):
            fields[-1].append(token)
            continue
        first, *others = token.split(":", 6 - len(fields))
        fields[-1].append(first)
        fields.extend([other] for other in others)
    return [_merged(field) for field in fields]


def arn_glob(tokens: Tokens) -> Matcher:
    """Like `glob`, but a wildcard in one of an ARN's first five fields stays in its field.

    Otherwise `arn:aws:iot:*:123456789012:topic/a` would match a topic chosen to be called `b:123456789012:topic/a`.
    """
    fields = arn_fields(tokens)
    head = fields[:5]
    if len(fields) < 6 or not any(token in field for field in head for token in Wild):
        return glob(tokens)
    matchers = [glob(field) for field in fields]

    def match(text: str) -> bool:
        parts = text.split(":", 5)
        return len(parts) == 6 and all(matcher(part) for matcher, part in zip(matchers, parts, strict=True))

    return match


def any_of(patterns: Iterable[Tokens], single: Callable[[Tokens], Matcher] = glob) -> Matcher:
    """Does any of *patterns* match? Literals become one set lookup and prefixes one `startswith`."""
    exact: set[str] = set()
    starts: list[str] = []
    others: list[Matcher] = []
    for tokens in patterns:
        match tokens:
            case (str() as whole,):
                exact.add(whole)
            case (str() as start, Wild.ANY):
                starts.append(start)
            case _:
                others.append(single(tokens))
    return _union(frozenset(exact), tuple(starts), tuple(others))


def _union(exact: frozenset[str], starts: tuple[str, ...], others: tuple[Matcher, ...]) -> Matcher:
    if not exact and not starts and len(others) == 1:
        return others[0]
    if not starts and not others:
        return exact.__contains__
    if not others:
        return lambda text: text in exact or text.startswith(starts)

    def match(text: str) -> bool:
        return text in exact or text.startswith(starts) or any(matcher(text) for matcher in others)

    return match


def either(matchers: Iterable[Matcher]) -> Matcher:
    """Does any of *matchers* hold?"""
    chosen = tuple(matchers)
    return chosen[0] if len(chosen) == 1 else lambda text: any(matcher(text) for matcher in chosen)


def ignoring_case(patterns: Iterable[Tokens]) -> Matcher:
    """Like `any_of`, whatever the case."""
    lowered = [tuple(token.lower() if isinstance(token, str) else token for token in tokens) for tokens in patterns]
    match = any_of(lowered)
    return lambda text: match(text.lower())
