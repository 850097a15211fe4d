from __future__ import annotations

from collections.abc import Callable

import pytest

from fleetgate.database.port import Tx
from fleetgate.errors import AlreadyExists, InvalidRequest, NotFound, VersionConflict
from fleetgate.names import Act, Realm
from fleetgate.registry import billing_groups, tags, things


def test_create_once_more_and_otherwise(tx: Tx, act: Act, later: Callable[..., Act]) -> None:
    made = billing_groups.create(tx, act, "south", description="the south")
    assert billing_groups.create(tx, later(), "south", description="the south") == made
    assert billing_groups.get(tx, act.realm, "south") == made
    with pytest.raises(AlreadyExists, match="different properties") as refused:
        billing_groups.create(tx, later(), "south")
    assert refused.value.members["resourceArn"] == act.realm.arn("billinggroup", "south")
    with pytest.raises(InvalidRequest):
        billing_groups.create(tx, act, "a b")


def test_update_counts(tx: Tx, act: Act) -> None:
    billing_groups.create(tx, act, "south", description="old")
    assert billing_groups.update(tx, act, "south", description="new", expected_version=1).version == 2
    assert billing_groups.update(tx, act, "south").description == "new"
    with pytest.raises(VersionConflict):
        billing_groups.update(tx, act, "south", expected_version=2)
    with pytest.raises(NotFound):
        billing_groups.update(tx, act, "north")


def test_a_thing_is_in_one(tx: Tx, act: Act, elsewhere: Realm) -> None:
    things.create(tx, act, "one")
    for name in ("south", "north"):
        billing_groups.create(tx, act, name)
        for _ in range(2):
            billing_groups.add_thing(tx, act, name, "one")
    assert billing_groups.of_thing(tx, act.realm, "one") == "north"
    assert billing_groups.of_thing(tx, elsewhere, "one") is None
    assert billing_groups.page_things(tx, act.realm, "south").items == ()
    billing_groups.remove_thing(tx, act, "south", "one")
    assert billing_groups.page_things(tx, act.realm, "north").items == ("one",)
    billing_groups.remove_thing(tx, act, "north", "one")
    assert billing_groups.of_thing(tx, act.realm, "one") is None
    for change in (billing_groups.add_thing, billing_groups.remove_thing):
        with pytest.raises(NotFound):
            change(tx, act, "west", "one")


def test_made_in_a_group(tx: Tx, act: Act, later: Callable[..., Act]) -> None:
    with pytest.raises(NotFound, match="Billing group south"):
        things.create(tx, act, "none", billing_group="south")
    billing_groups.create(tx, act, "south")
    made = things.create(tx, act, "one", billing_group="south")
    assert things.create(tx, later(), "one", billing_group="south") == made
    with pytest.raises(AlreadyExists):
        things.create(tx, later(), "one")
    things.delete(tx, later(), "one")
    assert billing_groups.page_things(tx, act.realm, "south").items == ()


def test_delete_leaves_the_things(tx: Tx, act: Act) -> None:
    billing_groups.create(tx, act, "south")
    tags.put(tx, act, act.realm.arn("billinggroup", "south"), {"cost": "7"})
    things.create(tx, act, "one", billing_group="south")
    with pytest.raises(VersionConflict):
        billing_groups.delete(tx, act, "south", expected_version=2)
    for _ in range(2):
        billing_groups.delete(tx, act, "south")
    assert billing_groups.find(tx, act.realm, "south") is None
    assert things.get(tx, act.realm, "one").name == "one"
    assert billing_groups.of_thing(tx, act.realm, "one") is None
    billing_groups.create(tx, act, "south")
    assert tags.of(tx, act.realm, act.realm.arn("billinggroup", "south")) == {}


def test_pages_by_name_and_prefix(tx: Tx, act: Act) -> None:
    for name in ("a", "b1", "b2", "b3", "c"):
        billing_groups.create(tx, act, name)
    first = billing_groups.page(tx, act.realm, None, 2, prefix="b")
    assert [each.name for each in first.items] == ["b1", "b2"]
    rest = billing_groups.page(tx, act.realm, first.next_key, 2, prefix="b")
    assert [each.name for each in rest.items] == ["b3"]
    assert rest.next_key is None
