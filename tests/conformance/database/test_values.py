"""What goes into a row comes out of it alike on either engine, and one SQL text means the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fleetgate.database.port import Database, Tx
from fleetgate.database.postgres import PostgresDatabase
from fleetgate.database.sqlite import SqliteDatabase
from fleetgate.errors import InvalidRequest

Opened = SqliteDatabase | PostgresDatabase


def put(key: str, value: int | None = None, parent: str | None = None) -> Callable[[Tx], str]:
    def work(tx: Tx) -> str:
        tx.run("INSERT INTO notes (k, v, parent) VALUES (:k, :v, :parent)", k=key, v=value, parent=parent)
        return key

    return work


def keys(tx: Tx) -> list[str]:
    return [row["k"] for row in tx.rows("SELECT k FROM notes ORDER BY k")]


def count(tx: Tx) -> int:
    [row] = tx.rows("SELECT count(*) AS n FROM notes")
    number: int = row["n"]
    return number


ODD = [
    "",
    " ",
    "o'clock",
    '"quoted"',
    "100%",
    "%s %(k)s :k ::text",
    "a\\b",
    "?1 $1",
    "line\nbreak\ttab\r",
    "ünï",
    "😀",
    "߷",
]


@pytest.mark.parametrize("text", ODD)
async def test_text_comes_back_as_it_went(database: Database, text: str) -> None:
    await database.write(put(text))
    assert await database.read(keys) == [text]


async def test_big_text_comes_back_as_it_went(database: Opened) -> None:
    text = "zwölf Boxkämpfer 😀 " * 200_000
    sql = "INSERT INTO big (text) VALUES (:text)"
    await database.alter(lambda tx: tx.run("CREATE TABLE big (text TEXT NOT NULL)"))
    await database.write(lambda tx: tx.run(sql, text=text))
    assert await database.read(lambda tx: tx.rows("SELECT text FROM big")) == [{"text": text}]


@pytest.mark.parametrize("number", [0, -1, 32_768, 2**31, 2**63 - 1, -(2**63), None])
async def test_integers_come_back_as_they_went(database: Database, number: int | None) -> None:
    await database.write(put("a", number))
    assert await database.glance(lambda tx: tx.rows("SELECT v FROM notes WHERE k = :k", k="a")) == [{"v": number}]


async def test_booleans_are_zero_and_one(database: Database) -> None:
    await database.write(put("no", value=False))
    await database.write(put("yes", value=True))
    [row] = await database.read(
        lambda tx: tx.rows(
            "SELECT EXISTS (SELECT 1 FROM notes) AS filled, min(v) AS low, max(v) AS high, sum(v) AS total FROM notes"
        )
    )
    assert row == {"filled": 1, "low": 0, "high": 1, "total": 1}
    assert {type(value) for value in row.values()} == {int}


async def test_the_average_is_a_float(database: Database) -> None:
    await database.write(put("a", 1))
    await database.write(put("b", 2))
    assert await database.read(lambda tx: tx.rows("SELECT avg(v) AS mean FROM notes")) == [{"mean": 1.5}]


@pytest.mark.parametrize(
    ("value", "error", "says"),
    [
        ("a\0b", InvalidRequest, "NUL"),
        ("half \ud83d", InvalidRequest, "surrogate"),
        (2**63, InvalidRequest, "64 bits"),
        (-(2**63) - 1, InvalidRequest, "64 bits"),
        (1.5, TypeError, ":v is a float"),
        (b"bytes", TypeError, ":v is a bytes"),
    ],
)
async def test_what_no_row_can_hold_is_refused(
    database: Database, value: Any, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        await database.write(lambda tx: tx.rows("SELECT k FROM notes WHERE k = :v", v=value))
    await database.write(put("after"))


async def test_text_is_sorted_and_compared_by_bytes(database: Database) -> None:
    names = ["b", "a", "B", "A", "_", "-", "a-b", "ab", "a_b", "Z", "z", "é", "e", "1", "10", "2", "😀", "\uffee", "ß"]
    for name in names:
        await database.write(put(name))
    ordered = sorted(names, key=str.encode)

    assert await database.read(keys) == ordered
    assert await database.read(
        lambda tx: tx.rows("SELECT k FROM notes WHERE k > :k ORDER BY k LIMIT :n", k="a", n=3)
    ) == [{"k": name} for name in ordered[ordered.index("a") + 1 :][:3]]
    assert await database.read(lambda tx: tx.rows("SELECT max(k) AS k FROM notes")) == [{"k": ordered[-1]}]


async def test_like_minds_the_case_and_its_escape(database: Database) -> None:
    for name in ("Pump-1", "pump-1", "pump_1", "pump%1"):
        await database.write(put(name))

    def like(pattern: str) -> Callable[[Tx], list[str]]:
        sql = "SELECT k FROM notes WHERE k LIKE :pattern ESCAPE '\\' ORDER BY k"
        return lambda tx: [row["k"] for row in tx.rows(sql, pattern=pattern)]

    assert await database.read(like("pump%")) == ["pump%1", "pump-1", "pump_1"]
    assert await database.read(like("pump\\_1")) == ["pump_1"]
    assert await database.read(like("pump\\%1")) == ["pump%1"]


async def test_literals_in_the_sql_are_left_alone(database: Database) -> None:
    sql = """SELECT '100% :k ''%s''' AS "a:k%", :k AS k -- a comment: :nothing, 100%
        /* and another; :nothing */ , 7 % 4 AS rest"""
    assert await database.read(lambda tx: tx.rows(sql, k="x")) == [{"a:k%": "100% :k '%s'", "k": "x", "rest": 3}]


async def test_a_parameter_may_stand_twice_and_values_may_be_more_than_needed(database: Database) -> None:
    await database.write(put("a", 1))
    await database.write(put("b", 2))
    sql = "SELECT k FROM notes WHERE :after IS NULL OR k > :after ORDER BY k"

    assert await database.read(lambda tx: tx.rows(sql, after=None, other=1)) == [{"k": "a"}, {"k": "b"}]
    assert await database.read(lambda tx: tx.rows(sql, after="a")) == [{"k": "b"}]


@pytest.mark.parametrize(
    ("key", "value", "parent"), [("b", 1, None), ("b", None, "a"), ("b", None, None), ("b", 1, "a")]
)
async def test_the_type_of_a_parameter_need_not_be_said(
    database: Database, key: str, value: int | None, parent: str | None
) -> None:
    insert = """INSERT INTO notes (k, v, parent) SELECT :k, :v, :parent WHERE NOT EXISTS
        (SELECT 1 FROM notes WHERE k = :k AND coalesce(v, :v) = :v)"""
    change = "UPDATE notes SET v = coalesce(:v, v), parent = CASE WHEN :parent IS NULL THEN parent ELSE :parent END"
    await database.write(put("a"))

    assert await database.write(lambda tx: tx.run(insert, k=key, v=value, parent=parent)) == 1
    assert await database.write(lambda tx: tx.run(change, v=value, parent=parent)) == 2
    assert await database.read(lambda tx: tx.rows("SELECT * FROM notes WHERE k = :k", k=key)) == [
        {"k": key, "v": value, "parent": parent}
    ]
    assert await database.read(lambda tx: tx.rows("SELECT :k AS k, :v AS v", k=key, v=value)) == [
        {"k": key, "v": value}
    ]


async def test_run_says_how_many_rows_it_touched(database: Database) -> None:
    def work(tx: Tx) -> list[int]:
        return [
            tx.run("INSERT INTO notes (k) VALUES ('a'), ('b'), ('c')"),
            tx.run("INSERT INTO notes (k) VALUES ('c'), ('d') ON CONFLICT DO NOTHING"),
            tx.run("UPDATE notes SET v = 1 WHERE k < 'c'"),
            tx.run("DELETE FROM notes WHERE k = 'none'"),
            len(tx.rows("DELETE FROM notes WHERE v = 1 RETURNING k")),
            len(tx.rows("UPDATE notes SET v = 5 WHERE k = 'none'")),
        ]

    assert await database.write(work) == [3, 1, 2, 0, 2, 0]


async def test_upsert_returning_and_window_functions(database: Database) -> None:
    upsert = """INSERT INTO notes (k, v) VALUES (:k, 1)
        ON CONFLICT (k) DO UPDATE SET v = notes.v + excluded.v RETURNING v"""
    numbered = "SELECT k, row_number() OVER (ORDER BY k DESC) AS place FROM notes ORDER BY k"
    await database.write(put("b"))

    assert await database.write(lambda tx: tx.rows(upsert, k="a")) == [{"v": 1}]
    assert await database.write(lambda tx: tx.rows(upsert, k="a")) == [{"v": 2}]
    assert await database.read(lambda tx: tx.rows(numbered)) == [{"k": "a", "place": 2}, {"k": "b", "place": 1}]


async def test_the_same_statement_many_times(database: Database) -> None:
    """More than once over the point where psycopg begins to prepare a statement, with values of every type."""
    for number in range(20):
        await database.write(put(f"{number:02}", number if number % 3 else None))
    assert await database.read(count) == 20
