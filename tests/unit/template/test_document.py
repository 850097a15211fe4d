import json
from typing import Any

import pytest

from fleetgate.errors import InvalidRequest
from fleetgate.template.document import BODY_LIMIT, Kind, parse

POLICY = {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "p"}}
ALL: dict[str, Any] = {
    "Parameters": {"A": {"Type": "String", "Default": "x"}, "B": {"Type": "String"}},
    "Mappings": {"M": {"top": {"text": "x", "list": ["y", "z"]}}},
    "Resources": {
        "second": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": {"Ref": "thing"}}},
        "thing": {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": {"Ref": "first"}}},
        "certificate": {"Type": "AWS::IoT::Certificate", "Properties": {"CertificateId": {"Ref": "B"}}},
        "first": POLICY,
    },
}


@pytest.mark.parametrize("kind", list(Kind))
def test_one_grammar_for_all_kinds(kind: Any) -> None:
    document = parse(json.dumps(ALL), kind)
    assert document.kind == kind
    assert document.parameters == {"A": "x", "B": None}
    assert document.mappings == {"M": {"top": {"text": "x", "list": ("y", "z")}}}
    assert document.thing is not None
    assert document.certificate is not None
    assert [policy.logical_id for policy in document.policies] == ["second", "first"]


def test_each_name_comes_after_those_it_needs() -> None:
    order = parse(json.dumps(ALL), Kind.JITP).naming_order
    assert sorted(order) == ["certificate", "first", "second", "thing"]
    assert order.index("first") < order.index("thing") < order.index("second")


def test_a_parameter_hides_a_resource_so_there_is_no_circle() -> None:
    template: dict[str, Any] = {
        "Parameters": {"thing": {"Type": "String"}},
        "Resources": {"thing": {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": {"Ref": "thing"}}}},
    }
    assert parse(json.dumps(template), Kind.REGISTRATION).naming_order == ("thing",)
    del template["Parameters"]
    with pytest.raises(InvalidRequest, match="circle: thing <- thing"):
        parse(json.dumps(template), Kind.REGISTRATION)


def test_the_longest_body() -> None:
    body = json.dumps({"Resources": {"policy": POLICY}})
    assert parse(body + " " * (BODY_LIMIT - len(body)), Kind.JITP).policies
    with pytest.raises(InvalidRequest, match=r"\AThe template: It has 10241 characters; at most 10240 are allowed\.\Z"):
        parse(body + " " * (BODY_LIMIT - len(body) + 1), Kind.JITP)


def test_a_template_of_policies_only() -> None:
    document = parse(json.dumps({"Resources": {"policy": POLICY}}), Kind.FLEET_PROVISIONING)
    assert document.thing is None
    assert document.certificate is None


def test_expressions_are_all_there() -> None:
    template = {**ALL, "DeviceConfiguration": {"url": "https://x.example"}}
    paths = [path for path, _ in parse(json.dumps(template), Kind.FLEET_PROVISIONING).expressions()]
    assert paths == [
        "Resources.second.Properties.PolicyName",
        "Resources.thing.Properties.ThingName",
        "Resources.certificate.Properties.CertificateId",
        "Resources.certificate.Properties.Status",
        "Resources.certificate.Properties.ThingPrincipalType",
        "Resources.first.Properties.PolicyName",
        "DeviceConfiguration.url",
    ]
