from __future__ import annotations

import pytest

from fleetgate.database.port import Tx
from fleetgate.names import Act, Realm
from fleetgate.registry import group_search, thing_groups
from fleetgate.search.fields import GROUPS
from fleetgate.search.query import parse


@pytest.fixture
def groups(tx: Tx, act: Act) -> Tx:
    thing_groups.create(tx, act, "house", description="The whole house")
    thing_groups.create(tx, act, "floor1", parent="house", attributes={"level": "1"})
    thing_groups.create(tx, act, "floor2", parent="house", attributes={"level": "2"})
    thing_groups.create(tx, act, "room", parent="floor2")
    return tx


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("*", "floor1 floor2 house room"),
        ("thingGroupName:FLOOR*", "floor1 floor2"),
        ("parentGroupNames:house", "floor1 floor2 room"),
        ("parentGroupNames:floor2", "room"),
        ("attributes.level>1", "floor2"),
        ('"whole house"', "house"),
        ("NOT parentGroupNames:*", "house"),
    ],
)
def test_what_is_found(groups: Tx, realm: Realm, query: str, names: str) -> None:
    found = group_search.page(groups, realm, parse(query, GROUPS))
    assert [group.name for group in found.items] == names.split()
    assert found.next_key is None


def test_pages(groups: Tx, realm: Realm) -> None:
    query = parse("parentGroupNames:house", GROUPS)
    first = group_search.page(groups, realm, query, None, 2)
    assert [group.name for group in first.items] == ["floor1", "floor2"]
    assert [group.name for group in group_search.page(groups, realm, query, first.next_key, 2).items] == ["room"]
    short = group_search.page(groups, realm, parse("thingGroupName:room", GROUPS), None, 2, budget=3)
    assert (short.items, short.next_key) == ((), "house")


def test_histogram(groups: Tx, realm: Realm) -> None:
    def counted(field: str) -> dict[str, int]:
        return group_search.histogram(groups, realm, parse("parentGroupNames:*", GROUPS), field)

    assert counted("parentGroupNames") == {"house": 3, "floor2": 1}
    assert counted("version") == {"1": 3}
    assert counted("attributes.level") == {"1": 1, "2": 1}
    assert counted("description") == {}
