from __future__ import annotations

from collections.abc import Callable

import pytest

from fleetgate.database.port import Tx
from fleetgate.errors import AlreadyExists, InvalidQuery, InvalidRequest, LimitExceeded, NotFound, VersionConflict
from fleetgate.names import Act, Realm
from fleetgate.registry import connectivity, dynamic_groups, indexing, thing_groups, things
from fleetgate.registry.connectivity import Change, Connectivity

ON = {"thingIndexingMode": "REGISTRY", "thingConnectivityIndexingMode": "STATUS"}


@pytest.fixture(autouse=True)
def _indexed(tx: Tx, act: Act) -> None:
    indexing.update(tx, act, ON)
    things.create(tx, act, "one", attributes={"n": "1"})
    things.create(tx, act, "two", attributes={"n": "2"})


def test_members_are_what_the_query_finds_now(tx: Tx, act: Act, realm: Realm) -> None:
    group = dynamic_groups.create(tx, act, "high", "attributes.n>1")
    assert dynamic_groups.page_things(tx, realm, group).items == ("two",)
    assert dynamic_groups.of_thing(tx, realm, "one") == []
    things.update(tx, act, "one", attributes={"n": "3"})
    page = dynamic_groups.page_things(tx, realm, group, None, 1)
    assert page.items == ("two",)
    assert dynamic_groups.page_things(tx, realm, group, page.next_key, 1).items == ("one",)
    assert dynamic_groups.of_thing(tx, realm, "one") == ["high"]
    assert dynamic_groups.of_thing(tx, realm, "none") == []


def test_connectivity_counts_where_it_is_indexed(tx: Tx, act: Act, realm: Realm) -> None:
    group = dynamic_groups.create(tx, act, "online", "connectivity.connected:true")
    connectivity.note(tx, "node", [Change(realm, Connectivity("one", "one", True, 5))])
    assert dynamic_groups.page_things(tx, realm, group).items == ("one",)
    assert dynamic_groups.of_thing(tx, realm, "one") == ["online"]
    indexing.update(tx, act, {"thingIndexingMode": "REGISTRY"})
    assert dynamic_groups.page_things(tx, realm, group).items == ()
    assert dynamic_groups.of_thing(tx, realm, "one") == []


def test_the_same_again_and_something_else(tx: Tx, act: Act, later: Callable[..., Act]) -> None:
    made = dynamic_groups.create(tx, act, "d", "*", description="all", attributes={"a": "b"})
    assert dynamic_groups.create(tx, later(), "d", "*", description="all", attributes={"a": "b"}) == made
    with pytest.raises(AlreadyExists):
        dynamic_groups.create(tx, later(), "d", "thingName:x", description="all", attributes={"a": "b"})
    thing_groups.create(tx, act, "s")
    with pytest.raises(AlreadyExists):
        dynamic_groups.create(tx, later(), "s", "*")
    with pytest.raises(AlreadyExists):
        thing_groups.create(tx, later(), "d", description="all", attributes={"a": "b"})


def test_update(tx: Tx, act: Act) -> None:
    dynamic_groups.create(tx, act, "d", "*")
    changed = dynamic_groups.update(tx, act, "d", description="new", expected_version=1)
    assert (changed.query, changed.description, changed.version) == ("*", "new", 2)
    assert dynamic_groups.update(tx, act, "d", query="thingName:one").query == "thingName:one"
    with pytest.raises(InvalidQuery):
        dynamic_groups.update(tx, act, "d", query="(")
    with pytest.raises(VersionConflict):
        dynamic_groups.delete(tx, act, "d", expected_version=1)
    dynamic_groups.delete(tx, act, "d", expected_version=3)
    dynamic_groups.delete(tx, act, "d")


def test_dynamic_and_static_groups_have_operations_of_their_own(tx: Tx, act: Act) -> None:
    dynamic_groups.create(tx, act, "d", "*")
    thing_groups.create(tx, act, "s")
    with pytest.raises(InvalidRequest, match="static group"):
        dynamic_groups.update(tx, act, "s")
    with pytest.raises(InvalidRequest, match="static group"):
        dynamic_groups.delete(tx, act, "s")
    with pytest.raises(InvalidRequest, match="dynamic group"):
        thing_groups.add_thing(tx, act, "d", "one")
    with pytest.raises(InvalidRequest, match="dynamic group"):
        thing_groups.create(tx, act, "below", parent="d")


def test_limits(tx: Tx, act: Act, later: Callable[..., Act], elsewhere: Realm) -> None:
    for number in range(dynamic_groups.MOST):
        dynamic_groups.create(tx, act, f"d{number}", "thingName:one")
    with pytest.raises(LimitExceeded):
        dynamic_groups.create(tx, act, "more", "*")
    assert dynamic_groups.create(tx, act, "d0", "thingName:one").name == "d0"
    assert len(dynamic_groups.of_thing(tx, act.realm, "one")) == 100
    with pytest.raises(NotFound, match="AWS_Things"):
        dynamic_groups.create(tx, later(of=elsewhere), "d", "*")
