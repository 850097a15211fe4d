"""A certificate that issues others, with everything that issuing asks of it worked out once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from fleetgate.errors import CertificateInvalid, all_of
from fleetgate.pki import keys, moments, subject
from fleetgate.pki.der import Malformed
from fleetgate.pki.fields import Fields


@dataclass(frozen=True, slots=True)
class IssuerCertificate:
    certificate: x509.Certificate | None
    """None for a root that is about to sign itself."""
    fingerprint: str
    """SHA-256 of the DER certificate; empty where there is none yet."""
    name: x509.Name
    subject: bytes
    """The name in DER; an issued certificate repeats it byte for byte."""
    public_key: keys.PublicKey
    key_identifier: bytes
    algorithm: keys.SignatureAlgorithm
    starts: int
    """Milliseconds UTC."""
    ends: int
    path_length: int | None
    """How many CAs may follow below; None for any number."""

    @classmethod
    def of(cls, certificate: x509.Certificate) -> Self:
        """Raises CertificateInvalid, with every reason why *certificate* cannot issue."""
        fields = examine(certificate)
        if problems := authority_problems(certificate, fields):
            raise CertificateInvalid(f"The certificate cannot issue others: {all_of(problems)}")
        public_key = key_of(certificate)
        constraints = fields.basic_constraints()
        return cls(
            certificate=certificate,
            fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
            name=_name_of(certificate, fields.subject),
            subject=fields.subject,
            public_key=public_key,
            key_identifier=fields.subject_key_identifier() or keys.key_identifier(fields.public_key),
            algorithm=keys.SignatureAlgorithm.of(public_key),
            starts=fields.starts,
            ends=fields.ends,
            path_length=constraints.path_length if constraints else None,
        )

    @classmethod
    def self_signed(cls, name: x509.Name, public_key: keys.PublicKey) -> Self:
        """A root before it has a certificate: it issues its own. Raises CertificateInvalid at a weak key."""
        keys.check_public_key(public_key)
        return cls(
            certificate=None,
            fingerprint="",
            name=name,
            subject=name.public_bytes(),
            public_key=public_key,
            key_identifier=keys.key_identifier(keys.public_key_der(public_key)),
            algorithm=keys.SignatureAlgorithm.of(public_key),
            starts=0,
            ends=moments.LATEST,
            path_length=None,
        )


def _name_of(certificate: x509.Certificate, encoded: bytes) -> x509.Name:
    """The subject as an object that writes the same bytes into what it issues. Raises CertificateInvalid."""
    try:
        if any(map(subject.is_beyond_objects, subject.read(encoded))):
            raise ValueError("a CommonName over 64 octets or a Country that is not two letters")
        if certificate.subject.public_bytes() != encoded:
            raise ValueError("a name that is written differently anew")
    except keys.UNREADABLE as error:
        raise CertificateInvalid(f"The certificate cannot issue others: its subject has {error}.") from error
    return certificate.subject


def examine(certificate: x509.Certificate) -> Fields:
    """The certificate's own bytes taken apart. Raises CertificateInvalid."""
    try:
        return Fields.read(certificate.public_bytes(Encoding.DER))
    except Malformed as error:
        raise CertificateInvalid(f"The certificate cannot be read: {error}.") from error


def key_of(certificate: x509.Certificate) -> keys.PublicKey:
    """The certificate's public key, not judged but for its type. Raises CertificateInvalid."""
    try:
        return keys.as_public_key(certificate.public_key())
    except keys.UNREADABLE as error:
        raise CertificateInvalid(f"The certificate's public key cannot be read: {error}.") from error


def authority_problems(certificate: x509.Certificate, fields: Fields) -> list[str]:
    """Why *certificate*, whose parts are *fields*, is no certificate authority, or one with a weak key."""
    try:
        constraints, usage = fields.basic_constraints(), fields.key_usage()
        subject.read(fields.subject)
    except Malformed as error:
        return [f"It cannot be read: {error}."]
    problems = []
    if constraints is None or not constraints.ca:
        problems.append("It is no CA certificate: its basic constraints must say CA:TRUE.")
    if usage is not None and "keyCertSign" not in usage:
        problems.append("Its key usage lacks keyCertSign.")
    try:
        problems += keys.key_problems(key_of(certificate))
    except CertificateInvalid as error:
        problems.append(error.message)
    return problems
