"""A certificate goes to another account, with its device: accepted, rejected, cancelled, cancelled too late."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.api.conftest import Account, opened
from tests.journeys.paho_device import Closed, Device
from tests.server import Identity, Live

from fleetgate.registry import audit
from fleetgate.registry.events import CertificateStatusChanged

Connect = Callable[..., Device]
ANYTHING = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}'


@pytest.fixture
def maker(live: Live) -> Account:
    return opened(live)


@pytest.fixture
def buyer(live: Live) -> Account:
    return opened(live)


@pytest.fixture
def stranger(live: Live) -> Any:
    """A client of a third account."""
    return opened(live).client()


@pytest.fixture
def made(live: Live, maker: Account, name: str) -> Identity:
    """A device certificate of the maker's, active, with a policy and a thing."""
    iot = maker.client()
    made = iot.create_keys_and_certificate(setAsActive=True)
    iot.create_policy(policyName="p", policyDocument=ANYTHING)
    iot.create_thing(thingName="pump")
    iot.attach_policy(policyName="p", target=made["certificateArn"])
    iot.attach_thing_principal(thingName="pump", principal=made["certificateArn"])
    return live.keep(name, made["certificatePem"], made["keyPair"]["PrivateKey"], made["certificateId"])


@pytest.fixture
def freed(maker: Account, made: Identity) -> str:
    """The certificate, INACTIVE and with nothing attached: its id."""
    iot, arn = maker.client(), maker.realm.arn("cert", made.fingerprint)
    iot.update_certificate(certificateId=made.fingerprint, newStatus="INACTIVE")
    iot.detach_policy(policyName="p", target=arn)
    iot.detach_thing_principal(thingName="pump", principal=arn)
    return made.fingerprint


def described(account: Account, fingerprint: str) -> Any:
    return account.client().describe_certificate(certificateId=fingerprint)["certificateDescription"]


def listed(account: Account) -> dict[str, Any]:
    return {each["certificateId"]: each for each in account.client().list_certificates()["certificates"]}


def test_accepted(
    live: Live, maker: Account, buyer: Account, stranger: Any, made: Identity, name: str, connect: Connect
) -> None:
    """The device of the old owner is sent away; with the same certificate it comes to the new one."""
    iot, arn = maker.client(), maker.realm.arn("cert", made.fingerprint)
    device = connect(made, name)
    give = {"certificateId": made.fingerprint, "targetAwsAccount": buyer.realm.account, "transferMessage": "for you"}
    with pytest.raises(iot.exceptions.CertificateStateException, match="ACTIVE"):
        iot.transfer_certificate(**give)
    iot.update_certificate(certificateId=made.fingerprint, newStatus="INACTIVE")
    device.closed()
    with pytest.raises(iot.exceptions.TransferConflictException) as refused:
        iot.transfer_certificate(**give)
    assert "Policies are attached" in str(refused.value)
    assert "Things are attached" in str(refused.value)
    iot.detach_policy(policyName="p", target=arn)
    iot.detach_thing_principal(thingName="pump", principal=arn)
    assert iot.transfer_certificate(**give)["transferredCertificateArn"] == arn

    [outgoing] = iot.list_outgoing_certificates()["outgoingCertificates"]
    assert (outgoing["certificateArn"], outgoing["transferredTo"]) == (arn, buyer.realm.account)
    assert outgoing["transferMessage"] == "for you"
    for each in (maker, buyer):
        shown = described(each, made.fingerprint)
        assert (shown["status"], shown["ownedBy"], shown["certificateArn"]) == (
            "PENDING_TRANSFER",
            maker.realm.account,
            arn,
        )
        assert shown["transferData"] == {"transferMessage": "for you", "transferDate": outgoing["transferDate"]}
        assert "previousOwnedBy" not in shown
        assert listed(each)[made.fingerprint]["status"] == "PENDING_TRANSFER"
        with pytest.raises(iot.exceptions.CertificateStateException):
            each.client().update_certificate(certificateId=made.fingerprint, newStatus="ACTIVE")
    with pytest.raises(Closed):
        connect(made, name)
    nothing_for(stranger, made.fingerprint)

    new = buyer.client()
    new.accept_certificate_transfer(certificateId=made.fingerprint, setAsActive=True)
    shown = described(buyer, made.fingerprint)
    assert (shown["status"], shown["ownedBy"], shown["previousOwnedBy"]) == (
        "ACTIVE",
        buyer.realm.account,
        maker.realm.account,
    )
    assert shown["certificateArn"] == buyer.realm.arn("cert", made.fingerprint)
    assert set(shown["transferData"]) == {"transferMessage", "transferDate", "acceptDate"}
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.describe_certificate(certificateId=made.fingerprint)
    assert listed(maker) == {}
    assert iot.list_outgoing_certificates()["outgoingCertificates"] == []
    with pytest.raises(iot.exceptions.TransferAlreadyCompletedException) as late:
        iot.cancel_certificate_transfer(certificateId=made.fingerprint)
    assert late.value.response["ResponseMetadata"]["HTTPStatusCode"] == 410
    assert described(buyer, made.fingerprint)["status"] == "ACTIVE"

    new.create_policy(policyName="p", policyDocument=ANYTHING)
    new.attach_policy(policyName="p", target=shown["certificateArn"])
    assert connect(made, name).publish("a/b") == 0
    audited(live, maker, buyer, ["TransferCertificate", "AcceptCertificateTransfer"])


def nothing_for(stranger: Any, fingerprint: str) -> None:
    """A third account neither sees the certificate nor has a part in its transfer."""
    assert stranger.list_certificates()["certificates"] == []
    assert stranger.list_outgoing_certificates()["outgoingCertificates"] == []
    for operation in (
        stranger.describe_certificate,
        stranger.accept_certificate_transfer,
        stranger.reject_certificate_transfer,
        stranger.cancel_certificate_transfer,
    ):
        with pytest.raises(stranger.exceptions.ResourceNotFoundException):
            operation(certificateId=fingerprint)


def audited(live: Live, maker: Account, buyer: Account, actions: list[str]) -> None:
    for account, other in ((maker, buyer), (buyer, maker)):
        entries = [
            entry
            for action in actions
            for entry in live.read(lambda tx: audit.page(tx, account.realm, action=action)).items  # noqa: B023 # at once
            if entry.outcome == "ok"
        ]
        assert [entry.action for entry in entries] == actions
        own = f"arn:aws:iam::{account.realm.account}:access-key/{account.key.id}"
        assert {entry.actor for entry in entries} == {own, f"account/{other.realm.account}"}


def test_rejected(maker: Account, buyer: Account, freed: str, live: Live) -> None:
    iot, other = maker.client(), buyer.client()
    iot.transfer_certificate(certificateId=freed, targetAwsAccount=buyer.realm.account, transferMessage="for you")
    other.reject_certificate_transfer(certificateId=freed, rejectReason="not ordered")
    shown = described(maker, freed)
    assert (shown["status"], shown["ownedBy"]) == ("INACTIVE", maker.realm.account)
    assert shown["transferData"]["rejectReason"] == "not ordered"
    assert set(shown["transferData"]) == {"transferMessage", "transferDate", "rejectReason", "rejectDate"}
    assert listed(buyer) == {}
    with pytest.raises(other.exceptions.ResourceNotFoundException):
        other.accept_certificate_transfer(certificateId=freed)
    iot.update_certificate(certificateId=freed, newStatus="ACTIVE")
    audited(live, maker, buyer, ["TransferCertificate", "RejectCertificateTransfer"])


def test_cancelled(maker: Account, buyer: Account, freed: str, live: Live) -> None:
    iot, other = maker.client(), buyer.client()
    iot.transfer_certificate(certificateId=freed, targetAwsAccount=buyer.realm.account)
    for _ in range(2):  # a client whose answer was lost asks again
        iot.cancel_certificate_transfer(certificateId=freed)
    assert described(maker, freed)["status"] == "INACTIVE"
    assert listed(buyer) == {}
    for operation in (other.accept_certificate_transfer, other.reject_certificate_transfer):
        with pytest.raises(other.exceptions.ResourceNotFoundException):
            operation(certificateId=freed)
    iot.transfer_certificate(certificateId=freed, targetAwsAccount=buyer.realm.account)
    other.accept_certificate_transfer(certificateId=freed)
    assert described(buyer, freed)["status"] == "INACTIVE"


def test_on_the_command_line(live: Live, maker: Account, buyer: Account, freed: str, tmp_path: Path) -> None:
    def aws(account: Account, *words: str) -> Any:
        done = subprocess.run(
            [str(Path(sys.executable).with_name("aws")), "iot", *words, "--output", "json"],
            env={
                "PATH": "/usr/bin",
                "HOME": str(tmp_path),
                "AWS_ENDPOINT_URL": live.api_url,
                "AWS_ACCESS_KEY_ID": account.key.id,
                "AWS_SECRET_ACCESS_KEY": account.key.secret,
                "AWS_DEFAULT_REGION": account.realm.region,
                "AWS_EC2_METADATA_DISABLED": "true",
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    target = ["--target-aws-account", buyer.realm.account, "--transfer-message", "for you"]
    aws(maker, "transfer-certificate", "--certificate-id", freed, *target)
    [outgoing] = aws(maker, "list-outgoing-certificates")["outgoingCertificates"]
    assert outgoing["certificateId"] == freed
    aws(buyer, "accept-certificate-transfer", "--certificate-id", freed)
    live.happenings.wait_for(lambda event: event == CertificateStatusChanged(freed, "INACTIVE", "PENDING_TRANSFER"))
    assert described(buyer, freed)["status"] == "INACTIVE"
