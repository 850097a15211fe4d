"""Many devices share one claim certificate, and with it every topic: nobody ever sees another's answer."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from tests.journeys.paho_device import CREATE, CREATE_FROM_CSR, V5, V311, Device, encode, read, signing_request
from tests.server import PATIENCE, Batch, Live

from fleetgate.registry.events import DeviceProvisioned

Connect = Callable[..., Device]

HOLD = """
def lambda_handler(event, context):
    with open(event["parameters"]["Gate"]) as gate:  # a named pipe: returns when the test opens the other end
        gate.read()
    return {"allowProvisioning": True}
"""


def answer_topics(batch: Batch) -> list[str]:
    topics = [CREATE, CREATE_FROM_CSR, f"$aws/provisioning-templates/{batch.template}/provision"]
    return [
        f"{topic}/{form}/{word}" for topic in topics for form in ("json", "cbor") for word in ("accepted", "rejected")
    ]


def subscribe_to_everything(device: Device, batch: Batch) -> None:
    topics = answer_topics(batch)
    assert set(device.subscribe(*topics[:8])) == {1}
    assert set(device.subscribe(*topics[8:])) == {1}
    assert set(device.subscribe("$aws/certificates/create/#", "$aws/certificates/create/json/+")) == {1}


def nothing_more(device: Device, batch: Batch) -> None:
    """What the server sent before it answers this has arrived by then: TCP keeps the order."""
    device.subscribe(answer_topics(batch)[0])
    assert device.messages.empty()


def provision_alone(device: Device, batch: Batch, serial: str, start: threading.Barrier) -> str:
    """The claim flow with a signing request. Every answer is the one to this device's own question; its fingerprint."""
    key = ec.generate_private_key(ec.SECP256R1())
    request, _ = signing_request(key)
    start.wait(PATIENCE)
    made = device.ask(CREATE_FROM_CSR, {"certificateSigningRequest": request}).content
    certificate = x509.load_pem_x509_certificate(made["certificatePem"].encode())
    assert certificate.public_key() == key.public_key()
    start.wait(PATIENCE)
    answer = device.register(batch, made["certificateOwnershipToken"], serial)
    assert answer.accepted, answer.content
    assert answer.content["thingName"] == serial
    fingerprint: str = made["certificateId"]
    return fingerprint


@pytest.mark.parametrize("count", [2, 40])
def test_devices_of_one_claim_see_their_own_answers_alone(
    live: Live, batch: Batch, connect: Connect, count: int
) -> None:
    spy = connect(batch.claim, f"{batch.name}-spy")
    subscribe_to_everything(spy, batch)
    devices = [connect(batch.claim, f"{batch.name}-{number}", (V311, V5)[number % 2]) for number in range(count)]
    for device in devices[count // 4 : count // 4 * 3 or count]:  # some ask for their answers, some do not
        subscribe_to_everything(device, batch)
    start = threading.Barrier(count)
    with ThreadPoolExecutor(count) as pool:
        asked = [
            pool.submit(provision_alone, device, batch, f"{batch.name}-{number}", start)
            for number, device in enumerate(devices)
        ]
        fingerprints = [each.result(PATIENCE) for each in asked]
    assert len(set(fingerprints)) == count
    for device in (*devices, spy):
        nothing_more(device, batch)


@pytest.mark.parametrize("form", ["json", "cbor"])
def test_keys_go_to_who_asked_for_them(batch: Batch, connect: Connect, form: str) -> None:
    asking, silent = connect(batch.claim, f"{batch.name}-1"), connect(batch.claim, f"{batch.name}-2")
    for device in (asking, silent):
        subscribe_to_everything(device, batch)
    content, key = asking.certificate(form=form)
    certificate = x509.load_pem_x509_certificate(content["certificatePem"].encode())
    public = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert public == public_half(key)
    nothing_more(asking, batch)
    nothing_more(silent, batch)


def public_half(pem: str) -> bytes:
    key = load_pem_private_key(pem.encode(), None)
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def test_requests_in_a_row_are_answered_in_order_and_once_each(batch: Batch, connect: Connect, version: int) -> None:
    device = connect(batch.claim, batch.name, version)
    subscribe_to_everything(device, batch)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(20)]
    topic = f"{CREATE_FROM_CSR}/json"
    for key in keys:  # QoS 0: sent without waiting for anything
        device.publish(topic, encode("json", {"certificateSigningRequest": signing_request(key)[0]}), qos=0)
    answers = [read(topic, device.receive()).content for _ in keys]
    certified = [x509.load_pem_x509_certificate(answer["certificatePem"].encode()).public_key() for answer in answers]
    assert certified == [key.public_key() for key in keys]
    nothing_more(device, batch)


def test_an_answer_does_not_outlive_the_connection_that_asked(
    live: Live, name: str, connect: Connect, version: int
) -> None:
    """Two devices with one claim and one client id, persistent sessions too: each has its own answers alone."""
    batch = live.batch(name, hook=HOLD)
    gate = live.folder / f"{name}.gate"
    os.mkfifo(gate)
    first = connect(batch.claim, name, version, clean=False)
    subscribe_to_everything(first, batch)
    token = first.certificate(csr=True)[0]["certificateOwnershipToken"]
    request: dict[str, Any] = {"certificateOwnershipToken": token}
    request["parameters"] = {"SerialNumber": f"{name}-1", "Gate": str(gate)}
    topic = f"$aws/provisioning-templates/{batch.template}/provision/json"
    first.publish(topic, encode("json", request))
    with gate.open("w"):  # opens when the hook is being asked
        second = connect(batch.claim, name, version, clean=False)
        first.closed()
    live.happenings.wait_for(lambda event: isinstance(event, DeviceProvisioned) and event.thing_name == f"{name}-1")
    subscribe_to_everything(second, batch)
    nothing_more(second, batch)


def test_answers_cannot_be_forged(batch: Batch, connect: Connect) -> None:
    """A claim's policy lets it publish below create/: a device must not believe another device's "accepted"."""
    victim, forger = connect(batch.claim, f"{batch.name}-1"), connect(batch.claim, f"{batch.name}-2")
    subscribe_to_everything(victim, batch)
    forger.publish(f"{CREATE}/json/accepted", b'{"certificateId": "forged"}', qos=0)
    forger.closed()
    nothing_more(victim, batch)
