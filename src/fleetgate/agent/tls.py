"""The device's end of TLS: whom it trusts, what it shows, and where it connects.

Contexts are the standard library's, TLS 1.2 and 1.3. The server's certificate and its name are always verified.
"""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fleetgate.agent.errors import CredentialsUnusable

ALPN_MQTT: Final = "x-amzn-mqtt-ca"
"""MQTT with client certificates on a port that HTTPS shares (AWS IoT: 443)."""
_ALPN_PORT: Final = 443


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server's device endpoint."""

    host: str
    port: int = 8883
    ca_file: Path | None = None
    """PEM file with the CA certificates that may vouch for the server; without one the system's are used."""
    alpn: bool | None = None
    """Whether to ask for MQTT by ALPN. None: on port 443, as AWS's SDKs do."""
    server_name: str | None = None
    """The name to ask for (SNI) and to find in the server's certificate, where it is another than *host*."""

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def asks_by_alpn(self) -> bool:
        return self.port == _ALPN_PORT if self.alpn is None else self.alpn


@dataclass(frozen=True, slots=True)
class KeyFiles:
    """A certificate (with its chain, where it has one) and its private key, unencrypted, as PEM files."""

    certificate: Path
    private_key: Path


@dataclass(frozen=True, slots=True)
class KeyTexts:
    """The same as PEM texts, for a key that lives in memory."""

    certificate: str
    private_key: str = field(repr=False)


Credentials = KeyFiles | KeyTexts


def trust(endpoint: Endpoint) -> ssl.SSLContext:
    """A context that verifies *endpoint* and shows no certificate yet. Raises CredentialsUnusable for the CA file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies certificate and host name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if endpoint.ca_file is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        try:
            context.load_verify_locations(endpoint.ca_file)
        except (OSError, ValueError) as error:
            raise CredentialsUnusable(
                f"The CA file {endpoint.ca_file} cannot be used: {_why(error)}. It holds PEM certificates."
            ) from error
    if endpoint.asks_by_alpn:
        context.set_alpn_protocols([ALPN_MQTT])
    return context


def present(context: ssl.SSLContext, credentials: Credentials) -> ssl.SSLContext:
    """*context* itself, from now on showing this certificate. Raises CredentialsUnusable."""
    try:
        if isinstance(credentials, KeyFiles):
            context.load_cert_chain(credentials.certificate, credentials.private_key, password=_no_passphrase)
        else:
            with _readable(credentials.private_key + credentials.certificate) as path:
                context.load_cert_chain(path, password=_no_passphrase)
    except (OSError, ValueError) as error:
        where = (
            f"{credentials.certificate} with {credentials.private_key}"
            if isinstance(credentials, KeyFiles)
            else "in memory"
        )
        raise CredentialsUnusable(f"The certificate {where} cannot be used: {_why(error)}.") from error
    return context


def _no_passphrase() -> str:
    """Without it, OpenSSL would ask at the terminal."""
    raise ValueError("the private key is encrypted, and nobody is there to type its passphrase")


@contextmanager
def _readable(text: str) -> Iterator[str]:
    """A path under which OpenSSL, which reads keys from files alone, finds *text*: in memory where the system can."""
    if hasattr(os, "memfd_create"):
        handle = os.memfd_create("credentials", os.MFD_CLOEXEC)
        path = f"/proc/self/fd/{handle}"
    else:  # pragma: no cover # not on Linux
        handle, path = tempfile.mkstemp()
    try:
        os.write(handle, text.encode())
        yield path
    finally:
        os.close(handle)
        if not path.startswith("/proc/"):  # pragma: no cover # not on Linux
            Path(path).unlink()


def _why(error: Exception) -> str:
    """One reason, without OpenSSL's place in its source: `no certificate or crl found`, `No such file or directory`."""
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or "no PEM text that can be read").replace("_", " ").lower()
        return "it is of another key" if reason == "key values mismatch" else reason
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


def failure(error: ssl.SSLError) -> tuple[str, bool]:
    """What went wrong in a handshake, and whether it may work later: a certificate does not get better by waiting."""
    if isinstance(error, ssl.SSLCertVerificationError):
        said = error.verify_message.rstrip(".")
        return f"the server's certificate is not trusted ({said}). Is the CA file the one of this server?", False
    # An SSLError that OpenSSL did not raise has no reason.
    reason = (getattr(error, "reason", None) or "the handshake broke off").replace("_", " ").lower()
    return reason, "alert" not in reason or "internal error" in reason
