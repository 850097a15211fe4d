from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from fleetgate.errors import CertificateInvalid
from fleetgate.pki import certificate, der, issuer, keys, moments, profile
from fleetgate.pki.issuer import IssuerCertificate

Make = Callable[..., x509.Certificate]


def _refused(ca: x509.Certificate) -> str:
    with pytest.raises(CertificateInvalid) as caught:
        IssuerCertificate.of(ca)
    return caught.value.message


def test_what_issuing_needs(issuing: x509.Certificate, issuing_key: keys.PrivateKey) -> None:
    found = IssuerCertificate.of(issuing)
    assert found.certificate == issuing
    assert found.fingerprint == certificate.fingerprint(issuing)
    assert found.subject == found.name.public_bytes() == issuing.subject.public_bytes()
    assert found.public_key == issuing_key.public_key()
    assert found.algorithm == keys.SignatureAlgorithm("ecdsa", "sha256")
    assert found.ends == profile.END_OF_2049
    assert found.path_length == 0


def test_a_root_before_its_certificate(root_key: keys.PrivateKey) -> None:
    found = IssuerCertificate.self_signed(profile.common_name("Root"), root_key.public_key())
    assert (found.certificate, found.fingerprint, found.starts, found.ends) == (None, "", 0, moments.LATEST)
    assert found.algorithm.hash_name == "sha384"
    with pytest.raises(CertificateInvalid, match="1024 bits"):
        IssuerCertificate.self_signed(found.name, rsa.generate_private_key(65_537, 1024).public_key())


def test_no_subject_key_identifier_means_that_of_the_key(make: Make, root_key: ec.EllipticCurvePrivateKey) -> None:
    ca = make(root_key.public_key(), root_key, ca=True)
    assert IssuerCertificate.of(ca).key_identifier == keys.key_identifier(keys.public_key_der(root_key.public_key()))


def test_a_certificate_in_another_encoding_than_ours(make: Make, ec_key: ec.EllipticCurvePrivateKey) -> None:
    made = make(ec_key.public_key(), ec_key, ca=True)
    unused_bit = b"\x03" + bytes([len(made.signature) + 1])
    encoded = _bytes(made).replace(
        unused_bit + b"\0" + made.signature, unused_bit + b"\1" + made.signature[:-1] + b"\0"
    )
    with pytest.raises(CertificateInvalid, match="cannot be read: a bit string that does not end on an octet"):
        issuer.examine(x509.load_der_x509_certificate(encoded))


def test_no_ca(make: Make, device: x509.Certificate, ec_key: ec.EllipticCurvePrivateKey) -> None:
    assert "must say CA:TRUE" in _refused(device)
    assert "keyCertSign" in _refused(device)
    assert "must say CA:TRUE" in _refused(make(ec_key.public_key(), ec_key))


def test_weak_or_foreign_keys(make: Make, ec_key: ec.EllipticCurvePrivateKey) -> None:
    weak = rsa.generate_private_key(65_537, 1024)
    assert "1024 bits" in _refused(make(weak.public_key(), weak, ca=True))
    assert "is ed25519" in _refused(make(ed25519.Ed25519PrivateKey.generate().public_key(), ec_key, ca=True))


def test_a_key_that_cannot_be_read(make: Make, ec_key: ec.EllipticCurvePrivateKey) -> None:
    made = make(ec_key.public_key(), ec_key, ca=True)
    point = keys.public_key_der(ec_key.public_key())[-64:]
    broken = certificate.load_der(_bytes(made).replace(point, b"\x01" * 64))
    with pytest.raises(CertificateInvalid, match="public key cannot be read"):
        issuer.key_of(broken)
    assert "public key cannot be read" in _refused(broken)


def _bytes(made: x509.Certificate) -> bytes:
    return der.encode(
        der.SEQUENCE,
        made.tbs_certificate_bytes,
        keys.SignatureAlgorithm("ecdsa", "sha256").identifier,
        der.encode(der.BIT_STRING, b"\0", made.signature),
    )


def test_basic_constraints_that_cannot_be_read(make: Make, ec_key: ec.EllipticCurvePrivateKey) -> None:
    broken = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.19"), b"\x04\x00")
    assert "cannot be read" in _refused(make(ec_key.public_key(), ec_key, extensions=((broken, True),)))


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (b"\x0c\x03abc", b"\x0c\x03a\x02c", None),
        (b"\x13\x02DE", b"\x13\x02D ", None),
        (b"\x0c\x03abc", b"\x14\x03a\xe9c", "its subject has"),
        (b"\x0c\x03abc", b"\x03\x03\x00bc", "its subject has"),
    ],
)
def test_names_that_the_library_cannot_write(
    make: Make, ec_key: ec.EllipticCurvePrivateKey, old: bytes, new: bytes, complaint: str | None
) -> None:
    name = x509.Name(
        [x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "abc")]
    )
    made = make(ec_key.public_key(), ec_key, subject=name, ca=True)
    changed = x509.load_der_x509_certificate(_bytes(made).replace(old, new))
    if complaint:
        assert complaint in _refused(changed)
    else:
        assert new in IssuerCertificate.of(changed).subject


def test_names_that_the_library_warns_about(make: Make, ec_key: ec.EllipticCurvePrivateKey) -> None:
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "a" * 70)])
    made = make(ec_key.public_key(), ec_key, subject=name, ca=True)
    assert IssuerCertificate.of(made).name == name
    long_common_name = _bytes(made).replace(bytes.fromhex("060355040a"), bytes.fromhex("0603550403"))
    assert "a CommonName over 64 octets" in _refused(x509.load_der_x509_certificate(long_common_name))
