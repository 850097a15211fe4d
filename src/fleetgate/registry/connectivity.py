"""Who is connected, since when, and why no longer (GetThingConnectivityData; `connectivity` in searches).

A row is written some moments after a device with a thing came or went. It belongs to one run of the server (its
*node*): what a run that is over left as connected is put right when the next one starts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fleetgate.database.port import Row, Tx
from fleetgate.names import Realm
from fleetgate.registry import nodes, statements
from fleetgate.search.evaluate import Document


@dataclass(frozen=True, slots=True)
class Connectivity:
    thing_name: str
    client_id: str
    connected: bool
    changed_at: int
    """Milliseconds UTC of the last connect or disconnect."""
    reason: str | None = None
    """Of the disconnect, in AWS's words; None while connected."""
    keep_alive: int | None = None
    """Seconds."""
    clean_session: bool | None = None
    session_expiry: int | None = None
    """Seconds."""

    def document(self) -> Document:
        return {
            "connectivity.connected": [str(self.connected).lower()],
            "connectivity.timestamp": [str(self.changed_at)],
            "connectivity.disconnectReason": [self.reason] if self.reason else [],
        }


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to a thing's connection."""

    realm: Realm
    state: Connectivity


def find(tx: Tx, realm: Realm, thing_name: str) -> Connectivity | None:
    return of_things(tx, realm, [thing_name]).get(thing_name)


def of_things(tx: Tx, realm: Realm, names: Sequence[str]) -> dict[str, Connectivity]:
    """What is known of the things called *names* (250 at most); those that never connected are left out."""
    if not names:
        return {}
    padded = [*names, *[names[-1]] * (-len(names) % 25)] if len(names) > 1 else list(names)  # so that texts are few
    listed = ", ".join(f":n{number}" for number in range(len(padded)))
    sql = f"SELECT * FROM thing_connectivity WHERE realm = :realm AND thing_name IN ({listed})"  # noqa: S608 # numbers of parameters
    rows = tx.rows(sql, realm=str(realm), **{f"n{number}": name for number, name in enumerate(padded)})
    return {row["thing_name"]: _connectivity(row) for row in rows}


def note(tx: Tx, node: str, changes: Sequence[Change]) -> None:
    """Write *changes* of the run *node* in their order. What concerns a thing that is gone is left out, and so is what
    is older than what is known.
    """
    for change in changes:
        state = change.state
        key = {"realm": str(change.realm), "name": state.thing_name}
        if not tx.rows("SELECT name FROM things WHERE realm = :realm AND name = :name", **key):
            continue
        known = find(tx, change.realm, state.thing_name)
        if known is not None and known.changed_at > state.changed_at:
            continue
        tx.run("DELETE FROM thing_connectivity WHERE realm = :realm AND thing_name = :name", **key)
        statements.insert(
            tx,
            "thing_connectivity",
            realm=str(change.realm),
            thing_name=state.thing_name,
            client_id=state.client_id,
            node=node if state.connected else None,
            connected=int(state.connected),
            changed_at=state.changed_at,
            reason=state.reason,
            keep_alive=state.keep_alive,
            clean_session=None if state.clean_session is None else int(state.clean_session),
            session_expiry=state.session_expiry,
        )


def end_of(tx: Tx, node: str, now: int, reason: str, limit: int = 1000) -> int:
    """The run *node* is over: *limit* at most of what it left connected is not, as of *now*. How many those were."""
    rows = tx.rows(
        "SELECT realm, thing_name FROM thing_connectivity WHERE node = :node LIMIT :limit",
        node=node,
        limit=limit,
    )
    for row in rows:
        tx.run(
            """UPDATE thing_connectivity SET node = NULL, connected = 0, reason = :reason, changed_at = :now
               WHERE realm = :realm AND thing_name = :name""",
            realm=row["realm"],
            name=row["thing_name"],
            reason=reason,
            now=now,
        )
    return len(rows)


def holding(tx: Tx) -> list[str]:
    """The runs of the server that have things connected."""
    found: list[str] = []
    while True:
        rows = tx.rows(
            "SELECT node FROM thing_connectivity WHERE node > :last ORDER BY node LIMIT 1",
            last=found[-1] if found else "",
        )
        if not rows:
            return found
        found.append(rows[0]["node"])


def left_behind(tx: Tx, now: int) -> list[str]:
    """Those of them that are over."""
    alive = {node.id for node in nodes.alive(tx, now)}
    return [node for node in holding(tx) if node not in alive]


def _connectivity(row: Row) -> Connectivity:
    clean = row["clean_session"]
    return Connectivity(
        thing_name=row["thing_name"],
        client_id=row["client_id"],
        connected=bool(row["connected"]),
        changed_at=row["changed_at"],
        reason=row["reason"],
        keep_alive=row["keep_alive"],
        clean_session=None if clean is None else bool(clean),
        session_expiry=row["session_expiry"],
    )
