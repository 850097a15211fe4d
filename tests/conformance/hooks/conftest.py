"""Both ways to be asked, running the same handler sources: a function's processes, and an HTTPS server."""

from __future__ import annotations

import asyncio
import datetime as dt
import http.server
import ipaddress
import json
import os
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fleetgate.names import Realm
from fleetgate.provisioning.function import Function, FunctionSpec
from fleetgate.provisioning.hooks import FunctionHook, HttpsHook
from fleetgate.runtime import Hook, HookAnswer, HookRequest

REALM = Realm("123456789012", "us-east-1")

MakeFunction = Callable[..., Function]


@dataclass
class Asking:
    """Ask a hook that behaves as a handler's source says."""

    make: Callable[[str, int], Hook]

    async def __call__(self, source: str, *, client: str = "device-1", limit: int = 5_000) -> HookAnswer:
        return await self.make(source, limit).decide(question_of(client))

    async def many(self, source: str, clients: list[str]) -> list[HookAnswer]:
        hook = self.make(source, 5_000)
        return await asyncio.gather(*(hook.decide(question_of(client)) for client in clients))


def question_of(client: str) -> HookRequest:
    return HookRequest(
        claim_certificate_id="c" * 64,
        certificate_id="d" * 64,
        certificate_pem="-----BEGIN CERTIFICATE-----\n",
        template_arn=REALM.arn("provisioningtemplate", "fleet"),
        client_id=client,
        parameters={"SerialNumber": client},
    )


@pytest.fixture
def question() -> HookRequest:
    return question_of("device-1")


@pytest.fixture
async def functions(tmp_path: Path) -> AsyncIterator[MakeFunction]:
    """Functions whose processes are gone afterwards."""
    made: list[Function] = []

    def make(source: str | None = None, **settings: Any) -> Function:
        file = tmp_path / "handler.py"
        if source is not None:
            file.write_text(source)
        made.append(Function(FunctionSpec("ask", REALM, file, **settings)))
        return made[-1]

    yield make
    for function in made:
        await function.close()


@pytest.fixture(params=["function", "https"])
def ask(request: pytest.FixtureRequest) -> Asking:
    if request.param == "function":
        functions: MakeFunction = request.getfixturevalue("functions")
        return Asking(lambda source, limit: FunctionHook(functions(source, time_limit=limit), os.urandom))
    server: Server = request.getfixturevalue("server")
    return Asking(server.hook)


class Server(http.server.ThreadingHTTPServer):
    """Runs a handler's source for each POST: its result is the answer, what it raises a status of 500, and sys.exit
    closes the connection without a word.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    source = ""

    def __init__(self, certificate: Path | None, ca_file: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Door)
        self.ca_file = ca_file
        self.asked = 0
        self.scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
            self.scheme = "https"

    @property
    def url(self) -> str:
        return f"{self.scheme}://localhost:{self.server_port}/ask?version=1"

    def hook(self, source: str, limit: int = 5_000) -> HttpsHook:
        self.source = source
        return HttpsHook(self.url, self.ca_file, limit)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up at its time limit is what these tests are about."""


class _Door(http.server.BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.server.asked += 1
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        module: dict[str, Any] = {"__name__": "handler", "door": self}
        try:
            exec(self.server.source, module)
            answer = json.dumps(module["lambda_handler"](event, None)).encode()
        except SystemExit:
            self.close_connection = True
            return
        except Exception:  # noqa: BLE001 - whatever the handler raises
            self.send_error(500)
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *arguments: Any) -> None:
        """Not into the test's output."""


@pytest.fixture(scope="session")
def identity(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A throwaway CA's certificate, and key and certificate of a server at localhost."""
    folder = tmp_path_factory.mktemp("tls")
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca = _certificate("Throwaway CA", ca_key, "Throwaway CA", ca_key, ca=True)
    leaf = _certificate("localhost", key, "Throwaway CA", ca_key, ca=False)
    (folder / "ca.pem").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, pkcs8, plain)
    (folder / "server.pem").write_bytes(private + leaf.public_bytes(serialization.Encoding.PEM))
    return folder / "ca.pem", folder / "server.pem"


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: str, signer: ec.EllipticCurvePrivateKey, *, ca: bool
) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    places = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(places), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_key_usage(ca), critical=True)
        .sign(signer, hashes.SHA256())
    )


def _key_usage(ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _serving(server: Server) -> Iterator[Server]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def server(identity: tuple[Path, Path]) -> Iterator[Server]:
    yield from _serving(Server(identity[1], identity[0]))


@pytest.fixture
def plain_server(identity: tuple[Path, Path]) -> Iterator[Server]:
    yield from _serving(Server(None, identity[0]))


@pytest.fixture
def gone() -> Callable[[int], Awaitable[None]]:
    """Wait until a process has ended."""

    async def wait(process: int) -> None:
        try:
            descriptor = os.pidfd_open(process)
        except ProcessLookupError:
            return
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(descriptor, ended.set)
        try:
            async with asyncio.timeout(10):
                await ended.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)

    return wait
