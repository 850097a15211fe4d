"""Journeys with the awscli package's `aws` command: the tutorial as one would type it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.dev_server import DevServer
from tests.journeys.paho_device import NOT_AUTHORIZED, Closed, Device, signing_request
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

Connect = Callable[..., Device]

AWS = Path(sys.executable).with_name("aws")


@pytest.fixture
def run(dev: DevServer, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `aws iot ...` in an empty folder with nothing in its environment but the dev server."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(AWS), "iot", *words, "--output", "json"],
            cwd=tmp_path,
            env=dev.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture
def aws(run: Callable[..., subprocess.CompletedProcess[str]]) -> Callable[..., Any]:
    """Run a command that must succeed: what it printed."""

    def aws(*words: str) -> Any:
        done = run(*words)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    return aws


@pytest.mark.timeout(240)  # a whole Python starts for each command
def test_the_tutorial_on_the_command_line(
    dev: DevServer,
    name: str,
    tmp_path: Path,
    connect: Connect,
    aws: Callable[..., Any],
    run: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    documents = {
        "production": production_policy(name),
        "claim": claim_policy(name),
        "template": template_body(f"{name}-production"),
    }
    for file, text in documents.items():
        (tmp_path / f"{file}.json").write_text(text)

    for policy in ("production", "claim"):
        aws("create-policy", "--policy-name", f"{name}-{policy}", "--policy-document", f"file://{policy}.json")
    files = ["--certificate-pem-outfile", "claim.pem", "--private-key-outfile", "claim.key"]
    claim = aws("create-keys-and-certificate", "--set-as-active", "--public-key-outfile", "claim.pub", *files)
    assert (tmp_path / "claim.key").stat().st_mode & 0o077 == 0
    assert (tmp_path / "claim.pub").read_text() == claim["keyPair"]["PublicKey"]
    aws("attach-policy", "--policy-name", f"{name}-claim", "--target", claim["certificateArn"])
    hook = f"targetArn=arn:aws:lambda:{dev.region}:{dev.account}:function:approve,payloadVersion=2020-04-01"
    options = ["--template-body", "file://template.json", "--enabled", "--pre-provisioning-hook", hook]
    aws("create-provisioning-template", "--template-name", name, "--provisioning-role-arn", ROLE, *options)
    shown = aws("describe-provisioning-template", "--template-name", name)
    assert json.loads(shown["templateBody"]) == json.loads(documents["template"])
    assert shown["enabled"] is True

    identity = Identity(tmp_path / "claim.pem", tmp_path / "claim.key", claim["certificateId"])
    batch = Batch(name, identity, identity)
    made = connect(identity, f"{name}-new", to=dev).provision(batch, f"{name}-1")
    device = connect(made.identity, made.thing, to=dev)
    topic = batch.topic(made.thing)
    assert device.subscribe(topic) == [1]
    assert device.publish(topic, b"21.5") == 0
    assert device.receive() == (topic, b"21.5", 1)
    assert device.publish(batch.topic("somebody-else")) == NOT_AUTHORIZED

    arn = dev.arn("cert", made.identity.fingerprint)
    assert aws("describe-thing", "--thing-name", made.thing)["thingArn"] == dev.arn("thing", made.thing)
    assert aws("list-thing-principals", "--thing-name", made.thing)["principals"] == [arn]
    assert [each["policyName"] for each in aws("list-attached-policies", "--target", arn)["policies"]] == [batch.policy]

    aws("update-certificate", "--certificate-id", made.identity.fingerprint, "--new-status", "INACTIVE")
    device.closed()
    refused = run("delete-thing", "--thing-name", made.thing)
    assert refused.returncode != 0
    assert "(InvalidRequestException)" in refused.stderr
    aws("detach-thing-principal", "--thing-name", made.thing, "--principal", arn)
    aws("delete-thing", "--thing-name", made.thing)
    aws("delete-certificate", "--certificate-id", made.identity.fingerprint, "--force-delete")
    aws("delete-policy", "--policy-name", batch.policy)
    aws("delete-provisioning-template", "--template-name", name)
    assert "(ResourceNotFoundException)" in run("describe-thing", "--thing-name", made.thing).stderr


def test_a_device_made_by_hand(
    dev: DevServer, name: str, tmp_path: Path, connect: Connect, version: int, aws: Callable[..., Any]
) -> None:
    request, key = signing_request(name=name)
    (tmp_path / "device.csr").write_text(request)
    (tmp_path / "device.key").write_text(key)
    csr = ["--certificate-signing-request", "file://device.csr", "--certificate-pem-outfile", "device.pem"]
    made = aws("create-certificate-from-csr", "--set-as-active", *csr)
    document = policy_document(
        statement("iot:Connect", "client/${iot:Certificate.Subject.CommonName}"),
        statement("iot:Publish", f"topic/{name}"),
    )
    aws("create-policy", "--policy-name", name, "--policy-document", document)
    aws("attach-policy", "--policy-name", name, "--target", made["certificateArn"])
    identity = Identity(tmp_path / "device.pem", tmp_path / "device.key", made["certificateId"])
    device = connect(identity, name, version, to=dev)
    assert device.publish(name) == 0
    try:
        assert device.publish(f"{name}/elsewhere") == NOT_AUTHORIZED
    except Closed:
        assert version < 5


def test_pages_on_the_command_line(name: str, dev: DevServer, aws: Callable[..., Any]) -> None:
    for number in range(5):
        attributes: Any = {"attributes": {"batch": name}}
        dev.iot().create_thing(thingName=f"{name}-{number}", attributePayload=attributes)
    chosen = ["--attribute-name", "batch", "--attribute-value", name]
    things = aws("list-things", *chosen, "--page-size", "2")["things"]
    assert [each["thingName"] for each in things] == [f"{name}-{number}" for number in range(5)]
    first = aws("list-things", *chosen, "--max-items", "3", "--page-size", "2")
    rest = aws("list-things", *chosen, "--starting-token", first["NextToken"])
    assert [each["thingName"] for each in first["things"] + rest["things"]] == [f"{name}-{n}" for n in range(5)]
