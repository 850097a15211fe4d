"""Billing groups and their things: CreateBillingGroup ... RemoveThingFromBillingGroup."""

from __future__ import annotations

from typing import Final

from fleetgate.api import tags
from fleetgate.api.handling import Params, Result
from fleetgate.api.listing import Listing
from fleetgate.api.naming import name_in
from fleetgate.database.port import Tx
from fleetgate.names import Act
from fleetgate.registry import billing_groups, things

_GROUPS: Final = Listing("billing-groups")
_MEMBERS: Final = Listing("billed-things")


def create_billing_group(tx: Tx, act: Act, params: Params) -> Result:
    properties = params.get("billingGroupProperties") or {}
    description = properties.get("billingGroupDescription", "")
    group = billing_groups.create(tx, act, params["billingGroupName"], description=description)
    arn = act.realm.arn("billinggroup", group.name)
    tags.put_given(tx, act, arn, params)
    return {"billingGroupName": group.name, "billingGroupArn": arn, "billingGroupId": group.group_id}


def describe_billing_group(tx: Tx, act: Act, params: Params) -> Result:
    group = billing_groups.get(tx, act.realm, params["billingGroupName"])
    return {
        "billingGroupName": group.name,
        "billingGroupId": group.group_id,
        "billingGroupArn": act.realm.arn("billinggroup", group.name),
        "version": group.version,
        "billingGroupProperties": {"billingGroupDescription": group.description},
        "billingGroupMetadata": {"creationDate": group.created_at},
    }


def update_billing_group(tx: Tx, act: Act, params: Params) -> Result:
    group = billing_groups.update(
        tx,
        act,
        params["billingGroupName"],
        description=params["billingGroupProperties"].get("billingGroupDescription"),
        expected_version=params.get("expectedVersion"),
    )
    return {"version": group.version}


def delete_billing_group(tx: Tx, act: Act, params: Params) -> Result:
    billing_groups.delete(tx, act, params["billingGroupName"], expected_version=params.get("expectedVersion"))
    return {}


def list_billing_groups(tx: Tx, act: Act, params: Params) -> Result:
    page = billing_groups.page(tx, act.realm, *_GROUPS.opened(params), prefix=params.get("namePrefixFilter", ""))
    found = [{"groupName": group.name, "groupArn": act.realm.arn("billinggroup", group.name)} for group in page.items]
    return {"billingGroups": found, "nextToken": _GROUPS.token(page, params)}


def add_thing_to_billing_group(tx: Tx, act: Act, params: Params) -> Result:
    """A thing that is in another billing group moves."""
    thing = things.get(tx, act.realm, name_in(act, params, "thing", "thing"))
    billing_groups.add_thing(tx, act, group_in(act, params), thing.name)
    return {}


def remove_thing_from_billing_group(tx: Tx, act: Act, params: Params) -> Result:
    thing = things.get(tx, act.realm, name_in(act, params, "thing", "thing"))
    billing_groups.remove_thing(tx, act, group_in(act, params), thing.name)
    return {}


def list_things_in_billing_group(tx: Tx, act: Act, params: Params) -> Result:
    page = billing_groups.page_things(tx, act.realm, params["billingGroupName"], *_MEMBERS.opened(params))
    return {"things": list(page.items), "nextToken": _MEMBERS.token(page, params)}


def group_in(act: Act, params: Params) -> str:
    """The name of the group that *params* name, by name or ARN. Raises InvalidRequest, NotFound."""
    return name_in(act, params, "billingGroup", "billinggroup")
