"""A device's bytes, made by hand: a client that costs little leaves the machine to the server under test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, cast

from OpenSSL import SSL

CONNACK: Final = 2
PUBLISH: Final = 3
PUBACK: Final = 4
SUBACK: Final = 9
DISCONNECT: Final = b"\xe0\x00"

_CHUNK: Final = 65536


def connect(client_id: str, keep_alive: int = 60) -> bytes:
    """CONNECT of MQTT 3.1.1 with a clean session; *keep_alive* in seconds."""
    return _packet(0x10, b"\x00\x04MQTT\x04\x02" + keep_alive.to_bytes(2, "big") + _text(client_id))


def subscribe(packet_id: int, *filters: str) -> bytes:
    """SUBSCRIBE at QoS 1."""
    return _packet(0x82, packet_id.to_bytes(2, "big") + b"".join(_text(each) + b"\x01" for each in filters))


def publish(packet_id: int, topic: str, payload: bytes) -> bytes:
    """PUBLISH at QoS 1."""
    return _packet(0x32, _text(topic) + packet_id.to_bytes(2, "big") + payload)


def _packet(first: int, body: bytes) -> bytes:
    length, digits = len(body), bytearray([first])
    while True:
        length, digit = divmod(length, 128)
        digits.append(digit | (0x80 if length else 0))
        if not length:
            return bytes(digits) + body


def _text(text: str) -> bytes:
    encoded = text.encode()
    return len(encoded).to_bytes(2, "big") + encoded


def _bounds(buffer: bytes) -> tuple[int, int] | None:
    """Where the body of the first packet begins and ends, when all of it is there."""
    length = 0
    for at, digit in enumerate(buffer[1:5], 1):
        length |= (digit & 0x7F) << 7 * (at - 1)
        if digit < 0x80:
            end = at + 1 + length
            return (at + 1, end) if len(buffer) >= end else None
    return None


def message(body: bytes) -> tuple[str, bytes]:
    """Topic and payload of a PUBLISH at QoS 0, as answers on reserved topics are."""
    begin = 2 + int.from_bytes(body[:2], "big")
    return body[2:begin].decode(), body[begin:]


Take = Callable[["Wire", int, bytes], None]
"""Called with each packet: its type and its body."""


class Wire(asyncio.Protocol):
    """One TLS connection that sends CONNECT as soon as it can and hands on every packet."""

    def __init__(self, context: SSL.Context, hello: bytes, take: Take, lost: Callable[[], None]) -> None:
        """*hello* is the CONNECT."""
        self._tls = SSL.Connection(context, None)
        self._tls.set_tlsext_host_name(b"localhost")
        self._tls.set_connect_state()
        self._hello = hello
        self._take, self._lost = take, lost
        self._open = False
        self._buffer = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._shake()

    def data_received(self, data: bytes) -> None:
        self._tls.bio_write(data)
        if not self._open:
            self._shake()
        try:
            while self._open:
                self._read(self._tls.recv(_CHUNK))
        except SSL.WantReadError:
            return
        except SSL.Error:
            self._transport.close()

    def _shake(self) -> None:
        try:
            self._tls.do_handshake()
        except SSL.WantReadError:
            self._flush()
            return
        except SSL.Error:
            self._transport.close()
            return
        self._open = True
        self.send(self._hello)

    def _read(self, data: bytes) -> None:
        self._buffer += data
        while (bounds := _bounds(self._buffer)) is not None:
            begin, end = bounds
            kind, body = self._buffer[0] >> 4, self._buffer[begin:end]
            self._buffer = self._buffer[end:]
            self._take(self, kind, body)

    def send(self, data: bytes) -> None:
        self._tls.sendall(data)
        self._flush()

    def _flush(self) -> None:
        try:
            self._transport.write(self._tls.bio_read(_CHUNK))
        except SSL.WantReadError:
            return

    def leave(self) -> None:
        """DISCONNECT and close_notify in one segment."""
        self._tls.sendall(DISCONNECT)
        self._tls.shutdown()
        self._flush()
        self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost()
