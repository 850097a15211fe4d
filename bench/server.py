"""The server under test, in a process of its own, started through its own command; and what it costs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

DEV: Final = (sys.executable, "-m", "fleetgate", "dev")

_PATIENCE: Final = 60.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")

# Nobody asks for a key pair made by the server here, and making them in the background would be counted as well.
_SETTINGS: Final = "[authority]\nkey_pool = 0\n"


@dataclass(frozen=True, slots=True)
class Target:
    """A server that answers: its ready file, and its process."""

    ready: dict[str, Any]
    pid: int
    postgres: int | None
    """The process that all of PostgreSQL's descend from."""

    def cpu(self) -> float:
        """Seconds that the server's process has computed, user and system."""
        return process_cpu(self.pid)

    def database_cpu(self) -> float:
        """The same for PostgreSQL; 0 for a database that lives in the server's own process."""
        return 0.0 if self.postgres is None else family_cpu(self.postgres)


@contextmanager
def serving(command: Sequence[str] = DEV, database: str = "sqlite", postgres: int | None = None) -> Iterator[Target]:
    """A dev server with its data in a temporary folder, on free ports of loopback; *command* starts it."""
    with tempfile.TemporaryDirectory(prefix="fleetgate-bench-") as name:
        folder = Path(name)
        config, ready, log = folder / "fleetgate.toml", folder / "ready.json", folder / "log"
        config.write_text(f"{_SETTINGS}[database]\nurl = {json.dumps(database)}\n")
        words = [*command, "--free-ports", "--config", str(config)]
        words += ["--data-dir", str(folder / "data"), "--ready-file", str(ready)]
        with log.open("w") as output:
            process = subprocess.Popen(words, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        try:
            _await(ready, process, log)
            yield Target(json.loads(ready.read_text()), process.pid, postgres)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _await(ready: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _PATIENCE
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"The server did not start:\n{log.read_text()}")
        time.sleep(0.05)


def process_cpu(pid: int) -> float:
    return _ticks(pid, 2) / _TICKS


def family_cpu(pid: int) -> float:
    """A process, its children that live, and its children that have ended."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return (_ticks(pid, 4) + sum(_ticks(int(child), 2) for child in children)) / _TICKS


def _ticks(pid: int, fields: int) -> int:
    """The sum of the first *fields* of utime, stime, cutime and cstime (proc_pid_stat(5)); 0 for one that is gone."""
    try:
        # The name in parentheses may hold anything, blanks and parentheses too.
        rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(map(int, rest[11 : 11 + fields]))
