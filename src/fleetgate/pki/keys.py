"""Key pairs: making, writing, reading and judging them; signatures with them."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Final, Literal, TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from fleetgate.errors import CertificateInvalid, InvalidRequest, all_of
from fleetgate.pki import der

PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
PublicKey: TypeAlias = rsa.RSAPublicKey | ec.EllipticCurvePublicKey

UNREADABLE: Final = (ValueError, TypeError, UnsupportedAlgorithm)
"""What `cryptography` raises at keys and certificates that strangers made."""


class KeyKind(StrEnum):
    RSA_2048 = "rsa-2048"
    RSA_3072 = "rsa-3072"
    RSA_4096 = "rsa-4096"
    EC_P256 = "ec-p256"
    EC_P384 = "ec-p384"
    EC_P521 = "ec-p521"


_RSA_BITS: Final = {KeyKind.RSA_2048: 2048, KeyKind.RSA_3072: 3072, KeyKind.RSA_4096: 4096}
_CURVES: Final[dict[KeyKind, type[ec.EllipticCurve]]] = {
    KeyKind.EC_P256: ec.SECP256R1,
    KeyKind.EC_P384: ec.SECP384R1,
    KeyKind.EC_P521: ec.SECP521R1,
}
CURVES: Final[dict[str, KeyKind]] = {str(curve.name): kind for kind, curve in _CURVES.items()}
"""The elliptic curves we accept, by `cryptography`'s names."""


def generate(kind: KeyKind) -> PrivateKey:
    """A new key pair: about 20 microseconds for a P-256 key, 40-80 milliseconds for RSA-2048 (outside the GIL)."""
    if kind in _RSA_BITS:
        return rsa.generate_private_key(65_537, _RSA_BITS[kind])
    return ec.generate_private_key(_CURVES[kind]())


def private_key_pem(key: PrivateKey) -> str:
    """Unencrypted, in the classic forms devices know: PKCS#1 `RSA PRIVATE KEY`, SEC 1 `EC PRIVATE KEY`."""
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode("ascii")


def public_key_pem(key: PublicKey) -> str:
    """`PUBLIC KEY`: SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7)."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.PEM, form).decode("ascii")


def public_key_der(key: PublicKey) -> bytes:
    """SubjectPublicKeyInfo."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def public_key_fingerprint(key: PublicKey) -> str:
    """SHA-256 of the SubjectPublicKeyInfo in hexadecimal: the same for every certificate of one key."""
    return hashlib.sha256(public_key_der(key)).hexdigest()


def key_identifier(public_key_info: bytes) -> bytes:
    """SHA-1 of the BIT STRING in an encoded SubjectPublicKeyInfo (RFC 5280 section 4.2.1.2, method 1).

    Raises der.Malformed.
    """
    parts = der.children(public_key_info, der.SEQUENCE)
    return hashlib.sha1(der.bits(parts[-1].body), usedforsecurity=False).digest()


def sealed_pem(key: PrivateKey, passphrase: bytes | None) -> bytes:
    """PKCS#8, encrypted (PBES2) unless *passphrase* is None."""
    how = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how)


def load_private_key(pem: bytes, passphrase: bytes | None = None) -> PrivateKey:
    """Reads PKCS#8, PKCS#1 or SEC 1. Raises InvalidRequest: a wrong or missing passphrase, a key neither RSA nor EC."""
    try:
        key = serialization.load_pem_private_key(pem, passphrase)
    except TypeError as error:
        missing = passphrase is None
        message = "encrypted: give its passphrase." if missing else "not encrypted: open it without a passphrase."
        raise InvalidRequest(f"The private key is {message}") from error
    except UNREADABLE as error:
        raise InvalidRequest("The private key cannot be read: no PEM private key, or a wrong passphrase.") from error
    if not isinstance(key, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey)):
        raise InvalidRequest("The private key is neither RSA nor elliptic curve; use one of those.")
    return key


def kind_of(key: object) -> str:
    """`rsa-2048`, `ec-p256`; what we have no name for as its library calls it."""
    if isinstance(key, rsa.RSAPublicKey):
        return f"rsa-{key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return CURVES.get(key.curve.name, f"ec-{key.curve.name}")
    return type(key).__name__.removesuffix("PublicKey").lower()


# --- judging keys ----------------------------------------------------------------------------------------------------


def as_public_key(key: object, error: type[InvalidRequest] = CertificateInvalid) -> PublicKey:
    """*key* itself when it is RSA or elliptic curve. Raises *error*."""
    if not isinstance(key, (rsa.RSAPublicKey, ec.EllipticCurvePublicKey)):
        raise error(f"The public key is {kind_of(key)}; use RSA or a NIST curve.")
    return key


def check_public_key(key: object, error: type[InvalidRequest] = CertificateInvalid) -> PublicKey:
    """*key* itself when it is strong enough. Raises *error* with every problem found."""
    if problems := key_problems(key):
        raise error(all_of(problems))
    return as_public_key(key, error)


def key_problems(key: object) -> list[str]:
    """What is wrong with a public key: type, size, curve, exponent, a modulus known to be weak."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        if key.curve.name in CURVES:
            return []
        return [f"The key is on curve {key.curve.name}; use NIST P-256, P-384 or P-521."]
    if isinstance(key, rsa.RSAPublicKey):
        numbers = key.public_numbers()
        return _exponent_problems(numbers.e) + _modulus_problems(numbers.n)
    return [f"The public key is {kind_of(key)}; use RSA (2048 bits or more) or NIST P-256, P-384, P-521."]


def _exponent_problems(exponent: int) -> list[str]:
    # 64 bits bound the cost of checking a signature; nobody uses longer ones.
    if exponent % 2 and 65_537 <= exponent < 1 << 64:
        return []
    return [f"The RSA exponent is {exponent if exponent < 1 << 64 else 'over 64 bits long'}; use 65537."]


def _modulus_problems(modulus: int) -> list[str]:
    size = modulus.bit_length()
    if not 2048 <= size <= 8192:
        return [f"The RSA key has {size} bits; use 2048 to 8192."]
    if math.gcd(modulus % _SMALL_PRIMES_PRODUCT, _SMALL_PRIMES_PRODUCT) != 1:
        return ["The RSA modulus has a small factor: the key is broken; make a new one."]
    if all(modulus % prime in residues for prime, residues in _ROCA):
        return ["The RSA modulus comes from a generator with the ROCA flaw (CVE-2017-15361); make a new key elsewhere."]
    if _has_close_primes(modulus):
        return ["The RSA modulus is a product of two primes too close to each other (CVE-2022-26320); make a new key."]
    return []


_SMALL_PRIMES: Final = tuple(n for n in range(2, 752) if all(n % d for d in range(2, math.isqrt(n) + 1)))
_SMALL_PRIMES_PRODUCT: Final = math.prod(_SMALL_PRIMES)


def _powers_of_65537(prime: int) -> frozenset[int]:
    return frozenset(pow(65_537, exponent, prime) for exponent in range(prime - 1))


# Flawed chips made primes k*M + (65537^a mod M), M being the product of the first primes, so their moduli are powers
# of 65537 modulo every small prime. Primes modulo which everything is a power of 65537 say nothing and are left out.
_ROCA: Final = tuple(
    (prime, residues)
    for prime in _SMALL_PRIMES
    if 2 < prime <= 167 and len(residues := _powers_of_65537(prime)) < prime - 1
)

# A square is a square modulo each of these too; so all but a few candidates fall without arithmetic on long integers.
_SQUARES: Final = tuple((modulus, frozenset(n * n % modulus for n in range(modulus))) for modulus in (64, 63, 65, 11))
_SQUARES_PERIOD: Final = math.prod(modulus for modulus, _ in _SQUARES)


def _has_close_primes(modulus: int) -> bool:
    """A hundred rounds of Fermat's factorisation, as the CA/Browser Forum's Baseline Requirements (6.1.1.3) ask."""
    mean = math.isqrt(modulus) + 1
    short_mean, short_modulus = mean % _SQUARES_PERIOD, modulus % _SQUARES_PERIOD
    return any(
        _is_square((mean + step) ** 2 - modulus)
        for step in range(100)
        if _may_be_square((short_mean + step) ** 2 - short_modulus)
    )


def _may_be_square(number: int) -> bool:
    for modulus, squares in _SQUARES:  # noqa: SIM110 # a hundred calls for each key: a loop is twice as fast as all()
        if number % modulus not in squares:
            return False
    return True


def _is_square(number: int) -> bool:
    return math.isqrt(number) ** 2 == number


# --- signatures ------------------------------------------------------------------------------------------------------

_HASHES: Final[dict[str, hashes.SHA256 | hashes.SHA384 | hashes.SHA512]] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
STRONG_HASHES: Final = frozenset(_HASHES)
"""The hash functions accepted in signatures; MD5 and SHA-1 are broken, the rest is unusual."""

# RFC 4055 section 5 and RFC 5758 section 3.2: the object identifiers' contents
_ALGORITHM_OIDS: Final = {
    ("rsa", "sha256"): "2a864886f70d01010b",
    ("rsa", "sha384"): "2a864886f70d01010c",
    ("rsa", "sha512"): "2a864886f70d01010d",
    ("ecdsa", "sha256"): "2a8648ce3d040302",
    ("ecdsa", "sha384"): "2a8648ce3d040303",
    ("ecdsa", "sha512"): "2a8648ce3d040304",
}


@dataclass(frozen=True)
class SignatureAlgorithm:
    """How an issuer signs: RSA with PKCS#1 v1.5 padding, or ECDSA; and over which hash."""

    scheme: Literal["rsa", "ecdsa"]
    hash_name: Literal["sha256", "sha384", "sha512"]

    @classmethod
    def of(cls, key: PublicKey) -> SignatureAlgorithm:
        """The algorithm we sign with under *key*: SHA-256, or the hash as long as the curve."""
        if isinstance(key, rsa.RSAPublicKey):
            return cls("rsa", "sha256")
        return cls("ecdsa", "sha256" if key.key_size <= 256 else "sha384" if key.key_size <= 384 else "sha512")

    @property
    def hash(self) -> hashes.SHA256 | hashes.SHA384 | hashes.SHA512:
        return _HASHES[self.hash_name]

    @cached_property
    def identifier(self) -> bytes:
        """The AlgorithmIdentifier in DER; RSA with NULL parameters, ECDSA with none."""
        oid = bytes.fromhex(_ALGORITHM_OIDS[self.scheme, self.hash_name])
        null = b"\x05\x00" if self.scheme == "rsa" else b""
        return der.encode(der.SEQUENCE, der.encode(der.OBJECT_IDENTIFIER, oid), null)

    def sign(self, key: PrivateKey, data: bytes) -> bytes:
        """Raises InvalidRequest when *key* is not of this scheme."""
        if isinstance(key, rsa.RSAPrivateKey) and self.scheme == "rsa":
            return key.sign(data, padding.PKCS1v15(), self.hash)
        if isinstance(key, ec.EllipticCurvePrivateKey) and self.scheme == "ecdsa":
            return key.sign(data, ec.ECDSA(self.hash))
        raise InvalidRequest(f"The key is {kind_of(key.public_key())}; it cannot sign with {self.scheme}.")

    def verifies(self, key: PublicKey, signature: bytes, data: bytes) -> bool:
        how = padding.PKCS1v15() if self.scheme == "rsa" else ec.ECDSA(self.hash)
        return verifies(key, signature, data, how, self.hash)


def verifies(
    key: PublicKey,
    signature: bytes,
    data: bytes,
    how: object,
    over: hashes.HashAlgorithm,
) -> bool:
    """Whether *signature* over *data* was made with the private half of *key*. *how* is an RSA padding or ec.ECDSA;
    False also when it does not fit the key.
    """
    try:
        if isinstance(key, rsa.RSAPublicKey) and isinstance(how, (padding.PSS, padding.PKCS1v15)):
            key.verify(signature, data, how, over)
            return True
        if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(how, ec.ECDSA):
            key.verify(signature, data, how)
            return True
    except (InvalidSignature, *UNREADABLE):
        return False
    return False
