from __future__ import annotations

from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID
from tests.pki import TestAuthority, new_key, signing_request
from tests.runtime import Installed

from fleetgate.names import Realm
from fleetgate.pki import certificate


def fingerprint(pem: str) -> str:
    return certificate.fingerprint(certificate.load(pem))


def registered(iot: Any, ca: TestAuthority, **more: Any) -> str:
    """*ca* registered in SNI_ONLY mode; its certificate."""
    pem = ca.pem
    iot.register_ca_certificate(**{"caCertificate": pem, "certificateMode": "SNI_ONLY", "setAsActive": True} | more)
    return pem


def test_keys_are_made_here_and_given_once(iot: Any, realm: Realm) -> None:
    made = iot.create_keys_and_certificate()
    key = serialization.load_pem_private_key(made["keyPair"]["PrivateKey"].encode(), None)
    leaf = x509.load_pem_x509_certificate(made["certificatePem"].encode())
    assert leaf.public_key() == key.public_key()
    assert serialization.load_pem_public_key(made["keyPair"]["PublicKey"].encode()) == key.public_key()
    assert made["certificateId"] == fingerprint(made["certificatePem"])
    assert made["certificateArn"] == realm.arn("cert", made["certificateId"])
    assert made["certificatePem"].endswith("-----END CERTIFICATE-----\n")
    described = iot.describe_certificate(certificateId=made["certificateId"])["certificateDescription"]
    assert described["status"] == "INACTIVE"
    assert described["ownedBy"] == realm.account
    assert described["certificateMode"] == "DEFAULT"
    assert described["certificatePem"] == made["certificatePem"]
    assert described["customerVersion"] == 1
    assert described["validity"]["notAfter"] == leaf.not_valid_after_utc
    assert "caCertificateId" not in described


def test_a_key_is_made_when_none_waits(iot: Any) -> None:
    assert len({iot.create_keys_and_certificate()["certificateId"] for _ in range(6)}) == 6


def test_key_and_subject_of_a_signing_request_end_in_the_certificate(iot: Any) -> None:
    key = new_key()
    made = iot.create_certificate_from_csr(certificateSigningRequest=signing_request(key, "sn-4711"), setAsActive=True)
    leaf = x509.load_pem_x509_certificate(made["certificatePem"].encode())
    assert leaf.public_key() == key.public_key()
    assert [each.value for each in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["sn-4711"]
    assert iot.describe_certificate(certificateId=made["certificateId"])["certificateDescription"]["status"] == "ACTIVE"


def test_the_same_signing_request_twice_gives_two_certificates(iot: Any) -> None:
    request = signing_request(new_key())
    made = {iot.create_certificate_from_csr(certificateSigningRequest=request)["certificateId"] for _ in range(2)}
    assert len(made) == 2


def test_a_bad_signing_request_is_an_invalid_request(iot: Any) -> None:
    with pytest.raises(iot.exceptions.InvalidRequestException, match="certificate signing request is refused"):
        iot.create_certificate_from_csr(certificateSigningRequest="nonsense")


def test_a_certificate_goes_through_its_statuses(iot: Any) -> None:
    made = iot.create_keys_and_certificate(setAsActive=True)["certificateId"]
    with pytest.raises(iot.exceptions.CertificateStateException, match=f"must be deactivated.*Id: {made}"):
        iot.delete_certificate(certificateId=made)
    iot.update_certificate(certificateId=made, newStatus="INACTIVE")
    described = iot.describe_certificate(certificateId=made.upper())["certificateDescription"]
    assert (described["status"], described["customerVersion"]) == ("INACTIVE", 2)
    for status in ("PENDING_TRANSFER", "PENDING_ACTIVATION", "REGISTER_INACTIVE"):
        with pytest.raises(iot.exceptions.InvalidRequestException, match=f"{status} is set by the service alone"):
            iot.update_certificate(certificateId=made, newStatus=status)
    iot.update_certificate(certificateId=made, newStatus="REVOKED")
    with pytest.raises(iot.exceptions.CertificateStateException, match="REVOKED cannot become ACTIVE"):
        iot.update_certificate(certificateId=made, newStatus="ACTIVE")
    iot.delete_certificate(certificateId=made)
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.delete_certificate(certificateId=made)


def test_what_hangs_on_a_certificate_keeps_it(iot: Any) -> None:
    made = iot.create_keys_and_certificate()
    iot.create_thing(thingName="t")
    iot.create_policy(policyName="p", policyDocument=POLICY)
    iot.attach_thing_principal(thingName="t", principal=made["certificateArn"])
    iot.attach_policy(policyName="p", target=made["certificateArn"])
    conflict = iot.exceptions.DeleteConflictException
    with pytest.raises(conflict, match="Things must be detached before deletion"):
        iot.delete_certificate(certificateId=made["certificateId"], forceDelete=True)
    iot.detach_thing_principal(thingName="t", principal=made["certificateArn"])
    with pytest.raises(conflict, match="Certificate policies must be detached before deletion"):
        iot.delete_certificate(certificateId=made["certificateId"])
    iot.delete_certificate(certificateId=made["certificateId"], forceDelete=True)


POLICY = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"*"}]}'


def test_certificates_are_listed_newest_first(iot: Any, house: Installed, realm: Realm) -> None:
    made = []
    for number in range(3):
        house.clock.ahead = number * 1000
        made.append(iot.create_keys_and_certificate()["certificateId"])
    assert [each["certificateId"] for each in iot.list_certificates()["certificates"]] == made[::-1]
    pages = iot.get_paginator("list_certificates").paginate(ascendingOrder=True, PaginationConfig={"PageSize": 2})
    assert [each["certificateId"] for page in pages for each in page["certificates"]] == made
    [first] = iot.list_certificates(pageSize=1)["certificates"]
    assert (first["status"], first["certificateMode"]) == ("INACTIVE", "DEFAULT")
    assert first["certificateArn"] == realm.arn("cert", made[-1])


def test_a_registered_ca_vouches_for_a_certificate(iot: Any, ca: TestAuthority) -> None:
    ca_id = fingerprint(registered(iot, ca))
    leaf = ca.leaf()
    made = iot.register_certificate(certificatePem=leaf)
    assert made["certificateId"] == fingerprint(leaf)
    described = iot.describe_certificate(certificateId=made["certificateId"])["certificateDescription"]
    assert described["caCertificateId"] == ca_id
    assert (described["status"], described["certificateMode"]) == ("INACTIVE", "SNI_ONLY")
    listed = iot.list_certificates_by_ca(caCertificateId=ca_id)["certificates"]
    assert [each["certificateId"] for each in listed] == [made["certificateId"]]
    assert iot.list_certificates_by_ca(caCertificateId="0" * 64)["certificates"] == []


@pytest.mark.parametrize(
    ("asked", "status"),
    [({"setAsActive": True}, "ACTIVE"), ({"status": "ACTIVE"}, "ACTIVE"), ({"status": "REVOKED"}, "REVOKED")],
)
def test_a_status_to_begin_with(iot: Any, ca: TestAuthority, asked: Any, status: str) -> None:
    registered(iot, ca)
    made = iot.register_certificate(certificatePem=ca.leaf(), **asked)
    assert iot.describe_certificate(certificateId=made["certificateId"])["certificateDescription"]["status"] == status


def test_statuses_that_contradict(iot: Any, ca: TestAuthority) -> None:
    registered(iot, ca)
    with pytest.raises(iot.exceptions.InvalidRequestException, match="contradict"):
        iot.register_certificate(certificatePem=ca.leaf(), setAsActive=True, status="INACTIVE")
    with pytest.raises(iot.exceptions.InvalidRequestException, match="set by the service alone"):
        iot.register_certificate(certificatePem=ca.leaf(), status="PENDING_ACTIVATION")


def test_nobody_vouches(iot: Any, ca: TestAuthority) -> None:
    refused = iot.exceptions.CertificateValidationException
    with pytest.raises(refused, match="not issued by any registered CA"):
        iot.register_certificate(certificatePem=ca.leaf())
    with pytest.raises(refused, match="that CA is not registered"):
        iot.register_certificate(certificatePem=ca.leaf(), caCertificatePem=ca.pem)
    namesake = TestAuthority(ca.name)
    registered(iot, namesake)
    with pytest.raises(refused, match="not issued by any registered CA"):
        iot.register_certificate(certificatePem=ca.leaf())


def test_one_of_several_cas_of_one_name(iot: Any, ca: TestAuthority) -> None:
    registered(iot, TestAuthority(ca.name))
    right = registered(iot, ca)
    first = iot.register_certificate(certificatePem=ca.leaf())["certificateId"]
    second = iot.register_certificate(certificatePem=ca.leaf(), caCertificatePem=right)["certificateId"]
    for made in (first, second):
        described = iot.describe_certificate(certificateId=made)["certificateDescription"]
        assert described["caCertificateId"] == fingerprint(right)


def test_cas_that_share_a_key_must_be_told_apart(iot: Any, ca: TestAuthority) -> None:
    old, new = registered(iot, ca), registered(iot, ca)
    with pytest.raises(iot.exceptions.CertificateConflictException, match="caCertificatePem") as refused:
        iot.register_certificate(certificatePem=ca.leaf())
    assert fingerprint(old) in str(refused.value)
    made = iot.register_certificate(certificatePem=ca.leaf(), caCertificatePem=new)["certificateId"]
    described = iot.describe_certificate(certificateId=made)["certificateDescription"]
    assert described["caCertificateId"] == fingerprint(new)


def test_an_inactive_ca_registers_nothing(iot: Any, ca: TestAuthority) -> None:
    registered(iot, ca, setAsActive=False)
    with pytest.raises(iot.exceptions.CertificateStateException, match="must be ACTIVE"):
        iot.register_certificate(certificatePem=ca.leaf())


def test_without_a_ca(iot: Any, house: Installed, ca: TestAuthority, realm: Realm) -> None:
    leaf = ca.leaf()
    made = iot.register_certificate_without_ca(certificatePem=leaf, status="ACTIVE")
    assert made["certificateArn"] == realm.arn("cert", fingerprint(leaf))
    described = iot.describe_certificate(certificateId=made["certificateId"])["certificateDescription"]
    assert (described["status"], described["certificateMode"]) == ("ACTIVE", "SNI_ONLY")
    with pytest.raises(iot.exceptions.ResourceAlreadyExistsException, match="already provisioned or registered") as e:
        iot.register_certificate_without_ca(certificatePem=leaf)
    assert e.value.response["resourceArn"] == made["certificateArn"]
    other = house.client(house.operator(house.account()))
    assert other.register_certificate_without_ca(certificatePem=leaf)["certificateId"] == made["certificateId"]


def test_what_cannot_be_registered(iot: Any, ca: TestAuthority) -> None:
    for pem, why in ((ca.leaf(ended=True), "expired"), ("nonsense", "PEM"), (ca.leaf() + ca.leaf(), "2 certificates")):
        with pytest.raises(iot.exceptions.CertificateValidationException, match=why):
            iot.register_certificate_without_ca(certificatePem=pem)
