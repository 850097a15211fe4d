"""Retained messages: the last one of each topic that was published to be kept (MQTT 5, 3.3.1.3).

Written by the gateway, which also keeps them in memory, and read once, when a server starts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fleetgate.database.port import Tx
from fleetgate.names import Realm


@dataclass(frozen=True, slots=True)
class Retained:
    realm: Realm
    topic: str
    packet: str
    """An MQTT 5 PUBLISH in base64."""
    came_at: int
    """Milliseconds UTC."""


_KEEP: Final = """
    INSERT INTO mqtt_retained (realm, topic, packet, came_at) VALUES (:realm, :topic, :packet, :came_at)
    ON CONFLICT (realm, topic) DO UPDATE SET packet = excluded.packet, came_at = excluded.came_at
"""


def keep(tx: Tx, message: Retained) -> None:
    """In the place of the topic's last one."""
    tx.run(_KEEP, realm=str(message.realm), topic=message.topic, packet=message.packet, came_at=message.came_at)


def drop(tx: Tx, realm: Realm, topic: str) -> None:
    tx.run("DELETE FROM mqtt_retained WHERE realm = :realm AND topic = :topic", realm=str(realm), topic=topic)


def stored(tx: Tx) -> list[Retained]:
    """Those of every realm."""
    return [
        Retained(Realm.parse(row["realm"]), row["topic"], row["packet"], row["came_at"])
        for row in tx.rows("SELECT * FROM mqtt_retained ORDER BY realm, topic")
    ]
