from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from fleetgate.errors import AlreadyExists, Unavailable
from fleetgate.pki import keys
from fleetgate.pki.keys import KeyKind
from fleetgate.pki.signer import KeyFileSigner

PASSPHRASE = b"correct horse"


def test_a_key_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "ca.key"
    old = os.umask(0)
    try:
        KeyFileSigner.create(path, KeyKind.EC_P256, PASSPHRASE)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert [each.name for each in tmp_path.iterdir()] == ["ca.key"], "no draft is left"


@pytest.mark.parametrize("passphrase", [PASSPHRASE, None])
def test_what_is_created_can_be_opened(tmp_path: Path, passphrase: bytes | None) -> None:
    created = KeyFileSigner.create(tmp_path / "ca.key", KeyKind.EC_P384, passphrase)
    opened = KeyFileSigner.open(tmp_path / "ca.key", passphrase)
    assert opened.public_key == created.public_key
    assert opened.algorithm == created.algorithm == keys.SignatureAlgorithm("ecdsa", "sha384")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610, 0o601])
def test_a_file_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "ca.key"
    KeyFileSigner.create(path, KeyKind.EC_P256, PASSPHRASE)
    path.chmod(mode)
    with pytest.raises(Unavailable, match=rf"open to others \(mode {mode:04o}\); run: chmod 600 "):
        KeyFileSigner.open(path, PASSPHRASE)


def test_a_read_only_key_is_fine(tmp_path: Path) -> None:
    KeyFileSigner.create(tmp_path / "ca.key", KeyKind.EC_P256, None)
    (tmp_path / "ca.key").chmod(0o400)
    assert KeyFileSigner.open(tmp_path / "ca.key").sign(b"x")


def test_a_wrong_passphrase(tmp_path: Path) -> None:
    KeyFileSigner.create(tmp_path / "ca.key", KeyKind.EC_P256, PASSPHRASE)
    with pytest.raises(Unavailable, match=r"cannot be used\. The private key cannot be read"):
        KeyFileSigner.open(tmp_path / "ca.key", b"battery staple")
    with pytest.raises(Unavailable, match=r"cannot be used\. The private key is encrypted") as caught:
        KeyFileSigner.open(tmp_path / "ca.key")
    assert "battery" not in str(caught.value)


def test_a_weak_key(tmp_path: Path) -> None:
    path = tmp_path / "ca.key"
    path.touch(0o600)
    path.write_text(keys.private_key_pem(rsa.generate_private_key(65_537, 1024)))
    with pytest.raises(Unavailable, match="1024 bits"):
        KeyFileSigner.open(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot be read: No such file"):
        KeyFileSigner.open(tmp_path / "ca.key")


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "ca.key"
    first = KeyFileSigner.create(path, KeyKind.EC_P256)
    with pytest.raises(AlreadyExists, match=r"ca.key exists already; move it away"):
        KeyFileSigner.create(path, KeyKind.EC_P256)
    assert KeyFileSigner.open(path).public_key == first.public_key
    assert [each.name for each in tmp_path.iterdir()] == ["ca.key"]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot be written: No such file"):
        KeyFileSigner.create(tmp_path / "none" / "ca.key", KeyKind.EC_P256)


def test_printing_a_signer_shows_no_secret() -> None:
    key = keys.generate(KeyKind.EC_P256)
    shown = repr(KeyFileSigner(key))
    assert shown == f"KeyFileSigner(ec-p256, {keys.public_key_fingerprint(key.public_key())})"
