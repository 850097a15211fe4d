from __future__ import annotations

import asyncio
import errno
import gc
import json
import os
import signal
import stat
from pathlib import Path
from typing import Any

import pytest

from fleetgate.cli import running
from fleetgate.config import load
from fleetgate.errors import Unavailable


def test_a_ready_file_is_whole_private_and_gone_at_the_end(tmp_path: Path) -> None:
    file = tmp_path / "ready.json"
    with running.announced(file, {"pid": 1}):
        assert json.loads(file.read_text()) == {"pid": 1}
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert list(tmp_path.iterdir()) == [file]
    assert list(tmp_path.iterdir()) == []


def test_a_ready_file_takes_the_place_of_an_old_one_that_others_could_read(tmp_path: Path) -> None:
    file = tmp_path / "ready.json"
    file.write_text("old")
    file.chmod(0o644)
    with running.announced(file, {}):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_no_ready_file(tmp_path: Path) -> None:
    with running.announced(None, {}):
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_asks_to_stop(number: int) -> None:
    async def serve() -> None:
        with running.stopping() as stop:
            assert not stop.is_set()
            os.kill(os.getpid(), number)
            await asyncio.wait_for(stop.wait(), 10)

    asyncio.run(serve())


def test_a_second_interrupt_is_not_held_back() -> None:
    async def serve() -> None:
        with running.stopping() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.wait_for(stop.wait(), 10)
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(serve())


def test_a_taken_port_is_told_with_what_to_do() -> None:
    async def serve() -> None:
        raise OSError(errno.EADDRINUSE, "address already in use")

    with pytest.raises(Unavailable, match=r"cannot listen: address already in use\..*--free-ports"):
        running.run(serve())


def test_one_process_serves_an_installation(tmp_path: Path) -> None:
    settings = load(None, {"server.data_dir": str(tmp_path / "data")})
    with running.alone(settings):
        with pytest.raises(Unavailable, match=rf"process \({os.getpid()}\) serves .*data already.*--data-dir"):
            running.alone(settings).__enter__()
        elsewhere = load(None, {"server.data_dir": str(tmp_path / "other")})
        with running.alone(elsewhere):
            pass
    with running.alone(settings):
        assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_several_serve_one_database_on_postgresql(tmp_path: Path) -> None:
    settings = load(
        None, {"server.data_dir": str(tmp_path / "data"), "database.url": "postgresql://fleetgate@localhost/fleetgate"}
    )
    with running.alone(settings), running.alone(settings):
        assert not (tmp_path / "data").exists()


def test_a_data_directory_that_cannot_be_is_named_with_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match=r"server\.data_dir"):
        running.alone(load(None, {"server.data_dir": str(tmp_path / "file" / "data")})).__enter__()


@pytest.mark.parametrize("command", ["serve", "dev"])
@pytest.mark.parametrize(("name", "words"), [("none/ready.json", "no folder"), (".", "a folder. Name a file")])
def test_a_ready_file_that_cannot_be_is_told_before_the_start(
    anywhere: Any, tmp_path: Path, command: str, name: str, words: str
) -> None:
    said = anywhere(command, "--ready-file", name, status=2).err
    assert "--ready-file" in said
    assert words in " ".join(said.replace("│", " ").split())
    assert list(tmp_path.iterdir()) == []


def test_what_was_made_at_the_start_is_left_alone_by_the_garbage_collector() -> None:
    thresholds = gc.get_threshold()
    try:
        running.settled()
        assert gc.get_freeze_count() > 0
        assert gc.get_threshold() > thresholds
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)


def test_other_failures_come_through() -> None:
    async def serve() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        running.run(serve())
