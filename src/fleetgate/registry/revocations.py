"""Revoked certificates of the installation's own CAs, and the revocation lists made of them."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Final

from fleetgate.database.port import Row, Tx
from fleetgate.errors import AlreadyExists
from fleetgate.names import Act, Realm
from fleetgate.pki.crl import Reason
from fleetgate.registry import statements

_KEPT: Final = 3
"""Revocation lists that stay; numbers go on from the last."""


@dataclass(frozen=True, slots=True)
class Revocation:
    issuer: str
    """The fingerprint of the CA certificate."""
    serial: str
    """In hexadecimal, as in `issuances`."""
    realm: Realm
    fingerprint: str
    reason: Reason
    revoked_at: int
    not_after: int


@dataclass(frozen=True, slots=True)
class PublishedList:
    issuer: str
    number: int
    covers: int
    """How many revocations of the issuer there were when it was made."""
    this_update: int
    next_update: int
    body: bytes
    """DER, signed."""


def enter(tx: Tx, act: Act, fingerprint: str, not_after: int, reason: Reason) -> bool:
    """Note that a certificate was revoked; False where no CA of this installation signed it."""
    return bool(
        tx.run(
            """INSERT INTO revocations (issuer, serial, realm, fingerprint, reason, revoked_at, not_after)
               SELECT i.issuer, i.serial, :realm, i.fingerprint, :reason, :now, :not_after
               FROM issuances i WHERE i.fingerprint = :fingerprint
               ON CONFLICT DO NOTHING""",
            realm=str(act.realm),
            reason=str(reason),
            now=act.now,
            not_after=not_after,
            fingerprint=fingerprint,
        )
    )


def find(tx: Tx, issuer: str, serial: str) -> Revocation | None:
    rows = tx.rows(
        "SELECT * FROM revocations WHERE issuer = :issuer AND serial = :serial", issuer=issuer, serial=serial
    )
    return _revocation(rows[0]) if rows else None


def is_revoked(tx: Tx, fingerprint: str) -> bool:
    """Whether a CA of this installation signed and revoked this certificate, whoever has it or had it."""
    return bool(
        tx.rows(
            """SELECT 1 FROM issuances i
               CROSS JOIN revocations r
               WHERE i.fingerprint = :fingerprint AND r.issuer = i.issuer AND r.serial = i.serial LIMIT 1""",
            fingerprint=fingerprint,
        )
    )


def in_force(tx: Tx, issuer: str, since: int) -> list[Revocation]:
    """Every revocation by *issuer* of a certificate that ended after *since* (milliseconds UTC), by serial number."""
    rows = tx.rows(
        "SELECT * FROM revocations WHERE issuer = :issuer AND not_after >= :since ORDER BY serial",
        issuer=issuer,
        since=since,
    )
    return [_revocation(row) for row in rows]


def count(tx: Tx, issuer: str) -> int:
    """All there ever were."""
    return int(tx.rows("SELECT count(*) AS number FROM revocations WHERE issuer = :issuer", issuer=issuer)[0]["number"])


# --- lists ------------------------------------------------------------------------------------------------------------


def next_number(tx: Tx, issuer: str) -> int:
    rows = tx.rows(
        "SELECT number FROM revocation_lists WHERE issuer = :issuer ORDER BY number DESC LIMIT 1", issuer=issuer
    )
    return rows[0]["number"] + 1 if rows else 1


def begin(
    tx: Tx, issuer: str, number: int, tbs_digest: str, covers: int, *, this_update: int, next_update: int
) -> None:
    """Write down what is about to be signed. Raises AlreadyExists where somebody else took the number."""
    if not statements.insert_new(
        tx,
        "revocation_lists",
        issuer=issuer,
        number=number,
        tbs_digest=tbs_digest,
        covers=covers,
        this_update=this_update,
        next_update=next_update,
    ):
        raise AlreadyExists(f"Revocation list {number} of {issuer} is being made by somebody else.")


def complete(tx: Tx, issuer: str, number: int, body: bytes) -> None:
    """Keep the signed list; all but the last few before it are forgotten."""
    tx.run(
        "UPDATE revocation_lists SET body = :body WHERE issuer = :issuer AND number = :number",
        body=base64.b64encode(body).decode(),
        issuer=issuer,
        number=number,
    )
    tx.run(
        "DELETE FROM revocation_lists WHERE issuer = :issuer AND number <= :last", issuer=issuer, last=number - _KEPT
    )


def latest(tx: Tx, issuer: str) -> PublishedList | None:
    rows = tx.rows(
        """SELECT * FROM revocation_lists WHERE issuer = :issuer AND body IS NOT NULL
           ORDER BY number DESC LIMIT 1""",
        issuer=issuer,
    )
    return _list(rows[0]) if rows else None


def _list(row: Row) -> PublishedList:
    return PublishedList(
        issuer=row["issuer"],
        number=row["number"],
        covers=row["covers"],
        this_update=row["this_update"],
        next_update=row["next_update"],
        body=base64.b64decode(row["body"]),
    )


def _revocation(row: Row) -> Revocation:
    return Revocation(
        issuer=row["issuer"],
        serial=row["serial"],
        realm=Realm.parse(row["realm"]),
        fingerprint=row["fingerprint"],
        reason=Reason(row["reason"]),
        revoked_at=row["revoked_at"],
        not_after=row["not_after"],
    )
