"""Devices with certificates of their maker's CA: boto3 registers the CA, paho connects until it is let in."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.journeys.maker import Maker, config, operator
from tests.journeys.paho_device import NOT_AUTHORIZED, Closed, Device
from tests.pki import TestAuthority
from tests.server import REALM, Identity, Live, policy_document, statement

from fleetgate.names import Realm
from fleetgate.registry import attachments, audit, function_keys, registration_functions
from fleetgate.registry.events import CertificateStatusChanged

if TYPE_CHECKING:
    from mypy_boto3_iot import IoTClient

Connect = Callable[..., Device]


@pytest.fixture
def iot(live: Live) -> IoTClient:
    client: IoTClient = operator(live)
    return client


@pytest.fixture
def maker(live: Live, name: str) -> Maker:
    return Maker(live, name)


@pytest.fixture
def knock(connect: Connect) -> Callable[..., None]:
    """Connect and be shown out, as a device's first attempts are."""

    def knock(identity: Identity, client_id: str, version: int = 5, **more: Any) -> None:
        with pytest.raises(Closed):
            connect(identity, client_id, version, **more)

    return knock


Knock = Callable[..., None]


def bouncer(live: Live, name: str, connect: Connect) -> Device:
    """An application that hears of every registration."""
    topics = "$aws/events/certificates/registered/*"
    document = policy_document(
        statement("iot:Connect", "*"),
        statement("iot:Subscribe", f"topicfilter/{topics}"),
        statement("iot:Receive", f"topic/{topics}"),
    )
    return connect(live.identity(f"{name}-bouncer", document), f"{name}-bouncer")


def refusals(live: Live, fingerprint: str, realm: Realm = REALM) -> list[tuple[str, str]]:
    """Actions and reasons in the audit trail about one certificate."""
    live.run(live.server.works.upkeep.finish())
    found = live.read(lambda tx: audit.page(tx, realm, target=realm.arn("cert", fingerprint)).items)
    return [(each.action, each.reason) for each in found if each.outcome == "refused"]


def activate(iot: IoTClient, told: dict[str, Any], topic: str) -> None:
    """As published JITR handlers do: a policy of its own, attached, and the certificate made active."""
    certificate = told["certificateId"]
    policy = f"Policy_{certificate}"
    document = policy_document(
        statement("iot:Connect", f"client/{certificate}"),
        statement(["iot:Publish", "iot:Receive"], f"topic/{topic}/{certificate}/*"),
        statement("iot:Subscribe", f"topicfilter/{topic}/{certificate}/#"),
    )
    iot.create_policy(policyName=policy, policyDocument=document)
    iot.attach_principal_policy(policyName=policy, principal=REALM.arn("cert", certificate))
    iot.update_certificate(certificateId=certificate, newStatus="ACTIVE")


@pytest.mark.parametrize("chain", [False, True], ids=["leaf only", "with its CA"])
def test_registration(
    live: Live, iot: IoTClient, maker: Maker, connect: Connect, knock: Knock, chain: bool, version: int
) -> None:
    ca = maker.register(iot)
    application = bouncer(live, maker.name, connect)
    assert application.subscribe(f"$aws/events/certificates/registered/{ca}") == [1]
    device = maker.device(f"{maker.name}-1", chain=chain)
    knock(device, device.fingerprint, version)
    topic, payload, _ = application.receive()
    assert topic == f"$aws/events/certificates/registered/{ca}"
    told = json.loads(payload)
    assert told.keys() == {
        "certificateId",
        "caCertificateId",
        "timestamp",
        "certificateStatus",
        "awsAccountId",
        "certificateRegistrationTimestamp",
    }
    assert (told["certificateId"], told["caCertificateId"]) == (device.fingerprint, ca)
    assert (told["certificateStatus"], told["awsAccountId"]) == ("PENDING_ACTIVATION", REALM.account)
    described = iot.describe_certificate(certificateId=device.fingerprint)["certificateDescription"]
    assert (described["status"], described["caCertificateId"]) == ("PENDING_ACTIVATION", ca)
    assert device.certificate_file.read_text().startswith(described["certificatePem"])
    listed = iot.list_certificates_by_ca(caCertificateId=ca)["certificates"]
    assert [each.get("certificateId") for each in listed] == [device.fingerprint]
    activate(iot, told, maker.name)
    inside = connect(device, device.fingerprint, version)
    assert inside.publish(f"{maker.name}/{device.fingerprint}/up") == 0
    if version == 5:
        assert inside.publish(f"{maker.name}/another/up") == NOT_AUTHORIZED


def test_every_presentation_is_told_until_it_is_active(
    live: Live, iot: IoTClient, maker: Maker, connect: Connect, knock: Knock
) -> None:
    maker.register(iot)
    application = bouncer(live, maker.name, connect)
    application.subscribe("$aws/events/certificates/registered/+")
    device = maker.device(f"{maker.name}-1")
    told = []
    for _ in range(3):
        knock(device, device.fingerprint)
        told.append(json.loads(application.receive().payload))
    assert {each["certificateId"] for each in told} == {device.fingerprint}
    assert len({each["certificateRegistrationTimestamp"] for each in told}) == 1
    assert sorted(each["timestamp"] for each in told) == [each["timestamp"] for each in told]
    activate(iot, told[-1], maker.name)
    connect(device, device.fingerprint)
    iot.update_certificate(certificateId=device.fingerprint, newStatus="INACTIVE")
    knock(device, device.fingerprint)
    second = maker.device(f"{maker.name}-2")
    knock(second, second.fingerprint)  # events keep their order, so this one is the next
    assert json.loads(application.receive().payload)["certificateId"] == second.fingerprint


@pytest.mark.parametrize("by", ["name", "body"])
def test_provisioning(
    live: Live, iot: IoTClient, maker: Maker, connect: Connect, knock: Knock, by: str, version: int
) -> None:
    ca = maker.register(iot, registrationConfig=config(iot, maker.name, by))
    thing = f"{maker.name}-1"
    device = maker.device(thing, chain=True)
    knock(device, thing, version)  # a client that tries again after its pause finds everything there
    inside = connect(device, thing, version)
    assert inside.subscribe(f"{maker.name}/{thing}/orders") == [1]
    assert inside.publish(f"{maker.name}/{thing}/orders", b"hello") == 0
    assert inside.receive().payload == b"hello"
    assert iot.describe_thing(thingName=thing)["attributes"] == {"version": "v1", "country": "DE"}
    assert iot.list_thing_principals(thingName=thing)["principals"] == [REALM.arn("cert", device.fingerprint)]
    described = iot.describe_certificate(certificateId=device.fingerprint)["certificateDescription"]
    assert (described["status"], described["caCertificateId"]) == ("ACTIVE", ca)
    assert refusals(live, device.fingerprint) == []


def test_a_subject_without_a_declared_field(
    live: Live, iot: IoTClient, maker: Maker, connect: Connect, knock: Knock
) -> None:
    ca = maker.register(iot, registrationConfig=config(iot, maker.name, "name"))
    thing = f"{maker.name}-1"
    device = maker.device(thing, country="")
    for _ in range(2):
        knock(device, thing)
    [(action, reason), _] = refusals(live, device.fingerprint)
    assert action == "ProvisionDevice"
    assert "Cannot resolve reference value: AWS::IoT::Certificate::Country" in reason
    for ask in (
        lambda: iot.describe_certificate(certificateId=device.fingerprint),
        lambda: iot.describe_thing(thingName=thing),
    ):
        with pytest.raises(iot.exceptions.ResourceNotFoundException):
            ask()
    body = json.loads(iot.describe_provisioning_template(templateName=maker.name)["templateBody"])
    body["Parameters"]["AWS::IoT::Certificate::Country"]["Default"] = "unknown"
    iot.create_provisioning_template_version(templateName=maker.name, templateBody=json.dumps(body), setAsDefault=True)
    knock(device, thing)
    connect(device, thing)
    assert iot.describe_thing(thingName=thing)["attributes"]["country"] == "unknown"
    assert iot.describe_ca_certificate(certificateId=ca)["registrationConfig"] == {"templateName": maker.name}


@pytest.mark.parametrize(
    ("given", "mended", "reason"),
    [
        ({"allowAutoRegistration": False}, {"newAutoRegistrationStatus": "ENABLE"}, "has no auto registration"),
        ({"setAsActive": False}, {"newStatus": "ACTIVE"}, "is INACTIVE, not ACTIVE"),
    ],
    ids=["without auto registration", "inactive"],
)
def test_a_ca_that_registers_nobody(
    live: Live,
    iot: IoTClient,
    maker: Maker,
    knock: Knock,
    given: dict[str, Any],
    mended: dict[str, Any],
    reason: str,
) -> None:
    ca = maker.register(iot, **given)
    device = maker.device(f"{maker.name}-1")
    knock(device, device.fingerprint)
    [(_, why)] = refusals(live, device.fingerprint)
    assert reason in why
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.describe_certificate(certificateId=device.fingerprint)
    iot.update_ca_certificate(certificateId=ca, **mended)
    knock(device, device.fingerprint)
    described = iot.describe_certificate(certificateId=device.fingerprint)["certificateDescription"]
    assert described["status"] == "PENDING_ACTIVATION"


def test_a_verification_certificate_with_another_code(iot: IoTClient, maker: Maker) -> None:
    code = iot.get_registration_code()["registrationCode"]
    with pytest.raises(iot.exceptions.RegistrationCodeValidationException) as refused:
        iot.register_ca_certificate(
            caCertificate=maker.pem, verificationCertificate=maker.authority.leaf("0" * 64), allowAutoRegistration=True
        )
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    another = TestAuthority(maker.authority.name).leaf(code)
    with pytest.raises(iot.exceptions.CertificateValidationException):
        iot.register_ca_certificate(caCertificate=maker.pem, verificationCertificate=another)


def test_the_direct_issuer_is_the_one_to_register(live: Live, iot: IoTClient, maker: Maker, knock: Knock) -> None:
    below = Maker(live, f"{maker.name}-below")
    below.pem = maker.authority.vouch(below.authority)
    maker.register(iot)
    device = below.device(f"{maker.name}-1", chain=True)
    knock(device, device.fingerprint)
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.describe_certificate(certificateId=device.fingerprint)
    ca = below.register(iot)
    knock(device, device.fingerprint)
    described = iot.describe_certificate(certificateId=device.fingerprint)["certificateDescription"]
    assert described["caCertificateId"] == ca


def test_sni_only_needs_a_server_name(live: Live, iot: IoTClient, maker: Maker, knock: Knock) -> None:
    maker.register(iot, certificateMode="SNI_ONLY")
    device = maker.device(f"{maker.name}-1")
    knock(device, device.fingerprint, to=replace(live, host="127.0.0.1"))  # TLS clients send no address as a name
    [(_, reason)] = refusals(live, device.fingerprint)
    assert "names no server" in reason
    knock(device, device.fingerprint)
    described = iot.describe_certificate(certificateId=device.fingerprint)["certificateDescription"]
    assert described["certificateMode"] == "SNI_ONLY"


def test_two_accounts_with_one_leaf(live: Live, iot: IoTClient, maker: Maker, knock: Knock) -> None:
    there = Realm("210987654321", REALM.region)
    other = operator(live, there.account)
    ca = maker.register(iot, certificateMode="SNI_ONLY")
    maker.register(other, certificateMode="SNI_ONLY")
    device = maker.device(f"{maker.name}-1")
    knock(device, device.fingerprint)
    for realm in (REALM, there):
        [(_, reason)] = refusals(live, device.fingerprint, realm)
        assert "several accounts or regions" in reason
    iot.update_ca_certificate(certificateId=ca, newAutoRegistrationStatus="DISABLE")
    knock(device, device.fingerprint)
    described = other.describe_certificate(certificateId=device.fingerprint)["certificateDescription"]
    assert (described["status"], described["ownedBy"]) == ("PENDING_ACTIVATION", there.account)
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.describe_certificate(certificateId=device.fingerprint)


def test_an_impostor_leaves_no_trace(live: Live, iot: IoTClient, maker: Maker, knock: Knock) -> None:
    maker.register(iot)
    impostor = Maker(live, f"{maker.name}-impostor", TestAuthority(maker.authority.name))
    device = impostor.device(f"{maker.name}-1", chain=True)
    knock(device, device.fingerprint)
    assert refusals(live, device.fingerprint) == []
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.describe_certificate(certificateId=device.fingerprint)


HANDLER = """
import json

import boto3

iot = boto3.client("iot")


def lambda_handler(event, context):
    certificate, region = event["certificateId"], iot.meta.region_name
    policy, base = f"Policy_{certificate}", f"arn:aws:iot:{region}:{event['awsAccountId']}"
    statements = [
        {"Effect": "Allow", "Action": "iot:Connect", "Resource": f"{base}:client/{certificate}"},
        {"Effect": "Allow", "Action": "iot:Publish", "Resource": f"{base}:topic/foo/bar/{certificate}/*"},
    ]
    try:
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iot.create_policy(policyName=policy, policyDocument=document)
    except iot.exceptions.ResourceAlreadyExistsException:
        pass  # an event may come twice
    iot.attach_principal_policy(policyName=policy, principal=f"{base}:cert/{certificate}")
    iot.update_certificate(certificateId=certificate, newStatus="ACTIVE")
"""


def bind(live: Live, name: str, source: str, ca: str | None = None) -> None:
    """Have a handler file called for registrations."""
    live.bind(name, source)
    live.write(lambda tx, act: registration_functions.bind(tx, act, name, ca))


def test_a_published_handler_runs_here(
    live: Live, iot: IoTClient, maker: Maker, connect: Connect, knock: Knock
) -> None:
    ca = maker.register(iot)
    bind(live, maker.name, HANDLER, ca)
    device = maker.device(f"{maker.name}-1")
    knock(device, device.fingerprint)
    live.happenings.wait_for(
        lambda event: event == CertificateStatusChanged(device.fingerprint, "ACTIVE", "PENDING_ACTIVATION")
    )
    inside = connect(device, device.fingerprint)
    assert inside.publish(f"foo/bar/{device.fingerprint}/up") == 0
    assert inside.publish("foo/bar/another/up") == NOT_AUTHORIZED
    entries = live.read(lambda tx: audit.page(tx, REALM, action="UpdateCertificate", limit=1000).items)
    [done] = [each for each in entries if device.fingerprint in each.target]
    key = live.read(lambda tx: function_keys.find(tx, REALM, maker.name))
    assert key is not None
    assert key.id in done.actor


def test_a_device_that_got_another_certificate(
    live: Live, iot: IoTClient, maker: Maker, connect: Connect, knock: Knock
) -> None:
    maker.register(iot, registrationConfig=config(iot, maker.name, "name"))
    thing = f"{maker.name}-1"
    for _ in range(2):
        device = maker.device(thing)
        knock(device, thing)
        connect(device, thing).disconnect()
    assert len(live.read(lambda tx: attachments.certificates_of(tx, REALM, thing))) == 2
