from __future__ import annotations

from typing import Any

import pytest

from fleetgate.names import Realm


def certificate(iot: Any) -> str:
    return str(iot.create_keys_and_certificate(setAsActive=True)["certificateArn"])


def test_a_thing_lives_and_dies(iot: Any, realm: Realm) -> None:
    made = iot.create_thing(thingName="a:b_c-1", attributePayload={"attributes": {"serial": "x/1#2"}})
    assert made["thingArn"] == realm.arn("thing", "a:b_c-1")
    found = iot.describe_thing(thingName="a:b_c-1")
    assert found["thingId"] == made["thingId"]
    assert found["defaultClientId"] == "a:b_c-1"
    assert found["attributes"] == {"serial": "x/1#2"}
    assert found["version"] == 1
    assert "thingTypeName" not in found
    iot.delete_thing(thingName="a:b_c-1")
    with pytest.raises(iot.exceptions.ResourceNotFoundException, match="a:b_c-1 does not exist"):
        iot.describe_thing(thingName="a:b_c-1")


def test_the_same_again_is_the_same_and_another_is_refused(iot: Any, realm: Realm) -> None:
    first = iot.create_thing(thingName="t")
    assert iot.create_thing(thingName="t")["thingId"] == first["thingId"]
    with pytest.raises(iot.exceptions.ResourceAlreadyExistsException) as caught:
        iot.create_thing(thingName="t", attributePayload={"attributes": {"a": "1"}})
    assert caught.value.response["resourceId"] == first["thingId"]
    assert caught.value.response["resourceArn"] == realm.arn("thing", "t")


def test_a_billing_group_that_cannot_be(iot: Any) -> None:
    with pytest.raises(iot.exceptions.ResourceNotFoundException, match="Billing group b"):
        iot.create_thing(thingName="t", billingGroupName="b")


def test_attributes_are_replaced_merged_and_removed(iot: Any) -> None:
    iot.create_thing(thingName="t", attributePayload={"attributes": {"a": "1", "b": "2"}})
    iot.update_thing(thingName="t", attributePayload={"attributes": {"c": "3"}, "merge": True})
    assert iot.describe_thing(thingName="t")["attributes"] == {"a": "1", "b": "2", "c": "3"}
    iot.update_thing(thingName="t", attributePayload={"attributes": {"a": ""}, "merge": True})
    assert iot.describe_thing(thingName="t")["attributes"] == {"b": "2", "c": "3"}
    iot.update_thing(thingName="t", attributePayload={"attributes": {"d": "4"}}, expectedVersion=3)
    found = iot.describe_thing(thingName="t")
    assert (found["attributes"], found["version"]) == ({"d": "4"}, 4)


def test_a_version_is_expected(iot: Any) -> None:
    iot.create_thing(thingName="t")
    message = "The version for thing t does not match the expected version."
    with pytest.raises(iot.exceptions.VersionConflictException, match=message):
        iot.update_thing(thingName="t", expectedVersion=2)
    with pytest.raises(iot.exceptions.VersionConflictException):
        iot.delete_thing(thingName="t", expectedVersion=2)
    iot.delete_thing(thingName="t", expectedVersion=1)
    iot.delete_thing(thingName="t")


def test_a_type_is_taken_and_given_up(iot: Any) -> None:
    iot.create_thing_type(thingTypeName="kind")
    iot.create_thing(thingName="t", thingTypeName="kind")
    assert iot.describe_thing(thingName="t")["thingTypeName"] == "kind"
    iot.update_thing(thingName="t", removeThingType=True)
    assert "thingTypeName" not in iot.describe_thing(thingName="t")
    iot.update_thing(thingName="t", thingTypeName="kind")
    assert [each["thingName"] for each in iot.list_things(thingTypeName="kind")["things"]] == ["t"]


def test_things_are_listed_in_pages(iot: Any) -> None:
    names = [f"t{number:02}" for number in range(7)]
    for name in names:
        iot.create_thing(thingName=name)
    first = iot.list_things(maxResults=3)
    assert [each["thingName"] for each in first["things"]] == names[:3]
    pages = iot.get_paginator("list_things").paginate(PaginationConfig={"PageSize": 3})
    assert [each["thingName"] for page in pages for each in page["things"]] == names
    assert "nextToken" not in iot.list_things()


def test_things_are_found_by_attribute(iot: Any, realm: Realm) -> None:
    for name, colour in (("t1", "red"), ("t2", "red"), ("t3", "rose"), ("t4", None)):
        iot.create_thing(thingName=name, attributePayload={"attributes": {"colour": colour} if colour else {}})

    def found(**asked: Any) -> list[str]:
        return [each["thingName"] for each in iot.list_things(**asked)["things"]]

    assert found(attributeName="colour", attributeValue="red") == ["t1", "t2"]
    assert found(attributeName="colour", attributeValue="r", usePrefixAttributeValue=True) == ["t1", "t2", "t3"]
    assert found(attributeName="colour", attributeValue="r") == []
    assert found(attributeName="colour") == ["t1", "t2", "t3"]
    with pytest.raises(iot.exceptions.InvalidRequestException, match="needs an attributeName"):
        found(attributeValue="red")
    assert iot.list_things(maxResults=1)["things"] == [
        {"thingName": "t1", "thingArn": realm.arn("thing", "t1"), "attributes": {"colour": "red"}, "version": 1}
    ]


def test_principals_come_and_go(iot: Any) -> None:
    arn = certificate(iot)
    iot.create_thing(thingName="t")
    iot.attach_thing_principal(thingName="t", principal=arn)
    iot.attach_thing_principal(thingName="t", principal=arn)
    assert iot.list_thing_principals(thingName="t")["principals"] == [arn]
    assert iot.list_principal_things(principal=arn)["things"] == ["t"]
    with pytest.raises(iot.exceptions.InvalidRequestException, match=r"Cannot delete\. Thing t is still attached"):
        iot.delete_thing(thingName="t")
    iot.detach_thing_principal(thingName="t", principal=arn)
    iot.detach_thing_principal(thingName="t", principal=arn)
    assert iot.list_thing_principals(thingName="t")["principals"] == []


def test_an_exclusive_thing(iot: Any) -> None:
    arn = certificate(iot)
    for name in ("t1", "t2"):
        iot.create_thing(thingName=name)
    iot.attach_thing_principal(thingName="t1", principal=arn, thingPrincipalType="EXCLUSIVE_THING")
    with pytest.raises(iot.exceptions.InvalidRequestException, match="exclusive"):
        iot.attach_thing_principal(thingName="t2", principal=arn)
    shown = iot.list_thing_principals_v2(thingName="t1")["thingPrincipalObjects"]
    assert shown == [{"principal": arn, "thingPrincipalType": "EXCLUSIVE_THING"}]
    things = iot.list_principal_things_v2(principal=arn)["principalThingObjects"]
    assert things == [{"thingName": "t1", "thingPrincipalType": "EXCLUSIVE_THING"}]
    other = iot.list_principal_things_v2(principal=arn, thingPrincipalType="NON_EXCLUSIVE_THING")
    assert other["principalThingObjects"] == []
    assert (
        iot.list_thing_principals_v2(thingName="t1", thingPrincipalType="NON_EXCLUSIVE_THING")["thingPrincipalObjects"]
        == []
    )


def test_principals_are_listed_in_pages(iot: Any) -> None:
    arns = [certificate(iot) for _ in range(3)]
    iot.create_thing(thingName="t")
    for arn in arns:
        iot.attach_thing_principal(thingName="t", principal=arn)
    pages = iot.get_paginator("list_thing_principals").paginate(thingName="t", PaginationConfig={"PageSize": 2})
    assert [arn for page in pages for arn in page["principals"]] == sorted(arns)


def test_what_is_no_principal(iot: Any, realm: Realm) -> None:
    iot.create_thing(thingName="t")
    with pytest.raises(iot.exceptions.InvalidRequestException, match="Not an IoT resource ARN"):
        iot.attach_thing_principal(thingName="t", principal="us-east-1:0000-1111")
    with pytest.raises(iot.exceptions.InvalidRequestException, match="principal is a certificate"):
        iot.attach_thing_principal(thingName="t", principal=realm.arn("thing", "t"))
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.attach_thing_principal(thingName="t", principal=realm.arn("cert", "0" * 64))
    with pytest.raises(iot.exceptions.ResourceNotFoundException, match="Failed to list principals for thing u"):
        iot.list_thing_principals(thingName="u")
