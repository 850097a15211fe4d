from __future__ import annotations

import re
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetgate.database.statement import check_values, collated, pyformat, statements, unencodable
from fleetgate.errors import InvalidRequest


@pytest.mark.parametrize(
    ("sql", "translated"),
    [
        ("SELECT :a, :b_1, :a", "SELECT %(a)s, %(b_1)s, %(a)s"),
        ("SELECT ':a'", "SELECT ':a'"),
        ("SELECT 'it''s :a', :a", "SELECT 'it''s :a', %(a)s"),
        ('SELECT ":a"', 'SELECT ":a"'),
        ("SELECT x::text, :a::bigint", "SELECT x::text, %(a)s::bigint"),
        ("SELECT 7 % 4, '100%'", "SELECT 7 %% 4, '100%%'"),
        ("SELECT 1 -- :a 5%\n, :b", "SELECT 1 -- :a 5%%\n, %(b)s"),
        ("SELECT /* :a\n:b */ :c", "SELECT /* :a\n:b */ %(c)s"),
        ("SELECT a[1:2]", "SELECT a[1:2]"),
        ("", ""),
    ],
)
def test_pyformat(sql: str, translated: str) -> None:
    assert pyformat(sql) == translated


def test_pyformat_writes_null_where_it_is_told_to() -> None:
    sql = "SELECT :a IS NULL OR x > :a, ':a', :b"
    assert pyformat(sql, frozenset("a")) == "SELECT NULL IS NULL OR x > NULL, ':a', %(b)s"
    assert pyformat(sql, frozenset("z")) == pyformat(sql)


@given(st.text(alphabet="ab:%'\"-*/ \n;", max_size=40))
def test_pyformat_keeps_every_character_that_is_no_parameter(sql: str) -> None:
    translated = pyformat(sql)
    back = re.sub(r"%\((\w+)\)s|%%", lambda m: f":{m[1]}" if m[1] else "%", translated)
    assert back == sql


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("CREATE TABLE t (a TEXT NOT NULL)", 'CREATE TABLE t (a TEXT COLLATE "C" NOT NULL)'),
        ("ALTER TABLE t ADD COLUMN b TEXT", 'ALTER TABLE t ADD COLUMN b TEXT COLLATE "C"'),
        ("CREATE TABLE t (text TEXT, n BIGINT)", 'CREATE TABLE t (text TEXT COLLATE "C", n BIGINT)'),
        ("UPDATE t SET a = CAST(n AS TEXT)", "UPDATE t SET a = CAST(n AS TEXT)"),
        ("INSERT INTO t VALUES ('TEXT', \"TEXT\") -- TEXT", "INSERT INTO t VALUES ('TEXT', \"TEXT\") -- TEXT"),
        ("CREATE TABLE CONTEXT (TEXTUAL BIGINT)", "CREATE TABLE CONTEXT (TEXTUAL BIGINT)"),
    ],
)
def test_collated(sql: str, expected: str) -> None:
    assert collated(sql) == expected


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("", []),
        (" \n-- nothing; here\n/* nor; here */ ;;\n", []),
        ("A", ["A"]),
        ("A;", ["A"]),
        ("A; B ;\n\nC", ["A", "B", "C"]),
        ("A ';' \";\" 'it''s;'; B", ["A ';' \";\" 'it''s;'", "B"]),
        ("A -- one;\n, B; C /* two; */ D", ["A -- one;\n, B", "C /* two; */ D"]),
        ("-- first\nA;\n-- last", ["-- first\nA"]),
        ("'only a string'", ["'only a string'"]),
        (":only_a_name", [":only_a_name"]),
        ("A -- no line end", ["A -- no line end"]),
    ],
)
def test_statements(script: str, expected: list[str]) -> None:
    assert statements(script) == expected


@given(st.lists(st.sampled_from(["1", "'a;b'", "'it''s'", '";"', "2 -- x;\n", "3 /* ; */"]), max_size=6))
def test_statements_splits_where_sqlite_does(values: list[str]) -> None:
    found = statements(";".join(f"SELECT {value}" for value in values))

    assert len(found) == len(values)
    assert all(sqlite3.complete_statement(f"{statement}\n;") for statement in found)


def test_check_values_lets_pass_what_a_row_can_hold() -> None:
    check_values({"a": "", "b": 2**63 - 1, "c": -(2**63), "d": None, "e": True, "f": "😀\x01"})


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1])
def test_check_values_refuses_numbers_that_are_too_big(value: int) -> None:
    with pytest.raises(InvalidRequest, match="number for a does not fit into 64 bits"):
        check_values({"a": value})


def test_check_values_refuses_nul() -> None:
    with pytest.raises(InvalidRequest, match="text for name contains a NUL"):
        check_values({"ok": "fine", "name": "\0"})


@pytest.mark.parametrize("value", [1.0, b"", [], {}, object()])
def test_check_values_refuses_other_types(value: object) -> None:
    with pytest.raises(TypeError, match=":a is a"):
        check_values({"a": value})


def test_unencodable_names_the_culprits() -> None:
    error = unencodable({"good": "😀", "low": "\udc00", "number": 1, "high": "x\ud800"})
    assert error.message == "The text for low, high is not valid Unicode: it contains half of a surrogate pair."
