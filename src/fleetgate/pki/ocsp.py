"""The Online Certificate Status Protocol (RFC 6960, in the profile of RFC 5019): questions read, answers signed.

Answers are signed by a responder's key that the CA delegated this to, so that strangers who ask cannot make the CA's
own key work.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from fleetgate.errors import InvalidRequest
from fleetgate.pki import der, keys, moments
from fleetgate.pki.crl import Reason
from fleetgate.pki.issuer import IssuerCertificate

LONGEST: Final = 16_384
"""Octets of a request; one question with a nonce has about a hundred."""
LONGEST_NONCE: Final = 128
"""RFC 9654 section 2.1 lets responders ignore longer ones."""

MALFORMED: Final = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.MALFORMED_REQUEST).public_bytes(
    Encoding.DER
)
UNAUTHORIZED: Final = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.UNAUTHORIZED).public_bytes(
    Encoding.DER
)
TRY_LATER: Final = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER).public_bytes(
    Encoding.DER
)
_DIGESTS: Final = ("sha1", "sha256", "sha384", "sha512")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: a serial number of the CA that the two hashes name."""

    serial: int
    digest: str
    """The hash function's name, in lower case."""
    issuer_name_hash: bytes
    issuer_key_hash: bytes
    nonce: bytes | None

    def names(self, issuer: IssuerCertificate) -> bool:
        """Whether it is about certificates of *issuer*."""
        hashed = hashlib.new(self.digest, issuer.subject, usedforsecurity=False).digest()
        return hashed == self.issuer_name_hash and _key_hash(issuer, self.digest) == self.issuer_key_hash


@dataclass(frozen=True, slots=True)
class Revoked:
    at: int
    """Milliseconds UTC."""
    reason: Reason


@dataclass(frozen=True, slots=True)
class Status:
    """What is known of a certificate."""

    known: bool
    revoked: Revoked | None = None


@dataclass(frozen=True, slots=True)
class Responder:
    """Who answers for one CA: a certificate that it signed for OCSP, and the key."""

    certificate: x509.Certificate
    issuer: IssuerCertificate
    key: keys.PrivateKey
    not_after: int
    """Milliseconds UTC."""


def read(encoded: bytes) -> Question:
    """The one question in an OCSPRequest. Raises InvalidRequest for what is no such request, has several questions, or
    names its issuer by a hash function that is not known here.
    """
    try:
        if len(encoded) > LONGEST:
            raise ValueError(f"over {LONGEST} octets")
        request = ocsp.load_der_ocsp_request(encoded)
        digest = request.hash_algorithm.name
        if digest not in _DIGESTS:
            raise ValueError(f"the hash function {digest}")
        return Question(
            request.serial_number, digest, request.issuer_name_hash, request.issuer_key_hash, _nonce(request)
        )
    except (*keys.UNREADABLE, NotImplementedError) as error:
        raise InvalidRequest(f"This is no OCSP request with one question: {error}.") from error


def read_path(text: str) -> Question:
    """The same out of the last part of a GET request's path: URL-encoded base64 (RFC 6960 appendix A.1)."""
    try:
        return read(base64.b64decode(unquote_to_bytes(text), validate=True))
    except binascii.Error as error:
        raise InvalidRequest(f"This is no base64: {error}.") from error


def answer(question: Question, status: Status, responder: Responder, this_update: int, next_update: int) -> bytes:
    """An OCSPResponse in DER, with the question's nonce where it has one. Times are milliseconds UTC."""
    revoked = status.revoked
    code = ocsp.OCSPCertStatus.UNKNOWN if not status.known else ocsp.OCSPCertStatus.GOOD
    said = None
    if revoked is not None:
        code = ocsp.OCSPCertStatus.REVOKED
        said = None if revoked.reason is Reason.UNSPECIFIED else x509.ReasonFlags(str(revoked.reason))
    builder = ocsp.OCSPResponseBuilder().add_response_by_hash(
        issuer_name_hash=question.issuer_name_hash,
        issuer_key_hash=question.issuer_key_hash,
        serial_number=question.serial,
        algorithm=_hash(question.digest),
        cert_status=code,
        this_update=moments.to_datetime(this_update),
        next_update=moments.to_datetime(next_update),
        revocation_time=None if revoked is None else moments.to_datetime(revoked.at),
        revocation_reason=said,
    )
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, responder.certificate)
    builder = builder.certificates([responder.certificate])
    if question.nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(question.nonce), critical=False)
    algorithm = keys.SignatureAlgorithm.of(responder.key.public_key())
    return builder.sign(responder.key, algorithm.hash).public_bytes(Encoding.DER)


def _nonce(request: ocsp.OCSPRequest) -> bytes | None:
    for each in request.extensions:
        if isinstance(each.value, x509.OCSPNonce):
            return each.value.nonce if 0 < len(each.value.nonce) <= LONGEST_NONCE else None
    return None


def _key_hash(issuer: IssuerCertificate, digest: str) -> bytes:
    """Of the key's BIT STRING without tag, length and unused bits (RFC 6960 section 4.1.1)."""
    info = der.children(keys.public_key_der(issuer.public_key), der.SEQUENCE)
    return hashlib.new(digest, der.bits(info[-1].body), usedforsecurity=False).digest()


def _hash(digest: str) -> hashes.HashAlgorithm:
    return {"sha1": hashes.SHA1(), "sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}[  # noqa: S303 # names a CA, protects nothing
        digest
    ]
