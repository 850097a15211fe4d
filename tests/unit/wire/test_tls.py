"""TLS without sockets: the server's end joined with a client's, both in memory."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

from fleetgate.wire.tls import Tls, TlsFailure, server_context

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def self_signed(name: str) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), 1, NOW, NOW + dt.timedelta(days=3650))
    return key, builder.sign(key, hashes.SHA256())


@dataclass
class Client:
    """A client that believes every server; *wanted* are the protocols it offers."""

    context: SSL.Context
    server_name: str | None = "localhost"
    wanted: tuple[bytes, ...] = ()
    heard: bytes = b""
    connection: SSL.Connection = field(init=False)

    def __post_init__(self) -> None:
        self.connection = SSL.Connection(self.context, None)
        self.connection.set_connect_state()
        if self.server_name:
            self.connection.set_tlsext_host_name(self.server_name.encode())
        if self.wanted:
            self.connection.set_alpn_protos(list(self.wanted))

    def step(self, data: bytes) -> bytes:
        """What the client answers to *data*."""
        if data:
            self.connection.bio_write(data)
        try:
            self.connection.do_handshake()
            while True:
                self.heard += self.connection.recv(65536)
        except SSL.WantReadError:
            pass
        try:
            return self.connection.bio_read(1 << 20)
        except SSL.WantReadError:
            return b""

    def say(self, plain: bytes) -> bytes:
        self.connection.sendall(plain)
        return self.connection.bio_read(1 << 20)


@pytest.fixture
def context(tmp_path: Path) -> SSL.Context:
    key, certificate = self_signed("localhost")
    (tmp_path / "chain.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    )
    return server_context(tmp_path / "chain.pem", tmp_path / "key.pem", (b"x-amzn-mqtt-ca", b"http/1.1"))


def device(certificate: tuple[ec.EllipticCurvePrivateKey, x509.Certificate] | None, version: int = 0) -> SSL.Context:
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    if version:
        context.set_max_proto_version(version)
    if certificate is not None:
        context.use_privatekey(certificate[0])
        context.use_certificate(certificate[1])
    return context


def shake_hands(server: Tls, client: Client) -> bytes:
    """Until both have nothing more to say; what the server read beyond the handshake."""
    plain, data = b"", client.step(b"")
    while data:
        plain += server.receive(data)
        data = client.step(server.outgoing())
    return plain


@pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION])
def test_any_client_certificate_shakes_hands_and_is_reported(context: SSL.Context, version: int) -> None:
    own = self_signed("a device that no CA vouches for")
    server, client = Tls(context), Client(device(own, version))
    shake_hands(server, client)
    assert server.established
    assert server.peer == own[1]
    assert server.server_name == "localhost"


def test_a_client_without_a_certificate_is_nobody(context: SSL.Context) -> None:
    server = Tls(context)
    shake_hands(server, Client(device(None), server_name=None))
    assert server.established
    assert server.peer is None
    assert server.server_name is None


def test_a_certificate_without_its_key_is_refused(context: SSL.Context) -> None:
    """TLS 1.3 as a client would speak it that holds somebody else's certificate: its CertificateVerify is broken."""
    own, stolen = self_signed("mine"), self_signed("stolen")
    server, client = Tls(context), Client(device(own))
    first = client.step(b"")
    server.receive(first)
    last = client.step(server.outgoing())
    with pytest.raises(TlsFailure):
        server.receive(last[:-40] + bytes(40))
    assert not server.established
    assert server.peer is None
    assert stolen[1] != own[1]


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        ((b"x-amzn-mqtt-ca",), b"x-amzn-mqtt-ca"),
        ((b"http/1.1", b"x-amzn-mqtt-ca"), b"x-amzn-mqtt-ca"),  # the server's order decides
        ((b"h2", b"http/1.1"), b"http/1.1"),
        ((), b""),
        ((b"h2",), b""),  # served all the same: the port decides
    ],
)
def test_the_protocol_is_chosen_by_alpn(context: SSL.Context, wanted: tuple[bytes, ...], chosen: bytes) -> None:
    server = Tls(context)
    shake_hands(server, Client(device(None), wanted=wanted))
    assert server.alpn == chosen


def test_plaintext_goes_both_ways_in_any_pieces(context: SSL.Context) -> None:
    server, client = Tls(context), Client(device(self_signed("device")))
    shake_hands(server, client)
    records = client.say(b"x" * 100_000)
    got = b"".join(server.receive(records[at : at + 1000]) for at in range(0, len(records), 1000))
    assert got == b"x" * 100_000
    server.send(b"y" * 100_000)
    client.step(server.outgoing())
    assert client.heard == b"y" * 100_000


def test_what_comes_with_the_last_handshake_message_is_read(context: SSL.Context) -> None:
    server, client = Tls(context), Client(device(self_signed("device")))
    server.receive(client.step(b""))
    finished = client.step(server.outgoing())
    assert server.receive(finished + client.say(b"hello")) == b"hello"


def test_a_goodbye_is_told_after_the_last_words(context: SSL.Context) -> None:
    server, client = Tls(context), Client(device(self_signed("device")))
    shake_hands(server, client)
    last = client.say(b"bye")
    client.connection.shutdown()
    assert server.receive(last + client.connection.bio_read(1 << 20)) == b"bye"
    assert server.ended
    server.close()
    server.close()  # once more does no harm


@pytest.mark.parametrize("noise", [b"GET / HTTP/1.1\r\n\r\n", bytes(64), b"\x16\x03\x01\xff\xff" + bytes(100)])
def test_what_is_no_tls_is_refused(context: SSL.Context, noise: bytes) -> None:
    server = Tls(context)
    with pytest.raises(TlsFailure, match=r"\w"):
        server.receive(noise + bytes(70_000))  # whatever record length it claims, here is more


def test_a_broken_record_ends_the_connection(context: SSL.Context) -> None:
    server, client = Tls(context), Client(device(self_signed("device")))
    shake_hands(server, client)
    records = bytearray(client.say(b"hello"))
    records[-1] ^= 1
    with pytest.raises(TlsFailure, match="mac"):
        server.receive(bytes(records))


def test_tls_1_1_is_not_spoken(context: SSL.Context) -> None:
    old = SSL.Context(SSL.TLS_CLIENT_METHOD)
    old.set_cipher_list(b"ALL:@SECLEVEL=0")
    old.set_min_proto_version(SSL.TLS1_1_VERSION)
    old.set_max_proto_version(SSL.TLS1_1_VERSION)
    server, client = Tls(context), Client(old)
    with pytest.raises((TlsFailure, SSL.Error)):
        server.receive(client.step(b""))
    assert not server.established


def test_megabytes_leave_in_one_piece(context: SSL.Context) -> None:
    server, client = Tls(context), Client(device(self_signed("mine")))
    shake_hands(server, client)
    server.send(b"x" * 100_000_000)
    assert len(server.outgoing()) > 100_000_000
    assert server.outgoing() == b""
