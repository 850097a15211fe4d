"""The second yardstick: a server in the same language and libraries that accepts, ends TLS, answers CONNECT with a
CONNACK, and does nothing else. No server here can be cheaper than this one.

    python -m bench.yardstick CHAIN KEY        prints its port
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import cast

import uvloop
from OpenSSL import SSL

from fleetgate.wire.tls import Tls, TlsFailure, server_context

_CONNECT = 0x10
_CONNACK = b"\x20\x02\x00\x00"


class Bare(asyncio.Protocol):
    def __init__(self, context: SSL.Context) -> None:
        self._tls = Tls(context)
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            plain = self._tls.receive(data)
        except TlsFailure:
            self._transport.close()
            return
        if plain and plain[0] == _CONNECT:
            self._tls.send(_CONNACK)
        elif plain:
            self._transport.close()
        if records := self._tls.outgoing():
            self._transport.write(records)


async def main(chain: Path, key: Path) -> None:
    context = server_context(chain, key, (b"mqtt",))
    server = await asyncio.get_running_loop().create_server(lambda: Bare(context), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(*map(Path, sys.argv[1:])))
