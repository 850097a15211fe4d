"""Who signed a request, as any door may ask. What operators may do is tested through the API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from tests.runtime import REGION, URL, Installed, installed

from fleetgate.errors import AccessDenied, InvalidRequest
from fleetgate.names import Realm
from fleetgate.operators import Kind, Operator, Operators, realm
from fleetgate.policy.document import IAM, parse
from fleetgate.policy.evaluate import Named
from fleetgate.registry import access_keys, users
from fleetgate.registry.access_keys import Status
from fleetgate.wire.restjson.message import Request
from fleetgate.wire.restjson.sigv4 import Credential, SignatureRefused

TOPIC = "arn:aws:iot:us-east-1:123456789012:topic/"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    with installed(tmp_path_factory.mktemp("installation")) as running:
        yield running


@pytest.fixture
def account(house: Installed) -> str:
    return house.account()


@pytest.fixture
def key(house: Installed, account: str) -> Credentials:
    return house.operator(account)


@pytest.fixture
def credential(key: Credentials) -> Credential:
    return Credential(str(key.access_key), "20260101", REGION, "iot", ("host",), "0" * 64, None, "header", "", 0)


def named(text: str) -> Named:
    return Named("p", "1", parse(text, IAM))


def policy(effect: str, action: str, resource: str) -> Named:
    statement = {"Effect": effect, "Action": action, "Resource": resource}
    return named(json.dumps({"Version": "2012-10-17", "Statement": statement}))


def presigned(key: Credentials) -> Request:
    """As a WebSocket client asks to connect."""
    request = AWSRequest("GET", f"{URL}/mqtt")
    SigV4QueryAuth(key, "iotdevicegateway", REGION, expires=60).add_auth(request)
    url = urlsplit(str(request.url))
    return Request("GET", url.path, url.query, {"host": url.netloc}, b"")


def test_a_presigned_request_is_from_whoever_signed_it(house: Installed, key: Credentials, account: str) -> None:
    doors = Operators(house.runtime)
    request = presigned(key)
    credential, operator = house.run(doors.identify(request, house.clock(), frozenset({"websocket"})))
    assert (credential.region, credential.service) == (REGION, "iotdevicegateway")
    assert (operator.kind, operator.account, operator.unbounded) == (Kind.ACCOUNT, account, True)
    assert operator.standing().decide("iot:Publish", TOPIC + "a")
    with pytest.raises(SignatureRefused) as caught:
        house.run(doors.identify(request, house.clock()))
    assert caught.value.code == "IncompleteSignatureException"
    altered = replace(request, raw_path="/other")
    with pytest.raises(SignatureRefused) as caught:
        house.run(doors.identify(altered, house.clock(), frozenset({"websocket"})))
    assert caught.value.code == "InvalidSignatureException"


def test_the_accounts_own_keys(house: Installed, credential: Credential, account: str) -> None:
    claimed = house.run(Operators(house.runtime).claimed(credential, house.clock()))
    assert claimed.operator.arn == f"arn:aws:iam::{account}:root"
    assert claimed.operator.actor == f"arn:aws:iam::{account}:access-key/{credential.access_key_id}"
    assert claimed.sealed_secret not in repr(claimed)


def test_keys_that_open_nothing(house: Installed, credential: Credential, account: str) -> None:
    doors = Operators(house.runtime)
    strangers = [
        replace(credential, access_key_id="AKIA" + "X" * 16),
        replace(credential, access_key_id="AKIA\x00" + "X" * 16),
        replace(credential, security_token="token"),
        replace(credential, access_key_id="ASIA" + "X" * 16, security_token="token"),
    ]
    for stranger in strangers:
        with pytest.raises(SignatureRefused) as caught:
            house.run(doors.claimed(stranger, house.clock()))
        assert caught.value.code == "UnrecognizedClientException"
    act = house.runtime.act(Realm(account, REGION), "system")
    house.write(lambda tx: access_keys.set_status(tx, act, credential.access_key_id, Status.INACTIVE))
    with pytest.raises(SignatureRefused):
        house.run(doors.claimed(credential, house.clock()))


def test_a_user_without_policies_may_nothing(house: Installed, account: str) -> None:
    act = house.runtime.act(Realm(account, REGION), "system")
    made = access_keys.generate(house.runtime.entropy)
    sealed = house.runtime.vault.seal(made.secret)
    house.write(lambda tx: users.create(tx, act, "ana"))
    house.write(lambda tx: access_keys.create(tx, act, made.id, label="", sealed_secret=sealed, user_name="ana"))
    request = presigned(Credentials(made.id, made.secret))
    _, operator = house.run(Operators(house.runtime).identify(request, house.clock(), frozenset({"websocket"})))
    assert (operator.arn, operator.unbounded) == (f"arn:aws:iam::{account}:user/ana", False)
    assert not operator.standing().decide("iot:Connect", "*")


def test_what_an_operator_may_do() -> None:
    ana = Operator(
        Kind.USER,
        "123456789012",
        "arn:aws:iam::123456789012:user/ana",
        "AIDA",
        "ana",
        policies=(
            policy("Allow", "iot:Publish", TOPIC + "${aws:username}/*"),
            policy("Deny", "iot:*", TOPIC + "ana/secret"),
        ),
        facts={"aws:username": "ana"},
    )
    standing = ana.standing({"aws:username": "forged"})
    assert standing.decide("iot:Publish", TOPIC + "ana/x")
    assert not standing.decide("iot:Publish", TOPIC + "forged/x")
    with pytest.raises(AccessDenied, match=r"with an explicit deny in an identity-based policy$"):
        standing.require("iot:Publish", TOPIC + "ana/secret")
    narrowed = replace(ana, session_policies=(policy("Allow", "iot:Publish", TOPIC + "ana/y"),)).standing()
    assert narrowed.decide("iot:Publish", TOPIC + "ana/y")
    with pytest.raises(AccessDenied, match=r"because no session policy allows the iot:Publish action$"):
        narrowed.require("iot:Publish", TOPIC + "ana/x")


def test_a_realm_is_an_account_and_any_region() -> None:
    assert realm("123456789012", "eu-west-3") == Realm("123456789012", "eu-west-3")
    with pytest.raises(InvalidRequest, match="us-east-1"):
        realm("123456789012", "nowhere")
