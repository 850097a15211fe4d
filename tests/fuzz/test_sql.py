"""Whatever a rule or a device says: a statement, or SqlParseFailed; an output within bounds, or none."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleetgate.errors import SqlParseFailed
from fleetgate.sql import substitution
from fleetgate.sql.evaluate import Message, run
from fleetgate.sql.functions import ARGUMENTS
from fleetgate.sql.parse import parse
from fleetgate.sql.syntax import VERSIONS

CALM = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))

words = st.sampled_from(
    [
        *sorted(ARGUMENTS),
        "SELECT",
        "VALUE",
        "FROM",
        "WHERE",
        "AS",
        "AND",
        "OR",
        "NOT",
        "IN",
        "CASE",
        "WHEN",
        "THEN",
        "ELSE",
        "END",
        "a",
        "b.c",
        "a[0]",
        "'a/b'",
        '"x"',
        "1",
        "2.5",
        "1e9",
        "*",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        "+",
        "-",
        "/",
        "%",
        "=",
        "<>",
        "<",
        ">=",
        "null",
        "true",
        "undefined",
        "int",
        "''",
        "$",
        "'",
        "é",
    ]
)
leaves = st.sampled_from(
    [
        "a",
        "b.c",
        "a[1]",
        "*",
        "1",
        "-2.5",
        "'x'",
        "'12'",
        "true",
        "null",
        "undefined",
        "topic()",
        "timestamp()",
        "rand()",
        "newuuid()",
        "1e300",
        "'😀'",
        "99999999999999999999999999999999",
    ]
)


def deeper(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operators = st.sampled_from(["+", "-", "*", "/", "%", "=", "<>", "<", ">=", "AND", "OR", "IN"])

    def call(name: str) -> st.SearchStrategy[str]:
        if name == "cast":
            kinds = st.sampled_from(["int", "decimal", "boolean", "string", "array", "object"])
            return st.builds(lambda value, kind: f"cast({value} as {kind})", inner, kinds)
        least, most = ARGUMENTS[name]
        given = st.lists(inner, min_size=least, max_size=min(most, 3))
        return given.map(lambda arguments: f"{name}({', '.join(arguments)})")

    return st.one_of(
        st.builds(lambda a, operator, b: f"({a} {operator} {b})", inner, operators, inner),
        st.sampled_from(sorted(ARGUMENTS)).flatmap(call),
        inner.map(lambda a: f"(NOT {a})"),
        inner.map(lambda a: f"[{a}, {a}]"),
        inner.map(lambda a: f"{{'k': {a}}}.k"),
        st.builds(lambda a, b: f"CASE {a} WHEN {b} THEN {a} ELSE {b} END", inner, inner),
    )


expressions = st.recursive(leaves, deeper, max_leaves=6)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abck"), inner, max_size=3),
    max_leaves=5,
)
payloads = st.binary(max_size=20) | json_values.map(lambda value: json.dumps(value).encode())


def message(payload: bytes) -> Message:
    return Message("a/b", payload, 5, "123456789012", client_id="c", principal="p", entropy=lambda size: b"\7" * size)


@CALM
@given(st.lists(words, max_size=20).map(" ".join) | st.text(max_size=40), st.sampled_from(VERSIONS), payloads)
def test_any_words(text: str, version: str, payload: bytes) -> None:
    try:
        statement = parse(f"SELECT {text}", version)
    except SqlParseFailed:
        return
    run(statement, message(payload))


@CALM
@given(expressions, expressions, st.sampled_from(VERSIONS), payloads)
def test_any_statement_gives_json_or_nothing(item: str, where: str, version: str, payload: bytes) -> None:
    output = run(parse(f"SELECT {item} AS x, * FROM 'a' WHERE ({where}) OR true", version), message(payload))
    if output is not None and output.payload != payload:
        assert isinstance(json.loads(output.payload), dict)


@CALM
@given(st.lists(words | st.just("${") | st.just("}"), max_size=8).map("".join), payloads)
def test_any_template(text: str, payload: bytes) -> None:
    try:
        template = substitution.parse(text)
    except SqlParseFailed:
        return
    template.fill(message(payload))
