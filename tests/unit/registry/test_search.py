from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleetgate.database.open import memory
from fleetgate.database.port import Tx
from fleetgate.errors import InvalidRequest
from fleetgate.names import Act, Realm
from fleetgate.registry import search, thing_groups, thing_types, things
from fleetgate.search.evaluate import Document, matches
from fleetgate.search.query import parse
from fleetgate.search.tree import Node


def found(tx: Tx, realm: Realm, query: str | Node, limit: int = 100, budget: int = search.BUDGET) -> list[str]:
    """The names that all pages together show, in their order."""
    tree = parse(query) if isinstance(query, str) else query
    names: list[str] = []
    after = None
    while True:
        page = search.page(tx, realm, tree, after, limit, budget)
        assert len(page.items) <= limit
        names += [row["name"] for row in page.items]
        if page.next_key is None:
            return names
        after = page.next_key


@pytest.fixture
def fleet(tx: Tx, act: Act, elsewhere: Realm, later: Callable[..., Act]) -> Tx:
    """Some lamps and a tap; the same names in another realm, which nobody may find."""
    for each in (act, later(of=elsewhere)):
        thing_types.create(tx, each, "Lamp")
        thing_types.create(tx, each, "lamp")
        thing_types.create(tx, each, "Tap")
        thing_groups.create(tx, each, "east")
        thing_groups.create(tx, each, "Hall", parent="east")
    things.create(tx, act, "lamp-1", type_name="Lamp", attributes={"watt": "40", "colour": "Red", "serial": "AB1"})
    things.create(tx, act, "Lamp-2", type_name="lamp", attributes={"watt": "100", "colour": "red"})
    things.create(tx, act, "lamp-3", type_name="Lamp", attributes={"watt": "dim"})
    things.create(tx, act, "tap", type_name="Tap", attributes={"colour": "red", "litres": "-2.5"})
    things.create(tx, act, "bare")
    things.create(tx, later(of=elsewhere), "elsewhere", type_name="Lamp", attributes={"watt": "40", "zone": "z"})
    thing_groups.add_thing(tx, act, "Hall", "lamp-1")
    thing_groups.add_thing(tx, act, "east", "tap")
    return tx


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("*", "Lamp-2 bare lamp-1 lamp-3 tap"),
        ("thingName:LAMP-1", "lamp-1"),
        ("thingName:lamp*", "lamp-1 Lamp-2 lamp-3"),
        ("thingName:*2", "Lamp-2"),
        ("thingName:[lamp-2 TO tap}", "Lamp-2 lamp-3"),
        ("thingTypeName:lamp", "lamp-1 lamp-3 Lamp-2"),
        ("thingTypeName:*", "lamp-1 lamp-3 tap Lamp-2"),
        ("NOT thingTypeName:*", "bare"),
        ("thingGroupNames:hall", "lamp-1"),
        ("thingGroupNames:(east OR hall)", "tap lamp-1"),
        ("thingGroupNames:nothing", ""),
        ("attributes.colour:red", "lamp-1 Lamp-2 tap"),
        ("attributes.colour:red -thingName:tap", "lamp-1 Lamp-2"),
        ("attributes.watt>=40", "lamp-1 Lamp-2"),
        ("attributes.watt<100", "lamp-1"),
        ("attributes.watt:{40 TO 100]", "Lamp-2"),
        ("attributes.litres<0", "tap"),
        ('attributes.watt>"2"', "lamp-1 lamp-3"),
        ("attributes.watt:*", "Lamp-2 lamp-1 lamp-3"),
        ("NOT attributes.watt:*", "bare tap"),
        ("red", "lamp-1 Lamp-2 tap"),
        ("red OR tap", "tap lamp-1 Lamp-2"),
        ("ab1", "lamp-1"),
        ("red thingTypeName:tap", "tap"),
        ("la*", "lamp-1 Lamp-2 lamp-3"),
        ("(thingName:tap OR attributes.serial:ab*) attributes.colour:red", "lamp-1 tap"),
        ("connectivity.connected:true", ""),
        ("NOT connectivity.connected:true attributes.watt:40", "lamp-1"),
        ("shadow.reported.x:1 OR thingName:bare", "bare"),
        ("thingName:lamp* OR thingName:lamp-1 OR thingName:tap", "lamp-1 Lamp-2 lamp-3 tap"),
        ("zone", ""),
        ("attributes.zone:z", ""),
    ],
)
def test_what_is_found(fleet: Tx, realm: Realm, query: str, names: str) -> None:
    assert sorted(found(fleet, realm, query)) == sorted(names.split())
    assert found(fleet, realm, query, limit=1) == found(fleet, realm, query)


def test_a_thing_is_found_by_its_id(fleet: Tx, realm: Realm) -> None:
    made = things.get(fleet, realm, "tap").thing_id
    assert found(fleet, realm, made) == found(fleet, realm, f"thingId:{made.upper()}") == ["tap"]
    assert "tap" in found(fleet, realm, f"thingId:{made[:8]}*")


def test_the_order_is_that_of_the_stream(fleet: Tx, realm: Realm) -> None:
    assert found(fleet, realm, "*") == ["Lamp-2", "bare", "lamp-1", "lamp-3", "tap"]
    assert found(fleet, realm, "attributes.watt:[* TO 1000]") == ["lamp-1", "Lamp-2"]
    assert found(fleet, realm, "thingName:tap OR thingName:bare") == ["tap", "bare"]


def test_a_search_that_finds_little_gives_short_pages_and_goes_on(tx: Tx, act: Act, realm: Realm) -> None:
    for number in range(1000):
        things.create(tx, act, f"t{number:04}", attributes={"odd": "yes" if number == 999 else "no"})
    page = search.page(tx, realm, parse("NOT attributes.odd:no"), None, 10, budget=500)
    assert page.items == ()
    assert page.next_key is not None
    assert found(tx, realm, "NOT attributes.odd:no", budget=500) == ["t0999"]
    assert len(found(tx, realm, "attributes.odd:no -thingName:t0*0", limit=7)) == 899


def test_nothing_is_skipped_or_repeated_while_things_are_added(tx: Tx, act: Act, realm: Realm) -> None:
    for number in range(10):
        things.create(tx, act, f"m{number}", attributes={"a": "x"})
    names, after = list[str](), None
    while True:
        page = search.page(tx, realm, parse("attributes.a:x"), after, 3)
        names += [row["name"] for row in page.items]
        after = page.next_key
        if after is None:
            break
        things.create(tx, act, f"a{len(names)}", attributes={"a": "x"})
    assert names == [f"m{number}" for number in range(10)]


def test_nothing_is_repeated_while_types_and_groups_and_attributes_appear(tx: Tx, act: Act, realm: Realm) -> None:
    thing_types.create(tx, act, "sensor-m")
    things.create(tx, act, "before", attributes={"m": "x"}, type_name="sensor-m")
    for number in range(9):
        things.create(tx, act, f"m{number}", attributes={"m": "x"}, type_name="sensor-m")
    for query in ("thingTypeName:sensor*", "x"):
        names, after = list[str](), None
        while True:
            page = search.page(tx, realm, parse(query), after, 3)
            names += [row["name"] for row in page.items]
            after = page.next_key
            if after is None:
                break
            new = f"a{len(names)}-{query[0]}"
            thing_types.create(tx, act, f"sensor-{new}")
            things.create(tx, act, new, attributes={new: "x"}, type_name=f"sensor-{new}")
        assert len(names) == len(set(names))
        assert {"before", *(f"m{number}" for number in range(9))} <= set(names)


@pytest.mark.parametrize(
    "key",
    [
        *("x", "[]", "[0]", "null", "[" * 100_000, '["0",0,null]', "[0,0,null]", "[true,0,null]", "[null,0,null]"),
        *('["SEAL",9,null]', '["SEAL",-1,null]', '["SEAL","0",null]', '["SEAL",true,null]', '["SEAL",0,["a","b"]]'),
        *('["SEAL",0,{}]', '["SEAL",0,[null]]', '["SEAL",0,[1.5]]', '["SEAL",0,[true]]', '["SEAL",0,[1,"b"]]'),
        *('["SEAL",0,["a",2]]', '["SEAL",0,[1]]'),
    ],
)
def test_keys_of_elsewhere_are_refused(fleet: Tx, realm: Realm, key: str) -> None:
    seal = search.branches(fleet, realm, parse("*"))[0].seal
    with pytest.raises(InvalidRequest, match="none of this search"):
        search.page(fleet, realm, parse("*"), key.replace("SEAL", seal))


def test_a_key_goes_with_its_branch(tx: Tx, act: Act, realm: Realm) -> None:
    thing_types.create(tx, act, "lamp")
    for number in range(2):
        things.create(tx, act, f"l{number}", type_name="lamp")
    key = search.page(tx, realm, parse("thingTypeName:l*"), None, 1).next_key
    for number in range(16):
        thing_types.create(tx, act, f"l{number}")
    with pytest.raises(InvalidRequest, match="none of this search"):
        search.page(tx, realm, parse("thingTypeName:l*"), key, 1)


def test_attribute_names_are_those_of_the_realm(fleet: Tx, realm: Realm, elsewhere: Realm) -> None:
    assert search.attribute_names(fleet, realm) == ["colour", "litres", "serial", "watt"]
    assert search.attribute_names(fleet, elsewhere) == ["watt", "zone"]
    assert search.attribute_names(fleet, Realm("999999999999", "us-east-1")) == []


def test_many_attribute_names_and_many_groups(tx: Tx, act: Act, realm: Realm) -> None:
    """Then the term stays a condition."""
    for number in range(90):
        things.create(tx, act, f"t{number}", attributes={f"a{3 * number + n}": f"v{number}" for n in range(3)})
    for number in range(20):
        thing_groups.create(tx, act, f"g{number}")
        thing_groups.add_thing(tx, act, f"g{number}", f"t{number}")
    assert search.attribute_names(tx, realm) is None
    assert found(tx, realm, "v77") == ["t77"]
    assert len(found(tx, realm, "thingGroupNames:g*")) == 20


# --- held against the evaluation of documents -------------------------------------------------------------------------

NAMES = st.sampled_from(["a", "B", "ab", "Ab-1", "abc", "c_%", "c!d", "1", "02", "-3.5", "1e2"]).map(
    lambda name: name.replace("%", ":").replace("!", "-").replace(".", "_")
)
VALUES = st.sampled_from(["a", "A", "ab", "Abc", "b_c", "bxc", "1", "01", "1.5", "-2", "10", "1e1", "x,y", "[1]"])
ATTRIBUTES = st.dictionaries(st.sampled_from(["a", "b", "n"]), VALUES, max_size=3)
FLEETS = st.dictionaries(
    NAMES,
    st.tuples(ATTRIBUTES, st.sampled_from([None, "T", "t", "U"]), st.sets(st.sampled_from(["g", "G", "h"]))),
    max_size=8,
)
TERMS = st.one_of(
    st.sampled_from(["*", "a", "ab*", "?b", "*b*", "1", '"A"', "t", "g*", "x,y", "_", "b_c", "b?c", "thingTypeName:*"]),
    st.builds(
        lambda field, value: f"{field}:{value}",
        st.sampled_from(["thingName", "thingTypeName", "thingGroupNames", "attributes.a", "attributes.n", "shadow.x"]),
        st.sampled_from(["*", "a", "A*", "?", "*b", "[a TO b}", "{1 TO 10]", '["1" TO "2"]', "[* TO 1]", "t", "g"]),
    ),
    st.sampled_from(["attributes.n>1", "attributes.n<=1.5", "attributes.b>=a", "thingName<b", "thingName:[1 TO 5]"]),
)  # fmt: skip
QUERIES = st.recursive(
    TERMS,
    lambda inner: st.one_of(
        st.builds("({} {})".format, inner, inner),
        st.builds("({} OR {})".format, inner, inner),
        st.builds("NOT {}".format, inner),
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def empty() -> Iterator[Tx]:
    database = memory()
    yield database.tx
    database.close()


def fill(tx: Tx, act: Act, fleet: dict[str, Any]) -> dict[str, Document]:
    """Make *fleet*, and give the document of each thing."""
    for table in ("thing_group_members", "thing_attributes", "things", "thing_groups", "thing_types", "outbox"):
        tx.run(f"DELETE FROM {table}")
    for name in ("T", "t", "U"):
        thing_types.create(tx, act, name)
    for name in ("g", "G", "h"):
        thing_groups.create(tx, act, name)
    documents = {}
    for name, (attributes, type_name, groups) in fleet.items():
        made = things.create(tx, act, name, type_name=type_name, attributes=attributes)
        for group in groups:
            thing_groups.add_thing(tx, act, group, name)
        [row] = tx.rows("SELECT * FROM things WHERE name = :name", name=name)
        documents[name] = search.document(row, search.groups_of(tx, act.realm, [name])[name])
        assert documents[name]["thingId"] == [made.thing_id]
    return documents


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(FLEETS, st.lists(QUERIES, min_size=1, max_size=6))
def test_sql_finds_what_the_evaluation_finds(empty: Tx, fleet: dict[str, Any], queries: list[str]) -> None:
    act = Act(Realm("123456789012", "us-east-1"), "system", 1, "00000000-0000-0000-0000-000000000001")
    documents = fill(empty, act, fleet)
    for text in queries:
        try:
            query = parse(text)
        except InvalidRequest:  # two leading wildcards
            continue
        expected = sorted(name for name, document in documents.items() if matches(query, document))
        assert sorted(found(empty, act.realm, query, limit=2)) == expected, text
