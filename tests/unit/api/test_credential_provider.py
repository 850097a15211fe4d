"""What the credential provider does when it is asked often; what it answers is in tests/journeys/test_operators.py."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from botocore.credentials import Credentials
from tests.runtime import Installed

from fleetgate.api.credential_provider import BURST, EVERY, SERVICE, CredentialProvider, Rate
from fleetgate.errors import Throttled
from fleetgate.names import Realm


def test_a_burst_and_then_one_by_one() -> None:
    rate = Rate()
    for _ in range(BURST):
        rate.admit("a", 0)
    with pytest.raises(Throttled, match="Use the credentials that you have"):
        rate.admit("a", EVERY - 1)
    rate.admit("b", 0)
    rate.admit("a", EVERY)
    with pytest.raises(Throttled):
        rate.admit("a", EVERY)
    for _ in range(BURST):
        rate.admit("a", 10 * BURST * EVERY)


def test_those_who_rested_are_forgotten() -> None:
    rate = Rate()
    for number in range(30_000):
        rate.admit(f"n{number}", number * EVERY)
    assert len(rate._rested_at) <= 10_001


@pytest.fixture
def scope(house: Installed, operator: Credentials, iot: Any, realm: Realm) -> dict[str, Any]:
    """A device's request for credentials that it may have."""
    iam = house.client(operator, service="iam")
    trust = {"Effect": "Allow", "Principal": {"Service": SERVICE}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    alias = iot.create_role_alias(roleAlias="a", roleArn=role)["roleAliasArn"]
    made = iot.create_keys_and_certificate(setAsActive=True)
    allow = {"Effect": "Allow", "Action": "iot:AssumeRoleWithCertificate", "Resource": alias}
    iot.create_policy(policyName="p", policyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allow]}))
    iot.attach_policy(policyName="p", target=made["certificateArn"])
    return {
        "type": "http",
        "method": "GET",
        "raw_path": b"/role-aliases/a/credentials",
        "headers": [],
        "client": ("192.0.2.1", 1),
        "extensions": {"tls": {"client_cert_chain": [made["certificatePem"]], "server_name": None}},
    }


def test_a_certificate_that_asks_on_and_on_makes_no_more_rows(house: Installed, scope: dict[str, Any]) -> None:
    provider = CredentialProvider(house.runtime)
    assert provider.serves(scope)
    answers = [house.run(provider.answer(scope)) for _ in range(BURST + 1)]
    assert [answer.status for answer in answers] == [200] * BURST + [429]
    told = json.loads(answers[-1].body)
    assert told["message"].startswith("Too many requests.")
    assert house.refusals[-1].act.request_id == told["traceId"]
    assert "more than 20 times at once" in house.refusals[-1].reason


def test_a_conflict_is_answered(house: Installed, scope: dict[str, Any]) -> None:
    """An access key id that is drawn twice."""
    provider = CredentialProvider(replace(house.runtime, entropy=lambda count: b"\x07" * count))
    assert house.run(provider.answer(scope)).status == 200
    answer = house.run(provider.answer(scope))
    assert (answer.status, b"Try again" in answer.body, b"UNIQUE" in answer.body) == (503, True, False)
