"""The other end of a TCP connection, with or without TLS, that may say anything and stop anywhere."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import Self

PATIENCE = 20.0


class Peer:
    """*budget* is how many bytes may leave in all; whatever is said after that stays here."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, budget: int | None) -> None:
        self._reader, self._writer = reader, writer
        self._budget = budget
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        self.sent = 0

    @classmethod
    async def open(cls, port: int, budget: int | None = None) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", port), budget)

    async def shake_hands(self, context: ssl.SSLContext) -> bool:
        """False when the other end has closed, or this one may say no more."""
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                if self._budget == 0 or not await self._receive():
                    return False
            except ssl.SSLError:
                return False
            else:
                await self._flush()
                return self._budget != 0

    async def say(self, data: bytes) -> None:
        """Encrypted where hands were shaken."""
        if self._tls is None:
            await self.raw(data)
            return
        self._tls.write(data)
        await self._flush()

    @property
    def over(self) -> bool:
        """The other end is known to have closed."""
        return self._writer.is_closing()

    async def raw(self, data: bytes) -> None:
        """As it is."""
        if self._budget is not None:
            data = data[: self._budget]
            self._budget -= len(data)
        self.sent += len(data)
        if self.over:
            return
        with contextlib.suppress(OSError):
            self._writer.write(data)
            await self._writer.drain()

    async def hear(self) -> bytes:
        """What comes next; empty at the end."""
        while True:
            if data := self._decrypted():
                return data
            if not await self._receive():
                return b""

    async def end(self) -> bytes:
        """Say nothing more and listen until the other end closes: everything that was still heard."""
        with contextlib.suppress(OSError, RuntimeError):
            self._writer.write_eof()
        return await self.closed()

    async def closed(self) -> bytes:
        """Listen until the other end closes."""
        heard = b""
        try:
            async with asyncio.timeout(PATIENCE):
                while data := await self.hear():
                    heard += data
        finally:
            self.leave()
        return heard

    def leave(self) -> None:
        """Without a word."""
        self._writer.transport.abort()

    async def _flush(self) -> None:
        await self.raw(self._outgoing.read())

    async def _receive(self) -> bool:
        try:
            data = await self._reader.read(65536)
        except OSError:
            return False
        if self._tls is None:
            self._plain = data
        else:
            self._incoming.write(data)
        return bool(data)

    _plain = b""

    def _decrypted(self) -> bytes:
        if self._tls is None:
            data, self._plain = self._plain, b""
            return data
        try:
            return self._tls.read(65536)
        except ssl.SSLError:
            return b""
