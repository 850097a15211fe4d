"""A small real PKI: a root, an issuing CA below it, keys of both families."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from fleetgate.pki import certificate, keys, moments, profile
from fleetgate.pki.issuer import IssuerCertificate
from fleetgate.pki.signer import KeyFileSigner

Make = Callable[..., x509.Certificate]


@pytest.fixture(scope="session")
def now() -> int:
    return 1_790_000_000_000  # 2026-09-21


@pytest.fixture(scope="session")
def serial() -> int:
    return certificate.serial_number(bytes(range(20)))


@pytest.fixture(scope="session")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65_537, 2048)


@pytest.fixture(scope="session")
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="session")
def root_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP384R1())


@pytest.fixture(scope="session")
def issuing_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="session")
def root(root_key: keys.PrivateKey, serial: int, now: int) -> x509.Certificate:
    name = profile.common_name("Test Root")
    issuer = IssuerCertificate.self_signed(name, root_key.public_key())
    prepared = certificate.prepare(profile.ROOT_CA, issuer, name, root_key.public_key(), serial, now)
    return certificate.complete(prepared, KeyFileSigner(root_key).sign(prepared.tbs))


@pytest.fixture(scope="session")
def issuing(
    root: x509.Certificate, root_key: keys.PrivateKey, issuing_key: keys.PrivateKey, serial: int, now: int
) -> x509.Certificate:
    name = profile.common_name("Test Issuing")
    issuer = IssuerCertificate.of(root)
    prepared = certificate.prepare(profile.ISSUING_CA, issuer, name, issuing_key.public_key(), serial + 1, now)
    return certificate.complete(prepared, KeyFileSigner(root_key).sign(prepared.tbs))


@pytest.fixture(scope="session")
def issuer(issuing: x509.Certificate) -> IssuerCertificate:
    return IssuerCertificate.of(issuing)


@pytest.fixture(scope="session")
def device(
    issuer: IssuerCertificate, issuing_key: keys.PrivateKey, ec_key: keys.PrivateKey, serial: int, now: int
) -> x509.Certificate:
    prepared = certificate.prepare(profile.AWS_DEVICE, issuer, None, ec_key.public_key(), serial + 2, now)
    return certificate.complete(prepared, KeyFileSigner(issuing_key).sign(prepared.tbs))


@pytest.fixture(scope="session")
def make(now: int, serial: int) -> Make:
    """Any certificate, straight from the library and past our rules: `make(key, subject=..., ca=True ...)`."""

    def made(
        public_key: Any,
        signed_by: keys.PrivateKey,
        subject: str | x509.Name = "somebody",
        issuer: str | x509.Name = "issuer",
        start: int = now - 60_000,
        end: int = now + 86_400_000,
        extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (),
        ca: bool | None = None,
        path_length: int | None = None,
        hash_with: Any = hashes.SHA256(),  # noqa: B008 # stateless
        **more: Any,
    ) -> x509.Certificate:
        if ca is not None:
            extensions = ((x509.BasicConstraints(ca, path_length), True), *extensions)
        builder = (
            x509.CertificateBuilder()
            .subject_name(profile.common_name(subject) if isinstance(subject, str) else subject)
            .issuer_name(profile.common_name(issuer) if isinstance(issuer, str) else issuer)
            .public_key(public_key)
            .serial_number(serial)
            .not_valid_before(moments.to_datetime(start))
            .not_valid_after(moments.to_datetime(end))
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(signed_by, hash_with, **more)

    return made


@pytest.fixture(scope="session")
def csr_of() -> Callable[..., str]:
    """A signing request in PEM."""

    def made(
        key: keys.PrivateKey,
        subject: x509.Name | str = "device-1",
        hash_with: Any = hashes.SHA256(),  # noqa: B008 # stateless
        extensions: tuple[x509.ExtensionType, ...] = (),
        **more: Any,
    ) -> str:
        name = profile.common_name(subject) if isinstance(subject, str) else subject
        builder = x509.CertificateSigningRequestBuilder().subject_name(name)
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(key, hash_with, **more).public_bytes(Encoding.PEM).decode()

    return made
