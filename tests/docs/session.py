"""A reader at work: types a page's commands in an empty folder, keeps its files, and leaves its servers running."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.docs.pages import Block

PATIENCE: Final = 60.0
"""Seconds for a command or for a server's start: it bounds a failure and delays no success."""
_EXPORT: Final = re.compile(r"^\s*(export (\w+)=.+)$", re.MULTILINE)
# The pages use the ports that users would; here any free ones are taken, and little time is spent on RSA keys.
_SETTINGS: Final = """
[gateway]
mqtt_port = 0
https_port = 0
[api]
port = 0
[authority]
key_pool = 1
"""


@dataclass
class Server:
    process: subprocess.Popen[str]
    said: Path
    """Its standard output."""
    command: str

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(PATIENCE) == 0, f"{self.command} ended with {self.process.returncode}"


@dataclass
class Session:
    """Variables that one command exports are there for the next."""

    folder: Path
    """Where the reader is."""
    aside: Path
    """For what the reader does not see."""
    servers: list[Server] = field(default_factory=list)

    def environment(self) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "FLEETGATE_"))}
        return ours | {
            "HOME": str(self.aside),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "FLEETGATE_CONFIG": str(self.aside / "free-ports.toml"),
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PAGER": "",
            "COLUMNS": "300",
        }

    def script(self, lines: str) -> list[str]:
        """A command that runs *lines* with what was exported before."""
        state = shlex.quote(str(self.aside / "exported"))
        return ["bash", "-c", f"set -euo pipefail; . {state}\n{lines}\nexport -p > {state}\n"]

    def type(self, lines: str, status: int = 0) -> str:
        """Everything that the commands said."""
        done = subprocess.run(
            self.script(lines),
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == status, f"{lines}\nended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def start(self, command: str) -> None:
        """A server, and wait for the ready file that *command* names."""
        words = shlex.split(command)
        ready = self.folder / words[words.index("--ready-file") + 1]
        said = self.aside / f"server-{len(self.servers)}.txt"
        with said.open("w") as output:
            process = subprocess.Popen(
                self.script(f"exec {command}"),
                cwd=self.folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
            )
        self.servers.append(Server(process, said, command))
        deadline = time.monotonic() + PATIENCE
        while not ready.exists():
            assert process.poll() is None, f"{command} ended with {process.returncode}:\n{said.read_text()}"
            assert time.monotonic() < deadline, f"{command} is not ready:\n{said.read_text()}"
            time.sleep(0.02)

    def paste(self, block: Block) -> None:
        """What the server printed, where the page shows an example of it."""
        shown = _EXPORT.findall("\n".join(block.commands))
        said, deadline = self.servers[-1].said, time.monotonic() + PATIENCE
        while len(printed := _EXPORT.findall(said.read_text())) < len(shown) and time.monotonic() < deadline:
            time.sleep(0.02)  # the ready file comes first
        assert [name for _, name in printed] == [name for _, name in shown]
        self.type("\n".join(line for line, _ in printed))


@contextmanager
def reading(folder: Path) -> Iterator[Session]:
    """A session in an empty folder; its servers end, properly, with it."""
    here, aside = folder / "reader", folder / "aside"
    here.mkdir()
    aside.mkdir()
    (aside / "exported").write_text("")
    (aside / "free-ports.toml").write_text(_SETTINGS)
    session = Session(here, aside)
    try:
        yield session
        for server in session.servers:
            server.stop()
    finally:
        for server in session.servers:
            if server.process.poll() is None:
                server.process.kill()
                server.process.wait()
