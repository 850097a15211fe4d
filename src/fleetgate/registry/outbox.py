"""The outbox: events wait here from the transaction that made them until every consumer has had them.

One process alone reads what is pending. Several nodes share the work: one of them takes an event and acts on it, and
every node hears of it by reading on from the last position that it knows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from fleetgate.database.port import Row, Tx
from fleetgate.names import Act, Realm
from fleetgate.registry import nodes
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
           ON CONFLICT (id) DO UPDATE SET delivered = 0, taken_by = NULL""",
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


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """How far a node has read."""

    position: int = 0
    id: str = ""


def take(tx: Tx, node: str, now: int, limit: int) -> list[Entry]:
    """The oldest *limit* events that nobody took, or whose taker is dead: *node* has them now, in order.

    Of two nodes that take at the same time one does so after the other, because both read the last position.
    """
    entries = untaken(tx, now, limit)
    position = last(tx).position + 1
    for some, values in _in_steps([entry.id for entry in entries]):
        tx.run(f"{_TAKE} {some}", node=node, position=position, **values)
    return entries


def untaken(tx: Tx, now: int, limit: int) -> list[Entry]:
    """What there is to take."""
    rows = tx.rows(
        """SELECT o.* FROM outbox o
           WHERE o.delivered = 0
             AND (o.taken_by IS NULL
                  OR NOT EXISTS (SELECT 1 FROM nodes n WHERE n.id = o.taken_by AND n.seen_at > :since))
           ORDER BY o.id LIMIT :most""",
        since=now - nodes.SILENCE,
        most=limit,
    )
    return [_entry(row) for row in rows]


_TAKE: Final = "UPDATE outbox SET taken_by = :node, position = :position WHERE id IN"
_DELIVERED: Final = "UPDATE outbox SET delivered = 1 WHERE delivered = 0 AND id IN"


def last(tx: Tx) -> Mark:
    """The end of what was taken so far."""
    rows = tx.rows("SELECT position, id FROM outbox WHERE position IS NOT NULL ORDER BY position DESC, id DESC LIMIT 1")
    return Mark(rows[0]["position"], rows[0]["id"]) if rows else Mark()


def taken_since(tx: Tx, mark: Mark, limit: int) -> tuple[list[Entry], Mark]:
    """Up to *limit* events that somebody took after *mark*, in the order of their taking, and the mark behind them."""
    rows = tx.rows(
        """SELECT * FROM outbox WHERE position IS NOT NULL AND (position, id) > (:position, :id)
           ORDER BY position, id LIMIT :most""",
        position=mark.position,
        id=mark.id,
        most=limit,
    )
    behind = Mark(rows[-1]["position"], rows[-1]["id"]) if rows else mark
    return [_entry(row) for row in rows], behind


def delivered(tx: Tx, ids: Sequence[str]) -> None:
    """Every consumer had these."""
    for some, values in _in_steps(ids):
        tx.run(f"{_DELIVERED} {some}", **values)


def _in_steps(ids: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """The list behind an IN, and its values."""
    for start in range(0, len(ids), _STEP):
        values = {f"id{number}": id_ for number, id_ in enumerate(ids[start : start + _STEP])}
        yield f"({', '.join(f':{name}' for name in values)})", values


def replay(tx: Tx, since: int) -> int:
    """Hand out again what happened from *since* (milliseconds UTC) on, as far as it was not pruned. How many."""
    return tx.run(
        "UPDATE outbox SET delivered = 0, taken_by = NULL WHERE delivered = 1 AND id >= :first", first=f"{since:015d}"
    )


def prune(tx: Tx, before: int, limit: int = 1000) -> int:
    """Forget up to *limit* events that were handed out and are older than *before*. How many.

    What was taken last stays: nodes read on from its position, and would hear nothing of what came after a smaller one.
    """
    return tx.run(
        """DELETE FROM outbox WHERE id IN
           (SELECT id FROM outbox WHERE delivered = 1 AND id < :last
               AND (position IS NULL OR position < (SELECT MAX(position) FROM outbox))
            ORDER BY id LIMIT :most)""",
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
