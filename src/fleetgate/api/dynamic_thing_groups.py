"""Dynamic thing groups: CreateDynamicThingGroup, UpdateDynamicThingGroup, DeleteDynamicThingGroup."""

from __future__ import annotations

from fleetgate.api import tags
from fleetgate.api.handling import Params, Result
from fleetgate.api.indexing import check_version
from fleetgate.api.things import attributes_of
from fleetgate.database.port import Tx
from fleetgate.errors import InvalidRequest
from fleetgate.names import Act
from fleetgate.registry import dynamic_groups
from fleetgate.search.fields import THINGS


def create_dynamic_thing_group(tx: Tx, act: Act, params: Params) -> Result:
    _check(params)
    properties = params.get("thingGroupProperties") or {}
    attributes, _ = attributes_of(properties)
    group = dynamic_groups.create(
        tx,
        act,
        params["thingGroupName"],
        params["queryString"],
        description=properties.get("thingGroupDescription", ""),
        attributes=attributes,
    )
    arn = act.realm.arn("thinggroup", group.name)
    tags.put_given(tx, act, arn, params)
    return {
        "thingGroupName": group.name,
        "thingGroupArn": arn,
        "thingGroupId": group.group_id,
        "indexName": THINGS.name,
        "queryString": group.query,
        "queryVersion": check_version({}),
    }


def update_dynamic_thing_group(tx: Tx, act: Act, params: Params) -> Result:
    _check(params)
    properties = params["thingGroupProperties"]
    attributes, merge = attributes_of(properties)
    group = dynamic_groups.update(
        tx,
        act,
        params["thingGroupName"],
        query=params.get("queryString"),
        description=properties.get("thingGroupDescription"),
        attributes=attributes,
        merge=merge,
        expected_version=params.get("expectedVersion"),
    )
    return {"version": group.version}


def delete_dynamic_thing_group(tx: Tx, act: Act, params: Params) -> Result:
    dynamic_groups.delete(tx, act, params["thingGroupName"], expected_version=params.get("expectedVersion"))
    return {}


def _check(params: Params) -> None:
    check_version(params)
    if params.get("indexName", THINGS.name) != THINGS.name:
        raise InvalidRequest(f"A dynamic thing group is found through {THINGS.name}.")
