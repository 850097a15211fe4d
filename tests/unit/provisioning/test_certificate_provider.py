"""Who signs a signing request, on a real installation without doors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from tests.fleet import House, opened
from tests.pki import TestAuthority, new_key, signing_request
from tests.providers import BAD, signing_function
from tests.server import REALM

from fleetgate.authority import Issued
from fleetgate.errors import AlreadyExists, FunctionFailed, FunctionUnavailable, InvalidRequest
from fleetgate.pki import csr
from fleetgate.provisioning import certificate_provider
from fleetgate.provisioning.certificate_provider import Provided, Signed
from fleetgate.provisioning.functions import arn
from fleetgate.registry import audit, certificate_providers, functions, issuances
from fleetgate.registry.certificates import Origin, Status


class Signer:
    def __init__(self, house: House, folder: Path) -> None:
        self.house, self.folder, self.runtime = house, folder, house.runtime
        self.ca, self.key = TestAuthority("Maker"), new_key()

    async def provide(self, wish: str = "", *, bound: bool = True) -> Path:
        """The account has a provider from now on; the file of its function."""
        file = self.folder / "sign.py"
        file.write_text(signing_function(self.ca, wish))
        act = self.runtime.act(REALM, "system")
        if bound:
            await self.runtime.write(lambda tx: functions.put(tx, act, "sign", str(file), "lambda_handler"))
        await self.runtime.write(lambda tx: certificate_providers.create(tx, act, "mine", arn(REALM, "sign")))
        return file

    async def sign(self, name: str = "device") -> Signed:
        act = self.runtime.act(REALM, "system")
        request = csr.parse(signing_request(self.key, name))
        return await certificate_provider.sign(self.runtime, act, request, "principal", "client")


@pytest.fixture
async def signer(tmp_path: Path) -> AsyncIterator[Signer]:
    async with opened(tmp_path / "data") as house:
        yield Signer(house, tmp_path)


async def test_without_a_provider_the_ca_signs(signer: Signer) -> None:
    signed = await signer.sign()
    assert isinstance(signed, Issued)
    assert x509.load_pem_x509_certificate(signed.pem.encode()).public_key() == signer.key.public_key()


async def test_a_provider_signs_and_the_ca_does_not(signer: Signer) -> None:
    file = await signer.provide()
    signed = await signer.sign()
    assert isinstance(signed, Provided)
    leaf = x509.load_pem_x509_certificate(signed.pem.encode())
    assert (leaf.public_key(), leaf.issuer.rfc4514_string()) == (signer.key.public_key(), "CN=Maker")
    expected = "principal/client/['certificateSigningRequest', 'clientId', 'principalId']"
    assert file.with_name("sign.py.seen").read_text() == expected
    act = signer.runtime.act(REALM, "system")
    made = await signer.runtime.write(
        lambda tx: certificate_provider.record(tx, act, signed, Status.PENDING_ACTIVATION, claim_fingerprint="c")
    )
    assert (made.fingerprint, made.pem, made.origin) == (signed.fingerprint, signed.pem, Origin.REGISTERED)
    assert (made.status, made.claim_fingerprint) == (Status.PENDING_ACTIVATION, "c")
    [noted] = await signer.runtime.database.read(lambda tx: audit.page(tx, REALM, action="ProvideCertificate").items)
    assert (noted.target, noted.details["provider"]) == (REALM.arn("cert", made.fingerprint), "mine")
    assert await signer.runtime.database.read(lambda tx: issuances.unfinished(tx, REALM, act.now + 1).items) == ()
    with pytest.raises(AlreadyExists):
        await signer.runtime.write(lambda tx: certificate_provider.record(tx, act, signed, Status.ACTIVE))


async def test_the_profile_does_not_bind_a_provider(signer: Signer) -> None:
    issuer = signer.runtime.issuer
    rsa_alone = replace(issuer.profile, key_kinds=frozenset({"rsa"}))
    signer.runtime = replace(signer.runtime, issuer=replace(issuer, profile=rsa_alone))
    with pytest.raises(InvalidRequest):
        await signer.sign()
    await signer.provide()
    assert isinstance(await signer.sign(), Provided)


@pytest.mark.parametrize("wish", BAD)
async def test_what_is_wrong_with_an_answer(signer: Signer, wish: str) -> None:
    await signer.provide(wish)
    with pytest.raises(FunctionFailed, match=BAD[wish]) as failed:
        await signer.sign()
    assert failed.value.message.startswith("Certificate provider mine: ")


async def test_a_function_that_is_not_there(signer: Signer) -> None:
    await signer.provide(bound=False)
    with pytest.raises(FunctionFailed, match="No function sign is bound") as failed:
        await signer.sign()
    assert isinstance(failed.value.__cause__, FunctionUnavailable)
