"""The physical floor: what the cryptography alone costs the server, through the same libraries, with the same keys.

It is measured while other processes keep the machine as busy as the load does (`Company`): cores that share caches,
clock and execution units are slower together, and the server is never alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from bench.devices import Endpoint, signing_request
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL

from fleetgate.wire.tls import server_context

SECONDS: Final = 0.3
"""For which each part is measured."""
_CHUNK: Final = 65536


@dataclass(slots=True)
class Floor:
    """CPU seconds of each part, measured anew at each call."""

    server: SSL.Context
    client: SSL.Context
    csr: bytes
    signer: ec.EllipticCurvePrivateKey

    @classmethod
    def of(cls, ready: dict[str, Any], endpoint: Endpoint) -> Floor:
        """With the server certificate and claim of a dev server, and keys of the kind that its CA and devices have."""
        folder = Path(ready["data_dir"]) / "tls"
        server = server_context(folder / "server.pem", folder / "server.key", (b"mqtt",))
        csr = signing_request(ec.generate_private_key(ec.SECP256R1())).encode()
        return cls(server, endpoint.context(), csr, ec.generate_private_key(ec.SECP256R1()))

    def handshake(self) -> float:
        """The server's side of a mutual TLS handshake in memory, from a new connection object to its end."""
        return fmean(_repeated(self.handshake_once))

    def handshake_once(self) -> float:
        client = SSL.Connection(self.client, None)
        client.set_tlsext_host_name(b"localhost")
        client.set_connect_state()
        began = time.thread_time()
        server = SSL.Connection(self.server, None)
        server.set_accept_state()
        spent = time.thread_time() - began
        shaken = False
        while not shaken:
            shaken = _shake(client)
            hello = _taken(client)
            began = time.thread_time()
            server.bio_write(hello)
            _shake(server)
            answer = _taken(server)
            spent += time.thread_time() - began
            if answer:
                client.bio_write(answer)
        began = time.thread_time()
        del server
        return spent + time.thread_time() - began

    def certificate(self) -> float:
        """Checking a signing request's own signature, and one signature of the CA's key."""
        return fmean(_repeated(self._certificate))

    def _certificate(self) -> float:
        began = time.thread_time()
        request = x509.load_pem_x509_csr(self.csr)
        assert request.is_signature_valid
        self.signer.sign(request.tbs_certrequest_bytes, ec.ECDSA(hashes.SHA256()))
        return time.thread_time() - began


def _repeated(measured: Callable[[], float]) -> Iterator[float]:
    until = time.perf_counter() + SECONDS
    while time.perf_counter() < until:
        yield measured()


@dataclass(slots=True)
class Company:
    """Keeps a loading process busy with handshakes of its own for as long as a floor is measured."""

    ready: dict[str, Any]
    endpoint: Endpoint
    seconds: float
    _floor: Any = None

    def prepare(self, count: int, prefix: str) -> None:
        self._floor = Floor.of(self.ready, self.endpoint)

    async def perform(self, number: int) -> float:
        until = time.perf_counter() + self.seconds
        while time.perf_counter() < until:
            self._floor.handshake_once()
        return self.seconds

    async def close(self) -> None:
        return


def _shake(connection: SSL.Connection) -> bool:
    try:
        connection.do_handshake()
    except SSL.WantReadError:
        return False
    return True


def _taken(connection: SSL.Connection) -> bytes:
    try:
        return connection.bio_read(_CHUNK)
    except SSL.WantReadError:
        return b""
