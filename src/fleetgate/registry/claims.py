"""Claims: what a claim certificate, shared by a whole batch of devices, may still do.

A claim certificate sits in every device of a batch, so it must be taken for stolen. What limits the damage is kept
here: which template, how many devices, how fast, from when to when, for which serial numbers, and a switch to end it.
A batch of claims may have bounds of its own besides (`claim_batches`): both hold, and both are spent at once.

What a device is told: a refusal says the same whether the certificate is no claim, is switched off, has run out, or
asks for the wrong template or serial number, because each of those would tell a thief what to try next. Only a claim
that is sound in every other respect learns that it was too fast, so that honest devices come again. The `reason` of
the error has it all, for the audit trail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from fleetgate.database.port import Row, Tx
from fleetgate.errors import AccessDenied, AlreadyExists, InvalidRequest, NotFound, Throttled
from fleetgate.names import Act, Realm
from fleetgate.registry import budgets, certificates, claim_batches, outbox, pages, statements
from fleetgate.registry.budgets import Rate
from fleetgate.registry.certificates import Status
from fleetgate.registry.claim_batches import Batch
from fleetgate.registry.claim_serials import OF_BATCHES, OF_CLAIMS, Lists, Serial
from fleetgate.registry.events import ClaimChanged
from fleetgate.registry.pages import Page

TRUSTED_USER_LIFETIME: Final = 300_000
"""How long a claim of CreateProvisioningClaim holds, in milliseconds."""
REFUSED: Final = "This certificate may not provision a device this way."
TOO_FAST: Final = "Too many devices ask with this claim certificate. Try again later."


class Kind(StrEnum):
    BATCH = "batch"
    """Built into devices when they are made."""
    TRUSTED_USER = "trusted-user"
    """Made by CreateProvisioningClaim for one installation job."""


@dataclass(frozen=True, slots=True)
class Claim:
    fingerprint: str
    kind: Kind
    template_name: str | None
    """The only template that it may provision by; None for any."""
    batch: str
    """A label, to find and to switch off together."""
    enabled: bool
    maximum: int | None
    """How many devices in all; None without a bound."""
    used: int
    rate: Rate | None
    window_started: int
    window_used: int
    serials_listed: bool
    """Whether only the serial numbers on the claim's list may be provisioned."""
    not_before: int
    not_after: int
    certificate_status: Status
    created_at: int
    updated_at: int

    shared: Batch | None
    """The batch, where it has a budget of its own."""

    @property
    def title(self) -> str:
        return f"Claim {self.fingerprint}"

    @property
    def remaining(self) -> int | None:
        """How many devices more, by its own bound and its batch's; None without either."""
        both = (budgets.remaining(self), None if self.shared is None else self.shared.remaining)
        return min((each for each in both if each is not None), default=None)


def register(
    tx: Tx,
    act: Act,
    fingerprint: str,
    *,
    kind: Kind = Kind.BATCH,
    template_name: str | None = None,
    batch: str = "",
    maximum: int | None = None,
    rate: Rate | None = None,
    not_before: int | None = None,
    not_after: int | None = None,
    serials: Iterable[str] = (),
) -> Claim:
    """Give the certificate *fingerprint* a budget; the time defaults to the certificate's own.

    One that was a claim before and was deleted has used what it had used, and its list binds on.

    Raises NotFound without such a certificate, AlreadyExists, and InvalidRequest (a trusted user's claim needs a
    template and holds five minutes at most).
    """
    certificate = certificates.get(tx, act.realm, fingerprint)
    begin = certificate.not_before if not_before is None else not_before
    end = certificate.not_after if not_after is None else not_after
    _check(Kind(kind), template_name, maximum, begin, end)
    terms: dict[str, Any] = {
        "kind": str(Kind(kind)),
        "template_name": template_name,
        "batch": batch,
        "enabled": 1,
        "maximum": maximum,
        "rate_count": rate.count if rate else None,
        "rate_interval": rate.interval if rate else None,
        "not_before": begin,
        "not_after": end,
        "batch_has_budget": int(claim_batches.find(tx, act.realm, batch) is not None),
        "updated_at": act.now,
        "deleted_at": None,
    }
    if not (_insert(tx, act, fingerprint, terms) or _restore(tx, act, fingerprint, terms)):
        raise AlreadyExists(f"Certificate {fingerprint} is a registered claim already.")
    add_serials(tx, act, fingerprint, serials)
    return get(tx, act.realm, fingerprint)


def _insert(tx: Tx, act: Act, fingerprint: str, terms: dict[str, Any]) -> bool:
    return statements.insert_new(
        tx,
        "claims",
        realm=str(act.realm),
        fingerprint=fingerprint,
        used=0,
        window_started=0,
        window_used=0,
        serials_listed=0,
        created_at=act.now,
        **terms,
    )


def _restore(tx: Tx, act: Act, fingerprint: str, terms: dict[str, Any]) -> bool:
    if not was_deleted(tx, act.realm, fingerprint):
        return False
    tx.run(
        """UPDATE claims SET kind = :kind, template_name = :template_name, batch = :batch, enabled = :enabled,
               maximum = :maximum, rate_count = :rate_count, rate_interval = :rate_interval, not_before = :not_before,
               not_after = :not_after, batch_has_budget = :batch_has_budget, updated_at = :updated_at,
               deleted_at = :deleted_at
           WHERE realm = :realm AND fingerprint = :fingerprint""",
        realm=str(act.realm),
        fingerprint=fingerprint,
        **terms,
    )
    return True


def was_deleted(tx: Tx, realm: Realm, fingerprint: str) -> bool:
    """Whether an operator ended this claim. It comes back by `register` alone."""
    rows = tx.rows(
        """SELECT 1 FROM claims
           WHERE realm = :realm AND fingerprint = :fingerprint AND deleted_at IS NOT NULL""",
        realm=str(realm),
        fingerprint=fingerprint,
    )
    return bool(rows)


def add_serials(tx: Tx, act: Act, fingerprint: str, serials: Iterable[str]) -> int:
    """Put *serials* on the claim's list; with the first, the list begins to bind. How many are new.

    Raises NotFound, and InvalidRequest for a serial number that is empty, too long or cannot be printed.
    """
    get(tx, act.realm, fingerprint)
    listed = list(serials)
    added = OF_CLAIMS.add(tx, act.realm, fingerprint, listed)
    if listed:
        tx.run(
            """UPDATE claims SET serials_listed = 1, updated_at = :now
               WHERE realm = :realm AND fingerprint = :fingerprint""",
            realm=str(act.realm),
            fingerprint=fingerprint,
            now=act.now,
        )
    return added


_SELECT: Final = """
    SELECT c.*, x.status FROM claims c
    JOIN certificates x ON x.realm = c.realm AND x.fingerprint = c.fingerprint"""


def find(tx: Tx, realm: Realm, fingerprint: str) -> Claim | None:
    """In one statement; in two where the claim's batch has a budget of its own, which the claim's row says."""
    rows = tx.rows(
        _SELECT + " WHERE c.realm = :realm AND c.fingerprint = :fingerprint AND c.deleted_at IS NULL",
        realm=str(realm),
        fingerprint=fingerprint,
    )
    return _claim(tx, realm, rows[0]) if rows else None


def is_off(tx: Tx, realm: Realm, fingerprint: str) -> bool:
    """Whether this was a claim and may ask for nothing now: switched off, or deleted."""
    rows = tx.rows(
        "SELECT enabled FROM claims WHERE realm = :realm AND fingerprint = :fingerprint",
        realm=str(realm),
        fingerprint=fingerprint,
    )
    return bool(rows) and not rows[0]["enabled"]


def get(tx: Tx, realm: Realm, fingerprint: str) -> Claim:
    """Raises NotFound."""
    if found := find(tx, realm, fingerprint):
        return found
    raise NotFound(f"Certificate {fingerprint} is no registered claim of this account and region.")


def check(act: Act, claim: Claim, template: str | None = None, has_place: Callable[[], bool] = lambda: False) -> None:
    """Could this claim provision one more device now? For the step before, in which a certificate is made for it.

    *has_place* is asked where nothing is left: whether the one who asks was counted before (see `has_place`). Raises
    AccessDenied and Throttled as `spend` does. *template* None: not known yet.
    """
    _be_sound(act, claim, template)
    problem = next((why for budget in _budgets(claim) if (why := budgets.exhausted(budget))), None)
    if problem and not has_place():
        raise AccessDenied(REFUSED, reason=problem)
    _be_patient(act, claim)


def has_place(tx: Tx, act: Act, claim: Claim, public_key_fingerprint: str) -> bool:
    """Was this key, which the caller has seen proven, provisioned by *claim*, and is its certificate in force, or the
    one that its device renewed that by with the same key?

    Such a device lost the answer, or what it had. It may ask again though nothing is left, for what it asks for next
    is its own thing, which costs nothing.
    """
    values = {"key": public_key_fingerprint, "realm": str(act.realm), "claim": claim.fingerprint}
    return bool(tx.rows(_OF_THIS_CLAIM, **values) or tx.rows(_OF_ITS_THING, **values))


_OF_THIS_CLAIM: Final = """
    SELECT 1 FROM certificates
    WHERE public_key_fingerprint = :key AND realm = :realm AND claim_fingerprint = :claim AND status = 'ACTIVE'
    LIMIT 1"""
_OF_ITS_THING: Final = """
    SELECT 1 FROM certificates x
    CROSS JOIN thing_principals a
    CROSS JOIN thing_principals b
    CROSS JOIN certificates y
    WHERE x.public_key_fingerprint = :key AND x.realm = :realm AND x.status = 'ACTIVE'
      AND a.realm = x.realm AND a.fingerprint = x.fingerprint
      AND b.realm = a.realm AND b.thing_name = a.thing_name
      AND y.realm = b.realm AND y.fingerprint = b.fingerprint AND y.claim_fingerprint = :claim
    LIMIT 1"""


def spend(
    tx: Tx, act: Act, claim: Claim, template: str, serial: str | None = None, thing_name: str | None = None
) -> Claim:
    """Count one device against *claim*, as it was read in this transaction, and its batch: the claim as it is then.

    Where serial numbers are listed, *serial* must be on each list and is from now on *thing_name*'s: it makes no other
    thing. A thing that this claim made before (a lost answer, a device set back) costs nothing of the budget, and one
    that any claim of the batch made costs nothing of the batch's; the rates count it. Raises AccessDenied, or
    Throttled, with the `reason` for the audit trail.
    """
    _be_sound(act, claim, template)
    lists = _lists(claim)
    listed = {each: _listed_use(tx, act, each, owner, serial, thing_name) for each, owner in lists.items()}
    repeated = listed.get(OF_CLAIMS, False) or _made(tx, act, claim, thing_name)
    if not repeated and (problem := budgets.exhausted(claim)):
        raise AccessDenied(REFUSED, reason=problem)
    shared = claim.shared
    if shared is not None:
        known = repeated or listed.get(OF_BATCHES, False) or _made_by_batch(tx, act, shared, thing_name)
        if not known and (problem := budgets.exhausted(shared)):
            raise AccessDenied(REFUSED, reason=problem)
    _be_patient(act, claim)
    if shared is not None:
        shared = claim_batches.count(tx, act, shared, repeated=known)
    for each, owner in lists.items():
        if not listed[each]:
            each.use(tx, act, owner, serial or "", thing_name)
    return _count(tx, act, claim, shared, repeated=repeated)


def _count(tx: Tx, act: Act, claim: Claim, shared: Batch | None, *, repeated: bool) -> Claim:
    window_started, window_used = budgets.paced(claim, act.now)
    spent = replace(
        claim,
        used=claim.used + (0 if repeated else 1),
        window_started=window_started,
        window_used=window_used,
        updated_at=act.now,
        shared=shared,
    )
    tx.run(
        """UPDATE claims SET used = :used, window_started = :window_started, window_used = :window_used,
               updated_at = :now
           WHERE realm = :realm AND fingerprint = :fingerprint""",
        used=spent.used,
        window_started=window_started,
        window_used=window_used,
        now=act.now,
        realm=str(act.realm),
        fingerprint=claim.fingerprint,
    )
    return spent


def set_enabled(tx: Tx, act: Act, fingerprint: str, enabled: bool) -> Claim:
    """The kill switch. Raises NotFound."""
    claim = get(tx, act.realm, fingerprint)
    if claim.enabled == enabled:
        return claim
    tx.run(
        """UPDATE claims SET enabled = :enabled, updated_at = :now
           WHERE realm = :realm AND fingerprint = :fingerprint""",
        realm=str(act.realm),
        fingerprint=fingerprint,
        enabled=int(enabled),
        now=act.now,
    )
    outbox.add(tx, act, ClaimChanged(fingerprint, enabled))
    return get(tx, act.realm, fingerprint)


def set_batch_enabled(tx: Tx, act: Act, batch: str, enabled: bool) -> int:
    """The kill switch of all claims with one label, and of the batch itself: of those to come. How many it moved."""
    claim_batches.set_enabled(tx, act, batch, enabled)
    rows = tx.rows(
        """SELECT fingerprint FROM claims
           WHERE realm = :realm AND batch = :batch AND enabled <> :enabled AND deleted_at IS NULL""",
        realm=str(act.realm),
        batch=batch,
        enabled=int(enabled),
    )
    for row in rows:
        set_enabled(tx, act, row["fingerprint"], enabled)
    return len(rows)


def set_bounds(
    tx: Tx, act: Act, fingerprint: str, *, maximum: int | None, rate: Rate | None, not_before: int, not_after: int
) -> Claim:
    """Other bounds, all of them at once; None is no bound. Raises NotFound, InvalidRequest."""
    claim = get(tx, act.realm, fingerprint)
    _check(claim.kind, claim.template_name, maximum, not_before, not_after)
    tx.run(
        """UPDATE claims SET maximum = :maximum, rate_count = :count, rate_interval = :interval, not_before = :begin,
               not_after = :end, updated_at = :now
           WHERE realm = :realm AND fingerprint = :fingerprint""",
        realm=str(act.realm),
        fingerprint=fingerprint,
        maximum=maximum,
        count=rate.count if rate else None,
        interval=rate.interval if rate else None,
        begin=not_before,
        end=not_after,
        now=act.now,
    )
    return get(tx, act.realm, fingerprint)


def delete(tx: Tx, act: Act, fingerprint: str) -> None:
    """The certificate stays, and is no claim any more.

    What it used is kept beside it, so that no way leads to a new budget but an operator's. Raises NotFound.
    """
    get(tx, act.realm, fingerprint)
    tx.run(
        """UPDATE claims SET enabled = 0, deleted_at = :now, updated_at = :now
           WHERE realm = :realm AND fingerprint = :fingerprint""",
        realm=str(act.realm),
        fingerprint=fingerprint,
        now=act.now,
    )
    outbox.add(tx, act, ClaimChanged(fingerprint, False))


def page(tx: Tx, realm: Realm, after: str | None = None, limit: int = 25, *, batch: str | None = None) -> Page[Claim]:
    """By fingerprint; with *batch* those with that label."""
    values: dict[str, Any] = {"realm": str(realm), "after": pages.name_after(after)}
    where = ["c.realm = :realm", "c.fingerprint > :after", "c.deleted_at IS NULL"]
    if batch is not None:
        where.append("c.batch = :batch")
        values["batch"] = batch
    return pages.read(
        tx, _SELECT, where, "c.fingerprint", limit, lambda row: _claim(tx, realm, row), _fingerprint, **values
    )


def page_serials(tx: Tx, realm: Realm, fingerprint: str, after: str | None = None, limit: int = 100) -> Page[Serial]:
    """The claim's list, by serial number. Raises NotFound."""
    get(tx, realm, fingerprint)
    return OF_CLAIMS.page(tx, realm, fingerprint, after, limit)


def _be_sound(act: Act, claim: Claim, template: str | None) -> None:
    """Raises AccessDenied unless nothing but budgets, rates and serial numbers could be against it."""
    if problem := next(_objections(claim, act.now, template), None):
        raise AccessDenied(REFUSED, reason=problem)


def _objections(claim: Claim, now: int, template: str | None) -> Iterator[str]:
    for budget in _budgets(claim):
        yield from budgets.objections(budget, now)
    if claim.certificate_status != Status.ACTIVE:
        yield f"{claim.title} is {claim.certificate_status}, not ACTIVE."
    if template is not None and claim.template_name not in (None, template):
        yield f"{claim.title} is bound to template {claim.template_name}, not {template}."


def _budgets(claim: Claim) -> tuple[Claim | Batch, ...]:
    return (claim,) if claim.shared is None else (claim, claim.shared)


def _be_patient(act: Act, claim: Claim) -> None:
    """Raises Throttled."""
    if problem := next((why for budget in _budgets(claim) if (why := budgets.too_fast(budget, act.now))), None):
        raise Throttled(TOO_FAST, reason=problem)


def _lists(claim: Claim) -> dict[Lists, str]:
    """The lists of serial numbers that bind, and whose they are."""
    found = {OF_CLAIMS: claim.fingerprint} if claim.serials_listed else {}
    if claim.shared is not None and claim.shared.serials_listed:
        found[OF_BATCHES] = claim.shared.batch
    return found


def _listed_use(tx: Tx, act: Act, lists: Lists, owner: str, serial: str | None, thing_name: str | None) -> bool:
    """Was this serial number used for this thing before? Raises AccessDenied unless it is on the list and free."""
    use = lists.look(tx, act.realm, owner, serial, thing_name)
    if use.objection is not None:
        raise AccessDenied(REFUSED, reason=use.objection)
    return use.repeated


def _made(tx: Tx, act: Act, claim: Claim, thing_name: str | None) -> bool:
    """Has *thing_name* a certificate that it got by this claim?"""
    rows = tx.rows(
        """SELECT 1 FROM thing_principals a
           JOIN certificates x ON x.realm = a.realm AND x.fingerprint = a.fingerprint
           WHERE a.realm = :realm AND a.thing_name = :thing AND x.claim_fingerprint = :claim LIMIT 1""",
        realm=str(act.realm),
        thing=thing_name or "",
        claim=claim.fingerprint,
    )
    return bool(rows)


def _made_by_batch(tx: Tx, act: Act, batch: Batch, thing_name: str | None) -> bool:
    """Has *thing_name* a certificate that it got by any claim of the batch?"""
    rows = tx.rows(
        """SELECT 1 FROM thing_principals a
           JOIN certificates x ON x.realm = a.realm AND x.fingerprint = a.fingerprint
           JOIN claims c ON c.realm = x.realm AND c.fingerprint = x.claim_fingerprint
           WHERE a.realm = :realm AND a.thing_name = :thing AND c.batch = :batch LIMIT 1""",
        realm=str(act.realm),
        thing=thing_name or "",
        batch=batch.batch,
    )
    return bool(rows)


def _check(kind: Kind, template_name: str | None, maximum: int | None, not_before: int, not_after: int) -> None:
    budgets.check("claim", maximum, not_before, not_after)
    if kind == Kind.TRUSTED_USER and (template_name is None or not_after - not_before > TRUSTED_USER_LIFETIME):
        raise InvalidRequest("A trusted user's claim is bound to a template and holds for five minutes at most.")


def _fingerprint(row: Row) -> str:
    return str(row["fingerprint"])


def _claim(tx: Tx, realm: Realm, row: Row) -> Claim:
    return Claim(
        fingerprint=row["fingerprint"],
        kind=Kind(row["kind"]),
        template_name=row["template_name"],
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
        certificate_status=Status(row["status"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        shared=claim_batches.get(tx, realm, row["batch"]) if row["batch_has_budget"] else None,
    )
