from typing import Any

import pytest

from fleetgate.template.functions import Reader
from fleetgate.template.problems import Problems
from fleetgate.template.resources import Kind, Override, ResourceReader, choose, property_path


def read(value: dict[str, Any], kind: Kind = Kind.REGISTRATION) -> Any:
    problems = Problems()
    found = ResourceReader(kind, Reader({}, problems), problems).read("it", value)
    assert not problems
    return found


THING = {
    "Type": "AWS::IoT::Thing",
    "Properties": {
        "ThingName": {"Ref": "a"},
        "AttributePayload": {"x": {"Ref": "b"}},
        "ThingTypeName": {"Ref": "c"},
        "ThingGroups": [{"Ref": "d"}],
        "BillingGroup": {"Ref": "e"},
    },
}


def test_every_value_of_a_thing_has_its_path() -> None:
    assert [(path, list(value.references())) for path, value in read(THING).expressions()] == [
        ("Resources.it.Properties.ThingName", ["a"]),
        ("Resources.it.Properties.AttributePayload.x", ["b"]),
        ("Resources.it.Properties.ThingTypeName", ["c"]),
        ("Resources.it.Properties.ThingGroups", ["d"]),
        ("Resources.it.Properties.BillingGroup", ["e"]),
    ]


def test_every_value_of_a_certificate_has_its_path() -> None:
    found = read(
        {
            "Type": "AWS::IoT::Certificate",
            "Properties": {"CertificatePem": {"Ref": "a"}, "CACertificatePem": {"Ref": "b"}, "Status": {"Ref": "c"}},
        }
    )
    assert [(path, list(value.references())) for path, value in found.expressions()] == [
        ("Resources.it.Properties.CertificatePem", ["a"]),
        ("Resources.it.Properties.CACertificatePem", ["b"]),
        ("Resources.it.Properties.Status", ["c"]),
        ("Resources.it.Properties.ThingPrincipalType", []),
    ]
    assert found.naming is None


def test_what_is_absent_differs_from_what_is_empty() -> None:
    bare = read({"Type": "AWS::IoT::Thing", "Properties": {"ThingName": "t"}})
    assert (bare.attributes, bare.groups, bare.type_name, bare.billing_group) == (None, None, None, None)
    empty = read(
        {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": "t", "ThingGroups": [], "AttributePayload": []}}
    )
    assert empty.attributes == {}
    assert empty.groups is not None


@pytest.mark.parametrize("setting", list(Override))
@pytest.mark.parametrize("written", ["AttributePayload", "ATTRIBUTE_PAYLOAD", "ThingGroups", "THING_GROUPS"])
def test_lists_may_be_merged(written: Any, setting: Override) -> None:
    found = read({**THING, "OverrideSettings": {written: setting.value}})
    assert list(found.overrides.values()) == [setting]
    assert set(found.overrides) <= {"AttributePayload", "ThingGroups"}


@pytest.mark.parametrize("setting", [Override.DO_NOTHING, Override.REPLACE, Override.FAIL])
def test_a_type_and_a_status_are_replaced_or_not(setting: Override) -> None:
    assert read({**THING, "OverrideSettings": {"THING_TYPE_NAME": setting}}).overrides == {"ThingTypeName": setting}
    certificate = {"Type": "AWS::IoT::Certificate", "Properties": {"CertificateSigningRequest": "x"}}
    assert read({**certificate, "OverrideSettings": {"Status": setting}}).overrides == {"Status": setting}


@pytest.mark.parametrize("status", ["ACTIVE", "Active", "active"])
def test_case_does_not_matter(status: str) -> None:
    problems = Problems()
    assert choose(status, ("ACTIVE", "INACTIVE"), "here", problems) == "ACTIVE"
    assert not problems


def test_a_policy_is_named_by_what_it_has() -> None:
    by_name = read({"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": {"Ref": "a"}}})
    by_document = read({"Type": "AWS::IoT::Policy", "Properties": {"PolicyDocument": {"x": {"Ref": "b"}}}})
    assert (list(by_name.naming.references()), list(by_document.naming.references())) == (["a"], ["b"])


def test_a_path() -> None:
    assert property_path("thing", "ThingName") == "Resources.thing.Properties.ThingName"
