"""Certificates that somebody else issues: a CA of a test's own, its leaves, signing requests."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY = dt.timedelta(days=1)


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def signing_request(key: ec.EllipticCurvePrivateKey, common_name: str = "device") -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(_name(common_name))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


@dataclass(frozen=True)
class TestAuthority:
    __test__ = False  # its name begins with Test, and it is none

    name: str
    key: ec.EllipticCurvePrivateKey = field(default_factory=new_key)

    @property
    def pem(self) -> str:
        """Its own certificate, a new one each time."""
        return self._pem(_name(self.name), self.key.public_key(), is_ca=True)

    def leaf(self, common_name: str = "device", *, ended: bool = False) -> str:
        """A certificate for a new key."""
        return self._pem(_name(common_name), new_key().public_key(), is_ca=False, ended=ended)

    def device(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey | None = None) -> str:
        """A certificate for *key*, or for a new one."""
        return self._pem(subject, (key or new_key()).public_key(), is_ca=False)

    def vouch(self, other: TestAuthority) -> str:
        """A certificate that makes *other* an intermediate CA below this one."""
        return self._pem(_name(other.name), other.key.public_key(), is_ca=True)

    def _pem(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *, is_ca: bool, ended: bool = False) -> str:
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(_name(self.name))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 2 * _DAY)
            .not_valid_after(now - _DAY if ended else now + 30 * _DAY)
            .add_extension(x509.BasicConstraints(is_ca, None), critical=True)
        )
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
