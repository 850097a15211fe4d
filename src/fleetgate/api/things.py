"""Things and their principals: CreateThing ... ListPrincipalThingsV2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fleetgate.api.handling import Params, Result
from fleetgate.api.listing import Listing
from fleetgate.database.port import Tx
from fleetgate.errors import InvalidRequest
from fleetgate.names import Act
from fleetgate.registry import attachments, billing_groups, things
from fleetgate.registry.attachments import Principal

_THINGS: Final = Listing("things")
_PRINCIPALS: Final = Listing("principals")
_THINGS_OF: Final = Listing("things-of")
_EXCLUSIVE: Final = {None: None, "EXCLUSIVE_THING": True, "NON_EXCLUSIVE_THING": False}
_TYPES: Final = {True: "EXCLUSIVE_THING", False: "NON_EXCLUSIVE_THING"}


def create_thing(tx: Tx, act: Act, params: Params) -> Result:
    attributes, _ = attributes_of(params)
    thing = things.create(
        tx,
        act,
        params["thingName"],
        type_name=params.get("thingTypeName"),
        attributes=attributes or {},
        billing_group=params.get("billingGroupName"),
    )
    return {"thingName": thing.name, "thingArn": act.realm.arn("thing", thing.name), "thingId": thing.thing_id}


def describe_thing(tx: Tx, act: Act, params: Params) -> Result:
    thing = things.get(tx, act.realm, params["thingName"])
    return {
        "defaultClientId": thing.name,
        "thingName": thing.name,
        "thingId": thing.thing_id,
        "thingArn": act.realm.arn("thing", thing.name),
        "thingTypeName": thing.type_name,
        "attributes": thing.attributes,
        "version": thing.version,
        "billingGroupName": billing_groups.of_thing(tx, act.realm, thing.name),
    }


def update_thing(tx: Tx, act: Act, params: Params) -> Result:
    attributes, merge = attributes_of(params)
    things.update(
        tx,
        act,
        params["thingName"],
        type_name=params.get("thingTypeName"),
        remove_type=params.get("removeThingType", False),
        attributes=attributes,
        merge=merge,
        expected_version=params.get("expectedVersion"),
    )
    return {}


def delete_thing(tx: Tx, act: Act, params: Params) -> Result:
    things.delete(tx, act, params["thingName"], expected_version=params.get("expectedVersion"))
    return {}


def list_things(tx: Tx, act: Act, params: Params) -> Result:
    """With an attributeName alone: the things that have it, whatever its value (AWS does not say)."""
    attribute, value = params.get("attributeName"), params.get("attributeValue")
    if attribute is None and value is not None:
        raise InvalidRequest("An attributeValue needs an attributeName beside it.")
    page = things.page(
        tx,
        act.realm,
        *_THINGS.opened(params),
        type_name=params.get("thingTypeName"),
        attribute=attribute,
        value=value or "",
        prefix=value is None or params.get("usePrefixAttributeValue", False),
    )
    found = [
        {
            "thingName": thing.name,
            "thingTypeName": thing.type_name,
            "thingArn": act.realm.arn("thing", thing.name),
            "attributes": thing.attributes,
            "version": thing.version,
        }
        for thing in page.items
    ]
    return {"things": found, "nextToken": _THINGS.token(page, params)}


def attributes_of(params: Mapping[str, Any]) -> tuple[Mapping[str, str] | None, bool]:
    """The attributes in an `attributePayload`, None where it names none, and whether they are to be merged."""
    payload = params.get("attributePayload") or {}
    return payload.get("attributes"), payload.get("merge", False)


# --- principals -------------------------------------------------------------------------------------------------------


def attach_thing_principal(tx: Tx, act: Act, params: Params) -> Result:
    fingerprint = attachments.fingerprint_of(act.realm, params["principal"])
    exclusive = params.get("thingPrincipalType") == "EXCLUSIVE_THING"
    attachments.attach_principal(tx, act, params["thingName"], fingerprint, exclusive=exclusive)
    return {}


def detach_thing_principal(tx: Tx, act: Act, params: Params) -> Result:
    fingerprint = attachments.fingerprint_of(act.realm, params["principal"])
    attachments.detach_principal(tx, act, params["thingName"], fingerprint)
    return {}


def list_thing_principals(tx: Tx, act: Act, params: Params) -> Result:
    page = attachments.page_principals(tx, act.realm, params["thingName"], *_PRINCIPALS.opened(params))
    return {"principals": [_arn(act, each) for each in page.items], "nextToken": _PRINCIPALS.token(page, params)}


def list_thing_principals_v2(tx: Tx, act: Act, params: Params) -> Result:
    exclusive = _EXCLUSIVE[params.get("thingPrincipalType")]
    opened = _PRINCIPALS.opened(params)
    page = attachments.page_principals(tx, act.realm, params["thingName"], *opened, exclusive=exclusive)
    found = [{"principal": _arn(act, each), "thingPrincipalType": _TYPES[each.exclusive]} for each in page.items]
    return {"thingPrincipalObjects": found, "nextToken": _PRINCIPALS.token(page, params)}


def list_principal_things(tx: Tx, act: Act, params: Params) -> Result:
    fingerprint = attachments.fingerprint_of(act.realm, params["principal"])
    page = attachments.page_things(tx, act.realm, fingerprint, *_THINGS_OF.opened(params))
    return {"things": [each.thing_name for each in page.items], "nextToken": _THINGS_OF.token(page, params)}


def list_principal_things_v2(tx: Tx, act: Act, params: Params) -> Result:
    fingerprint = attachments.fingerprint_of(act.realm, params["principal"])
    exclusive = _EXCLUSIVE[params.get("thingPrincipalType")]
    page = attachments.page_things(tx, act.realm, fingerprint, *_THINGS_OF.opened(params), exclusive=exclusive)
    found = [{"thingName": each.thing_name, "thingPrincipalType": _TYPES[each.exclusive]} for each in page.items]
    return {"principalThingObjects": found, "nextToken": _THINGS_OF.token(page, params)}


def _arn(act: Act, principal: Principal) -> str:
    return act.realm.arn("cert", principal.fingerprint)
