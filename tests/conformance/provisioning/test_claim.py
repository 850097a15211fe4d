"""The claim flow's contract: topics, members, forms, codes and texts (AWS: device provisioning MQTT API)."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from tests.conformance.provisioning.bad_requests import BAD
from tests.conformance.provisioning.desk import CREATE, CREATE_FROM_CSR, Answer, Desk, Format, csr, decode, encode
from tests.fleet import make_fleet
from tests.server import REALM, template_body

from fleetgate import access
from fleetgate.gateway import reserved
from fleetgate.provisioning.claim import Asker
from fleetgate.registry import attachments, certificates, policies
from fleetgate.registry.certificates import Status
from fleetgate.registry.templates import Type

VECTORS = Path(__file__).parents[2] / "vectors" / "provisioning"
TOPICS: list[dict[str, Any]] = json.loads((VECTORS / "topics.json").read_text())
REJECTED: list[dict[str, Any]] = json.loads((VECTORS / "rejected.json").read_text())
UNREADABLE: list[dict[str, Any]] = json.loads((VECTORS / "unreadable.json").read_text())

LONGEST_PEM, LONGEST_TOKEN = 2048, 512
"""Buffers of devices in the field."""
PROVISION = "$aws/provisioning-templates/fleet/provision"


# --- topics -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", TOPICS, ids=lambda case: case["topic"])
def test_topics(case: dict[str, Any]) -> None:
    call = reserved.find(case["topic"])
    if case["operation"] is None:
        assert call is None
    else:
        assert call is not None
        assert (call.action, call.format, call.name) == (case["operation"], case["format"], case.get("name", ""))
        assert call.topic == case["topic"]


# --- CreateKeysAndCertificate -----------------------------------------------------------------------------------------


def check_certificate(content: dict[str, Any]) -> x509.Certificate:
    """The members that both answers share."""
    found = x509.load_pem_x509_certificate(content["certificatePem"].encode())
    assert content["certificateId"] == hashlib.sha256(found.public_bytes(Encoding.DER)).hexdigest()
    assert re.fullmatch(r"[0-9a-f]{64}", content["certificateId"])
    assert content["certificatePem"].startswith("-----BEGIN CERTIFICATE-----\n")
    assert content["certificatePem"].endswith("-----END CERTIFICATE-----\n")
    assert len(content["certificatePem"]) <= LONGEST_PEM
    token = content["certificateOwnershipToken"]
    assert 40 <= len(token) <= LONGEST_TOKEN
    assert set(token) <= set(string.ascii_letters + string.digits + "+/=")
    base64.b64decode(token, validate=True)
    return found


async def test_keys_and_a_certificate(desk: Desk, form: Format) -> None:
    answer = await desk.ask(CREATE, {}, form)
    assert answer.accepted
    assert answer.content.keys() == {
        "certificateId",
        "certificatePem",
        "privateKey",
        "certificateOwnershipToken",
    }
    certificate = check_certificate(answer.content)
    pem = answer.content["privateKey"]
    assert pem.startswith("-----BEGIN RSA PRIVATE KEY-----\n")
    assert pem.endswith("-----END RSA PRIVATE KEY-----\n")
    assert len(pem) <= LONGEST_PEM
    key = load_pem_private_key(pem.encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    assert key.key_size == 2048
    assert certificate.public_key() == key.public_key()
    assert certificate.subject.rfc4514_string() == "CN=AWS IoT Certificate"


@pytest.mark.parametrize(
    ("form", "payload"),
    [
        ("json", b""),
        ("cbor", b""),
        ("json", b"{}"),
        ("cbor", b"\xa0"),
        ("cbor", b"\xbf\xff"),
        ("json", b' {"serial": "SN-1", "list": [1, {"a": null}]} '),
        ("cbor", cbor2.dumps({"serial": "SN-1", "list": [1, {"a": None}]})),
    ],
)
async def test_what_create_is_asked_with_does_not_matter(desk: Desk, form: Format, payload: bytes) -> None:
    assert (await desk.ask(CREATE, payload, form)).accepted


async def test_no_two_answers_are_alike(desk: Desk, form: Format) -> None:
    first, second = (await desk.ask(CREATE, {}, form)).content, (await desk.ask(CREATE, {}, form)).content
    assert not set(first.values()) & set(second.values())


# --- CreateCertificateFromCsr -----------------------------------------------------------------------------------------


async def test_a_certificate_for_ones_own_key(desk: Desk, form: Format) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    content = await desk.certificate(form, key)
    assert content.keys() == {"certificateOwnershipToken", "certificateId", "certificatePem"}
    certificate = check_certificate(content)
    assert certificate.public_key() == key.public_key()
    assert certificate.subject.rfc4514_string() == "CN=device"


@pytest.mark.parametrize("kind", ["rsa-2048", "rsa-4096", "p-384", "p-521"])
async def test_keys_that_devices_have(desk: Desk, kind: str) -> None:
    makers: dict[str, Callable[[], rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey]] = {
        "rsa-2048": lambda: rsa.generate_private_key(65_537, 2048),
        "rsa-4096": lambda: rsa.generate_private_key(65_537, 4096),
        "p-384": lambda: ec.generate_private_key(ec.SECP384R1()),
        "p-521": lambda: ec.generate_private_key(ec.SECP521R1()),
    }
    key = makers[kind]()
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    pem = request.public_bytes(Encoding.PEM).decode()
    answer = await desk.ask(CREATE_FROM_CSR, {"certificateSigningRequest": pem, "unknown": 1})
    assert answer.accepted, answer.content
    assert check_certificate(answer.content).public_key() == key.public_key()


async def test_a_map_of_indefinite_length(desk: Desk) -> None:
    payload = cbor2.dumps({"certificateSigningRequest": csr()}, indefinite_containers=True)
    assert payload.startswith(b"\xbf")
    assert (await desk.ask(CREATE_FROM_CSR, payload, "cbor")).accepted


# --- RegisterThing ----------------------------------------------------------------------------------------------------


async def test_a_thing_with_its_certificate(desk: Desk, form: Format) -> None:
    content = await desk.certificate(form)
    fingerprint = content["certificateId"]
    assert await status(desk, fingerprint) is Status.PENDING_ACTIVATION

    answer = await desk.register(content["certificateOwnershipToken"], "SN-1", form)

    assert answer == Answer(accepted=True, content={"deviceConfiguration": {"interval": "60"}, "thingName": "SN-1"})
    assert await status(desk, fingerprint) is Status.ACTIVE
    bound = await desk.read(lambda tx: attachments.certificates_of(tx, REALM, "SN-1"))
    assert [each.fingerprint for each in bound] == [fingerprint]
    held = await desk.read(lambda tx: attachments.policies_for(tx, REALM, fingerprint, "SN-1"))
    assert [name for name, _, _ in held] == ["fleet-production"]


async def status(desk: Desk, fingerprint: str) -> Status:
    return (await desk.read(lambda tx: certificates.get(tx, REALM, fingerprint))).status


async def test_a_device_configuration_is_always_there(desk: Desk, form: Format) -> None:
    """Clients tell the answer of RegisterThing by this member."""
    await desk.write(lambda tx, act: policies.create(tx, act, "p", '{"Version":"2012-10-17","Statement":[]}'))
    fleet = await another_fleet(desk, "plain", template_body("p"))
    content = await desk.certificate(form, who=fleet)
    answer = await desk.register(content["certificateOwnershipToken"], "SN-2", form, template="plain", who=fleet)
    assert answer.content == {"deviceConfiguration": {}, "thingName": "SN-2"}


async def test_a_template_without_a_thing(desk: Desk, form: Format) -> None:
    body = json.loads(template_body("p"))
    del body["Resources"]["thing"]
    body["Resources"]["certificate"]["Properties"]["Status"] = "INACTIVE"
    body["DeviceConfiguration"] = {"serial": {"Ref": "SerialNumber"}}
    await desk.write(lambda tx, act: policies.create(tx, act, "p", '{"Version":"2012-10-17","Statement":[]}'))
    fleet = await another_fleet(desk, "bare", json.dumps(body))
    content = await desk.certificate(form, who=fleet)
    answer = await desk.register(content["certificateOwnershipToken"], "SN-3", form, template="bare", who=fleet)
    assert answer.content == {"deviceConfiguration": {"serial": "SN-3"}}
    assert await status(desk, content["certificateId"]) is Status.INACTIVE


async def another_fleet(desk: Desk, name: str, body: str) -> str:
    """A claim certificate for a template of its own."""
    return (await make_fleet(desk.runtime, desk.folder / name, template=name, body=body)).fingerprint


# --- rejections -------------------------------------------------------------------------------------------------------


async def test_rejections(desk: Desk, form: Format) -> None:
    await furnish(desk)
    for number, case in enumerate(REJECTED):
        token = (await desk.certificate())["certificateOwnershipToken"]

        answer = await desk.ask(case["topic"], filled(case["request"], token), form)

        assert answer.code == (case["statusCode"], case["errorCode"]), (case["title"], answer.content)
        assert answer.content.keys() == {"statusCode", "errorCode", "errorMessage", "requestId"}, case["title"]
        assert type(answer.content["statusCode"]) is int
        said, expected = answer.content["errorMessage"], case["errorMessage"]
        if expected.endswith("..."):
            assert said.startswith(expected.removesuffix("...")), case["title"]
        else:
            assert said == expected, case["title"]
        # Whatever was refused, the token is as good as before, and nothing is half made.
        assert (await desk.register(token, f"SN-{number}")).accepted, case["title"]


async def test_payloads_that_cannot_be_read(desk: Desk) -> None:
    for case in UNREADABLE:
        payload = case["text"].encode() if "text" in case else bytes.fromhex(case["hex"])
        for topic in (CREATE, CREATE_FROM_CSR, PROVISION):
            answer = await desk.ask(topic, payload, case["format"])
            assert answer.code == (400, "InvalidRequest"), case["title"]
            assert answer.content["errorMessage"].startswith(case["begins"]), case["title"]


async def test_what_is_the_servers_fault_is_not_told_in_detail(desk: Desk, form: Format) -> None:
    token = (await desk.certificate())["certificateOwnershipToken"]

    principal = await desk.read(lambda tx: access.identify(tx, desk.fleet.fingerprint, desk.now))
    payload = encode(form, {"certificateOwnershipToken": token, "parameters": {"SerialNumber": "SN-1"}})
    call = reserved.find(f"{PROVISION}/{form}")
    assert call is not None
    await desk.runtime.database.close()
    answer = await reserved.answer(desk.runtime, desk.act(), Asker(principal, "device"), call, payload)
    assert answer.topic == f"{PROVISION}/{form}/rejected"
    content = decode(form, answer.payload)
    assert (content["statusCode"], content["errorCode"]) == (503, "ServiceUnavailable")
    assert content["errorMessage"] == "The server cannot answer this now; try again later."


async def furnish(desk: Desk) -> None:
    """The templates that the cases name."""
    region = json.loads(template_body("fleet-production"))
    region["Resources"]["thing"]["Properties"]["AttributePayload"] = {"region": {"Ref": "AWS::Region"}}
    await desk.template("regional", json.dumps(region))
    await desk.template("disabled", template_body("fleet-production"), enabled=False)
    await desk.template("other", template_body("fleet-production"))
    jitp = {
        "Parameters": {"AWS::IoT::Certificate::Id": {"Type": "String"}},
        "Resources": {
            "certificate": {
                "Type": "AWS::IoT::Certificate",
                "Properties": {"CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}, "Status": "ACTIVE"},
            }
        },
    }
    await desk.template("just-in-time", json.dumps(jitp), type=Type.JITP)


def filled(request: Any, token: str) -> Any:
    """*request* with its placeholders filled in."""
    if isinstance(request, dict):
        return {name: filled(value, token) for name, value in request.items()}
    if request == "${token}":
        return token
    if isinstance(request, str) and request.startswith("${csr:"):
        return BAD[request.removeprefix("${csr:").removesuffix("}")]()
    return request
