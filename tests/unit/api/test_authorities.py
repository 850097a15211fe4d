from __future__ import annotations

import json
from typing import Any

import pytest
from tests.pki import TestAuthority
from tests.runtime import Installed

from fleetgate.names import Realm

ROLE = "arn:aws:iam::123456789012:role/provisioning"
JITP = json.dumps(
    {
        "Parameters": {"AWS::IoT::Certificate::CommonName": {"Type": "String"}},
        "Resources": {
            "thing": {
                "Type": "AWS::IoT::Thing",
                "Properties": {"ThingName": {"Ref": "AWS::IoT::Certificate::CommonName"}},
            }
        },
    }
)


def registered(iot: Any, ca: TestAuthority, **more: Any) -> str:
    """The id of *ca*, registered with proof of possession."""
    proof = ca.leaf(iot.get_registration_code()["registrationCode"])
    made = iot.register_ca_certificate(caCertificate=ca.pem, verificationCertificate=proof, **more)
    return str(made["certificateId"])


def test_the_code_stays_until_it_is_deleted(iot: Any, house: Installed, realm: Realm) -> None:
    code = iot.get_registration_code()["registrationCode"]
    assert len(bytes.fromhex(code)) == 32
    assert iot.get_registration_code()["registrationCode"] == code
    elsewhere = house.client(house.operator(realm.account), "eu-west-1")
    assert elsewhere.get_registration_code()["registrationCode"] != code
    iot.delete_registration_code()
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.delete_registration_code()
    assert iot.get_registration_code()["registrationCode"] != code


def test_a_ca_is_registered_and_described(iot: Any, ca: TestAuthority, realm: Realm) -> None:
    made = registered(iot, ca)
    found = iot.describe_ca_certificate(certificateId=made)
    description = found["certificateDescription"]
    assert description["certificateArn"] == realm.arn("cacert", made)
    assert description["ownedBy"] == realm.account
    assert (description["status"], description["autoRegistrationStatus"]) == ("INACTIVE", "DISABLE")
    assert description["certificateMode"] == "DEFAULT"
    assert description["customerVersion"] == 1
    assert "registrationConfig" not in found


def test_possession_is_proven(iot: Any, ca: TestAuthority) -> None:
    pem = ca.pem
    with pytest.raises(iot.exceptions.CertificateValidationException, match="needs a verificationCertificate"):
        iot.register_ca_certificate(caCertificate=pem)
    with pytest.raises(iot.exceptions.RegistrationCodeValidationException, match="no registration code yet"):
        iot.register_ca_certificate(caCertificate=pem, verificationCertificate=ca.leaf("guess"))
    code = iot.get_registration_code()["registrationCode"]
    with pytest.raises(iot.exceptions.RegistrationCodeValidationException):
        iot.register_ca_certificate(caCertificate=pem, verificationCertificate=ca.leaf("0" * 64))
    other = TestAuthority(ca.name).leaf(code)
    with pytest.raises(iot.exceptions.CertificateValidationException):
        iot.register_ca_certificate(caCertificate=pem, verificationCertificate=other)
    with pytest.raises(iot.exceptions.CertificateValidationException, match="no CA certificate"):
        iot.register_ca_certificate(caCertificate=ca.leaf(), verificationCertificate=ca.leaf(code))


def test_a_ca_that_is_found_by_server_name_needs_no_proof(iot: Any, ca: TestAuthority) -> None:
    with pytest.raises(iot.exceptions.InvalidRequestException, match="without a verificationCertificate"):
        iot.register_ca_certificate(caCertificate=ca.pem, certificateMode="SNI_ONLY", verificationCertificate=ca.leaf())
    made = iot.register_ca_certificate(
        caCertificate=ca.pem, certificateMode="SNI_ONLY", setAsActive=True, allowAutoRegistration=True
    )
    described = iot.describe_ca_certificate(certificateId=made["certificateId"])["certificateDescription"]
    assert described["certificateMode"] == "SNI_ONLY"
    assert (described["status"], described["autoRegistrationStatus"]) == ("ACTIVE", "ENABLE")


def test_a_ca_is_registered_once(iot: Any, ca: TestAuthority) -> None:
    pem = ca.pem
    iot.register_ca_certificate(caCertificate=pem, certificateMode="SNI_ONLY")
    with pytest.raises(iot.exceptions.ResourceAlreadyExistsException):
        iot.register_ca_certificate(caCertificate=pem, certificateMode="SNI_ONLY")


def test_a_ca_changes(iot: Any, ca: TestAuthority) -> None:
    made = registered(iot, ca)
    iot.update_ca_certificate(certificateId=made, newStatus="ACTIVE", newAutoRegistrationStatus="ENABLE")
    described = iot.describe_ca_certificate(certificateId=made)["certificateDescription"]
    assert (described["status"], described["autoRegistrationStatus"]) == ("ACTIVE", "ENABLE")
    with pytest.raises(iot.exceptions.CertificateStateException):
        iot.delete_ca_certificate(certificateId=made)
    iot.update_ca_certificate(certificateId=made, newStatus="INACTIVE", removeAutoRegistration=True)
    described = iot.describe_ca_certificate(certificateId=made)["certificateDescription"]
    assert (described["status"], described["autoRegistrationStatus"]) == ("INACTIVE", "DISABLE")
    iot.delete_ca_certificate(certificateId=made)
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.describe_ca_certificate(certificateId=made)


def test_what_it_provisions_by(iot: Any, ca: TestAuthority) -> None:
    iot.create_provisioning_template(
        templateName="t", templateBody=JITP, provisioningRoleArn=ROLE, type="JITP", enabled=True
    )
    made = registered(iot, ca, registrationConfig={"templateName": "t"})
    assert iot.describe_ca_certificate(certificateId=made)["registrationConfig"] == {"templateName": "t"}
    assert [each["certificateId"] for each in iot.list_ca_certificates(templateName="t")["certificates"]] == [made]
    with pytest.raises(iot.exceptions.DeleteConflictException):
        iot.delete_provisioning_template(templateName="t")
    own = {"templateBody": JITP, "roleArn": ROLE}
    iot.update_ca_certificate(certificateId=made, registrationConfig=own)
    assert iot.describe_ca_certificate(certificateId=made)["registrationConfig"] == own
    iot.update_ca_certificate(certificateId=made, removeAutoRegistration=True)
    assert "registrationConfig" not in iot.describe_ca_certificate(certificateId=made)


def test_what_it_cannot_provision_by(iot: Any, ca: TestAuthority) -> None:
    refused = iot.exceptions.InvalidRequestException
    with pytest.raises(refused, match="needs a roleArn"):
        registered(iot, ca, registrationConfig={"templateBody": JITP})
    with pytest.raises(refused, match="Resources"):
        registered(iot, ca, registrationConfig={"templateBody": "{}", "roleArn": ROLE})
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        registered(iot, ca, registrationConfig={"templateName": "t"})


def test_cas_are_listed(iot: Any, house: Installed, realm: Realm) -> None:
    made = []
    for number in range(3):
        house.clock.ahead = number * 1000
        made.append(registered(iot, TestAuthority(f"CA {number} of {realm.account}")))
    assert [each["certificateId"] for each in iot.list_ca_certificates()["certificates"]] == made[::-1]
    pages = iot.get_paginator("list_ca_certificates").paginate(ascendingOrder=True, PaginationConfig={"PageSize": 2})
    assert [each["certificateId"] for page in pages for each in page["certificates"]] == made


def test_tags_given_at_birth(iot: Any, ca: TestAuthority, realm: Realm) -> None:
    made = registered(iot, ca, tags=[{"Key": "plant", "Value": "7"}])
    arn = realm.arn("cacert", made)
    assert iot.list_tags_for_resource(resourceArn=arn)["tags"] == [{"Key": "plant", "Value": "7"}]
