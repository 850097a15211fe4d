"""Which kinds of events a realm wants published (DescribeEventConfigurations, UpdateEventConfigurations)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fleetgate.database.port import Tx
from fleetgate.errors import InvalidRequest
from fleetgate.names import Act, Realm
from fleetgate.registry import outbox
from fleetgate.registry.events import EventConfigurationChanged

TYPES: Final = (
    "THING",
    "THING_GROUP",
    "THING_TYPE",
    "THING_GROUP_MEMBERSHIP",
    "THING_GROUP_HIERARCHY",
    "THING_TYPE_ASSOCIATION",
    "JOB",
    "JOB_EXECUTION",
    "POLICY",
    "CERTIFICATE",
    "CA_CERTIFICATE",
)


@dataclass(frozen=True, slots=True)
class EventConfiguration:
    enabled: frozenset[str]
    created_at: int | None
    """When the first type was set; None: never."""
    updated_at: int | None


def update(tx: Tx, act: Act, wanted: Mapping[str, bool]) -> None:
    """Switch event types on or off; others stay. Raises InvalidRequest for one that does not exist."""
    if unknown := sorted(set(wanted) - set(TYPES)):
        raise InvalidRequest(f"There is no event type {', '.join(unknown)}; there are {', '.join(TYPES)}.")
    for event_type, enabled in wanted.items():
        tx.run(
            """INSERT INTO event_configurations (realm, event_type, enabled, created_at, updated_at)
               VALUES (:realm, :event_type, :enabled, :now, :now)
               ON CONFLICT (realm, event_type) DO UPDATE SET enabled = :enabled, updated_at = :now""",
            realm=str(act.realm),
            event_type=event_type,
            enabled=int(enabled),
            now=act.now,
        )
    if wanted:
        outbox.add(tx, act, EventConfigurationChanged(sorted(get(tx, act.realm).enabled)))


def get(tx: Tx, realm: Realm) -> EventConfiguration:
    rows = tx.rows("SELECT * FROM event_configurations WHERE realm = :realm AND event_type > ''", realm=str(realm))
    if not rows:
        return EventConfiguration(frozenset(), None, None)
    return EventConfiguration(
        frozenset(row["event_type"] for row in rows if row["enabled"]),
        min(row["created_at"] for row in rows),
        max(row["updated_at"] for row in rows),
    )


def realms(tx: Tx) -> list[Realm]:
    """Who has ever set one."""
    return [Realm.parse(row["realm"]) for row in tx.rows("SELECT DISTINCT realm FROM event_configurations")]
