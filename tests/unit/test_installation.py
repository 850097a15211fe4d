"""What is in a data directory, and what becomes of a start that was cut short or finds something wrong."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from fleetgate import config
from fleetgate.errors import FleetgateError, Unavailable
from fleetgate.installation import RENEW_BEFORE, Installation, open_installation
from fleetgate.pki import certificate, keys
from fleetgate.pki.profile import DAY

NOW = 1_790_000_000_000
NAMES = ("localhost", "127.0.0.1", "::1")


def start(folder: Path, now: int = NOW, **overrides: Any) -> Installation:
    given = {name.replace("__", "."): value for name, value in overrides.items()}
    return open_installation(folder, config.load(None, given), os.urandom, now)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


def tree(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}


def test_a_first_start_makes_everything_and_keeps_keys_to_itself(folder: Path) -> None:
    installation = start(folder)
    renew(installation, NAMES, NOW)
    assert installation.founded
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert tree(folder) == {
        "ca": 0o700,
        "ca/root.pem": 0o644,
        "ca/root.key": 0o600,
        "ca/issuing.pem": 0o644,
        "ca/issuing.key": 0o600,
        "tls": 0o700,
        "tls/server.pem": 0o644,
        "tls/server.key": 0o600,
        "secrets": 0o700,
        "secrets/passphrase": 0o600,
        "secrets/sealing.key": 0o600,
    }
    for name in ("root", "issuing"):
        assert b"ENCRYPTED PRIVATE KEY" in (folder / "ca" / f"{name}.key").read_bytes()


def test_a_second_start_finds_it_as_it_was(folder: Path) -> None:
    first, again = start(folder), start(folder, NOW + DAY)
    assert not again.founded
    assert again.issuer.fingerprint == first.issuer.fingerprint
    assert again.vault.open_sealed(first.vault.seal("secret")) == "secret"


def test_the_chain_leads_to_the_root(folder: Path) -> None:
    installation = start(folder)
    issuing, root = certificate.load_all(installation.issuer.chain_pem, 2)
    issuing.verify_directly_issued_by(root)
    root.verify_directly_issued_by(root)
    assert installation.root_file.read_text() == certificate.pem(root)
    assert installation.issuer.fingerprint == certificate.fingerprint(issuing)


@pytest.mark.parametrize("kind", ["ec-p256", "ec-p384", "rsa-2048"])
def test_the_ca_has_the_configured_kind_of_key(folder: Path, kind: str) -> None:
    installation = start(folder, authority__ca_key=kind)
    assert keys.kind_of(installation.issuer.signer.public_key) == kind


def test_the_profile_of_devices(folder: Path) -> None:
    assert start(folder).issuer.profile.name == "aws-device"
    strict = start(folder, authority__profile="strict", authority__device_validity="30d").issuer.profile
    assert (strict.name, strict.validity.duration, strict.validity.cut_to_issuer) == ("strict-device", 30 * DAY, True)


@pytest.mark.parametrize("left", ["ca/issuing.key", "ca/root.pem", "ca/root.key"])
def test_a_start_that_was_cut_short_is_begun_again(folder: Path, left: str) -> None:
    (folder / "ca").mkdir(parents=True)
    (folder / left).write_text("half made")
    assert start(folder).founded


class Crash(BaseException):
    pass


def test_a_crash_at_any_change_to_the_disk_is_started_from(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However far a first start came, the next one ends with an installation that opens and serves."""
    left: list[int | None] = [None]

    def dying(operation: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            if left[0] is not None:
                if left[0] == 0:
                    raise Crash
                left[0] -= 1
            return operation(*arguments, **named)

        return call

    for name in ("mkdir", "open", "write", "fsync", "replace", "link", "unlink"):
        monkeypatch.setattr(os, name, dying(getattr(os, name)))
    crashes, crashed = 0, True
    while crashed:
        place, left[0], crashed = folder / str(crashes), crashes, False
        try:
            renew(start(place), NAMES, NOW)
        except Crash:
            crashed = True
        left[0] = None
        installation = start(place)
        renew(installation, NAMES, NOW)
        _check_server_certificate(installation, NAMES)
        crashes += 1
    assert crashes > 20


# --- the server's certificate -----------------------------------------------------------------------------------------


def renew(installation: Installation, names: tuple[str, ...], now: int) -> bool:
    """Whether a server certificate was due, and then there is one."""
    due = installation.prepare_server_certificate(names, now)
    if due is not None:
        installation.complete_server_certificate(due[0])
    return due is not None


def _check_server_certificate(installation: Installation, names: tuple[str, ...]) -> x509.Certificate:
    leaf, issuing, root = certificate.load_all(installation.server_chain.read_text(), 3)
    leaf.verify_directly_issued_by(issuing)
    issuing.verify_directly_issued_by(root)
    own = keys.load_private_key(installation.server_key.read_bytes())
    assert leaf.public_key() == own.public_key()
    carried = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    found = [*carried.get_values_for_type(x509.DNSName), *map(str, carried.get_values_for_type(x509.IPAddress))]
    assert tuple(found) == names
    return leaf


def test_it_speaks_for_the_configured_names(folder: Path) -> None:
    installation = start(folder)
    assert renew(installation, NAMES, NOW)
    _check_server_certificate(installation, NAMES)
    assert not renew(installation, NAMES, NOW), "it is good as it is"


@pytest.mark.parametrize(
    ("names", "later", "anew"),
    [
        (NAMES, 60 * DAY - 2000, False),
        (NAMES, 60 * DAY + 2000, True),
        (("iot.example", *NAMES), 0, True),
        (NAMES[:1], 0, True),
    ],
)
def test_it_is_made_anew_when_it_is_due(folder: Path, names: tuple[str, ...], later: int, anew: bool) -> None:
    assert RENEW_BEFORE == 30 * DAY
    installation = start(folder)
    renew(installation, NAMES, NOW)
    assert renew(installation, names, NOW + later) is anew
    if anew:
        _check_server_certificate(installation, names)


def test_it_is_made_anew_when_key_and_certificate_do_not_fit(folder: Path) -> None:
    installation = start(folder)
    renew(installation, NAMES, NOW)
    installation.server_key.write_bytes(keys.sealed_pem(keys.generate(keys.KeyKind.EC_P256), None))
    assert renew(installation, NAMES, NOW)
    _check_server_certificate(installation, NAMES)


# --- passphrases ------------------------------------------------------------------------------------------------------


def test_a_passphrase_file_that_is_not_there_is_told_by_its_setting(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"authority\.passphrase_file.* cannot be read: No such file"):
        start(folder, authority__passphrase_file=str(tmp_path / "nofile"))


def test_a_passphrase_from_a_file(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "passphrase"
    file.write_text("correct horse\nand what stands below\n")
    file.chmod(0o600)
    start(folder, authority__passphrase_file=str(file))
    assert not (folder / "secrets" / "passphrase").exists()
    start(folder, authority__passphrase_file=str(file))
    file.write_text("wrong\n")
    with pytest.raises(FleetgateError, match="passphrase"):
        start(folder, authority__passphrase_file=str(file))


def _open_to_others(file: Path) -> None:
    file.write_text("x\n")
    file.chmod(0o640)


def _empty(file: Path) -> None:
    file.write_text("\nx")
    file.chmod(0o600)


@pytest.mark.parametrize(
    ("prepare", "why"),
    [
        (_open_to_others, "open to others than its owner; run: chmod 600"),
        (_empty, "has no passphrase on its first line"),
        (lambda _: None, "No such file"),
    ],
)
def test_a_passphrase_file_that_cannot_be_used(
    folder: Path, tmp_path: Path, prepare: Callable[[Path], None], why: str
) -> None:
    file = tmp_path / "passphrase"
    prepare(file)
    with pytest.raises(Unavailable, match=why):
        start(folder, authority__passphrase_file=str(file))


def test_a_data_directory_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match=r"data directory .*/file cannot be used"):
        start(tmp_path / "file")


def test_a_half_founded_ca_is_told(folder: Path) -> None:
    start(folder)
    (folder / "ca" / "root.pem").unlink()
    with pytest.raises(Unavailable, match="cannot be used"):
        start(folder)
