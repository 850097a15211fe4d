"""The server's process: started, told what to do a line at a time, and gone with whoever started it.

Its standard input is the leash: when that ends, for whatever reason, the server ends and removes its folder.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final

from fleetgate.testing.served import Fleetgate

START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 10.0
_ANSWER_SECONDS: Final = 60.0
_LINES_KEPT: Final = 2_000


class Failed(Exception):
    """The server did not start, died, or refused what it was told; the message has what it said."""


class ServerProcess:
    """One server."""

    def __init__(self, settings: Mapping[str, Any], seconds: float = START_SECONDS) -> None:
        """Starts it; raises Failed unless it answers within *seconds*."""
        self._log: deque[str] = deque(maxlen=_LINES_KEPT)
        self._said = self._asked = 0
        self._lock = threading.Lock()
        self._process = subprocess.Popen(  # noqa: S603 # this Python, and settings as JSON
            [sys.executable, "-m", "fleetgate.testing.server", json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,  # Ctrl-C is for the tests; the server goes when they have ended
        )
        self._listening = threading.Thread(target=self._listen, name="fleetgate log", daemon=True)
        self._listening.start()
        try:
            self.ready: dict[str, Any] = self._answer(0, seconds)
        except BaseException:
            self.stop()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def tell(self, command: str, **arguments: Any) -> Any:
        """What the server answers. Raises Failed with its refusal, or when it is gone."""
        with self._lock:
            self._asked += 1
            line = json.dumps({"number": self._asked, "command": command, **arguments})
            try:
                stream = _open(self._process.stdin)
                stream.write(line + "\n")
                stream.flush()
            except OSError:
                raise self._gone() from None
            return self._answer(self._asked, _ANSWER_SECONDS)

    def _answer(self, number: int, seconds: float) -> Any:
        """To the question of that number; answers to those whose asker was interrupted are passed over."""
        late = threading.Timer(seconds, self._process.kill)
        late.start()
        try:
            while line := _open(self._process.stdout).readline():
                said = json.loads(line)
                if said["to"] == number:
                    break
            else:
                raise self._gone(seconds if late.finished.is_set() else None)
        finally:
            late.cancel()
        if "refused" in said:
            raise Failed(said["refused"])
        return said["answer"]

    def _gone(self, after: float | None = None) -> Failed:
        """*after*: it was killed because it had not answered within so many seconds."""
        status = self._process.wait(_STOP_SECONDS)
        self._listening.join(_STOP_SECONDS)
        what = f"has ended with status {status}" if after is None else f"did not answer within {after:g} s"
        return Failed(f"fleetgate's server {what}. It said:\n{self.said() or '(nothing)'}")

    def said(self, since: int = 0) -> str:
        """Its log from line number *since* on, as far as it is kept."""
        lines = list(self._log)
        return "\n".join(lines[max(0, len(lines) - (self._said - since)) :])

    @property
    def lines(self) -> int:
        """How many lines it has logged."""
        return self._said

    def _listen(self) -> None:
        for line in _open(self._process.stderr):
            self._log.append(line.rstrip("\n"))
            self._said += 1

    def stop(self) -> None:
        """Let go of the leash; kills it when that does not help in time."""
        with suppress(OSError):
            _open(self._process.stdin).close()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listening.join(_STOP_SECONDS)
        for stream in (self._process.stdout, self._process.stderr):
            _open(stream).close()


@contextmanager
def start(
    *, config_file: Path | str | None = None, log_level: str = "info", seconds: float = START_SECONDS
) -> Iterator[Fleetgate]:
    """A server on free ports of loopback, with all that a device needs, until the end of the block.

    *config_file*: settings beside those of `fleetgate dev`. Raises Failed where it does not start within *seconds*.
    """
    file = None if config_file is None else str(Path(config_file).absolute())
    process = ServerProcess({"config_file": file, "log_level": log_level}, seconds)
    try:
        yield Fleetgate(process.ready, process.tell, process.said)
    finally:
        process.stop()


def _open(stream: IO[str] | None) -> IO[str]:
    assert stream is not None, "the process was started with pipes"
    return stream
