"""Operators' identities with AWS's unmodified clients: narrow users, roles, role aliases, a device as a role."""

from __future__ import annotations

import http.client
import json
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from tests.dev_server import DevServer
from tests.journeys.test_boto3 import certificate_with
from tests.server import Identity, policy_document, template_body

AWS = Path(sys.executable).with_name("aws")
DEVICES = "credentials.iot.amazonaws.com"


def allow(action: str | list[str], resource: str | list[str] = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def trust(**principal: str) -> str:
    return policy_document({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"})


def client(dev: DevServer, service: str, credentials: dict[str, Any] | None = None) -> Any:
    """A boto3 client with *credentials* as `sts` answers them, or else with the account's own."""
    given = credentials or {"AccessKeyId": dev.access_key_id, "SecretAccessKey": dev.secret_access_key}
    return boto3.client(
        service,  # type: ignore[call-overload] # any service
        endpoint_url=dev.api_url,
        region_name=dev.region,
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given.get("SessionToken"),
    )


def user(dev: DevServer, name: str, *statements: dict[str, Any]) -> dict[str, Any]:
    iam = client(dev, "iam")
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=policy_document(*statements))
    key: dict[str, Any] = iam.create_access_key(UserName=name)["AccessKey"]
    return key


def denied(call: Callable[[], Any]) -> str:
    with pytest.raises(ClientError) as caught:
        call()
    response: Any = caught.value.response
    assert response["Error"]["Code"] == "AccessDeniedException"
    return str(response["Error"]["Message"])


def test_a_user_for_the_installers(dev: DevServer, name: str) -> None:
    """May make claims by one template and register things, and nothing else."""
    iot, role = dev.iot(), f"arn:aws:iam::{dev.account}:role/r"
    iot.create_policy(policyName=name, policyDocument=policy_document(allow("iot:Connect")))
    for template in (name, f"{name}-other"):
        body = template_body(name)
        iot.create_provisioning_template(
            templateName=template, templateBody=body, provisioningRoleArn=role, enabled=True
        )
    own = dev.arn("provisioningtemplate", name)
    installer = client(
        dev, "iot", user(dev, name, allow("iot:CreateProvisioningClaim", own), allow("iot:RegisterThing"))
    )
    assert installer.create_provisioning_claim(templateName=name)["certificateId"]
    assert f"{own}-other" in denied(lambda: installer.create_provisioning_claim(templateName=f"{name}-other"))
    thing = {"Resources": {"thing": {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": f"{name}-1"}}}}
    made = installer.register_thing(templateBody=json.dumps(thing))
    assert made["resourceArns"]["thing"] == dev.arn("thing", f"{name}-1")
    assert iot.describe_thing(thingName=f"{name}-1")["thingName"] == f"{name}-1"
    denied(lambda: installer.describe_thing(thingName=f"{name}-1"))
    denied(installer.list_things)
    denied(lambda: installer.delete_provisioning_template(templateName=name))


def test_the_tutorial_with_the_aws_cli(dev: DevServer, name: str, tmp_path: Path) -> None:
    def aws(*words: str, environment: dict[str, str] | None = None) -> Any:
        done = subprocess.run(
            [str(AWS), *words, "--output", "json"],
            cwd=tmp_path,
            env=dev.environment | (environment or {}),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    (tmp_path / "trust.json").write_text(trust(AWS=f"arn:aws:iam::{dev.account}:root"))
    (tmp_path / "policy.json").write_text(policy_document(allow("iot:List*")))
    role = aws("iam", "create-role", "--role-name", name, "--assume-role-policy-document", "file://trust.json")
    assert role["Role"]["AssumeRolePolicyDocument"]["Statement"][0]["Action"] == "sts:AssumeRole"
    aws("iam", "put-role-policy", "--role-name", name, "--policy-name", "p", "--policy-document", "file://policy.json")
    shown = aws("iam", "get-role-policy", "--role-name", name, "--policy-name", "p")
    assert shown["PolicyDocument"]["Statement"][0]["Action"] == "iot:List*"
    session = aws("sts", "assume-role", "--role-arn", role["Role"]["Arn"], "--role-session-name", "cli")
    keys = session["Credentials"]
    environment = {
        "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
        "AWS_SESSION_TOKEN": keys["SessionToken"],
    }
    who = aws("sts", "get-caller-identity", environment=environment)
    assert who["Arn"] == session["AssumedRoleUser"]["Arn"]
    assert "things" in aws("iot", "list-things", "--max-items", "1", environment=environment)


# --- role aliases and the credential provider -------------------------------------------------------------------------


def ask(
    dev: DevServer, device: Identity, alias: str, thing: str | None = None, method: str = "GET"
) -> tuple[int, dict[str, Any]]:
    """As a device does: mutual TLS, HTTP/1.1."""
    context = ssl.create_default_context(cafile=str(dev.ca_file))
    context.load_cert_chain(device.certificate_file, device.key_file)
    connection = http.client.HTTPSConnection(dev.host, dev.https_port, context=context, timeout=20)
    headers = {} if thing is None else {"x-amzn-iot-thingname": thing}
    connection.request(method, f"/role-aliases/{alias}/credentials", headers=headers)
    response = connection.getresponse()
    answer = response.status, json.loads(response.read())
    connection.close()
    return answer


def test_a_device_becomes_a_role(dev: DevServer, name: str) -> None:
    iot, iam = dev.iot(), client(dev, "iam")
    things = dev.arn("thing", "${credentials-iot:ThingName}")
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(Service=DEVICES))["Role"]["Arn"]
    own_thing = policy_document(allow("iot:DescribeThing", things), allow("iot:ListThingTypes"))
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=own_thing)
    made = iot.create_role_alias(roleAlias=name, roleArn=role, credentialDurationSeconds=900)
    assert made["roleAliasArn"] == dev.arn("rolealias", name)
    may = policy_document(allow("iot:AssumeRoleWithCertificate", made["roleAliasArn"]))
    device = certificate_with(iot, dev, f"{name}-device", may)
    arn = dev.arn("cert", device.fingerprint)
    for thing in (f"{name}-mine", f"{name}-other"):
        iot.create_thing(thingName=thing)
    iot.attach_thing_principal(thingName=f"{name}-mine", principal=arn)

    status, answer = ask(dev, device, name, f"{name}-mine")
    assert status == 200
    told = answer["credentials"]
    assert set(told) == {"accessKeyId", "secretAccessKey", "sessionToken", "expiration"}
    keys = {
        "AccessKeyId": told["accessKeyId"],
        "SecretAccessKey": told["secretAccessKey"],
        "SessionToken": told["sessionToken"],
    }
    who = client(dev, "sts", keys).get_caller_identity()
    assert who["Arn"] == f"arn:aws:sts::{dev.account}:assumed-role/{name}/{device.fingerprint}"
    mine = client(dev, "iot", keys)
    assert mine.describe_thing(thingName=f"{name}-mine")["thingName"] == f"{name}-mine"
    denied(lambda: mine.describe_thing(thingName=f"{name}-other"))

    status, answer = ask(dev, device, name)
    assert status == 200
    told = answer["credentials"]
    keys = {
        "AccessKeyId": told["accessKeyId"],
        "SecretAccessKey": told["secretAccessKey"],
        "SessionToken": told["sessionToken"],
    }
    nameless = client(dev, "iot", keys)
    assert "thingTypes" in nameless.list_thing_types()
    denied(lambda: nameless.describe_thing(thingName=f"{name}-mine"))


def test_who_gets_no_credentials(dev: DevServer, name: str) -> None:
    iot, iam = dev.iot(), client(dev, "iam")
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(Service="iot.amazonaws.com"))["Role"]["Arn"]
    alias = iot.create_role_alias(roleAlias=name, roleArn=role)["roleAliasArn"]
    may = policy_document(allow("iot:AssumeRoleWithCertificate", [alias, f"{alias}-none"]))
    device = certificate_with(iot, dev, f"{name}-device", may)
    stranger = certificate_with(iot, dev, f"{name}-stranger", policy_document(allow("iot:Connect")))

    def told(expected: int, *asked: Any, **more: Any) -> str:
        status, answer = ask(dev, *asked, **more)
        assert (status, set(answer)) == (expected, {"message", "traceId"})
        return str(answer["message"])

    assert "does not trust credentials.iot.amazonaws.com" in told(403, device, name)
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=trust(Service=DEVICES))
    assert ask(dev, device, name)[0] == 200
    assert told(403, stranger, name) == "Access Denied"
    assert told(403, device, name, "somebody-else") == "Access Denied"
    assert told(404, device, f"{name}-none") == f"RoleAlias not found (name= {name}-none)"
    told(400, device, "a%2Fb")
    told(400, device, name, "a b")
    told(405, device, name, method="POST")
    iot.update_role_alias(roleAlias=name, credentialDurationSeconds=7200)
    assert "7200 seconds" in told(403, device, name)
    iam.update_role(RoleName=name, MaxSessionDuration=7200)
    assert ask(dev, device, name)[0] == 200
    iot.update_certificate(certificateId=device.fingerprint, newStatus="INACTIVE")
    assert told(403, device, name) == "Access Denied"


def test_role_aliases(dev: DevServer, name: str) -> None:
    iot = dev.iot()
    role = f"arn:aws:iam::{dev.account}:role/{name}"
    names = [f"{name}-{number}" for number in range(3)]
    for each in names:
        iot.create_role_alias(roleAlias=each, roleArn=role, tags=[{"Key": "k", "Value": "v"}])
    with pytest.raises(iot.exceptions.ResourceAlreadyExistsException) as caught:
        iot.create_role_alias(roleAlias=names[0], roleArn=role)
    assert caught.value.response["resourceArn"] == dev.arn("rolealias", names[0])  # type: ignore[typeddict-item] # beside
    shown = iot.describe_role_alias(roleAlias=names[0])["roleAliasDescription"]
    assert (shown["owner"], shown["roleArn"], shown["credentialDurationSeconds"]) == (dev.account, role, 3600)
    assert iot.list_tags_for_resource(resourceArn=shown["roleAliasArn"])["tags"] == [{"Key": "k", "Value": "v"}]
    pages: Any = iot.get_paginator("list_role_aliases").paginate(ascendingOrder=True, PaginationConfig={"PageSize": 1})
    found = [alias for page in pages for alias in page["roleAliases"]]
    assert [each for each in found if each.startswith(f"{name}-")] == names
    iot.update_role_alias(roleAlias=names[0], roleArn=f"{role}2")
    assert iot.describe_role_alias(roleAlias=names[0])["roleAliasDescription"]["roleArn"] == f"{role}2"
    with pytest.raises(iot.exceptions.InvalidRequestException):
        iot.create_role_alias(roleAlias=f"{name}-x", roleArn="arn:aws:iam::999999999999:role/r")
    for each in names:
        iot.delete_role_alias(roleAlias=each)
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.describe_role_alias(roleAlias=names[0])
    assert iot.describe_endpoint(endpointType="iot:CredentialProvider")["endpointAddress"] == dev.host
