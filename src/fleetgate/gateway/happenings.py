"""The one observer of a server: presence, topic rules and fleet indexing hear of what happens at the MQTT door."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from fleetgate.gateway.courier import Courier
from fleetgate.gateway.observer import Departure, Origin, Visit
from fleetgate.gateway.presence import Presence
from fleetgate.gateway.thing_connectivity import ThingConnectivity
from fleetgate.gateway.topic_rules import TopicRules
from fleetgate.names import Realm
from fleetgate.runtime import Runtime
from fleetgate.wire.mqtt.packets import Connect, Publish


class Happenings:
    """An `Observer`."""

    def __init__(self, runtime: Runtime, courier: Courier, node: str | None = None) -> None:
        """*node* is this one's id, where several serve."""
        self.rules = TopicRules(runtime, courier.publish, parent=courier.rules.hash_matches_parent)
        self._courier = courier
        self.connectivity = ThingConnectivity(runtime, node)
        self._presence = Presence(runtime, self._wanted, courier.publish)

    def connected(self, visit: Visit, connect: Connect) -> None:
        self._presence.connected(visit)
        self.connectivity.connected(visit, connect)

    def disconnected(self, visit: Visit, why: Departure) -> None:
        self._presence.disconnected(visit, why)
        self.connectivity.disconnected(visit, why)

    def subscribed(self, visit: Visit, filters: Sequence[str]) -> None:
        self._presence.subscribed(visit, filters)

    def unsubscribed(self, visit: Visit, filters: Sequence[str]) -> None:
        self._presence.unsubscribed(visit, filters)

    def published(self, realm: Realm, message: Publish, origin: Origin) -> Awaitable[None] | None:
        if not self.rules.any_in(realm):
            return None
        # What rules republish is on the disk before its cause is acknowledged. Only a client waits for that.
        waits = origin.principal is not None and message.qos > 0
        mark = self._courier.mark()
        self.rules.take(realm, message, origin)
        return self._courier.written(mark) if waits else None

    def emptied(self) -> None:
        self.rules.forget()
        self.connectivity.forget()

    def _wanted(self, realm: Realm, topic: str) -> bool:
        elsewhere = self._courier.peers is not None  # somebody on another node may want it
        return elsewhere or self.rules.any_in(realm) or self._courier.switchboard(realm).wants(topic)
