from __future__ import annotations

import json
from typing import Any

import pytest
from tests.runtime import Installed

from fleetgate.names import Realm
from fleetgate.registry import templates

BODY = json.dumps({"Resources": {"t": {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": "x"}}}})
ROLE = "arn:aws:iam::123456789012:role/provisioning"
KEY = "fleetgate:reprovisioning"


@pytest.fixture
def group(iot: Any) -> str:
    return str(iot.create_thing_group(thingGroupName="g")["thingGroupArn"])


def tags(iot: Any, arn: str) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in iot.list_tags_for_resource(resourceArn=arn)["tags"]}


def test_tags_come_and_go(iot: Any, group: str) -> None:
    iot.tag_resource(resourceArn=group, tags=[{"Key": "a", "Value": "1"}, {"Key": "b"}])
    iot.tag_resource(resourceArn=group, tags=[{"Key": "a", "Value": "2"}])
    assert tags(iot, group) == {"a": "2", "b": ""}
    iot.untag_resource(resourceArn=group, tagKeys=["b", "c"])
    assert tags(iot, group) == {"a": "2"}


def test_all_fifty_are_on_one_page(iot: Any, group: str) -> None:
    wanted = {f"key{number:02}": str(number) for number in range(50)}
    iot.tag_resource(resourceArn=group, tags=[{"Key": key, "Value": value} for key, value in wanted.items()])
    assert tags(iot, group) == wanted
    with pytest.raises(iot.exceptions.LimitExceededException, match="at most 50"):
        iot.tag_resource(resourceArn=group, tags=[{"Key": "one more"}])
    with pytest.raises(iot.exceptions.InvalidRequestException, match="at most 50"):
        iot.create_billing_group(billingGroupName="b", tags=[{"Key": str(number)} for number in range(51)])


def test_what_cannot_be_tagged(iot: Any, group: str, realm: Realm) -> None:
    refused = iot.exceptions.InvalidRequestException
    with pytest.raises(refused, match="given twice"):
        iot.tag_resource(resourceArn=group, tags=[{"Key": "a"}, {"Key": "a"}])
    with pytest.raises(refused, match="does not begin with aws:"):
        iot.tag_resource(resourceArn=group, tags=[{"Key": "aws:x"}])
    iot.create_thing(thingName="t")
    with pytest.raises(refused, match="cannot be tagged"):
        iot.tag_resource(resourceArn=realm.arn("thing", "t"), tags=[{"Key": "a"}])
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.tag_resource(resourceArn=realm.arn("thinggroup", "h"), tags=[{"Key": "a"}])


def test_the_tag_that_means_something(iot: Any, house: Installed, realm: Realm) -> None:
    arn = iot.create_provisioning_template(templateName="t", templateBody=BODY, provisioningRoleArn=ROLE)["templateArn"]

    def rule() -> Any:
        return house.read(lambda tx: templates.get(tx, realm, "t")).reprovisioning

    assert rule() is None
    iot.tag_resource(resourceArn=arn, tags=[{"Key": KEY, "Value": "never"}])
    assert rule() == "never"
    iot.untag_resource(resourceArn=arn, tagKeys=["other"])
    assert rule() == "never"
    iot.untag_resource(resourceArn=arn, tagKeys=[KEY])
    assert rule() is None


def test_elsewhere_it_means_nothing(iot: Any, group: str) -> None:
    iot.tag_resource(resourceArn=group, tags=[{"Key": KEY, "Value": "anything"}])
    assert tags(iot, group) == {KEY: "anything"}
