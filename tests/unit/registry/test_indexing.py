from __future__ import annotations

from collections.abc import Callable

import pytest

from fleetgate.database.port import Tx
from fleetgate.errors import InvalidRequest, NotFound
from fleetgate.names import Act, Realm
from fleetgate.registry import dynamic_groups, indexing, search, things
from fleetgate.registry.events import Event, IndexingChanged
from fleetgate.search.fields import GROUPS, THINGS
from fleetgate.search.query import parse
from fleetgate.search.tree import EVERYTHING, And, Not, Or

ON = {"thingIndexingMode": "REGISTRY"}


def test_everything_is_off_at_first(tx: Tx, realm: Realm) -> None:
    configuration = indexing.get(tx, realm)
    assert configuration.indices == []
    assert configuration.managed(THINGS) == {}
    with pytest.raises(NotFound, match="AWS_ThingGroups"):
        indexing.need(tx, realm, GROUPS)


def test_each_part_is_replaced_by_itself(tx: Tx, act: Act, later: Callable[..., Act], elsewhere: Realm) -> None:
    custom = [{"name": "attributes.a", "type": "Number"}]
    indexing.update(tx, act, {**ON, "customFields": custom, "managedFields": [{"name": "x"}]})
    indexing.update(tx, later(), groups={"thingGroupIndexingMode": "ON"})
    configuration = indexing.get(tx, act.realm)
    assert configuration.indices == ["AWS_ThingGroups", "AWS_Things"]
    assert configuration.custom(THINGS) == {"attributes.a": "Number"}
    assert configuration.things == {**ON, "customFields": custom}
    indexing.update(tx, later(), ON)
    assert indexing.get(tx, act.realm).custom(THINGS) == {}
    assert indexing.get(tx, elsewhere).indices == []


@pytest.mark.parametrize(
    ("mode", "connectivity", "schema"),
    [
        ("REGISTRY", "OFF", "REGISTRY"),
        ("REGISTRY", "STATUS", "REGISTRY_AND_CONNECTIVITY_STATUS"),
        ("REGISTRY_AND_SHADOW", "STATUS", "REGISTRY_AND_SHADOW_AND_CONNECTIVITY_STATUS"),
    ],
)
def test_schemas(tx: Tx, act: Act, mode: str, connectivity: str, schema: str) -> None:
    made = indexing.update(tx, act, {"thingIndexingMode": mode, "thingConnectivityIndexingMode": connectivity})
    assert made.schema(THINGS) == schema
    assert made.schema(GROUPS) == "THING_GROUPS"
    assert ("connectivity.timestamp" in made.managed(THINGS)) is (connectivity == "STATUS")


def test_every_problem_is_told_at_once(tx: Tx, act: Act) -> None:
    fields = [{"name": f"attributes.a{number}", "type": "String"} for number in range(4)]
    fields += [{"name": "attributes.a0", "type": "Number"}, {"name": "shadow.x", "type": "String"}]
    wrong = {"thingIndexingMode": "OFF", "thingConnectivityIndexingMode": "STATUS", "customFields": fields}
    with pytest.raises(InvalidRequest) as refused:
        indexing.update(tx, act, wrong)
    for said in ("STATUS needs", "5 custom fields, not 6", "a field twice", "shadow.x"):
        assert said in refused.value.message
    assert indexing.get(tx, act.realm).indices == []
    shadow = {"thingIndexingMode": "REGISTRY_AND_SHADOW", "customFields": [{"name": "shadow.x", "type": "String"}]}
    indexing.update(tx, act, shadow)


def test_dynamic_groups_keep_their_index_on(tx: Tx, act: Act) -> None:
    indexing.update(tx, act, ON)
    dynamic_groups.create(tx, act, "d", "*")
    with pytest.raises(InvalidRequest, match="Dynamic thing groups"):
        indexing.update(tx, act, {"thingIndexingMode": "OFF"})
    dynamic_groups.delete(tx, act, "d")
    indexing.update(tx, act, {"thingIndexingMode": "OFF"})


def test_connectivity_that_is_not_indexed_is_not_found(tx: Tx, act: Act) -> None:
    off, on = indexing.Configuration(), indexing.Configuration({"thingConnectivityIndexingMode": "STATUS", **ON})
    query = parse("thingName:a (NOT connectivity.connected:true OR *)")
    assert indexing.seen(query, on) == query
    assert indexing.seen(query, off) == And((parse("thingName:a"), Or((Not(Or(())), EVERYTHING))))


def test_who_indexes_connectivity_is_known_and_told(
    tx: Tx, act: Act, later: Callable[..., Act], told: Callable[[], list[Event]]
) -> None:
    assert indexing.with_connectivity(tx) == set()
    indexing.update(tx, act, ON)
    indexing.update(tx, later(), {**ON, "thingConnectivityIndexingMode": "STATUS"})
    assert indexing.with_connectivity(tx) == {act.realm}
    assert told() == [IndexingChanged(False), IndexingChanged(True)]


def test_numbers_of_rows_from_before(tx: Tx, act: Act, realm: Realm) -> None:
    for number in range(7):
        things.create(tx, act, f"t{number}", attributes={"n": str(number), "s": "x"})
    tx.run("UPDATE thing_attributes SET number = NULL")
    assert search.page(tx, realm, parse("attributes.n>4")).items == ()
    after, steps = ("", ""), 0
    while rows := indexing.unnumbered(tx, realm, after, 4):
        indexing.number(tx, realm, rows)
        steps += 1
        if rows[-1]["value"] is not None:
            break
        after = (rows[-1]["thing_name"], rows[-1]["name"])
    assert steps == 4
    assert [row["name"] for row in search.page(tx, realm, parse("attributes.n>4")).items] == ["t5", "t6"]
    assert indexing.unnumbered(tx, realm) == []


@pytest.mark.parametrize("field", [{}, {"name": "attributes.a"}, {"type": "String"}])
def test_a_field_that_is_not_whole(tx: Tx, act: Act, field: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest, match="has a name and a type"):
        indexing.update(tx, act, {**ON, "customFields": [field]})
