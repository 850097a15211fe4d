import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from fleetgate.errors import InvalidParameters
from fleetgate.template.document import Kind, parse
from fleetgate.template.render import fixed_policies, policy_name, render

ID = "c" * 64


def thing(name: Any, **attributes: Any) -> dict[str, Any]:
    return {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": name, "AttributePayload": attributes}}


def policy(document: Any) -> dict[str, Any]:
    return {"Type": "AWS::IoT::Policy", "Properties": {"PolicyDocument": document}}


def made(
    resources: dict[str, Any],
    parameters: Sequence[str] = (),
    sent: Mapping[Any, Any] | None = None,
    builtins: Mapping[str, str] | None = None,
    kind: Kind = Kind.FLEET_PROVISIONING,
) -> Any:
    declared = {name: {"Type": "String"} for name in parameters}
    document = parse(json.dumps({"Parameters": declared, "Resources": resources}), kind)
    return render(document, sent or {}, builtins or {})


def test_a_device_cannot_send_its_own_pseudo_parameter() -> None:
    resources = {"thing": thing({"Ref": "AWS::IoT::Certificate::Id"})}
    name = "AWS::IoT::Certificate::Id"
    assert made(resources, [name], {name: "forged"}, {name: ID}).thing.name == ID
    with pytest.raises(InvalidParameters, match=f"Cannot resolve reference value: {name}"):
        made(resources, [name], {name: "forged"})
    assert made(resources, [name], {name: "chosen"}, kind=Kind.REGISTRATION).thing.name == "chosen"


def test_an_undeclared_value_is_not_taken() -> None:
    with pytest.raises(InvalidParameters, match=r"\ACannot resolve reference value: Serial\Z"):
        made({"thing": thing({"Ref": "Serial"})}, sent={"Serial": "1"})


def test_a_parameter_hides_a_resource_even_without_a_value() -> None:
    resources = {
        "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "p"}},
        "t": thing({"Ref": "policy"}),
    }
    assert made(resources).thing.name == "p"
    assert made(resources, ["policy"], {"policy": "sent"}).thing.name == "sent"
    with pytest.raises(InvalidParameters, match=r"\ACannot resolve reference value: policy\Z"):
        made(resources, ["policy"])


def test_an_empty_value_is_a_value() -> None:
    assert made({"thing": thing("t", a={"Ref": "A"})}, ["A"], {"A": ""}).thing.attributes == {"a": ""}


@pytest.mark.parametrize("written", [ID, ID.upper(), f"0x{ID}"])
def test_a_certificate_id_in_any_spelling(written: Any) -> None:
    resources = {"c": {"Type": "AWS::IoT::Certificate", "Properties": {"CertificateId": {"Ref": "A"}}}}
    plan = made(resources, ["A"], {"A": written}, {"AWS::IoT::Certificate::Id": ID})
    assert plan.certificate.certificate_id == ID


def test_a_certificate_by_a_name_nobody_gives() -> None:
    resources = {"c": {"Type": "AWS::IoT::Certificate", "Properties": {"CertificateId": {"Ref": "A"}}}}
    with pytest.raises(InvalidParameters, match=r"\ACannot resolve reference value: A\Z"):
        made(resources)


@pytest.mark.parametrize("unsafe", ["*", "a?", "+", "#", "${iot:ClientId}", '"', "\\", "\n"])
@pytest.mark.parametrize("kind", [Kind.FLEET_PROVISIONING, Kind.JITP])
def test_what_a_device_says_of_itself_cannot_widen_its_policy(kind: Any, unsafe: str) -> None:
    field = "AWS::IoT::Certificate::CommonName"
    for document in ({"Resource": {"Fn::Sub": f"topic/${{{field}}}"}}, {"Fn::Sub": f'{{"Resource": "${{{field}}}"}}'}):
        with pytest.raises(InvalidParameters, match="would change what the policy allows"):
            made({"p": policy(document)}, builtins={field: unsafe}, kind=kind)
        assert made({"p": policy(document)}, builtins={field: "a-1:b_2.c/d@e=f"}, kind=kind).policies


def test_the_same_value_is_good_elsewhere() -> None:
    plan = made({"t": thing("t", a={"Ref": "A"}), "p": policy({"x": "y"})}, ["A"], {"A": "#1"})
    assert plan.thing.attributes == {"a": "#1"}


def test_builtins_are_texts_too() -> None:
    with pytest.raises(InvalidParameters, match="AWS::IoT::Certificate::CommonName: Holds U"):
        made({"thing": thing("t")}, builtins={"AWS::IoT::Certificate::CommonName": "a\0b"})


def test_names_are_texts() -> None:
    with pytest.raises(InvalidParameters, match="parameters: A name must be a string, not 1"):
        made({"thing": thing("t")}, sent={1: "x"})


@pytest.mark.parametrize(
    "layout", ['{"b": [1, 2], "a": "\\u00fc\\/"}', '{"a":"ü/","b":[1,2]}', ' {"a" : "ü/", "b":[1,2] } ']
)
def test_a_policy_is_named_by_its_content_not_its_layout(layout: str) -> None:
    expected = hashlib.sha256('{"a":"ü/","b":[1,2]}'.encode()).hexdigest()[:40].upper()
    assert policy_name(layout) == expected
    assert made({"p": policy(layout)}).policies[0].name == expected
    assert made({"p": policy(json.loads(layout))}).policies[0].name == expected


def test_a_policy_text_stays_as_written() -> None:
    written = ' {"a" : 1}'
    assert made({"p": policy(written)}).policies[0].document == written


@pytest.mark.parametrize("sent", ["", "[]", "{", '{"a": 1, "a": 2}'])
def test_a_policy_by_parameter_must_be_an_object(sent: Any) -> None:
    with pytest.raises(InvalidParameters, match=r"Resources\.p\.Properties\.PolicyDocument"):
        made({"p": policy({"Ref": "P"})}, ["P"], {"P": sent}, kind=Kind.REGISTRATION)


def test_a_failed_policy_is_not_told_again_by_those_who_refer_to_it() -> None:
    with pytest.raises(InvalidParameters, match=r"\ACannot resolve reference value: P\Z"):
        made({"p": policy({"Ref": "P"}), "t": thing({"Ref": "p"})}, ["P"])


def test_policies_that_are_the_same_for_every_device() -> None:
    template = {
        "Mappings": {"M": {"a": {"b": "mapped"}}},
        "Resources": {
            "text": policy('{ "a": 1 }'),
            "object": policy({"a": {"Fn::Join": ["", ["x", "*"]]}, "b": {"Fn::FindInMap": ["M", "a", "b"]}}),
            "varies": policy({"a": {"Ref": "A"}}),
            "fails": policy({"a": {"Fn::Select": ["7", ["x"]]}}),
            "named": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "p"}},
        },
    }
    assert fixed_policies(parse(json.dumps(template), Kind.FLEET_PROVISIONING)) == (
        ("Resources.text.Properties.PolicyDocument", '{ "a": 1 }'),
        ("Resources.object.Properties.PolicyDocument", '{"a":"x*","b":"mapped"}'),
    )


def test_a_long_chain_of_names_does_not_exhaust_the_stack() -> None:
    resources = {"p0": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "p"}}}
    for index in range(1, 110):
        resources[f"p{index}"] = {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": {"Ref": f"p{index - 1}"}}}
    assert {found.name for found in made(resources).policies} == {"p"}


def test_groups_by_a_function() -> None:
    resources = {
        "t": {
            "Type": "AWS::IoT::Thing",
            "Properties": {"ThingName": "t", "ThingGroups": {"Fn::Split": [",", {"Ref": "G"}]}},
        }
    }
    assert made(resources, ["G"], {"G": "b,a,b"}).thing.groups == ("b", "a")
    with pytest.raises(InvalidParameters, match=r"ThingGroups\[1\]: The thing group name ''"):
        made(resources, ["G"], {"G": "b,"})
    with pytest.raises(InvalidParameters, match=r"\ACannot resolve reference value: G\Z"):
        made(resources, ["G"])
