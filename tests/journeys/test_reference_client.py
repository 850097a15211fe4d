"""The published Python reference client for fleet provisioning, step by step: the same sizes, order and waits on its
answers, in code of our own. It asks for no port, so it speaks MQTT by ALPN where HTTPS is served.
"""

from __future__ import annotations

import json
import queue
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from awscrt import io, mqtt
from tests.journeys.paho_device import Device
from tests.server import PATIENCE, REALM, ROLE, Batch, Identity, Live, policy_document, statement

from fleetgate.registry import certificates, templates, things
from fleetgate.registry.certificates import Status

Connect = Callable[..., Device]

CLIENT_ID = "1234567-abcde-fghij-klmno-1234567abc-TLS350"
OPEN_WORLD = "openworld"
KEEP_ALIVE = 6
"""Seconds; below the least, and to be raised to it, not refused."""

HOOK = """
import datetime

provision_response = {"allowProvisioning": False, "parameterOverrides": {"CertDate": "none"}}


def lambda_handler(event, context):
    if event["parameters"]["SerialNumber"].startswith("1234567"):
        provision_response["allowProvisioning"] = True
        provision_response["parameterOverrides"]["CertDate"] = datetime.date.today().strftime("%Y%m%d")
    return provision_response
"""


def template(policy: str, overrides: dict[str, str], **members: Any) -> str:
    """The README's templates: the date comes from the hook, the device never sends it."""
    return json.dumps(
        {
            "Parameters": {
                "CertDate": {"Type": "String"},
                "SerialNumber": {"Type": "String"},
                "AWS::IoT::Certificate::Id": {"Type": "String"},
            },
            "Resources": {
                "certificate": {
                    "Type": "AWS::IoT::Certificate",
                    "Properties": {"CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}, "Status": "Active"},
                },
                "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": policy}},
                "thing": {
                    "Type": "AWS::IoT::Thing",
                    "OverrideSettings": overrides,
                    "Properties": {
                        "AttributePayload": {"cert_issuance": {"Ref": "CertDate"}},
                        "ThingGroups": [],
                        "ThingName": {"Ref": "SerialNumber"},
                    },
                },
            },
            **members,
        }
    )


class Link:
    """One connection of the client: no port means 443 with ALPN, so TLS asks for `x-amzn-mqtt-ca`."""

    def __init__(self, live: Live, certificate: Path, key: Path, client_id: str) -> None:
        self.messages: queue.Queue[tuple[str, Any]] = queue.Queue()
        self.interrupted: Future[bool] = Future()
        options = io.TlsContextOptions.create_client_with_mtls_from_path(str(certificate), str(key))
        options.override_default_trust_store_from_path(None, str(live.ca_file))
        options.alpn_list = ["x-amzn-mqtt-ca"]
        bootstrap = io.ClientBootstrap(io.EventLoopGroup(1), io.DefaultHostResolver(io.EventLoopGroup(1)))
        self.connection = mqtt.Connection(
            client=mqtt.Client(bootstrap, io.ClientTlsContext(options)),
            host_name=live.host,
            port=live.https_port,
            client_id=client_id,
            clean_session=False,
            keep_alive_secs=KEEP_ALIVE,
            ping_timeout_ms=3000,
            reconnect_min_timeout_secs=1,
            reconnect_max_timeout_secs=1,
            on_connection_interrupted=self._on_interrupted,
        )
        self.connection.connect().result(PATIENCE)

    def _on_interrupted(self, **_: Any) -> None:
        if not self.interrupted.done():
            self.interrupted.set_result(True)

    def subscribe(self, topic: str) -> None:
        future, _ = self.connection.subscribe(topic, mqtt.QoS.AT_LEAST_ONCE, self._on_message)
        future.result(PATIENCE)

    def _on_message(self, topic: str, payload: bytes, **_: Any) -> None:
        self.messages.put((topic, json.loads(payload)))

    def publish(self, topic: str, message: Any) -> None:
        self.connection.publish(topic, json.dumps(message), mqtt.QoS.AT_LEAST_ONCE)[0].result(PATIENCE)

    def receive(self) -> tuple[str, Any]:
        return self.messages.get(timeout=PATIENCE)

    def close(self) -> None:
        self.connection.disconnect().result(PATIENCE)


def run_provisioning(
    live: Live, folder: Path, certificate: Path, key: Path, template_name: str, serial: str = CLIENT_ID
) -> Identity:
    """The client's steps; its assertions are what it would hang on or stumble over."""
    link = Link(live, certificate, key, serial)
    create, provision = "$aws/certificates/create/json", f"$aws/provisioning-templates/{template_name}/provision/json"
    for topic in (f"{provision}/rejected", f"{create}/rejected", f"{provision}/accepted", f"{create}/accepted"):
        link.subscribe(topic)
    link.publish(create, {})
    topic, made = link.receive()
    assert topic == f"{create}/accepted", made
    stem = made["certificateId"][:10]
    identity = Identity(
        folder / f"{stem}-certificate.pem.crt", folder / f"{stem}-private.pem.key", made["certificateId"]
    )
    identity.certificate_file.write_text(made["certificatePem"])
    identity.key_file.write_text(made["privateKey"])
    parameters = {"SerialNumber": serial}
    link.publish(provision, {"certificateOwnershipToken": made["certificateOwnershipToken"], "parameters": parameters})
    topic, done = link.receive()
    assert topic == f"{provision}/accepted", done
    assert done == {"deviceConfiguration": {}, "thingName": serial}  # the client waits for ever without the first
    link.close()
    return identity


def works(live: Live, identity: Identity, serial: str = CLIENT_ID) -> None:
    """The client's last step: speak on the formerly forbidden topic, and hear itself. Then beyond what it may."""
    link = Link(live, identity.certificate_file, identity.key_file, f"{serial}-Prod")
    link.subscribe(OPEN_WORLD)
    message = {"service_response": "##### RESPONSE FROM PREVIOUSLY FORBIDDEN TOPIC #####"}
    link.publish(OPEN_WORLD, message)
    assert link.receive() == (OPEN_WORLD, message)
    link.connection.publish("closedworld", "{}", mqtt.QoS.AT_MOST_ONCE)
    assert link.interrupted.result(PATIENCE)
    link.close()


@pytest.fixture
def batch(live: Live, name: str) -> Batch:
    """The README's policies and templates, with both hooks in one."""
    topics = ["$aws/certificates/create/*", f"$aws/provisioning-templates/{name}-rotation/provision/*", OPEN_WORLD]
    production = policy_document(
        statement("iot:Connect", "client/*"),
        statement(["iot:Publish", "iot:Receive"], *(f"topic/{topic}" for topic in topics)),
        statement("iot:Subscribe", *(f"topicfilter/{topic}" for topic in topics)),
    )
    overrides = {"AttributePayload": "MERGE", "ThingGroups": "DO_NOTHING", "ThingTypeName": "REPLACE"}
    policy = f"{name}-production"
    first = template(policy, overrides, DeviceConfiguration={})
    batch = live.batch(name, hook=HOOK, production=production, body=first)
    rotation = template(policy, dict.fromkeys(overrides, "REPLACE"))
    live.write(
        lambda tx, act: templates.create(
            tx,
            act,
            f"{name}-rotation",
            rotation,
            ROLE,
            enabled=True,
            hook_target_arn=f"arn:aws:lambda:{REALM.region}:{REALM.account}:function:{name}",
        )
    )
    return batch


def attributes(live: Live, serial: str) -> dict[str, str]:
    return dict(live.read(lambda tx: things.get(tx, REALM, serial)).attributes)


def test_the_reference_client_provisions_and_rotates(live: Live, batch: Batch, tmp_path: Path) -> None:
    claim = batch.claim
    first = run_provisioning(live, tmp_path, claim.certificate_file, claim.key_file, batch.template)
    assert attributes(live, CLIENT_ID)["cert_issuance"].isdigit()
    works(live, first)

    second = run_provisioning(live, tmp_path, first.certificate_file, first.key_file, f"{batch.name}-rotation")
    works(live, second)
    old = live.read(lambda tx: certificates.get(tx, REALM, first.fingerprint))
    assert old.status is Status.INACTIVE  # its successor has connected


def test_the_hook_turns_other_serial_numbers_away(live: Live, batch: Batch, connect: Connect) -> None:
    """Also after an approval: the hook's answer is a global of its module."""
    device = connect(batch.claim, batch.name)
    device.provision(batch, f"1234567-{batch.name}")
    token = device.certificate()[0]["certificateOwnershipToken"]
    assert device.register(batch, token, "7654321").told == (403, "AccessDenied")
