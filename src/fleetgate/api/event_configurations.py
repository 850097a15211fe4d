"""DescribeEventConfigurations, UpdateEventConfigurations: which changes of the registry are published."""

from __future__ import annotations

from fleetgate.api.handling import Params, Result
from fleetgate.database.port import Tx
from fleetgate.names import Act
from fleetgate.registry import event_configurations


def describe_event_configurations(tx: Tx, act: Act, params: Params) -> Result:
    found = event_configurations.get(tx, act.realm)
    return {
        "eventConfigurations": {each: {"Enabled": each in found.enabled} for each in event_configurations.TYPES},
        "creationDate": found.created_at,
        "lastModifiedDate": found.updated_at,
    }


def update_event_configurations(tx: Tx, act: Act, params: Params) -> Result:
    wanted = params.get("eventConfigurations", {})
    event_configurations.update(tx, act, {each: bool(given.get("Enabled")) for each, given in wanted.items()})
    return {}
