"""Temporary folders of throwaway servers: with keys and credentials in them, so also gone after a kill -9."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from fleetgate.cli import show
from fleetgate.cli.running import LOCK

_PREFIXES: Final = ("fleetgate-dev-", "fleetgate-demo-")


@contextmanager
def folder(kind: str) -> Iterator[Path]:
    """An empty one, removed at the end; before that, those that a killed server left behind."""
    parent = Path(tempfile.gettempdir())
    for left in sweep(parent):
        show.say(f"Removed {left}, which a server left behind that was killed.")
    with tempfile.TemporaryDirectory(prefix=f"fleetgate-{kind}-") as name:
        yield Path(name)


def sweep(parent: Path) -> list[Path]:
    """Remove the folders of throwaway servers under *parent* whose process is gone; which they were.

    A server locks its folder as long as it lives (`running.alone`), and the lock ends with the process however that
    ends, so no process id is asked that another process may have by now. A folder without a lock file is one that is
    being made, or not a server's: it stays.
    """
    return [each for each in _candidates(parent) if _abandoned(each) and _removed(each)]


def _candidates(parent: Path) -> list[Path]:
    """Those of the user who runs this; a link by that name is nobody's."""
    found = [each for prefix in _PREFIXES for each in parent.glob(f"{prefix}*")]
    return sorted(each for each in found if not each.is_symlink() and each.is_dir() and _mine(each))


def _mine(path: Path) -> bool:
    try:
        return path.stat().st_uid == os.geteuid()
    except OSError:
        return False


def _abandoned(folder: Path) -> bool:
    try:
        with (folder / LOCK).open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return bool(file.read(20).strip())  # its process has written its id: it had the lock before
    except OSError:
        return False


def _removed(folder: Path) -> bool:
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()
