"""What was meant to be signed, and what came of it. Nothing is signed that is not written down here first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fleetgate.database.port import Row, Tx
from fleetgate.errors import AlreadyExists, NotFound
from fleetgate.names import Act, Realm
from fleetgate.registry import certificate_providers, pages, statements
from fleetgate.registry.certificate_providers import CertificateProvider
from fleetgate.registry.pages import Page


@dataclass(frozen=True, slots=True)
class Intent:
    """What is about to be signed."""

    issuer: str
    """Which of the installation's CAs: the fingerprint of its certificate."""
    serial: str
    """In hexadecimal; unique for an issuer over all realms."""
    subject: str
    public_key_fingerprint: str
    tbs_digest: str
    """SHA-256, hex, of the to-be-signed bytes."""
    profile: str


@dataclass(frozen=True, slots=True)
class Issuance:
    realm: Realm
    intent: Intent
    actor: str
    request_id: str
    begun_at: int
    fingerprint: str | None
    """Of the certificate; None while nothing is known to have been signed."""
    completed_at: int | None


def begin(tx: Tx, act: Act, intent: Intent) -> None:
    """Write *intent* down. Raises AlreadyExists when its issuer has used its serial before, in whatever realm."""
    if not statements.insert_new(
        tx,
        "issuances",
        realm=str(act.realm),
        issuer=intent.issuer,
        serial=intent.serial,
        subject=intent.subject,
        public_key_fingerprint=intent.public_key_fingerprint,
        tbs_digest=intent.tbs_digest,
        profile=intent.profile,
        actor=act.actor,
        request_id=act.request_id,
        begun_at=act.now,
    ):
        raise _used(intent)


def begin_unless_provided(tx: Tx, act: Act, intent: Intent) -> CertificateProvider | None:
    """`begin`, unless the realm has a certificate provider, which is given back then, and nothing is written.

    One statement as `begin` is, so that it costs no one anything who has no provider, and so that the CA signs nothing
    once there is one. Raises AlreadyExists.
    """
    if tx.run(
        _BEGIN_UNLESS_PROVIDED,
        realm=str(act.realm),
        issuer=intent.issuer,
        serial=intent.serial,
        subject=intent.subject,
        public_key_fingerprint=intent.public_key_fingerprint,
        tbs_digest=intent.tbs_digest,
        profile=intent.profile,
        actor=act.actor,
        request_id=act.request_id,
        begun_at=act.now,
    ):
        return None
    if provider := certificate_providers.find(tx, act.realm):
        return provider
    raise _used(intent)


_BEGIN_UNLESS_PROVIDED: Final = """
    INSERT INTO issuances (realm, issuer, serial, subject, public_key_fingerprint, tbs_digest, profile, actor,
                           request_id, begun_at)
    SELECT :realm, :issuer, :serial, :subject, :public_key_fingerprint, :tbs_digest, :profile, :actor,
           :request_id, :begun_at
    WHERE NOT EXISTS (SELECT 1 FROM certificate_providers WHERE realm = :realm)
    ON CONFLICT DO NOTHING"""


def _used(intent: Intent) -> AlreadyExists:
    return AlreadyExists(f"Issuer {intent.issuer} has used the serial number {intent.serial} before. Draw another.")


def complete(tx: Tx, act: Act, issuer: str, serial: str, fingerprint: str) -> None:
    """Signed. Once more with the same certificate changes nothing.

    Raises NotFound without an intent in this realm, AlreadyExists when another certificate completed it.
    """
    touched = tx.run(
        """UPDATE issuances SET fingerprint = :fingerprint, completed_at = :now
           WHERE realm = :realm AND issuer = :issuer AND serial = :serial AND completed_at IS NULL""",
        fingerprint=fingerprint,
        now=act.now,
        realm=str(act.realm),
        issuer=issuer,
        serial=serial,
    )
    if touched:
        return
    issuance = find(tx, issuer, serial)
    if issuance is None or issuance.realm != act.realm:
        raise NotFound(f"Nobody meant to sign {serial} with {issuer} here.")
    if issuance.fingerprint != fingerprint:
        raise AlreadyExists(f"The issuance of {serial} was completed by the certificate {issuance.fingerprint}.")


def find(tx: Tx, issuer: str, serial: str) -> Issuance | None:
    """By what a CRL or an OCSP request names a certificate with."""
    rows = tx.rows("SELECT * FROM issuances WHERE issuer = :issuer AND serial = :serial", issuer=issuer, serial=serial)
    return _issuance(rows[0]) if rows else None


def get(tx: Tx, issuer: str, serial: str) -> Issuance:
    """Raises NotFound."""
    if found := find(tx, issuer, serial):
        return found
    raise NotFound(f"Issuer {issuer} never used the serial number {serial}.")


def unfinished(tx: Tx, realm: Realm, before: int, after: str | None = None, limit: int = 25) -> Page[Issuance]:
    """Intents from before *before* (milliseconds UTC) that nothing is known to have come of, oldest first."""
    where = ["realm = :realm", "completed_at IS NULL", "begun_at < :before"]
    values: dict[str, str | int] = {"realm": str(realm), "before": before}
    if after is not None:
        begun_at, rest = pages.moment_after(after)
        issuer, _, serial = rest.partition("/")
        where.append("(begun_at, issuer, serial) > (:after_at, :after_issuer, :after_serial)")
        values |= {"after_at": begun_at, "after_issuer": issuer, "after_serial": serial}
    return pages.read(
        tx,
        "SELECT * FROM issuances",
        where,
        "begun_at, issuer, serial",
        limit,
        _issuance,
        lambda row: pages.moment_key(row["begun_at"], f"{row['issuer']}/{row['serial']}"),
        **values,
    )


def _issuance(row: Row) -> Issuance:
    return Issuance(
        realm=Realm.parse(row["realm"]),
        intent=Intent(
            issuer=row["issuer"],
            serial=row["serial"],
            subject=row["subject"],
            public_key_fingerprint=row["public_key_fingerprint"],
            tbs_digest=row["tbs_digest"],
            profile=row["profile"],
        ),
        actor=row["actor"],
        request_id=row["request_id"],
        begun_at=row["begun_at"],
        fingerprint=row["fingerprint"],
        completed_at=row["completed_at"],
    )
