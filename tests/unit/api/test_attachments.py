from __future__ import annotations

from typing import Any

import pytest

from fleetgate.names import Realm

DOCUMENT = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"*"}]}'


@pytest.fixture
def certificate(iot: Any) -> str:
    for name in ("p1", "p2", "p3"):
        iot.create_policy(policyName=name, policyDocument=DOCUMENT)
    return str(iot.create_keys_and_certificate(setAsActive=True)["certificateArn"])


def names(page: Any) -> list[str]:
    return [each["policyName"] for each in page["policies"]]


def test_a_policy_on_a_certificate(iot: Any, certificate: str, realm: Realm) -> None:
    iot.attach_policy(policyName="p1", target=certificate)
    iot.attach_policy(policyName="p1", target=certificate)
    assert iot.list_attached_policies(target=certificate)["policies"] == [
        {"policyName": "p1", "policyArn": realm.arn("policy", "p1")}
    ]
    assert iot.list_targets_for_policy(policyName="p1")["targets"] == [certificate]
    text = r"The policy cannot be deleted as the policy is attached to one or more principals \(name=p1\)"
    with pytest.raises(iot.exceptions.DeleteConflictException, match=text):
        iot.delete_policy(policyName="p1")
    iot.detach_policy(policyName="p1", target=certificate)
    iot.detach_policy(policyName="p1", target=certificate)
    assert iot.list_attached_policies(target=certificate)["policies"] == []


def test_policies_of_groups_above(iot: Any, certificate: str) -> None:
    above = iot.create_thing_group(thingGroupName="above")["thingGroupArn"]
    below = iot.create_thing_group(thingGroupName="below", parentGroupName="above")["thingGroupArn"]
    iot.attach_policy(policyName="p1", target=above)
    iot.attach_policy(policyName="p2", target=below)
    assert names(iot.list_attached_policies(target=below)) == ["p2"]
    assert names(iot.list_attached_policies(target=below, recursive=True)) == ["p1", "p2"]


def test_lists_come_in_pages(iot: Any, certificate: str) -> None:
    for name in ("p1", "p2", "p3"):
        iot.attach_policy(policyName=name, target=certificate)
    pages = iot.get_paginator("list_attached_policies").paginate(target=certificate, PaginationConfig={"PageSize": 2})
    assert [names(page) for page in pages] == [["p1", "p2"], ["p3"]]
    group = iot.create_thing_group(thingGroupName="g")["thingGroupArn"]
    iot.attach_policy(policyName="p1", target=group)
    targets = iot.get_paginator("list_targets_for_policy").paginate(policyName="p1", PaginationConfig={"PageSize": 1})
    assert [arn for page in targets for arn in page["targets"]] == [certificate, group]


def test_what_a_policy_cannot_be_attached_to(iot: Any, certificate: str, realm: Realm) -> None:
    missing = iot.exceptions.ResourceNotFoundException
    with pytest.raises(missing, match="No thing group with ARN"):
        iot.attach_policy(policyName="p1", target=realm.arn("thinggroup", "g"))
    with pytest.raises(missing):
        iot.attach_policy(policyName="p1", target=realm.arn("cert", "0" * 64))
    with pytest.raises(missing):
        iot.attach_policy(policyName="p9", target=certificate)
    with pytest.raises(iot.exceptions.InvalidRequestException):
        iot.attach_policy(policyName="p1", target=realm.arn("thing", "t"))


def test_a_group_takes_two_policies(iot: Any, certificate: str) -> None:
    group = iot.create_thing_group(thingGroupName="g")["thingGroupArn"]
    for name in ("p1", "p2"):
        iot.attach_policy(policyName=name, target=group)
    with pytest.raises(iot.exceptions.LimitExceededException) as caught:
        iot.attach_policy(policyName="p3", target=group)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 410


def test_the_older_calls(iot: Any, certificate: str, realm: Realm) -> None:
    iot.attach_principal_policy(policyName="p1", principal=certificate)
    iot.attach_policy(policyName="p1", target=iot.create_thing_group(thingGroupName="g")["thingGroupArn"])
    assert names(iot.list_principal_policies(principal=certificate)) == ["p1"]
    assert iot.list_policy_principals(policyName="p1")["principals"] == [certificate]
    other = iot.create_thing_group(thingGroupName="h")["thingGroupArn"]
    iot.attach_policy(policyName="p1", target=other)
    assert iot.list_policy_principals(policyName="p1", pageSize=1) | {"ResponseMetadata": None} == {
        "principals": [certificate],
        "ResponseMetadata": None,
    }, "groups leave no further page behind the last certificate"
    iot.detach_principal_policy(policyName="p1", principal=certificate)
    assert iot.list_policy_principals(policyName="p1")["principals"] == []
    with pytest.raises(iot.exceptions.InvalidRequestException):
        iot.attach_principal_policy(policyName="p1", principal=realm.arn("thinggroup", "g"))
