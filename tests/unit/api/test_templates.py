from __future__ import annotations

import json
from typing import Any

import pytest
from tests.runtime import Installed

from fleetgate.api.templates import judge
from fleetgate.errors import InvalidRequest
from fleetgate.names import Realm
from fleetgate.registry import templates
from fleetgate.template.document import Kind

ROLE = "arn:aws:iam::123456789012:role/provisioning"
HOOK = "arn:aws:lambda:us-east-1:123456789012:function:ask"


def body(policy: Any = None, **members: Any) -> str:
    """A fleet template with an inline *policy*."""
    resources: dict[str, Any] = {
        "thing": {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": {"Ref": "Serial"}}},
        "certificate": {
            "Type": "AWS::IoT::Certificate",
            "Properties": {"CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}},
        },
    }
    if policy is not None:
        resources["policy"] = {"Type": "AWS::IoT::Policy", "Properties": {"PolicyDocument": policy}}
    return json.dumps({"Parameters": {"Serial": {"Type": "String"}}, "Resources": resources, **members})


def create(iot: Any, name: str = "t", **more: Any) -> Any:
    asked = {"templateName": name, "templateBody": body(), "provisioningRoleArn": ROLE}
    return iot.create_provisioning_template(**asked | more)


def test_a_template_lives_and_dies(iot: Any, realm: Realm) -> None:
    made = create(iot, description="for lamps", enabled=True, preProvisioningHook={"targetArn": HOOK})
    assert made["templateArn"] == realm.arn("provisioningtemplate", "t")
    assert made["defaultVersionId"] == 1
    found = iot.describe_provisioning_template(templateName="t")
    assert found["templateArn"] == made["templateArn"]
    assert (found["description"], found["enabled"], found["type"]) == ("for lamps", True, "FLEET_PROVISIONING")
    assert (found["templateBody"], found["provisioningRoleArn"]) == (body(), ROLE)
    assert found["preProvisioningHook"] == {"targetArn": HOOK, "payloadVersion": "2020-04-01"}
    iot.delete_provisioning_template(templateName="t")
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.describe_provisioning_template(templateName="t")


def test_what_is_left_out(iot: Any) -> None:
    create(iot)
    found = iot.describe_provisioning_template(templateName="t")
    assert (found["description"], found["enabled"]) == ("", False)
    assert "preProvisioningHook" not in found


def test_the_same_again_is_a_conflict(iot: Any, realm: Realm) -> None:
    create(iot)
    with pytest.raises(iot.exceptions.ResourceAlreadyExistsException, match="with name t already exists") as caught:
        create(iot)
    assert caught.value.response["resourceArn"] == realm.arn("provisioningtemplate", "t")


def test_a_template_changes(iot: Any) -> None:
    create(iot)
    hook = {"targetArn": HOOK, "payloadVersion": "2020-04-01"}
    iot.update_provisioning_template(templateName="t", enabled=True, description="new", preProvisioningHook=hook)
    found = iot.describe_provisioning_template(templateName="t")
    assert (found["enabled"], found["description"], found["preProvisioningHook"]) == (True, "new", hook)
    iot.update_provisioning_template(templateName="t", removePreProvisioningHook=True)
    assert "preProvisioningHook" not in iot.describe_provisioning_template(templateName="t")


def test_a_hook_is_for_fleets(iot: Any) -> None:
    plain = json.dumps({"Resources": {"t": {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": "x"}}}})
    with pytest.raises(iot.exceptions.InvalidRequestException, match="JITP template has no pre-provisioning hook"):
        create(iot, type="JITP", templateBody=plain, preProvisioningHook={"targetArn": HOOK})


def test_bad_bodies_with_all_their_problems(iot: Any) -> None:
    bad = json.dumps({"Parameters": {"a": {"Type": "Number"}}, "Resources": {}})
    with pytest.raises(iot.exceptions.InvalidRequestException, match=r"(?s)Parameters.a.*Resources"):
        create(iot, templateBody=bad)
    create(iot)
    with pytest.raises(iot.exceptions.InvalidRequestException):
        iot.create_provisioning_template_version(templateName="t", templateBody=bad)


def test_inline_policies_are_judged_before_a_device_comes(iot: Any) -> None:
    bad = {"Version": "2012-10-17", "Statement": [{"Effect": "Perhaps", "Action": "iot:Connect", "Resource": "*"}]}
    text = r"Resources.policy.Properties.PolicyDocument: This is not an IoT policy: .*Perhaps"
    with pytest.raises(iot.exceptions.InvalidRequestException, match=text):
        create(iot, templateBody=body(bad))


def test_a_body_is_judged_as_what_it_is_for() -> None:
    with_configuration = body(DeviceConfiguration={"url": "x"})
    judge(with_configuration, Kind.FLEET_PROVISIONING)
    with pytest.raises(InvalidRequest, match="DeviceConfiguration"):
        judge(with_configuration, Kind.JITP)


def test_versions(iot: Any, realm: Realm) -> None:
    create(iot)
    other = body(DeviceConfiguration={"url": "x"})
    second = iot.create_provisioning_template_version(templateName="t", templateBody=other)
    assert second["templateArn"] == realm.arn("provisioningtemplate", "t")
    assert (second["versionId"], second["isDefaultVersion"]) == (2, False)
    third = iot.create_provisioning_template_version(templateName="t", templateBody=other, setAsDefault=True)
    assert (third["versionId"], third["isDefaultVersion"]) == (3, True)
    assert iot.describe_provisioning_template(templateName="t")["templateBody"] == other
    found = iot.describe_provisioning_template_version(templateName="t", versionId=1)
    assert (found["versionId"], found["isDefaultVersion"], found["templateBody"]) == (1, False, body())
    pages = iot.get_paginator("list_provisioning_template_versions").paginate(
        templateName="t", PaginationConfig={"PageSize": 2}
    )
    assert [each["versionId"] for page in pages for each in page["versions"]] == [1, 2, 3]
    with pytest.raises(iot.exceptions.DeleteConflictException, match="default version"):
        iot.delete_provisioning_template_version(templateName="t", versionId=3)
    iot.update_provisioning_template(templateName="t", defaultVersionId=1)
    iot.delete_provisioning_template_version(templateName="t", versionId=3)
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.describe_provisioning_template_version(templateName="t", versionId=3)


def test_versions_are_limited(iot: Any) -> None:
    create(iot)
    for _ in range(templates.MOST_VERSIONS - 1):
        iot.create_provisioning_template_version(templateName="t", templateBody=body())
    with pytest.raises(iot.exceptions.VersionsLimitExceededException):
        iot.create_provisioning_template_version(templateName="t", templateBody=body())


def test_templates_are_listed(iot: Any) -> None:
    for name in ("a", "b", "c"):
        create(iot, name, enabled=name == "b")
    pages = iot.get_paginator("list_provisioning_templates").paginate(PaginationConfig={"PageSize": 2})
    found = [(each["templateName"], each["enabled"]) for page in pages for each in page["templates"]]
    assert found == [("a", False), ("b", True), ("c", False)]


@pytest.mark.parametrize("value", ["never", "same-key", "hook", "allow"])
def test_a_tag_says_how_things_are_provisioned_again(iot: Any, house: Installed, realm: Realm, value: str) -> None:
    create(iot, tags=[{"Key": "fleetgate:reprovisioning", "Value": value}])
    assert house.read(lambda tx: templates.get(tx, realm, "t")).reprovisioning == value


def test_a_wrong_tag_makes_no_template(iot: Any) -> None:
    text = "one of never, same-key, hook, allow, not 'maybe'"
    with pytest.raises(iot.exceptions.InvalidRequestException, match=text):
        create(iot, tags=[{"Key": "fleetgate:reprovisioning", "Value": "maybe"}])
    assert iot.list_provisioning_templates()["templates"] == []


@pytest.mark.parametrize("target", ["gate", "https://example.com/hook", "arn:aws:sns:us-east-1:123456789012:gate"])
def test_a_hook_is_a_function(iot: Any, target: str) -> None:
    with pytest.raises(iot.exceptions.InvalidRequestException, match="Not the ARN of a function"):
        create(iot, preProvisioningHook={"targetArn": target})
    create(iot)
    with pytest.raises(iot.exceptions.InvalidRequestException, match="Not the ARN of a function"):
        iot.update_provisioning_template(templateName="t", preProvisioningHook={"targetArn": target})
