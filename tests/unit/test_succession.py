"""A CA is replaced, a passphrase is changed: what the next start finds, and what the audit trail says."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.server import REALM

from fleetgate import authority, config, revocation, succession
from fleetgate.errors import InvalidRequest, Unavailable
from fleetgate.pki import certificate, keys
from fleetgate.pki.keys import KeyKind
from fleetgate.pki.signer import KeyFileSigner
from fleetgate.registry import audit, certificates
from fleetgate.registry.certificates import Status
from fleetgate.works import Works, works


def settings(folder: Path, **more: Any) -> config.Config:
    return config.load(None, {"server.data_dir": str(folder), "authority.key_pool": 0, **more})


async def issued(inside: Works) -> str:
    runtime, act = inside.runtime, inside.runtime.act(REALM, "me")
    made = await authority.issue(runtime, act, keys.generate(KeyKind.EC_P256).public_key())
    await runtime.write(lambda tx: authority.record(tx, act, made, Status.ACTIVE))
    return made.pem


async def replaced(folder: Path, *, new_root: bool = False) -> succession.Succession:
    async with works(settings(folder)) as inside:
        act = inside.runtime.act(REALM, "me")
        return await succession.replace_authority(inside.runtime, inside.installation, act, new_root=new_root)


def verifies(folder: Path, root: str, leaf: str, between: str) -> bool:
    """OpenSSL's word."""
    (folder / "root").write_text(root)
    (folder / "leaf").write_text(leaf)
    (folder / "between").write_text(between)
    files = ["-CAfile", "root", "-untrusted", "between", "leaf"]
    return subprocess.run(["openssl", "verify", *files], cwd=folder, check=False, capture_output=True).returncode == 0


async def test_a_new_issuing_ca_under_the_same_root(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with works(settings(data)) as inside:
        before, old = inside.runtime.issuer, await issued(inside)
    made = await replaced(data)
    async with works(settings(data)) as inside:
        runtime = inside.runtime
        assert runtime.issuer.fingerprint == made.issuing != before.fingerprint == made.former
        assert [each.fingerprint for each in runtime.former] == [before.fingerprint]
        root = (data / "ca" / "root.pem").read_text()
        assert verifies(tmp_path, root, await issued(inside), runtime.issuer.chain_pem)
        assert verifies(tmp_path, root, old, before.chain_pem)
        act, fingerprint = runtime.act(REALM, "me"), certificate.fingerprint(certificate.load(old))
        await runtime.write(lambda tx: certificates.set_status(tx, act, fingerprint, Status.REVOKED))
        both = [await revocation.current_list(runtime, each) for each in runtime.issuers]
        assert [each.covers for each in both] == [0, 1], "who issued it revokes it"
        noted = await runtime.database.read(lambda tx: audit.page(tx, REALM))
        actions = sorted(each.action for each in noted.items if each.details.get("status") != "ACTIVE")
        assert actions == ["IssueCertificate", "ReplaceAuthority"], "the root's key was used once"


async def test_a_new_root_and_the_old_one_are_trusted_alike(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with works(settings(data)):
        old_root = (data / "ca" / "root.pem").read_text()
    await replaced(data, new_root=True)
    new_root = (data / "ca" / "root.pem").read_text()
    await replaced(data, new_root=True)
    newest = (data / "ca" / "root.pem").read_text()
    assert len({old_root, new_root, newest}) == 3
    async with works(settings(data)) as inside:
        leaf, chain = await issued(inside), inside.runtime.issuer.chain_pem
        assert all(verifies(tmp_path, each, leaf, chain) for each in (old_root, new_root, newest))
        act = inside.runtime.act(REALM, "me")
        await succession.retire_root(inside.runtime, inside.installation, act)
        with pytest.raises(InvalidRequest, match="no former root"):
            await succession.retire_root(inside.runtime, inside.installation, act)
    async with works(settings(data)) as inside:
        chain = inside.runtime.issuer.chain_pem
        found = [verifies(tmp_path, each, leaf, chain) for each in (old_root, new_root, newest)]
        assert found == [False, False, True]


async def test_another_passphrase_of_the_installations_own(tmp_path: Path) -> None:
    async with works(settings(tmp_path)) as inside:
        before = inside.runtime.issuer.fingerprint
    await replaced(tmp_path)
    old = (tmp_path / "secrets" / "passphrase").read_bytes().strip()
    async with works(settings(tmp_path)) as inside:
        act = inside.runtime.act(REALM, "me")
        file = await succession.change_passphrase(inside.runtime, inside.installation, act, None)
    assert file == tmp_path / "secrets" / "passphrase"
    assert file.read_bytes().strip() != old
    assert file.stat().st_mode & 0o777 == 0o600
    for each in (tmp_path / "ca").rglob("*.key"):
        with pytest.raises(Unavailable, match="wrong passphrase"):
            KeyFileSigner.open(each, old)
    async with works(settings(tmp_path)) as inside:
        assert [each.fingerprint for each in inside.runtime.former] == [before]
        noted = await inside.runtime.database.read(lambda tx: audit.page(tx, REALM, action="ChangePassphrase"))
        [entry] = noted.items
        assert len(entry.details["keys"]) == 4
        assert file.read_text().strip() not in str(entry)


async def test_another_passphrase_in_a_file_of_the_operators(tmp_path: Path) -> None:
    data, first, second = tmp_path / "data", tmp_path / "first", tmp_path / "second"
    for file in (first, second):
        file.touch(mode=0o600)
        file.write_text(f"the {file.name} passphrase\n")
    named = "authority.passphrase_file"
    async with works(settings(data, **{named: str(first)})) as inside:
        act = inside.runtime.act(REALM, "me")
        with pytest.raises(InvalidRequest, match="--to"):
            await succession.change_passphrase(inside.runtime, inside.installation, act, None)
        await succession.change_passphrase(inside.runtime, inside.installation, act, second)
    with pytest.raises(Unavailable, match="wrong passphrase"):
        async with works(settings(data, **{named: str(first)})):
            pass
    async with works(settings(data, **{named: str(second)})) as inside:
        await issued(inside)


async def test_a_disk_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with works(settings(tmp_path)) as inside:
        before = inside.runtime.issuer.fingerprint

        def full(*arguments: Any) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        runtime = inside.runtime
        with pytest.raises(Unavailable, match="No space left"):
            await succession.replace_authority(runtime, inside.installation, runtime.act(REALM, "me"), new_root=False)
        monkeypatch.undo()
    async with works(settings(tmp_path)) as inside:
        assert inside.runtime.issuer.fingerprint == before
        assert inside.runtime.former == ()


@pytest.mark.parametrize("second", ["replace", "passphrase"])
async def test_of_two_at_once_one_is_told_to_wait(tmp_path: Path, second: str) -> None:
    """Each would build on keys that the other one exchanges."""
    async with works(settings(tmp_path)) as inside:
        runtime, installation, former = inside.runtime, inside.installation, inside.runtime.issuer.fingerprint
        act = runtime.act(REALM, "me")
        other = (
            succession.replace_authority(runtime, installation, act, new_root=False)
            if second == "replace"
            else succession.change_passphrase(runtime, installation, act, None)
        )
        first = succession.replace_authority(runtime, installation, act, new_root=False)
        done, refused = await asyncio.gather(first, other, return_exceptions=True)
        assert isinstance(done, succession.Succession)
        assert isinstance(refused, Unavailable)
    async with works(settings(tmp_path)) as inside:
        assert inside.runtime.issuer.fingerprint == done.issuing
        assert [each.fingerprint for each in inside.runtime.former] == [former]


async def test_a_ca_that_was_replaced_meanwhile_keeps_its_key(tmp_path: Path) -> None:
    async with works(settings(tmp_path)) as inside:  # as a command that began before the other one had ended
        former, act = inside.runtime.issuer.fingerprint, inside.runtime.act(REALM, "me")
        first = await succession.replace_authority(inside.runtime, inside.installation, act, new_root=False)
        second = await succession.replace_authority(inside.runtime, inside.installation, act, new_root=False)
    assert (first.former, second.former) == (former, first.issuing)
    async with works(settings(tmp_path)) as inside:
        assert {each.fingerprint for each in inside.runtime.former} == {former, first.issuing}
        for each in inside.runtime.former:
            assert revocation.issuer_of(inside.runtime, each.fingerprint) is each
