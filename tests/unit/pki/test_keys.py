from __future__ import annotations

import hashlib
import math
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from fleetgate.errors import CertificateInvalid, InvalidRequest, InvalidSigningRequest
from fleetgate.pki import keys
from fleetgate.pki.keys import KeyKind, SignatureAlgorithm


@pytest.mark.parametrize(
    ("kind", "label"),
    [
        (KeyKind.RSA_2048, "RSA PRIVATE KEY"),
        (KeyKind.RSA_3072, "RSA PRIVATE KEY"),
        (KeyKind.EC_P256, "EC PRIVATE KEY"),
        (KeyKind.EC_P384, "EC PRIVATE KEY"),
        (KeyKind.EC_P521, "EC PRIVATE KEY"),
    ],
)
def test_every_kind_is_made_written_and_read(kind: KeyKind, label: str) -> None:
    key = keys.generate(kind)
    assert keys.kind_of(key.public_key()) == kind
    assert keys.key_problems(key.public_key()) == []
    text = keys.private_key_pem(key)
    assert text.startswith(f"-----BEGIN {label}-----\n")
    assert text.endswith(f"-----END {label}-----\n")
    again = keys.load_private_key(text.encode())
    assert again.private_numbers() == key.private_numbers()
    public = keys.public_key_pem(key.public_key())
    assert public.startswith("-----BEGIN PUBLIC KEY-----\n")
    assert public.endswith("\n")


def test_devices_with_small_buffers_can_hold_a_private_key() -> None:
    assert len(keys.private_key_pem(keys.generate(KeyKind.RSA_2048))) <= 2048


def test_fingerprint_is_that_of_the_subject_public_key_info(ec_key: ec.EllipticCurvePrivateKey) -> None:
    public = ec_key.public_key()
    assert keys.public_key_fingerprint(public) == hashlib.sha256(keys.public_key_der(public)).hexdigest()


def test_key_identifier_is_method_1(rsa_key: rsa.RSAPrivateKey, ec_key: ec.EllipticCurvePrivateKey) -> None:
    for key in (rsa_key.public_key(), ec_key.public_key()):
        wanted = x509.SubjectKeyIdentifier.from_public_key(key).digest
        assert keys.key_identifier(keys.public_key_der(key)) == wanted


# --- private keys under a passphrase ---


def test_a_sealed_key_opens_with_its_passphrase_alone(ec_key: ec.EllipticCurvePrivateKey) -> None:
    sealed = keys.sealed_pem(ec_key, b"correct horse")
    assert sealed.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert keys.load_private_key(sealed, b"correct horse").private_numbers() == ec_key.private_numbers()
    with pytest.raises(InvalidRequest, match="wrong passphrase"):
        keys.load_private_key(sealed, b"battery staple")
    with pytest.raises(InvalidRequest, match="encrypted: give its passphrase"):
        keys.load_private_key(sealed)


def test_an_unsealed_key_wants_no_passphrase(ec_key: ec.EllipticCurvePrivateKey) -> None:
    bare = keys.sealed_pem(ec_key, None)
    assert bare.startswith(b"-----BEGIN PRIVATE KEY-----")
    assert keys.load_private_key(bare).private_numbers() == ec_key.private_numbers()
    with pytest.raises(InvalidRequest, match="open it without"):
        keys.load_private_key(bare, b"x")


def test_other_keys_are_not_loaded() -> None:
    other = ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(InvalidRequest, match="neither RSA nor elliptic curve"):
        keys.load_private_key(other)
    with pytest.raises(InvalidRequest, match="cannot be read"):
        keys.load_private_key(b"hello")


# --- weak keys ---


def _public(n: int, e: int = 65_537) -> rsa.RSAPublicKey:
    return rsa.RSAPublicNumbers(e, n).public_key()


def _strong_modulus(rsa_key: rsa.RSAPrivateKey) -> int:
    return rsa_key.public_key().public_numbers().n


def _roca_modulus() -> int:
    """Two numbers of the flawed generator's form; that they are no primes is of no matter to the test for it."""
    small = math.prod(prime for prime in keys._SMALL_PRIMES if prime <= 167)
    first, second = (
        next(
            candidate
            for k in range(1 << 830, 1 << 831)
            if math.gcd(candidate := small * k + pow(65_537, exponent, small), keys._SMALL_PRIMES_PRODUCT) == 1
        )
        for exponent in (1234, 77)
    )
    return first * second


def _close_primes_modulus() -> int:
    """The product of two numbers 2000 apart; without small factors, so that nothing else is found."""
    start = (1 << 1024) - 1_000_001
    fit = [n for n in range(start, start - 6000, -2) if math.gcd(n, keys._SMALL_PRIMES_PRODUCT) == 1]
    return fit[0] * fit[40]


def test_a_strong_key_passes(rsa_key: rsa.RSAPrivateKey) -> None:
    key = rsa_key.public_key()
    assert keys.check_public_key(key) is key


@pytest.mark.parametrize(
    ("modulus", "problem"),
    [
        ((1 << 1023) | 1, "The RSA key has 1024 bits; use 2048 to 8192."),
        ((1 << 8192) | 1, "The RSA key has 8193 bits; use 2048 to 8192."),
        (3 * ((1 << 2048) | 1), "The RSA modulus has a small factor: the key is broken; make a new one."),
        (751 * ((1 << 2040) | 1), "The RSA modulus has a small factor: the key is broken; make a new one."),
    ],
)
def test_weak_moduli(modulus: int, problem: str) -> None:
    assert keys.key_problems(_public(modulus)) == [problem]


def test_an_even_modulus_is_broken() -> None:
    assert "small factor" in keys._modulus_problems(1 << 2047)[0]


def test_moduli_of_the_roca_generator() -> None:
    modulus = _roca_modulus()
    assert 2048 <= modulus.bit_length() <= 8192
    assert "ROCA" in keys._modulus_problems(modulus)[0]


def test_moduli_of_primes_too_close() -> None:
    modulus = _close_primes_modulus()
    assert modulus.bit_length() == 2048
    assert "too close" in keys._modulus_problems(modulus)[0]


def test_ordinary_moduli_are_not_taken_for_flawed_ones() -> None:
    for _ in range(5):
        assert keys.key_problems(keys.generate(KeyKind.RSA_2048).public_key()) == []


@pytest.mark.parametrize("exponent", [3, 17, 65_535, (1 << 64) + 1])
def test_exponents(rsa_key: rsa.RSAPrivateKey, exponent: int) -> None:
    problems = keys.key_problems(_public(_strong_modulus(rsa_key), exponent))
    assert len(problems) == 1
    assert "use 65537" in problems[0]


def test_even_exponents() -> None:
    assert keys._exponent_problems(65_538)


def test_every_problem_is_told() -> None:
    with pytest.raises(InvalidSigningRequest, match=r"exponent is 3(?s:.)*has 1024 bits"):
        keys.check_public_key(_public((1 << 1023) | 1, 3), InvalidSigningRequest)


def test_other_curves_and_other_algorithms() -> None:
    k1 = ec.generate_private_key(ec.SECP256K1()).public_key()
    assert keys.key_problems(k1) == ["The key is on curve secp256k1; use NIST P-256, P-384 or P-521."]
    assert keys.kind_of(k1) == "ec-secp256k1"
    other = ed25519.Ed25519PrivateKey.generate().public_key()
    assert keys.kind_of(other) == "ed25519"
    with pytest.raises(CertificateInvalid, match="is ed25519; use RSA"):
        keys.check_public_key(other)
    with pytest.raises(CertificateInvalid, match="is ed25519; use RSA or a NIST curve"):
        keys.as_public_key(other)


# --- signatures ---


@pytest.mark.parametrize(
    ("kind", "scheme", "hash_name"),
    [
        (KeyKind.RSA_2048, "rsa", "sha256"),
        (KeyKind.EC_P256, "ecdsa", "sha256"),
        (KeyKind.EC_P384, "ecdsa", "sha384"),
        (KeyKind.EC_P521, "ecdsa", "sha512"),
    ],
)
def test_the_hash_is_as_long_as_the_curve(kind: KeyKind, scheme: str, hash_name: str) -> None:
    key = keys.generate(kind)
    algorithm = SignatureAlgorithm.of(key.public_key())
    assert (algorithm.scheme, algorithm.hash_name, algorithm.hash.name) == (scheme, hash_name, hash_name)
    signature = algorithm.sign(key, b"data")
    assert algorithm.verifies(key.public_key(), signature, b"data")
    assert not algorithm.verifies(key.public_key(), signature, b"other data")


@pytest.mark.parametrize(("scheme", "hash_name"), list(keys._ALGORITHM_OIDS))
def test_identifiers_are_those_the_library_writes(
    scheme: Any, hash_name: Any, rsa_key: rsa.RSAPrivateKey, ec_key: ec.EllipticCurvePrivateKey, make: Any
) -> None:
    algorithm = SignatureAlgorithm(scheme, hash_name)
    key = rsa_key if scheme == "rsa" else ec_key
    made = make(key.public_key(), key, hash_with=algorithm.hash)
    assert made.tbs_certificate_bytes.count(algorithm.identifier) == 1


def test_a_key_of_another_scheme_does_not_sign(rsa_key: rsa.RSAPrivateKey, ec_key: ec.EllipticCurvePrivateKey) -> None:
    with pytest.raises(InvalidRequest, match="The key is ec-p256; it cannot sign with rsa"):
        SignatureAlgorithm("rsa", "sha256").sign(ec_key, b"")
    with pytest.raises(InvalidRequest, match="cannot sign with ecdsa"):
        SignatureAlgorithm("ecdsa", "sha256").sign(rsa_key, b"")


def test_a_key_of_another_scheme_verifies_nothing(
    rsa_key: rsa.RSAPrivateKey, ec_key: ec.EllipticCurvePrivateKey
) -> None:
    algorithm = SignatureAlgorithm.of(rsa_key.public_key())
    signature = algorithm.sign(rsa_key, b"data")
    assert not algorithm.verifies(ec_key.public_key(), signature, b"data")
    assert not keys.verifies(rsa_key.public_key(), signature, b"data", ec.ECDSA(algorithm.hash), algorithm.hash)
    assert keys.verifies(rsa_key.public_key(), signature, b"data", padding.PKCS1v15(), algorithm.hash)
    assert not algorithm.verifies(rsa_key.public_key(), b"", b"data")
    assert not SignatureAlgorithm.of(ec_key.public_key()).verifies(ec_key.public_key(), b"\x30\x00", b"data")
