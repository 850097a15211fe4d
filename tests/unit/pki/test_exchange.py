"""Files that change together, with a crash at every change to the disk."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fleetgate.errors import Unavailable
from fleetgate.pki import exchange
from fleetgate.pki.exchange import Content

OLD = {"ca/key": b"old key", "ca/pem": b"old certificate"}
NEW = {"ca/key": b"new key", "ca/pem": b"new certificate", "ca/former/1/key": b"old key"}


class Crash(BaseException):
    pass


def before(folder: Path) -> Path:
    for name, body in OLD.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(body)
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_all_at_once(tmp_path: Path) -> None:
    before(tmp_path)
    exchange.exchange(tmp_path, {name: Content(body, 0o644 if "pem" in name else 0o600) for name, body in NEW.items()})
    assert files(tmp_path) == NEW
    assert stat.S_IMODE((tmp_path / "ca/key").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "ca/pem").stat().st_mode) == 0o644
    assert stat.S_IMODE((tmp_path / "ca/former").stat().st_mode) == 0o700
    assert not exchange.finish(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ca"]


def test_a_crash_anywhere_leaves_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[int | None] = [None]

    def dying(operation: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            if left[0] is not None:
                if left[0] == 0:
                    raise Crash
                left[0] -= 1
            return operation(*arguments, **named)

        return call

    for name in ("mkdir", "open", "fsync", "replace", "unlink", "rmdir", "fchmod"):
        monkeypatch.setattr(os, name, dying(getattr(os, name)))
    ends, number, crashed = set(), 0, True
    while crashed:
        left[0] = None
        folder = before(tmp_path / str(number))
        left[0], crashed = number, False
        try:
            exchange.exchange(folder, {name: Content(body) for name, body in NEW.items()})
        except Crash:
            crashed = True
        left[0] = None
        exchange.finish(folder)
        found = files(folder)
        assert found in (OLD, NEW), number
        ends.add(len(found))
        number += 1
    assert ends == {len(OLD), len(NEW)}
    assert number > 20


def test_one_at_a_time(tmp_path: Path) -> None:
    (tmp_path / ".exchange").mkdir()
    with exchange._held(tmp_path / ".exchange", wait=False), pytest.raises(Unavailable, match="Another process"):
        exchange.exchange(tmp_path, {"a": Content(b"a")})
