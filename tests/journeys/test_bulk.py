"""Bulk registration with boto3, from the file of signing requests to a device that connects with its certificate."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from tests.dev_server import DevServer
from tests.journeys.paho_device import V5, Device
from tests.pki import new_key, signing_request
from tests.registrations import body, device, lines
from tests.server import PATIENCE

from fleetgate.pki import keys

ROLE = "arn:aws:iam::123456789012:role/bulk"
POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": ["iot:Connect", "iot:Publish"], "Resource": "*"}],
}
# Laid out as the templates of AWS's workshops are: defaults, a type, a group, the policy as text.
TEMPLATE = json.dumps(
    {
        "Parameters": {
            "ThingName": {"Type": "String"},
            "SerialNumber": {"Type": "String"},
            "Location": {"Type": "String", "Default": "WA"},
            "CSR": {"Type": "String"},
        },
        "Resources": {
            "thing": {
                "Type": "AWS::IoT::Thing",
                "Properties": {
                    "ThingName": {"Ref": "ThingName"},
                    "AttributePayload": {"version": "v1", "serialNumber": {"Ref": "SerialNumber"}},
                    "ThingTypeName": "bulk-type",
                    "ThingGroups": ["bulk-group"],
                },
            },
            "certificate": {
                "Type": "AWS::IoT::Certificate",
                "Properties": {"CertificateSigningRequest": {"Ref": "CSR"}, "Status": "ACTIVE"},
            },
            "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyDocument": json.dumps(POLICY)}},
        },
    }
)

Put = Callable[[str], dict[str, str]]


@pytest.fixture
def iot(dev: DevServer) -> Any:
    """In a region of the test's own, so that no other test's task is in the way."""
    return dev.iot("eu-central-1")


@pytest.fixture
def put(dev: DevServer, name: str) -> Put:
    def made(text: str) -> dict[str, str]:
        bucket = dev.folder.parent / "data" / "buckets" / "factory"
        bucket.mkdir(parents=True, exist_ok=True)
        (bucket / f"{name}.json").write_text(text)
        return {"inputFileBucket": "factory", "inputFileKey": f"{name}.json", "roleArn": ROLE}

    return made


def ended(iot: Any, task: str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while (described := iot.describe_thing_registration_task(taskId=task))["status"] in {"InProgress", "Cancelling"}:
        assert time.monotonic() < deadline, described
        time.sleep(0.02)
    return described


def report(iot: Any, task: str, kind: str) -> list[dict[str, Any]]:
    """Every line of every file, fetched as anybody would who was given the link."""
    found: list[dict[str, Any]] = []
    for link in iot.list_thing_registration_task_reports(taskId=task, reportType=kind)["resourceLinks"]:
        with urllib.request.urlopen(link, timeout=PATIENCE) as answer:
            found += [json.loads(line) for line in answer.read().splitlines()]
    return found


def line(thing: str, key: ec.EllipticCurvePrivateKey) -> str:
    request = signing_request(key, "Big Orchestra")
    return json.dumps({"ThingName": thing, "SerialNumber": f"sn-{thing}", "CSR": request})


def test_a_batch_is_registered_and_a_device_connects(dev: DevServer, iot: Any, put: Put, tmp_path: Path) -> None:
    iot.create_thing_type(thingTypeName="bulk-type")
    iot.create_thing_group(thingGroupName="bulk-group")
    pairs = {f"horn-{number}": new_key() for number in range(40)}
    text = "\n".join([line("unreadable", new_key())[:-5], *(line(name, key) for name, key in pairs.items())])
    task = iot.start_thing_registration_task(templateBody=TEMPLATE, **put(text))["taskId"]
    described = ended(iot, task)
    assert (described["status"], described["successCount"], described["failureCount"]) == ("Completed", 40, 1)

    results = report(iot, task, "RESULTS")
    assert sorted(each["lineNumber"] for each in results) == list(range(2, 42))
    certificates = {}
    for each in results:
        thing = each["response"]["ResourceArns"]["thing"].rpartition("/")[2]
        certificates[thing] = each["response"]["CertificatePem"]
    for name, key in pairs.items():
        leaf = x509.load_pem_x509_certificate(certificates[name].encode())
        assert leaf.public_key() == key.public_key()
    [error] = report(iot, task, "ERRORS")
    assert error["lineNumber"] == 1
    assert error["error"]["code"] == "InvalidRequestException"
    members = iot.get_paginator("list_things_in_thing_group").paginate(thingGroupName="bulk-group")
    assert sorted(name for page in members for name in page["things"]) == sorted(pairs)
    assert iot.describe_thing(thingName="horn-7")["attributes"] == {"serialNumber": "sn-horn-7", "version": "v1"}

    identity = dev.keep("horn-7", certificates["horn-7"], keys.private_key_pem(pairs["horn-7"]), "")
    horn = Device(dev, identity, "horn-7", V5)
    horn.connect()
    horn.disconnect()


def test_live_traffic_goes_on_and_a_task_is_stopped(iot: Any, put: Put) -> None:
    template = json.loads(TEMPLATE)
    for name in ("ThingTypeName", "ThingGroups"):
        del template["Resources"]["thing"]["Properties"][name]
    key = new_key()
    text = "\n".join(line(f"drum-{number}", key) for number in range(2000))
    named = put(text)
    task = iot.start_thing_registration_task(templateBody=json.dumps(template), **named)["taskId"]
    with pytest.raises(iot.exceptions.InvalidRequestException, match="is still running"):
        iot.start_thing_registration_task(templateBody=TEMPLATE, **named)
    while iot.describe_thing_registration_task(taskId=task)["successCount"] == 0:
        assert iot.describe_thing_registration_task(taskId=task)["status"] == "InProgress"
    iot.create_thing(thingName="conductor")  # while the task runs
    assert task in iot.list_thing_registration_tasks(status="InProgress")["taskIds"]
    iot.stop_thing_registration_task(taskId=task)
    described = ended(iot, task)
    assert described["status"] == "Cancelled"
    assert 0 < described["successCount"] < 2000
    assert 0 < described["percentageProgress"] < 100
    assert len(report(iot, task, "RESULTS")) == described["successCount"]


def test_a_link_that_was_changed(iot: Any, put: Put) -> None:
    task = iot.start_thing_registration_task(templateBody=TEMPLATE, **put("nonsense\n"))["taskId"]
    assert ended(iot, task)["failureCount"] == 1
    [link] = iot.list_thing_registration_task_reports(taskId=task, reportType="ERRORS")["resourceLinks"]
    with pytest.raises(urllib.error.HTTPError, match="403") as caught:
        urllib.request.urlopen(link.replace("ERRORS", "RESULTS"), timeout=PATIENCE)
    caught.value.close()


def test_one_device_at_a_time(iot: Any) -> None:
    template = json.loads(TEMPLATE)
    for name in ("ThingTypeName", "ThingGroups"):
        del template["Resources"]["thing"]["Properties"][name]
    key = new_key()
    answer = iot.register_thing(templateBody=json.dumps(template), parameters=json.loads(line("triangle", key)))
    leaf = x509.load_pem_x509_certificate(answer["certificatePem"].encode())
    assert leaf.public_key() == key.public_key()
    assert iot.list_thing_principals(thingName="triangle")["principals"] == [answer["resourceArns"]["certificate"]]


def test_the_command_leaves_the_work_to_the_server(dev: DevServer, tmp_path: Path) -> None:
    (tmp_path / "template.json").write_text(body())
    (tmp_path / "flags.json").write_text(lines(*(device(f"flag-{number}") for number in range(10))))
    command = [sys.executable, "-m", "fleetgate", "bulk", "register", "template.json", "flags.json", "--json"]
    place = ["--data-dir", str(dev.folder.parent / "data"), "--region", "eu-west-2"]
    done = subprocess.run([*command, *place], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    task = json.loads(done.stdout)
    assert (task["status"], task["successes"]) == ("Completed", 10)
    described = dev.iot("eu-west-2").describe_thing_registration_task(taskId=task["id"])
    assert described["successCount"] == 10
