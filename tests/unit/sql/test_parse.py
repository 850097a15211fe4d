from __future__ import annotations

import pytest

from fleetgate.errors import SqlParseFailed
from fleetgate.sql.parse import parse, parse_expression
from fleetgate.sql.syntax import Binary, Item, Literal, Name, Star, Statement


def test_a_statement() -> None:
    found = parse("SELECT *, n AS m\nFROM 'a/+' WHERE n > 1")
    assert found == Statement(
        (Item(Star(), ()), Item(Name("n"), ("m",))), False, "a/+", Binary(">", Name("n"), Literal(1)), "2015-10-08"
    )
    assert not found.passes_all
    assert parse("SELECT *").source is None
    assert parse("SELECT * FROM ''").source is None
    assert parse("SELECT *").passes_all


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("", "SELECT is wanted, not the end"),
        ("SELEKT *", "SELECT is wanted, not SELEKT"),
        ("SELECT", "an expression is wanted, not the end"),
        ("SELECT * FROM a", "FROM wants a topic filter in quotes, not a"),
        ("SELECT *\n  FROM 'a", "a string has no end (line 2, column 8)"),
        ("SELECT * FROM 'a' WHERE", "not the end (line 1, column 24)"),
        ("SELECT * FROM 'a' GROUP BY n", "nothing may follow here, but GROUP does"),
        ("SELECT n; FROM 'a'", "';' means nothing here"),
        ("SELECT 1 + 2 FROM 'a'", "this expression needs a name: add AS name"),
        ("SELECT nosuch(1) FROM 'a'", "there is no function nosuch; there are abs, accountid"),
        ("SELECT aws_lambda('x', *) FROM 'a'", "there is no function aws_lambda"),
        ("SELECT topic(1, 2) FROM 'a'", "topic takes 0 to 1 arguments, not 2"),
        ("SELECT upper() FROM 'a'", "upper takes 1 arguments, not 0"),
        ("SELECT (SELECT x FROM y) AS z FROM 'a'", "nested queries are not supported"),
        ("SELECT * FROM (SELECT * FROM 'a')", "nested queries are not supported"),
        ("SELECT VALUE a, b FROM 'a'", "SELECT VALUE takes one item"),
        ("SELECT cast(a AS date) FROM 'a'", "cast knows no type date"),
        ("SELECT CASE a END FROM 'a'", "CASE wants WHEN, not END"),
        ("SELECT a AS 1 FROM 'a'", "AS wants a name, not 1"),
        (f"SELECT {'9' * 35} AS a", "a number has at most 34 digits"),
        ("SELECT 1e999 AS a", "too large a number"),
        (f"SELECT {'(' * 40}1{')' * 40} AS a", "nested more than 30 deep"),
        (f"SELECT {'-' * 5000}1 AS a", "nested more than 30 deep"),
        (f"SELECT {'NOT ' * 5000} a AS b", "nested more than 30 deep"),
        (f"SELECT {'+'.join(['a'] * 200)} AS b", "more than 100 operators high"),
        (f"SELECT {'.'.join(['a'] * 200)} AS b", "more than 100 operators high"),
        ("SELECT " + "a" * 300_000, "at most 262144 are allowed"),
    ],
)
def test_what_cannot_be_used_is_told_with_its_place(sql: str, told: str) -> None:
    with pytest.raises(SqlParseFailed) as refused:
        parse(sql)
    assert told in str(refused.value)


def test_an_expression_alone() -> None:
    assert parse_expression(" n ") == Name("n")
    with pytest.raises(SqlParseFailed):
        parse_expression("n m")
