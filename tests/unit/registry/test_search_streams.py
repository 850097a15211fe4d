from __future__ import annotations

import pytest

from fleetgate.database.port import Tx
from fleetgate.names import Act, Realm
from fleetgate.registry import search_streams, things
from fleetgate.registry.search_conditions import Values
from fleetgate.search.query import parse
from fleetgate.search.tree import Exact, Match


def stream(query: str) -> search_streams.Stream | None:
    tree = parse(query)
    assert isinstance(tree, Match)
    return search_streams.of(tree)


@pytest.mark.parametrize(
    ("query", "order"),
    [
        ("thingName:a", "t.name"),
        ("thingName:a*", "t.folded_name, t.name"),
        ("thingName:a*b", "t.folded_name, t.name"),
        ("thingId:ab*", "t.thing_id, t.name"),
        ("attributes.x:a", "d.value, d.thing_name"),
        ("attributes.x:*", "d.folded, d.value, d.thing_name"),
        ("attributes.x:[a TO b]", "d.folded, d.value, d.thing_name"),
        ("attributes.x>5", "d.number, d.thing_name"),
        ("connectivity.connected:true", "d.changed_at, d.thing_name"),
    ],
)
def test_the_order_is_what_the_index_leaves_open(query: str, order: str) -> None:
    found = stream(query)
    assert found is not None
    assert found.order == order


@pytest.mark.parametrize("query", ["a", "*", "thingName:*a", "attributes.x:?a", "shadow.x:1"])
def test_what_no_index_knows(query: str) -> None:
    assert stream(query) is None


def test_types_and_groups_are_streams_once_their_names_are_known() -> None:
    assert stream("thingTypeName:a") is None
    for field in ("thingTypeName", "thingGroupNames"):
        found = search_streams.of(Match(field, Exact("A")))
        assert found is not None
        assert found.values == {"s0": "A"}


def test_a_key_takes_the_place_of_the_beginning() -> None:
    found = stream("thingName:a*")
    assert found is not None
    values = Values()
    assert found.within(None, None, values)[1:] == ["t.folded_name >= :s0", "t.folded_name < :s1"]
    assert found.within(["a", "A"], ["b", "B"], values)[1:] == [
        "(t.folded_name, t.name) > (:p0, :p1)",
        "(t.folded_name, t.name) <= (:p2, :p3)",
    ]
    assert values.named == {"p0": "a", "p1": "A", "p2": "b", "p3": "B"}


def test_the_shortest_stream_is_chosen(tx: Tx, act: Act, realm: Realm) -> None:
    for number in range(5):
        things.create(tx, act, f"t{number}", attributes={"few": "x"} if number < 2 else {"many": "x"})
    streams = [found for query in ("attributes.many:x", "attributes.few:x", "thingName:t*") if (found := stream(query))]
    assert search_streams.shortest(tx, str(realm), streams) == (1, 2)
    assert search_streams.shortest(tx, str(realm), streams, 2) == (0, 2)
    assert search_streams.shortest(tx, str(realm), streams[2:]) == (0, 0)
