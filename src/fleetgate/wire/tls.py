"""TLS without sockets: bytes from the network in, plaintext out, and the other way round (RFC 8446, RFC 5246).

The standard `ssl` module refuses a client certificate that no CA vouches for. Here any client certificate may shake
hands: the handshake proves that the peer holds the key, and who that is gets judged above, by its fingerprint.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL

CHUNK = 65536

# Forward secrecy and authenticated encryption for TLS 1.2; 1.3 has nothing else. The CBC suites at the end are for
# microcontrollers whose TLS stack has no GCM.
_CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES256:ECDHE+AES128:!aNULL:!MD5:!DSS"


class TlsFailure(Exception):
    """The peer is gone, refused or broke the protocol: send what `Tls.outgoing` holds (an alert), then close."""


def server_context(chain: Path, key: Path, alpn: Sequence[bytes]) -> SSL.Context:
    """A server's context: TLS 1.2 and 1.3, *chain* and *key* as PEM files without passphrase, *alpn* in order of
    preference.

    A client that offers no ALPN, or names none of *alpn*, is served without: the port decides what is spoken. RFC 7301,
    3.2 would turn the latter away; devices in the field set the field to all sorts of things.
    """
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_cipher_list(_CIPHERS)
    context.set_options(SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION | SSL.OP_CIPHER_SERVER_PREFERENCE)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)  # an idle connection gives its record buffers back
    # A resumed session would skip the proof of the key that everything above relies on.
    context.set_options(SSL.OP_NO_TICKET)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.use_certificate_chain_file(str(chain))
    context.use_privatekey(_private_key(key))
    context.check_privatekey()
    context.set_verify(SSL.VERIFY_PEER, _any_certificate)
    refusal = SSL.NO_OVERLAPPING_PROTOCOLS
    context.set_alpn_select_callback(lambda _, offered: next((ours for ours in alpn if ours in offered), refusal))
    return context


def _private_key(file: Path) -> RSAPrivateKey | EllipticCurvePrivateKey:
    key = load_pem_private_key(file.read_bytes(), None)
    assert isinstance(key, (RSAPrivateKey, EllipticCurvePrivateKey))
    return key


def _any_certificate(*_: object) -> bool:
    return True


class Tls:
    """The server's end of one TLS connection."""

    __slots__ = ("_connection", "alpn", "ended", "established", "peer", "server_name")

    def __init__(self, context: SSL.Context) -> None:
        self._connection = SSL.Connection(context, None)
        self._connection.set_accept_state()
        self.established = False
        self.ended = False
        """The peer has said goodbye (close_notify); what `receive` returned were its last words."""
        self.peer: x509.Certificate | None = None
        """The client's certificate, once established: its key is proven, nothing else is."""
        self.alpn = b""
        self.server_name: str | None = None
        """The host the client believes it is talking to (SNI)."""

    def receive(self, data: bytes) -> bytes:
        """Plaintext that *data* completes, perhaps none. Raises `TlsFailure`; then `outgoing` may hold an alert."""
        connection = self._connection
        plain: list[bytes] = []
        try:
            connection.bio_write(data)
            if not self.established:
                connection.do_handshake()
                self._learn()
            while True:
                plain.append(connection.recv(CHUNK))
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self.ended = True
        except (SSL.Error, ValueError) as error:
            raise TlsFailure(_reason(error)) from error
        return plain[0] if len(plain) == 1 else b"".join(plain)

    def _learn(self) -> None:
        self.established = True
        self.peer = self._connection.get_peer_certificate(as_cryptography=True)
        self.alpn = self._connection.get_alpn_proto_negotiated()
        name = self._connection.get_servername()
        self.server_name = name.decode("ascii", "replace").lower() if name else None

    def send(self, data: bytes) -> None:
        """Plaintext to encrypt; the records are then in `outgoing`. Raises `TlsFailure` on a dead connection."""
        try:
            self._connection.sendall(data)
        except SSL.Error as error:
            raise TlsFailure(_reason(error)) from error

    def outgoing(self) -> bytes:
        """Bytes for the network, perhaps none."""
        chunks: list[bytes] = []
        try:
            while not chunks or len(chunks[-1]) == CHUNK:
                chunks.append(self._connection.bio_read(CHUNK))
        except SSL.WantReadError:
            pass
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def close(self) -> None:
        """Say goodbye (close_notify), if the connection still can."""
        try:
            self._connection.shutdown()
        except SSL.Error:
            return


def _reason(error: Exception) -> str:
    """OpenSSL's own words for what went wrong, as one line."""
    reasons = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return "; ".join(entry[-1] for entry in reasons) or "connection lost"
