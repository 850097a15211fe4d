"""Certificates: read, named, prepared for signing, completed with a signature."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from fleetgate.errors import CertificateInvalid, Unavailable, all_of
from fleetgate.pki import der, fields, keys, moments, subject
from fleetgate.pki.fields import Fields
from fleetgate.pki.issuer import IssuerCertificate, examine
from fleetgate.pki.lint import lint
from fleetgate.pki.pem import blocks, text_of
from fleetgate.pki.profile import Profile

__all__ = [
    "IssuerCertificate",
    "Prepared",
    "attributes",
    "complete",
    "fingerprint",
    "load",
    "load_all",
    "load_der",
    "pem",
    "prepare",
    "serial_number",
]

LONGEST: Final = 65_536
"""Characters of PEM that AWS's service model allows for one certificate."""

_LABELS: Final = ("CERTIFICATE", "X509 CERTIFICATE")


# --- reading ---------------------------------------------------------------------------------------------------------


def load(text: str) -> x509.Certificate:
    """The one certificate in *text* (PEM, at most 65536 characters). Raises CertificateInvalid, as `load_der` does."""
    found = load_all(text, most=1)
    if len(found) > 1:
        raise CertificateInvalid(f"The PEM text holds {len(found)} certificates; send the device's own alone.")
    return found[0]


def load_all(text: str, most: int) -> tuple[x509.Certificate, ...]:
    """Every certificate in *text*, in order, at least one. Raises CertificateInvalid.

    *most* bounds the text's length to so many certificates of 65536 characters.
    """
    if len(text) > most * LONGEST:
        raise CertificateInvalid(f"The PEM text has {len(text)} characters; at most {most * LONGEST} are allowed.")
    try:
        found = blocks(text)
    except ValueError as error:
        raise CertificateInvalid(f"The PEM text {error}") from error
    strangers = [block.label for block in found if block.label not in _LABELS]
    if strangers:
        raise CertificateInvalid(f"The PEM text holds {', '.join(strangers)} where a CERTIFICATE is wanted.")
    return tuple(load_der(block.der) for block in found)


def load_der(encoded: bytes) -> x509.Certificate:
    """Raises CertificateInvalid unless *encoded* is the DER of one certificate with a positive serial number, readable
    names without control characters, and valid times. Nothing is verified.
    """
    try:
        parts = Fields.read(encoded)
        problems = subject.unprintable(parts.subject) + subject.unprintable(parts.issuer)
        if int.from_bytes(parts.serial, "big", signed=True) <= 0:
            problems.append("The serial number is not positive.")
        if problems:
            raise CertificateInvalid(f"The certificate is refused: {all_of(problems)}")
        certificate = x509.load_der_x509_certificate(encoded)
    except (*keys.UNREADABLE, x509.InvalidVersion) as error:
        raise CertificateInvalid(f"The certificate cannot be read: {error}.") from error
    if certificate.public_bytes(Encoding.DER) != encoded:
        raise CertificateInvalid("The certificate is not in DER: written anew it has other bytes.")
    return certificate


def pem(certificate: x509.Certificate) -> str:
    """One CERTIFICATE block, ending in a line break."""
    return text_of(_LABELS[0], certificate.public_bytes(Encoding.DER))


def fingerprint(certificate: x509.Certificate | bytes) -> str:
    """SHA-256 of the DER in lower-case hexadecimal: AWS's `certificateId`."""
    encoded = certificate if isinstance(certificate, bytes) else certificate.public_bytes(Encoding.DER)
    return hashlib.sha256(encoded).hexdigest()


def attributes(certificate: x509.Certificate) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """What subject and issuer say, by the names AWS IoT policy variables use after `iot:Certificate.Subject.` (or
    `Issuer.`): `CommonName`, `Organization`, `State`, `AlternativeName.DNSName` ... All values, in order.

    Alternative names that cannot be read are left out. Raises CertificateInvalid, which a certificate from `load`
    never does.
    """
    parts = examine(certificate)
    own, issuers = (parts.extension(oid) for oid in (fields.SUBJECT_ALTERNATIVE_NAME, fields.ISSUER_ALTERNATIVE_NAME))
    return (
        _attributes(parts.subject) | _alternative_names(own),
        _attributes(parts.issuer) | _alternative_names(issuers),
    )


def _attributes(name: bytes) -> dict[str, list[str]]:
    try:
        return subject.attributes(name)
    except der.Malformed as error:
        raise CertificateInvalid(f"The certificate's names cannot be read: {error}.") from error


def _alternative_names(extension: fields.Extension | None) -> dict[str, list[str]]:
    try:
        found = subject.alternative_names(extension.value) if extension else {}
    except der.Malformed:
        return {}
    return {f"AlternativeName.{kind}": values for kind, values in found.items()}


# --- issuing ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Prepared:
    """A certificate that lacks nothing but its issuer's signature: linted, and good for one signature."""

    tbs: bytes
    """To be signed: what the issuer's key signs, exactly, with `issuer.algorithm`."""
    issuer: IssuerCertificate
    subject: str
    """As text (RFC 4514)."""
    serial: int
    not_before: int
    """Milliseconds UTC."""
    not_after: int
    _ticket: list[bool] = field(default_factory=lambda: [True], repr=False, compare=False)


def serial_number(octets: bytes) -> int:
    """A positive serial number of exactly 20 octets (RFC 5280 section 4.1.2.2) out of 20 random ones.

    Raises ValueError at any other number of octets.
    """
    if len(octets) != 20:
        raise ValueError(f"A serial number is made of 20 random octets, not {len(octets)}.")
    return int.from_bytes(octets, "big") >> 2 | 1 << 158


def prepare(
    profile: Profile,
    issuer: IssuerCertificate,
    subject: x509.Name | None,
    public_key: keys.PublicKey,
    serial: int,
    now: int,
    sans: Sequence[str] = (),
) -> Prepared:
    """The certificate that *issuer* would sign now (milliseconds UTC), after every rule of `lint` was asked.

    *subject* is the request's, or None; the profile decides what becomes of it. *sans* are DNS names and IP addresses.
    Raises CertificateInvalid with all problems, InvalidRequest when a subject is wanted and there is none.
    """
    name = profile.subject_for(subject)
    key = keys.as_public_key(public_key)
    if issuer.ends <= now:
        raise CertificateInvalid(f"The issuer's certificate ended {moments.text_of(issuer.ends)}; renew it first.")
    starts, ends = profile.validity.bounds(now, issuer.starts, issuer.ends)
    try:
        builder = (
            x509.CertificateBuilder()
            .issuer_name(issuer.name)
            .subject_name(name)
            .public_key(key)
            .serial_number(serial)
            .not_valid_before(moments.to_datetime(starts))
            .not_valid_after(moments.to_datetime(ends))
        )
        for extension, critical in _extensions(profile, issuer, name, key, sans):
            builder = builder.add_extension(extension, critical)
        algorithm = issuer.algorithm
        draft = builder.sign(_throwaway(algorithm.scheme), algorithm.hash)
    except ValueError as error:
        raise CertificateInvalid(f"The certificate cannot be made: {error}") from error
    if problems := lint(draft, issuer, profile, now):
        found = [f"{problem.message} ({problem.rule})" for problem in problems]
        raise CertificateInvalid(f"The certificate is not fit to be signed: {all_of(found)}")
    return Prepared(
        tbs=draft.tbs_certificate_bytes,
        issuer=issuer,
        subject=name.rfc4514_string(),
        serial=serial,
        not_before=starts // 1000 * 1000,
        not_after=ends // 1000 * 1000,
    )


def _extensions(
    profile: Profile, issuer: IssuerCertificate, name: x509.Name, key: keys.PublicKey, sans: Sequence[str]
) -> Iterator[tuple[x509.ExtensionType, bool]]:
    """In the order in which AWS writes them."""
    yield x509.AuthorityKeyIdentifier(issuer.key_identifier, None, None), False
    yield x509.SubjectKeyIdentifier(keys.key_identifier(keys.public_key_der(key))), False
    yield from profile.fixed_extensions()
    if sans:
        yield x509.SubjectAlternativeName([_general_name(each) for each in sans]), not list(name)


def _general_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


@cache
def _throwaway(scheme: str) -> keys.PrivateKey:
    """Signs drafts, whose signature is thrown away: the smallest key that leads to the same signature algorithm."""
    if scheme == "rsa":
        return rsa.generate_private_key(65_537, 1024)  # noqa: S505 # protects nothing; a third of the time of 2048 bits
    return ec.generate_private_key(ec.SECP256R1())


def complete(prepared: Prepared, signature: bytes) -> x509.Certificate:
    """The certificate with its issuer's *signature* over `prepared.tbs`.

    Raises Unavailable when the signature is not the issuer's: the signer holds another key. Raises RuntimeError when
    *prepared* was completed, or tried, before.
    """
    try:
        prepared._ticket.pop()  # noqa: SLF001 # atomic, so two threads cannot both redeem
    except IndexError:
        raise RuntimeError("A prepared certificate takes one signature; prepare it anew.") from None
    algorithm = prepared.issuer.algorithm
    if not algorithm.verifies(prepared.issuer.public_key, signature, prepared.tbs):
        raise Unavailable("The signature does not fit the issuer's certificate: the signing key is another one.")
    encoded = der.encode(
        der.SEQUENCE,
        prepared.tbs,
        algorithm.identifier,
        der.encode(der.BIT_STRING, b"\x00", signature),
    )
    return x509.load_der_x509_certificate(encoded)  # as linted; only the signature is new
