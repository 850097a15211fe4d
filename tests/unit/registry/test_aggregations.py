from __future__ import annotations

import pytest

from fleetgate.database.port import Tx
from fleetgate.names import Act, Realm
from fleetgate.registry import aggregations, connectivity, thing_groups, thing_types, things
from fleetgate.registry.connectivity import Change, Connectivity
from fleetgate.search.query import parse


@pytest.fixture
def fleet(tx: Tx, act: Act, realm: Realm) -> Tx:
    thing_types.create(tx, act, "lamp")
    thing_groups.create(tx, act, "g")
    thing_groups.create(tx, act, "h")
    things.create(tx, act, "a", type_name="lamp", attributes={"n": "1", "s": "X"})
    things.create(tx, act, "b", type_name="lamp", attributes={"n": "1", "s": "x"})
    things.create(tx, act, "c", attributes={"n": "2"})
    things.update(tx, act, "c", attributes={"n": "2"})
    for group in ("g", "h"):
        thing_groups.add_thing(tx, act, group, "a")
    connectivity.note(tx, "node", [Change(realm, Connectivity("a", "a", True, 5))])
    connectivity.note(tx, "node", [Change(realm, Connectivity("b", "b", False, 6, "CONNECTION_LOST"))])
    return tx


@pytest.mark.parametrize(
    ("query", "field", "values"),
    [
        ("*", "attributes.n", {"1": 2, "2": 1}),
        ("*", "attributes.s", {"X": 1, "x": 1}),
        ("attributes.s:x", "attributes.n", {"1": 2}),
        ("thingName:a OR thingTypeName:lamp OR attributes.n:1", "attributes.n", {"1": 2}),
        ("NOT thingTypeName:lamp", "registry.version", {"2": 1}),
        ("*", "registry.thingTypeName", {"lamp": 2}),
        ("*", "registry.thingGroupNames", {"g": 1, "h": 1}),
        ("thingName:c", "thingName", {"c": 1}),
        ("*", "connectivity.connected", {"true": 1, "false": 1}),
        ("*", "connectivity.timestamp", {"5": 1, "6": 1}),
        ("*", "connectivity.disconnectReason", {"CONNECTION_LOST": 1}),
        ("*", "attributes.none", {}),
        ("*", "shadow.reported.x", {}),
        ("thingName:none", "attributes.n", {}),
    ],
)
def test_histograms(fleet: Tx, realm: Realm, query: str, field: str, values: dict[str, int]) -> None:
    assert aggregations.histogram(fleet, realm, parse(query), field) == values
