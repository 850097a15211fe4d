"""What the records keep of a certificate that somebody else issued."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from cryptography import x509

from fleetgate.pki import certificate as certificates
from fleetgate.pki import keys, subject
from fleetgate.pki.issuer import examine, key_of


@dataclass(frozen=True, slots=True)
class Identity:
    certificate: x509.Certificate
    fingerprint: str
    """SHA-256 of the DER: AWS's `certificateId`."""
    pem: str
    """The certificate alone, without whatever stood around it."""
    public_key_fingerprint: str
    subject: str
    """Canonical (`subject.canonical`), not for people: equal to the *issuer* of what it signs."""
    issuer: str
    not_before: int
    """Milliseconds UTC."""
    not_after: int

    @classmethod
    def read(cls, pem: str) -> Self:
        """The one certificate in *pem*. Raises CertificateInvalid: unreadable, more than one, or a weak key."""
        found = certificates.load(pem)
        keys.check_public_key(key_of(found))
        parts = examine(found)
        return cls(
            certificate=found,
            fingerprint=certificates.fingerprint(found),
            pem=certificates.pem(found),
            public_key_fingerprint=keys.public_key_fingerprint(key_of(found)),
            subject=subject.canonical(parts.subject),
            issuer=subject.canonical(parts.issuer),
            not_before=parts.starts,
            not_after=parts.ends,
        )
