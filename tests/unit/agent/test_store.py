from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from fleetgate.agent.errors import StoreUnusable
from fleetgate.agent.store import FolderStore, Identity, MemoryStore, Step, Store
from fleetgate.agent.tls import KeyFiles, KeyTexts

KEY = Identity(private_key="key", request="csr")
CERTIFIED = replace(KEY, certificate="pem", certificate_id="1", token="token")
PROVISIONED = replace(CERTIFIED, token=None, registered=True, thing_name="t", device_configuration={"a": "b"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "device"


def test_the_steps_of_an_identity() -> None:
    assert Identity().step is Step.NOTHING
    assert KEY.step is Step.KEY
    assert CERTIFIED.step is Step.CERTIFIED
    assert replace(CERTIFIED, token=None).step is Step.KEY, "a certificate without a token leads nowhere"
    assert PROVISIONED.step is Step.PROVISIONED
    assert Step.NOTHING < Step.KEY < Step.CERTIFIED < Step.PROVISIONED


def walk(store: Store) -> None:
    assert store.current() is None
    assert store.draft() == Identity()
    for identity in (KEY, CERTIFIED, PROVISIONED):
        store.keep(identity)
        assert store.draft() == identity
    assert store.current() is None
    store.adopt()
    assert store.current() == PROVISIONED
    assert store.draft() == Identity()


def test_in_memory() -> None:
    store = MemoryStore()
    with pytest.raises(StoreUnusable, match="no certificate yet"):
        store.credentials(draft=False)
    with pytest.raises(StoreUnusable, match="no certificate yet"):
        store.credentials(draft=True)
    walk(store)
    assert store.credentials(draft=False) == KeyTexts("pem", "key")


def test_on_disk(folder: Path) -> None:
    with FolderStore(folder) as store:
        walk(store)
    with FolderStore(folder) as store:
        assert store.current() == PROVISIONED


def test_each_step_outlives_the_process(folder: Path) -> None:
    for identity in (KEY, CERTIFIED, PROVISIONED):
        with FolderStore(folder) as store:
            store.keep(identity)
        with FolderStore(folder) as store:
            assert store.draft() == identity


def test_what_is_forgotten_stays_forgotten(folder: Path) -> None:
    with FolderStore(folder) as store:
        store.keep(CERTIFIED)
        store.keep(replace(CERTIFIED, certificate=None, certificate_id=None, token=None))
    with FolderStore(folder) as store:
        assert store.draft().step is Step.KEY
        assert store.draft().private_key == "key"


def test_the_files_and_who_may_read_them(folder: Path) -> None:
    os.umask(os.umask(0))  # whatever the umask is
    with FolderStore(folder) as store:
        store.keep(PROVISIONED)
        assert store.credentials(draft=True) == KeyFiles(folder / "1/certificate.pem", folder / "1/private.key")
        store.adopt()
        assert store.credentials(draft=False) == KeyFiles(folder / "1/certificate.pem", folder / "1/private.key")
    assert (folder / "current" / "private.key").read_text() == "key"
    assert (folder / "current").readlink() == Path("1")
    modes = {path.name: stat.S_IMODE(path.lstat().st_mode) for path in (folder, *folder.rglob("*"))}
    del modes["current"]
    assert modes == {
        "device": 0o700,
        "lock": 0o600,
        "1": 0o700,
        "private.key": 0o600,
        "request.csr": 0o600,
        "certificate.pem": 0o600,
        "state.json": 0o600,
    }
    assert "key" not in (folder / "1/state.json").read_text()


def test_the_next_identity_is_beside_the_old_one_until_it_is_in_force(folder: Path) -> None:
    with FolderStore(folder) as store:
        store.keep(PROVISIONED)
        store.adopt()
        store.keep(replace(KEY, private_key="other"))
        assert store.current() == PROVISIONED
        assert (folder / "2/private.key").read_text() == "other"
        store.keep(replace(PROVISIONED, private_key="other"))
        store.adopt()
        assert store.current() == replace(PROVISIONED, private_key="other")
    assert sorted(path.name for path in folder.iterdir()) == ["2", "current", "lock"]


def test_one_agent_at_a_time(folder: Path) -> None:
    with FolderStore(folder), pytest.raises(StoreUnusable, match="Another agent works in"), FolderStore(folder):
        pass
    with FolderStore(folder):
        pass


@pytest.mark.parametrize(
    ("path", "mode"), [("", 0o750), ("1", 0o701), ("1/private.key", 0o640), ("1/state.json", 0o602)]
)
def test_what_others_can_get_at_is_refused(folder: Path, path: str, mode: int) -> None:
    with FolderStore(folder) as store:
        store.keep(KEY)
    (folder / path).chmod(mode)
    wanted = "600" if path.count("/") else "700"
    with pytest.raises(StoreUnusable, match=f"open to others than its owner. Run: chmod {wanted} "):
        read(folder)


def read(folder: Path) -> Identity:
    with FolderStore(folder) as store:
        return store.draft()


def test_what_belongs_to_another_user_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(mode=0o700)
    monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    with pytest.raises(StoreUnusable, match="belongs to another user"):
        read(folder)


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"token": null}', b"\xff"])
def test_a_damaged_state_is_told_and_not_guessed_at(folder: Path, damage: bytes) -> None:
    with FolderStore(folder) as store:
        store.keep(KEY)
    (folder / "1/state.json").write_bytes(damage)
    with pytest.raises(StoreUnusable, match=r"state\.json is damaged. Remove the folder .*/1 to start over"):
        read(folder)


def test_a_link_to_somewhere_else_is_refused(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    (folder / "current").symlink_to("/etc")
    with pytest.raises(StoreUnusable, match="points to /etc"):
        read(folder)


def test_a_place_that_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnusable, match="cannot be used: File exists"):
        read(tmp_path / "file")


def test_a_folder_of_an_earlier_agent_is_read(tmp_path: Path) -> None:
    with FolderStore(tmp_path / "d") as store:
        store.keep(Identity(private_key="k", certificate="c", certificate_id="1", registered=True, thing_name="t"))
        state = tmp_path / "d" / "1" / "state.json"
        members = json.loads(state.read_text())
        del members["parameters"]
        state.write_text(json.dumps(members))
        assert (store.draft().thing_name, store.draft().parameters) == ("t", {})
