from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from fleetgate.errors import CertificateInvalid, InvalidRequest, Unavailable
from fleetgate.pki import certificate, der, keys, moments, profile
from fleetgate.pki.issuer import IssuerCertificate
from fleetgate.pki.profile import DAY
from fleetgate.pki.signer import KeyFileSigner

Make = Callable[..., x509.Certificate]
SHA256_ECDSA = keys.SignatureAlgorithm("ecdsa", "sha256").identifier


def _der(made: x509.Certificate) -> bytes:
    return made.public_bytes(Encoding.DER)


def _changed(made: x509.Certificate, old: bytes, new: bytes) -> bytes:
    assert len(old) == len(new)
    assert _der(made).count(old) >= 1
    return _der(made).replace(old, new)


# --- reading ---


def test_what_is_written_is_loaded(device: x509.Certificate) -> None:
    text = certificate.pem(device)
    assert text == device.public_bytes(Encoding.PEM).decode()
    assert certificate.load(text) == device
    assert certificate.load(f"subject=CN = x\n{text}\n") == device
    assert certificate.load(text.replace("CERTIFICATE", "X509 CERTIFICATE")) == device


def test_devices_with_small_buffers_can_hold_a_certificate(device: x509.Certificate) -> None:
    assert len(certificate.pem(device)) <= 2048


def test_the_fingerprint_is_aws_certificate_id(device: x509.Certificate) -> None:
    wanted = hashlib.sha256(_der(device)).hexdigest()
    assert certificate.fingerprint(device) == certificate.fingerprint(_der(device)) == wanted


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "The PEM text holds no -----BEGIN"),
        ("x" * 65_537, "has 65537 characters; at most 65536"),
        ("-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----", "PUBLIC KEY where a CERTIFICATE"),
        ("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----", "cannot be read: not the three parts"),
    ],
)
def test_what_is_no_certificate(text: str, complaint: str) -> None:
    with pytest.raises(CertificateInvalid, match=complaint):
        certificate.load(text)


def test_one_certificate_is_wanted(device: x509.Certificate, issuing: x509.Certificate) -> None:
    both = certificate.pem(device) + certificate.pem(issuing)
    with pytest.raises(CertificateInvalid, match="holds 2 certificates; send the device's own alone"):
        certificate.load(both)
    assert certificate.load_all(both, most=2) == (device, issuing)


def test_serial_numbers_are_positive(device: x509.Certificate) -> None:
    octets = device.serial_number.to_bytes(20)
    negative = _changed(device, b"\x02\x14" + octets, b"\x02\x14\xff" + octets[1:])
    with pytest.raises(CertificateInvalid, match="serial number is not positive"):
        certificate.load_der(negative)


def test_names_without_control_characters(device: x509.Certificate) -> None:
    for who, old in (("AWS IoT", b"AWS IoT Certificate"), ("Test Issuing", b"Test Issuing")):
        with pytest.raises(CertificateInvalid, match="control or invisible characters"):
            certificate.load_der(_changed(device, old, old.replace(b" ", b"\0")))
        with pytest.raises(CertificateInvalid, match="cannot be read: a name attribute that is not utf-8"):
            certificate.load_der(_changed(device, old, old.replace(b" ", b"\xff")))
        assert who


def test_a_certificate_of_another_version(device: x509.Certificate) -> None:
    with pytest.raises(CertificateInvalid, match="cannot be read: 1 is not a valid X509 version"):
        certificate.load_der(_changed(device, b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x01"))


def test_trailing_bytes(device: x509.Certificate) -> None:
    with pytest.raises(CertificateInvalid, match="cannot be read"):
        certificate.load_der(_der(device) + b"\0\0")


def test_attributes_for_policies(make: Make, ec_key: ec.EllipticCurvePrivateKey) -> None:
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "ACME"),
            x509.NameAttribute(NameOID.COMMON_NAME, "one"),
            x509.NameAttribute(NameOID.COMMON_NAME, "two"),
        ]
    )
    names = x509.SubjectAlternativeName([x509.DNSName("x.example"), x509.RFC822Name("a@b.example")])
    issuers = x509.IssuerAlternativeName([x509.UniformResourceIdentifier("urn:ca")])
    made = make(ec_key.public_key(), ec_key, subject=subject, extensions=((names, False), (issuers, False)))
    assert certificate.attributes(made) == (
        {
            "Organization": ["ACME"],
            "CommonName": ["one", "two"],
            "AlternativeName.DNSName": ["x.example"],
            "AlternativeName.RFC822Name": ["a@b.example"],
        },
        {"CommonName": ["issuer"], "AlternativeName.UniformResourceIdentifier": ["urn:ca"]},
    )


def test_alternative_names_that_cannot_be_read_are_left_out(make: Make, ec_key: ec.EllipticCurvePrivateKey) -> None:
    broken = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.17"), b"\x05\x00")
    made = make(ec_key.public_key(), ec_key, extensions=((broken, False),))
    assert certificate.attributes(made) == ({"CommonName": ["somebody"]}, {"CommonName": ["issuer"]})


def test_names_that_cannot_be_read(device: x509.Certificate) -> None:
    made = x509.load_der_x509_certificate(_changed(device, b"AWS IoT", b"AWS\xffIoT"))
    with pytest.raises(CertificateInvalid, match="names cannot be read"):
        certificate.attributes(made)


# --- issuing ---


def test_the_aws_profile_field_by_field(device: x509.Certificate, issuing: x509.Certificate, now: int) -> None:
    assert device.version is x509.Version.v3
    assert device.serial_number.bit_length() == 159
    assert device.subject == profile.common_name("AWS IoT Certificate")
    assert device.issuer == issuing.subject
    assert moments.from_datetime(device.not_valid_before_utc) == now - 120_000
    assert device.not_valid_after_utc.isoformat() == "2049-12-31T23:59:59+00:00"
    identifier = x509.SubjectKeyIdentifier.from_public_key(issuing.public_key()).digest
    assert [(each.value, each.critical) for each in device.extensions] == [
        (x509.AuthorityKeyIdentifier(identifier, None, None), False),
        (x509.SubjectKeyIdentifier.from_public_key(device.public_key()), False),
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (x509.KeyUsage(True, *[False] * 8), True),
    ]
    device.verify_directly_issued_by(issuing)


def test_the_strict_profile(
    issuer: IssuerCertificate, ec_key: ec.EllipticCurvePrivateKey, serial: int, now: int
) -> None:
    name = profile.common_name("device-7")
    prepared = certificate.prepare(profile.STRICT_DEVICE, issuer, name, ec_key.public_key(), serial, now)
    assert (prepared.subject, prepared.serial) == ("CN=device-7", serial)
    assert (prepared.not_before, prepared.not_after) == (now - 120_000, now + 365 * DAY)


def test_the_server_profile(
    issuer: IssuerCertificate, issuing_key: keys.PrivateKey, rsa_key: rsa.RSAPrivateKey, serial: int, now: int
) -> None:
    name, sans = profile.common_name("gate.example"), ("gate.example", "*.gate.example", "192.0.2.1", "2001:db8::1")
    prepared = certificate.prepare(profile.SERVER, issuer, name, rsa_key.public_key(), serial, now, sans)
    made = certificate.complete(prepared, KeyFileSigner(issuing_key).sign(prepared.tbs))
    subject, _ = certificate.attributes(made)
    assert subject["AlternativeName.DNSName"] == ["gate.example", "*.gate.example"]
    assert subject["AlternativeName.IPAddress"] == ["192.0.2.1", "2001:db8::1"]


def test_a_certificate_ends_with_its_issuer(
    issuer: IssuerCertificate, ec_key: ec.EllipticCurvePrivateKey, serial: int, now: int
) -> None:
    short = replace(issuer, ends=now + DAY)
    prepared = certificate.prepare(profile.AWS_DEVICE, short, None, ec_key.public_key(), serial, now)
    assert prepared.not_after == now + DAY
    with pytest.raises(CertificateInvalid, match=r"outlasts its issuer.*\(issuer-validity\)"):
        certificate.prepare(profile.STRICT_DEVICE, short, None, ec_key.public_key(), serial, now)
    with pytest.raises(CertificateInvalid, match="issuer's certificate ended 2026-09-21T14:13:20Z; renew it first"):
        certificate.prepare(profile.AWS_DEVICE, replace(issuer, ends=now), None, ec_key.public_key(), serial, now)


def test_what_cannot_be_made_is_refused_before_the_key_is_asked(
    issuer: IssuerCertificate, ec_key: ec.EllipticCurvePrivateKey, serial: int, now: int
) -> None:
    key = ec_key.public_key()
    lasting = replace(issuer, ends=moments.LATEST)
    with pytest.raises(InvalidRequest, match="need a subject"):
        certificate.prepare(profile.SERVER, issuer, None, key, serial, now)
    with pytest.raises(CertificateInvalid, match="cannot be made"):
        certificate.prepare(profile.AWS_DEVICE, issuer, None, key, 0, now)
    with pytest.raises(CertificateInvalid, match="cannot be made"):
        certificate.prepare(profile.AWS_DEVICE, lasting, None, key, serial, profile.END_OF_2049 + DAY)
    with pytest.raises(CertificateInvalid, match="cannot be made"):
        certificate.prepare(profile.SERVER, issuer, profile.common_name("x"), key, serial, now, ("bücher.example",))
    with pytest.raises(CertificateInvalid, match=r"\(unexpected-extension\)"):
        certificate.prepare(profile.AWS_DEVICE, issuer, None, key, serial, now, ("x.example",))
    with pytest.raises(CertificateInvalid, match=r"path length is 0. \(issuer-path\)"):
        certificate.prepare(profile.ISSUING_CA, issuer, profile.common_name("x"), key, serial, now)
    with pytest.raises(CertificateInvalid, match=r"\(serial\)"):
        certificate.prepare(profile.AWS_DEVICE, issuer, None, key, 7, now)
    other = ed25519.Ed25519PrivateKey.generate().public_key()
    with pytest.raises(CertificateInvalid, match="is ed25519"):
        certificate.prepare(profile.AWS_DEVICE, issuer, None, other, serial, now)  # type: ignore[arg-type] # the point


def test_serial_numbers_are_made_of_20_octets() -> None:
    for octets in (bytes(20), b"\xff" * 20):
        serial = certificate.serial_number(octets)
        assert serial.bit_length() == 159
        assert len(der.encode(der.INTEGER, serial.to_bytes(20))) == 22
    with pytest.raises(ValueError, match="20 random octets, not 16"):
        certificate.serial_number(bytes(16))


@pytest.fixture
def prepared(
    issuer: IssuerCertificate, ec_key: ec.EllipticCurvePrivateKey, serial: int, now: int
) -> certificate.Prepared:
    return certificate.prepare(profile.AWS_DEVICE, issuer, None, ec_key.public_key(), serial, now)


def test_one_signature_for_each_preparation(prepared: certificate.Prepared, issuing_key: keys.PrivateKey) -> None:
    signature = KeyFileSigner(issuing_key).sign(prepared.tbs)
    assert certificate.complete(prepared, signature).tbs_certificate_bytes == prepared.tbs
    with pytest.raises(RuntimeError, match="takes one signature"):
        certificate.complete(prepared, signature)


def test_threads_cannot_both_redeem(prepared: certificate.Prepared, issuing_key: keys.PrivateKey) -> None:
    signature = KeyFileSigner(issuing_key).sign(prepared.tbs)
    together = threading.Barrier(4)
    outcomes: list[str] = []

    def redeem() -> None:
        together.wait(10)
        try:
            certificate.complete(prepared, signature)
            outcomes.append("made")
        except RuntimeError:
            outcomes.append("refused")

    threads = [threading.Thread(target=redeem) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["made", "refused", "refused", "refused"]


@pytest.mark.parametrize("made_by", ["another key", "another family", "garbage", "other data"])
def test_a_signature_that_is_not_the_issuers(
    prepared: certificate.Prepared,
    issuing_key: keys.PrivateKey,
    root_key: keys.PrivateKey,
    rsa_key: rsa.RSAPrivateKey,
    made_by: str,
) -> None:
    signature = {
        "another key": KeyFileSigner(root_key).sign(prepared.tbs),
        "another family": KeyFileSigner(rsa_key).sign(prepared.tbs),
        "garbage": b"garbage",
        "other data": KeyFileSigner(issuing_key).sign(prepared.tbs + b"\0"),
    }[made_by]
    with pytest.raises(Unavailable, match="does not fit the issuer's certificate"):
        certificate.complete(prepared, signature)
    with pytest.raises(RuntimeError, match="takes one signature"):
        certificate.complete(prepared, KeyFileSigner(issuing_key).sign(prepared.tbs))
