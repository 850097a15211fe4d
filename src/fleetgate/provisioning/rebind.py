"""May a thing that exists get a new certificate? Nobody takes over somebody else's thing in silence."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from fleetgate.database.port import Tx
from fleetgate.errors import AccessDenied, Throttled
from fleetgate.names import Act
from fleetgate.registry import attachments, certificates
from fleetgate.registry.certificates import Certificate, Status
from fleetgate.registry.templates import Reprovisioning, Template

MOST_AGAIN: Final = 100
"""Certificates that one thing is given within `AGAIN_WITHIN` over the device door. To be bound again costs nothing of a
claim's budget, and may still not have the CA sign without end."""
AGAIN_WITHIN: Final = 3_600_000
"""Milliseconds."""


def rule_of(template: Template) -> Reprovisioning:
    """What the template says, or else: its hook decides where it has one, the device's key where it has none."""
    if template.reprovisioning is not None:
        return template.reprovisioning
    return Reprovisioning.SAME_KEY if template.hook_target_arn is None else Reprovisioning.HOOK


def settle(tx: Tx, act: Act, thing: str, new: Certificate, rule: Reprovisioning, *, approved: bool) -> None:
    """Make room for *new* beside the certificates that *thing* has, or raise AccessDenied.

    A certificate that never connected is disabled under every rule but `never`: its answer was lost on the way, or
    somebody raced. One that did stays in force until *new* connects for the first time (except under `allow`, where
    it simply stays), so that a device that loses this answer too is not left without any. Raises Throttled for a thing
    that was given too many lately.
    """
    bound = attachments.certificates_of(tx, act.realm, thing)
    _be_patient(act, thing, bound)
    active = [other for other in bound if other.status == Status.ACTIVE and other.fingerprint != new.fingerprint]
    if not active:
        return
    if rule is Reprovisioning.NEVER:
        raise AccessDenied(
            f"Thing {thing} already has an active certificate, and the template says reprovisioning never. "
            "Deactivate that certificate first."
        )
    used = [other for other in active if other.first_connected_at is not None]
    if used and not _may(rule, used, new, approved=approved):
        raise AccessDenied(_why(rule, thing))
    for other in active:
        if other.first_connected_at is None:
            certificates.set_status(tx, act, other.fingerprint, Status.INACTIVE)
        elif rule is not Reprovisioning.ALLOW:
            certificates.supersede(tx, act, other.fingerprint, by=new.fingerprint)


def renew(tx: Tx, act: Act, thing: str, asking: str, new: Certificate) -> None:
    """Rotation: the certificate *asking* speaks for *thing*, so *new* may follow it.

    Every active certificate of the thing is superseded: it is disabled when *new* connects for the first time. One of
    *new*'s own key that never connected is what the device asked for before, and whose answer was lost: it is disabled
    at once, so that repeating leaves no more than one. Raises AccessDenied when *asking* speaks for another thing, and
    Throttled as `settle` does.
    """
    bound = attachments.certificates_of(tx, act.realm, thing)
    if all(other.fingerprint != asking for other in bound):
        raise AccessDenied(f"A device may renew its own certificate only; this one is not attached to thing {thing}.")
    _be_patient(act, thing, bound)
    for other in bound:
        if other.status != Status.ACTIVE or other.fingerprint == new.fingerprint:
            continue
        lost = other.first_connected_at is None and other.public_key_fingerprint == new.public_key_fingerprint
        if lost and other.fingerprint != asking:
            certificates.change_status(tx, act, other, Status.INACTIVE)
        certificates.supersede(tx, act, other.fingerprint, by=new.fingerprint)


def _be_patient(act: Act, thing: str, bound: Iterable[Certificate]) -> None:
    """Raises Throttled. Certificates that nobody asked for at the door (an operator's, a CA's own) do not count."""
    since = act.now - AGAIN_WITHIN
    lately = sum(each.claim_fingerprint is not None and each.created_at > since for each in bound)
    if lately >= MOST_AGAIN:
        raise Throttled(
            f"Thing {thing} was given {lately} certificates within an hour, and gets no more for now. Use the last "
            "one, or try again later."
        )


def _may(rule: Reprovisioning, used: list[Certificate], new: Certificate, *, approved: bool) -> bool:
    if rule is Reprovisioning.SAME_KEY:
        return any(other.public_key_fingerprint == new.public_key_fingerprint for other in used)
    return rule is Reprovisioning.ALLOW or approved


def _why(rule: Reprovisioning, thing: str) -> str:
    if rule is Reprovisioning.SAME_KEY:
        return (
            f"Thing {thing} already has an active certificate with another key. Ask again with a signing request of "
            "the same key, renew over the device's own certificate, or deactivate the old certificate."
        )
    return (
        f"Thing {thing} already has an active certificate, and the template lets only its pre-provisioning hook decide "
        "about that; no hook approved."
    )
