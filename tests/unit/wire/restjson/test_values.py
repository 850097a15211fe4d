"""One value at a time, through the shapes of operations that hold it."""

from __future__ import annotations

from typing import Any

import pytest

from fleetgate.wire.restjson import values
from fleetgate.wire.restjson.message import Malformed
from fleetgate.wire.restjson.model import load

IOT = load("iot")


def decoded(operation: str, body: dict[str, Any]) -> dict[str, Any]:
    envelope = IOT.operation(operation).input
    assert envelope is not None
    return values.decoded(envelope.body, body)


def test_known_members_come_through_and_unknown_ones_and_nulls_are_left_out() -> None:
    body = {"thingTypeName": "sensor", "billingGroupName": None, "surprise": 1}
    assert decoded("CreateThing", body) == {"thingTypeName": "sensor"}


def test_structures_maps_and_lists_are_taken_apart_all_the_way_down() -> None:
    body = {"attributePayload": {"attributes": {"a": "1", "b": None}, "merge": True, "surprise": []}}
    assert decoded("CreateThing", body) == {"attributePayload": {"attributes": {"a": "1"}, "merge": True}}
    assert decoded("UpdateThingGroupsForThing", {"thingGroupsToAdd": ["one", "two"]}) == {
        "thingGroupsToAdd": ["one", "two"]
    }


def test_every_mistyped_member_is_told_with_its_path() -> None:
    body = {"thingTypeName": 5, "attributePayload": {"attributes": {"a": [], "b": "ok"}, "merge": "yes"}}
    with pytest.raises(Malformed) as refused:
        decoded("CreateThing", body)
    told = str(refused.value)
    for path in ("thingTypeName must be a string", "attributes['a'] must be a string", "merge must be true or false"):
        assert path in told


@pytest.mark.parametrize("value", [True, 1.0, "1", 2**31, -(2**31) - 1])
def test_a_whole_number_is_neither_guessed_nor_cut(value: object) -> None:
    with pytest.raises(Malformed):
        decoded("CreateRoleAlias", {"credentialDurationSeconds": value})


def test_percent_encoding_is_undone_once_and_only_where_it_is_sound() -> None:
    assert values.percent_decoded("a%2Fb%20c") == "a/b c"
    assert values.percent_decoded("a+b") == "a+b"
    assert values.form_decoded("a+b%2B") == "a b+"
    for broken in ("%", "%2", "%zz", "%ff", "%00", "ü"):
        with pytest.raises(Malformed):
            values.percent_decoded(broken)
