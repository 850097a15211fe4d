"""When lists and answers are made, and how often the CA's key is used for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp as library
from tests.fleet import House, opened
from tests.server import REALM

from fleetgate import authority, revocation
from fleetgate.errors import NotFound, Unavailable
from fleetgate.names import NO_ACCOUNT
from fleetgate.pki import certificate, keys, ocsp
from fleetgate.pki.crl import Reason
from fleetgate.pki.keys import KeyKind
from fleetgate.pki.profile import DAY
from fleetgate.registry import audit, certificates, revocations
from fleetgate.registry.certificates import Status


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with opened(tmp_path) as found:
        yield found


async def issued(house: House) -> x509.Certificate:
    runtime, act = house.runtime, house.runtime.act(REALM, "me")
    made = await authority.issue(runtime, act, keys.generate(KeyKind.EC_P256).public_key())
    await runtime.write(lambda tx: authority.record(tx, act, made, Status.ACTIVE))
    return certificate.load(made.pem)


async def revoke(house: House, made: x509.Certificate, reason: Reason = Reason.UNSPECIFIED) -> None:
    act, fingerprint = house.runtime.act(REALM, "me"), certificate.fingerprint(made)
    await house.runtime.write(lambda tx: certificates.set_status(tx, act, fingerprint, Status.REVOKED, reason=reason))


async def uses(house: House, action: str) -> int:
    page = await house.runtime.database.read(lambda tx: audit.page(tx, NO_ACCOUNT, action=action))
    return len(page.items)


def question(house: House, made: x509.Certificate, nonce: bytes | None = None) -> ocsp.Question:
    issuing = house.runtime.issuer.certificate.certificate
    assert issuing is not None
    builder = library.OCSPRequestBuilder().add_certificate(made, issuing, hashes.SHA256())
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return ocsp.read(builder.build().public_bytes(Encoding.DER))


# --- lists ---


async def test_a_list_is_made_when_it_is_due_and_not_before(house: House) -> None:
    runtime, issuer = house.runtime, house.runtime.issuer
    first = await revocation.current_list(runtime, issuer)
    assert x509.load_der_x509_crl(first.body).is_signature_valid(issuer.signer.public_key)
    house.pass_(3 * DAY)
    assert await revocation.current_list(runtime, issuer) == first
    made = await issued(house)
    await revoke(house, made, Reason.KEY_COMPROMISE)
    second = await revocation.current_list(runtime, issuer)
    assert second.number == first.number + 1
    assert [each.serial_number for each in x509.load_der_x509_crl(second.body)] == [made.serial_number]
    assert await revocation.current_list(runtime, issuer) == second
    house.pass_(4 * DAY)
    third = await revocation.current_list(runtime, issuer)
    assert third.number == second.number + 1, "half of its time is over"
    assert await uses(house, "PublishRevocationList") == 3


async def test_one_that_another_process_is_making_does_not_keep_anybody_waiting(house: House) -> None:
    runtime, issuer = house.runtime, house.runtime.issuer
    both = await asyncio.gather(*(revocation.current_list(runtime, issuer) for _ in range(4)))
    assert {each.number for each in both} <= set(range(1, 5))
    for each in both:
        assert x509.load_der_x509_crl(each.body).is_signature_valid(issuer.signer.public_key)


async def test_a_signer_that_fails_leaves_a_number_that_is_not_used_again(house: House) -> None:
    class Failing:
        def __init__(self) -> None:
            self.public_key = house.runtime.issuer.signer.public_key
            self.algorithm = house.runtime.issuer.signer.algorithm

        def sign(self, tbs: bytes) -> bytes:
            raise Unavailable("The token was pulled out.")

    with pytest.raises(Unavailable):
        await revocation.publish(house.runtime, replace(house.runtime.issuer, signer=Failing()))
    assert (
        await house.runtime.database.read(lambda tx: revocations.latest(tx, house.runtime.issuer.fingerprint)) is None
    )
    assert (await revocation.current_list(house.runtime, house.runtime.issuer)).number == 2


def test_a_ca_that_is_not_ours(house: House) -> None:
    with pytest.raises(NotFound):
        revocation.issuer_of(house.runtime, "0" * 64)


# --- OCSP ---


async def told(responder: revocation.Responder, asked: ocsp.Question) -> library.OCSPResponse:
    return library.load_der_ocsp_response((await responder.answer(asked)).body)


async def test_what_is_known_of_a_certificate(house: House) -> None:
    responder, made = revocation.Responder(house.runtime), await issued(house)
    asked = question(house, made)
    assert (await told(responder, asked)).certificate_status is library.OCSPCertStatus.GOOD
    await revoke(house, made, Reason.SUPERSEDED)
    found = await told(responder, asked)
    assert found.certificate_status is library.OCSPCertStatus.REVOKED, "at once, whatever was kept"
    assert found.revocation_reason is x509.ReasonFlags.superseded
    stranger = ocsp.Question(5, asked.digest, asked.issuer_name_hash, asked.issuer_key_hash, None)
    assert (await told(responder, stranger)).certificate_status is library.OCSPCertStatus.UNKNOWN
    with pytest.raises(NotFound):
        await responder.answer(ocsp.Question(5, "sha256", b"x" * 32, asked.issuer_key_hash, None))


async def test_strangers_do_not_make_the_cas_key_work(house: House) -> None:
    responder, made = revocation.Responder(house.runtime), await issued(house)
    plain = question(house, made)
    await asyncio.gather(*(responder.answer(plain) for _ in range(20)))
    assert await responder.answer(plain) == await responder.answer(plain)
    for number in range(5):
        nonce = b"nonce%d" % number
        found = await told(responder, question(house, made, nonce))
        assert found.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == nonce
    page = await house.runtime.database.read(lambda tx: audit.page(tx, NO_ACCOUNT, action="IssueCertificate"))
    delegated = [each for each in page.items if each.details["status"] == "ocsp-responder"]
    assert len(delegated) == 1


async def test_the_responders_certificate_is_renewed_by_itself(house: House) -> None:
    responder, made = revocation.Responder(house.runtime), await issued(house)
    [first] = (await told(responder, question(house, made))).certificates
    house.pass_(8 * DAY)
    [second] = (await told(responder, question(house, made))).certificates
    assert first != second
    house.pass_(-DAY)
    [same] = (await told(responder, question(house, made, b"again"))).certificates
    assert same == second
