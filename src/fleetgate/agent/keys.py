"""The device's own key pair and its signing request."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from fleetgate.agent.errors import AnswerUnusable, StoreUnusable
from fleetgate.errors import InvalidRequest
from fleetgate.pki import keys
from fleetgate.pki.keys import KeyKind, PrivateKey


def make(kind: KeyKind) -> str:
    """A new private key as PEM."""
    return keys.private_key_pem(keys.generate(kind))


def signing_request(private_key: str, common_name: str) -> str:
    """A PKCS#10 request for the key, signed with it; an empty *common_name* leaves the subject to the server.

    Raises StoreUnusable when the kept key cannot be read.
    """
    key = _load(private_key)
    subject = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else []
    builder = x509.CertificateSigningRequestBuilder(x509.Name(subject))
    how = keys.SignatureAlgorithm.of(key.public_key())
    return builder.sign(key, how.hash).public_bytes(Encoding.PEM).decode("ascii")


def check_belongs(certificate: str, private_key: str, operation: str) -> None:
    """Raises AnswerUnusable unless the certificate is for this key: nothing that could not be used is kept."""
    try:
        found = x509.load_pem_x509_certificate(certificate.encode()).public_key()
    except keys.UNREADABLE as error:
        raise AnswerUnusable(operation, f"its certificate cannot be read ({error})") from error
    try:
        own = keys.load_private_key(private_key.encode())
    except InvalidRequest as error:
        raise AnswerUnusable(operation, f"its private key cannot be read: {error.message}") from error
    if found != own.public_key():
        raise AnswerUnusable(operation, "its certificate is for another key than ours")


def _load(pem: str) -> PrivateKey:
    try:
        return keys.load_private_key(pem.encode())
    except InvalidRequest as error:
        raise StoreUnusable(f"The kept private key cannot be used: {error.message}") from error
