"""The pump's tests need no cloud: the `fleetgate` fixture is a server on this machine, as new for each test."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pump import Connection, ProvisioningFailed, Pump, Server

from fleetgate.testing import Fleetgate


@pytest.fixture
def server(fleetgate: Fleetgate) -> Server:
    return Server(fleetgate.host, fleetgate.mqtt_port, fleetgate.ca_file)


@pytest.fixture
def pump(server: Server, tmp_path: Path) -> Pump:
    return Pump(server, "SN-1001", tmp_path)


def by(fleetgate: Fleetgate) -> tuple[Path, Path, str]:
    """The claim that is there from the start."""
    claim = fleetgate.claim
    return claim.certificate_file, claim.private_key_file, str(claim.template_name)


def test_a_pump_becomes_a_thing(fleetgate: Fleetgate, pump: Pump) -> None:
    pump.provision(*by(fleetgate))
    assert pump.thing_name == "SN-1001"
    iot = fleetgate.client("iot")
    assert iot.describe_thing(thingName="SN-1001")["attributes"] == {"serialNumber": "SN-1001"}
    [principal] = iot.list_thing_principals(thingName="SN-1001")["principals"]
    certificate = iot.describe_certificate(certificateId=principal.rpartition("/")[2])["certificateDescription"]
    assert certificate["status"] == "ACTIVE"
    assert certificate["certificatePem"] == pump.certificate_file.read_text()


def test_each_test_has_an_empty_registry(fleetgate: Fleetgate) -> None:
    assert fleetgate.client("iot").list_things()["things"] == []


def test_a_pump_reports_and_the_control_room_hears(
    fleetgate: Fleetgate, server: Server, pump: Pump, tmp_path: Path
) -> None:
    pump.provision(*by(fleetgate))
    with Connection(server, *control_room(fleetgate, tmp_path), "control-room") as listening:
        listening.subscribe("devices/+/pressure")
        pump.report(4.2)
        assert listening.receive() == ("devices/SN-1001/pressure", {"bar": 4.2})


def control_room(fleetgate: Fleetgate, folder: Path) -> tuple[Path, Path]:
    """Certificate and key of somebody who may listen to all pumps, made as at AWS."""
    iot = fleetgate.client("iot")
    made = iot.create_keys_and_certificate(setAsActive=True)
    allow = {"Effect": "Allow", "Action": ["iot:Connect", "iot:Subscribe", "iot:Receive"], "Resource": "*"}
    iot.create_policy(policyName="listen", policyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allow]}))
    iot.attach_policy(policyName="listen", target=made["certificateArn"])
    certificate, key = folder / "room.pem", folder / "room.key"
    certificate.write_text(made["certificatePem"])
    key.write_text(made["keyPair"]["PrivateKey"])
    return certificate, key


def test_a_pump_may_not_speak_for_another(fleetgate: Fleetgate, pump: Pump) -> None:
    other = fleetgate.provision("SN-1002")  # a device that has gone the whole way already
    pump.provision(*by(fleetgate))
    pump.thing_name = other.thing_name
    with pytest.raises(ConnectionError):
        pump.report(4.2)


def test_a_batch_of_one(fleetgate: Fleetgate, server: Server, tmp_path: Path) -> None:
    claim = fleetgate.make_claim(count=1)
    files = claim.certificate_file, claim.private_key_file, str(claim.template_name)
    Pump(server, "SN-1", tmp_path).provision(*files)
    (tmp_path / "second").mkdir()
    second = Pump(server, "SN-2", tmp_path / "second")
    with pytest.raises(ProvisioningFailed) as refused:
        second.provision(*files)
    assert refused.value.code == "AccessDenied"
    [entry] = [entry for entry in fleetgate.audit() if entry["outcome"] == "refused"]
    assert "has provisioned all 1 devices of its budget" in entry["reason"]


def only_built(event, context):  # noqa: ANN001, ANN201 # as AWS Lambda has them
    """The factory's hook: it runs in a process of the server's."""
    return {"allowProvisioning": event["parameters"]["SerialNumber"].startswith("SN-")}


def test_the_factory_has_the_last_word(fleetgate: Fleetgate, server: Server, tmp_path: Path) -> None:
    fleetgate.bind_function("only-built", only_built)
    body = {
        "Parameters": {"SerialNumber": {"Type": "String"}, "AWS::IoT::Certificate::Id": {"Type": "String"}},
        "Resources": {
            "thing": {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": {"Ref": "SerialNumber"}}},
            "certificate": {
                "Type": "AWS::IoT::Certificate",
                "Properties": {"CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}, "Status": "Active"},
            },
            "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "dev-device"}},
        },
        "DeviceConfiguration": {"interval": "60"},
    }
    template = fleetgate.make_template("pumps", json.dumps(body), hook="only-built")
    claim = fleetgate.make_claim(template)
    files = claim.certificate_file, claim.private_key_file, template
    good = Pump(server, "SN-1", tmp_path)
    good.provision(*files)
    assert good.settings == {"interval": "60"}
    with pytest.raises(ProvisioningFailed, match="AccessDenied"):
        Pump(server, "FAKE-1", tmp_path).provision(*files)


def test_a_stolen_claim_is_switched_off(fleetgate: Fleetgate, server: Server, pump: Pump) -> None:
    claim = fleetgate.make_claim()
    fleetgate.switch_claim(claim, enabled=False)
    with pytest.raises(ProvisioningFailed, match="may not provision"):
        pump.provision(claim.certificate_file, claim.private_key_file, str(claim.template_name))
    with Connection(server, fleetgate.claim.certificate_file, fleetgate.claim.private_key_file, "other"):
        pass  # the other claim is as good as before
