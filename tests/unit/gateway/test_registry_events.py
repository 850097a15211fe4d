"""What is published of a change of the registry."""

from __future__ import annotations

from tests.server import REALM

from fleetgate.gateway.registry_events import messages
from fleetgate.registry import events
from fleetgate.registry.events import Event
from fleetgate.registry.outbox import Entry


def told(event: Event) -> dict[str, dict[str, object]]:
    entry = Entry("000001700000000-" + "a" * 36, REALM, event, "system", "r", 1_700_000_000_000)
    return {each.topic: each.content for each in messages(entry)}


def test_a_change_of_type_is_two_associations() -> None:
    found = told(events.ThingUpdated("t", "id", "new", {}, 2, "old"))
    assert list(found) == [
        "thing/t/updated",
        "thingTypeAssociation/thing/t/thingType/old/removed",
        "thingTypeAssociation/thing/t/thingType/new/added",
    ]
    assert list(told(events.ThingUpdated("t", "id", "same", {}, 2, "same"))) == ["thing/t/updated"]


def test_a_deleted_thing_is_told_as_it_was() -> None:
    found = told(events.ThingDeleted("t", "id", 3, None, {"a": "b"}))
    assert found == {
        "thing/t/deleted": {
            "eventType": "THING_EVENT",
            "eventId": "a" * 36,
            "timestamp": 1_700_000_000_000,
            "operation": "DELETED",
            "accountId": REALM.account,
            "thingId": "id",
            "thingName": "t",
            "versionNumber": 3,
            "thingTypeName": None,
            "attributes": {"a": "b"},
        }
    }


def test_types_groups_and_members() -> None:
    [(topic, kind)] = told(events.ThingTypeChanged("UPDATED", "k", "kid", "d", ["a"], 5)).items()
    assert (topic, kind["isDeprecated"], kind["deprecationDate"]) == ("thingType/k/updated", True, 5)
    group = {"id": "gid", "version": 1, "parent": ["p", "pid"], "root_to_parent": [["p", "pid"]],
             "description": "", "attributes": {}, "dynamic": False}  # fmt: skip
    found = told(events.ThingGroupDeleted("g", group))
    assert list(found) == ["thingGroup/g/deleted", "thingGroupHierarchy/thingGroup/p/childThingGroup/g/removed"]
    assert found["thingGroup/g/deleted"]["parentGroupId"] == "pid"
    assert told(events.ThingGroupDeleted("g")) == {}  # of a version that kept less
    [(topic, member)] = told(events.GroupMembershipChanged("g", "t", False, "gid", "tid")).items()
    assert topic == "thingGroupMembership/thingGroup/g/thing/t/removed"
    assert (member["groupArn"], member["thingId"]) == (REALM.arn("thinggroup", "g"), "tid")
    assert told(events.PolicyChanged("p", 1)) == {}
