"""Transfers of certificates between accounts of one region (TransferCertificate, AcceptCertificateTransfer,
RejectCertificateTransfer, CancelCertificateTransfer, ListOutgoingCertificates).

    INACTIVE --offer--> PENDING_TRANSFER --accept--> the other account's, INACTIVE or ACTIVE
                                         --reject--> INACTIVE, where it came from
                                         --cancel--> INACTIVE, where it came from

While it is pending the certificate stands in both realms and can neither connect nor be changed in either. Both realms
have the audit entry of every step; each names the other account, and nobody in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from fleetgate.database.port import Row, Tx
from fleetgate.errors import (
    CertificateState,
    InvalidRequest,
    NotFound,
    TransferAlreadyCompleted,
    TransferConflict,
    all_of,
)
from fleetgate.names import NO_ACCOUNT, Act, Realm
from fleetgate.registry import audit, certificates, claims, outbox, pages, statements
from fleetgate.registry.certificates import Certificate, Status
from fleetgate.registry.events import CertificateDeleted
from fleetgate.registry.pages import Page


class State(StrEnum):
    PENDING = "PENDING"
    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True)
class Transfer:
    source: Realm
    target: Realm
    fingerprint: str
    state: State
    message: str | None
    reject_reason: str | None
    offered_at: int
    ended_at: int | None
    """When it was accepted, rejected or cancelled."""
    created_at: int
    """The certificate's own."""


def offer(tx: Tx, act: Act, fingerprint: str, account: str, message: str | None = None) -> Transfer:
    """TransferCertificate. To offer the same to the same account again changes nothing.

    Raises NotFound; InvalidRequest for an account that cannot be the target; CertificateState unless the certificate is
    INACTIVE; TransferConflict, with everything in the way, while policies or things are attached, while it is a claim,
    or where the target has it already.
    """
    target = _target(act, account)
    certificate = certificates.get(tx, act.realm, fingerprint)
    if certificate.status is Status.PENDING_TRANSFER:
        return _again(tx, act, fingerprint, target, message)
    if certificate.status is not Status.INACTIVE:
        raise CertificateState(
            f"Certificate must be INACTIVE to be transferred, and is {certificate.status}. Id: {fingerprint}"
        )
    if found := _conflicts(tx, certificate, target):
        raise TransferConflict(all_of(found))
    certificates.write_status(tx, act, certificate, Status.PENDING_TRANSFER)
    there = replace(act, realm=target)
    certificates.enter(tx, _moved(there, certificate, Status.PENDING_TRANSFER))
    made = Transfer(act.realm, target, fingerprint, State.PENDING, message, None, act.now, None, certificate.created_at)
    _keep(tx, made)
    _note_there(tx, act, there, "TransferCertificate", fingerprint)
    return made


def accept(tx: Tx, act: Act, fingerprint: str, *, active: bool = False) -> Certificate:
    """AcceptCertificateTransfer: the certificate leaves the account that offered it, and is INACTIVE here unless
    *active*.

    Raises NotFound when nobody offers it to this account, TransferAlreadyCompleted when it was accepted before.
    """
    transfer = _offered(tx, act, fingerprint)
    if transfer.state is not State.PENDING:
        raise NotFound(_NOT_OFFERED.format(fingerprint))
    there = replace(act, realm=transfer.source)
    certificates.remove(tx, transfer.source, fingerprint)
    outbox.add(tx, there, CertificateDeleted(fingerprint))
    here = certificates.get(tx, act.realm, fingerprint)
    accepted = certificates.write_status(tx, act, here, Status.ACTIVE if active else Status.INACTIVE)
    _forget(tx, act.realm, fingerprint)  # what this account offered when it had the certificate before
    _keep(tx, replace(transfer, state=State.ACCEPTED, ended_at=act.now))
    _note_there(tx, act, there, "AcceptCertificateTransfer", fingerprint)
    return accepted


def reject(tx: Tx, act: Act, fingerprint: str, reason: str | None = None) -> None:
    """RejectCertificateTransfer by the target: the certificate goes back, INACTIVE. Again changes nothing.

    Raises NotFound when nobody offers it to this account, TransferAlreadyCompleted when it was accepted before.
    """
    transfer = _offered(tx, act, fingerprint)
    if transfer.state is State.REJECTED:
        return
    _return(tx, act, replace(transfer, state=State.REJECTED, reject_reason=reason, ended_at=act.now))
    _note_there(tx, act, replace(act, realm=transfer.source), "RejectCertificateTransfer", fingerprint)


def cancel(tx: Tx, act: Act, fingerprint: str) -> None:
    """CancelCertificateTransfer by the source: the certificate is INACTIVE again. Again changes nothing.

    Raises NotFound for a certificate that this account neither has nor had, InvalidRequest for one that it offered to
    nobody, TransferAlreadyCompleted when it was accepted before.
    """
    transfer = _last(tx, _OFFERS_OF, act.realm, fingerprint)
    if transfer is None:
        owner = of(tx, certificates.get(tx, act.realm, fingerprint))
        raise InvalidRequest(
            "Only the account that offered the certificate can cancel its transfer. Use RejectCertificateTransfer here."
            if owner is not None and owner.state is State.PENDING
            else f"Certificate {fingerprint} is not being transferred."
        )
    if transfer.state is State.ACCEPTED:
        raise TransferAlreadyCompleted(_COMPLETED.format(fingerprint))
    if transfer.state is State.PENDING:
        _return(tx, act, replace(transfer, state=State.CANCELLED, ended_at=act.now))
        _note_there(tx, act, replace(act, realm=transfer.target), "CancelCertificateTransfer", fingerprint)


def of(tx: Tx, certificate: Certificate) -> Transfer | None:
    """The transfer that DescribeCertificate tells of: the latest that *certificate* went or goes through, as its realm
    knows it.
    """
    return max(_all_of(tx, certificate.realm, certificate.fingerprint), key=_order, default=None)


def owner(tx: Tx, certificate: Certificate) -> Realm:
    """Whose the certificate is: until a transfer is accepted, its source's."""
    if certificate.status is not Status.PENDING_TRANSFER:
        return certificate.realm
    transfer = of(tx, certificate)
    return certificate.realm if transfer is None else transfer.source


def previous_owner(tx: Tx, certificate: Certificate) -> Realm | None:
    """Who had the certificate before its owner, where it came by a transfer."""
    if certificate.status is Status.PENDING_TRANSFER and owner(tx, certificate) != certificate.realm:
        return None
    offers = _offers(tx, _OFFERS_TO, certificate.realm, certificate.fingerprint)
    accepted = [each for each in offers if each.state is State.ACCEPTED]
    return max(accepted, key=_order).source if accepted else None


def page(tx: Tx, realm: Realm, after: str | None = None, limit: int = 25, *, ascending: bool = False) -> Page[Transfer]:
    """ListOutgoingCertificates: what *realm* offers and nobody has accepted, by the certificates' creation, newest
    first unless *ascending*.
    """
    where, order, values = pages.by_creation(after, "fingerprint", ascending)
    return pages.read(
        tx,
        "SELECT * FROM certificate_transfers",
        ["realm = :realm", "state = 'PENDING'", *where],
        order,
        limit,
        _transfer,
        lambda row: pages.moment_key(row["created_at"], row["fingerprint"]),
        realm=str(realm),
        **values,
    )


_COMPLETED: Final = "The transfer is complete: it was accepted, and can be neither accepted nor undone. Id: {}"
_NOT_OFFERED: Final = "Certificate {} is not being transferred to this account."
_OFFERS_OF: Final = "SELECT * FROM certificate_transfers WHERE realm = :realm AND fingerprint = :fingerprint"
_OFFERS_TO: Final = "SELECT * FROM certificate_transfers WHERE fingerprint = :fingerprint AND target = :realm"


def _offers(tx: Tx, sql: str, realm: Realm, fingerprint: str) -> list[Transfer]:
    return [_transfer(row) for row in tx.rows(sql, realm=str(realm), fingerprint=fingerprint)]


def _all_of(tx: Tx, realm: Realm, fingerprint: str) -> list[Transfer]:
    return [each for sql in (_OFFERS_OF, _OFFERS_TO) for each in _offers(tx, sql, realm, fingerprint)]


def _order(transfer: Transfer) -> tuple[bool, int, int]:
    """Later ones after earlier ones, also within a millisecond; the one that is pending is the last."""
    return transfer.state is State.PENDING, transfer.offered_at, transfer.ended_at or 0


def _last(tx: Tx, sql: str, realm: Realm, fingerprint: str) -> Transfer | None:
    return max(_offers(tx, sql, realm, fingerprint), key=_order, default=None)


def _target(act: Act, account: str) -> Realm:
    target = Realm(account, act.realm.region)
    if target == act.realm:
        raise InvalidRequest("A certificate is transferred to another account, not to its own.")
    if account == NO_ACCOUNT.account:
        raise InvalidRequest(f"There is no account {account}.")
    return target


def _again(tx: Tx, act: Act, fingerprint: str, target: Realm, message: str | None) -> Transfer:
    transfer = _last(tx, _OFFERS_OF, act.realm, fingerprint)
    asked = (State.PENDING, target, message)
    if transfer is not None and (transfer.state, transfer.target, transfer.message) == asked:
        return transfer
    raise CertificateState(
        f"Certificate is under transfer already. Cancel or reject that transfer first. Id: {fingerprint}"
    )


def _conflicts(tx: Tx, certificate: Certificate, target: Realm) -> list[str]:
    """Everything in the way, each with what to do."""
    realm, fingerprint = certificate.realm, certificate.fingerprint
    found = []
    for what, sql in _ATTACHED.items():
        if names := [row["name"] for row in tx.rows(sql, realm=str(realm), fingerprint=fingerprint)]:
            found.append(f"{what} are attached to the certificate: {', '.join(names)}. Detach them first.")
    if claims.find(tx, realm, fingerprint) is not None or not certificate.listed:
        found.append("The certificate is a claim of this account, which cannot be given away.")
    if certificates.find(tx, target, fingerprint) is not None:
        found.append(f"Account {target.account} has this certificate already.")
    return found


_ATTACHED: Final[Mapping[str, str]] = {
    "Policies": """SELECT policy_name AS name FROM policy_attachments
                   WHERE realm = :realm AND fingerprint = :fingerprint ORDER BY policy_name""",
    "Things": """SELECT thing_name AS name FROM thing_principals
                 WHERE realm = :realm AND fingerprint = :fingerprint ORDER BY thing_name LIMIT 10""",
}


def _moved(there: Act, certificate: Certificate, status: Status) -> Certificate:
    """The certificate in its target's realm. That it has connected before stays known, whose it was does not."""
    return replace(
        certificate,
        realm=there.realm,
        status=status,
        claim_fingerprint=None,
        superseded_by=None,
        customer_version=1,
        generation_id=there.id_for("certificate", str(there.realm), certificate.fingerprint),
        updated_at=there.now,
    )


def _offered(tx: Tx, act: Act, fingerprint: str) -> Transfer:
    """The latest offer to this account that was not withdrawn."""
    transfer = _last(tx, _OFFERS_TO, act.realm, fingerprint)
    if transfer is None or transfer.state is State.CANCELLED:
        raise NotFound(_NOT_OFFERED.format(fingerprint))
    if transfer.state is State.ACCEPTED:
        raise TransferAlreadyCompleted(_COMPLETED.format(fingerprint))
    return transfer


def _return(tx: Tx, act: Act, ended: Transfer) -> None:
    """The certificate to its source, INACTIVE; the target knows it no more."""
    certificates.remove(tx, ended.target, ended.fingerprint)
    outbox.add(tx, replace(act, realm=ended.target), CertificateDeleted(ended.fingerprint))
    certificate = certificates.get(tx, ended.source, ended.fingerprint)
    certificates.write_status(tx, replace(act, realm=ended.source), certificate, Status.INACTIVE)
    _keep(tx, ended)


def _keep(tx: Tx, transfer: Transfer) -> None:
    columns: dict[str, Any] = {name: getattr(transfer, name) for name in Transfer.__slots__ if name != "source"}
    key = {"realm": str(transfer.source), "fingerprint": transfer.fingerprint, "target": str(transfer.target)}
    tx.run(
        "DELETE FROM certificate_transfers WHERE realm = :realm AND fingerprint = :fingerprint AND target = :target",
        **key,
    )
    statements.insert(tx, "certificate_transfers", **columns | key | {"state": str(transfer.state)})


def _forget(tx: Tx, realm: Realm, fingerprint: str) -> None:
    tx.run(
        "DELETE FROM certificate_transfers WHERE realm = :realm AND fingerprint = :fingerprint",
        realm=str(realm),
        fingerprint=fingerprint,
    )


def _note_there(tx: Tx, act: Act, there: Act, action: str, fingerprint: str) -> None:
    """The audit entry of the other account; it learns which account did this, and nobody's name."""
    stranger = replace(there, actor=f"account/{act.realm.account}")
    audit.add(tx, stranger, action, there.realm.arn("cert", fingerprint), "ok")


def _transfer(row: Row) -> Transfer:
    return Transfer(
        source=Realm.parse(row["realm"]),
        target=Realm.parse(row["target"]),
        fingerprint=row["fingerprint"],
        state=State(row["state"]),
        message=row["message"],
        reject_reason=row["reject_reason"],
        offered_at=row["offered_at"],
        ended_at=row["ended_at"],
        created_at=row["created_at"],
    )
