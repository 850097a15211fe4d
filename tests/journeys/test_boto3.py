"""Journeys with boto3: an operator does everything through the API, devices do the rest over MQTT."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.dev_server import DevServer
from tests.journeys.paho_device import CREATE, NOT_AUTHORIZED, V5, Closed, Device, signing_request
from tests.server import (
    ROLE,
    Batch,
    Identity,
    claim_policy,
    policy_document,
    production_policy,
    statement,
    template_body,
)

if TYPE_CHECKING:
    from mypy_boto3_iot import IoTClient

Connect = Callable[..., Device]


@pytest.fixture
def iot(dev: DevServer) -> IoTClient:
    return dev.iot()


def certificate_with(iot: IoTClient, dev: DevServer, policy: str, document: str) -> Identity:
    """A new key pair and certificate, and a new policy attached to it."""
    made = iot.create_keys_and_certificate(setAsActive=True)
    iot.create_policy(policyName=policy, policyDocument=document)
    iot.attach_policy(policyName=policy, target=made["certificateArn"])
    return dev.keep(policy, made["certificatePem"], made["keyPair"]["PrivateKey"], made["certificateId"])


def set_up(iot: IoTClient, dev: DevServer, name: str, hook: str | None = None, body: str | None = None) -> Batch:
    """The tutorial's first half: policies, claim certificate, template."""
    iot.create_policy(policyName=f"{name}-production", policyDocument=production_policy(name))
    claim = certificate_with(iot, dev, f"{name}-claim", claim_policy(name))
    target = f"arn:aws:lambda:{dev.region}:{dev.account}:function:{hook}"
    hooks: Any = {"preProvisioningHook": {"targetArn": target, "payloadVersion": "2020-04-01"}} if hook else {}
    template = iot.create_provisioning_template(
        templateName=name,
        description="journeys",
        templateBody=body or template_body(f"{name}-production"),
        enabled=True,
        provisioningRoleArn=ROLE,
        **hooks,
    )
    assert template["templateArn"] == dev.arn("provisioningtemplate", name)
    watching = policy_document(
        statement("iot:Connect", "*"),
        statement(["iot:Receive", "iot:Subscribe"], f"topic/{name}/*", f"topicfilter/{name}/*"),
    )
    return Batch(name, claim, certificate_with(iot, dev, f"{name}-observer", watching))


def works_and_is_confined(
    dev: DevServer, batch: Batch, connect: Connect, identity: Identity, thing: str, version: int
) -> Device:
    observer = connect(batch.observer, f"{batch.name}-observer", to=dev)
    assert observer.subscribe(f"{batch.name}/+/telemetry") == [1]
    device = connect(identity, thing, version, to=dev)
    assert device.publish(batch.topic(thing), b"21.5") == 0
    assert observer.receive() == (batch.topic(thing), b"21.5", 1)
    if version == V5:
        assert device.publish(batch.topic("somebody-else")) == NOT_AUTHORIZED
    else:
        with pytest.raises(Closed):
            device.publish(batch.topic("somebody-else"))
        device = connect(identity, thing, version, to=dev)
    return device


@pytest.mark.parametrize("hook", [None, "approve"], ids=["without hook", "with hook"])
def test_the_tutorial_from_the_first_policy_to_the_last_deletion(
    iot: IoTClient, dev: DevServer, name: str, connect: Connect, version: int, hook: str | None
) -> None:
    body = json.loads(template_body(f"{name}-production"))
    body["Parameters"]["Site"] = {"Type": "String", "Default": "nowhere"}
    body["Resources"]["thing"]["Properties"]["AttributePayload"] = {
        "site": {"Fn::Join": ["", ["at:", {"Ref": "Site"}]]}
    }
    body["DeviceConfiguration"] = {"site": {"Ref": "Site"}}
    batch = set_up(iot, dev, name, hook, json.dumps(body))
    assert iot.describe_endpoint(endpointType="iot:Data-ATS")["endpointAddress"] == dev.host

    thing, site = f"{name}-1", "hall3" if hook else "nowhere"
    made = connect(batch.claim, f"{name}-new", version, to=dev).provision(batch, thing)
    assert (made.thing, made.configuration) == (thing, {"site": site})
    device = works_and_is_confined(dev, batch, connect, made.identity, thing, version)

    arn = dev.arn("cert", made.identity.fingerprint)
    described = iot.describe_thing(thingName=thing)
    assert (described["thingArn"], described["attributes"]) == (dev.arn("thing", thing), {"site": f"at:{site}"})
    assert iot.list_thing_principals(thingName=thing)["principals"] == [arn]
    assert iot.list_principal_things(principal=arn)["things"] == [thing]
    assert [each["policyName"] for each in iot.list_attached_policies(target=arn)["policies"]] == [batch.policy]
    assert iot.list_targets_for_policy(policyName=batch.policy)["targets"] == [arn]
    certificate = iot.describe_certificate(certificateId=made.identity.fingerprint)["certificateDescription"]
    assert certificate["status"] == "ACTIVE"
    assert certificate["certificatePem"] == made.identity.certificate_file.read_text()

    iot.update_certificate(certificateId=made.identity.fingerprint, newStatus="INACTIVE")
    device.closed()
    with pytest.raises(Closed):
        connect(made.identity, thing, version, to=dev)

    tear_down(iot, dev, batch, thing, made.identity.fingerprint)


def tear_down(iot: IoTClient, dev: DevServer, batch: Batch, thing: str, fingerprint: str) -> None:
    """In the wrong order first: what is in use says so, by its type."""
    arn = dev.arn("cert", fingerprint)
    with pytest.raises(iot.exceptions.DeleteConflictException):
        iot.delete_policy(policyName=batch.policy)
    with pytest.raises(iot.exceptions.InvalidRequestException):
        iot.delete_thing(thingName=thing)
    with pytest.raises(iot.exceptions.DeleteConflictException):
        iot.delete_certificate(certificateId=fingerprint)
    with pytest.raises(iot.exceptions.CertificateStateException):
        iot.delete_certificate(certificateId=batch.claim.fingerprint)
    iot.detach_thing_principal(thingName=thing, principal=arn)
    iot.detach_policy(policyName=batch.policy, target=arn)
    iot.delete_certificate(certificateId=fingerprint)
    iot.delete_thing(thingName=thing)
    iot.delete_policy(policyName=batch.policy)
    iot.delete_provisioning_template(templateName=batch.template)
    for identity in (batch.claim, batch.observer):
        iot.update_certificate(certificateId=identity.fingerprint, newStatus="INACTIVE")
        iot.delete_certificate(certificateId=identity.fingerprint, forceDelete=True)
    for suffix in ("claim", "observer"):
        iot.delete_policy(policyName=f"{batch.name}-{suffix}")
    for gone in (
        lambda: iot.describe_thing(thingName=thing),
        lambda: iot.describe_certificate(certificateId=fingerprint),
        lambda: iot.get_policy(policyName=batch.policy),
        lambda: iot.describe_provisioning_template(templateName=batch.template),
        lambda: iot.list_thing_principals(thingName=thing),
    ):
        with pytest.raises(iot.exceptions.ResourceNotFoundException):
            gone()


def test_a_hook_that_denies(iot: IoTClient, dev: DevServer, name: str, connect: Connect) -> None:
    batch = set_up(iot, dev, name, "deny")
    device = connect(batch.claim, name, to=dev)
    token = device.certificate(csr=True)[0]["certificateOwnershipToken"]
    assert device.register(batch, token, f"{name}-1").told == (403, "AccessDenied")
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.describe_thing(thingName=f"{name}-1")
    iot.update_provisioning_template(templateName=name, removePreProvisioningHook=True)
    assert device.register(batch, token, f"{name}-1").accepted


def test_a_new_version_of_a_template_and_back(iot: IoTClient, dev: DevServer, name: str, connect: Connect) -> None:
    batch = set_up(iot, dev, name)
    device = connect(batch.claim, name, to=dev)
    body = template_body(f"{name}-production", DeviceConfiguration={"version": "two"})
    made = iot.create_provisioning_template_version(templateName=name, templateBody=body, setAsDefault=True)
    assert (made["versionId"], made["isDefaultVersion"]) == (2, True)
    assert device.provision(batch, f"{name}-1", csr=True).configuration == {"version": "two"}
    iot.update_provisioning_template(templateName=name, defaultVersionId=1)
    assert device.provision(batch, f"{name}-2", csr=True).configuration == {}
    with pytest.raises(iot.exceptions.DeleteConflictException):
        iot.delete_provisioning_template_version(templateName=name, versionId=1)
    iot.delete_provisioning_template_version(templateName=name, versionId=2)
    versions = iot.list_provisioning_template_versions(templateName=name)["versions"]
    assert [each["versionId"] for each in versions] == [1]
    iot.update_provisioning_template(templateName=name, enabled=False)
    token = device.certificate(csr=True)[0]["certificateOwnershipToken"]
    assert device.register(batch, token, f"{name}-3").told == (403, "AccessDenied")


def test_a_trusted_user_provisions_one_device(iot: IoTClient, dev: DevServer, name: str, connect: Connect) -> None:
    """CreateProvisioningClaim: a certificate for five minutes, which no list shows and no other template takes."""
    batch, other = set_up(iot, dev, name), set_up(iot, dev, f"{name}-other")
    claim = iot.create_provisioning_claim(templateName=name)
    assert not list_of(iot, "list_certificates", "certificates", "certificateId").count(claim["certificateId"])
    keep = dev.keep(f"{name}-trusted", claim["certificatePem"], claim["keyPair"]["PrivateKey"], claim["certificateId"])
    device = connect(keep, f"{name}-app", to=dev)
    made = device.provision(batch, f"{name}-1")
    works_and_is_confined(dev, batch, connect, made.identity, made.thing, V5)
    assert device.publish(f"$aws/provisioning-templates/{other.template}/provision/json", b"{}") == NOT_AUTHORIZED
    assert device.publish(batch.topic(made.thing)) == NOT_AUTHORIZED


def test_manual_provisioning_with_a_signing_request(
    iot: IoTClient, dev: DevServer, name: str, connect: Connect, version: int
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    request, pem = signing_request(key, "device")
    made = iot.create_certificate_from_csr(certificateSigningRequest=request, setAsActive=False)
    certificate = x509.load_pem_x509_certificate(made["certificatePem"].encode())
    assert certificate.public_key() == key.public_key()
    assert certificate.fingerprint(hashes.SHA256()).hex() == made["certificateId"]
    identity = dev.keep(name, made["certificatePem"], pem, made["certificateId"])
    with pytest.raises(Closed):
        connect(identity, name, version, to=dev)
    iot.update_certificate(certificateId=made["certificateId"], newStatus="ACTIVE")
    if version == V5:
        assert connect(identity, name, version, to=dev).reason == NOT_AUTHORIZED  # no policy yet
    iot.create_policy(policyName=name, policyDocument=production_policy(name))
    iot.attach_policy(policyName=name, target=made["certificateArn"])
    iot.create_thing(thingName=name, attributePayload={"attributes": {"serial": "sn-1"}})
    iot.attach_thing_principal(thingName=name, principal=made["certificateArn"])
    device = connect(identity, name, version, to=dev)
    assert device.publish(f"{name}/{name}/telemetry") == 0


# --- certificates of one's own ----------------------------------------------------------------------------------------


def issued(
    subject: str, key: ec.EllipticCurvePrivateKey, issuer: str, signer: ec.EllipticCurvePrivateKey, *, ca: bool = False
) -> str:
    """A certificate for *key*, signed by *signer*, good for a day."""
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
    return certificate.public_bytes(Encoding.PEM).decode()


def private_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def test_a_ca_of_ones_own(iot: IoTClient, dev: DevServer, name: str, connect: Connect, version: int) -> None:
    """Registration code, verification certificate, CA, and a device that the CA signed."""
    ca, device_key, verifying = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    ca_pem = issued(name, ca, name, ca, ca=True)
    wrong = issued("another code", verifying, name, ca)
    with pytest.raises(iot.exceptions.RegistrationCodeValidationException):
        iot.register_ca_certificate(caCertificate=ca_pem, verificationCertificate=wrong)
    code = iot.get_registration_code()["registrationCode"]
    proof = issued(code, verifying, name, ca)
    authority = iot.register_ca_certificate(caCertificate=ca_pem, verificationCertificate=proof, setAsActive=True)

    pem = issued("device", device_key, name, ca)
    made = iot.register_certificate(certificatePem=pem, caCertificatePem=ca_pem, status="ACTIVE")
    works_by_hand(iot, dev, name, dev.keep(name, pem, private_pem(device_key), made["certificateId"]), connect, version)
    listed = iot.list_certificates_by_ca(caCertificateId=authority["certificateId"])["certificates"]
    assert [each["certificateId"] for each in listed] == [made["certificateId"]]
    iot.update_ca_certificate(certificateId=authority["certificateId"], newStatus="INACTIVE")
    iot.delete_ca_certificate(certificateId=authority["certificateId"])
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.describe_ca_certificate(certificateId=authority["certificateId"])


def test_a_certificate_without_any_ca(
    iot: IoTClient, dev: DevServer, name: str, connect: Connect, version: int
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = issued(name, key, name, key)
    identity = dev.keep(name, pem, private_pem(key), "")
    with pytest.raises(Closed):
        connect(identity, name, version, to=dev)
    made = iot.register_certificate_without_ca(certificatePem=pem, status="ACTIVE")
    works_by_hand(iot, dev, name, dev.keep(name, pem, private_pem(key), made["certificateId"]), connect, version)


def works_by_hand(
    iot: IoTClient, dev: DevServer, name: str, identity: Identity, connect: Connect, version: int
) -> None:
    """Under a policy attached by hand."""
    document = policy_document(statement("iot:Connect", f"client/{name}"), statement("iot:Publish", f"topic/{name}/*"))
    iot.create_policy(policyName=name, policyDocument=document)
    iot.attach_policy(policyName=name, target=dev.arn("cert", identity.fingerprint))
    device = connect(identity, name, version, to=dev)
    assert device.publish(f"{name}/telemetry") == 0
    if version == V5:
        assert device.publish("elsewhere") == NOT_AUTHORIZED
    else:
        with pytest.raises(Closed):
            device.publish("elsewhere")


def test_changes_by_the_api_reach_live_connections(iot: IoTClient, dev: DevServer, name: str, connect: Connect) -> None:
    batch = set_up(iot, dev, name)
    made = connect(batch.claim, f"{name}-new", to=dev).provision(batch, f"{name}-1")
    device = connect(made.identity, made.thing, to=dev)
    extra, target = f"{name}-extra", dev.arn("cert", made.identity.fingerprint)
    assert device.publish(f"{name}-extra") == NOT_AUTHORIZED
    iot.create_policy(policyName=extra, policyDocument=policy_document(statement("iot:Publish", f"topic/{extra}")))
    iot.attach_policy(policyName=extra, target=target)
    while device.publish(extra) == NOT_AUTHORIZED:  # each one asks the server; the test's own limit bounds it
        pass
    iot.detach_policy(policyName=extra, target=target)
    while device.publish(extra) == 0:
        pass
    assert device.publish(batch.topic(made.thing)) == 0


# --- paginators and typed exceptions ----------------------------------------------------------------------------------


def list_of(
    iot: IoTClient, operation: Any, member: str, key: str | None = None, size: int = 4, **more: Any
) -> list[Any]:
    """Everything a paginator finds, page by page."""
    pages = iot.get_paginator(operation).paginate(PaginationConfig={"PageSize": size}, **more)
    found = [each for page in pages for each in page[member]]
    return [each[key] for each in found] if key else found


def test_paginators_neither_skip_nor_repeat(iot: IoTClient, dev: DevServer, name: str) -> None:
    names = sorted(f"{name}-{number:02}" for number in range(10))  # as many policies as a certificate may have
    iot.create_thing_type(thingTypeName=f"{name}-type")
    iot.create_thing_group(thingGroupName=f"{name}-group")
    certificate = iot.create_keys_and_certificate(setAsActive=True)["certificateArn"]
    for each in names:
        attributes: Any = {"attributes": {"batch": name, "parity": "even" if int(each[-2:]) % 2 == 0 else "odd"}}
        iot.create_thing(thingName=each, thingTypeName=f"{name}-type", attributePayload=attributes)
        iot.add_thing_to_thing_group(thingGroupName=f"{name}-group", thingName=each)
        iot.attach_thing_principal(thingName=each, principal=certificate)
        iot.create_policy(policyName=each, policyDocument=policy_document(statement("iot:Connect", "*")))
        iot.attach_policy(policyName=each, target=certificate)
    by_type: Any = {"thingTypeName": f"{name}-type"}
    assert list_of(iot, "list_things", "things", "thingName", **by_type) == names
    odd: Any = {"attributeName": "parity", "attributeValue": "odd", **by_type}
    assert list_of(iot, "list_things", "things", "thingName", 2, **odd) == names[1::2]
    group: Any = {"thingGroupName": f"{name}-group"}
    assert sorted(list_of(iot, "list_things_in_thing_group", "things", **group)) == names
    assert sorted(list_of(iot, "list_principal_things", "things", principal=certificate)) == names
    attached = list_of(iot, "list_attached_policies", "policies", "policyName", target=certificate)
    assert sorted(attached) == names
    everything = list_of(iot, "list_policies", "policies", "policyName")
    assert len(everything) == len(set(everything))
    assert set(names) <= set(everything)
    things = list_of(iot, "list_things", "things", "thingName", 3)
    assert len(things) == len(set(things))


def test_a_page_token_that_nobody_gave_is_refused(iot: IoTClient, name: str) -> None:
    for number in range(3):
        iot.create_thing(thingName=f"{name}-{number}")
    token = iot.list_things(maxResults=1)["nextToken"]
    assert iot.list_things(maxResults=1, nextToken=token)["things"]
    with pytest.raises(iot.exceptions.InvalidRequestException):
        iot.list_things(nextToken="no token")


def test_exceptions_have_their_types(iot: IoTClient, dev: DevServer, name: str) -> None:
    exceptions = iot.exceptions
    document = policy_document(statement("iot:Connect", "*"))
    iot.create_policy(policyName=name, policyDocument=document)
    with pytest.raises(exceptions.ResourceAlreadyExistsException) as exists:
        iot.create_policy(policyName=name, policyDocument=document)
    assert exists.value.response["ResponseMetadata"]["HTTPStatusCode"] == 409
    with pytest.raises(exceptions.MalformedPolicyException) as malformed:
        iot.create_policy(policyName=f"{name}-bad", policyDocument='{"Version": "2012-10-17", "Statement": [{}, {}]}')
    assert malformed.value.response["Error"]["Message"].count("Effect") >= 2  # every problem, at once
    for _ in range(4):
        iot.create_policy_version(policyName=name, policyDocument=document)
    with pytest.raises(exceptions.VersionsLimitExceededException):
        iot.create_policy_version(policyName=name, policyDocument=document)
    with pytest.raises(exceptions.DeleteConflictException):
        iot.delete_policy(policyName=name)
    with pytest.raises(exceptions.ResourceNotFoundException):
        iot.describe_thing(thingName=name)
    thing = iot.create_thing(thingName=name)
    assert iot.create_thing(thingName=name)["thingId"] == thing["thingId"]  # the same again is no conflict
    with pytest.raises(exceptions.ResourceAlreadyExistsException) as taken:
        iot.create_thing(thingName=name, attributePayload={"attributes": {"another": "one"}})
    told: Any = taken.value.response
    assert told["resourceArn"] == thing["thingArn"]
    with pytest.raises(exceptions.VersionConflictException):
        iot.update_thing(thingName=name, expectedVersion=7)
    with pytest.raises(exceptions.InvalidRequestException):
        iot.create_thing(thingName=f"{name} with spaces")
    with pytest.raises(exceptions.InvalidRequestException):
        iot.create_certificate_from_csr(certificateSigningRequest="no request")
    with pytest.raises(exceptions.InvalidRequestException):
        iot.create_provisioning_template(templateName=name, templateBody="{}", provisioningRoleArn=ROLE)


def code_of(call: Callable[[], Any]) -> tuple[int, str]:
    with pytest.raises(ClientError) as raised:
        call()
    response = raised.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


def test_strangers_and_what_is_not_served(dev: DevServer) -> None:
    stranger = dev.iot(aws_access_key_id="AKIAAAAAAAAAAAAAAAAA")
    assert code_of(stranger.list_things) == (403, "UnrecognizedClientException")
    forger = dev.iot(aws_secret_access_key="x" * 40)
    assert code_of(forger.list_things)[0] == 403
    status, _ = code_of(lambda: dev.iot().list_jobs())
    assert status == 501


def test_regions_are_apart(dev: DevServer, iot: IoTClient, name: str) -> None:
    elsewhere = dev.iot("eu-central-1")
    assert elsewhere.create_thing(thingName=name)["thingArn"] == dev.arn("thing", name).replace(
        "us-east-1", "eu-central-1"
    )
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.describe_thing(thingName=name)
    assert [each["thingName"] for each in elsewhere.list_things()["things"]].count(name) == 1


def test_names_with_everything_that_paths_escape(iot: IoTClient, name: str) -> None:
    odd = f"{name}:a_b-c"
    iot.create_thing(thingName=odd)
    assert iot.describe_thing(thingName=odd)["thingName"] == odd
    policy = f"{name}+=,.@-x"
    iot.create_policy(policyName=policy, policyDocument=policy_document(statement("iot:Connect", "*")))
    assert iot.get_policy(policyName=policy)["policyName"] == policy


def test_the_seeded_claim_of_a_dev_server(dev: DevServer, iot: IoTClient, name: str, connect: Connect) -> None:
    """What the ready file names is enough to provision a device."""
    device = connect(dev.claim, name, to=dev)
    made, _ = device.certificate(csr=True)
    token = made["certificateOwnershipToken"]
    topic = f"$aws/provisioning-templates/{dev.template}/provision"
    done = device.ask(topic, {"certificateOwnershipToken": token, "parameters": {"SerialNumber": name}})
    assert done.accepted, done.content
    principals = iot.list_thing_principals(thingName=done.content["thingName"])["principals"]
    assert principals == [dev.arn("cert", made["certificateId"])]
    assert device.ask(CREATE, {}).accepted
