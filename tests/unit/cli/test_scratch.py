from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fleetgate.cli import scratch
from fleetgate.cli.running import LOCK, alone
from fleetgate.dev import config


def left(parent: Path, name: str = "fleetgate-dev-abc") -> Path:
    """The folder of a server that is gone."""
    folder = parent / name
    with alone(config(folder)):
        (folder / "dev").mkdir()
        (folder / "dev" / "access-key.json").write_text("secret")
    return folder


def test_what_a_killed_server_left_is_removed(tmp_path: Path) -> None:
    gone = [left(tmp_path), left(tmp_path, "fleetgate-demo-xyz")]
    assert scratch.sweep(tmp_path) == sorted(gone)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_lives_keeps_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "fleetgate-dev-abc"
    with alone(config(folder)):
        assert scratch.sweep(tmp_path) == []
        assert (folder / LOCK).exists()


def test_nobody_elses_is_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = left(tmp_path, "precious")
    (tmp_path / "fleetgate-dev-link").symlink_to(elsewhere)
    (tmp_path / "fleetgate-dev-new").mkdir()
    beginning = tmp_path / "fleetgate-dev-beginning"
    beginning.mkdir()
    (beginning / LOCK).touch()  # opened, not locked yet
    assert scratch.sweep(tmp_path) == []
    mine = left(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert scratch.sweep(tmp_path) == []
    assert mine.exists()


def test_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    gone = left(tmp_path)
    with scratch.folder("dev") as made:
        assert made.parent == tmp_path
        assert f"Removed {gone}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_kill_ends_the_lock(tmp_path: Path) -> None:
    """The real thing: a process that has no time to tidy up."""
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from fleetgate.cli.running import alone; from fleetgate.dev import config\n"
        "with alone(config(Path(sys.argv[1]))): os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    folder = tmp_path / "fleetgate-dev-killed"
    done = subprocess.run([sys.executable, "-c", script, str(folder)], check=False)
    assert (done.returncode, folder.exists()) == (-9, True)
    assert scratch.sweep(tmp_path) == [folder]
