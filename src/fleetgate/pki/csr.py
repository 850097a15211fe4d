"""Certificate signing requests (PKCS#10, RFC 2986): read, checked, and from then on trusted by their type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NoReturn

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from fleetgate.errors import InvalidSigningRequest, all_of
from fleetgate.pki import der, fields, keys, pem, subject

LONGEST: Final = 4096
"""Characters of PEM that CreateCertificateFromCsr accepts."""

_LABELS: Final = ("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST")
_EXTENSION_REQUEST: Final = "1.2.840.113549.1.9.14"


@dataclass(frozen=True, slots=True)
class VerifiedCsr:
    """A request whose sender holds the private key, whose key is strong and whose subject is proper. Only `parse`
    makes one.
    """

    pem: str
    """The request alone, without whatever stood around it."""
    subject: x509.Name
    """May be empty."""
    public_key: keys.PublicKey
    requested_extensions: tuple[fields.Extension, ...]
    """What the sender would like; a fact for the records. Extensions of a certificate come from its profile."""


def parse(text: str) -> VerifiedCsr:
    """The one signing request in *text*, at most 4096 characters of PEM.

    Raises InvalidSigningRequest: not exactly one readable request, broken signature (RFC 2986 section 4.2), signature
    over a weak hash, weak key, or a subject with control characters or over-long values.
    """
    encoded = _only_block(text)
    try:
        name, extensions = _outline(encoded)
        request = x509.load_der_x509_csr(encoded)
        key = request.public_key()
    except (*keys.UNREADABLE, x509.InvalidVersion) as error:
        _refuse(f"It cannot be read: {error}.", error)
    problems = subject.problems(name) + keys.key_problems(key) + _hash_problems(request)
    if problems:
        raise InvalidSigningRequest(f"The certificate signing request is refused: {all_of(problems)}")
    try:
        if not request.is_signature_valid:
            _refuse("Its signature was not made with the private half of its public key.")
        return VerifiedCsr(
            pem.text_of(_LABELS[0], encoded),
            request.subject,
            keys.as_public_key(key, InvalidSigningRequest),
            extensions,
        )
    except keys.UNREADABLE as error:
        _refuse(f"Its signature or subject cannot be read: {error}.", error)


def _refuse(why: str, cause: Exception | None = None) -> NoReturn:
    raise InvalidSigningRequest(f"The certificate signing request is refused: {why}") from cause


def _only_block(text: str) -> bytes:
    if len(text) > LONGEST:
        _refuse(f"It has {len(text)} characters; at most {LONGEST} are allowed.")
    try:
        blocks = pem.blocks(text)
    except ValueError as error:
        _refuse(f"The PEM text {error}", error)
    if len(blocks) != 1 or blocks[0].label not in _LABELS:
        found = ", ".join(block.label for block in blocks)
        _refuse(f"It must be exactly one CERTIFICATE REQUEST block, not {found}.")
    return blocks[0].der


def _outline(encoded: bytes) -> tuple[bytes, tuple[fields.Extension, ...]]:
    """The encoded subject, and the extensions asked for. Raises der.Malformed."""
    outer = der.children(encoded, der.SEQUENCE)
    info = der.elements(outer[0].body) if outer else []
    if len(info) < 3:
        raise der.Malformed("not the fields of a signing request")
    found: list[fields.Extension] = []
    for attribute in der.elements(info[3].body) if len(info) > 3 else []:
        kind, *values = der.elements(attribute.body)
        if kind.tag == der.OBJECT_IDENTIFIER and der.dotted(kind.body) == _EXTENSION_REQUEST:
            found += [each for value in values for each in fields.read_extensions(value.body)]
    return info[1].raw, tuple(found)


def _hash_problems(request: x509.CertificateSigningRequest) -> list[str]:
    try:
        used = request.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return ["It is signed with an algorithm we do not know; use SHA-256 with RSA or ECDSA."]
    if used is None or used.name not in keys.STRONG_HASHES:
        called = used.name.upper() if used else "no hash"
        return [f"It is signed over {called}; use SHA-256, SHA-384 or SHA-512."]
    return []
