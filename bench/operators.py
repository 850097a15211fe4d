"""What operators do: REST calls, signed as boto3 signs them, over connections that stay open."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from bench.devices import signing_request
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography.hazmat.primitives.asymmetric import ec

_THINGS = 100


@dataclass(frozen=True, slots=True)
class Api:
    url: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    region: str

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 80

    def signed(self, method: str, path: str, body: dict[str, Any] | None = None) -> AWSRequest:
        """Signed by AWS's own client code, which has five minutes to arrive."""
        data = b"" if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if data else {}
        request = AWSRequest(method=method, url=self.url + path, data=data, headers=headers)
        SigV4Auth(Credentials(self.access_key_id, self.secret_access_key), "iot", self.region).add_auth(request)
        return request

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> None:
        """Do it now, outside of what is measured."""
        request = self.signed(method, path, body)
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        try:
            connection.request(method, path, request.data, dict(request.headers))
            answer = connection.getresponse()
            said = answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{method} {path}: {answer.status} {said.decode()}")
        finally:
            connection.close()

    def encoded(self, method: str, path: str, body: dict[str, Any] | None = None) -> bytes:
        """The signed request as it goes over the wire."""
        request = self.signed(method, path, body)
        data = bytes(request.data or b"")
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}:{self.port}", f"Content-Length: {len(data)}"]
        lines += [f"{name}: {value}" for name, value in request.headers.items()]
        return "\r\n".join([*lines, "", ""]).encode() + data


@dataclass(slots=True)
class Calls:
    """One operation again and again. A subclass says which."""

    api: Api
    _requests: list[bytes] = field(default_factory=list)
    _idle: list[Line] = field(default_factory=list)

    def prepare(self, count: int, prefix: str) -> None:
        self._requests = [self.request(number, prefix) for number in range(count)]

    def request(self, number: int, prefix: str) -> bytes:
        raise NotImplementedError

    async def perform(self, number: int) -> float:
        loop = asyncio.get_running_loop()
        if self._idle:
            line = self._idle.pop()
        else:
            _, line = await loop.create_connection(Line, self.api.host, self.api.port)
        began = time.perf_counter()
        status, body = await line.ask(self._requests[number])
        seconds = time.perf_counter() - began
        self._idle.append(line)
        if status != 200:
            raise RuntimeError(f"{status} {body.decode()}")
        return seconds

    async def close(self) -> None:
        for line in self._idle:
            line.transport.close()
        self._idle.clear()


class CreateThing(Calls):
    def request(self, number: int, prefix: str) -> bytes:
        name = f"{prefix}-{number}"
        return self.api.encoded("POST", f"/things/{name}", {"attributePayload": {"attributes": {"serial": name}}})


class DescribeThing(Calls):
    def prepare(self, count: int, prefix: str) -> None:
        for number in range(min(count, _THINGS)):
            self.api.call("POST", f"/things/described-{number}", {"attributePayload": {"attributes": {"a": "b"}}})
        self._requests = [self.request(number, prefix) for number in range(count)]

    def request(self, number: int, prefix: str) -> bytes:
        return self.api.encoded("GET", f"/things/described-{number % _THINGS}")


class CreateCertificateFromCsr(Calls):
    def request(self, number: int, prefix: str) -> bytes:
        csr = signing_request(ec.generate_private_key(ec.SECP256R1()))
        return self.api.encoded("POST", "/certificates?setAsActive=true", {"certificateSigningRequest": csr})


class Line(asyncio.Protocol):
    """One HTTP connection, one request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self._buffer = b""
        self._answer: asyncio.Future[tuple[int, bytes]]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment] # uvloop's own is not derived from it

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self._answer

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, blank, body = self._buffer.partition(b"\r\n\r\n")
        if not blank:
            return
        lines = head.lower().split(b"\r\n")
        length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
        if len(body) >= length:
            self._buffer = b""
            self._answer.set_result((int(lines[0].split()[1]), body))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._answer.done():
            self._answer.set_exception(RuntimeError("the server closed the connection"))
