"""Who hears of what happens at the MQTT door: presence and subscription events, topic rules, Basic Ingest.

One `Observer` for all of a server's connections (`Courier.observer`); nothing is called for what nobody wants to know.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from fleetgate.access import Principal
from fleetgate.names import Realm
from fleetgate.wire.mqtt.errors import Reason
from fleetgate.wire.mqtt.packets import Connect, Publish


class Departure(StrEnum):
    """Why a connection ended (AWS: `disconnectReason` of lifecycle events)."""

    AUTH_ERROR = "AUTH_ERROR"
    CLIENT_ERROR = "CLIENT_ERROR"
    CLIENT_INITIATED_DISCONNECT = "CLIENT_INITIATED_DISCONNECT"
    CONNECTION_LOST = "CONNECTION_LOST"
    CUSTOMAUTH_TTL_EXPIRATION = "CUSTOMAUTH_TTL_EXPIRATION"
    DUPLICATE_CLIENTID = "DUPLICATE_CLIENTID"
    FORBIDDEN_ACCESS = "FORBIDDEN_ACCESS"
    MQTT_KEEP_ALIVE_TIMEOUT = "MQTT_KEEP_ALIVE_TIMEOUT"
    SERVER_ERROR = "SERVER_ERROR"
    SERVER_INITIATED_DISCONNECT = "SERVER_INITIATED_DISCONNECT"
    API_INITIATED_DISCONNECT = "API_INITIATED_DISCONNECT"
    WEBSOCKET_TTL_EXPIRATION = "WEBSOCKET_TTL_EXPIRATION"


_BY_REASON = {
    Reason.NOT_AUTHORIZED: Departure.AUTH_ERROR,
    Reason.SESSION_TAKEN_OVER: Departure.DUPLICATE_CLIENTID,
    Reason.KEEP_ALIVE_TIMEOUT: Departure.MQTT_KEEP_ALIVE_TIMEOUT,
    Reason.SERVER_SHUTTING_DOWN: Departure.SERVER_INITIATED_DISCONNECT,
    Reason.ADMINISTRATIVE_ACTION: Departure.API_INITIATED_DISCONNECT,
    Reason.SERVER_UNAVAILABLE: Departure.SERVER_ERROR,
    Reason.UNSPECIFIED_ERROR: Departure.SERVER_ERROR,
}


def departure(reason: Reason | None, *, said_goodbye: bool) -> Departure:
    """From the reason this end closed with (None: it did not), and whether the client sent a DISCONNECT."""
    if said_goodbye:
        return Departure.CLIENT_INITIATED_DISCONNECT
    return Departure.CONNECTION_LOST if reason is None else _BY_REASON.get(reason, Departure.CLIENT_ERROR)


@dataclass(frozen=True, slots=True)
class Origin:
    """Who published a message: a connection, its will, an API call, or (all empty) the server itself."""

    client_id: str | None = None
    principal: Principal | None = None


SERVER = Origin()


class Visit(Protocol):
    """A connection whose CONNECT was accepted."""

    realm: Realm
    client_id: str

    @property
    def principal(self) -> Principal: ...
    @property
    def address(self) -> str: ...
    @property
    def thing(self) -> str | None:
        """The thing it speaks for."""


class Observer(Protocol):
    """Called on the event loop, on the way of every packet concerned: it must not block and must not raise."""

    def connected(self, visit: Visit, connect: Connect) -> None:
        """After the CONNACK."""

    def disconnected(self, visit: Visit, why: Departure) -> None:
        """After the connection is gone; also for one that was displaced."""

    def subscribed(self, visit: Visit, filters: Sequence[str]) -> None:
        """The filters of one SUBSCRIBE that were granted."""

    def unsubscribed(self, visit: Visit, filters: Sequence[str]) -> None: ...

    def published(self, realm: Realm, message: Publish, origin: Origin) -> Awaitable[None] | None:
        """A message that was let in, from wherever, also one of Basic Ingest (`$aws/rules/...`), which goes to nobody
        else. What is given back is awaited before the PUBACK leaves.
        """

    def emptied(self) -> None:
        """A dev server was reset: nothing that was known holds any more."""


class Nobody:
    """The observer where nobody wants to know."""

    def connected(self, visit: Visit, connect: Connect) -> None:
        pass

    def disconnected(self, visit: Visit, why: Departure) -> None:
        pass

    def subscribed(self, visit: Visit, filters: Sequence[str]) -> None:
        pass

    def unsubscribed(self, visit: Visit, filters: Sequence[str]) -> None:
        pass

    def published(self, realm: Realm, message: Publish, origin: Origin) -> Awaitable[None] | None:
        return None

    def emptied(self) -> None:
        pass
