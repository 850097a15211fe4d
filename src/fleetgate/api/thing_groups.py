"""Thing groups and their members: CreateThingGroup ... UpdateThingGroupsForThing."""

from __future__ import annotations

from typing import Final

from fleetgate.api import tags
from fleetgate.api.handling import Params, Result
from fleetgate.api.listing import Listing
from fleetgate.api.naming import name_in
from fleetgate.api.things import attributes_of
from fleetgate.database.port import Tx
from fleetgate.errors import InvalidRequest
from fleetgate.names import Act
from fleetgate.registry import dynamic_groups, thing_groups
from fleetgate.registry.thing_groups import ThingGroup
from fleetgate.search.fields import THINGS
from fleetgate.search.query import VERSION

_GROUPS: Final = Listing("thing-groups")
_GROUPS_OF: Final = Listing("thing-groups-of")
_MEMBERS: Final = Listing("members")


def create_thing_group(tx: Tx, act: Act, params: Params) -> Result:
    properties = params.get("thingGroupProperties") or {}
    attributes, _ = attributes_of(properties)
    group = thing_groups.create(
        tx,
        act,
        params["thingGroupName"],
        parent=params.get("parentGroupName"),
        description=properties.get("thingGroupDescription", ""),
        attributes=attributes,
    )
    arn = act.realm.arn("thinggroup", group.name)
    tags.put_given(tx, act, arn, params)
    return {"thingGroupName": group.name, "thingGroupArn": arn, "thingGroupId": group.group_id}


def describe_thing_group(tx: Tx, act: Act, params: Params) -> Result:
    group = thing_groups.get(tx, act.realm, params["thingGroupName"])
    if group.query is not None:
        return _dynamic(act, group)
    return {
        "thingGroupName": group.name,
        "thingGroupId": group.group_id,
        "thingGroupArn": act.realm.arn("thinggroup", group.name),
        "version": group.version,
        "thingGroupProperties": {
            "thingGroupDescription": group.description,
            "attributePayload": {"attributes": group.attributes},
        },
        "thingGroupMetadata": {
            "parentGroupName": group.parent_name,
            "rootToParentThingGroups": [_named(act, name) for name in group.ancestors],
            "creationDate": group.created_at,
        },
    }


def _dynamic(act: Act, group: ThingGroup) -> Result:
    return {
        "thingGroupName": group.name,
        "thingGroupId": group.group_id,
        "thingGroupArn": act.realm.arn("thinggroup", group.name),
        "version": group.version,
        "thingGroupProperties": {
            "thingGroupDescription": group.description,
            "attributePayload": {"attributes": group.attributes},
        },
        "thingGroupMetadata": {"creationDate": group.created_at},
        "indexName": THINGS.name,
        "queryString": group.query,
        "queryVersion": VERSION,
        "status": "ACTIVE",
    }


def update_thing_group(tx: Tx, act: Act, params: Params) -> Result:
    properties = params["thingGroupProperties"]
    attributes, merge = attributes_of(properties)
    group = thing_groups.update(
        tx,
        act,
        thing_groups.static(tx, act.realm, params["thingGroupName"]).name,
        description=properties.get("thingGroupDescription"),
        attributes=attributes,
        merge=merge,
        expected_version=params.get("expectedVersion"),
    )
    return {"version": group.version}


def delete_thing_group(tx: Tx, act: Act, params: Params) -> Result:
    if (group := thing_groups.find(tx, act.realm, params["thingGroupName"])) is not None:
        thing_groups.static(tx, act.realm, group.name)
    thing_groups.delete(tx, act, params["thingGroupName"], expected_version=params.get("expectedVersion"))
    return {}


def list_thing_groups(tx: Tx, act: Act, params: Params) -> Result:
    """All groups, or the direct children of a parentGroup; `recursive` turns either round."""
    parent = params.get("parentGroup")
    page = thing_groups.page(
        tx,
        act.realm,
        *_GROUPS.opened(params),
        parent=parent,
        recursive=params.get("recursive", parent is None),
        prefix=params.get("namePrefixFilter", ""),
    )
    return {"thingGroups": [_named(act, group.name) for group in page.items], "nextToken": _GROUPS.token(page, params)}


def _named(act: Act, name: str) -> Result:
    return {"groupName": name, "groupArn": act.realm.arn("thinggroup", name)}


# --- members ----------------------------------------------------------------------------------------------------------


def add_thing_to_thing_group(tx: Tx, act: Act, params: Params) -> Result:
    thing_groups.add_thing(tx, act, group_in(act, params), _thing_in(act, params))
    return {}


def remove_thing_from_thing_group(tx: Tx, act: Act, params: Params) -> Result:
    thing_groups.remove_thing(tx, act, group_in(act, params), _thing_in(act, params))
    return {}


def list_thing_groups_for_thing(tx: Tx, act: Act, params: Params) -> Result:
    name = params["thingName"]
    every = [*thing_groups.groups_of(tx, act.realm, name), *dynamic_groups.of_thing(tx, act.realm, name)]
    page = _GROUPS_OF.cut(sorted(every), params)
    return {"thingGroups": [_named(act, name) for name in page.items], "nextToken": _GROUPS_OF.token(page, params)}


def list_things_in_thing_group(tx: Tx, act: Act, params: Params) -> Result:
    recursive = params.get("recursive", False)
    opened = _MEMBERS.opened(params)
    group = thing_groups.get(tx, act.realm, params["thingGroupName"])
    if group.query is not None:
        page = dynamic_groups.page_things(tx, act.realm, group, *opened)
    else:
        page = thing_groups.page_things(tx, act.realm, group.name, *opened, recursive=recursive)
    return {"things": list(page.items), "nextToken": _MEMBERS.token(page, params)}


def update_thing_groups_for_thing(tx: Tx, act: Act, params: Params) -> Result:
    """Out of groups first, so that a thing can move within a hierarchy."""
    name = params.get("thingName")
    if name is None:
        raise InvalidRequest("thingName cannot be null")
    for group in params.get("thingGroupsToRemove", ()):
        thing_groups.remove_thing(tx, act, group, name)
    for group in params.get("thingGroupsToAdd", ()):
        thing_groups.add_thing(tx, act, group, name)
    return {}


def group_in(act: Act, params: Params) -> str:
    """The name of the group that *params* name, by name or ARN. Raises InvalidRequest, NotFound."""
    return name_in(act, params, "thingGroup", "thinggroup")


def _thing_in(act: Act, params: Params) -> str:
    return name_in(act, params, "thing", "thing")
