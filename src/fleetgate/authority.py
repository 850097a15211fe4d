"""The one way to a signature of the CA's key: intent, lint, sign, record. Nothing is signed that was not written down.

A crash between signing and recording leaves an intent without a certificate: a signature that nobody was given, and
that the record of intents shows.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from fleetgate.database.port import Tx
from fleetgate.names import Act
from fleetgate.pki import certificate, keys
from fleetgate.pki.csr import VerifiedCsr
from fleetgate.registry import audit, certificates, issuances
from fleetgate.registry.certificate_providers import CertificateProvider
from fleetgate.registry.certificates import Origin, Status
from fleetgate.runtime import Issuer, Runtime

_SERIAL_BYTES = 20


@dataclass(frozen=True, slots=True)
class Issued:
    """Signed, and not yet in the registry: `record` puts it there in the transaction that needs it."""

    fingerprint: str
    pem: str
    public_key_fingerprint: str
    not_before: int
    not_after: int
    intent: issuances.Intent


async def issue(
    runtime: Runtime,
    act: Act,
    public_key: keys.PublicKey,
    *,
    csr: VerifiedCsr | None = None,
    lasting: int | None = None,
) -> Issued:
    """A certificate for *public_key* by the installation's profile; a signing request's subject is kept.

    *lasting* bounds it to so many milliseconds from now.

    Raises InvalidRequest when the profile does not admit the key or the subject.
    """
    prepared, meant = _prepared(runtime, act, public_key, csr, lasting)
    await runtime.write(lambda tx: issuances.begin(tx, act, meant))
    return _signed(runtime.issuer, prepared, meant)


async def issue_unless_provided(runtime: Runtime, act: Act, csr: VerifiedCsr) -> Issued | CertificateProvider:
    """A certificate for *csr*, or the certificate provider that signs in this realm; then nothing was signed here.

    Raises InvalidRequest as `issue` does.
    """
    prepared, meant = _prepared(runtime, act, csr.public_key, csr)
    provider = await runtime.write(lambda tx: issuances.begin_unless_provided(tx, act, meant))
    return provider or _signed(runtime.issuer, prepared, meant)


def _prepared(
    runtime: Runtime, act: Act, public_key: keys.PublicKey, csr: VerifiedCsr | None, lasting: int | None = None
) -> tuple[certificate.Prepared, issuances.Intent]:
    issuer = runtime.issuer
    serial = certificate.serial_number(runtime.entropy(_SERIAL_BYTES))
    profile = issuer.profile if lasting is None else issuer.profile.lasting(lasting)
    subject = csr.subject if csr else None
    prepared = certificate.prepare(profile, issuer.certificate, subject, public_key, serial, act.now)
    return prepared, intent(prepared, issuer, public_key, profile.name)


def _signed(issuer: Issuer, prepared: certificate.Prepared, meant: issuances.Intent) -> Issued:
    signed = certificate.complete(prepared, issuer.signer.sign(prepared.tbs))
    return Issued(
        fingerprint=certificate.fingerprint(signed),
        pem=certificate.pem(signed),
        public_key_fingerprint=meant.public_key_fingerprint,
        not_before=prepared.not_before,
        not_after=prepared.not_after,
        intent=meant,
    )


def intent(
    prepared: certificate.Prepared, issuer: Issuer, public_key: keys.PublicKey, profile: str
) -> issuances.Intent:
    """What is written down before *prepared* is signed."""
    return issuances.Intent(
        issuer=issuer.fingerprint,
        serial=f"{prepared.serial:x}",
        subject=prepared.subject,
        public_key_fingerprint=keys.public_key_fingerprint(public_key),
        tbs_digest=hashlib.sha256(prepared.tbs).hexdigest(),
        profile=profile,
    )


def note(tx: Tx, act: Act, intent: issuances.Intent, fingerprint: str, use: str) -> None:
    """Close *intent*, and note the use of the CA's key in the audit trail."""
    issuances.complete(tx, act, issuer=intent.issuer, serial=intent.serial, fingerprint=fingerprint)
    details = {"issuer": intent.issuer, "serial": intent.serial, "status": use}
    audit.add(tx, act, "IssueCertificate", act.realm.arn("cert", fingerprint), "ok", details=details)


def record(
    tx: Tx,
    act: Act,
    issued: Issued,
    status: Status,
    *,
    claim_fingerprint: str | None = None,
    listed: bool = True,
) -> certificates.Certificate:
    """Close the intent, enter the certificate, and note the use of the CA's key in the audit trail."""
    note(tx, act, issued.intent, issued.fingerprint, str(status))
    return certificates.create(
        tx,
        act,
        issued.fingerprint,
        issued.pem,
        status,
        public_key_fingerprint=issued.public_key_fingerprint,
        not_before=issued.not_before,
        not_after=issued.not_after,
        origin=Origin.ISSUED,
        claim_fingerprint=claim_fingerprint,
        listed=listed,
    )
