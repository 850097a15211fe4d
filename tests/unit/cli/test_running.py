from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import stat
from pathlib import Path

import pytest

from fleetgate.cli import running
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


def test_other_failures_come_through() -> None:
    async def serve() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        running.run(serve())
