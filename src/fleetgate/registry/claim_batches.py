"""Batches of claims that have a budget of their own: what all claim certificates with one label may do together.

A batch comes into being with its first bound; until then it is a label on its claims.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from fleetgate.database.port import Row, Tx
from fleetgate.errors import InvalidRequest, NotFound
from fleetgate.names import Act, Realm
from fleetgate.registry import budgets, pages, statements
from fleetgate.registry.budgets import Rate
from fleetgate.registry.claim_serials import OF_BATCHES, Serial
from fleetgate.registry.pages import Page


@dataclass(frozen=True, slots=True)
class Batch:
    batch: str
    """The label."""
    enabled: bool
    maximum: int | None
    """How many devices in all; None without a bound."""
    used: int
    rate: Rate | None
    window_started: int
    window_used: int
    serials_listed: bool
    """Whether only the serial numbers on the batch's list may be provisioned."""
    not_before: int | None
    not_after: int | None
    created_at: int
    updated_at: int

    @property
    def title(self) -> str:
        return f"Batch {self.batch}"

    @property
    def remaining(self) -> int | None:
        return budgets.remaining(self)


def find(tx: Tx, realm: Realm, batch: str) -> Batch | None:
    rows = tx.rows("SELECT * FROM claim_batches WHERE realm = :realm AND batch = :batch", realm=str(realm), batch=batch)
    return _batch(rows[0]) if rows else None


def get(tx: Tx, realm: Realm, batch: str) -> Batch:
    """Raises NotFound."""
    if found := find(tx, realm, batch):
        return found
    raise NotFound(
        f"Batch {batch!r} has no budget of its own in this account and region. It gets one with: fleetgate claim batch "
        "set"
    )


def page(tx: Tx, realm: Realm, after: str | None = None, limit: int = 25) -> Page[Batch]:
    """By label."""
    values = {"realm": str(realm), "after": pages.name_after(after)}
    where = ["realm = :realm", "batch > :after"]
    select = "SELECT * FROM claim_batches"
    return pages.read(tx, select, where, "batch", limit, _batch, lambda row: str(row["batch"]), **values)


def set_bounds(
    tx: Tx,
    act: Act,
    batch: str,
    *,
    maximum: int | None,
    rate: Rate | None,
    not_before: int | None = None,
    not_after: int | None = None,
) -> Batch:
    """A batch with these bounds, all of them at once, made where it was none; None is no bound.

    A new one has used what its claims have used: the devices that they made count. Raises InvalidRequest.
    """
    if not batch:
        raise InvalidRequest("A batch has a label.")
    budgets.check("batch", maximum, not_before, not_after)
    bounds = {
        "maximum": maximum,
        "rate_count": rate.count if rate else None,
        "rate_interval": rate.interval if rate else None,
        "not_before": not_before,
        "not_after": not_after,
        "updated_at": act.now,
    }
    if not _insert(tx, act, batch, bounds):
        tx.run(
            """UPDATE claim_batches SET maximum = :maximum, rate_count = :rate_count, rate_interval = :rate_interval,
                   not_before = :not_before, not_after = :not_after, updated_at = :updated_at
               WHERE realm = :realm AND batch = :batch""",
            realm=str(act.realm),
            batch=batch,
            **bounds,
        )
    return get(tx, act.realm, batch)


def _insert(tx: Tx, act: Act, batch: str, bounds: dict[str, Any]) -> bool:
    used = tx.rows(
        "SELECT COALESCE(SUM(used), 0) AS used FROM claims WHERE batch = :batch AND realm = :realm",
        batch=batch,
        realm=str(act.realm),
    )
    made = statements.insert_new(
        tx,
        "claim_batches",
        realm=str(act.realm),
        batch=batch,
        enabled=1,
        used=int(used[0]["used"]),
        window_started=0,
        window_used=0,
        serials_listed=0,
        created_at=act.now,
        **bounds,
    )
    if made:  # noted beside each claim, so that those of other batches need not look
        tx.run(
            "UPDATE claims SET batch_has_budget = 1 WHERE batch = :batch AND realm = :realm",
            batch=batch,
            realm=str(act.realm),
        )
    return made


def set_enabled(tx: Tx, act: Act, batch: str, enabled: bool) -> None:
    """Its switch, where it has a budget. `claims.set_batch_enabled` moves those of its claims as well."""
    tx.run(
        """UPDATE claim_batches SET enabled = :enabled, updated_at = :now
           WHERE realm = :realm AND batch = :batch AND enabled <> :enabled""",
        enabled=int(enabled),
        now=act.now,
        realm=str(act.realm),
        batch=batch,
    )


def add_serials(tx: Tx, act: Act, batch: str, serials: Iterable[str]) -> int:
    """Put *serials* on the batch's list; with the first, the list begins to bind. How many are new.

    Raises NotFound, and InvalidRequest for a serial number that is empty, too long or cannot be printed.
    """
    get(tx, act.realm, batch)
    listed = list(serials)
    added = OF_BATCHES.add(tx, act.realm, batch, listed)
    if listed:
        tx.run(
            """UPDATE claim_batches SET serials_listed = 1, updated_at = :now
               WHERE realm = :realm AND batch = :batch""",
            realm=str(act.realm),
            batch=batch,
            now=act.now,
        )
    return added


def page_serials(tx: Tx, realm: Realm, batch: str, after: str | None = None, limit: int = 100) -> Page[Serial]:
    """The batch's list, by serial number. Raises NotFound."""
    get(tx, realm, batch)
    return OF_BATCHES.page(tx, realm, batch, after, limit)


def count(tx: Tx, act: Act, batch: Batch, *, repeated: bool) -> Batch:
    """One device more, or, where it was counted before (*repeated*), one against the rate alone: the batch then."""
    window_started, window_used = budgets.paced(batch, act.now)
    counted = replace(
        batch,
        used=batch.used + (0 if repeated else 1),
        window_started=window_started,
        window_used=window_used,
        updated_at=act.now,
    )
    tx.run(
        """UPDATE claim_batches SET used = :used, window_started = :window_started, window_used = :window_used,
               updated_at = :now
           WHERE realm = :realm AND batch = :batch""",
        used=counted.used,
        window_started=window_started,
        window_used=window_used,
        now=act.now,
        realm=str(act.realm),
        batch=batch.batch,
    )
    return counted


def _batch(row: Row) -> Batch:
    return Batch(
        batch=row["batch"],
        enabled=row["enabled"] == 1,
        maximum=row["maximum"],
        used=row["used"],
        rate=None if row["rate_count"] is None else Rate(row["rate_count"], row["rate_interval"]),
        window_started=row["window_started"],
        window_used=row["window_used"],
        serials_listed=row["serials_listed"] == 1,
        not_before=row["not_before"],
        not_after=row["not_after"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
