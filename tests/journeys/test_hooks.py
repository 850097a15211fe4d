"""A Lambda-style handler decides, through real MQTT: whatever it does, there is one accepted or one rejected answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.journeys.paho_device import V311, Device
from tests.server import REALM, Batch, Live, template_body

from fleetgate.registry import templates, things

Connect = Callable[..., Device]

HANDLER = """
import json, os, sys, time

answer = {"allowProvisioning": False}  # module-level state, as published handlers have it


def lambda_handler(event, context):
    print("deciding", event["parameters"])
    wish = event["parameters"].get("Wish", "{}")
    if wish.startswith("!"):
        exec(wish[1:])
    if wish == "remember":
        answer["allowProvisioning"] = True
    if wish in ("remember", "recall"):
        return answer
    if wish == "echo":
        told = {"event": event, "name": context.function_name, "left": context.get_remaining_time_in_millis()}
        return {"allowProvisioning": True, "parameterOverrides": {"Seen": json.dumps(told)}}
    return json.loads(wish)
"""

YES = '{"allowProvisioning": true}'
# What the handler does, and whether that is an approval.
WISHES = {
    "approves": (YES, True),
    "approves in the words of the documentation": ('{"allowProvisioning": "true"}', True),
    "denies": ('{"allowProvisioning": false}', False),
    "denies and overrides": ('{"allowProvisioning": false, "parameterOverrides": {"SerialNumber": "x"}}', False),
    "says nothing": ("{}", False),
    "returns none": ("null", False),
    "returns a list": ("[true]", False),
    "returns a number": ("1", False),
    "returns a text": ('"true"', False),
    "allows with one": ('{"allowProvisioning": 1}', False),
    "allows with yes": ('{"allowProvisioning": "yes"}', False),
    "misspells": ('{"AllowProvisioning": true}', False),
    "overrides with numbers": ('{"allowProvisioning": true, "parameterOverrides": {"SerialNumber": 7}}', False),
    "overrides with a list": ('{"allowProvisioning": true, "parameterOverrides": ["SerialNumber"]}', False),
    "raises": ("!raise ValueError('no')", False),
    "exits": ("!sys.exit(0)", False),
    "dies": ("!os._exit(1)", False),
    "recurses": ("!(lambda f: f(f))(lambda f: f(f))", False),
    "returns what is no json": ("!globals().__setitem__('answer', {1, 2}); wish = 'recall'", False),
    "writes to standard output": ("!os.write(1, b'{\"allowProvisioning\": true}'); os._exit(0)", False),
}


def make(live: Live, name: str, source: str = HANDLER) -> Batch:
    body = json.loads(template_body(f"{name}-production"))
    body["Parameters"]["Seen"] = {"Type": "String", "Default": "nothing"}
    body["DeviceConfiguration"] = {"seen": {"Ref": "Seen"}}
    return live.batch(name, hook=source, body=json.dumps(body))


def nothing_more(device: Device, batch: Batch) -> None:
    device.subscribe(f"$aws/provisioning-templates/{batch.template}/provision/json/accepted")
    assert device.messages.empty()


@pytest.mark.parametrize("what", WISHES)
def test_a_handler_gives_one_answer_whatever_it_does(live: Live, name: str, connect: Connect, what: str) -> None:
    batch = make(live, name)
    wish, approved = WISHES[what]
    device = connect(batch.claim, name)
    token = device.certificate(csr=True)[0]["certificateOwnershipToken"]
    answer = device.register(batch, token, f"{name}-1", Wish=wish)
    if approved:
        assert answer.accepted, answer.content
        nothing_more(device, batch)
        return
    assert answer.told == (403, "AccessDenied")
    assert live.read(lambda tx: things.find(tx, REALM, f"{name}-1")) is None
    # A refusal has used up nothing, and spoilt nothing for the next who asks.
    assert device.register(batch, token, f"{name}-1", Wish=YES).accepted
    nothing_more(device, batch)


def test_a_handler_overrides_parameters(live: Live, name: str, connect: Connect) -> None:
    batch = make(live, name)
    device = connect(batch.claim, f"{name}-new")
    wish = json.dumps({"allowProvisioning": True, "parameterOverrides": {"SerialNumber": f"{name}-given"}})
    made = device.provision(batch, f"{name}-1", Wish=wish)
    assert made.thing == f"{name}-given"
    assert connect(made.identity, made.thing).publish(batch.topic(made.thing)) == 0
    assert live.read(lambda tx: things.find(tx, REALM, f"{name}-1")) is None


def test_a_handler_is_told_what_aws_tells_one(live: Live, name: str, connect: Connect) -> None:
    batch = make(live, name)
    device = connect(batch.claim, f"{name}-client")
    made = device.provision(batch, f"{name}-1", Wish="echo")
    told: dict[str, Any] = json.loads(made.configuration["seen"])
    assert told["name"] == name
    assert 0 < told["left"] <= 5000
    assert told["event"] == {
        "claimCertificateId": batch.claim.fingerprint,
        "certificateId": made.identity.fingerprint,
        "certificatePem": made.identity.certificate_file.read_text(),
        "templateArn": REALM.arn("provisioningtemplate", batch.template),
        "clientId": f"{name}-client",
        "parameters": {"SerialNumber": f"{name}-1", "Wish": "echo"},
    }


def test_an_approval_is_not_remembered_for_the_next_who_asks(live: Live, name: str, connect: Connect) -> None:
    """The published handlers keep their answer in a global: in a warm process the first approval approves for all."""
    batch = make(live, name)
    device = connect(batch.claim, name)
    device.provision(batch, f"{name}-1", csr=True, Wish="remember")
    token = device.certificate(csr=True)[0]["certificateOwnershipToken"]
    assert device.register(batch, token, f"{name}-2", Wish="recall").told == (403, "AccessDenied")


def test_a_handler_that_sleeps_too_long_has_denied(live: Live, name: str, connect: Connect, version: int) -> None:
    """Five seconds, as AWS gives it; meanwhile its process harms nobody else."""
    batch = make(live, name)
    slow, quick = connect(batch.claim, f"{name}-slow", version), connect(batch.claim, f"{name}-quick", V311)
    token = slow.certificate(csr=True)[0]["certificateOwnershipToken"]
    topic = f"$aws/provisioning-templates/{batch.template}/provision/json"
    request = {
        "certificateOwnershipToken": token,
        "parameters": {"SerialNumber": f"{name}-1", "Wish": "!time.sleep(60)"},
    }
    slow.publish(topic, json.dumps(request))
    quick.provision(batch, f"{name}-2", csr=True, Wish=YES)
    assert slow.messages.empty()
    answer = json.loads(slow.receive().payload)
    assert (answer["statusCode"], answer["errorCode"]) == (403, "AccessDenied")
    assert slow.register(batch, token, f"{name}-1", Wish=YES).accepted
    nothing_more(slow, batch)


BROKEN = {
    "does not compile": "def lambda_handler(event, context:",
    "raises while it is loaded": "raise RuntimeError('no')",
    "has no handler": "def another(event, context): return {'allowProvisioning': True}",
    "handler cannot be called": "lambda_handler = {'allowProvisioning': True}",
    "takes no arguments": "def lambda_handler(): return {'allowProvisioning': True}",
    "is empty": "",
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_handler_file_denies(live: Live, name: str, connect: Connect, what: str) -> None:
    batch = make(live, name, BROKEN[what])
    device = connect(batch.claim, name)
    token = device.certificate(csr=True)[0]["certificateOwnershipToken"]
    assert device.register(batch, token, f"{name}-1").told == (403, "AccessDenied")
    nothing_more(device, batch)
    live.bind(name, "def lambda_handler(event, context): return {'allowProvisioning': True}")
    assert device.register(batch, token, f"{name}-1").accepted  # mended without a restart


def test_a_hook_bound_to_nothing_denies(live: Live, name: str, connect: Connect) -> None:
    batch = live.batch(name)
    target = f"arn:aws:lambda:{REALM.region}:{REALM.account}:function:{name}-nowhere"
    live.write(lambda tx, act: templates.update(tx, act, name, hook_target_arn=target))
    device = connect(batch.claim, name)
    token = device.certificate(csr=True)[0]["certificateOwnershipToken"]
    assert device.register(batch, token, f"{name}-1").told == (403, "AccessDenied")
