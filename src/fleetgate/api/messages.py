"""Messages over HTTP: Publish, SendDirectMessage, GetRetainedMessage, ListRetainedMessages."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any, Final

from fleetgate.access import Principal, SignedPrincipal
from fleetgate.api.handling import Params, Result
from fleetgate.api.listing import Listing
from fleetgate.api.refusals import NotConfirmed
from fleetgate.broker import Broker
from fleetgate.errors import InvalidRequest, NotFound, Throttled, all_of
from fleetgate.names import Act
from fleetgate.wire.mqtt.errors import ProtocolError
from fleetgate.wire.mqtt.packets import Publish, QoS
from fleetgate.wire.mqtt.properties import Properties

_RETAINED: Final = Listing("retained-messages")
_BASIC_INGEST: Final = "$aws/rules/"
_CONFIRMATION_SECONDS: Final = 5
_LONGEST_CONFIRMATION: Final = 15


def operator(act: Act) -> SignedPrincipal:
    """Whoever signed, as a principal: whether the call is allowed has been judged before."""
    return SignedPrincipal(act.realm, act.actor, act.actor, ())


async def publish(broker: Broker, act: Act, params: Params, principal: Principal | None = None) -> Result:
    """*principal* is the device that asks, if it is one."""
    message = packet(broker, params)
    if message.topic.startswith("$") and not message.topic.startswith(_BASIC_INGEST):
        raise InvalidRequest(f"The topic {message.topic} is reserved.")
    if message.retain and message.payload and not broker.can_retain(act.realm, message.topic):
        raise Throttled("There is no room for another retained message, or the topic is reserved.")
    later = broker.publish_as(act.realm, message, principal or operator(act))
    if later is not None:
        await later
    return {}


async def send_direct_message(broker: Broker, act: Act, params: Params) -> Result:
    confirmed = params.get("confirmation", False)
    seconds = params.get("timeout", _CONFIRMATION_SECONDS)
    if confirmed and not 1 <= seconds <= _LONGEST_CONFIRMATION:
        raise InvalidRequest(f"timeout must be 1 to {_LONGEST_CONFIRMATION} seconds.")
    message = packet(broker, {**params, "qos": int(confirmed)})
    sent = broker.send(act.realm, params["clientId"], message)
    if sent is False:
        raise NotFound(f"The client {params['clientId']} is not connected, or may not receive from this topic.")
    if not isinstance(sent, bool):
        try:
            async with asyncio.timeout(seconds):
                confirmed = await sent
        except TimeoutError as error:
            raise NotConfirmed(f"The client did not acknowledge the message within {seconds} seconds.") from error
        if not confirmed:
            raise NotConfirmed("The client's connection ended before it acknowledged the message.")
    return {"message": "OK", "traceId": act.request_id}


async def get_retained_message(broker: Broker, act: Act, params: Params) -> Result:
    found = broker.retained(act.realm, params["topic"])
    if found is None:
        raise NotFound(f"There is no retained message on {params['topic']}.")
    message, came_at = found
    shown: Result = {
        "topic": message.topic,
        "payload": message.payload,
        "qos": int(message.qos),
        "lastModifiedTime": came_at,
    }
    if pairs := message.properties.get("user_property"):
        shown["userProperties"] = json.dumps([{name: value} for name, value in pairs]).encode()
    return shown


async def list_retained_messages(broker: Broker, act: Act, params: Params) -> Result:
    page = _RETAINED.cut(broker.retained_topics(act.realm), params)
    topics = []
    for topic in page.items:
        if (found := broker.retained(act.realm, topic)) is not None:
            message, came_at = found
            summary = {"topic": topic, "payloadSize": len(message.payload), "qos": int(message.qos)}
            topics.append({**summary, "lastModifiedTime": came_at})
    return {"retainedTopics": topics, "nextToken": _RETAINED.token(page, params)}


# --- parameters -> a message ------------------------------------------------------------------------------------------


def packet(broker: Broker, params: Params) -> Publish:
    """The message that a request describes. Raises InvalidRequest with everything that is wrong with it."""
    problems: list[str] = []
    payload = params.get("payload", b"")
    try:
        broker.rules.check_topic(params["topic"])
    except ProtocolError as error:
        problems.append(f"{str(error)[:1].upper()}{str(error)[1:]}.")
    if len(payload) > broker.rules.maximum_payload:
        problems.append(f"The payload has {len(payload)} bytes; at most {broker.rules.maximum_payload} are allowed.")
    properties = _properties(params, problems)
    if problems:
        raise InvalidRequest(all_of(problems))
    return Publish(
        params["topic"], payload, QoS(params.get("qos", 0)), params.get("retain", False), properties=properties
    )


def _properties(params: Params, problems: list[str]) -> Properties:
    found = Properties()
    if (kind := params.get("payloadFormatIndicator")) is not None:
        found["payload_format_indicator"] = int(kind == "UTF8_DATA")
    if (text := params.get("contentType")) is not None:
        found["content_type"] = text
    if (topic := params.get("responseTopic")) is not None:
        found["response_topic"] = topic
        if not topic or "#" in topic or "+" in topic:
            problems.append("responseTopic must be a topic without wildcards.")
    if (text := params.get("correlationData")) is not None:
        try:
            found["correlation_data"] = base64.b64decode(text, validate=True)
        except ValueError:
            problems.append("correlationData must be base64.")
    if (seconds := params.get("messageExpiry")) is not None:
        found["message_expiry_interval"] = seconds
        if not 1 <= seconds <= 0xFFFF_FFFF:
            problems.append("messageExpiry must be a positive number of seconds.")
    if (pairs := params.get("userProperties")) is not None:
        try:
            found["user_property"] = tuple(_pairs(pairs))
        except (ValueError, RecursionError):
            problems.append('userProperties must be a JSON array of objects of text: [{"name": "value"}].')
    return found


def _pairs(value: Any) -> list[tuple[str, str]]:
    """From JSON, or from JSON in a text, as SDKs send it. Raises ValueError."""
    if isinstance(value, str):
        value = json.loads(value)
    objects = value if isinstance(value, list) else [value]
    if not all(isinstance(each, dict) for each in objects):
        raise ValueError
    pairs = [pair for each in objects for pair in each.items()]
    if not all(isinstance(each, str) and "\0" not in name + each for name, each in pairs):
        raise ValueError
    for name, each in pairs:
        (name + each).encode()  # half a surrogate pair is a ValueError
    return pairs
