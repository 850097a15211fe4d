from __future__ import annotations

from typing import Any

import pytest
from tests.runtime import Installed

from fleetgate.names import Realm

MINUTE = 60_000


def test_a_type_lives_and_dies(iot: Any, house: Installed, realm: Realm) -> None:
    properties = {"thingTypeDescription": "a lamp", "searchableAttributes": ["watts"]}
    made = iot.create_thing_type(thingTypeName="lamp", thingTypeProperties=properties)
    assert made["thingTypeArn"] == realm.arn("thingtype", "lamp")
    found = iot.describe_thing_type(thingTypeName="lamp")
    assert found["thingTypeId"] == made["thingTypeId"]
    assert found["thingTypeProperties"] == properties
    assert found["thingTypeMetadata"]["deprecated"] is False
    with pytest.raises(iot.exceptions.InvalidRequestException, match="Deprecate it first"):
        iot.delete_thing_type(thingTypeName="lamp")
    iot.deprecate_thing_type(thingTypeName="lamp")
    with pytest.raises(iot.exceptions.InvalidRequestException, match="depreated thing type:lamp"):
        iot.create_thing(thingName="t", thingTypeName="lamp")
    assert "deprecationDate" in iot.describe_thing_type(thingTypeName="lamp")["thingTypeMetadata"]
    house.clock.ahead = 4 * MINUTE
    with pytest.raises(iot.exceptions.InvalidRequestException, match="five minutes"):
        iot.delete_thing_type(thingTypeName="lamp")
    house.clock.ahead = 6 * MINUTE
    iot.delete_thing_type(thingTypeName="lamp")
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.describe_thing_type(thingTypeName="lamp")


def test_a_deprecation_is_taken_back(iot: Any) -> None:
    iot.create_thing_type(thingTypeName="lamp")
    iot.deprecate_thing_type(thingTypeName="lamp")
    iot.deprecate_thing_type(thingTypeName="lamp", undoDeprecate=True)
    iot.create_thing(thingName="t", thingTypeName="lamp")


def test_the_same_again_is_the_same_and_another_is_refused(iot: Any) -> None:
    first = iot.create_thing_type(thingTypeName="lamp")
    assert iot.create_thing_type(thingTypeName="lamp")["thingTypeId"] == first["thingTypeId"]
    with pytest.raises(iot.exceptions.ResourceAlreadyExistsException) as caught:
        iot.create_thing_type(thingTypeName="lamp", thingTypeProperties={"thingTypeDescription": "other"})
    assert caught.value.response["resourceId"] == first["thingTypeId"]


def test_only_the_description_changes(iot: Any) -> None:
    properties = {"thingTypeDescription": "a lamp", "searchableAttributes": ["watts"]}
    iot.create_thing_type(thingTypeName="lamp", thingTypeProperties=properties)
    iot.update_thing_type(thingTypeName="lamp", thingTypeProperties={"thingTypeDescription": "a light"})
    assert iot.describe_thing_type(thingTypeName="lamp")["thingTypeProperties"] == {
        "thingTypeDescription": "a light",
        "searchableAttributes": ["watts"],
    }
    iot.update_thing_type(thingTypeName="lamp", thingTypeProperties={"searchableAttributes": ["watts"]})
    with pytest.raises(iot.exceptions.InvalidRequestException, match="cannot be changed"):
        iot.update_thing_type(thingTypeName="lamp", thingTypeProperties={"searchableAttributes": ["volts"]})
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.update_thing_type(thingTypeName="torch")


def test_what_would_have_no_effect_is_refused(iot: Any) -> None:
    with pytest.raises(iot.exceptions.InvalidRequestException, match="mqtt5Configuration"):
        iot.create_thing_type(
            thingTypeName="lamp",
            thingTypeProperties={"mqtt5Configuration": {"propagatingAttributes": [{"userPropertyKey": "k"}]}},
        )


def test_types_are_listed(iot: Any) -> None:
    for name in ("a", "b", "c"):
        iot.create_thing_type(thingTypeName=name)
    pages = iot.get_paginator("list_thing_types").paginate(PaginationConfig={"PageSize": 2})
    assert [each["thingTypeName"] for page in pages for each in page["thingTypes"]] == ["a", "b", "c"]
    assert [each["thingTypeName"] for each in iot.list_thing_types(thingTypeName="b")["thingTypes"]] == ["b"]
    assert iot.list_thing_types(thingTypeName="d")["thingTypes"] == []


def test_tags_given_at_birth(iot: Any) -> None:
    made = iot.create_thing_type(thingTypeName="lamp", tags=[{"Key": "team", "Value": "light"}])
    assert iot.list_tags_for_resource(resourceArn=made["thingTypeArn"])["tags"] == [{"Key": "team", "Value": "light"}]
