from __future__ import annotations

import fcntl
import stat
from pathlib import Path

import pytest

from fleetgate.pki.new_file import write_new


def names(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


def test_a_file_appears_for_its_owner_alone(tmp_path: Path) -> None:
    write_new(tmp_path / "key", b"secret")
    assert (tmp_path / "key").read_bytes() == b"secret"
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert names(tmp_path) == {"key"}


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    write_new(tmp_path / "key", b"first")
    with pytest.raises(FileExistsError) as refused:
        write_new(tmp_path / "key", b"second")
    assert refused.value.filename == str(tmp_path / "key")
    assert (tmp_path / "key").read_bytes() == b"first"
    assert names(tmp_path) == {"key"}


def test_a_draft_that_a_crash_left_is_in_nobodys_way(tmp_path: Path) -> None:
    draft = tmp_path / ".key.new"
    draft.write_bytes(b"something longer than what comes")
    draft.chmod(0o644)
    write_new(tmp_path / "key", b"secret")
    assert (tmp_path / "key").read_bytes() == b"secret"
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert names(tmp_path) == {"key"}


def test_a_draft_that_another_process_is_writing_is_left_to_it(tmp_path: Path) -> None:
    draft = tmp_path / ".key.new"
    with draft.open("wb") as other:
        other.write(b"half")
        other.flush()
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(FileExistsError, match="another process is writing it"):
            write_new(tmp_path / "key", b"secret")
    assert draft.read_bytes() == b"half"
    assert names(tmp_path) == {".key.new"}


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "key").mkdir()
    with pytest.raises(FileExistsError):
        write_new(tmp_path / "key", b"secret")
    assert names(tmp_path) == {"key"}
    with pytest.raises(FileNotFoundError):
        write_new(tmp_path / "none" / "key", b"secret")
