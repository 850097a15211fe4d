from __future__ import annotations

import json
from typing import Any

import pytest

from fleetgate.errors import AccessDenied
from fleetgate.provisioning.serial import serial_of
from fleetgate.registry.claims import REFUSED
from fleetgate.template.document import Document, Kind, parse


def template(naming: Any, *parameters: str, **resources: Any) -> Document:
    thing = {} if naming is None else {"thing": {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": naming}}}
    declared = {name: {"Type": "String"} for name in parameters}
    resources = {**thing, **resources}
    return parse(json.dumps({"Parameters": declared, "Resources": resources}), Kind.FLEET_PROVISIONING)


SENT = {"SerialNumber": "SN-1", "deviceId": "D-1", "Name": "free"}
POLICY = {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": {"Ref": "SerialNumber"}}}


def join(*names: str) -> dict[str, Any]:
    return {"Fn::Join": ["-", [{"Ref": name} for name in names]]}


@pytest.mark.parametrize(
    ("document", "serial"),
    [
        (template({"Ref": "SerialNumber"}, "SerialNumber"), "SN-1"),
        (template({"Ref": "deviceId"}, "SerialNumber", "deviceId"), "D-1"),
        (template(join("SerialNumber", "Name"), "SerialNumber", "Name"), "SN-1"),
        (template({"Ref": "policy"}, "SerialNumber", policy=POLICY), "SN-1"),
        (template(join("SerialNumber", "deviceId"), "SerialNumber", "deviceId"), "the-thing"),
        (template({"Ref": "Name"}, "Name"), "the-thing"),
        (template("the-thing"), "the-thing"),
    ],
)
def test_the_serial_is_what_names_the_thing(document: Document, serial: str) -> None:
    assert serial_of(document, SENT, "the-thing") == serial


def test_a_default_is_a_serial_too() -> None:
    body = {
        "Parameters": {"SerialNumber": {"Type": "String", "Default": "SN-0"}},
        "Resources": {"t": {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": {"Ref": "SerialNumber"}}}},
    }
    assert serial_of(parse(json.dumps(body), Kind.FLEET_PROVISIONING), {}, "SN-0") == "SN-0"


@pytest.mark.parametrize(
    ("document", "thing", "why"),
    [
        (template({"Ref": "Name"}, "SerialNumber", "Name"), "free", "names things without the parameter SerialNumber"),
        (template({"Ref": "policy"}, "SerialNumber", "policy", policy=POLICY), "x", "without the parameter"),
        (template(None, "SerialNumber", policy=POLICY), None, "makes no thing"),
    ],
)
def test_a_thing_that_no_serial_names_is_refused(document: Document, thing: str | None, why: str) -> None:
    with pytest.raises(AccessDenied) as caught:
        serial_of(document, SENT, thing)
    assert caught.value.message == REFUSED
    assert why in caught.value.reason
