"""Files that change together: keys and the certificates that fit them. All of them are new, or none, whatever breaks.

<folder>/.exchange/0, 1 ...     what is to come
<folder>/.exchange/plan.json    where it goes; from the moment that this is there, the exchange is finished
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fleetgate.errors import Unavailable

_STAGE: Final = ".exchange"
_PLAN: Final = "plan.json"


@dataclass(frozen=True, slots=True)
class Content:
    body: bytes
    mode: int = 0o600


def exchange(folder: Path, files: Mapping[str, Content]) -> None:
    """Every file in *files*, by its path below *folder*, takes the place of the one there is; folders are made 0700.

    Raises Unavailable where another process is at it, OSError where nothing was changed.
    """
    stage = folder / _STAGE
    stage.mkdir(mode=0o700, exist_ok=True)
    with _held(stage, wait=False):
        _finish(folder, stage)
        stage.mkdir(mode=0o700, exist_ok=True)
        plan = dict(enumerate(files))
        for number, name in plan.items():
            _write(stage / str(number), files[name])
        _sync(stage)
        _write(stage / "plan.new", Content(json.dumps(plan).encode()))
        (stage / "plan.new").replace(stage / _PLAN)
        _sync(stage)
        _finish(folder, stage)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Nobody else reads what is in *folder* to change it, from reading to exchanging. Raises Unavailable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise _busy() from error
    finally:
        os.close(handle)


def finish(folder: Path) -> bool:
    """What a crash left: carried through where it had been decided on, else thrown away. Whether it was the former."""
    stage = folder / _STAGE
    if not stage.exists():
        return False
    with _held(stage, wait=True):
        return _finish(folder, stage)


def _finish(folder: Path, stage: Path) -> bool:
    plan = stage / _PLAN
    decided = plan.exists()
    if decided:
        for number, name in json.loads(plan.read_text()).items():
            if (stage / number).exists():
                _move(stage / number, folder / name)
        plan.unlink()
    for left in stage.iterdir() if stage.exists() else ():
        left.unlink()
    stage.rmdir()
    _sync(folder)
    return decided


def _move(source: Path, target: Path) -> None:
    for above in reversed(target.parents):
        if not above.exists():
            above.mkdir(mode=0o700)
            _sync(above.parent)
    source.replace(target)
    _sync(target.parent)


@contextmanager
def _held(stage: Path, *, wait: bool) -> Iterator[None]:
    """Nobody else is at it. Raises Unavailable, unless *wait*."""
    try:
        handle = os.open(stage, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:  # the one who was at it is done
        stage.mkdir(mode=0o700, exist_ok=True)
        handle = os.open(stage, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        stage.mkdir(mode=0o700, exist_ok=True)
        yield
    except BlockingIOError as error:
        raise _busy() from error
    finally:
        os.close(handle)


def _busy() -> Unavailable:
    return Unavailable("Another process is changing the same files. Try again when it is done.")


def _write(path: Path, content: Content) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
        os.fchmod(file.fileno(), content.mode)
        file.write(content.body)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
