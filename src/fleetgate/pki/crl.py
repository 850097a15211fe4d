"""Certificate revocation lists (RFC 5280 section 5): prepared for signing, linted, completed with a signature."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from cryptography import x509

from fleetgate.errors import CertificateInvalid, Unavailable, all_of
from fleetgate.pki import der, keys, moments
from fleetgate.pki.issuer import IssuerCertificate

__all__ = ["LABEL", "Prepared", "Reason", "Revoked", "complete", "prepare"]

LABEL: Final = "X509 CRL"
"""Of its PEM form (RFC 7468 section 4)."""


class Reason(StrEnum):
    """Why a certificate was revoked (RFC 5280 section 5.3.1), as OpenSSL prints them; `codes` numbers them."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "keyCompromise"
    CA_COMPROMISE = "cACompromise"
    AFFILIATION_CHANGED = "affiliationChanged"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessationOfOperation"
    PRIVILEGE_WITHDRAWN = "privilegeWithdrawn"


_CODES: Final = {
    Reason.KEY_COMPROMISE: 1,
    Reason.CA_COMPROMISE: 2,
    Reason.AFFILIATION_CHANGED: 3,
    Reason.SUPERSEDED: 4,
    Reason.CESSATION_OF_OPERATION: 5,
    Reason.PRIVILEGE_WITHDRAWN: 9,
}
"""What an entry says; `unspecified` is said by saying nothing."""


@dataclass(frozen=True, slots=True)
class Revoked:
    """One entry."""

    serial: int
    at: int
    """Milliseconds UTC."""
    reason: Reason = Reason.UNSPECIFIED


@dataclass(frozen=True, slots=True)
class Prepared:
    """A list that lacks nothing but its issuer's signature."""

    tbs: bytes
    issuer: IssuerCertificate
    number: int
    this_update: int
    """Milliseconds UTC, a whole second; so is *next_update*."""
    next_update: int
    entries: int
    _ticket: list[bool] = field(default_factory=lambda: [True], repr=False, compare=False)


def prepare(issuer: IssuerCertificate, revoked: Sequence[Revoked], number: int, now: int, next_update: int) -> Prepared:
    """The list that *issuer* would sign now (milliseconds UTC), linted. *number* is above that of every earlier list.

    Raises CertificateInvalid with all problems.
    """
    this_update, next_update = now // 1000 * 1000, next_update // 1000 * 1000
    tbs = der.encode(
        der.SEQUENCE,
        _integer(1),  # version 2
        issuer.algorithm.identifier,
        issuer.subject,
        _time(this_update),
        _time(next_update),
        *([der.encode(der.SEQUENCE, *map(_entry, revoked))] if revoked else []),
        der.encode(der.context(0), _extensions(issuer, number)),
    )
    prepared = Prepared(tbs, issuer, number, this_update, next_update, len(revoked))
    if problems := list(_lint(prepared, revoked)):
        raise CertificateInvalid(f"The revocation list is not fit to be signed: {all_of(problems)}")
    return prepared


def complete(prepared: Prepared, signature: bytes) -> bytes:
    """The list in DER.

    Raises Unavailable when the signature is not the issuer's, RuntimeError when *prepared* was completed before.
    """
    try:
        prepared._ticket.pop()  # noqa: SLF001 # atomic, so two threads cannot both redeem
    except IndexError:
        raise RuntimeError("A prepared list takes one signature; prepare it anew.") from None
    issuer = prepared.issuer
    if not issuer.algorithm.verifies(issuer.public_key, signature, prepared.tbs):
        raise Unavailable("The signature does not fit the issuer's certificate: the signing key is another one.")
    return _signed(prepared, signature)


def _signed(prepared: Prepared, signature: bytes) -> bytes:
    bits = der.encode(der.BIT_STRING, b"\x00", signature)
    return der.encode(der.SEQUENCE, prepared.tbs, prepared.issuer.algorithm.identifier, bits)


# --- the parts --------------------------------------------------------------------------------------------------------

_ENUMERATED: Final = 0x0A
_CRL_NUMBER: Final = bytes.fromhex("551d14")
_REASON_CODE: Final = bytes.fromhex("551d15")
_AUTHORITY_KEY_IDENTIFIER: Final = bytes.fromhex("551d23")


def _entry(revoked: Revoked) -> bytes:
    code = _CODES.get(revoked.reason)
    said = []
    if code is not None:
        said.append(der.encode(der.SEQUENCE, _extension(_REASON_CODE, der.encode(_ENUMERATED, bytes([code])))))
    return der.encode(der.SEQUENCE, _integer(revoked.serial), _time(revoked.at), *said)


def _extensions(issuer: IssuerCertificate, number: int) -> bytes:
    """Both are wanted of every list (RFC 5280 sections 5.2.1 and 5.2.3), and neither is critical."""
    identifier = der.encode(der.SEQUENCE, der.encode(der.context(0, constructed=False), issuer.key_identifier))
    return der.encode(
        der.SEQUENCE, _extension(_AUTHORITY_KEY_IDENTIFIER, identifier), _extension(_CRL_NUMBER, _integer(number))
    )


def _extension(oid: bytes, value: bytes) -> bytes:
    return der.encode(der.SEQUENCE, der.encode(der.OBJECT_IDENTIFIER, oid), der.encode(der.OCTET_STRING, value))


def _integer(value: int) -> bytes:
    return der.encode(der.INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def _time(milliseconds: int) -> bytes:
    """UTCTime through 2049, GeneralizedTime from 2050 (RFC 5280 section 5.1.2.4)."""
    when = moments.to_datetime(milliseconds)
    if when.year < 2050:
        return der.encode(der.UTC_TIME, when.strftime("%y%m%d%H%M%SZ").encode())
    return der.encode(der.GENERALIZED_TIME, when.strftime("%Y%m%d%H%M%SZ").encode())


# --- judging ----------------------------------------------------------------------------------------------------------


def _lint(prepared: Prepared, revoked: Sequence[Revoked]) -> Iterator[str]:
    """What is wrong with it, read again by another reader than wrote it."""
    if prepared.next_update <= prepared.this_update:
        yield "The next update is not after this one."
    if not 0 < prepared.number < 1 << 159:
        yield f"The number {prepared.number} is not positive, or over 20 octets (RFC 5280 section 5.2.3)."
    if len({each.serial for each in revoked}) != len(revoked):
        yield "A serial number occurs twice."
    certificate = prepared.issuer.certificate
    if certificate is not None and not _may_sign(certificate):
        yield "The issuer's key usage lacks cRLSign."
    try:
        found = x509.load_der_x509_crl(_signed(prepared, b"\x00"))
        if found.issuer.public_bytes() != prepared.issuer.subject:
            yield "The issuer's name is not, byte for byte, the subject of the issuer's certificate."
        if {each.serial_number for each in found} != {each.serial for each in revoked}:
            yield "The entries are not those that were asked for."
        if found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number != prepared.number:
            yield "The number is another one."
    except (*keys.UNREADABLE, x509.ExtensionNotFound) as error:
        yield f"It cannot be read: {error}."


def _may_sign(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value.crl_sign
    except x509.ExtensionNotFound:
        return True
