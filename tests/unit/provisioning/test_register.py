from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from cryptography import x509
from tests.pki import TestAuthority, new_key, signing_request
from tests.registrations import body, device
from tests.runtime import REGION, Installed, installed

from fleetgate.errors import (
    CertificateInvalid,
    ConflictingUpdate,
    InvalidParameters,
    InvalidRequest,
    InvalidSigningRequest,
    NotFound,
)
from fleetgate.names import Realm
from fleetgate.provisioning import register
from fleetgate.provisioning.register import Registration
from fleetgate.registry import attachments, authorities, certificates, issuances, policies, things
from fleetgate.registry.certificates import Mode, Status


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    with installed(tmp_path_factory.mktemp("installation")) as running:
        yield running


@pytest.fixture
def realm(house: Installed) -> Realm:
    return Realm(house.account(), REGION)


def registered(house: Installed, realm: Realm, template: str, parameters: dict[str, str]) -> Registration:
    act = house.runtime.act(realm, "test")
    document = register.read_template(template)
    settle: register.Settle = house.run(register.prepare(house.runtime, act, document, parameters))
    return house.write(settle)


def test_a_signing_request_becomes_a_thing_with_its_certificate(house: Installed, realm: Realm) -> None:
    key = new_key()
    done = registered(house, realm, body(), {"ThingName": "lamp", "CSR": signing_request(key)})
    assert done.certificate_pem is not None
    leaf = x509.load_pem_x509_certificate(done.certificate_pem.encode())
    assert leaf.public_key() == key.public_key()
    fingerprint = done.arns["certificate"].rpartition("/")[2]
    assert done.arns["thing"] == realm.arn("thing", "lamp")
    assert set(done.arns) == {"thing", "certificate", "policy"}
    assert house.read(lambda tx: [each.thing_name for each in attachments.things_of(tx, realm, fingerprint)]) == [
        "lamp"
    ]
    [policy] = house.read(lambda tx: policies.page(tx, realm)).items
    assert done.arns["policy"] == realm.arn("policy", policy.name)
    assert len(house.read(lambda tx: attachments.policies_for(tx, realm, fingerprint, None))) == 1
    assert house.read(lambda tx: certificates.get(tx, realm, fingerprint)).status is Status.ACTIVE
    assert house.read(lambda tx: things.get(tx, realm, "lamp")).attributes == {"serial": "none"}
    assert house.read(lambda tx: issuances.unfinished(tx, realm, house.clock() + 1)).items == ()


def test_a_certificate_that_is_known_by_its_id(house: Installed, realm: Realm, ca: TestAuthority) -> None:
    pem = adopted(house, realm, ca, Status.INACTIVE)
    template = body({"CertificateId": {"Ref": "Pem"}})
    done = registered(house, realm, template, {"ThingName": "lamp", "Pem": fingerprint_of(pem)})
    assert done.arns["certificate"] == realm.arn("cert", fingerprint_of(pem))
    assert house.read(lambda tx: certificates.get(tx, realm, fingerprint_of(pem))).status is Status.ACTIVE


@pytest.mark.parametrize(("override", "then"), [("DO_NOTHING", "INACTIVE"), ("REPLACE", "ACTIVE"), ("FAIL", None)])
def test_the_override_of_a_status(
    house: Installed, realm: Realm, ca: TestAuthority, override: str, then: str | None
) -> None:
    pem = adopted(house, realm, ca, Status.INACTIVE)
    template = json.loads(body({"CertificateId": {"Ref": "Pem"}}))
    template["Resources"]["certificate"]["OverrideSettings"] = {"Status": override}
    parameters = {"ThingName": "lamp", "Pem": fingerprint_of(pem)}
    if then is None:
        with pytest.raises(ConflictingUpdate, match="is INACTIVE, and the template's OverrideSettings say FAIL"):
            registered(house, realm, json.dumps(template), parameters)
        assert house.read(lambda tx: things.find(tx, realm, "lamp")) is None
    else:
        registered(house, realm, json.dumps(template), parameters)
        assert house.read(lambda tx: certificates.get(tx, realm, fingerprint_of(pem))).status == then


def test_a_certificate_of_a_registered_ca(house: Installed, realm: Realm, ca: TestAuthority) -> None:
    enter(house, realm, ca)
    template = body({"CertificatePem": {"Ref": "Pem"}, "CACertificatePem": {"Ref": "CSR"}})
    pem = ca.leaf()
    ca_pem = house.read(lambda tx: authorities.page(tx, realm)).items[0].pem
    parameters = {"ThingName": "lamp", "Pem": pem, "CSR": ca_pem}
    registered(house, realm, template, parameters)
    kept = house.read(lambda tx: certificates.get(tx, realm, fingerprint_of(pem)))
    assert (kept.status, kept.mode) == (Status.ACTIVE, Mode.DEFAULT)
    assert kept.ca_fingerprint is not None
    again = registered(house, realm, template, parameters)
    assert again.arns["certificate"] == realm.arn("cert", kept.fingerprint)


def test_a_certificate_that_nobody_vouches_for(house: Installed, realm: Realm, ca: TestAuthority) -> None:
    with pytest.raises(CertificateInvalid, match="not issued by any registered CA"):
        registered(house, realm, body({"CertificatePem": {"Ref": "Pem"}}), {"ThingName": "lamp", "Pem": ca.leaf()})
    assert house.read(lambda tx: things.find(tx, realm, "lamp")) is None


def test_a_thing_alone(house: Installed, realm: Realm) -> None:
    template = json.dumps({"Resources": {"t": {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": "alone"}}}})
    done = registered(house, realm, template, {})
    assert (done.certificate_pem, done.arns) == (None, {"t": realm.arn("thing", "alone")})
    act = house.runtime.act(realm, "test")
    assert done.target(act) == realm.arn("thing", "alone")
    assert Registration(None, {"c": "arn:x"}).target(act) == "arn:x"


def test_the_registry_refuses_and_nothing_is_left(house: Installed, realm: Realm) -> None:
    with pytest.raises(NotFound, match="bulk-type"):
        registered(house, realm, body(ThingTypeName="bulk-type"), device("lamp"))
    with pytest.raises(NotFound, match="Billing group b does not exist"):
        registered(house, realm, body(BillingGroup="b"), device("lamp"))
    assert house.read(lambda tx: things.find(tx, realm, "lamp")) is None
    assert house.read(lambda tx: certificates.page(tx, realm)).items == ()
    assert house.read(lambda tx: policies.page(tx, realm)).items == ()


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({}, InvalidParameters),
        ({"ThingName": "no spaces", "CSR": "x"}, InvalidParameters),
        ({"ThingName": "lamp", "CSR": "x"}, InvalidSigningRequest),
        ({"ThingName": "lamp", "CSR": ""}, InvalidParameters),
    ],
)
def test_parameters_that_do_not_do(
    house: Installed, realm: Realm, parameters: dict[str, str], error: type[Exception]
) -> None:
    with pytest.raises(error):
        registered(house, realm, body(), parameters)


def test_a_template_is_judged_with_its_policies() -> None:
    template = json.loads(body())
    template["Resources"]["policy"]["Properties"]["PolicyDocument"] = '{"Version": "2012-10-17", "Statement": [{}]}'
    with pytest.raises(InvalidRequest, match="PolicyDocument"):
        register.read_template(json.dumps(template))
    del template["Resources"]["certificate"]
    template["Resources"]["policy"]["Properties"] = {"PolicyName": "p"}
    with pytest.raises(InvalidRequest, match="the template has none"):
        register.read_template(json.dumps(template))
    with pytest.raises(InvalidRequest):
        register.read_template("{")


# --- certificates of others -------------------------------------------------------------------------------------------


@pytest.fixture
def ca(realm: Realm) -> TestAuthority:
    return TestAuthority(f"CA of {realm.account}")


def enter(house: Installed, realm: Realm, ca: TestAuthority) -> None:
    iot = house.client(house.operator(realm.account))
    code = iot.get_registration_code()["registrationCode"]
    iot.register_ca_certificate(caCertificate=ca.pem, verificationCertificate=ca.leaf(code), setAsActive=True)


def adopted(house: Installed, realm: Realm, ca: TestAuthority, status: Status) -> str:
    pem = ca.leaf()
    house.client(house.operator(realm.account)).register_certificate_without_ca(certificatePem=pem, status=str(status))
    return pem


def fingerprint_of(pem: str) -> str:
    from cryptography.hazmat.primitives import hashes

    return x509.load_pem_x509_certificate(pem.encode()).fingerprint(hashes.SHA256()).hex()
