"""A wire between a device and the server that breaks once, after so many bytes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class Wire:
    """Forwards connections on `port` to *target*, both of loopback."""

    target: int
    upward: bool = True
    """The direction whose bytes are counted until it breaks: from devices to the server, or back."""
    left: int | None = None
    """Bytes until it breaks; None: it holds. It breaks once."""
    port: int = 0
    up: int = 0
    """Bytes that passed from devices to the server."""
    down: int = 0
    _connections: set[asyncio.Task[None]] = field(default_factory=set)

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            for each in self._connections:
                each.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        there, back = await asyncio.open_connection("127.0.0.1", self.target)
        ways = [asyncio.create_task(self._pass(reader, back, up=True)), asyncio.create_task(self._pass(there, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            back.close()
            writer.close()
            self._connections.discard(task)

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, up: bool = False) -> None:
        """Until one end closes, or the wire breaks."""
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                breaks = False
                if self.left is not None and up == self.upward:
                    data, breaks = data[: self.left], len(data) >= self.left
                    self.left = None if breaks else self.left - len(data)
                sink.write(data)
                await sink.drain()
                if up:
                    self.up += len(data)
                else:
                    self.down += len(data)
                if breaks:
                    return
