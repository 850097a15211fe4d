from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fleetgate.errors import CertificateInvalid, RegistrationCodeInvalid
from fleetgate.pki import certificate, chain, fields, keys, profile
from fleetgate.pki.profile import DAY

Make = Callable[..., x509.Certificate]


@pytest.fixture(scope="module")
def own_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _refused(leaf: x509.Certificate, *rest: Any, **more: Any) -> str:
    with pytest.raises(CertificateInvalid) as caught:
        chain.verify_path(leaf, *rest, **more)
    return caught.value.message


# --- bundles ---


def test_a_bundle_keeps_its_order(device: x509.Certificate, issuing: x509.Certificate, root: x509.Certificate) -> None:
    text = "\n# comment\n".join(map(certificate.pem, (device, issuing, root)))
    assert chain.parse_bundle(text) == (device, issuing, root)


def test_a_bundle_has_one_to_ten(device: x509.Certificate) -> None:
    assert len(chain.parse_bundle(certificate.pem(device) * 10)) == 10
    with pytest.raises(CertificateInvalid, match="holds 11 certificates; at most 10"):
        chain.parse_bundle(certificate.pem(device) * 11)
    with pytest.raises(CertificateInvalid, match="holds no"):
        chain.parse_bundle("")


# --- who issued whom ---


def test_issued_by(device: x509.Certificate, issuing: x509.Certificate, root: x509.Certificate) -> None:
    assert chain.issued_by(device, issuing)
    assert chain.issued_by(issuing, root)
    assert chain.issued_by(root, root)
    assert not chain.issued_by(device, root)
    assert not chain.issued_by(issuing, device)


def test_the_direct_issuer_is_found(
    device: x509.Certificate, issuing: x509.Certificate, root: x509.Certificate
) -> None:
    assert chain.find_issuer(device, [root, device, issuing]) == issuing
    assert chain.find_issuer(device, [root]) is None


def test_a_ca_of_the_same_name_with_another_key_did_not_issue(
    make: Make, own_key: keys.PrivateKey, ec_key: keys.PrivateKey
) -> None:
    ca = make(own_key.public_key(), own_key, subject="CA", ca=True)
    twin = make(ec_key.public_key(), ec_key, subject="CA", ca=True)
    leaf = make(ec_key.public_key(), own_key, issuer="CA")
    assert chain.find_issuer(leaf, [twin, ca]) == ca
    assert chain.issuance_problems(leaf, twin) == [
        "Its signature was not made with the issuer's key, or over a hash other than SHA-2."
    ]


def test_names_match_despite_their_case(make: Make, own_key: keys.PrivateKey, ec_key: keys.PrivateKey) -> None:
    ca = make(own_key.public_key(), own_key, subject="My CA", ca=True)
    assert chain.issued_by(make(ec_key.public_key(), own_key, issuer="my  ca"), ca)
    assert chain.issuance_problems(make(ec_key.public_key(), own_key, issuer="Your CA"), ca) == [
        "Its issuer is not the subject of the other."
    ]


def test_key_identifiers_tell_issuers_apart(make: Make, own_key: keys.PrivateKey, ec_key: keys.PrivateKey) -> None:
    ski = x509.SubjectKeyIdentifier(b"\1" * 20)
    ca = make(own_key.public_key(), own_key, subject="CA", ca=True, extensions=((ski, False),))

    def leaf(identifier: bytes | None) -> x509.Certificate:
        wanted = x509.AuthorityKeyIdentifier(
            identifier, *((None, None) if identifier else ([x509.DirectoryName(ca.subject)], 5))
        )
        return make(ec_key.public_key(), own_key, issuer="CA", extensions=((wanted, False),))

    assert chain.issued_by(leaf(b"\1" * 20), ca)
    assert chain.issued_by(leaf(None), ca), "an issuer and serial number alone are not looked at"
    assert chain.issuance_problems(leaf(b"\2" * 20), ca) == [
        "Its authority key identifier is not the other's subject key identifier."
    ]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({}, "It is no CA certificate: its basic constraints must say CA:TRUE."),
        ({"ca": False}, "It is no CA certificate: its basic constraints must say CA:TRUE."),
        (
            {"ca": True, "extensions": ((x509.KeyUsage(True, *[False] * 8), True),)},
            "Its key usage lacks keyCertSign.",
        ),
    ],
)
def test_only_authorities_issue(make: Make, own_key: keys.PrivateKey, arguments: dict[str, Any], problem: str) -> None:
    ca = make(own_key.public_key(), own_key, subject="CA", **arguments)
    leaf = make(own_key.public_key(), own_key, issuer="CA")
    assert chain.issuance_problems(leaf, ca) == [problem]


def test_weak_authorities_issue_nothing(make: Make, ec_key: keys.PrivateKey) -> None:
    weak = rsa.generate_private_key(65_537, 1024)
    ca = make(weak.public_key(), weak, subject="CA", ca=True)
    assert "1024 bits" in chain.issuance_problems(make(ec_key.public_key(), weak, issuer="CA"), ca)[0]


@pytest.mark.parametrize(
    ("hash_with", "more", "fine"),
    [
        (hashes.SHA256(), {}, True),
        (hashes.SHA512(), {}, True),
        (hashes.SHA224(), {}, False),
        (hashes.SHA3_256(), {}, False),
        (hashes.SHA384(), {"rsa_padding": padding.PSS(padding.MGF1(hashes.SHA384()), 48)}, True),
    ],
)
def test_signature_algorithms(
    make: Make, rsa_key: rsa.RSAPrivateKey, hash_with: Any, more: dict[str, Any], fine: bool
) -> None:
    ca = make(rsa_key.public_key(), rsa_key, subject="CA", ca=True)
    assert chain.issued_by(make(rsa_key.public_key(), rsa_key, issuer="CA", hash_with=hash_with, **more), ca) is fine


def _signed_as(leaf: x509.Certificate, inner: str, outer: str) -> x509.Certificate:
    """*leaf* with other signature algorithms named: RSA with SHA-256 ends in 0b, with SHA-1 in 05."""
    rsa_oid = bytes.fromhex("06092a864886f70d0101")
    encoded = leaf.public_bytes(Encoding.DER)
    head, body, tail = encoded.split(rsa_oid + b"\x0b")
    return x509.load_der_x509_certificate(
        head + rsa_oid + bytes.fromhex(inner) + body + rsa_oid + bytes.fromhex(outer) + tail
    )


@pytest.mark.parametrize(("inner", "outer"), [("05", "05"), ("0b", "0c"), ("7f", "7f"), ("04", "04")])
def test_weak_unknown_or_contradictory_algorithms(
    make: Make, rsa_key: rsa.RSAPrivateKey, ec_key: keys.PrivateKey, inner: str, outer: str
) -> None:
    ca = make(rsa_key.public_key(), rsa_key, subject="CA", ca=True)
    leaf = make(ec_key.public_key(), rsa_key, issuer="CA")
    assert chain.issued_by(_signed_as(leaf, "0b", "0b"), ca)
    assert not chain.issued_by(_signed_as(leaf, inner, outer), ca)


def test_extensions_that_cannot_be_read_are_no_proof(make: Make, own_key: keys.PrivateKey) -> None:
    broken = x509.UnrecognizedExtension(x509.ObjectIdentifier(fields.AUTHORITY_KEY_IDENTIFIER), b"\x05\x00")
    ca = make(own_key.public_key(), own_key, subject="CA", ca=True)
    leaf = make(own_key.public_key(), own_key, issuer="CA", extensions=((broken, False),))
    assert "expected one element" in chain.issuance_problems(leaf, ca)[0]


# --- paths ---


def test_a_path_in_any_order(
    device: x509.Certificate, issuing: x509.Certificate, root: x509.Certificate, now: int
) -> None:
    assert chain.verify_path(device, [root, issuing, device], root, now) == (device, issuing, root)
    assert chain.verify_path(issuing, [], root, now) == (issuing, root)
    assert chain.verify_path(root, [], root, now) == (root,)


def test_a_registered_intermediate_is_an_anchor(device: x509.Certificate, issuing: x509.Certificate, now: int) -> None:
    assert chain.verify_path(device, [], issuing, now) == (device, issuing)


def test_no_path(device: x509.Certificate, issuing: x509.Certificate, root: x509.Certificate, now: int) -> None:
    assert "Its issuer is not the subject of the other." in _refused(device, [], root, now)
    assert "No given certificate issued" in _refused(device, [root], root, now)
    assert "There are 11 intermediate certificates" in _refused(device, [issuing] * 11, root, now)


def test_every_link_is_in_force(
    device: x509.Certificate, issuing: x509.Certificate, root: x509.Certificate, now: int
) -> None:
    message = _refused(device, [issuing], root, profile.END_OF_2049 + 1000)
    assert "The device's certificate is in force from 2026-09-21T14:11:20Z to 2049-12-31T23:59:59Z." in message
    assert "CA certificate 1 above it is in force" in message
    assert "CA certificate 2" not in message
    assert chain.verify_path(device, [issuing], root, profile.END_OF_2049)
    assert "CA certificate 2 above it is in force" in _refused(device, [issuing], root, now - DAY)


def test_a_leaf_may_outlast_its_issuer(make: Make, own_key: keys.PrivateKey, now: int) -> None:
    ca = make(own_key.public_key(), own_key, subject="CA", ca=True)
    leaf = make(own_key.public_key(), own_key, issuer="CA", end=now + 9999 * DAY)
    assert chain.verify_path(leaf, [], ca, now) == (leaf, ca)


def test_an_expired_link_does_not_hide_a_path(
    make: Make, own_key: keys.PrivateKey, root_key: keys.PrivateKey, now: int
) -> None:
    top = make(root_key.public_key(), root_key, subject="top", issuer="top", ca=True)
    old = make(own_key.public_key(), root_key, subject="CA", issuer="top", ca=True, start=now - 9 * DAY, end=now - DAY)
    new = make(own_key.public_key(), root_key, subject="CA", issuer="top", ca=True)
    leaf = make(own_key.public_key(), own_key, issuer="CA")
    assert chain.verify_path(leaf, [old, new], top, now) == (leaf, new, top)
    assert "CA certificate 1 above it is in force" in _refused(leaf, [old], top, now)


def test_crossed_signatures_do_not_mislead(
    make: Make, own_key: keys.PrivateKey, root_key: keys.PrivateKey, ec_key: keys.PrivateKey, now: int
) -> None:
    top = make(root_key.public_key(), root_key, subject="top", issuer="top", ca=True)
    detour = make(own_key.public_key(), ec_key, subject="CA", issuer="stranger", ca=True)
    circle = make(own_key.public_key(), own_key, subject="CA", issuer="CA", ca=True)
    right = make(own_key.public_key(), root_key, subject="CA", issuer="top", ca=True)
    leaf = make(own_key.public_key(), own_key, issuer="CA")
    assert chain.verify_path(leaf, [detour, circle, right], top, now) == (leaf, right, top)


def test_path_length(make: Make, own_key: keys.PrivateKey, now: int) -> None:
    key = own_key.public_key()
    top = make(key, own_key, subject="top", issuer="top", ca=True, path_length=0)
    middle = make(key, own_key, subject="middle", issuer="top", ca=True)
    leaf = make(key, own_key, issuer="middle")
    assert chain.verify_path(make(key, own_key, issuer="top"), [], top, now)
    assert "CA certificate 2 above it allows 0 CAs below it, and there are 1." in _refused(leaf, [middle], top, now)


def test_critical_extensions_that_are_not_understood(make: Make, own_key: keys.PrivateKey, now: int) -> None:
    constraints = x509.NameConstraints([x509.DNSName("example")], None)
    ca = make(own_key.public_key(), own_key, subject="CA", ca=True, extensions=((constraints, True),))
    leaf = make(own_key.public_key(), own_key, issuer="CA")
    assert "critical extension that is not understood here: 2.5.29.30" in _refused(leaf, [], ca, now)


def test_purpose(make: Make, own_key: keys.PrivateKey, now: int) -> None:
    def below(*purposes: x509.ObjectIdentifier) -> x509.Certificate:
        extension = ((x509.ExtendedKeyUsage(purposes), False),) if purposes else ()
        return make(own_key.public_key(), own_key, issuer="CA", extensions=extension)

    ca = make(own_key.public_key(), own_key, subject="CA", ca=True)
    for leaf in (
        below(),
        below(ExtendedKeyUsageOID.CLIENT_AUTH),
        below(ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE),
    ):
        assert chain.verify_path(leaf, [], ca, now, fields.CLIENT_AUTH)
    server = below(ExtendedKeyUsageOID.SERVER_AUTH)
    assert chain.verify_path(server, [], ca, now)
    assert "does not allow the purpose" in _refused(server, [], ca, now, fields.CLIENT_AUTH)


def test_links_that_cannot_be_read(make: Make, own_key: keys.PrivateKey, now: int) -> None:
    broken = x509.UnrecognizedExtension(x509.ObjectIdentifier(fields.EXTENDED_KEY_USAGE), b"\x05\x00")
    ca = make(own_key.public_key(), own_key, subject="CA", ca=True)
    leaf = make(own_key.public_key(), own_key, issuer="CA", extensions=((broken, False),))
    assert "The device's certificate cannot be read" in _refused(leaf, [], ca, now)


# --- registration ---

CODE = "7f" * 32


def test_an_authority(issuing: x509.Certificate, root: x509.Certificate, now: int) -> None:
    chain.check_authority(issuing, now)
    chain.check_authority(root, now)


def test_no_authority(device: x509.Certificate, now: int) -> None:
    with pytest.raises(CertificateInvalid) as caught:
        chain.check_authority(device, now + 9999 * DAY)
    assert caught.value.message.count("\n- ") == 3
    assert "so not now" in caught.value.message


def test_a_verification_certificate(make: Make, own_key: keys.PrivateKey, ec_key: keys.PrivateKey, now: int) -> None:
    ca = make(own_key.public_key(), own_key, subject="CA", ca=True)
    chain.check_verification(make(ec_key.public_key(), own_key, subject=CODE, issuer="CA"), ca, CODE, now)


@pytest.mark.parametrize(
    "subject",
    [
        profile.common_name(CODE[:-1] + "e"),
        profile.common_name(CODE[:-1]),
        profile.common_name("ä" * 32),
        x509.Name([]),
        x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, CODE)]),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each) for each in (CODE, "x")]),
    ],
)
def test_another_registration_code(make: Make, own_key: keys.PrivateKey, subject: x509.Name, now: int) -> None:
    ca = make(own_key.public_key(), own_key, subject="CA", ca=True)
    with pytest.raises(RegistrationCodeInvalid, match="GetRegistrationCode"):
        chain.check_verification(make(own_key.public_key(), own_key, subject=subject, issuer="CA"), ca, CODE, now)


def test_a_verification_certificate_of_another_ca(
    make: Make, own_key: keys.PrivateKey, ec_key: keys.PrivateKey, now: int
) -> None:
    ca = make(own_key.public_key(), own_key, subject="CA", ca=True)
    forged = make(ec_key.public_key(), ec_key, subject=CODE, issuer="CA")
    with pytest.raises(CertificateInvalid, match="signature was not made with the issuer's key"):
        chain.check_verification(forged, ca, CODE, now)


def test_a_verification_certificate_that_is_not_in_force(make: Make, own_key: keys.PrivateKey, now: int) -> None:
    ca = make(own_key.public_key(), own_key, subject="CA", ca=True)
    old = make(own_key.public_key(), own_key, subject=CODE, issuer="CA", start=now - 2 * DAY, end=now - DAY)
    with pytest.raises(CertificateInvalid, match="verification certificate is refused: It is in force from"):
        chain.check_verification(old, ca, CODE, now)
