from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from tests.runtime import Installed

from fleetgate.names import Realm
from fleetgate.pki.keys import public_key_pem
from fleetgate.registry import functions

KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC = public_key_pem(KEY.public_key())
HANDLER = """
import json

def lambda_handler(event, context):
    if event.get("token") == "echo":
        statement = {"Effect": "Allow", "Action": "iot:Connect", "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Id": json.dumps(event), "Statement": [statement]})
        return {
            "isAuthenticated": True,
            "principalId": "echo",
            "policyDocuments": [document],
            "disconnectAfterInSeconds": 3600,
            "refreshAfterInSeconds": 300,
        }
    return {"isAuthenticated": False} if event.get("token") == "no" else {"isAuthenticated": True}
"""


@pytest.fixture
def function(house: Installed, realm: Realm, tmp_path: Path) -> str:
    """A function's ARN, with a handler behind it."""
    file = tmp_path / "authorize.py"
    file.write_text(HANDLER)
    act = house.runtime.act(realm, "system")
    house.write(lambda tx: functions.put(tx, act, "authorize", str(file), "lambda_handler"))
    return arn(realm, "authorize")


def arn(realm: Realm, name: str) -> str:
    return f"arn:aws:lambda:{realm.region}:{realm.account}:function:{name}"


def signature(token: str) -> str:
    return base64.b64encode(KEY.sign(token.encode(), ec.ECDSA(hashes.SHA256()))).decode()


def named(page: Any) -> list[str]:
    return [each["authorizerName"] for each in page["authorizers"]]


def test_an_authorizer_lives_and_dies(iot: Any, realm: Realm) -> None:
    made = iot.create_authorizer(
        authorizerName="a",
        authorizerFunctionArn=arn(realm, "f"),
        tokenKeyName="token",
        tokenSigningPublicKeys={"one": PUBLIC},
        tags=[{"Key": "k", "Value": "v"}],
    )
    assert (made["authorizerName"], made["authorizerArn"]) == ("a", realm.arn("authorizer", "a"))
    assert iot.list_tags_for_resource(resourceArn=made["authorizerArn"])["tags"] == [{"Key": "k", "Value": "v"}]
    found = iot.describe_authorizer(authorizerName="a")["authorizerDescription"]
    assert found["authorizerFunctionArn"] == arn(realm, "f")
    assert (found["tokenKeyName"], found["tokenSigningPublicKeys"]) == ("token", {"one": PUBLIC})
    assert (found["status"], found["signingDisabled"], found["enableCachingForHttp"]) == ("INACTIVE", False, False)
    assert found["creationDate"] == found["lastModifiedDate"]
    with pytest.raises(iot.exceptions.ResourceAlreadyExistsException):
        iot.create_authorizer(authorizerName="a", authorizerFunctionArn=arn(realm, "f"), signingDisabled=True)
    iot.update_authorizer(authorizerName="a", status="ACTIVE", tokenSigningPublicKeys={"two": PUBLIC})
    found = iot.describe_authorizer(authorizerName="a")["authorizerDescription"]
    assert (found["status"], found["tokenKeyName"]) == ("ACTIVE", "token")
    assert found["tokenSigningPublicKeys"] == {"two": PUBLIC}
    with pytest.raises(iot.exceptions.DeleteConflictException):
        iot.delete_authorizer(authorizerName="a")
    iot.update_authorizer(authorizerName="a", status="INACTIVE")
    iot.delete_authorizer(authorizerName="a")
    for call in (iot.describe_authorizer, iot.delete_authorizer, iot.update_authorizer, iot.test_invoke_authorizer):
        with pytest.raises(iot.exceptions.ResourceNotFoundException):
            call(authorizerName="a")


def test_lists(iot: Any, realm: Realm) -> None:
    for name, status in (("a", "ACTIVE"), ("b", "INACTIVE"), ("c", "ACTIVE")):
        iot.create_authorizer(
            authorizerName=name, authorizerFunctionArn=arn(realm, "f"), signingDisabled=True, status=status
        )
    assert named(iot.list_authorizers(ascendingOrder=True)) == ["a", "b", "c"]
    assert sorted(named(iot.list_authorizers(status="ACTIVE"))) == ["a", "c"]
    pages = iot.get_paginator("list_authorizers").paginate(PaginationConfig={"PageSize": 2})
    assert [named(page) for page in pages] == [["c", "b"], ["a"]]


def test_the_default_one(iot: Any, realm: Realm) -> None:
    for call in (iot.describe_default_authorizer, iot.clear_default_authorizer):
        with pytest.raises(iot.exceptions.ResourceNotFoundException):
            call()
    for name in ("a", "b"):
        iot.create_authorizer(authorizerName=name, authorizerFunctionArn=arn(realm, "f"), signingDisabled=True)
    assert iot.set_default_authorizer(authorizerName="a")["authorizerArn"] == realm.arn("authorizer", "a")
    assert iot.describe_default_authorizer()["authorizerDescription"]["authorizerName"] == "a"
    with pytest.raises(iot.exceptions.ResourceAlreadyExistsException):
        iot.set_default_authorizer(authorizerName="b")
    with pytest.raises(iot.exceptions.DeleteConflictException):
        iot.delete_authorizer(authorizerName="a")
    iot.clear_default_authorizer()
    iot.set_default_authorizer(authorizerName="b")
    iot.delete_authorizer(authorizerName="a")


def test_what_cannot_be_an_authorizer(iot: Any, realm: Realm) -> None:
    invalid = iot.exceptions.InvalidRequestException
    with pytest.raises(invalid, match=r"(?s)not the ARN of a function.*\[k\]: it is no public key.*give tokenKeyName"):
        iot.create_authorizer(authorizerName="a", authorizerFunctionArn="f", tokenSigningPublicKeys={"k": "PEM"})
    elsewhere = arn(Realm(realm.account, "eu-west-1"), "f")
    with pytest.raises(invalid, match="this account and region"):
        iot.create_authorizer(authorizerName="a", authorizerFunctionArn=elsewhere, signingDisabled=True)
    iot.create_authorizer(authorizerName="a", authorizerFunctionArn=arn(realm, "f"), signingDisabled=True)
    with pytest.raises(invalid, match="Signing is disabled"):
        iot.update_authorizer(authorizerName="a", tokenSigningPublicKeys={"k": PUBLIC})
    with pytest.raises(invalid, match="signingDisabled goes with no"):
        iot.create_authorizer(
            authorizerName="b",
            authorizerFunctionArn=arn(realm, "f"),
            signingDisabled=True,
            tokenSigningPublicKeys={"k": PUBLIC},
        )


def test_a_function_is_tried(iot: Any, function: str) -> None:
    iot.create_authorizer(authorizerName="a", authorizerFunctionArn=function, signingDisabled=True)
    found = iot.test_invoke_authorizer(
        authorizerName="a",
        token="echo",
        httpContext={"headers": {"h": "1"}, "queryString": "q=1"},
        mqttContext={"username": "me", "password": b"\x00pass", "clientId": "c"},
        tlsContext={"serverName": "iot.example"},
    )
    assert (found["isAuthenticated"], found["principalId"]) == (True, "echo")
    assert (found["disconnectAfterInSeconds"], found["refreshAfterInSeconds"]) == (3600, 300)
    [document] = found["policyDocuments"]
    for part in ("iot.example", "AHBhc3M=", "signatureVerified", "q=1", "connectionMetadata"):
        assert part in document
    assert iot.test_invoke_authorizer(authorizerName="a", token="no")["isAuthenticated"] is False


def test_a_signature_is_tried(iot: Any, function: str) -> None:
    iot.create_authorizer(
        authorizerName="a", authorizerFunctionArn=function, tokenKeyName="t", tokenSigningPublicKeys={"k": PUBLIC}
    )
    found = iot.test_invoke_authorizer(authorizerName="a", token="echo", tokenSignature=signature("echo"))
    assert found["isAuthenticated"] is True
    invalid = iot.exceptions.InvalidRequestException
    with pytest.raises(invalid, match="none by a key"):
        iot.test_invoke_authorizer(authorizerName="a", token="echo", tokenSignature=signature("other"))
    with pytest.raises(invalid, match="asks for a signed token"):
        iot.test_invoke_authorizer(authorizerName="a", token="echo")


def test_an_answer_that_cannot_be_used(iot: Any, function: str, realm: Realm) -> None:
    iot.create_authorizer(authorizerName="a", authorizerFunctionArn=function, signingDisabled=True)
    iot.create_authorizer(authorizerName="b", authorizerFunctionArn=arn(realm, "unbound"), signingDisabled=True)
    with pytest.raises(iot.exceptions.InvalidResponseException, match="principalId"):
        iot.test_invoke_authorizer(authorizerName="a", token="something")
    with pytest.raises(iot.exceptions.InvalidResponseException, match="No function unbound is bound"):
        iot.test_invoke_authorizer(authorizerName="b", token="something")
