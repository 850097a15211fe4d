"""The audit trail: who did what, and what came of it. Append-only, and chained by hashes once sealed.

Writers insert and nothing else. `seal` gives entries their place in the chain afterwards, one caller at a time, because
writers who had to know the end of the chain would wait for each other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from fleetgate.database.port import Row, Tx
from fleetgate.names import NO_ACCOUNT, Act, Realm
from fleetgate.registry import pages, statements
from fleetgate.registry.pages import Page

Outcome = Literal["ok", "refused", "failed"]

START: Final = "0" * 64
"""The previous hash of the first entry."""
_STEP = 500
_END: Final = "~"
"""After every id."""
_encoded: Final = json.JSONEncoder(sort_keys=True).encode


@dataclass(frozen=True, slots=True)
class Entry:
    id: str
    realm: str
    at: int
    actor: str
    request_id: str
    action: str
    target: str
    outcome: str
    reason: str
    details: Mapping[str, Any]
    position: int | None
    """Counts up from 1 without a gap; None until sealed."""
    previous_hash: str | None
    hash: str | None


@dataclass(frozen=True, slots=True)
class Report:
    """What `verify` found. Note *head* elsewhere: a chain cut off at its end can only be told by it."""

    sealed: int
    unsealed: int
    head: str
    """The hash of the last good entry."""
    broken: Entry | None
    """The first entry that is not what it was sealed as, or does not follow the one before."""


def add(
    tx: Tx,
    act: Act,
    action: str,
    target: str,
    outcome: Outcome,
    reason: str = "",
    details: Mapping[str, Any] | None = None,
) -> None:
    """Write down that *act* did *action* to *target*. *details* are JSON and never hold a secret.

    The same entry twice in one act is one entry.
    """
    target, reason, body = _storable(target), _storable(reason), _encoded(details or {})
    statements.insert_new(
        tx,
        "audit_entries",
        id=f"{act.now:015d}-{act.id_for('audit', str(act.realm), action, target, outcome, reason, body)}",
        realm=str(act.realm),
        at=act.now,
        actor=act.actor,
        request_id=act.request_id,
        action=action,
        target=target,
        outcome=outcome,
        reason=reason,
        details=body,
    )


def unsealed(tx: Tx) -> bool:
    """Is there anything to seal?"""
    return bool(tx.rows("SELECT id FROM audit_entries WHERE position IS NULL LIMIT 1"))


def seal(tx: Tx, now: int, limit: int) -> int:
    """Put up to *limit* entries, oldest first, at the end of the chain. How many there were."""
    last = tx.rows("SELECT position, hash FROM audit_entries WHERE position IS NOT NULL ORDER BY position DESC LIMIT 1")
    position, previous = (last[0]["position"], last[0]["hash"]) if last else (0, START)
    rows = tx.rows("SELECT * FROM audit_entries WHERE position IS NULL ORDER BY id LIMIT :most", most=limit)
    for row in rows:
        position += 1
        digest = _digest(row, position, previous)
        tx.run(
            """UPDATE audit_entries SET position = :position, previous_hash = :previous, hash = :hash,
               sealed_at = :now WHERE id = :id""",
            position=position,
            previous=previous,
            hash=digest,
            now=now,
            id=row["id"],
        )
        previous = digest
    return len(rows)


def verify(tx: Tx) -> Report:
    """Walk the whole chain, in pages, up to the first entry that is not as it was sealed."""
    waiting = tx.rows("SELECT count(*) AS number FROM audit_entries WHERE position IS NULL")[0]["number"]
    position, head = 0, START
    for row in _chain(tx):
        sound = row["position"] == position + 1 and row["previous_hash"] == head
        if not sound or row["hash"] != _digest(row, row["position"], head):
            return Report(position, waiting, head, _entry(row))
        position, head = row["position"], row["hash"]
    return Report(position, waiting, head, None)


def page(
    tx: Tx,
    realm: Realm,
    after: str | None = None,
    limit: int = 100,
    *,
    since: int = 0,
    action: str | None = None,
    target: str | None = None,
    request_id: str | None = None,
    newest_first: bool = False,
) -> Page[Entry]:
    """Entries of one realm from *since* (milliseconds UTC) on, oldest first unless *newest_first*."""
    filters = {"action": action, "target": target, "request_id": request_id}
    wanted = {column: value for column, value in filters.items() if value is not None}
    first, end = f"{since:015d}", _END
    if newest_first:
        end = pages.name_after(after) or _END
    else:
        first = max(pages.name_after(after), first)
    return pages.read(
        tx,
        "SELECT * FROM audit_entries",
        ["realm = :realm", "id > :first", "id < :end", *(f"{column} = :{column}" for column in wanted)],
        "id DESC" if newest_first else "id",
        limit,
        _entry,
        lambda row: str(row["id"]),
        realm=str(realm),
        first=first,
        end=end,
        **wanted,
    )


def page_with_nobodys(
    tx: Tx, realm: Realm, after: str | None = None, limit: int = 100, *, newest_first: bool = False, **filters: Any
) -> Page[Entry]:
    """As `page`, with the entries of the installation itself and of those whom it could not tell apart: a connection
    with an unknown certificate belongs to no account.
    """
    both = [
        page(tx, each, after, limit, newest_first=newest_first, **filters)
        for each in dict.fromkeys((realm, NO_ACCOUNT))
    ]
    entries = sorted((entry for each in both for entry in each.items), key=lambda entry: entry.id, reverse=newest_first)
    shown = tuple(entries[:limit])
    more = len(entries) > limit or any(each.next_key for each in both)
    return Page(shown, shown[-1].id if more else None)


def _chain(tx: Tx) -> Iterator[Row]:
    position = -1
    while rows := tx.rows(
        "SELECT * FROM audit_entries WHERE position > :after ORDER BY position LIMIT :most",
        after=position,
        most=_STEP,
    ):
        yield from rows
        position = rows[-1]["position"]


_SEALED: Final = ("id", "realm", "at", "actor", "request_id", "action", "target", "outcome", "reason", "details")


def _digest(row: Row, position: int, previous: str) -> str:
    """SHA-256 over a JSON list, which unlike joined text cannot be read two ways."""
    content = json.dumps([position, previous, *(row[column] for column in _SEALED)])
    return hashlib.sha256(content.encode()).hexdigest()


def _storable(text: str) -> str:
    """*text* may come from a device: no database takes a lone surrogate, and PostgreSQL takes no NUL."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def _entry(row: Row) -> Entry:
    return Entry(
        id=row["id"],
        realm=row["realm"],
        at=row["at"],
        actor=row["actor"],
        request_id=row["request_id"],
        action=row["action"],
        target=row["target"],
        outcome=row["outcome"],
        reason=row["reason"],
        details=json.loads(row["details"]),
        position=row["position"],
        previous_hash=row["previous_hash"],
        hash=row["hash"],
    )
