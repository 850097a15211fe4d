"""What devices do: connect, and provision themselves by claim."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any, Final

from bench import wire
from bench.wire import Wire
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL, crypto

PATIENCE: Final = 30.0
_CREATE: Final = "$aws/certificates/create-from-csr/json"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where devices connect, and the claim that all of them have."""

    port: int
    certificate_file: str
    key_file: str
    template: str
    host: str = "127.0.0.1"

    def context(self) -> SSL.Context:
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.use_certificate_file(self.certificate_file)
        context.use_privatekey_file(self.key_file)
        return context


@dataclass(slots=True)
class Connects:
    """TLS, CONNECT, CONNACK; then the device leaves."""

    endpoint: Endpoint
    _context: Any = None
    _prefix: str = ""

    def prepare(self, count: int, prefix: str) -> None:
        self._context, self._prefix = self.endpoint.context(), prefix

    async def perform(self, number: int) -> float:
        visit = Visit(self.endpoint, self._context, f"{self._prefix}-{number}")
        return await visit.accepted()

    async def close(self) -> None:
        return


@dataclass(slots=True)
class Provisions:
    """The claim connects, asks with a CSR, provisions, leaves; the new certificate connects and leaves."""

    endpoint: Endpoint
    _context: Any = None
    _prefix: str = ""
    _keys: list[ec.EllipticCurvePrivateKey] = field(default_factory=list)
    _requests: list[bytes] = field(default_factory=list)

    def prepare(self, count: int, prefix: str) -> None:
        self._context, self._prefix = self.endpoint.context(), prefix
        self._keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(count)]
        self._requests = [
            json.dumps({"certificateSigningRequest": signing_request(key)}).encode() for key in self._keys
        ]

    async def perform(self, number: int) -> float:
        began = time.perf_counter()
        serial = f"{self._prefix}-{number}"
        claim = Visit(self.endpoint, self._context, f"claim-{serial}")
        await claim.accepted(stay=True)
        created = await claim.ask(_CREATE, self._requests[number])
        token = created["certificateOwnershipToken"]
        body = json.dumps({"certificateOwnershipToken": token, "parameters": {"SerialNumber": serial}}).encode()
        made = await claim.ask(f"$aws/provisioning-templates/{self.endpoint.template}/provision/json", body)
        await claim.leave()
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        certificate = x509.load_pem_x509_certificate(created["certificatePem"].encode())
        context.use_certificate(crypto.X509.from_cryptography(certificate))
        context.use_privatekey(crypto.PKey.from_cryptography_key(self._keys[number]))
        device = Visit(self.endpoint, context, made["thingName"])
        await device.accepted(stay=True)
        seconds = time.perf_counter() - began
        await device.leave()
        return seconds

    async def close(self) -> None:
        return


def signing_request(key: ec.EllipticCurvePrivateKey) -> str:
    """A CSR without a subject, as PEM."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


class Visit:
    """One connection, and what is waited for on it."""

    def __init__(self, endpoint: Endpoint, context: SSL.Context, client_id: str) -> None:
        self._endpoint, self._context, self._client_id = endpoint, context, client_id
        self._loop = asyncio.get_running_loop()
        self._awaited: dict[int, asyncio.Future[bytes]] = {}
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self._packet_id = 0
        self._wire: Wire

    async def accepted(self, *, stay: bool = False) -> float:
        """Seconds from the first SYN to the CONNACK."""
        began = time.perf_counter()
        answer = self._expect(wire.CONNACK)
        _, self._wire = await self._loop.create_connection(
            lambda: Wire(self._context, wire.connect(self._client_id), self._take, self._lost),
            self._endpoint.host,
            self._endpoint.port,
        )
        if (await answer)[1]:
            raise RuntimeError("the server refused the connection")
        seconds = time.perf_counter() - began
        if not stay:
            await self.leave()
        return seconds

    async def ask(self, topic: str, payload: bytes) -> dict[str, Any]:
        """As the SDKs do: subscribe to both answers, then publish at QoS 1, then wait for the answer."""
        self._packet_id += 2
        granted = self._expect(wire.SUBACK)
        self._wire.send(wire.subscribe(self._packet_id, f"{topic}/accepted", f"{topic}/rejected"))
        await granted
        answer = self._expect(wire.PUBLISH)
        self._wire.send(wire.publish(self._packet_id + 1, topic, payload))
        answered, body = wire.message(await answer)
        if answered != f"{topic}/accepted":
            raise RuntimeError(body.decode())
        found: dict[str, Any] = json.loads(body)
        return found

    async def leave(self) -> None:
        self._wire.leave()
        await self._gone

    def _expect(self, kind: int) -> asyncio.Future[bytes]:
        future: asyncio.Future[bytes] = self._loop.create_future()
        self._awaited[kind] = future
        return future

    def _take(self, _: Wire, kind: int, body: bytes) -> None:
        future = self._awaited.pop(kind, None)
        if future is not None and not future.done():
            future.set_result(body)

    def _lost(self) -> None:
        self._gone.set_result(None)
        for future in self._awaited.values():
            if not future.done():
                future.set_exception(RuntimeError("the server closed the connection"))
