"""A certificate provider's function as somebody would write it, with a CA of its own."""

from __future__ import annotations

from cryptography.hazmat.primitives import serialization
from tests.pki import TestAuthority

_SOURCE = '''
import datetime as dt
import os

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

KEY = serialization.load_pem_private_key(b"""{key}""", None)
ISSUER = x509.load_pem_x509_certificate(b"""{pem}""").subject


def lambda_handler(event, context):
    request = x509.load_pem_x509_csr(event["certificateSigningRequest"].encode())
    wish = {wish!r}
    if wish == "raise":
        raise ValueError("the HSM is on fire")
    if wish in ("nothing", "text"):
        return {{}} if wish == "nothing" else {{"certificatePem": "text"}}
    key = ec.generate_private_key(ec.SECP256R1()).public_key() if wish == "another key" else request.public_key()
    now = dt.datetime.now(dt.UTC)
    seen = "/".join((event["principalId"], event["clientId"], str(sorted(event))))
    builder = (
        x509.CertificateBuilder()
        .subject_name(request.subject)
        .issuer_name(ISSUER)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + dt.timedelta(days=1 if wish == "not yet" else -2))
        .not_valid_after(now + dt.timedelta(days=-1 if wish == "expired" else 30))
        .add_extension(x509.BasicConstraints(wish == "a CA", None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier("urn:seen")]), critical=False)
    )
    pem = builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
    with open(__file__ + ".seen", "w") as file:
        file.write(seen)
    return {{"certificatePem": pem * (2 if wish == "two" else 1)}}
'''

BAD = {
    "raise": "the HSM is on fire",
    "nothing": "certificatePem",
    "text": "PEM",
    "two": "2 certificates",
    "another key": "another key",
    "expired": "expired",
    "not yet": "not valid yet",
    "a CA": "a CA's",
}
"""What such a function can do wrong, and what is said of it."""


def signing_function(ca: TestAuthority, wish: str = "") -> str:
    """The source of a handler that signs with *ca*; *wish* is what it does wrong."""
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return _SOURCE.format(key=ca.key.private_bytes(*form).decode(), pem=ca.pem, wish=wish)
