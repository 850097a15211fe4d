"""OpenSSL's own program reads and verifies what we issue, and we read what it makes."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from cryptography import x509

from fleetgate.pki import certificate, chain, csr, keys, profile
from fleetgate.pki.issuer import IssuerCertificate
from fleetgate.pki.keys import KeyKind
from fleetgate.pki.profile import Profile
from fleetgate.pki.signer import KeyFileSigner

NOW: Final = 1_790_000_000_000
OPENSSL: Final = shutil.which("openssl") or ""

pytestmark = pytest.mark.skipif(not OPENSSL, reason="the openssl program is not installed")


def _run(*arguments: str | Path) -> str:
    ran = subprocess.run([OPENSSL, *map(str, arguments)], capture_output=True, text=True, timeout=30, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@dataclass(frozen=True)
class Shop:
    """A root and an issuing CA of one family, their files in *folder*."""

    folder: Path
    root: x509.Certificate
    issuing: x509.Certificate
    signer: KeyFileSigner

    def issue(self, under: Profile, key: keys.PublicKey, name: str, *sans: str) -> Path:
        issuer = IssuerCertificate.of(self.issuing)
        prepared = certificate.prepare(under, issuer, profile.common_name(name), key, _serial(name), NOW, sans)
        path = self.folder / f"{name}.pem"
        path.write_text(certificate.pem(certificate.complete(prepared, self.signer.sign(prepared.tbs))))
        return path


def _serial(text: str) -> int:
    return certificate.serial_number(hashlib.sha256(text.encode()).digest()[:20])


@pytest.fixture(scope="module", params=[KeyKind.EC_P256, KeyKind.EC_P384, KeyKind.RSA_2048])
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    folder = tmp_path_factory.mktemp("shop")
    top, signer = (KeyFileSigner.create(folder / f"{name}.key", request.param, None) for name in ("root", "issuing"))
    name = profile.common_name("Root")
    own = IssuerCertificate.self_signed(name, top.public_key)
    prepared = certificate.prepare(profile.ROOT_CA, own, name, top.public_key, _serial("root"), NOW)
    root = certificate.complete(prepared, top.sign(prepared.tbs))
    prepared = certificate.prepare(
        profile.ISSUING_CA,
        IssuerCertificate.of(root),
        profile.common_name("Issuing"),
        signer.public_key,
        _serial("issuing"),
        NOW,
    )
    issuing = certificate.complete(prepared, top.sign(prepared.tbs))
    (folder / "root.pem").write_text(certificate.pem(root))
    (folder / "issuing.pem").write_text(certificate.pem(issuing))
    return Shop(folder, root, issuing, signer)


@pytest.mark.parametrize(
    ("under", "purpose", "sans"),
    [
        (profile.AWS_DEVICE, "sslclient", ()),
        (profile.STRICT_DEVICE, "sslclient", ()),
        (profile.SERVER, "sslserver", ("gate.example", "192.0.2.1")),
    ],
)
def test_openssl_verifies_the_chain(shop: Shop, under: Profile, purpose: str, sans: tuple[str, ...]) -> None:
    key = keys.generate(KeyKind.EC_P256).public_key()
    leaf = shop.issue(under, key, sans[0] if sans else under.name, *sans)
    verify = ("verify", "-x509_strict", "-purpose", purpose, "-attime", str(NOW // 1000))
    said = _run(*verify, "-CAfile", shop.folder / "root.pem", "-untrusted", shop.folder / "issuing.pem", leaf)
    assert said.strip() == f"{leaf}: OK"


def test_openssl_prints_the_aws_profile(shop: Shop) -> None:
    leaf = shop.issue(profile.AWS_DEVICE, keys.generate(KeyKind.RSA_2048).public_key(), "printed")
    said = _run("x509", "-in", leaf, "-noout", "-text")
    for line in (
        "Version: 3 (0x2)",
        "Issuer: CN = Issuing",
        "Not After : Dec 31 23:59:59 2049 GMT",
        "Subject: CN = printed",
        "X509v3 Basic Constraints: critical\n                CA:FALSE",
        "X509v3 Key Usage: critical\n                Digital Signature",
    ):
        assert line in said.replace("CN=", "CN = ")
    fingerprint = _run("x509", "-in", leaf, "-noout", "-fingerprint", "-sha256").split("=")[1].strip()
    assert fingerprint.replace(":", "").lower() == certificate.fingerprint(certificate.load(leaf.read_text()))


@pytest.mark.parametrize("options", [("rsa:2048",), ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")])
def test_we_read_what_openssl_makes(tmp_path: Path, options: tuple[str, ...]) -> None:
    made, key = tmp_path / "made", tmp_path / "key"
    new_key: tuple[str | Path, ...] = ("-newkey", *options, "-nodes", "-keyout", key)
    _run("req", *new_key, "-subj", "/O=ACME/CN=device-1", "-out", made, "-text")
    verified = csr.parse(made.read_text())
    assert verified.subject.rfc4514_string() == "CN=device-1,O=ACME"
    assert keys.load_private_key(key.read_bytes()).public_key() == verified.public_key
    _run("req", "-x509", *new_key, "-subj", "/CN=CA", "-days", "10", "-out", made)
    ca = certificate.load(made.read_text())
    assert chain.issued_by(ca, ca)
    assert IssuerCertificate.of(ca).name.rfc4514_string() == "CN=CA"


@pytest.mark.parametrize("kind", [KeyKind.RSA_2048, KeyKind.EC_P256])
def test_openssl_reads_our_keys(tmp_path: Path, kind: KeyKind) -> None:
    key = keys.generate(kind)
    (tmp_path / "plain").write_text(keys.private_key_pem(key))
    (tmp_path / "sealed").write_bytes(keys.sealed_pem(key, b"secret"))
    for arguments in ((tmp_path / "plain",), (tmp_path / "sealed", "-passin", "pass:secret")):
        assert _run("pkey", "-in", *arguments, "-pubout") == keys.public_key_pem(key.public_key())
