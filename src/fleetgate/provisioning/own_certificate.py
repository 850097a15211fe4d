"""A certificate that its owner brings, vouched for by a registered CA or by nobody."""

from __future__ import annotations

from fleetgate.database.port import Tx
from fleetgate.errors import CertificateConflict, CertificateInvalid, CertificateState
from fleetgate.names import Act
from fleetgate.pki import certificate as x509
from fleetgate.pki import chain
from fleetgate.pki.identity import Identity
from fleetgate.registry import authorities, certificates
from fleetgate.registry.authorities import Authority
from fleetgate.registry.certificates import Certificate, Mode, Origin, Status


def register(tx: Tx, act: Act, identity: Identity, status: Status, ca_pem: str | None = None) -> Certificate:
    """Its direct issuer must be a registered, active CA; *ca_pem* says which of several that share a subject.

    Raises CertificateInvalid, CertificateConflict where several CAs could be it, CertificateState for a CA that is not
    ACTIVE, AlreadyExists.
    """
    issuer = _issuer(tx, act, identity, ca_pem)
    return _enter(tx, act, identity, status, issuer.mode, issuer.fingerprint)


def register_without_ca(tx: Tx, act: Act, identity: Identity, status: Status) -> Certificate:
    """Nobody vouches for it, so connections must name their account by SNI.

    Raises CertificateInvalid, AlreadyExists.
    """
    return _enter(tx, act, identity, status, Mode.SNI_ONLY, None)


def _issuer(tx: Tx, act: Act, identity: Identity, ca_pem: str | None) -> Authority:
    candidates = authorities.issuers(tx, act.realm, identity.issuer)
    if ca_pem is not None:
        given = Identity.read(ca_pem).fingerprint
        candidates = [each for each in candidates if each.fingerprint == given]
    matching = [each for each in candidates if chain.issued_by(identity.certificate, x509.load(each.pem))]
    if len(matching) > 1:
        raise CertificateConflict(
            "Several registered CAs share the subject and the key that the certificate was signed with: "
            f"{', '.join(each.fingerprint for each in matching)}. Say by caCertificatePem which one it is."
        )
    if not matching:
        raise CertificateInvalid(
            "The certificate was not issued by "
            + ("that CA, or that CA is not registered" if ca_pem else "any registered CA")
            + ". Register its direct issuer first, or use RegisterCertificateWithoutCA."
        )
    [found] = matching
    if found.status != authorities.Status.ACTIVE:
        raise CertificateState(
            f"The CA certificate must be ACTIVE to register certificates that it issued. Id: {found.fingerprint}"
        )
    return found


def _enter(tx: Tx, act: Act, identity: Identity, status: Status, mode: Mode, ca: str | None) -> Certificate:
    if identity.not_after < act.now:
        raise CertificateInvalid("The certificate has expired.")
    return certificates.create(
        tx,
        act,
        identity.fingerprint,
        identity.pem,
        status,
        public_key_fingerprint=identity.public_key_fingerprint,
        not_before=identity.not_before,
        not_after=identity.not_after,
        origin=Origin.REGISTERED,
        mode=mode,
        ca_fingerprint=ca,
    )
