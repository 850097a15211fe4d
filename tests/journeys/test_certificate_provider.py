"""An account's own CA signs its devices' requests: in the claim flow over MQTT, and over the API."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography import x509
from tests.conformance.api.conftest import opened
from tests.journeys.paho_device import CREATE_FROM_CSR, Device, signing_request
from tests.pki import TestAuthority
from tests.providers import BAD, signing_function
from tests.server import PATIENCE, REALM, Batch, Live

from fleetgate.pki import certificate as certificates
from fleetgate.registry import audit

Connect = Callable[..., Device]


@pytest.fixture
def iot(live: Live) -> Any:
    return opened(live, REALM).client()


@pytest.fixture
def provide(live: Live, iot: Any, name: str) -> Iterator[Callable[..., TestAuthority]]:
    """Make a provider of the account, which signs with the CA that is given back."""
    ca = TestAuthority(f"Maker of {name}")

    def provide(wish: str = "") -> TestAuthority:
        function = live.bind(name, signing_function(ca, wish))
        operations = ["CreateCertificateFromCsr"]
        iot.create_certificate_provider(
            certificateProviderName="mine", lambdaFunctionArn=function, accountDefaultForOperations=operations
        )
        return ca

    yield provide
    iot.delete_certificate_provider(certificateProviderName="mine")


def issuer(pem: str) -> str:
    return x509.load_pem_x509_certificate(pem.encode()).issuer.rfc4514_string()


@pytest.mark.parametrize("form", ["json", "cbor"])
def test_a_device_gets_its_makers_certificate(
    live: Live, batch: Batch, connect: Connect, provide: Callable[..., TestAuthority], iot: Any, form: str
) -> None:
    ca = provide()
    made = connect(batch.claim, f"{batch.name}-new").provision(batch, f"{batch.name}-1", csr=True, form=form)
    assert issuer(made.identity.certificate_file.read_text()) == f"CN={ca.name}"
    seen = (live.folder / f"{batch.name}.py.seen").read_text()
    assert seen.startswith(f"{batch.claim.fingerprint}/{batch.name}-new/")
    device = connect(made.identity, made.thing)
    assert device.publish(batch.topic(made.thing)) == 0
    described = iot.describe_certificate(certificateId=made.identity.fingerprint)["certificateDescription"]
    assert (described["status"], described["certificateMode"]) == ("ACTIVE", "DEFAULT")
    # Keys that are made here are still certified here.
    again = connect(batch.claim, f"{batch.name}-2").certificate()[0]
    assert issuer(again["certificatePem"]) != f"CN={ca.name}"


@pytest.mark.parametrize("wish", ["raise", "another key"])
def test_a_provider_that_fails_gives_nothing(
    live: Live, batch: Batch, connect: Connect, provide: Callable[..., TestAuthority], iot: Any, wish: str
) -> None:
    provide(wish)
    device = connect(batch.claim, batch.name)
    answer = device.ask(CREATE_FROM_CSR, {"certificateSigningRequest": signing_request()[0]})
    assert answer.told == (403, "AccessDenied")
    assert BAD[wish] not in answer.content["errorMessage"], "nobody's business at the door"
    with pytest.raises(iot.exceptions.InvalidRequestException, match=BAD[wish]):
        iot.create_certificate_from_csr(certificateSigningRequest=signing_request()[0])

    def refused() -> bool:
        entries = live.read(
            lambda tx: audit.page(tx, REALM, action="CreateCertificateFromCsr", newest_first=True).items
        )
        return sum(BAD[wish] in entry.reason for entry in entries) >= 2

    deadline = time.monotonic() + PATIENCE  # it is written in the background
    while not refused():
        assert time.monotonic() < deadline


def test_an_operator_gets_one_too(
    batch: Batch, live: Live, connect: Connect, provide: Callable[..., TestAuthority], iot: Any
) -> None:
    ca = provide()
    registered = iot.register_ca_certificate(caCertificate=ca.pem, certificateMode="SNI_ONLY", setAsActive=True)
    request, key = signing_request(name=f"{batch.name}-by-hand")
    made = iot.create_certificate_from_csr(certificateSigningRequest=request, setAsActive=True)
    assert issuer(made["certificatePem"]) == f"CN={ca.name}"
    assert made["certificateId"] == certificates.fingerprint(certificates.load(made["certificatePem"]))
    described = iot.describe_certificate(certificateId=made["certificateId"])["certificateDescription"]
    assert described["caCertificateId"] == registered["certificateId"]
    iot.attach_policy(policyName=f"{batch.name}-observer-0", target=made["certificateArn"])
    identity = live.keep(f"{batch.name}-by-hand", made["certificatePem"], key, made["certificateId"])
    assert connect(identity, batch.name).subscribe(f"{batch.name}/a") == [1]


def test_without_it_the_installation_signs_again(live: Live, iot: Any, batch: Batch, connect: Connect) -> None:
    assert iot.list_certificate_providers()["certificateProviders"] == []
    made = connect(batch.claim, batch.name).certificate(csr=True)[0]
    assert "Maker of" not in issuer(made["certificatePem"])
