"""Signing requests that must be refused, by what is wrong with them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from tests.conformance.provisioning.desk import csr


def broken() -> str:
    """The signature belongs to another request."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("device", "devicf")]
    one, other = (
        x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256()) for name in names
    )
    der = one.public_bytes(Encoding.DER).replace(one.tbs_certrequest_bytes, other.tbs_certrequest_bytes)
    return as_pem("CERTIFICATE REQUEST", der)


def weak() -> str:
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return request.sign(rsa.generate_private_key(65_537, 1024), hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def curve() -> str:
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return request.sign(ec.generate_private_key(ec.SECP256K1()), hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def certificate() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "me")])
    now = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(7)
    made = now.not_valid_before(datetime(2025, 1, 1, tzinfo=UTC)).not_valid_after(datetime(2049, 1, 1, tzinfo=UTC))
    return made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def as_pem(label: str, der: bytes) -> str:
    body = base64.encodebytes(der).decode()
    return f"-----BEGIN {label}-----\n{body}-----END {label}-----\n"


BAD: dict[str, Callable[[], str]] = {
    "broken": broken,
    "weak": weak,
    "curve": curve,
    "name": lambda: csr(name="de\x07vice"),
    "two": lambda: csr() + csr(),
    "certificate": certificate,
    "long": lambda: csr().ljust(5_000, "\n"),
}
