from __future__ import annotations

import json
from typing import Any

import pytest

from fleetgate.names import Realm


def test_what_a_thing_is_described_with(iot: Any, realm: Realm) -> None:
    made = iot.create_billing_group(
        billingGroupName="south", billingGroupProperties={"billingGroupDescription": "the south"}
    )
    assert made["billingGroupArn"] == realm.arn("billinggroup", "south")
    described = iot.describe_billing_group(billingGroupName="south")
    assert described["billingGroupId"] == made["billingGroupId"]
    assert (described["version"], described["billingGroupMetadata"].keys()) == (1, {"creationDate"})
    iot.create_thing(thingName="one", billingGroupName="south")
    assert iot.describe_thing(thingName="one")["billingGroupName"] == "south"
    with pytest.raises(iot.exceptions.ResourceAlreadyExistsException):
        iot.create_thing(thingName="one")
    iot.remove_thing_from_billing_group(billingGroupName="south", thingName="one")
    assert "billingGroupName" not in iot.describe_thing(thingName="one")


def test_by_name_or_by_arn(iot: Any, realm: Realm) -> None:
    invalid, missing = iot.exceptions.InvalidRequestException, iot.exceptions.ResourceNotFoundException
    arn = iot.create_billing_group(billingGroupName="south")["billingGroupArn"]
    thing = iot.create_thing(thingName="one")["thingArn"]
    iot.add_thing_to_billing_group(billingGroupArn=arn, thingArn=thing)
    assert iot.list_things_in_billing_group(billingGroupName="south")["things"] == ["one"]
    with pytest.raises(invalid, match="Both billingGroupName and billingGroupArn cannot be null"):
        iot.add_thing_to_billing_group(thingName="one")
    with pytest.raises(invalid, match="Both thingName and thingArn cannot be null"):
        iot.add_thing_to_billing_group(billingGroupName="south")
    with pytest.raises(invalid, match="is not the ARN of"):
        iot.add_thing_to_billing_group(billingGroupName="north", billingGroupArn=arn, thingName="one")
    for asked in (
        {"billingGroupName": "north", "thingName": "one"},
        {"billingGroupName": "south", "thingName": "two"},
        {"billingGroupArn": arn.replace(realm.account, "999999999999"), "thingName": "one"},
    ):
        for change in (iot.add_thing_to_billing_group, iot.remove_thing_from_billing_group):
            with pytest.raises(missing):
                change(**asked)


def test_a_template_names_one(iot: Any) -> None:
    properties = {"ThingName": {"Ref": "Serial"}, "BillingGroup": {"Ref": "Region"}}
    body = json.dumps(
        {
            "Parameters": {"Serial": {"Type": "String"}, "Region": {"Type": "String"}},
            "Resources": {"thing": {"Type": "AWS::IoT::Thing", "Properties": properties}},
        }
    )
    asked = {"templateBody": body, "parameters": {"Serial": "one", "Region": "south"}}
    with pytest.raises(iot.exceptions.ResourceRegistrationFailureException, match="Billing group south"):
        iot.register_thing(**asked)
    iot.create_billing_group(billingGroupName="south")
    iot.register_thing(**asked)
    assert iot.list_things_in_billing_group(billingGroupName="south")["things"] == ["one"]
