"""boto3's typed exceptions: each class, with its status and members, out of a request that deserves it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.conformance.api.conftest import Account
from tests.conformance.api.test_operations import BODY, POLICY, ROLE
from tests.pki import TestAuthority

Offence = Callable[[Any], Any]


def same_policy_twice(iot: Any) -> None:
    for _ in range(2):
        iot.create_policy(policyName="p", policyDocument=POLICY)


def wrong_version(iot: Any) -> None:
    iot.create_thing(thingName="t")
    iot.update_thing(thingName="t", expectedVersion=7)


def active_certificate(iot: Any) -> None:
    iot.delete_certificate(certificateId=iot.create_keys_and_certificate(setAsActive=True)["certificateId"])


def transferred_with_a_policy(iot: Any) -> None:
    made = iot.create_keys_and_certificate()
    iot.create_policy(policyName="p", policyDocument=POLICY)
    iot.attach_policy(policyName="p", target=made["certificateArn"])
    iot.transfer_certificate(certificateId=made["certificateId"], targetAwsAccount="999999999999")


def attached_policy(iot: Any) -> None:
    iot.create_policy(policyName="p", policyDocument=POLICY)
    iot.attach_policy(policyName="p", target=iot.create_keys_and_certificate()["certificateArn"])
    iot.delete_policy(policyName="p")


def sixth_version(iot: Any) -> None:
    iot.create_policy(policyName="p", policyDocument=POLICY)
    for _ in range(5):
        iot.create_policy_version(policyName="p", policyDocument=POLICY)


def third_policy_of_a_group(iot: Any) -> None:
    arn = iot.create_thing_group(thingGroupName="g")["thingGroupArn"]
    for name in ("p1", "p2", "p3"):
        iot.create_policy(policyName=name, policyDocument=POLICY)
        iot.attach_policy(policyName=name, target=arn)


def too_many_tags(iot: Any) -> None:
    arn = iot.create_billing_group(billingGroupName="g")["billingGroupArn"]
    iot.tag_resource(resourceArn=arn, tags=[{"Key": str(number)} for number in range(51)])


def two_cas_of_one_key(iot: Any) -> None:
    ca = TestAuthority("Twice")
    for _ in range(2):
        iot.register_ca_certificate(caCertificate=ca.pem, certificateMode="SNI_ONLY", setAsActive=True)
    iot.register_certificate(certificatePem=ca.leaf())


def wrong_registration_code(iot: Any) -> None:
    iot.get_registration_code()
    ca = TestAuthority("CA")
    iot.register_ca_certificate(caCertificate=ca.pem, verificationCertificate=ca.leaf("0" * 64))


def default_version(iot: Any) -> None:
    iot.create_provisioning_template(templateName="t", templateBody=BODY, provisioningRoleArn=ROLE)
    iot.delete_provisioning_template_version(templateName="t", versionId=1)


@pytest.mark.parametrize(
    ("name", "status", "offence"),
    [
        ("InvalidRequestException", 400, lambda iot: iot.list_things(attributeValue="x")),
        ("MalformedPolicyException", 400, lambda iot: iot.create_policy(policyName="p", policyDocument="{}")),
        (
            "CertificateValidationException",
            400,
            lambda iot: iot.register_certificate(certificatePem=TestAuthority("CA").leaf()),
        ),
        ("RegistrationCodeValidationException", 400, wrong_registration_code),
        ("ResourceNotFoundException", 404, lambda iot: iot.describe_thing(thingName="t")),
        ("CertificateStateException", 406, active_certificate),
        ("ResourceAlreadyExistsException", 409, same_policy_twice),
        ("DeleteConflictException", 409, attached_policy),
        ("DeleteConflictException", 409, default_version),
        ("VersionConflictException", 409, wrong_version),
        ("TransferConflictException", 409, transferred_with_a_policy),
        ("VersionsLimitExceededException", 409, sixth_version),
        ("LimitExceededException", 410, third_policy_of_a_group),
        ("LimitExceededException", 410, too_many_tags),
        ("CertificateConflictException", 409, two_cas_of_one_key),
    ],
)
def test_typed_exceptions(iot: Any, name: str, status: int, offence: Offence) -> None:
    with pytest.raises(getattr(iot.exceptions, name)) as caught:
        offence(iot)
    response = caught.value.response
    assert response["Error"]["Code"] == name
    assert response["Error"]["Message"]
    assert response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert response["ResponseMetadata"]["RequestId"] == response["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"]


def test_what_exists_already_is_named(iot: Any, account: Account) -> None:
    with pytest.raises(iot.exceptions.ResourceAlreadyExistsException) as caught:
        same_policy_twice(iot)
    assert caught.value.response["resourceId"] == "p"
    assert caught.value.response["resourceArn"] == account.realm.arn("policy", "p")


def test_refusals_that_no_model_names(account: Account) -> None:
    stranger = Account(account.live, account.realm, type(account.key)(account.key.id, "guessed")).client()
    with pytest.raises(ClientError) as caught:
        stranger.list_things()
    assert caught.value.response["Error"]["Code"] == "InvalidSignatureException"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
