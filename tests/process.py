"""The server as a process of its own, by its real command: to be killed, stopped, starved and looked at from outside.

process = await ServerProcess.prepare(tmp_path)
async with works(process.config) as opened: ...      # fill it
await process.start()
...
await process.kill()
await process.start()                                # the same data, the same ports
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import random
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fleetgate.agent.tls import Endpoint
from fleetgate.config import Config, load

_PATIENCE = 30.0
_LINE = 16 * 1024 * 1024
# Below the ports that outgoing connections take: while the server is down, nobody may come by its ports by accident.
_FIRST_PORT, _LAST_PORT = 20_000, 32_000
_ports = itertools.cycle(random.Random(os.getpid()).sample(range(_FIRST_PORT, _LAST_PORT), 2_000))


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    for port in _ports:
        with contextlib.closing(socket.socket()) as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError


@dataclass(slots=True)
class ServerProcess:
    """`fleetgate serve` on a data directory and ports of its own, which a restart keeps."""

    folder: Path
    config_file: Path
    config: Config
    log: list[str] = field(default_factory=list)
    """Every line of standard error of every run, as it came."""
    runs: int = 0
    _running: asyncio.subprocess.Process | None = None
    _reading: asyncio.Task[None] | None = None
    _ready: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def prepare(cls, folder: Path, settings: Mapping[str, Any] | None = None) -> ServerProcess:
        """In the empty *folder*; *settings* by dotted name, as `config.load` takes them. Does not start it."""
        given: dict[str, Any] = {
            "server.data_dir": str(folder / "data"),
            "gateway.mqtt_port": free_port(),
            "gateway.https_port": free_port(),
            "api.port": free_port(),
            "authority.key_pool": 0,
            "log.format": "json",
            **(settings or {}),
        }
        file = folder / "fleetgate.toml"
        sections: dict[str, list[str]] = {}
        for name, value in given.items():
            section, _, setting = name.partition(".")
            sections.setdefault(section, []).append(f"{setting} = {json.dumps(value)}")
        file.write_text("".join(f"[{name}]\n" + "\n".join(lines) + "\n" for name, lines in sections.items()))
        return cls(folder, file, load(file))

    @property
    def endpoint(self) -> Endpoint:
        """For devices."""
        ca_file = self.config.server.data_dir / "ca" / "root.pem"
        return Endpoint("127.0.0.1", self.config.gateway.mqtt_port, ca_file, server_name="localhost")

    @property
    def pid(self) -> int:
        assert self._running is not None
        return self._running.pid

    @property
    def running(self) -> bool:
        return self._running is not None and self._running.returncode is None

    async def launch(self) -> None:
        """Start it and do not wait until it is ready."""
        assert not self.running
        self.runs += 1
        self._ready = asyncio.Event()
        self._running = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "fleetgate",
            "serve",
            "--config",
            str(self.config_file),
            stderr=asyncio.subprocess.PIPE,
            limit=_LINE,
        )
        self._reading = asyncio.create_task(self._read(self._running, self._ready))

    async def start(self) -> None:
        """Start it, and wait until it says that every door is open."""
        await self.launch()
        await self.ready()

    async def ready(self) -> None:
        assert self._reading is not None
        ready = asyncio.create_task(self._ready.wait())
        await asyncio.wait({ready, self._reading}, timeout=_PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        assert self._ready.is_set(), self.last_words()

    async def kill(self) -> None:
        """As `kill -9` does."""
        await self.end(signal.SIGKILL)

    async def end(self, by: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; the exit status, negative where a signal ended it."""
        assert self._running is not None
        assert self._reading is not None
        with contextlib.suppress(ProcessLookupError):
            self._running.send_signal(by)
        async with asyncio.timeout(_PATIENCE):
            status = await self._running.wait()
            await self._reading
        return status

    async def close(self) -> None:
        """After a test, whatever became of it."""
        if self.running:
            await self.kill()

    def rss(self) -> int:
        """Resident memory now, in bytes."""
        return self._memory("VmRSS")

    def _memory(self, name: str) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(f"{name}:"))

    def last_words(self) -> str:
        return "\n".join(self.log[-20:])

    async def _read(self, process: asyncio.subprocess.Process, ready: asyncio.Event) -> None:
        assert process.stderr is not None
        while line := await process.stderr.readline():
            self.log.append(line.decode(errors="replace").rstrip("\n"))
            if '"event": "ready"' in self.log[-1]:
                ready.set()
