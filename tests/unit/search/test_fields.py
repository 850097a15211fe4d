from __future__ import annotations

import pytest

from fleetgate.search.fields import GROUPS, THINGS


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("thingName", "thingName"),
        ("registry.thingTypeName", "thingTypeName"),
        ("attributes.a.b", "attributes.a.b"),
        ("shadow.reported.battery", "shadow.reported.battery"),
        ("thingname", None),
        ("attributes.", None),
        ("registry.version", None),
        ("thingGroupName", None),
    ],
)
def test_fields_of_things(name: str, field: str | None) -> None:
    assert THINGS.field(name) == field


def test_fields_of_groups() -> None:
    assert GROUPS.field("description") == "thingGroupDescription"
    assert GROUPS.field("thingName") is None


def test_an_unknown_field_brings_the_nearest_and_all() -> None:
    message = THINGS.unknown("thingType")
    assert "Do you mean thingTypeName?" in message
    assert "connectivity.connected" in message
    assert "Do you mean" not in THINGS.unknown("zzz")
