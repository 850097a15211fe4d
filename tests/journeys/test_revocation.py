"""Revocation as outsiders see it: OpenSSL and a library judge lists and answers, boto3 and the command line revoke."""

from __future__ import annotations

import asyncio
import base64
import subprocess
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from email.message import Message
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp as library
from tests.fleet import running_server
from tests.server import REALM

from fleetgate import authority
from fleetgate.app import Server
from fleetgate.pki import certificate, keys
from fleetgate.pki.crl import Reason
from fleetgate.pki.keys import KeyKind
from fleetgate.registry import audit, certificates
from fleetgate.registry.certificates import Status


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with running_server(tmp_path / "data", authority__status_url="http://pki.test:8080/") as running:
        yield running


async def issued(server: Server, file: Path) -> x509.Certificate:
    runtime, act = server.runtime, server.runtime.act(REALM, "me")
    made = await authority.issue(runtime, act, keys.generate(KeyKind.EC_P256).public_key())
    await runtime.write(lambda tx: authority.record(tx, act, made, Status.ACTIVE))
    file.write_text(made.pem)
    return certificate.load(made.pem)


async def revoke(server: Server, made: x509.Certificate) -> None:
    act, fingerprint = server.runtime.act(REALM, "me"), certificate.fingerprint(made)
    await server.runtime.write(
        lambda tx: certificates.set_status(tx, act, fingerprint, Status.REVOKED, reason=Reason.KEY_COMPROMISE)
    )


async def get(url: str, data: bytes | None = None) -> tuple[int, Message, bytes]:
    def ask() -> tuple[int, Message, bytes]:
        request = urllib.request.Request(
            url, data, {"content-type": "application/ocsp-request"} if data else {}
        )  # our own address
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()

    return await asyncio.to_thread(ask)


async def openssl(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run, ["openssl", *map(str, arguments)], check=False, capture_output=True, text=True
    )


async def test_openssl_believes_the_list(server: Server, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.pem", tmp_path / "bad.pem"
    await issued(server, good)
    withdrawn = await issued(server, bad)
    await revoke(server, withdrawn)
    place = withdrawn.extensions.get_extension_for_class(x509.CRLDistributionPoints).value[0].full_name
    assert place is not None
    url = place[0].value
    assert url.startswith("http://pki.test:8080/_fleetgate/crl/")
    status, headers, body = await get(url.replace("http://pki.test:8080", server.api_url))
    assert (status, headers["content-type"]) == (200, "application/pkix-crl")
    assert "public" in headers["cache-control"]
    assert headers["etag"]
    assert headers["expires"]
    (tmp_path / "list.crl").write_bytes(body)
    await openssl("crl", "-inform", "DER", "-in", tmp_path / "list.crl", "-out", tmp_path / "list.pem")
    chain = tmp_path / "chain.pem"
    chain.write_text(server.runtime.issuer.chain_pem)
    check = ("verify", "-CAfile", chain, "-CRLfile", tmp_path / "list.pem", "-crl_check")
    assert (await openssl(*check, good)).returncode == 0
    refused = await openssl(*check, bad)
    assert refused.returncode != 0
    assert "certificate revoked" in refused.stderr
    shown = await openssl("crl", "-in", tmp_path / "list.pem", "-noout", "-text")
    assert "Key Compromise" in shown.stdout


async def test_openssl_believes_the_responder(server: Server, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.pem", tmp_path / "bad.pem"
    await issued(server, good)
    await revoke(server, await issued(server, bad))
    issuing, chain = tmp_path / "issuing.pem", tmp_path / "chain.pem"
    chain.write_text(server.runtime.issuer.chain_pem)
    issuing.write_text(certificate.pem(certificate.load_all(server.runtime.issuer.chain_pem, 2)[0]))
    ask = ("ocsp", "-issuer", issuing, "-cert", good, "-cert", bad, "-CAfile", chain, "-url")
    both = await openssl(*ask, f"{server.api_url}/_fleetgate/ocsp")
    assert "malformed" in both.stderr + both.stdout, "one question at a time (RFC 5019)"
    for file, said in ((good, ": good"), (bad, ": revoked")):
        one = ("ocsp", "-issuer", issuing, "-cert", file, "-CAfile", chain, "-url", f"{server.api_url}/_fleetgate/ocsp")
        found = await openssl(*one)
        assert said in found.stdout
        assert "Response verify OK" in found.stderr
        assert "WARNING" not in found.stdout, "the nonce is there"
        plain = await openssl("ocsp", "-sha256", *one[1:], "-no_nonce")
        assert said in plain.stdout


async def test_get_is_cacheable_and_post_is_not(server: Server, tmp_path: Path) -> None:
    made = await issued(server, tmp_path / "one.pem")
    issuing = certificate.load_all(server.runtime.issuer.chain_pem, 2)[0]
    encoded = library.OCSPRequestBuilder().add_certificate(made, issuing, hashes.SHA1()).build()  # what clients send
    question = encoded.public_bytes(Encoding.DER)
    access = made.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value[0].access_location.value
    url = access.replace("http://pki.test:8080", server.api_url)
    status, headers, body = await get(f"{url}/{quote(base64.b64encode(question).decode(), safe='')}")
    assert (status, headers["content-type"]) == (200, "application/ocsp-response")
    assert 0 < int(headers["cache-control"].split("max-age=")[1].split(",")[0]) <= 60
    assert library.load_der_ocsp_response(body).certificate_status is library.OCSPCertStatus.GOOD
    assert (await get(f"{url}/{base64.b64encode(question).decode()}"))[2] == body, "given again, signed once"
    _, posted, again = await get(url, question)
    assert (posted["cache-control"], again) == ("no-store", body)


async def test_what_is_no_question_is_told_so(server: Server) -> None:
    base = f"{server.api_url}/_fleetgate"
    for address, data in ((f"{base}/ocsp", b"nonsense"), (f"{base}/ocsp", b"x" * 100_000), (f"{base}/ocsp/@@@", None)):
        status, _, body = await get(address, data)
        assert status == 200
        found = library.load_der_ocsp_response(body)
        assert found.response_status is library.OCSPResponseStatus.MALFORMED_REQUEST
    assert (await get(f"{base}/crl/{'0' * 64}.crl"))[0] == 404
    assert (await get(f"{base}/crl/../health"))[0] == 404
    assert (await get(f"{base}/crl/{server.runtime.issuer.fingerprint}.crl", b"x"))[0] == 405


async def test_asking_often_costs_one_signature(server: Server) -> None:
    url = f"{server.api_url}/_fleetgate/crl/{server.runtime.issuer.fingerprint}.crl"
    found = await asyncio.gather(*(get(url) for _ in range(8)))
    assert len({body for _, _, body in found}) == 1
    noted = await server.runtime.database.read(
        lambda tx: audit.page_with_nobodys(tx, REALM, action="PublishRevocationList")
    )
    assert len(noted.items) == 1
