from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from tests.runtime import Installed

from fleetgate import access
from fleetgate.errors import AccessDenied
from fleetgate.names import Realm
from fleetgate.registry import certificates, claims
from fleetgate.registry.claims import Kind

ROLE = "arn:aws:iam::123456789012:role/provisioning"
BODY = json.dumps({"Resources": {"t": {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": "x"}}}})
MINUTE = 60_000

Rights = Callable[[str, str], bool]


@pytest.fixture
def claim(iot: Any) -> Any:
    iot.create_provisioning_template(templateName="lamps", templateBody=BODY, provisioningRoleArn=ROLE, enabled=True)
    return iot.create_provisioning_claim(templateName="lamps")


@pytest.fixture
def may(house: Installed, realm: Realm, claim: Any) -> Rights:
    """What a device that connects with the claim may do."""
    principal = house.read(lambda tx: access.identify(tx, claim["certificateId"], house.clock()))
    rights = house.read(lambda tx: access.grounds(tx, principal, "a-device", "127.0.0.1")).rights()

    def asked(action: str, what: str) -> bool:
        return bool(rights.decide(action, f"arn:aws:iot:{realm.region}:{realm.account}:{what}"))

    return asked


def test_a_certificate_of_five_minutes(house: Installed, claim: Any) -> None:
    leaf = x509.load_pem_x509_certificate(claim["certificatePem"].encode())
    key = serialization.load_pem_private_key(claim["keyPair"]["PrivateKey"].encode(), None)
    assert leaf.public_key() == key.public_key()
    assert leaf.not_valid_after_utc == claim["expiration"]
    left = claim["expiration"].timestamp() * 1000 - house.clock()
    assert 4 * MINUTE < left <= 5 * MINUTE


def test_it_is_bound_to_its_template(house: Installed, realm: Realm, claim: Any) -> None:
    kept = house.read(lambda tx: claims.get(tx, realm, claim["certificateId"]))
    assert (kept.kind, kept.template_name, kept.enabled) == (Kind.TRUSTED_USER, "lamps", True)


def test_it_is_in_no_list_and_can_be_described(iot: Any, claim: Any) -> None:
    assert iot.list_certificates()["certificates"] == []
    described = iot.describe_certificate(certificateId=claim["certificateId"])["certificateDescription"]
    assert described["status"] == "ACTIVE"
    assert iot.list_attached_policies(target=described["certificateArn"])["policies"] == []


@pytest.mark.parametrize(
    ("action", "what"),
    [
        ("iot:Connect", "client/a-device"),
        ("iot:Publish", "topic/$aws/certificates/create/json"),
        ("iot:Publish", "topic/$aws/certificates/create-from-csr/cbor"),
        ("iot:Subscribe", "topicfilter/$aws/certificates/create/json/accepted"),
        ("iot:Receive", "topic/$aws/provisioning-templates/lamps/provision/json/accepted"),
        ("iot:Publish", "topic/$aws/provisioning-templates/lamps/provision/json"),
    ],
)
def test_it_may_be_provisioned(may: Rights, action: str, what: str) -> None:
    assert may(action, what)


@pytest.mark.parametrize(
    ("action", "what"),
    [
        ("iot:Publish", "topic/$aws/provisioning-templates/doors/provision/json"),
        ("iot:Publish", "topic/telemetry"),
        ("iot:Subscribe", "topicfilter/#"),
        ("iot:Subscribe", "topicfilter/$aws/#"),
    ],
)
def test_it_may_do_nothing_else(may: Rights, action: str, what: str) -> None:
    assert not may(action, what)


def test_after_five_minutes_it_is_over(house: Installed, realm: Realm, claim: Any) -> None:
    later = house.clock() + 5 * MINUTE + 1
    with pytest.raises(AccessDenied, match="expired"):
        house.read(lambda tx: access.identify(tx, claim["certificateId"], later))
    house.write(lambda tx: certificates.sweep(tx, later))
    assert house.read(lambda tx: certificates.find(tx, realm, claim["certificateId"])) is None


def test_a_claim_that_was_withdrawn_may_nothing(house: Installed, realm: Realm, claim: Any) -> None:
    principal = house.read(lambda tx: access.identify(tx, claim["certificateId"], house.clock()))
    act = house.runtime.act(realm, "system")
    house.write(lambda tx: claims.delete(tx, act, claim["certificateId"]))
    assert house.read(lambda tx: access.grounds(tx, principal, "a-device", "127.0.0.1")).policies == ()


def test_templates_without_claims(iot: Any) -> None:
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.create_provisioning_claim(templateName="none")
    iot.create_provisioning_template(templateName="jitp", templateBody=BODY, provisioningRoleArn=ROLE, type="JITP")
    with pytest.raises(iot.exceptions.InvalidRequestException, match="type JITP"):
        iot.create_provisioning_claim(templateName="jitp")
