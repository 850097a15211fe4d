"""Patterns: tokens, matchers, and that none of them can be made slow."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetgate.policy.pattern import (
    Tokens,
    Variable,
    Wild,
    any_of,
    arn_fields,
    arn_glob,
    fold,
    glob,
    has_variables,
    ignoring_case,
    replaced,
    tokenize,
)

ANY, ONE = Wild.ANY, Wild.ONE


def naive(pattern: str, text: str) -> bool:
    """The definition itself, as a table: row i says which prefixes of *text* the first i characters match."""
    row = [True] + [False] * len(text)
    for sign in pattern:
        following = [row[0] and sign == "*"]
        for end, character in enumerate(text, 1):
            if sign == "*":
                following.append(row[end] or following[end - 1])
            else:
                following.append(row[end - 1] and sign in {"?", character})
        row = following
    return row[-1]


PATTERNS = st.text(alphabet="ab*?", max_size=12)
TEXTS = st.text(alphabet="abc", max_size=16)


@given(PATTERNS, TEXTS)
def test_a_matcher_agrees_with_the_definition(pattern: str, text: str) -> None:
    assert glob(tokenize(pattern))(text) is naive(pattern, text)


@given(st.lists(PATTERNS, max_size=5), TEXTS)
def test_several_patterns_match_if_one_does(patterns: list[str], text: str) -> None:
    assert bool(any_of(map(tokenize, patterns))(text)) is any(naive(pattern, text) for pattern in patterns)


@given(st.lists(PATTERNS, min_size=6, max_size=6), st.lists(TEXTS, min_size=1, max_size=8))
def test_arns_match_field_by_field(patterns: list[str], texts: list[str]) -> None:
    pattern, text = ":".join(patterns), ":".join(texts)
    fields = text.split(":", 5)
    expected = len(fields) == 6 and all(naive(one, field) for one, field in zip(patterns, fields, strict=True))
    assert arn_glob(tokenize(pattern))(text) is expected


@given(PATTERNS, TEXTS)
def test_ignoring_case(pattern: str, text: str) -> None:
    match = ignoring_case([tokenize(pattern, wildcards=False)])
    assert match(text.upper()) is (pattern == text)


@given(st.text(alphabet="ab*?${}()'", max_size=12))
def test_without_variables_every_text_is_a_pattern(text: str) -> None:
    assert glob(tokenize(text, variables=False))(text)
    assert tokenize(text, variables=False, wildcards=False) == ((text,) if text else ())


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", ()),
        ("a/b", ("a/b",)),
        ("a***b??", ("a", ANY, "b", ONE, ONE)),
        ("${*}${?}${$}$(*)$(?)$($)", ("*?$*?$",)),
        ("$aws/+/#$", ("$aws/+/#$",)),
        ("$(x)", ("$(x)",)),
        ("a${iot:ClientId}b", ("a", Variable("iot:ClientId", "iot:clientid"), "b")),
        ("${ iot:ClientId }", (Variable("iot:ClientId", "iot:clientid"),)),
        ("${aws:username,'x'}", (Variable("aws:username", "aws:username", "x"),)),
        ("${aws:username , ''}", (Variable("aws:username", "aws:username", ""),)),
        ("${a:b[x,y']}", None),
        ("${a:b[x,y]}", (Variable("a:b[x,y]", "a:b[x,y]"),)),
        ("${A:B[X]}", (Variable("A:B[X]", "a:b[X]"),)),
        (
            "${aws:PrincipalTag/cost center}",
            (Variable("aws:PrincipalTag/cost center", "aws:principaltag/cost center"),),
        ),
        ("${a:b", None),
        ("${${a:b}}", None),
        ("${}", None),
        ("${a}", None),
        ("${a:}", None),
        ("${a:b[]}", None),
        ("${a:b, x}", None),
        ("${a:b, 'x' y}", None),
        ("${a:b 'x'}", None),
    ],
)
def test_tokens(text: str, tokens: Tokens | None) -> None:
    if tokens is None:
        with pytest.raises(ValueError, match=r"\$\{"):
            tokenize(text)
    else:
        assert tokenize(text) == tokens


def test_wildcards_may_be_plain_characters() -> None:
    assert tokenize("a*?${*}", wildcards=False) == ("a*?*",)


def test_names_ignore_case_but_for_what_stands_in_brackets() -> None:
    assert fold("iot:Connection.Thing.Attributes[Env]") == "iot:connection.thing.attributes[Env]"
    assert fold("IOT:THING.THINGNAME") == fold("iot:Connection.Thing.ThingName")


def test_a_replaced_variable_joins_its_neighbours() -> None:
    tokens = tokenize("a/${iot:ClientId}/*")
    assert has_variables(tokens)
    assert replaced(tokens, lambda variable: "x*") == ("a/x*/", ANY)
    assert replaced(tokenize("a*${iot:ClientId}*"), lambda variable: ANY) == ("a", ANY)
    assert replaced(tokenize("a${iot:ClientId}b"), lambda variable: "") == ("ab",)


def test_the_last_field_of_an_arn_keeps_its_colons() -> None:
    assert arn_fields(tokenize("arn:aws:iot:*:1:a:b*:c")) == [
        ("arn",),
        ("aws",),
        ("iot",),
        (ANY,),
        ("1",),
        ("a:b", ANY, ":c"),
    ]
    assert arn_fields(tokenize("arn:aws::${a:b}")) == [("arn",), ("aws",), (), (Variable("a:b", "a:b"),)]


LONG = "a" * 20_000
HOSTILE: list[tuple[str, str]] = [
    ("*a" * 30 + "*b", LONG),
    ("a*" * 60 + "b", LONG),
    ("*" + "a?" * 30 + "b*", LONG),
    ("?*" * 100 + "b", LONG),
    ("*aab" * 30, "aa" * 10_000),
    ("*" + "a" * 500 + "b*", LONG),
]


@pytest.mark.parametrize("make", [glob, arn_glob, lambda tokens: any_of([tokens])])
@pytest.mark.parametrize(("pattern", "text"), HOSTILE)
def test_no_pattern_is_slow(pattern: str, text: str, make: Callable[[Tokens], Callable[[str], bool]]) -> None:
    match = make(tokenize(pattern))
    began = time.process_time()
    assert not match(text)
    assert time.process_time() - began < 1  # an exponential matcher would not come back at all
