from __future__ import annotations

import json
from typing import Any

import pytest

from fleetgate.names import Realm


def document(action: str = "iot:Connect") -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]})


def test_a_policy_lives_and_dies(iot: Any, realm: Realm) -> None:
    made = iot.create_policy(policyName="p", policyDocument=document())
    assert made["policyArn"] == realm.arn("policy", "p")
    assert (made["policyVersionId"], made["policyDocument"]) == ("1", document())
    found = iot.get_policy(policyName="p")
    assert (found["defaultVersionId"], found["policyDocument"]) == ("1", document())
    assert found["generationId"]
    assert found["creationDate"] == found["lastModifiedDate"]
    iot.delete_policy(policyName="p")
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.get_policy(policyName="p")


def test_the_same_again_is_a_conflict(iot: Any, realm: Realm) -> None:
    iot.create_policy(policyName="p", policyDocument=document())
    text = r"Policy cannot be created - name already exists \(name=p\)"
    with pytest.raises(iot.exceptions.ResourceAlreadyExistsException, match=text) as caught:
        iot.create_policy(policyName="p", policyDocument=document())
    assert caught.value.response["resourceArn"] == realm.arn("policy", "p")


def test_a_malformed_policy_with_all_its_problems(iot: Any) -> None:
    bad = '{"Version":"2012-10-17","Statement":[{"Effect":"Maybe","Action":"iot:Connect"}]}'
    with pytest.raises(iot.exceptions.MalformedPolicyException, match=r"(?s)Effect.*Resource"):
        iot.create_policy(policyName="p", policyDocument=bad)
    iot.create_policy(policyName="p", policyDocument=document())
    with pytest.raises(iot.exceptions.MalformedPolicyException):
        iot.create_policy_version(policyName="p", policyDocument=bad)


def test_versions(iot: Any) -> None:
    iot.create_policy(policyName="p", policyDocument=document())
    second = iot.create_policy_version(policyName="p", policyDocument=document("iot:Publish"))
    assert (second["policyVersionId"], second["isDefaultVersion"]) == ("2", False)
    third = iot.create_policy_version(policyName="p", policyDocument=document("iot:Receive"), setAsDefault=True)
    assert third["isDefaultVersion"] is True
    assert iot.get_policy(policyName="p")["policyDocument"] == document("iot:Receive")
    listed = iot.list_policy_versions(policyName="p")["policyVersions"]
    assert [(each["versionId"], each["isDefaultVersion"]) for each in listed] == [
        ("3", True),
        ("2", False),
        ("1", False),
    ]
    iot.set_default_policy_version(policyName="p", policyVersionId="2")
    found = iot.get_policy_version(policyName="p", policyVersionId="2")
    assert (found["isDefaultVersion"], found["policyDocument"]) == (True, document("iot:Publish"))
    with pytest.raises(iot.exceptions.InvalidRequestException, match="Cannot delete the default version of a policy"):
        iot.delete_policy_version(policyName="p", policyVersionId="2")
    with pytest.raises(iot.exceptions.DeleteConflictException, match="one or more policy versions attached"):
        iot.delete_policy(policyName="p")
    iot.delete_policy_version(policyName="p", policyVersionId="1")
    iot.delete_policy_version(policyName="p", policyVersionId="3")
    iot.delete_policy(policyName="p")


def test_five_versions_are_the_most(iot: Any) -> None:
    iot.create_policy(policyName="p", policyDocument=document())
    for _ in range(4):
        iot.create_policy_version(policyName="p", policyDocument=document())
    with pytest.raises(iot.exceptions.VersionsLimitExceededException, match=r"maximum number of versions \(5\)"):
        iot.create_policy_version(policyName="p", policyDocument=document())


@pytest.mark.parametrize("version", ["2", "0", "9" * 30])
def test_a_version_that_is_not_there(iot: Any, version: str) -> None:
    iot.create_policy(policyName="p", policyDocument=document())
    with pytest.raises(iot.exceptions.ResourceNotFoundException, match="Policy version not found"):
        iot.get_policy_version(policyName="p", policyVersionId=version)


def test_policies_are_listed(iot: Any, realm: Realm) -> None:
    for name in ("a", "b", "c"):
        iot.create_policy(policyName=name, policyDocument=document())
    pages = iot.get_paginator("list_policies").paginate(ascendingOrder=True, PaginationConfig={"PageSize": 2})
    found = [each for page in pages for each in page["policies"]]
    assert sorted(each["policyName"] for each in found) == ["a", "b", "c"]
    assert {each["policyArn"] for each in found} == {realm.arn("policy", name) for name in ("a", "b", "c")}
    assert [each["policyName"] for each in iot.list_policies()["policies"]] == [
        each["policyName"] for each in reversed(found)
    ]


def test_tags_given_at_birth(iot: Any) -> None:
    made = iot.create_policy(policyName="p", policyDocument=document(), tags=[{"Key": "team", "Value": "a"}])
    assert iot.list_tags_for_resource(resourceArn=made["policyArn"])["tags"] == [{"Key": "team", "Value": "a"}]
