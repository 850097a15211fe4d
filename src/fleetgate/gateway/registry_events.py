"""Registry events (AWS: `$aws/events/thing/...` and so on): changes of things, types and groups as MQTT messages.

Off for every realm until UpdateEventConfigurations switches a type on; then made from the outbox, at least once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from fleetgate.names import Realm
from fleetgate.registry import event_configurations, events, outbox
from fleetgate.runtime import Runtime
from fleetgate.wire.mqtt.packets import Publish, QoS


class Told(NamedTuple):
    """One event message. *type* is the event type of the configuration."""

    type: str
    topic: str
    content: dict[str, Any]


class RegistryEvents:
    """`load` before the doors open, `consume` for `Dispatcher.add`."""

    def __init__(self, runtime: Runtime, publish: Callable[[Realm, Publish], object]) -> None:
        self._runtime, self._publish = runtime, publish
        self._enabled: dict[Realm, frozenset[str]] = {}

    async def load(self) -> None:
        """Raises Unavailable."""
        read = self._runtime.database.read
        for realm in await read(event_configurations.realms):
            found = await read(lambda tx, realm=realm: event_configurations.get(tx, realm))  # type: ignore[misc] # mypy knows no defaults of lambdas
            self._switch(realm, found.enabled)

    def consume(self, entries: Sequence[outbox.Entry]) -> None:
        for entry in entries:
            if isinstance(entry.event, events.EventConfigurationChanged):
                self._switch(entry.realm, entry.event.enabled)
            elif (enabled := self._enabled.get(entry.realm)) is not None:
                for told in messages(entry):
                    if told.type in enabled:
                        data = json.dumps(told.content, separators=(",", ":")).encode()
                        self._publish(entry.realm, Publish(f"$aws/events/{told.topic}", data, QoS.AT_LEAST_ONCE))

    def follow(self, entries: Sequence[outbox.Entry]) -> None:
        """What to tell of, where another node does the telling."""
        for entry in entries:
            if isinstance(entry.event, events.EventConfigurationChanged):
                self._switch(entry.realm, entry.event.enabled)

    def _switch(self, realm: Realm, enabled: Sequence[str] | frozenset[str]) -> None:
        if enabled:
            self._enabled[realm] = frozenset(enabled)
        else:
            self._enabled.pop(realm, None)


def messages(entry: outbox.Entry) -> Iterator[Told]:
    """What AWS publishes of *entry*, each with its event type and the topic after `$aws/events/`."""
    match entry.event:
        case events.ThingCreated(name, thing_id, kind, attributes, version):
            yield _thing(entry, "CREATED", name, thing_id, kind, attributes, version)
            yield from _association(entry, name, thing_id, None, kind)
        case events.ThingUpdated(name, thing_id, kind, attributes, version, previous):
            yield _thing(entry, "UPDATED", name, thing_id, kind, attributes, version)
            yield from _association(entry, name, thing_id, previous, kind)
        case events.ThingDeleted(name, thing_id, version, kind, attributes):
            yield _thing(entry, "DELETED", name, thing_id, kind, attributes, version)
            yield from _association(entry, name, thing_id, kind, None)
        case events.ThingTypeChanged() as changed:
            yield _thing_type(entry, changed)
        case events.ThingGroupChanged(operation, name, group):
            yield _group(entry, operation, name, group)
            if operation == "CREATED":
                yield from _hierarchy(entry, "ADDED", name, group)
        case events.ThingGroupDeleted(name, group) if group:
            yield _group(entry, "DELETED", name, group)
            yield from _hierarchy(entry, "REMOVED", name, group)
        case events.GroupMembershipChanged() as changed:
            yield _membership(entry, changed)


def _content(entry: outbox.Entry, kind: str, operation: str, *, account: bool = True) -> dict[str, Any]:
    """What every event has; the id is the same however often it is handed out."""
    found: dict[str, Any] = {
        "eventType": f"{kind}_EVENT",
        "eventId": entry.id[-36:],
        "timestamp": entry.created_at,
        "operation": operation,
    }
    return found | {"accountId": entry.realm.account} if account else found


def _thing(
    entry: outbox.Entry, operation: str, name: str, thing_id: str, kind: str | None, attributes: Any, version: int
) -> Told:
    content = _content(entry, "THING", operation) | {
        "thingId": thing_id,
        "thingName": name,
        "versionNumber": version,
        "thingTypeName": kind,
        "attributes": attributes,
    }
    return Told("THING", f"thing/{name}/{operation.lower()}", content)


def _association(
    entry: outbox.Entry, name: str, thing_id: str, before: str | None, after: str | None
) -> Iterator[Told]:
    if before == after:
        return
    for operation, kind in (("REMOVED", before), ("ADDED", after)):
        if kind is not None:
            content = _content(entry, "THING_TYPE_ASSOCIATION", operation, account=False)
            content |= {"thingId": thing_id, "thingName": name, "thingTypeName": kind}
            topic = f"thingTypeAssociation/thing/{name}/thingType/{kind}/{operation.lower()}"
            yield Told("THING_TYPE_ASSOCIATION", topic, content)


def _thing_type(entry: outbox.Entry, changed: events.ThingTypeChanged) -> Told:
    content = _content(entry, "THING_TYPE", changed.operation) | {
        "thingTypeId": changed.type_id,
        "thingTypeName": changed.type_name,
        "isDeprecated": changed.deprecated_at is not None,
        "deprecationDate": changed.deprecated_at,
        "searchableAttributes": list(changed.searchable),
        "description": changed.description,
    }
    return Told("THING_TYPE", f"thingType/{changed.type_name}/{changed.operation.lower()}", content)


def _group(entry: outbox.Entry, operation: str, name: str, group: Any) -> Told:
    parent = group["parent"]
    content = _content(entry, "THING_GROUP", operation) | {
        "thingGroupId": group["id"],
        "thingGroupName": name,
        "versionNumber": group["version"],
        "parentGroupName": parent[0] if parent else None,
        "parentGroupId": parent[1] if parent else None,
        "description": group["description"],
        "rootToParentThingGroups": [
            {"groupArn": entry.realm.arn("thinggroup", above), "groupId": above_id}
            for above, above_id in group["root_to_parent"]
        ],
        "attributes": group["attributes"],
        "dynamicGroupMappingId": group["id"] if group["dynamic"] else None,
    }
    return Told("THING_GROUP", f"thingGroup/{name}/{operation.lower()}", content)


def _hierarchy(entry: outbox.Entry, operation: str, name: str, group: Any) -> Iterator[Told]:
    if group["parent"]:
        parent, parent_id = group["parent"]
        content = _content(entry, "THING_GROUP_HIERARCHY", operation) | {
            "thingGroupId": parent_id,
            "thingGroupName": parent,
            "childGroupId": group["id"],
            "childGroupName": name,
        }
        topic = f"thingGroupHierarchy/thingGroup/{parent}/childThingGroup/{name}/{operation.lower()}"
        yield Told("THING_GROUP_HIERARCHY", topic, content)


def _membership(entry: outbox.Entry, changed: events.GroupMembershipChanged) -> Told:
    operation = "ADDED" if changed.member else "REMOVED"
    content = _content(entry, "THING_GROUP_MEMBERSHIP", operation) | {
        "groupArn": entry.realm.arn("thinggroup", changed.group_name),
        "groupId": changed.group_id,
        "thingArn": entry.realm.arn("thing", changed.thing_name),
        "thingId": changed.thing_id,
        "membershipId": f"{changed.thing_id}.{changed.group_id}",
    }
    group, thing = changed.group_name, changed.thing_name
    topic = f"thingGroupMembership/thingGroup/{group}/thing/{thing}/{operation.lower()}"
    return Told("THING_GROUP_MEMBERSHIP", topic, content)
