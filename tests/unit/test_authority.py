"""Intent, lint, sign, record: in this order, and all of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.fleet import House, opened
from tests.server import REALM

from fleetgate import authority
from fleetgate.agent import keys as device_keys
from fleetgate.errors import CertificateInvalid, Unavailable
from fleetgate.pki import certificate, csr, keys
from fleetgate.pki.keys import KeyKind
from fleetgate.registry import audit, certificates
from fleetgate.registry.certificates import Origin, Status


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with opened(tmp_path) as found:
        yield found


async def rows(house: House, table: str) -> list[dict[str, Any]]:
    found = await house.runtime.database.read(lambda tx: tx.rows(f"SELECT * FROM {table}"))
    return [dict(row) for row in found]


async def test_a_certificate_is_signed_by_the_installations_ca(house: House) -> None:
    runtime, key = house.runtime, keys.generate(KeyKind.EC_P256).public_key()
    issued = await authority.issue(runtime, runtime.act(REALM, "me"), key)
    made = certificate.load(issued.pem)
    issuer = runtime.issuer.certificate
    made.verify_directly_issued_by(certificate.load_all(runtime.issuer.chain_pem, 2)[0])
    assert (made.public_key(), made.issuer) == (key, issuer.name)
    assert made.subject.rfc4514_string() == "CN=AWS IoT Certificate"
    assert issued.fingerprint == certificate.fingerprint(made)
    assert issued.intent.serial == f"{made.serial_number:x}"
    assert issued.public_key_fingerprint == keys.public_key_fingerprint(key)
    assert issued.pem not in repr(await rows(house, "certificates")), "not before it is recorded"


async def test_a_requests_subject_is_kept(house: House) -> None:
    verified = csr.parse(device_keys.signing_request(device_keys.make(KeyKind.EC_P256), "pump-7"))
    issued = await authority.issue(house.runtime, house.runtime.act(REALM, "me"), verified.public_key, csr=verified)
    assert certificate.load(issued.pem).subject.rfc4514_string() == "CN=pump-7"


async def test_the_intent_is_written_down_before_the_key_is_used(house: House) -> None:
    """A signer that fails leaves an intent without a certificate."""

    class Failing:
        public_key = house.runtime.issuer.signer.public_key

        def sign(self, tbs: bytes) -> bytes:
            raise Unavailable("The token was pulled out.")

    failing: Any = Failing()
    runtime = replace(house.runtime, issuer=replace(house.runtime.issuer, signer=failing))
    with pytest.raises(Unavailable):
        await authority.issue(runtime, runtime.act(REALM, "me"), keys.generate(KeyKind.EC_P256).public_key())
    [intent] = await rows(house, "issuances")
    assert intent["fingerprint"] is None
    assert await rows(house, "certificates") == []


async def test_what_is_not_fit_to_be_signed_leaves_not_even_an_intent(house: House) -> None:
    profile = replace(house.runtime.issuer.profile, key_kinds=frozenset({"rsa"}))
    runtime = replace(house.runtime, issuer=replace(house.runtime.issuer, profile=profile))
    with pytest.raises(CertificateInvalid, match="not fit to be signed"):
        await authority.issue(runtime, runtime.act(REALM, "me"), keys.generate(KeyKind.EC_P256).public_key())
    assert await rows(house, "issuances") == []


async def test_what_is_recorded(house: House) -> None:
    runtime = house.runtime
    act = runtime.act(REALM, "me")
    issued = await authority.issue(runtime, act, keys.generate(KeyKind.EC_P256).public_key())
    kept = await runtime.write(
        lambda tx: authority.record(tx, act, issued, Status.PENDING_ACTIVATION, claim_fingerprint="c" * 64)
    )
    assert kept == await runtime.database.read(lambda tx: certificates.get(tx, REALM, issued.fingerprint))
    assert (kept.status, kept.origin, kept.listed) == (Status.PENDING_ACTIVATION, Origin.ISSUED, True)
    assert (kept.not_before, kept.not_after, kept.pem) == (issued.not_before, issued.not_after, issued.pem)
    assert kept.claim_fingerprint == "c" * 64
    [intent] = await rows(house, "issuances")
    assert intent["fingerprint"] == issued.fingerprint
    page = await runtime.database.read(lambda tx: audit.page(tx, REALM, action="IssueCertificate"))
    [entry] = page.items
    assert (entry.actor, entry.target) == ("me", REALM.arn("cert", issued.fingerprint))
    assert entry.details == {
        "issuer": runtime.issuer.fingerprint,
        "serial": issued.intent.serial,
        "status": "PENDING_ACTIVATION",
    }
