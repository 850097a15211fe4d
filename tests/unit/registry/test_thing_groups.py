from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fleetgate.database.port import Tx
from fleetgate.errors import AlreadyExists, InvalidRequest, NotFound, VersionConflict
from fleetgate.names import Act, Realm
from fleetgate.registry import attachments, policies, tags, thing_groups, things
from fleetgate.registry.events import Event, GroupMembershipChanged, ThingGroupDeleted

Told = Callable[[], list[Event]]


@pytest.fixture
def tree(tx: Tx, act: Act) -> None:
    """A > (a-b, b > c), -z, a-x: names that sort before and after the slash of a path."""
    for name, parent in [("a", None), ("-z", None), ("a-x", None), ("b", "a"), ("a-b", "a"), ("c", "b")]:
        thing_groups.create(tx, act, name, parent=parent)


def test_create(tx: Tx, act: Act) -> None:
    made = thing_groups.create(tx, act, "a", description="All", attributes={"k": "v"})
    assert thing_groups.get(tx, act.realm, "a") == made
    assert (made.parent_name, made.path, made.ancestors, made.version) == (None, "a/", (), 1)
    child = thing_groups.create(tx, act, "b", parent="a")
    assert thing_groups.create(tx, act, "c", parent="b").ancestors == ("a", "b")
    assert (child.parent_name, child.path) == ("a", "a/b/")


def test_the_same_again_is_the_one_there_is(tx: Tx, act: Act, later: Callable[..., Act]) -> None:
    thing_groups.create(tx, act, "a")
    made = thing_groups.create(tx, act, "b", parent="a", attributes={"k": "v"})
    assert thing_groups.create(tx, later(), "b", parent="a", attributes={"k": "v"}) == made


@pytest.mark.parametrize("other", [{"parent": "a"}, {"description": "x"}, {"attributes": {"k": "v"}}])
def test_something_else_of_the_name_is_refused(
    tx: Tx, act: Act, later: Callable[..., Act], other: dict[str, Any]
) -> None:
    thing_groups.create(tx, act, "a")
    made = thing_groups.create(tx, act, "b")
    with pytest.raises(
        AlreadyExists, match=r"^Thing Group b already exists in current account with different properties$"
    ) as refused:
        thing_groups.create(tx, later(), "b", **other)
    assert refused.value.members["resourceId"] == made.group_id


def test_seven_levels(tx: Tx, act: Act) -> None:
    parent = None
    for level in range(7):
        parent = thing_groups.create(tx, act, f"level{level}", parent=parent).name
    with pytest.raises(InvalidRequest, match="level 7"):
        thing_groups.create(tx, act, "level7", parent=parent)


def test_a_hundred_children(tx: Tx, act: Act) -> None:
    thing_groups.create(tx, act, "top")
    for number in range(100):
        thing_groups.create(tx, act, f"child{number}", parent="top")
    with pytest.raises(InvalidRequest, match="100 child groups"):
        thing_groups.create(tx, act, "child100", parent="top")
    assert thing_groups.create(tx, act, "child0", parent="top").name == "child0"


def test_bad_ones(tx: Tx, act: Act) -> None:
    with pytest.raises(NotFound, match="Thing group nobody"):
        thing_groups.create(tx, act, "a", parent="nobody")
    with pytest.raises(InvalidRequest):
        thing_groups.create(tx, act, "a/b")
    with pytest.raises(InvalidRequest, match="50 attributes"):
        thing_groups.create(tx, act, "a", attributes={f"k{number}": "v" for number in range(51)})


def test_update(tx: Tx, act: Act) -> None:
    thing_groups.create(tx, act, "a", description="old", attributes={"k": "v", "l": "w"})
    merged = thing_groups.update(tx, act, "a", attributes={"k": ""}, merge=True)
    assert (merged.description, merged.attributes, merged.version) == ("old", {"l": "w"}, 2)
    replaced = thing_groups.update(tx, act, "a", description="new", attributes={"m": "x"}, expected_version=2)
    assert (replaced.description, replaced.attributes, replaced.version) == ("new", {"m": "x"}, 3)
    with pytest.raises(VersionConflict):
        thing_groups.update(tx, act, "a", expected_version=2)
    with pytest.raises(NotFound):
        thing_groups.update(tx, act, "b")


@pytest.mark.usefixtures("tree")
def test_delete_from_the_leaves(tx: Tx, act: Act, told: Told) -> None:
    with pytest.raises(
        InvalidRequest, match=r"^ Cannot delete thing group : b when there are still child groups attached to it$"
    ):
        thing_groups.delete(tx, act, "b")
    with pytest.raises(VersionConflict):
        thing_groups.delete(tx, act, "c", expected_version=4)
    things.create(tx, act, "one")
    thing_groups.add_thing(tx, act, "c", "one")
    policies.create(tx, act, "p", "{}")
    attachments.attach_policy(tx, act, "p", act.realm.arn("thinggroup", "c"))
    tags.put(tx, act, act.realm.arn("thinggroup", "c"), {"a": "b"})
    told()
    thing_groups.delete(tx, act, "c", expected_version=1)
    assert told() == [ThingGroupDeleted("c")]
    thing_groups.delete(tx, act, "b")
    for table in ("thing_group_members", "policy_attachments", "tags"):
        assert tx.rows(f"SELECT * FROM {table}") == []
    assert things.find(tx, act.realm, "one")
    told()
    thing_groups.delete(tx, act, "c")
    assert told() == []


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, ["-z", "a", "a-b", "a-x", "b", "c"]),
        ({"prefix": "a-"}, ["a-b", "a-x"]),
        ({"recursive": False}, ["-z", "a", "a-x"]),
        ({"recursive": False, "prefix": "a"}, ["a", "a-x"]),
        ({"parent": "a"}, ["a-b", "b", "c"]),
        ({"parent": "a", "prefix": "c"}, ["c"]),
        ({"parent": "a", "recursive": False}, ["a-b", "b"]),
        ({"parent": "a", "recursive": False, "prefix": "b"}, ["b"]),
        ({"parent": "c"}, []),
        ({"parent": "-z"}, []),
    ],
)
def test_pages(tx: Tx, realm: Realm, filters: dict[str, Any], expected: list[str]) -> None:
    names: list[str] = []
    after: str | None = None
    for _ in range(10):
        page = thing_groups.page(tx, realm, after, 1, **filters)
        names += [group.name for group in page.items]
        if (after := page.next_key) is None:
            break
    assert names == expected


def test_pages_refuse(tx: Tx, realm: Realm) -> None:
    with pytest.raises(NotFound):
        thing_groups.page(tx, realm, parent="nobody")
    with pytest.raises(NotFound):
        thing_groups.page(tx, realm, parent="nobody", recursive=False)
    with pytest.raises(InvalidRequest):
        thing_groups.page(tx, realm, prefix="~")


@pytest.mark.usefixtures("tree")
def test_members(tx: Tx, act: Act, told: Told) -> None:
    things.create(tx, act, "one")
    told()
    thing_groups.add_thing(tx, act, "c", "one")
    thing_groups.add_thing(tx, act, "c", "one")
    thing_groups.add_thing(tx, act, "-z", "one")
    group, other = (thing_groups.get(tx, act.realm, name) for name in ("c", "-z"))
    thing = things.get(tx, act.realm, "one")
    assert set(map(repr, told())) == {
        repr(GroupMembershipChanged("c", "one", True, group.group_id, thing.thing_id)),
        repr(GroupMembershipChanged("-z", "one", True, other.group_id, thing.thing_id)),
    }
    assert thing_groups.groups_of(tx, act.realm, "one") == ["-z", "c"]
    thing_groups.remove_thing(tx, act, "b", "one")
    assert told() == []
    thing_groups.remove_thing(tx, act, "c", "one")
    assert told() == [GroupMembershipChanged("c", "one", False)]
    assert thing_groups.groups_of(tx, act.realm, "one") == ["-z"]


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize("second", ["a", "b", "a-b"])
def test_one_group_of_each_hierarchy(tx: Tx, act: Act, second: str) -> None:
    things.create(tx, act, "one")
    thing_groups.add_thing(tx, act, "c", "one")
    with pytest.raises(InvalidRequest, match="is in group c of the same hierarchy"):
        thing_groups.add_thing(tx, act, second, "one")


def test_ten_groups_at_most(tx: Tx, act: Act) -> None:
    things.create(tx, act, "one")
    for number in range(11):
        thing_groups.create(tx, act, f"g{number}")
    for number in range(10):
        thing_groups.add_thing(tx, act, f"g{number}", "one")
    with pytest.raises(InvalidRequest, match="10 groups"):
        thing_groups.add_thing(tx, act, "g10", "one")
    assert len(thing_groups.groups_of(tx, act.realm, "one")) == 10


@pytest.mark.usefixtures("tree")
def test_members_must_exist(tx: Tx, act: Act) -> None:
    things.create(tx, act, "one")
    for change in (thing_groups.add_thing, thing_groups.remove_thing):
        with pytest.raises(NotFound, match="Thing group"):
            change(tx, act, "nobody", "one")
        with pytest.raises(NotFound, match="Thing nobody"):
            change(tx, act, "a", "nobody")
    with pytest.raises(NotFound):
        thing_groups.groups_of(tx, act.realm, "nobody")
    with pytest.raises(NotFound):
        thing_groups.page_things(tx, act.realm, "nobody")


@pytest.mark.usefixtures("tree")
def test_things_of_a_branch(tx: Tx, act: Act) -> None:
    for name, group in [("5", "a"), ("4", "b"), ("3", "c"), ("2", "a-x"), ("1", "-z"), ("0", "a-b"), ("6", "b")]:
        things.create(tx, act, name)
        thing_groups.add_thing(tx, act, group, name)

    def listed(group: str, *, recursive: bool) -> list[str]:
        names: list[str] = []
        after: str | None = None
        for _ in range(10):
            page = thing_groups.page_things(tx, act.realm, group, after, 1, recursive=recursive)
            names += page.items
            if (after := page.next_key) is None:
                break
        return names

    assert listed("a", recursive=True) == ["5", "0", "4", "6", "3"]
    assert listed("b", recursive=True) == ["4", "6", "3"]
    assert listed("-z", recursive=True) == ["1"]
    assert listed("a", recursive=False) == ["5"]
    assert listed("b", recursive=False) == ["4", "6"]
    # A token of another group shows nothing that is not in this one.
    assert thing_groups.page_things(tx, act.realm, "b", "-z/1", recursive=True).items == ("4", "6", "3")
