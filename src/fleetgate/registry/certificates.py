"""Certificates and their status (DescribeCertificate, UpdateCertificate, DeleteCertificate, ListCertificates ...)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from fleetgate.database.port import Row, Tx
from fleetgate.errors import (
    AlreadyExists,
    CertificateInvalid,
    CertificateState,
    DeleteConflict,
    InvalidRequest,
    NotFound,
)
from fleetgate.names import Act, Realm
from fleetgate.pki.crl import Reason
from fleetgate.registry import outbox, pages, revocations, statements
from fleetgate.registry.events import CertificateDeleted, CertificateStatusChanged
from fleetgate.registry.pages import Page


class Status(StrEnum):
    """AWS's CertificateStatus, without the deprecated REGISTER_INACTIVE."""

    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    REVOKED = "REVOKED"
    PENDING_ACTIVATION = "PENDING_ACTIVATION"
    PENDING_TRANSFER = "PENDING_TRANSFER"


class Mode(StrEnum):
    """How a connection finds its account: by the certificate alone, or by the server name (SNI) it asks for."""

    DEFAULT = "DEFAULT"
    SNI_ONLY = "SNI_ONLY"


class Origin(StrEnum):
    ISSUED = "issued"
    """Signed by this installation."""
    REGISTERED = "registered"
    """Brought by its owner."""
    JUST_IN_TIME = "just-in-time"
    """Seen at the door, signed by a registered CA."""


_ANYWHERE: Final = frozenset({Status.ACTIVE, Status.INACTIVE, Status.REVOKED})

TRANSITIONS: Final[Mapping[Status, frozenset[Status]]] = {
    Status.ACTIVE: frozenset({Status.INACTIVE, Status.REVOKED}),
    Status.INACTIVE: frozenset({Status.ACTIVE, Status.REVOKED}),
    Status.REVOKED: frozenset(),
    Status.PENDING_ACTIVATION: _ANYWHERE,
    Status.PENDING_TRANSFER: frozenset(),
}
"""Where each status may go. To stay is always allowed and changes nothing. Into a transfer and out of it leads
`registry.transfers` alone."""

BY_USER: Final = _ANYWHERE
"""What UpdateCertificate may ask for; the rest is set by the service alone."""


@dataclass(frozen=True, slots=True)
class Certificate:
    realm: Realm
    fingerprint: str
    """AWS's certificateId: SHA-256 of the DER form."""
    pem: str
    status: Status
    mode: Mode
    origin: Origin
    public_key_fingerprint: str
    not_before: int
    not_after: int
    ca_fingerprint: str | None
    """The registered CA that signed it, where one did."""
    claim_fingerprint: str | None
    """The claim certificate that asked for it, where one did."""
    superseded_by: str | None
    """Its successor's fingerprint: it is retired when that first connects."""
    listed: bool
    """False for certificates of CreateProvisioningClaim: they are in no list."""
    first_connected_at: int | None
    customer_version: int
    generation_id: str
    created_at: int
    updated_at: int


def create(
    tx: Tx,
    act: Act,
    fingerprint: str,
    pem: str,
    status: Status,
    *,
    public_key_fingerprint: str,
    not_before: int,
    not_after: int,
    origin: Origin,
    mode: Mode = Mode.DEFAULT,
    ca_fingerprint: str | None = None,
    claim_fingerprint: str | None = None,
    listed: bool = True,
) -> Certificate:
    """A new certificate.

    Raises AlreadyExists when this realm knows it, or when another account of the region has it in DEFAULT mode too: a
    connection without a server name could then not be told whose it is. Raises CertificateInvalid for one of this
    installation's own that was revoked and deleted, and is brought again.
    """
    for other in find_everywhere(tx, fingerprint):
        _refuse_known(act, other, mode)
    if origin is not Origin.ISSUED and revocations.is_revoked(tx, fingerprint):
        raise CertificateInvalid(
            f"The CA of this installation that issued the certificate has revoked it for good. Id: {fingerprint}"
        )
    certificate = Certificate(
        realm=act.realm,
        fingerprint=fingerprint,
        pem=pem,
        status=Status(status),
        mode=Mode(mode),
        origin=Origin(origin),
        public_key_fingerprint=public_key_fingerprint,
        not_before=not_before,
        not_after=not_after,
        ca_fingerprint=ca_fingerprint,
        claim_fingerprint=claim_fingerprint,
        superseded_by=None,
        listed=listed,
        first_connected_at=None,
        customer_version=1,
        generation_id=act.id_for("certificate", fingerprint),
        created_at=act.now,
        updated_at=act.now,
    )
    enter(tx, certificate)
    return certificate


def enter(tx: Tx, certificate: Certificate) -> None:
    """Write the row of *certificate* as it is: for `create`, and for a transfer. Raises `Conflict`."""
    statements.insert(tx, "certificates", **_columns(certificate))


def find(tx: Tx, realm: Realm, fingerprint: str) -> Certificate | None:
    rows = tx.rows(
        "SELECT * FROM certificates WHERE realm = :realm AND fingerprint = :fingerprint",
        realm=str(realm),
        fingerprint=fingerprint,
    )
    return from_row(rows[0]) if rows else None


def get(tx: Tx, realm: Realm, fingerprint: str) -> Certificate:
    """Raises NotFound."""
    if found := find(tx, realm, fingerprint):
        return found
    raise NotFound(f"Certificate {fingerprint} does not exist in this account and region.")


def find_everywhere(tx: Tx, fingerprint: str) -> list[Certificate]:
    """The certificate in every realm that knows it: what a connection without a server name is looked up by."""
    rows = tx.rows(
        "SELECT * FROM certificates WHERE fingerprint = :fingerprint ORDER BY realm", fingerprint=fingerprint
    )
    return [from_row(row) for row in rows]


def page(
    tx: Tx,
    realm: Realm,
    after: str | None = None,
    limit: int = 25,
    *,
    ascending: bool = False,
    ca: str | None = None,
) -> Page[Certificate]:
    """By creation, newest first unless *ascending*; with *ca* those that registered CA signed."""
    where, order, values = pages.by_creation(after, "fingerprint", ascending)
    if ca is not None:
        where.append("ca_fingerprint = :ca")
        values["ca"] = ca
    return pages.read(
        tx,
        "SELECT * FROM certificates",
        ["realm = :realm", "listed = 1", *where],
        order,
        limit,
        from_row,
        lambda row: pages.moment_key(row["created_at"], row["fingerprint"]),
        realm=str(realm),
        **values,
    )


def set_status(
    tx: Tx,
    act: Act,
    fingerprint: str,
    status: Status,
    *,
    by_service: bool = False,
    reason: Reason = Reason.UNSPECIFIED,
) -> Certificate:
    """*reason* is what the revocation list says, where *status* is REVOKED.

    Raises NotFound, CertificateState for what `TRANSITIONS` does not have, and InvalidRequest for a status that only
    the service sets, unless *by_service*.
    """
    if status not in BY_USER and not by_service:
        raise InvalidRequest(f"The status {status} is set by the service alone. Set {', '.join(sorted(BY_USER))}.")
    return change_status(tx, act, get(tx, act.realm, fingerprint), status, reason)


def change_status(
    tx: Tx, act: Act, old: Certificate, status: Status, reason: Reason = Reason.UNSPECIFIED
) -> Certificate:
    """`set_status` of a certificate that was read in this transaction. Raises CertificateState."""
    if status == old.status:
        return old
    if status not in TRANSITIONS[old.status]:
        raise CertificateState(f"A certificate that is {old.status} cannot become {status}. Id: {old.fingerprint}")
    return write_status(tx, act, old, status, reason)


def write_status(
    tx: Tx, act: Act, old: Certificate, status: Status, reason: Reason = Reason.UNSPECIFIED
) -> Certificate:
    """`change_status` to whatever *status*: for who knows that this is right."""
    fingerprint = old.fingerprint
    tx.run(
        """UPDATE certificates SET status = :status, customer_version = customer_version + 1, updated_at = :now
           WHERE realm = :realm AND fingerprint = :fingerprint""",
        status=str(status),
        now=act.now,
        realm=str(act.realm),
        fingerprint=fingerprint,
    )
    if status == Status.REVOKED and old.origin == Origin.ISSUED:
        revocations.enter(tx, act, fingerprint, old.not_after, reason)
    outbox.add(tx, act, CertificateStatusChanged(fingerprint, str(status), str(old.status)))
    return replace(old, status=Status(status), customer_version=old.customer_version + 1, updated_at=act.now)


def delete(tx: Tx, act: Act, fingerprint: str, *, force: bool = False) -> None:
    """Raises NotFound; CertificateState while it is ACTIVE or under transfer; DeleteConflict while it has things, or
    (unless *force*, which detaches them) policies.
    """
    certificate = get(tx, act.realm, fingerprint)
    arn = act.realm.arn("cert", fingerprint)
    if certificate.status == Status.ACTIVE:
        raise CertificateState(f"Certificate must be deactivated (not ACTIVE) before deletion. Id: {fingerprint}")
    if certificate.status == Status.PENDING_TRANSFER:
        raise CertificateState(f"Certificate is under transfer. Cancel that before deletion. Id: {fingerprint}")
    if _any(tx, _THING_OF, act.realm, fingerprint):
        raise DeleteConflict(f"Things must be detached before deletion (arn: {arn})")
    if not force and _any(tx, _POLICY_OF, act.realm, fingerprint):
        raise DeleteConflict(f"Certificate policies must be detached before deletion (arn: {arn})")
    remove(tx, act.realm, fingerprint)
    tx.run(
        "DELETE FROM certificate_transfers WHERE fingerprint = :fingerprint AND (realm = :realm OR target = :realm)",
        fingerprint=fingerprint,
        realm=str(act.realm),
    )
    outbox.add(tx, act, CertificateDeleted(fingerprint))


def supersede(tx: Tx, act: Act, fingerprint: str, *, by: str) -> None:
    """*fingerprint* stays usable until its successor *by* first connects.

    Raises NotFound for either, InvalidRequest for a certificate as its own successor.
    """
    if fingerprint == by:
        raise InvalidRequest("A certificate cannot be its own successor.")
    get(tx, act.realm, fingerprint)
    get(tx, act.realm, by)
    tx.run(
        """UPDATE certificates SET superseded_by = :successor, updated_at = :now
           WHERE realm = :realm AND fingerprint = :fingerprint""",
        successor=by,
        now=act.now,
        realm=str(act.realm),
        fingerprint=fingerprint,
    )


def connected(tx: Tx, act: Act, fingerprint: str) -> tuple[str, ...]:
    """Note the first connection, and retire what this certificate supersedes: the fingerprints made INACTIVE.

    Needs a write only while `first_connected_at` is None or an ACTIVE predecessor is left; ask `find` first.
    """
    values = {"realm": str(act.realm), "fingerprint": fingerprint}
    tx.run(
        """UPDATE certificates SET first_connected_at = :now
           WHERE realm = :realm AND fingerprint = :fingerprint AND first_connected_at IS NULL""",
        now=act.now,
        **values,
    )
    old = tx.rows(
        """SELECT fingerprint FROM certificates
           WHERE realm = :realm AND superseded_by = :fingerprint AND status = 'ACTIVE'""",
        **values,
    )
    retired = sorted(row["fingerprint"] for row in old)
    for each in retired:
        set_status(tx, act, each, Status.INACTIVE)
    return tuple(retired)


def sweep(tx: Tx, now: int, limit: int = 1000) -> int:
    """Delete what was never finished, in all realms: certificates that are PENDING_ACTIVATION, attached to nothing and
    whose ownership token expired unused; claim certificates of trusted users after their five minutes; and up to
    *limit* expired tokens. How many certificates.

    Tells nobody: such a certificate either never could connect, or has run out by itself.
    """
    swept = _sweep_claims(tx, now, limit)
    tokens = tx.rows(
        "SELECT * FROM ownership_tokens WHERE expires_at <= :now ORDER BY expires_at LIMIT :most", now=now, most=limit
    )
    for token in tokens:
        if token["used_at"] is None:
            swept += tx.run(_SWEEP, realm=token["realm"], fingerprint=token["fingerprint"], now=now)
        tx.run(
            "DELETE FROM ownership_tokens WHERE realm = :realm AND digest = :digest",
            realm=token["realm"],
            digest=token["digest"],
        )
    return swept


_THING_OF: Final = "SELECT 1 AS found FROM thing_principals WHERE realm = :realm AND fingerprint = :fingerprint LIMIT 1"
_POLICY_OF: Final = (
    "SELECT 1 AS found FROM policy_attachments WHERE realm = :realm AND fingerprint = :fingerprint LIMIT 1"
)
_SWEEP: Final = """
    DELETE FROM certificates
    WHERE realm = :realm AND fingerprint = :fingerprint AND status = 'PENDING_ACTIVATION'
      AND NOT EXISTS (SELECT 1 FROM thing_principals a
                      WHERE a.realm = certificates.realm AND a.fingerprint = certificates.fingerprint)
      AND NOT EXISTS (SELECT 1 FROM policy_attachments a
                      WHERE a.realm = certificates.realm AND a.fingerprint = certificates.fingerprint)
      AND NOT EXISTS (SELECT 1 FROM ownership_tokens o
                      WHERE o.realm = certificates.realm AND o.fingerprint = certificates.fingerprint
                        AND (o.used_at IS NOT NULL OR o.expires_at > :now))"""


def _sweep_claims(tx: Tx, now: int, limit: int) -> int:
    rows = tx.rows(
        """SELECT realm, fingerprint FROM certificates c WHERE listed = 0 AND not_after <= :now
             AND NOT EXISTS (SELECT 1 FROM thing_principals a WHERE a.realm = c.realm AND a.fingerprint = c.fingerprint)
           ORDER BY not_after LIMIT :most""",
        now=now,
        most=limit,
    )
    for row in rows:
        remove(tx, Realm.parse(row["realm"]), row["fingerprint"])
    return len(rows)


def _any(tx: Tx, sql: str, realm: Realm, fingerprint: str) -> bool:
    return bool(tx.rows(sql, realm=str(realm), fingerprint=fingerprint))


def remove(tx: Tx, realm: Realm, fingerprint: str) -> None:
    """Take its row away, and with it what the schema hangs on it; tells nobody."""
    tx.run(
        "DELETE FROM certificates WHERE realm = :realm AND fingerprint = :fingerprint",
        realm=str(realm),
        fingerprint=fingerprint,
    )


def _refuse_known(act: Act, other: Certificate, mode: Mode) -> None:
    text = "The certificate is already provisioned or registered"
    if other.realm == act.realm:
        arn = act.realm.arn("cert", other.fingerprint)
        raise AlreadyExists(text, resourceId=other.fingerprint, resourceArn=arn)
    if other.realm.region == act.realm.region and mode == other.mode == Mode.DEFAULT:
        # Another account's ARN is nobody else's business.
        raise AlreadyExists(f"{text} by another account of this region. Register it in SNI_ONLY mode.")


def _columns(certificate: Certificate) -> dict[str, str | int | None]:
    columns = {name: getattr(certificate, name) for name in Certificate.__slots__}
    plain = {name: str(columns[name]) for name in ("realm", "status", "mode", "origin")}
    return columns | plain | {"listed": int(certificate.listed)}


def from_row(row: Row) -> Certificate:
    """A row of `certificates`, every column."""
    return Certificate(
        realm=Realm.parse(row["realm"]),
        fingerprint=row["fingerprint"],
        pem=row["pem"],
        status=Status(row["status"]),
        mode=Mode(row["mode"]),
        origin=Origin(row["origin"]),
        public_key_fingerprint=row["public_key_fingerprint"],
        not_before=row["not_before"],
        not_after=row["not_after"],
        ca_fingerprint=row["ca_fingerprint"],
        claim_fingerprint=row["claim_fingerprint"],
        superseded_by=row["superseded_by"],
        listed=row["listed"] == 1,
        first_connected_at=row["first_connected_at"],
        customer_version=row["customer_version"],
        generation_id=row["generation_id"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
