from __future__ import annotations

from typing import Any

import pytest

from fleetgate.names import Realm


@pytest.fixture
def tree(iot: Any) -> Any:
    """House > floor > room, and garden beside it."""
    for name, parent in (("house", None), ("floor", "house"), ("room", "floor"), ("garden", None)):
        iot.create_thing_group(thingGroupName=name, **({"parentGroupName": parent} if parent else {}))
    return iot


def names(page: Any) -> list[str]:
    return [each["groupName"] for each in page["thingGroups"]]


def test_a_group_is_described_with_all_above_it(tree: Any, realm: Realm) -> None:
    found = tree.describe_thing_group(thingGroupName="room")
    assert found["thingGroupArn"] == realm.arn("thinggroup", "room")
    assert found["thingGroupMetadata"]["parentGroupName"] == "floor"
    assert found["thingGroupMetadata"]["rootToParentThingGroups"] == [
        {"groupName": name, "groupArn": realm.arn("thinggroup", name)} for name in ("house", "floor")
    ]
    assert found["version"] == 1


def test_the_same_again_is_the_same_and_another_is_refused(iot: Any, realm: Realm) -> None:
    asked = {"thingGroupProperties": {"thingGroupDescription": "d", "attributePayload": {"attributes": {"a": "1"}}}}
    first = iot.create_thing_group(thingGroupName="g", **asked)
    assert iot.create_thing_group(thingGroupName="g", **asked)["thingGroupId"] == first["thingGroupId"]
    with pytest.raises(iot.exceptions.ResourceAlreadyExistsException, match="with different properties") as caught:
        iot.create_thing_group(thingGroupName="g")
    assert caught.value.response["resourceArn"] == realm.arn("thinggroup", "g")


def test_a_group_changes(iot: Any) -> None:
    iot.create_thing_group(thingGroupName="g")
    properties = {"thingGroupDescription": "d", "attributePayload": {"attributes": {"a": "1"}}}
    assert iot.update_thing_group(thingGroupName="g", thingGroupProperties=properties)["version"] == 2
    more = {"attributePayload": {"attributes": {"b": "2"}, "merge": True}}
    assert iot.update_thing_group(thingGroupName="g", thingGroupProperties=more, expectedVersion=2)["version"] == 3
    assert iot.describe_thing_group(thingGroupName="g")["thingGroupProperties"] == {
        "thingGroupDescription": "d",
        "attributePayload": {"attributes": {"a": "1", "b": "2"}},
    }
    with pytest.raises(iot.exceptions.VersionConflictException):
        iot.update_thing_group(thingGroupName="g", thingGroupProperties=more, expectedVersion=2)


def test_a_parent_outlives_its_children(tree: Any) -> None:
    with pytest.raises(tree.exceptions.InvalidRequestException, match="when there are still child groups"):
        tree.delete_thing_group(thingGroupName="floor")
    tree.delete_thing_group(thingGroupName="room")
    tree.delete_thing_group(thingGroupName="floor", expectedVersion=1)
    tree.delete_thing_group(thingGroupName="floor")


def test_groups_are_listed(tree: Any) -> None:
    assert names(tree.list_thing_groups()) == ["floor", "garden", "house", "room"]
    assert names(tree.list_thing_groups(recursive=False)) == ["garden", "house"]
    assert names(tree.list_thing_groups(parentGroup="house")) == ["floor"]
    assert names(tree.list_thing_groups(parentGroup="house", recursive=True)) == ["floor", "room"]
    assert names(tree.list_thing_groups(namePrefixFilter="f")) == ["floor"]
    pages = tree.get_paginator("list_thing_groups").paginate(PaginationConfig={"PageSize": 3})
    assert [name for page in pages for name in names(page)] == ["floor", "garden", "house", "room"]
    with pytest.raises(tree.exceptions.ResourceNotFoundException):
        tree.list_thing_groups(parentGroup="cellar")


def test_things_join_and_leave(tree: Any, realm: Realm) -> None:
    for name in ("t1", "t2"):
        tree.create_thing(thingName=name)
    tree.add_thing_to_thing_group(thingGroupName="room", thingName="t1")
    tree.add_thing_to_thing_group(
        thingGroupArn=realm.arn("thinggroup", "floor"), thingArn=realm.arn("thing", "t2"), overrideDynamicGroups=True
    )
    assert tree.list_things_in_thing_group(thingGroupName="room")["things"] == ["t1"]
    assert tree.list_things_in_thing_group(thingGroupName="house")["things"] == []
    pages = tree.get_paginator("list_things_in_thing_group").paginate(
        thingGroupName="house", recursive=True, PaginationConfig={"PageSize": 1}
    )
    assert sorted(name for page in pages for name in page["things"]) == ["t1", "t2"]
    with pytest.raises(tree.exceptions.InvalidRequestException, match="same hierarchy"):
        tree.add_thing_to_thing_group(thingGroupName="house", thingName="t1")
    tree.remove_thing_from_thing_group(thingGroupName="room", thingName="t1")
    assert tree.list_thing_groups_for_thing(thingName="t1")["thingGroups"] == []


def test_a_thing_moves_in_one_call(tree: Any) -> None:
    tree.create_thing(thingName="t")
    tree.update_thing_groups_for_thing(thingName="t", thingGroupsToAdd=["room", "garden"])
    tree.update_thing_groups_for_thing(thingName="t", thingGroupsToAdd=["house"], thingGroupsToRemove=["room"])
    assert names(tree.list_thing_groups_for_thing(thingName="t")) == ["garden", "house"]
    pages = tree.get_paginator("list_thing_groups_for_thing").paginate(thingName="t", PaginationConfig={"PageSize": 1})
    assert [names(page) for page in pages] == [["garden"], ["house"]]
    with pytest.raises(tree.exceptions.InvalidRequestException, match="thingName cannot be null"):
        tree.update_thing_groups_for_thing(thingGroupsToAdd=["room"])


def test_a_group_or_a_thing_must_be_named(tree: Any, realm: Realm) -> None:
    tree.create_thing(thingName="t")
    invalid = tree.exceptions.InvalidRequestException
    with pytest.raises(invalid, match="Both thingName and thingArn cannot be null"):
        tree.add_thing_to_thing_group(thingGroupName="room")
    with pytest.raises(invalid, match="Both thingGroupName and thingGroupArn cannot be null"):
        tree.remove_thing_from_thing_group(thingName="t")
    with pytest.raises(invalid, match="is not the ARN of thing t"):
        tree.add_thing_to_thing_group(thingGroupName="room", thingName="t", thingArn=realm.arn("thing", "u"))
    with pytest.raises(invalid, match="is not the ARN of a thinggroup"):
        tree.add_thing_to_thing_group(thingGroupArn=realm.arn("thing", "t"), thingName="t")
    elsewhere = Realm("999999999999", realm.region).arn("thinggroup", "room")
    with pytest.raises(tree.exceptions.ResourceNotFoundException, match="in this account and region"):
        tree.add_thing_to_thing_group(thingGroupArn=elsewhere, thingName="t")
