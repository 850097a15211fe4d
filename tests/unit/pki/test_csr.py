from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from fleetgate.errors import InvalidSigningRequest
from fleetgate.pki import csr, der, pem, profile

CsrOf = Callable[..., str]


def _der(text: str) -> bytes:
    return pem.blocks(text)[0].der


def _refused(text: str) -> str:
    with pytest.raises(InvalidSigningRequest) as caught:
        csr.parse(text)
    return caught.value.message


def _rebuilt(text: str, subject: bytes | None = None, attributes: bytes | None = None, resign: object = None) -> str:
    """The request with another subject or other attributes; signed anew when a key is given."""
    info, algorithm, signature = der.children(_der(text), der.SEQUENCE)
    parts = [each.raw for each in der.elements(info.body)]
    if subject is not None:
        parts[1] = subject
    if attributes is not None:
        parts[3:] = [der.encode(der.context(0), attributes)]
    signed = der.encode(der.SEQUENCE, *parts)
    last = signature.raw
    if isinstance(resign, ec.EllipticCurvePrivateKey):
        last = der.encode(der.BIT_STRING, b"\0", resign.sign(signed, ec.ECDSA(hashes.SHA256())))
    return pem.text_of("CERTIFICATE REQUEST", der.encode(der.SEQUENCE, signed, algorithm.raw, last))


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_nist_curves(csr_of: CsrOf, curve: ec.EllipticCurve) -> None:
    key = ec.generate_private_key(curve)
    verified = csr.parse(csr_of(key))
    assert verified.public_key == key.public_key()
    assert verified.subject == profile.common_name("device-1")
    assert verified.requested_extensions == ()


def test_rsa(csr_of: CsrOf, rsa_key: rsa.RSAPrivateKey) -> None:
    for hash_with in (hashes.SHA256(), hashes.SHA384(), hashes.SHA512()):
        assert csr.parse(csr_of(rsa_key, hash_with=hash_with)).public_key == rsa_key.public_key()


def test_rsa_with_probabilistic_padding(csr_of: CsrOf, rsa_key: rsa.RSAPrivateKey) -> None:
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    assert csr.parse(csr_of(rsa_key, rsa_padding=pss)).public_key == rsa_key.public_key()


def test_requested_extensions_are_facts(csr_of: CsrOf, ec_key: ec.EllipticCurvePrivateKey) -> None:
    wish = x509.BasicConstraints(ca=True, path_length=None)
    names = x509.SubjectAlternativeName([x509.DNSName("x.example")])
    verified = csr.parse(csr_of(ec_key, extensions=(wish, names)))
    assert verified.requested_extensions == (
        ("2.5.29.19", False, wish.public_bytes()),
        ("2.5.29.17", False, names.public_bytes()),
    )


def test_other_attributes_are_ignored(csr_of: CsrOf, ec_key: ec.EllipticCurvePrivateKey) -> None:
    challenge = bytes.fromhex("06092a864886f70d010907") + der.encode(der.SET, der.encode(0x0C, b"secret"))
    text = _rebuilt(csr_of(ec_key), attributes=der.encode(der.SEQUENCE, challenge), resign=ec_key)
    assert csr.parse(text).requested_extensions == ()


def test_an_empty_subject_is_proper(csr_of: CsrOf, ec_key: ec.EllipticCurvePrivateKey) -> None:
    assert csr.parse(csr_of(ec_key, subject=x509.Name([]))).subject == x509.Name([])


def test_text_around_the_request_is_dropped(csr_of: CsrOf, ec_key: ec.EllipticCurvePrivateKey) -> None:
    plain = csr_of(ec_key)
    old_label = plain.replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST")
    assert csr.parse(f"Certificate Request:\n    Data:\n{old_label}\n# end\n").pem == plain


def test_length(csr_of: CsrOf, ec_key: ec.EllipticCurvePrivateKey) -> None:
    text = csr_of(ec_key)
    assert csr.parse(text + " " * (4096 - len(text))).public_key == ec_key.public_key()
    assert "has 4097 characters; at most 4096" in _refused(text + " " * (4097 - len(text)))


def test_exactly_one_request(csr_of: CsrOf, ec_key: ec.EllipticCurvePrivateKey, device: x509.Certificate) -> None:
    text = csr_of(ec_key)
    certificate = device.public_bytes(Encoding.PEM).decode()
    assert "exactly one CERTIFICATE REQUEST block, not CERTIFICATE REQUEST, CERTIFICATE REQUEST" in _refused(text * 2)
    assert "not CERTIFICATE REQUEST, CERTIFICATE." in _refused(text + certificate)
    assert "not CERTIFICATE." in _refused(certificate)
    assert "The PEM text holds no -----BEGIN" in _refused("")
    assert "breaks off" in _refused(text[:-30])


def test_a_signature_of_another_key(csr_of: CsrOf, ec_key: ec.EllipticCurvePrivateKey) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    text = _rebuilt(csr_of(ec_key), attributes=b"", resign=other)
    assert "Its signature was not made with the private half of its public key." in _refused(text)


def test_a_changed_subject_breaks_the_signature(csr_of: CsrOf, ec_key: ec.EllipticCurvePrivateKey) -> None:
    text = _rebuilt(csr_of(ec_key), subject=profile.common_name("device-2").public_bytes())
    assert "signature was not made" in _refused(text)


def test_weak_keys(csr_of: CsrOf) -> None:
    assert "The RSA key has 1024 bits" in _refused(csr_of(rsa.generate_private_key(65_537, 1024)))
    assert "The RSA exponent is 3" in _refused(csr_of(rsa.generate_private_key(3, 2048)))
    assert "curve secp256k1" in _refused(csr_of(ec.generate_private_key(ec.SECP256K1())))
    assert "The public key is ed25519" in _refused(csr_of(ed25519.Ed25519PrivateKey.generate(), hash_with=None))


def test_weak_hashes(csr_of: CsrOf, ec_key: ec.EllipticCurvePrivateKey, rsa_key: rsa.RSAPrivateKey) -> None:
    assert "signed over SHA224" in _refused(csr_of(ec_key, hash_with=hashes.SHA224()))
    sha1, md5 = "2a864886f70d010105", "2a864886f70d010104"
    for oid, name in ((sha1, "SHA1"), (md5, "MD5")):
        encoded = _der(csr_of(rsa_key)).replace(bytes.fromhex("2a864886f70d01010b"), bytes.fromhex(oid))
        assert f"signed over {name}" in _refused(pem.text_of("CERTIFICATE REQUEST", encoded))


def test_an_unknown_signature_algorithm(csr_of: CsrOf, rsa_key: rsa.RSAPrivateKey) -> None:
    encoded = _der(csr_of(rsa_key)).replace(bytes.fromhex("2a864886f70d01010b"), bytes.fromhex("2a864886f70d01017f"))
    assert "an algorithm we do not know" in _refused(pem.text_of("CERTIFICATE REQUEST", encoded))


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (b"a\0b", "control or invisible"),
        (b"a\r\nb", "control or invisible"),
        (b"a" * 65, "CommonName is 65 long"),
        (b"", "CommonName is empty"),
        (b"\xff", "cannot be read"),
    ],
)
def test_improper_subjects(csr_of: CsrOf, ec_key: ec.EllipticCurvePrivateKey, value: bytes, complaint: str) -> None:
    attribute = der.encode(der.SEQUENCE, bytes.fromhex("0603550403"), der.encode(0x0C, value))
    subject = der.encode(der.SEQUENCE, der.encode(der.SET, attribute))
    assert complaint in _refused(_rebuilt(csr_of(ec_key), subject=subject, resign=ec_key))


def test_a_subject_that_the_library_refuses(csr_of: CsrOf, ec_key: ec.EllipticCurvePrivateKey) -> None:
    attribute = der.encode(der.SEQUENCE, bytes.fromhex("0603550403"), der.encode(der.BIT_STRING, b"\0\5"))
    subject = der.encode(der.SEQUENCE, der.encode(der.SET, attribute))
    assert "cannot be read" in _refused(_rebuilt(csr_of(ec_key), subject=subject, resign=ec_key))


def test_all_problems_at_once(csr_of: CsrOf) -> None:
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "a" * 65)])
    key = rsa.generate_private_key(65_537, 1024)
    message = _refused(csr_of(key, subject=name, hash_with=hashes.SHA224()))
    assert message.count("\n- ") == 3


@pytest.mark.parametrize("encoded", [b"\x30\x00", b"\x30\x02\x30\x00", b"\x02\x01\x05", b"\x05\x00" * 3])
def test_other_structures(encoded: bytes) -> None:
    assert "cannot be read" in _refused(pem.text_of("CERTIFICATE REQUEST", encoded))


def test_broken_attributes(csr_of: CsrOf, ec_key: ec.EllipticCurvePrivateKey) -> None:
    text = csr_of(ec_key)
    request = bytes.fromhex("06092a864886f70d01090e")
    for attributes in (b"\x30\x00", der.encode(der.SEQUENCE, request, der.encode(der.SET, b"\x30\x02\x05\x00"))):
        assert "cannot be read" in _refused(_rebuilt(text, attributes=attributes, resign=ec_key))


def test_another_version(csr_of: CsrOf, ec_key: ec.EllipticCurvePrivateKey) -> None:
    encoded = _der(csr_of(ec_key)).replace(b"\x02\x01\x00", b"\x02\x01\x01", 1)
    assert "cannot be read" in _refused(pem.text_of("CERTIFICATE REQUEST", encoded))
