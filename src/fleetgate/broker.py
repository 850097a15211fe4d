"""The port between those who speak HTTP and the live connections: messages in, and what is known of MQTT clients.

`gateway.courier` is behind it; the API is handed it when a server is put together.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Protocol

from fleetgate.access import Principal
from fleetgate.names import Realm
from fleetgate.wire.mqtt.packets import Publish, Subscription
from fleetgate.wire.mqtt.rules import Rules


@dataclass(frozen=True, slots=True)
class Connection:
    """A client with a connection, or with a session that waits for it. Moments are milliseconds UTC."""

    client_id: str
    clean: bool
    session_expiry: int
    """Seconds."""
    connected_at: int | None = None
    """None for a client that is away."""
    thing: str | None = None
    keep_alive: int = 0
    source: tuple[str, int] = ("", 0)
    target: tuple[str, int] = ("", 0)
    left_at: int | None = None
    left_why: str | None = None
    """As lifecycle events have it."""


class Broker(Protocol):
    @property
    def rules(self) -> Rules: ...

    def publish_as(self, realm: Realm, message: Publish, principal: Principal) -> Awaitable[None] | None:
        """A message that was let in, from somebody without a connection. What is given back, if anything, is to be
        awaited before it is acknowledged.
        """

    def can_retain(self, realm: Realm, topic: str) -> bool:
        """Whether there is room for a retained message on this topic."""

    def retained(self, realm: Realm, topic: str) -> tuple[Publish, int] | None:
        """The topic's retained message, and when it came."""

    def retained_topics(self, realm: Realm) -> Sequence[str]:
        """Sorted."""

    def connection(self, realm: Realm, client_id: str) -> Connection | None: ...

    def subscriptions(self, realm: Realm, client_id: str) -> Sequence[Subscription] | None:
        """By filter; None for a client without a session."""

    def end_connection(self, realm: Realm, client_id: str, *, clean: bool, send_will: bool) -> bool:
        """Close it; with *clean* its session ends. False: there is none."""

    def send(self, realm: Realm, client_id: str, message: Publish) -> Awaitable[bool] | bool:
        """To this one client, whatever it subscribed to. False: it is not connected, or may not receive from the
        topic. With QoS 1 what is given back is true when the client has acknowledged it, and false when it has not and
        its connection is over.
        """
