from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from fleetgate.errors import CertificateInvalid
from fleetgate.pki import certificate, keys
from fleetgate.pki.identity import Identity


def test_a_certificate_and_its_issuer_are_found_by_the_same_text(
    device: x509.Certificate, issuing: x509.Certificate
) -> None:
    leaf = Identity.read(f"Bag attributes\n{certificate.pem(device)}")
    ca = Identity.read(certificate.pem(issuing))
    assert leaf.issuer == ca.subject != leaf.subject
    assert leaf.pem == certificate.pem(device)
    assert leaf.fingerprint == certificate.fingerprint(device)
    assert leaf.certificate == device
    assert leaf.not_before == device.not_valid_before_utc.timestamp() * 1000
    assert leaf.not_after == device.not_valid_after_utc.timestamp() * 1000


def test_the_key_is_known_by_its_fingerprint(device: x509.Certificate, ec_key: keys.PrivateKey) -> None:
    read = Identity.read(certificate.pem(device))
    assert read.public_key_fingerprint == keys.public_key_fingerprint(ec_key.public_key())


def test_what_cannot_be_registered(make: Callable[..., x509.Certificate], ec_key: keys.PrivateKey) -> None:
    weak = rsa.generate_private_key(65_537, 1024)
    with pytest.raises(CertificateInvalid, match="1024"):
        Identity.read(certificate.pem(make(weak.public_key(), ec_key)))
    with pytest.raises(CertificateInvalid, match="BEGIN"):
        Identity.read("no certificate")
