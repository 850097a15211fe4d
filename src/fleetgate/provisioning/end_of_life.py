"""The end of a device's identity: it is reset, gets another owner, or is scrapped. Each is one transaction, and done
again it changes nothing.

A certificate that speaks for this thing alone is revoked; one that speaks for others, too, is only detached, and so is
a claim, which other devices have. Sessions and retained messages follow by an event.
"""

from __future__ import annotations

from dataclasses import dataclass

from fleetgate.database.port import Tx
from fleetgate.names import Act
from fleetgate.pki.crl import Reason
from fleetgate.registry import attachments, billing_groups, certificates, claims, outbox, thing_groups, things
from fleetgate.registry.certificates import Certificate, Status
from fleetgate.registry.events import IdentityWithdrawn
from fleetgate.registry.pages import LARGEST


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """What was done this time."""

    thing_name: str
    record: str
    """What is left of the thing: `kept`, `deleted`, or `none` where there was none."""
    revoked: tuple[str, ...]
    """Fingerprints."""
    detached: tuple[str, ...]
    """Certificates that speak for other things, and claims: they stay in force for those."""


def decommission(
    tx: Tx,
    act: Act,
    name: str,
    *,
    keep_record: bool = False,
    keep_retained: bool = False,
    reason: Reason = Reason.CESSATION_OF_OPERATION,
) -> Withdrawal:
    """The device is no more. Its thing is deleted, or with *keep_record* stays as a record without a principal.

    Raises CertificateState while a certificate of it is under transfer.
    """
    if things.find(tx, act.realm, name) is None:
        return Withdrawal(name, "none", (), ())
    revoked, detached = _withdraw(tx, act, name, reason, keep_retained=keep_retained)
    if not keep_record:
        things.delete(tx, act, name)
    return Withdrawal(name, "kept" if keep_record else "deleted", revoked, detached)


def reset(
    tx: Tx,
    act: Act,
    name: str,
    *,
    new_owner: bool = False,
    keep_retained: bool = False,
    reason: Reason = Reason.SUPERSEDED,
) -> Withdrawal:
    """The device begins anew: its thing stays, and waits for whoever is provisioned as it next, with the same key or
    another. For a *new_owner*, what the former one had written on it goes: attributes, thing type, groups.

    Raises NotFound for an unknown thing, CertificateState while a certificate of it is under transfer.
    """
    thing = things.get(tx, act.realm, name)
    revoked, detached = _withdraw(tx, act, name, reason, keep_retained=keep_retained)
    if new_owner:
        for group in thing_groups.groups_of(tx, act.realm, name):
            thing_groups.remove_thing(tx, act, group, name)
        if (bill := billing_groups.of_thing(tx, act.realm, name)) is not None:
            billing_groups.remove_thing(tx, act, bill, name)
        if thing.attributes or thing.type_name is not None:
            things.update(tx, act, name, remove_type=True, attributes={})
    return Withdrawal(name, "kept", revoked, detached)


def _withdraw(
    tx: Tx, act: Act, name: str, reason: Reason, *, keep_retained: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Fingerprints of certificates: those that were revoked, and those that were detached alone."""
    revoked, detached = [], []
    for held in attachments.certificates_of(tx, act.realm, name):
        attachments.detach_principal(tx, act, name, held.fingerprint)
        if attachments.things_of(tx, act.realm, held.fingerprint) or claims.find(tx, act.realm, held.fingerprint):
            detached.append(held.fingerprint)
        else:
            _end(tx, act, held, reason)
            revoked.append(held.fingerprint)
    if revoked or detached:
        outbox.add(tx, act, IdentityWithdrawn(name, [*revoked, *detached], not keep_retained))
    return tuple(revoked), tuple(detached)


def _end(tx: Tx, act: Act, held: Certificate, reason: Reason) -> None:
    """Revoke it, and let go of its policies, which may then be deleted."""
    certificates.change_status(tx, act, held, Status.REVOKED, reason)
    arn = act.realm.arn("cert", held.fingerprint)
    for policy in attachments.page_policies(tx, act.realm, arn, None, LARGEST).items:
        attachments.detach_policy(tx, act, policy, arn)
