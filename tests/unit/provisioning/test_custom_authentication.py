from __future__ import annotations

import asyncio
import base64
import json
import uuid
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from tests.fleet import opened

from fleetgate.errors import AccessDenied, FunctionTimedOut, InvalidRequest
from fleetgate.names import Act, Realm
from fleetgate.pki.keys import public_key_pem
from fleetgate.provisioning import custom_authentication as custom
from fleetgate.provisioning.custom_authentication import CustomAuthentication, InvalidAnswer, Presented
from fleetgate.registry.authorizers import Authorizer, Status

REALM = Realm("123456789012", "us-east-1")
ACT = Act(REALM, "unknown", 1_790_000_000_000, str(uuid.UUID(int=7)))
CURVE = ec.generate_private_key(ec.SECP256R1())
FACTORS = rsa.generate_private_key(65537, 2048)
DOCUMENT = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}'
YES = {"isAuthenticated": True, "principalId": "me1", "policyDocuments": [DOCUMENT]}


def authorizer(**more: Any) -> Authorizer:
    made = Authorizer("a", "arn", "token", {}, Status.ACTIVE, True, False, False, 0, 0)
    return replace(made, **more)


def signed(*keys: Any) -> Authorizer:
    named = {str(number): public_key_pem(key.public_key()) for number, key in enumerate(keys)}
    return authorizer(signing_disabled=False, token_keys=named)


def signature(key: Any, token: str) -> str:
    if isinstance(key, rsa.RSAPrivateKey):
        return base64.b64encode(key.sign(token.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()
    return base64.b64encode(key.sign(token.encode(), ec.ECDSA(hashes.SHA256()))).decode()


# --- present ----------------------------------------------------------------------------------------------------------


def test_a_user_name_with_its_query() -> None:
    username = "me?x-amz-customauthorizer-name=my%2Dauth&x-amz-customauthorizer-signature=a+b/c%3D%3D&token=t%26u"
    found = custom.of_mqtt(username, b"\xff", "client", "iot.example")
    assert (found.authorizer, found.signature) == ("my-auth", "a+b/c==")
    assert found.token_for(authorizer()) == "t&u"
    assert found.token_for(authorizer(token_key_name="other")) is None
    assert found.token_for(authorizer(token_key_name=None)) is None
    assert found.protocols == ("tls", "mqtt")
    assert found.data == {
        "tls": {"serverName": "iot.example"},
        "mqtt": {"username": username, "password": "/w==", "clientId": "client"},
    }


def test_what_is_not_sent_is_not_shown() -> None:
    found = custom.of_mqtt(None, None, "", None)
    assert (found.authorizer, found.signature, found.data) == (None, None, {"tls": {}, "mqtt": {}})


def test_metrics_behind_a_second_question_mark_are_no_part_of_the_token() -> None:
    found = custom.of_mqtt("me?x-amz-customauthorizer-name=a&token=t?SDK=JavaV2&Version=1", None, "c", None)
    assert (found.authorizer, found.token_for(authorizer())) == ("a", "t")


@pytest.mark.parametrize("username", [None, "", "?SDK=IoTDeviceSDK/Python&Platform=Unix", "name"])
def test_user_names_that_ask_for_no_authorizer(username: str | None) -> None:
    assert not custom.names_authorizer(username)


def test_headers_win_over_the_query() -> None:
    headers = {"x-amz-customauthorizer-name": "header", "token": "h"}
    found = custom.of_http(headers, "x-amz-customauthorizer-name=query&other=1", "iot.example")
    assert (found.authorizer, found.token_for(authorizer(token_key_name="Token"))) == ("header", "h")
    assert found.protocols == ("tls", "http")
    query = "?x-amz-customauthorizer-name=query&other=1"
    assert found.data["http"] == {"headers": headers, "queryString": query}


def test_a_connect_over_a_websocket_has_both() -> None:
    request = custom.of_http({"token": "t"}, "x-amz-customauthorizer-name=a", "iot.example")
    both = custom.with_mqtt(request, custom.of_mqtt("me", b"p", "c", "iot.example"))
    assert (both.authorizer, both.token_for(authorizer()), both.protocols) == ("a", "t", ("tls", "http", "mqtt"))
    assert set(both.data) == {"tls", "http", "mqtt"}
    named = custom.of_mqtt("?x-amz-customauthorizer-name=b", None, "c", "iot.example")
    assert custom.with_mqtt(request, named).authorizer == "b"


def test_nothing_that_was_presented_is_shown() -> None:
    secret = "s3cret"
    found = custom.of_mqtt(f"{secret}?token={secret}", secret.encode(), secret, None)
    assert secret not in repr(found)
    assert secret not in repr(replace(found, token=secret, signature=secret))


# --- signatures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [CURVE, FACTORS], ids=["ec", "rsa"])
def test_one_of_the_keys_must_have_signed_the_token(key: Any) -> None:
    both, other = signed(CURVE, FACTORS), signed(ec.generate_private_key(ec.SECP384R1()))
    made = signature(key, "token+ü")
    assert custom.is_signed(both, "token+ü", made)
    assert custom.is_signed(both, "token+ü", made.replace("+", " "))
    assert not custom.is_signed(both, "token", made)
    assert not custom.is_signed(other, "token+ü", made)
    assert not custom.is_signed(authorizer(), "token+ü", made)


@pytest.mark.parametrize("text", ["", "no base64!", "AAAA", "ü"])
def test_signatures_that_are_none(text: str) -> None:
    assert not custom.is_signed(signed(CURVE, FACTORS), "token", text)


def test_keys_that_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="no public key in PEM"):
        custom.token_key("PEM")
    short = public_key_pem(rsa.generate_private_key(65537, 1024).public_key())
    with pytest.raises(InvalidRequest, match="1024 bits"):
        custom.token_key(short)


# --- the answer -------------------------------------------------------------------------------------------------------


def test_a_whole_answer() -> None:
    permit = custom.read({**YES, "disconnectAfterInSeconds": 300, "refreshAfterInSeconds": 600, "context": {}}, "a")
    assert permit is not None
    assert (permit.principal_id, permit.disconnect_after, permit.refresh_after) == ("me1", 300, 600)
    assert permit.documents == (DOCUMENT,)
    assert [each.name for each in permit.policies] == ["a/policyDocuments[0]"]


def test_times_that_are_left_out_are_a_day_and_documents_may_be_objects() -> None:
    permit = custom.read({**YES, "policyDocuments": [json.loads(DOCUMENT)]}, "a")
    assert permit is not None
    assert (permit.disconnect_after, permit.refresh_after) == (86_400, 86_400)
    assert json.loads(permit.documents[0]) == json.loads(DOCUMENT)


def test_a_no_needs_nothing_else() -> None:
    assert custom.read({"isAuthenticated": False}, "a") is None


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"isAuthenticated": "true"}, "isAuthenticated"),
        ({"isAuthenticated": None}, "isAuthenticated"),
        ({"isAuthenticated": 1}, "isAuthenticated"),
        ({"principalId": "no-hyphens"}, "principalId"),
        ({"principalId": "x" * 129}, "principalId"),
        ({"principalId": ""}, "principalId"),
        ({"principalId": "ä"}, "principalId"),
        ({"principalId": None}, "principalId"),
        ({"policyDocuments": []}, "policyDocuments"),
        ({"policyDocuments": DOCUMENT}, "policyDocuments"),
        ({"policyDocuments": [DOCUMENT] * 11}, "policyDocuments"),
        ({"policyDocuments": ["{}"]}, r"policyDocuments\[0\]"),
        ({"policyDocuments": [DOCUMENT, 5]}, r"policyDocuments\[1\]"),
        ({"policyDocuments": [DOCUMENT.replace('"*"', f'"arn:aws:iot:a:b:{"x" * 2048}"')]}, r"policyDocuments\[0\]"),
        ({"disconnectAfterInSeconds": 86_401}, "disconnectAfterInSeconds"),
        ({"disconnectAfterInSeconds": True}, "disconnectAfterInSeconds"),
        ({"refreshAfterInSeconds": 0}, "refreshAfterInSeconds"),
        ({"refreshAfterInSeconds": "300"}, "refreshAfterInSeconds"),
    ],
)
def test_answers_that_let_nobody_in(wrong: Mapping[str, Any], problem: str) -> None:
    with pytest.raises(InvalidAnswer, match=problem):
        custom.read({**YES, **wrong}, "a")


@pytest.mark.parametrize("answer", [None, True, "yes", [YES], 1])
def test_answers_that_are_no_object(answer: Any) -> None:
    with pytest.raises(InvalidAnswer, match="no object"):
        custom.read(answer, "a")


def test_every_problem_at_once() -> None:
    with pytest.raises(InvalidAnswer, match=r"(?s)isAuthenticated.*principalId.*policyDocuments"):
        custom.read({}, "a")


# --- ask --------------------------------------------------------------------------------------------------------------


class Called:
    """The port `Functions`: answers as it is told, when it is told."""

    def __init__(self) -> None:
        self.answer: Any = YES
        self.asked: list[tuple[str, Any, int]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def invoke(self, act: Act, target_arn: str, payload: Any, time_limit: int = 30_000) -> Any:
        self.asked.append((target_arn, payload, time_limit))
        await self.gate.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
async def desk(tmp_path: Path) -> Any:
    async with opened(tmp_path) as house:
        functions = Called()
        yield CustomAuthentication(replace(house.runtime, functions=functions)), functions


CONNECT = custom.of_mqtt("me?token=t", b"secret", "c", "iot.example")


async def test_the_function_is_given_awss_event(desk: Any) -> None:
    custom_authentication, functions = desk
    permit = await custom_authentication.ask(ACT, authorizer(), CONNECT)
    assert permit.principal_id == "me1"
    [(target, event, limit)] = functions.asked
    assert (target, limit) == ("arn", 5_000)
    assert event == {
        "token": "t",
        "signatureVerified": False,
        "protocols": ["tls", "mqtt"],
        "protocolData": {
            "tls": {"serverName": "iot.example"},
            "mqtt": {"username": "me?token=t", "password": "c2VjcmV0", "clientId": "c"},
        },
        "connectionMetadata": {"id": ACT.request_id},
    }


async def test_a_token_must_be_signed_before_anybody_is_asked(desk: Any) -> None:
    custom_authentication, functions = desk
    asking = signed(CURVE)
    bare = replace(CONNECT, signature=None)
    wrong = replace(CONNECT, signature=signature(FACTORS, "t"))
    for presented, why in ((bare, "asks for a signed token"), (wrong, "signature is none")):
        with pytest.raises(AccessDenied, match=why):
            await custom_authentication.ask(ACT, asking, presented)
    assert functions.asked == []
    await custom_authentication.ask(ACT, asking, replace(CONNECT, signature=signature(CURVE, "t")))
    assert functions.asked[0][1]["signatureVerified"] is True


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"isAuthenticated": False}, "did not authenticate"),
        ({"isAuthenticated": True}, "cannot be used"),
        (FunctionTimedOut("too slow"), "failed: too slow"),
    ],
)
async def test_whatever_goes_wrong_lets_nobody_in(desk: Any, answer: Any, why: str) -> None:
    custom_authentication, functions = desk
    functions.answer = answer
    with pytest.raises(AccessDenied, match=why):
        await custom_authentication.ask(ACT, authorizer(), CONNECT)


async def test_so_many_may_wait_for_one_function(desk: Any) -> None:
    custom_authentication, functions = desk
    functions.gate.clear()
    waiting = [
        asyncio.create_task(custom_authentication.ask(ACT, authorizer(), CONNECT)) for _ in range(custom.MOST_AT_ONCE)
    ]
    await asyncio.sleep(0)
    with pytest.raises(AccessDenied, match="too slow"):
        await custom_authentication.ask(ACT, authorizer(), CONNECT)
    other = asyncio.create_task(custom_authentication.ask(ACT, authorizer(name="b"), CONNECT))
    functions.gate.set()
    await asyncio.gather(*waiting, other)
    assert (await custom_authentication.ask(ACT, authorizer(), CONNECT)).principal_id == "me1"


def test_a_token_that_is_known_is_the_token() -> None:
    assert Presented(None, None, {}, (), {}, "t").token_for(authorizer(token_key_name=None)) == "t"
