"""One suite, two engines: the same searches and counts, held against the evaluation of each thing's document."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from fleetgate.database.migrate import migrate
from fleetgate.database.open import open_database
from fleetgate.database.port import Database, Tx
from fleetgate.names import Act, Realm
from fleetgate.registry import aggregations, connectivity, search, thing_groups, thing_types, things
from fleetgate.registry.connectivity import Change, Connectivity
from fleetgate.search.evaluate import Document, matches
from fleetgate.search.query import parse
from fleetgate.search.tree import Node

REALM = Realm("123456789012", "us-east-1")
ACT = Act(REALM, "system", 1, "00000000-0000-0000-0000-000000000001")
VALUES = ["a", "A", "ab", "Abc", "b_c", "bxc", "1", "01", "1.5", "-2", "10", "1e1", "x,y", "[1]", "a:b", "a#b", "_"]
NAMES = [f"{word}{number}" for number in range(6) for word in ("a", "B", "ab-", "c_", "Z:", "1")]
FIELDS = ["thingName", "thingTypeName", "thingGroupNames", "attributes.a", "attributes.n", "connectivity.timestamp"]
TESTS = [
    *("*", "a", "A*", "a?", "?b*", "ab*1", "[a TO b}", '["1" TO "2"]', "t", "g", "g*", "_", "b_c", "b?c", '"[1]"'),
    *("{1 TO 10]", "[* TO 1]", "[-2 TO 1.5]", ">1", "<=1e1", ">=a", "<b", "1"),
]
PLAIN = ["*", "a", "ab*", "1", '"A"', "t", "g*", "z*", "_", "connectivity.connected:true", "NOT thingTypeName:*"]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    on_postgres = request.param == "postgres"
    opened = open_database(request.getfixturevalue("postgres_url") if on_postgres else tmp_path / "fleet.db")
    await migrate(opened, 1)
    yield opened
    await opened.close()


def fill(tx: Tx) -> dict[str, Document]:
    dice = random.Random(7)
    for kind in ("T", "t", "U"):
        thing_types.create(tx, ACT, kind)
    for group in ("g", "G", "h"):
        thing_groups.create(tx, ACT, group)
    documents: dict[str, Document] = {}
    for name in NAMES:
        attributes = {each: dice.choice(VALUES) for each in dice.sample(["a", "n", "o"], dice.randrange(4))}
        things.create(tx, ACT, name, type_name=dice.choice([None, "T", "t", "U"]), attributes=attributes)
        for group in dice.sample(["g", "G", "h"], dice.randrange(3)):
            thing_groups.add_thing(tx, ACT, group, name)
        state = Connectivity(name, name, dice.random() < 0.5, dice.randrange(12), "CLIENT_ERROR")
        if dice.random() < 0.7:
            connectivity.note(tx, "node", [Change(REALM, state)])
        [row] = tx.rows("SELECT * FROM things WHERE name = :name", name=name)
        known = connectivity.find(tx, REALM, name)
        joined = search.groups_of(tx, REALM, [name])[name]
        documents[name] = {**search.document(row, joined), **(known.document() if known else {})}
    return documents


def query(dice: random.Random, depth: int = 2) -> str:
    kind = dice.randrange(6) if depth else 0
    if kind == 1:
        return f"NOT {query(dice, depth - 1)}"
    if kind >= 2:
        return f"({query(dice, depth - 1)}{dice.choice([' ', ' OR ', ' AND '])}{query(dice, depth - 1)})"
    return f"{dice.choice(FIELDS)}:{dice.choice(TESTS)}" if dice.random() < 0.75 else dice.choice(PLAIN)


def queries(count: int) -> list[tuple[str, Node]]:
    dice, found = random.Random(11), list[tuple[str, Node]]()
    while len(found) < count:
        text = query(dice)
        if text.count(":?") <= 1 and len(text) <= 100:  # what begins with a wildcard is limited
            found.append((text, parse(text)))
    return found


def names(tx: Tx, tree: Node, limit: int) -> list[str]:
    page = search.page(tx, REALM, tree, None, limit)
    found = [row["name"] for row in page.items]
    while page.next_key is not None:
        page = search.page(tx, REALM, tree, page.next_key, limit)
        found += [row["name"] for row in page.items]
    return found


async def test_sql_finds_what_the_evaluation_finds(database: Database) -> None:
    documents = await database.write(fill)
    for text, tree in queries(300):
        expected = sorted(name for name, document in documents.items() if matches(tree, document))
        assert sorted(await database.read(partial(names, tree=tree, limit=5))) == expected, text


@pytest.mark.parametrize("field", ["attributes.n", "thingTypeName", "thingGroupNames", "connectivity.timestamp"])
async def test_sql_counts_what_the_evaluation_finds(database: Database, field: str) -> None:
    documents = await database.write(fill)
    for text, tree in queries(60):
        expected: dict[str, int] = {}
        for document in documents.values():
            for value in document.get(field, ()) if matches(tree, document) else ():
                expected[value] = expected.get(value, 0) + 1
        count = partial(aggregations.histogram, realm=REALM, query=tree, field=field)
        assert await database.read(count) == expected, text
