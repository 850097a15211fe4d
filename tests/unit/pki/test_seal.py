"""What is sealed opens with the key that sealed it, and with nothing else."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from fleetgate.errors import Unavailable
from fleetgate.pki.seal import Vault


def test_a_secret_comes_back_and_its_sealed_form_does_not_show_it(tmp_path: Path) -> None:
    vault = Vault.create(tmp_path / "key")
    sealed = vault.seal("wJalrXUtnFEMI")
    assert vault.open_sealed(sealed) == "wJalrXUtnFEMI"
    assert "wJalrXUtnFEMI" not in sealed
    assert sealed != vault.seal("wJalrXUtnFEMI")  # two secrets that are equal do not look it


def test_the_key_file_is_its_owners_alone_and_opens_what_it_sealed_before(tmp_path: Path) -> None:
    sealed = Vault.create(tmp_path / "key").seal("secret")
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert Vault.open(tmp_path / "key").open_sealed(sealed) == "secret"


def test_a_key_file_is_never_replaced(tmp_path: Path) -> None:
    Vault.create(tmp_path / "key")
    with pytest.raises(FileExistsError):
        Vault.create(tmp_path / "key")


def test_another_key_and_an_altered_text_are_refused(tmp_path: Path) -> None:
    one, other = Vault.create(tmp_path / "one"), Vault.create(tmp_path / "other")
    sealed = one.seal("secret")
    altered = sealed[:-6] + ("A" if sealed[-6] != "A" else "B") + sealed[-5:]
    for vault, text in ((other, sealed), (one, altered), (one, "no token")):
        with pytest.raises(Unavailable, match="does not open"):
            vault.open_sealed(text)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_file_that_others_may_read_is_refused_with_the_cure(tmp_path: Path, mode: int) -> None:
    Vault.create(tmp_path / "key")
    (tmp_path / "key").chmod(mode)
    with pytest.raises(Unavailable, match="chmod 600"):
        Vault.open(tmp_path / "key")


def test_a_missing_or_broken_key_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"abc")
    (tmp_path / "short").chmod(0o600)
    for name in ("missing", "short"):
        with pytest.raises(Unavailable, match="cannot be used"):
            Vault.open(tmp_path / name)


def test_keys_for_other_purposes_are_derived(tmp_path: Path) -> None:
    vault = Vault.create(tmp_path / "sealing.key")
    links = vault.derived("links")
    assert len(links) == 32
    assert Vault.open(tmp_path / "sealing.key").derived("links") == links
    assert vault.derived("other") != links
    assert Vault.create(tmp_path / "another.key").derived("links") != links
