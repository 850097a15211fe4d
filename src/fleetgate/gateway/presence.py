"""Lifecycle events (AWS: `$aws/events/presence/...`, `$aws/events/subscriptions/...`): who comes, goes and subscribes.

Always on. A message is only made where a subscription or a rule may want it.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fleetgate.gateway.observer import Departure, Visit
from fleetgate.names import Realm
from fleetgate.runtime import Runtime
from fleetgate.wire.mqtt.packets import Publish, QoS

FORGOTTEN_AFTER: Final = 3_600_000
"""Milliseconds that a client is away until its version number begins anew (AWS: about an hour)."""

MOST_AWAY: Final = 100_000
"""Clients that are away and remembered, however recently they left: anybody may come under any number of names."""

_Key = tuple[Realm, str]


@dataclass(slots=True)
class _Stay:
    """One connection's part in its events."""

    version: int
    session: str = ""


class Presence:
    def __init__(
        self, runtime: Runtime, wanted: Callable[[Realm, str], bool], publish: Callable[[Realm, Publish], object]
    ) -> None:
        """*wanted* says whether a message on a topic would reach anybody."""
        self._runtime, self._wanted, self._publish = runtime, wanted, publish
        self._stays: dict[Visit, _Stay] = {}
        self._versions: dict[_Key, int] = {}
        self._away: OrderedDict[_Key, int] = OrderedDict()  # since when, the longest first

    def connected(self, visit: Visit) -> None:
        key = (visit.realm, visit.client_id)
        self._forget()
        self._away.pop(key, None)
        self._versions[key] = version = self._versions.get(key, -1) + 1
        self._stays[visit] = _Stay(version)
        self._tell(visit, "presence", "connected", ipAddress=visit.address, versionNumber=version)

    def disconnected(self, visit: Visit, why: Departure) -> None:
        stay = self._stays.get(visit)
        if stay is None:
            return
        self._tell(
            visit,
            "presence",
            "disconnected",
            clientInitiatedDisconnect=why is Departure.CLIENT_INITIATED_DISCONNECT,
            disconnectReason=str(why),
            versionNumber=stay.version,
        )
        del self._stays[visit]
        key = (visit.realm, visit.client_id)
        if self._versions.get(key) == stay.version:  # and not displaced by a newer connection
            self._away[key] = self._runtime.clock()

    def subscribed(self, visit: Visit, filters: Sequence[str]) -> None:
        self._tell(visit, "subscriptions", "subscribed", topics=list(filters))

    def unsubscribed(self, visit: Visit, filters: Sequence[str]) -> None:
        self._tell(visit, "subscriptions", "unsubscribed", topics=list(filters))

    def _tell(self, visit: Visit, kind: str, event: str, **more: Any) -> None:
        stay, topic = self._stays.get(visit), f"$aws/events/{kind}/{event}/{visit.client_id}"
        if stay is None or "#" in visit.client_id or "+" in visit.client_id or not self._wanted(visit.realm, topic):
            return
        told = {
            "clientId": visit.client_id,
            "timestamp": self._runtime.clock(),
            "eventType": event,
            "sessionIdentifier": self._session(visit, stay),
            "principalIdentifier": visit.principal.identifier,
            **more,
        }
        self._publish(visit.realm, Publish(topic, json.dumps(told).encode(), QoS.AT_LEAST_ONCE))

    def _session(self, visit: Visit, stay: _Stay) -> str:
        """Made when somebody is told of it: mostly nobody is."""
        stay.session = stay.session or self._runtime.act(visit.realm, "system").request_id
        return stay.session

    def _forget(self) -> None:
        now = self._runtime.clock()
        while self._away:
            key, since = next(iter(self._away.items()))
            if now - since < FORGOTTEN_AFTER and len(self._away) <= MOST_AWAY:
                return
            del self._away[key], self._versions[key]
