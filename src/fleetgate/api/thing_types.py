"""Thing types: CreateThingType ... DeleteThingType."""

from __future__ import annotations

from typing import Any, Final

from fleetgate.api import tags
from fleetgate.api.handling import Params, Result
from fleetgate.api.listing import Listing
from fleetgate.database.port import Tx
from fleetgate.errors import InvalidRequest
from fleetgate.names import Act
from fleetgate.registry import thing_types
from fleetgate.registry.pages import Page
from fleetgate.registry.thing_types import ThingType

_TYPES: Final = Listing("thing-types")


def create_thing_type(tx: Tx, act: Act, params: Params) -> Result:
    properties = _properties_of(params)
    kind = thing_types.create(
        tx,
        act,
        params["thingTypeName"],
        description=properties.get("thingTypeDescription", ""),
        searchable=properties.get("searchableAttributes", ()),
    )
    arn = act.realm.arn("thingtype", kind.name)
    tags.put_given(tx, act, arn, params)
    return {"thingTypeName": kind.name, "thingTypeArn": arn, "thingTypeId": kind.type_id}


def describe_thing_type(tx: Tx, act: Act, params: Params) -> Result:
    kind = thing_types.get(tx, act.realm, params["thingTypeName"])
    return {**_described(act, kind), "thingTypeId": kind.type_id}


def list_thing_types(tx: Tx, act: Act, params: Params) -> Result:
    """A thingTypeName asks for that type alone."""
    after, limit = _TYPES.opened(params)
    if (name := params.get("thingTypeName")) is not None:
        kind = thing_types.find(tx, act.realm, name)
        page = Page((kind,) if kind else (), None)
    else:
        page = thing_types.page(tx, act.realm, after, limit)
    return {"thingTypes": [_described(act, kind) for kind in page.items], "nextToken": _TYPES.token(page, params)}


def update_thing_type(tx: Tx, act: Act, params: Params) -> Result:
    """A type is immutable but for its description."""
    properties = _properties_of(params)
    kind = thing_types.get(tx, act.realm, params["thingTypeName"])
    if set(properties.get("searchableAttributes", kind.searchable)) != set(kind.searchable):
        raise InvalidRequest(f"The searchable attributes of thing type {kind.name} cannot be changed. Leave them out.")
    thing_types.update(tx, act, kind.name, description=properties.get("thingTypeDescription"))
    return {}


def deprecate_thing_type(tx: Tx, act: Act, params: Params) -> Result:
    thing_types.deprecate(tx, act, params["thingTypeName"], undo=params.get("undoDeprecate", False))
    return {}


def delete_thing_type(tx: Tx, act: Act, params: Params) -> Result:
    thing_types.delete(tx, act, params["thingTypeName"])
    return {}


def _properties_of(params: Params) -> dict[str, Any]:
    properties: dict[str, Any] = params.get("thingTypeProperties") or {}
    if properties.get("mqtt5Configuration"):
        raise InvalidRequest("mqtt5Configuration is not served here yet, and would have no effect. Leave it out.")
    return properties


def _described(act: Act, kind: ThingType) -> Result:
    return {
        "thingTypeName": kind.name,
        "thingTypeArn": act.realm.arn("thingtype", kind.name),
        "thingTypeProperties": {
            "thingTypeDescription": kind.description,
            "searchableAttributes": kind.searchable,
        },
        "thingTypeMetadata": {
            "deprecated": kind.deprecated_at is not None,
            "deprecationDate": kind.deprecated_at,
            "creationDate": kind.created_at,
        },
    }
