"""The outbox: events wait here from the transaction that made them until every consumer has had them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fleetgate.database.port import Row, Tx
from fleetgate.names import Act, Realm
from fleetgate.registry.events import KINDS, Event

_STEP: Final = 500
_encoded: Final = json.JSONEncoder(sort_keys=True).encode


@dataclass(frozen=True, slots=True)
class Entry:
    id: str
    realm: Realm
    event: Event
    actor: str
    request_id: str
    created_at: int
    """Milliseconds UTC."""


def add(tx: Tx, act: Act, event: Event) -> None:
    """Keep *event* with the change it tells of.

    The id is made from the act and the event alone: to count what is there already would make every two writers on
    PostgreSQL wait for each other. The same event twice in one act is one row, which is handed out (again).
    """
    body = _encoded({name: getattr(event, name) for name in event.__slots__})
    tx.run(
        """INSERT INTO outbox (id, realm, kind, body, actor, request_id, created_at, delivered)
           VALUES (:id, :realm, :kind, :body, :actor, :request_id, :now, 0)
           ON CONFLICT (id) DO UPDATE SET delivered = 0""",
        id=f"{act.now:015d}-{act.id_for('event', str(act.realm), event.kind, body)}",
        realm=str(act.realm),
        kind=event.kind,
        body=body,
        actor=act.actor,
        request_id=act.request_id,
        now=act.now,
    )


def pending(tx: Tx, limit: int) -> list[Entry]:
    """The oldest *limit* events of all realms that were not handed out yet, in the order of their time."""
    rows = tx.rows("SELECT * FROM outbox WHERE delivered = 0 ORDER BY id LIMIT :most", most=limit)
    return [_entry(row) for row in rows]


def delivered(tx: Tx, ids: Sequence[str]) -> None:
    """Every consumer had these."""
    for start in range(0, len(ids), _STEP):
        values = {f"id{number}": id_ for number, id_ in enumerate(ids[start : start + _STEP])}
        listed = ", ".join(f":{name}" for name in values)
        tx.run(" ".join(["UPDATE outbox SET delivered = 1 WHERE delivered = 0 AND id IN", f"({listed})"]), **values)


def replay(tx: Tx, since: int) -> int:
    """Hand out again what happened from *since* (milliseconds UTC) on, as far as it was not pruned. How many."""
    return tx.run("UPDATE outbox SET delivered = 0 WHERE delivered = 1 AND id >= :first", first=f"{since:015d}")


def prune(tx: Tx, before: int, limit: int = 1000) -> int:
    """Forget up to *limit* events that were handed out and are older than *before*. How many."""
    return tx.run(
        """DELETE FROM outbox WHERE id IN
           (SELECT id FROM outbox WHERE delivered = 1 AND id < :last ORDER BY id LIMIT :most)""",
        last=f"{before:015d}",
        most=limit,
    )


def _entry(row: Row) -> Entry:
    return Entry(
        id=row["id"],
        realm=Realm.parse(row["realm"]),
        event=KINDS[row["kind"]](**json.loads(row["body"])),
        actor=row["actor"],
        request_id=row["request_id"],
        created_at=row["created_at"],
    )
