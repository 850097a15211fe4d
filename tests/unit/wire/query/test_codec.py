from typing import Any
from xml.etree import ElementTree as ET

import pytest

from fleetgate.wire.query import codec, form
from fleetgate.wire.restjson import model
from fleetgate.wire.restjson.message import Malformed, Request
from fleetgate.wire.restjson.values import Unencodable

IAM = model.load("iam")
HEADERS = {"content-type": "application/x-www-form-urlencoded"}


def decode(body: str) -> dict[str, Any]:
    tree = form.read(Request("POST", "/", "", HEADERS, body.encode()))
    return codec.decode(IAM.operation(codec.action(tree)), IAM.version, tree)


def test_members_lists_and_types() -> None:
    body = (
        "Action=CreateRole&Version=2010-05-08&RoleName=r&MaxSessionDuration=7200&Path=&Unknown.x=1"
        "&Tags.member.10.Key=last&Tags.member.2.Key=k&Tags.member.2.Value=v"
    )
    assert decode(body) == {
        "RoleName": "r",
        "Path": "",
        "MaxSessionDuration": 7200,
        "Tags": [{"Key": "k", "Value": "v"}, {"Key": "last"}],
    }


def test_an_empty_list() -> None:
    assert decode("Action=CreateRole&Tags=") == {"Tags": []}


def test_every_fault_at_once() -> None:
    with pytest.raises(Malformed) as caught:
        decode("Action=CreateRole&MaxSessionDuration=soon&RoleName.x=1&Tags=a&Path=/")
    message = str(caught.value)
    assert "MaxSessionDuration must be a whole number, not 'soon'" in message
    assert "RoleName must be a value, not a structure" in message
    assert "Tags must be given as Tags.member.1" in message


@pytest.mark.parametrize(
    "body", ["Action=CreateRole&Tags.member.0.Key=a", "Action=CreateRole&Tags.member.x.Key=a", "Action=CreateRole&T=1"]
)
def test_lists_are_numbered_from_one(body: str) -> None:
    if "T=1" in body:
        assert decode(body) == {}
    else:
        with pytest.raises(Malformed, match=r"Tags\.member\.2 and so on"):
            decode(body)


def test_an_item_that_is_no_structure() -> None:
    with pytest.raises(Malformed, match=r"Tags\.member\.1 must be a structure, not a value"):
        decode("Action=CreateRole&Tags.member.1=a")


def test_another_version() -> None:
    with pytest.raises(Malformed, match="served in version 2010-05-08"):
        decode("Action=CreateRole&Version=2006-01-01")


@pytest.mark.parametrize("body", ["", "Version=2010-05-08", "Action=", "Action.x=1"])
def test_no_action(body: str) -> None:
    with pytest.raises(Malformed, match="Action is missing"):
        decode(body)


def test_text_that_xml_cannot_hold() -> None:
    role = {"Path": "/", "RoleName": "<&>", "RoleId": "\x00\ufffe\ud800", "Arn": "a\rb\nc", "CreateDate": 0}
    answer = codec.encode(IAM.operation("GetRole"), IAM.namespace, {"Role": role}, "id")
    found = {each.tag.rpartition("}")[2]: each.text for each in ET.fromstring(answer.body).iter()}
    assert found["RoleName"] == "<&>"
    assert found["RoleId"] == "\ufffd\ufffd\ufffd"
    assert found["Arn"] == "a\rb\nc"
    assert found["CreateDate"] == "1970-01-01T00:00:00Z"
    assert found["RequestId"] == "id"


def test_no_output() -> None:
    operation = IAM.operation("DeleteRole")
    answer = codec.encode(operation, IAM.namespace, {}, "id")
    assert b"Result" not in answer.body
    with pytest.raises(Unencodable, match="has no output"):
        codec.encode(operation, IAM.namespace, {"Role": {}}, "id")


def test_results_that_do_not_fit() -> None:
    with pytest.raises(Unencodable, match="has no member 'Rolle'"):
        codec.encode(IAM.operation("GetRole"), IAM.namespace, {"Rolle": {}}, "id")
    with pytest.raises(Unencodable, match="int is not a string"):
        codec.encode(IAM.operation("GetRole"), IAM.namespace, {"Role": {"RoleName": 1}}, "id")


def test_a_refusal_names_its_side() -> None:
    assert b"<Type>Sender</Type><Code>NoSuchEntity</Code>" in codec.encode_error(404, "NoSuchEntity", "m", "id").body
    assert b"<Type>Receiver</Type>" in codec.encode_error(500, "InternalFailure", "m", "id").body
