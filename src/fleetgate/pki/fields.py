"""The fields of a certificate as they stand in its bytes (RFC 5280 section 4.1), and the extensions we act on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple, Self

from fleetgate.pki import der, moments
from fleetgate.pki.der import Malformed

BASIC_CONSTRAINTS: Final = "2.5.29.19"
KEY_USAGE: Final = "2.5.29.15"
EXTENDED_KEY_USAGE: Final = "2.5.29.37"
SUBJECT_KEY_IDENTIFIER: Final = "2.5.29.14"
AUTHORITY_KEY_IDENTIFIER: Final = "2.5.29.35"
SUBJECT_ALTERNATIVE_NAME: Final = "2.5.29.17"
ISSUER_ALTERNATIVE_NAME: Final = "2.5.29.18"
CERTIFICATE_POLICIES: Final = "2.5.29.32"

CLIENT_AUTH: Final = "1.3.6.1.5.5.7.3.2"
SERVER_AUTH: Final = "1.3.6.1.5.5.7.3.1"
OCSP_SIGNING: Final = "1.3.6.1.5.5.7.3.9"
ANY_PURPOSE: Final = "2.5.29.37.0"

KEY_USAGES: Final = (
    "digitalSignature",
    "contentCommitment",
    "keyEncipherment",
    "dataEncipherment",
    "keyAgreement",
    "keyCertSign",
    "cRLSign",
    "encipherOnly",
    "decipherOnly",
)
"""In the order of their bits (RFC 5280 section 4.2.1.3)."""


class Extension(NamedTuple):
    oid: str
    critical: bool
    value: bytes
    """The DER inside the OCTET STRING."""


class BasicConstraints(NamedTuple):
    ca: bool
    path_length: int | None


class AuthorityKey(NamedTuple):
    key_identifier: bytes | None
    names_issuer: bool
    """Whether it also carries the issuer's name and serial number."""


@dataclass(frozen=True, slots=True)
class Fields:
    """A certificate taken apart, nothing judged. Names, algorithms and the public key are whole DER elements."""

    tbs: bytes
    version: int
    """0 means v1, 2 means v3."""
    serial: bytes
    """The INTEGER's octets."""
    inner_algorithm: bytes
    issuer: bytes
    not_before: der.Element
    not_after: der.Element
    starts: int
    """Milliseconds UTC."""
    ends: int
    """The certificate is good up to and including this second."""
    subject: bytes
    public_key: bytes
    unique_identifiers: bool
    extensions: tuple[Extension, ...]
    outer_algorithm: bytes
    signature: bytes

    @classmethod
    def read(cls, certificate: bytes) -> Self:
        """Raises Malformed unless *certificate* is the DER of one X.509 certificate in outline."""
        outer = der.children(certificate, der.SEQUENCE)
        if [each.tag for each in outer] != [der.SEQUENCE, der.SEQUENCE, der.BIT_STRING]:
            raise Malformed("not the three parts of a certificate")
        tbs, algorithm, signature = outer
        parts = der.elements(tbs.body)
        version = 0
        if parts and parts[0].tag == der.context(0):
            version = int.from_bytes(der.only(parts.pop(0).body, der.INTEGER).body, "big", signed=True)
        tags = [each.tag for each in parts[:6]]
        if tags != [der.INTEGER, *[der.SEQUENCE] * 5]:
            raise Malformed("not the fields of a certificate")
        times = der.elements(parts[3].body)
        if len(times) != 2:
            raise Malformed("a validity that is not two times")
        tail = {each.tag: each for each in parts[6:]}
        extensions = tail.get(der.context(3))
        return cls(
            tbs=tbs.raw,
            version=version,
            serial=parts[0].body,
            inner_algorithm=parts[1].raw,
            issuer=parts[2].raw,
            not_before=times[0],
            not_after=times[1],
            starts=moments.read(times[0]),
            ends=moments.read(times[1]),
            subject=parts[4].raw,
            public_key=parts[5].raw,
            unique_identifiers=der.context(1, constructed=False) in tail or der.context(2, constructed=False) in tail,
            extensions=read_extensions(extensions.body) if extensions else (),
            outer_algorithm=algorithm.raw,
            signature=der.bits(signature.body),
        )

    def in_force(self, now: int) -> bool:
        return self.starts <= now < self.ends + 1000

    def extension(self, oid: str) -> Extension | None:
        return next((each for each in self.extensions if each.oid == oid), None)

    def basic_constraints(self) -> BasicConstraints | None:
        """Raises Malformed, as all readers of an extension here do; None where the extension is absent."""
        found = self.extension(BASIC_CONSTRAINTS)
        if found is None:
            return None
        parts = der.children(found.value, der.SEQUENCE)
        ca, path_length = False, None
        if parts and parts[0].tag == der.BOOLEAN:
            ca = parts.pop(0).body == b"\xff"
        if parts and parts[0].tag == der.INTEGER:
            path_length = int.from_bytes(parts.pop(0).body, "big", signed=True)
        if parts or (path_length is not None and path_length < 0):
            raise Malformed("basic constraints that are more than a flag and a length")
        return BasicConstraints(ca, path_length)

    def key_usage(self) -> frozenset[str] | None:
        found = self.extension(KEY_USAGE)
        if found is None:
            return None
        body = der.only(found.value, der.BIT_STRING).body
        if not 1 <= len(body) <= 3:
            raise Malformed("a key usage without or with too many bits")
        set_bits = "".join(f"{octet:08b}" for octet in body[1:])
        return frozenset(name for name, bit in zip(KEY_USAGES, set_bits, strict=False) if bit == "1")

    def extended_key_usage(self) -> frozenset[str] | None:
        """Dotted object identifiers."""
        found = self.extension(EXTENDED_KEY_USAGE)
        if found is None:
            return None
        return frozenset(der.dotted(each.body) for each in der.children(found.value, der.SEQUENCE))

    def subject_key_identifier(self) -> bytes | None:
        found = self.extension(SUBJECT_KEY_IDENTIFIER)
        return None if found is None else der.only(found.value, der.OCTET_STRING).body

    def authority_key(self) -> AuthorityKey | None:
        found = self.extension(AUTHORITY_KEY_IDENTIFIER)
        if found is None:
            return None
        parts = {each.tag: each.body for each in der.children(found.value, der.SEQUENCE)}
        key_identifier = parts.pop(der.context(0, constructed=False), None)
        return AuthorityKey(key_identifier, names_issuer=bool(parts))


def read_extensions(data: bytes) -> tuple[Extension, ...]:
    """An encoded Extensions. Raises Malformed."""
    return tuple(_extension(each.body) for each in der.children(data, der.SEQUENCE))


@lru_cache(maxsize=64)  # a profile writes the same ones into every certificate
def _extension(body: bytes) -> Extension:
    parts = der.elements(body)
    tags = [each.tag for each in parts]
    critical = tags[1:2] == [der.BOOLEAN] and parts.pop(1).body != b"\x00"
    if [each.tag for each in parts] != [der.OBJECT_IDENTIFIER, der.OCTET_STRING]:
        raise Malformed("an extension that is not a type and a value")
    return Extension(der.dotted(parts[0].body), critical, parts[1].body)
