"""Users, roles and sessions on either database: one walk through what AWS's tools do with them."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from tests.conformance.api.conftest import Account

from fleetgate.registry import temporary_credentials


def document(**statement: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", **statement}})


def client(account: Account, service: str, key_id: str, secret: str, token: str | None = None) -> Any:
    return boto3.client(
        service,  # type: ignore[call-overload] # any service
        endpoint_url=account.live.api_url,
        region_name="us-east-1",
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
        aws_session_token=token,
    )


def test_from_a_user_to_a_session_and_back(account: Account) -> None:
    iam = client(account, "iam", account.key.id, account.key.secret)
    root = f"arn:aws:iam::{account.realm.account}"
    for name in ("ana", "bob", "cy"):
        iam.create_user(UserName=name, Path="/a/" if name != "cy" else "/b/")
    pages = iam.get_paginator("list_users").paginate(PathPrefix="/a/", PaginationConfig={"PageSize": 1})
    assert [user["UserName"] for page in pages for user in page["Users"]] == ["ana", "bob"]
    key = iam.create_access_key(UserName="ana")["AccessKey"]
    trusting = document(Principal={"AWS": f"{root}:user/a/ana"}, Action="sts:AssumeRole")
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=trusting, Tags=[{"Key": "k", "Value": "v"}])["Role"]
    policy = iam.create_policy(PolicyName="P", PolicyDocument=document(Action="iot:ListThings", Resource="*"))["Policy"]
    iam.attach_role_policy(RoleName="r", PolicyArn=policy["Arn"])
    iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=document(Action="iot:CreateThing", Resource="*"))
    sts = client(account, "sts", key["AccessKeyId"], key["SecretAccessKey"])
    keys = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="session")["Credentials"]
    iot = client(account, "iot", keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
    iot.create_thing(thingName="t")
    assert [thing["thingName"] for thing in iot.list_things()["things"]] == ["t"]
    with pytest.raises(ClientError, match="no identity-based policy allows the iot:DeleteThing action"):
        iot.delete_thing(thingName="t")
    iam.create_policy_version(
        PolicyArn=policy["Arn"], PolicyDocument=document(Action="iot:DeleteThing", Resource="*"), SetAsDefault=True
    )
    iot.delete_thing(thingName="t")
    with pytest.raises(ClientError, match="iot:ListThings"):
        iot.list_things()
    iam.detach_role_policy(RoleName="r", PolicyArn=policy["Arn"])
    iam.delete_policy_version(PolicyArn=policy["Arn"], VersionId="v1")
    iam.delete_policy(PolicyArn=policy["Arn"])
    iam.delete_role_policy(RoleName="r", PolicyName="p")
    iam.delete_role(RoleName="r")
    iam.delete_access_key(UserName="ana", AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName="ana")
    with pytest.raises(ClientError) as caught:
        iot.list_things()
    assert caught.value.response["Error"]["Code"] == "UnrecognizedClientException"
    later = account.live.server.runtime.clock() + temporary_credentials.KEPT + 3_600_001

    async def sweep() -> int:
        return await account.live.server.runtime.write(lambda tx: temporary_credentials.sweep(tx, later))

    assert account.live.run(sweep()) >= 1
