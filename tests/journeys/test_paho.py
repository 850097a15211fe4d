"""Journeys with paho-mqtt: both versions, both formats, both ways to a certificate; and what is refused on the way."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.journeys.paho_device import CREATE, CREATE_FROM_CSR, NOT_AUTHORIZED, V5, V311, Closed, Device, Provisioned
from tests.server import Batch, Identity, Live, claim_policy, policy_document, statement, template_body

from fleetgate.registry.certificates import Status

Connect = Callable[..., Device]


def works_and_is_confined(batch: Batch, made: Provisioned, connect: Connect, version: int) -> None:
    """The end of every journey: the certificate publishes under its policy, and not beside it."""
    observer = connect(batch.observer, f"{batch.name}-observer")
    assert observer.subscribe(f"{batch.name}/+/telemetry") == [1]
    device = connect(made.identity, made.thing, version)
    topic = batch.topic(made.thing)
    assert device.publish(topic, b"21.5") == 0
    assert observer.receive() == (topic, b"21.5", 1)
    elsewhere = batch.topic("somebody-else")
    if version == V5:
        assert device.publish(elsewhere) == NOT_AUTHORIZED
        assert device.publish(topic) == 0  # and goes on
        device.publish(elsewhere, qos=0)
        assert device.closed() == NOT_AUTHORIZED  # no answer has words for QoS 0, so the connection has
    else:
        with pytest.raises(Closed):
            device.publish(elsewhere)


@pytest.mark.parametrize("form", ["json", "cbor"])
@pytest.mark.parametrize("csr", [False, True], ids=["keys", "csr"])
def test_device_provisions_itself_and_works(batch: Batch, connect: Connect, version: int, csr: bool, form: str) -> None:
    claiming = connect(batch.claim, f"{batch.name}-new", version)
    made = claiming.provision(batch, f"{batch.name}-1", csr=csr, form=form)
    assert (made.thing, made.configuration) == (f"{batch.name}-1", {})
    works_and_is_confined(batch, made, connect, version)


@pytest.mark.parametrize("alpn", ["x-amzn-mqtt-ca", "mqtt"])
def test_mqtt_on_the_https_port_by_alpn(batch: Batch, connect: Connect, version: int, alpn: str) -> None:
    made = connect(batch.claim, f"{batch.name}-new", version, alpn=alpn).provision(batch, f"{batch.name}-1")
    works_and_is_confined(batch, made, connect, version)


def test_device_configuration_reaches_the_device(live: Live, name: str, connect: Connect) -> None:
    configuration = {"url": "https://example.org", "serial": {"Ref": "SerialNumber"}}
    batch = live.batch(name, body=template_body(f"{name}-production", DeviceConfiguration=configuration))
    made = connect(batch.claim, name).provision(batch, "sn-1")
    assert made.configuration == {"url": "https://example.org", "serial": "sn-1"}


def test_keys_are_rsa_in_the_classic_form_and_fit_the_certificate(batch: Batch, connect: Connect) -> None:
    content, key = connect(batch.claim, batch.name).certificate()
    assert key.startswith("-----BEGIN RSA PRIVATE KEY-----\n")
    assert key.endswith("-----END RSA PRIVATE KEY-----\n")
    certificate = x509.load_pem_x509_certificate(content["certificatePem"].encode())
    assert content["certificateId"] == certificate.fingerprint(hashes.SHA256()).hex()
    assert certificate.subject.rfc4514_string() == "CN=AWS IoT Certificate"
    assert max(len(content["certificateOwnershipToken"]), len(content["certificatePem"]) // 4, len(key) // 4) <= 512


@pytest.mark.parametrize("qos", [0, 1])
def test_answers_come_without_any_subscription(batch: Batch, connect: Connect, version: int, qos: int) -> None:
    device = connect(batch.claim, f"{batch.name}-new", version)
    assert device.ask(CREATE, {}, qos=qos).accepted
    assert device.ask(CREATE_FROM_CSR, {}, qos=qos).told == (400, "InvalidCertificateSigningRequest")


@pytest.mark.parametrize("payload", [b"", b"{}", b'{"anything": [1, {"else": null}]}'])
def test_a_request_for_keys_may_say_anything(batch: Batch, connect: Connect, payload: bytes) -> None:
    assert connect(batch.claim, batch.name).ask(CREATE, payload).accepted


BAD_REQUESTS: dict[str, tuple[str, str, Any]] = {
    "not json": (CREATE, "json", b"{"),
    "not a map": (CREATE, "json", b"[]"),
    "not utf-8": (CREATE, "json", b"\xff\xfe{}"),
    "not cbor": (CREATE, "cbor", b"\xff\xff"),
    "too deep": (CREATE, "json", b"[" * 100_000),
    "no csr": (CREATE_FROM_CSR, "json", {}),
    "csr of another kind": (CREATE_FROM_CSR, "json", {"certificateSigningRequest": 7}),
    "csr of nonsense": (CREATE_FROM_CSR, "cbor", {"certificateSigningRequest": "-----BEGIN"}),
}


@pytest.mark.parametrize("case", BAD_REQUESTS)
def test_a_bad_request_is_rejected_once_and_the_connection_goes_on(batch: Batch, connect: Connect, case: str) -> None:
    device = connect(batch.claim, batch.name)
    topic, form, payload = BAD_REQUESTS[case]
    status, _ = device.ask(topic, payload, form).told
    assert status == 400
    assert device.ask(CREATE, {}).accepted


def test_a_token_is_good_once_and_for_its_own_claim_alone(live: Live, batch: Batch, connect: Connect) -> None:
    device = connect(batch.claim, f"{batch.name}-a")
    token = device.certificate(csr=True)[0]["certificateOwnershipToken"]
    other = connect(live.claim(f"{batch.name}-other", batch.template), f"{batch.name}-b")
    refused = (400, "InvalidCertificateOwnershipToken")
    assert other.register(batch, token, "sn-1").told == refused
    assert device.register(batch, "", "sn-1").told == refused
    assert device.register(batch, "AAAA", "sn-1").told == refused
    again = connect(batch.claim, f"{batch.name}-c")  # the same claim on another connection: a device that reconnected
    assert again.register(batch, token, "sn-1").accepted
    assert device.register(batch, token, "sn-1").told == refused
    assert device.register(batch, token, "sn-2").told == refused


def test_a_template_says_what_it_lacks(batch: Batch, connect: Connect) -> None:
    device = connect(batch.claim, batch.name)
    token = device.certificate(csr=True)[0]["certificateOwnershipToken"]
    topic = f"$aws/provisioning-templates/{batch.template}/provision"
    lacking = device.ask(topic, {"certificateOwnershipToken": token})
    assert lacking.told == (400, "InvalidParameters")
    assert "SerialNumber" in lacking.content["errorMessage"]
    wrong = device.ask(topic, {"certificateOwnershipToken": token, "parameters": {"SerialNumber": 7}})
    assert wrong.told == (400, "InvalidParameters")
    assert device.register(batch, token, "sn-1").accepted  # what was refused has cost nothing


def test_an_unknown_template_is_not_found(live: Live, name: str, connect: Connect) -> None:
    batch = live.batch(name)
    identity = live.identity(f"{name}-wide", claim_policy("*"))
    device = connect(identity, name)
    answer = device.ask("$aws/provisioning-templates/nowhere/provision", {"certificateOwnershipToken": "x"})
    assert answer.told == (404, "ResourceNotFound")
    assert device.ask(CREATE, {}).told == (403, "AccessDenied")  # and no claim, whatever its policy allows
    assert connect(batch.claim, f"{name}-claim").ask(CREATE, {}).accepted


def test_a_claim_may_do_nothing_else(batch: Batch, connect: Connect, version: int) -> None:
    steps: list[Callable[[Device], int | list[int]]] = [
        lambda device: device.publish(batch.topic("sn-1")),
        lambda device: device.subscribe(batch.topic("sn-1")),
        lambda device: device.subscribe("#"),
        lambda device: device.publish("$aws/provisioning-templates/another/provision/json", b"{}"),
    ]
    for step in steps:
        device = connect(batch.claim, f"{batch.name}-new", version)
        if version == V5:
            assert step(device) in (NOT_AUTHORIZED, [NOT_AUTHORIZED])
            assert device.ask(CREATE, {}).accepted
        else:
            with pytest.raises(Closed):
                step(device)


def test_create_does_not_cover_create_from_csr(live: Live, name: str, connect: Connect) -> None:
    document = policy_document(
        statement("iot:Connect", "*"), statement("iot:Publish", "topic/$aws/certificates/create/*")
    )
    device = connect(live.identity(f"{name}-narrow", document), name)
    assert device.ask(CREATE, {}).told == (403, "AccessDenied")  # past the policy, stopped for want of a claim
    assert device.publish(f"{CREATE_FROM_CSR}/json", b"{}") == NOT_AUTHORIZED


def test_a_thing_connects_under_its_own_name_alone(batch: Batch, connect: Connect, version: int) -> None:
    made = connect(batch.claim, f"{batch.name}-new").provision(batch, f"{batch.name}-1")
    if version == V5:
        assert connect(made.identity, "another", version).reason == NOT_AUTHORIZED
    else:
        with pytest.raises(Closed):
            connect(made.identity, "another", version)


@pytest.mark.parametrize("status", [Status.INACTIVE, Status.REVOKED, Status.PENDING_ACTIVATION])
def test_only_active_certificates_connect(
    live: Live, name: str, connect: Connect, version: int, status: Status
) -> None:
    identity = live.identity(name, policy_document(statement("iot:*", "*")), status=status)
    with pytest.raises(Closed):  # without a CONNACK: who is not known is told nothing
        connect(identity, name, version)


def test_a_stranger_shakes_hands_and_is_shown_out(live: Live, name: str, connect: Connect, version: int) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    stranger = self_signed(live, name, key)
    with pytest.raises(Closed):
        connect(stranger, name, version)


def self_signed(live: Live, name: str, key: ec.EllipticCurvePrivateKey) -> Identity:
    own = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(own)
        .issuer_name(own)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return live.keep(f"{name}-stranger", certificate.public_bytes(Encoding.PEM).decode(), pem, "")


def test_a_session_and_its_messages_outlive_a_connection(
    live: Live, batch: Batch, connect: Connect, version: int
) -> None:
    made = connect(batch.claim, f"{batch.name}-new").provision(batch, f"{batch.name}-1")
    topic = batch.topic(made.thing, "orders")
    device = connect(made.identity, made.thing, version, clean=False)
    assert device.subscribe(topic) == [1]
    device.disconnect()
    sender = live.identity(f"{batch.name}-sender", policy_document(statement("iot:*", "*")))
    assert connect(sender, f"{batch.name}-sender").publish(topic, b"wake up") == 0
    again = connect(made.identity, made.thing, version, clean=False)
    assert again.receive() == (topic, b"wake up", 1)


def test_versions_share_topics(batch: Batch, connect: Connect) -> None:
    made = connect(batch.claim, f"{batch.name}-new").provision(batch, f"{batch.name}-1")
    observers = [connect(batch.observer, f"{batch.name}-{version}", version) for version in (V311, V5)]
    for observer in observers:
        observer.subscribe(f"{batch.name}/+/telemetry", qos=0)
    connect(made.identity, made.thing).publish(batch.topic(made.thing), b"1")
    assert [observer.receive().payload for observer in observers] == [b"1", b"1"]
