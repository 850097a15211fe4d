"""MQTT clients as the API sees them: GetConnection, ListSubscriptions, DeleteConnection."""

from __future__ import annotations

from typing import Final

from fleetgate.api.handling import Params, Result
from fleetgate.api.listing import Listing
from fleetgate.broker import Broker
from fleetgate.errors import NotFound
from fleetgate.names import Act

_SUBSCRIPTIONS: Final = Listing("subscriptions")


async def get_connection(broker: Broker, act: Act, params: Params) -> Result:
    found = broker.connection(act.realm, params["clientId"])
    if found is None:
        raise _unknown(params)
    shown: Result = {
        "clientId": found.client_id,
        "connected": found.connected_at is not None,
        "thingName": found.thing,
        "cleanSession": found.clean,
        "sessionExpiry": found.session_expiry,
        "connectedSince": found.connected_at,
        "disconnectedSince": found.left_at,
        "disconnectReason": found.left_why,
    }
    if found.connected_at is not None:
        shown["keepAliveDuration"] = found.keep_alive
        if params.get("includeSocketInformation", False):
            shown["sourceIp"], shown["sourcePort"] = found.source
            shown["targetIp"], shown["targetPort"] = found.target
    return shown


async def list_subscriptions(broker: Broker, act: Act, params: Params) -> Result:
    found = broker.subscriptions(act.realm, params["clientId"])
    if found is None:
        raise _unknown(params)
    granted = {each.topic_filter: int(each.qos) for each in found}
    page = _SUBSCRIPTIONS.cut(sorted(granted), params)
    shown = [{"topicFilter": each, "qos": granted[each]} for each in page.items]
    return {"subscriptions": shown, "nextToken": _SUBSCRIPTIONS.token(page, params)}


async def delete_connection(broker: Broker, act: Act, params: Params) -> Result:
    clean, send_will = params.get("cleanSession", False), not params.get("preventWillMessage", False)
    if not broker.end_connection(act.realm, params["clientId"], clean=clean, send_will=send_will):
        raise NotFound(f"The client {params['clientId']} is not connected.")
    return {}


def _unknown(params: Params) -> NotFound:
    return NotFound(f"No client {params['clientId']} is connected or has a session.")
