"""Key files are written whole or not at all, and never over one another."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def write_new(path: Path, content: bytes) -> None:
    """*path* appears with all of *content*, mode 0600 and on the disk, or not at all.

    Raises FileExistsError when *path* is there or another process is just writing it, OSError. The draft that a crash
    left behind is written over: nobody was ever told that it holds a key.
    """
    draft = path.with_name(f".{path.name}.new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600), "wb") as file:
        _lock(file.fileno(), path)
        try:
            os.fchmod(file.fileno(), 0o600)
            file.truncate()
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            _link(draft, path)
        finally:
            draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _lock(descriptor: int, path: Path) -> None:
    """Two who write the same file at once must not share a draft."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise FileExistsError(error.errno, "another process is writing it", str(path)) from error


def _link(draft: Path, path: Path) -> None:
    """A hard link, because renaming would replace a file that is there."""
    try:
        os.link(draft, path)
    except FileExistsError as error:
        raise FileExistsError(error.errno, error.strerror, str(path)) from error
