from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from tests.unit.agent.cloud import certify

from fleetgate.agent import tls
from fleetgate.agent.errors import CredentialsUnusable
from fleetgate.agent.tls import Endpoint, KeyFiles, KeyTexts
from fleetgate.pki import keys
from fleetgate.pki.keys import KeyKind


def test_a_context_verifies_certificate_and_name(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text(certify(keys.generate(KeyKind.EC_P256).public_key()))
    for endpoint in (Endpoint("localhost"), Endpoint("localhost", ca_file=ca)):
        context = tls.trust(endpoint)
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("text", ["", "nonsense", None])
def test_a_ca_file_that_is_none(tmp_path: Path, text: str | None) -> None:
    ca = tmp_path / "ca.pem"
    if text is not None:
        ca.write_text(text)
    with pytest.raises(CredentialsUnusable, match=r"CA file .*ca\.pem cannot be used: "):
        tls.trust(Endpoint("localhost", ca_file=ca))


@pytest.mark.parametrize(
    ("endpoint", "asks"),
    [
        (Endpoint("a"), False),
        (Endpoint("a", 443), True),
        (Endpoint("a", 443, alpn=False), False),
        (Endpoint("a", 8443, alpn=True), True),
    ],
)
def test_alpn_is_asked_on_port_443_or_where_wanted(endpoint: Endpoint, asks: bool) -> None:
    assert endpoint.asks_by_alpn is asks
    assert isinstance(tls.trust(endpoint), ssl.SSLContext)


def test_an_endpoint_is_printed_with_its_port() -> None:
    assert str(Endpoint("a.example")) == "a.example:8883"
    assert str(Endpoint("::1", 443)) == "[::1]:443"


def test_credentials_from_memory_and_from_files(tmp_path: Path, claim: KeyTexts) -> None:
    files = KeyFiles(tmp_path / "c.pem", tmp_path / "c.key")
    files.certificate.write_text(claim.certificate)
    files.private_key.write_text(claim.private_key)
    context = tls.trust(Endpoint("localhost"))
    assert tls.present(context, claim) is context
    assert tls.present(context, files) is context
    assert claim.private_key not in repr(claim)


def test_credentials_that_cannot_be_used(tmp_path: Path, claim: KeyTexts) -> None:
    context = tls.trust(Endpoint("localhost"))
    other = keys.private_key_pem(keys.generate(KeyKind.EC_P256))
    with pytest.raises(CredentialsUnusable, match="in memory cannot be used: it is of another key"):
        tls.present(context, KeyTexts(claim.certificate, other))
    with pytest.raises(CredentialsUnusable, match="in memory cannot be used: "):
        tls.present(context, KeyTexts("nonsense", "nonsense"))
    with pytest.raises(CredentialsUnusable, match="No such file"):
        tls.present(context, KeyFiles(tmp_path / "none.pem", tmp_path / "none.key"))
    sealed = keys.sealed_pem(keys.generate(KeyKind.EC_P256), b"secret").decode()
    with pytest.raises(CredentialsUnusable, match="the private key is encrypted"):
        tls.present(context, KeyTexts(claim.certificate, sealed))


def test_why_a_handshake_failed() -> None:
    untrusted = ssl.SSLCertVerificationError(1, "")
    untrusted.verify_message = "self-signed certificate."
    assert tls.failure(untrusted) == (
        "the server's certificate is not trusted (self-signed certificate). Is the CA file the one of this server?",
        False,
    )
    alert = ssl.SSLError(1, "")
    alert.reason = "TLSV13_ALERT_CERTIFICATE_REQUIRED"
    assert tls.failure(alert) == ("tlsv13 alert certificate required", False)
    assert tls.failure(ssl.SSLError(1, "")) == ("the handshake broke off", True)
