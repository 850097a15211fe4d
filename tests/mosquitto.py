"""A Mosquitto broker of a test's own: the bus between nodes."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from socket import create_connection

import pytest
from tests.process import free_port

MISSING = "mosquitto is not installed; the Debian package `mosquitto` brings it"
# What docs/nodes.md asks of a broker: it forgets nothing of what waits for a node. `user` counts for root alone, whose
# rights it would give up otherwise, and with them the test's folder.
_SETTINGS = """\
user root
listener {port} 127.0.0.1
allow_anonymous true
persistence true
persistence_location {folder}/
max_queued_messages 0
max_inflight_messages 1000
log_type error
log_type warning
"""


@dataclass(slots=True)
class Mosquitto:
    program: str
    folder: Path
    port: int
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        """The same port and the same data as before."""
        config = self.folder / "mosquitto.conf"
        config.write_text(_SETTINGS.format(port=self.port, folder=self.folder))
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen([self.program, "-c", str(config)], stdout=log, stderr=log)
        until = time.monotonic() + 10
        while True:
            with suppress(OSError), closing(create_connection(("127.0.0.1", self.port), 1)):
                return
            if self._process.poll() is not None or time.monotonic() > until:
                pytest.fail(f"mosquitto did not start: {(self.folder / 'log').read_text()}")
            time.sleep(0.01)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()  # it writes down what waits
            self._process.wait(10)
            self._process = None


def _program() -> str | None:
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")


@contextmanager
def running(folder: Path) -> Iterator[Mosquitto]:
    """With its data in *folder*; skips where there is none."""
    program = _program()
    if program is None:
        pytest.skip(MISSING)
    broker = Mosquitto(program, folder, free_port())
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A running broker without records of earlier tests."""
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    with running(folder) as broker:
        yield broker
