"""Nodes: the processes that serve one installation together, by their signs of life.

Their clocks must agree to within a second or two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fleetgate.database.port import Tx

SILENCE: Final = 5_000
"""A node that gave no sign of life for as long is taken for dead. Milliseconds."""


@dataclass(frozen=True, slots=True)
class Node:
    id: str
    """Another one at each start."""
    name: str
    """As configured; for people."""
    started_at: int
    seen_at: int


def beat(tx: Tx, id_: str, name: str, now: int) -> None:
    """A sign of life, the first or a later one."""
    tx.run(
        """INSERT INTO nodes (id, name, started_at, seen_at) VALUES (:id, :name, :now, :now)
           ON CONFLICT (id) DO UPDATE SET seen_at = :now""",
        id=id_,
        name=name,
        now=now,
    )


def leave(tx: Tx, id_: str) -> None:
    """The node is stopped: others need not wait until its silence tells them."""
    tx.run("DELETE FROM nodes WHERE id = :id", id=id_)


def alive(tx: Tx, now: int) -> list[Node]:
    """By name."""
    rows = tx.rows("SELECT * FROM nodes WHERE seen_at > :since ORDER BY name, id", since=now - SILENCE)
    return [Node(row["id"], row["name"], row["started_at"], row["seen_at"]) for row in rows]


def bury(tx: Tx, before: int) -> int:
    """Forget nodes that gave no sign of life since *before*. How many."""
    return tx.run("DELETE FROM nodes WHERE seen_at < :before", before=before)
