"""The physical floor: what the cryptography alone costs the server, through the same libraries, with the same keys."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.devices import Endpoint, signing_request
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL

from fleetgate.wire.tls import server_context

_CHUNK = 65536


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

    def handshake(self, times: int) -> float:
        """The server's side of a mutual TLS handshake in memory, from a new connection object to its end."""
        total = 0.0
        for _ in range(times):
            total += self._handshake()
        return total / times

    def _handshake(self) -> float:
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

    def certificate(self, times: int) -> float:
        """Checking a signing request's own signature, and one signature of the CA's key."""
        began = time.thread_time()
        for _ in range(times):
            request = x509.load_pem_x509_csr(self.csr)
            assert request.is_signature_valid
            self.signer.sign(request.tbs_certrequest_bytes, ec.ECDSA(hashes.SHA256()))
        return (time.thread_time() - began) / times


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
