"""`iam` through boto3: users, roles, their policies and keys, as deploy scripts use them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from tests.runtime import Installed

from fleetgate.api import identities
from fleetgate.api.table import check
from fleetgate.names import Realm
from fleetgate.wire.restjson import model

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "iot.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
ALLOW = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:*", "Resource": "*"}]}


@pytest.fixture
def iam(house: Installed, operator: Credentials) -> Any:
    return house.client(operator, service="iam")


def code(caught: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_the_table_is_of_the_model() -> None:
    check(model.load("iam"), identities.OPERATIONS)


def test_a_role_from_its_creation_to_its_end(iam: Any, realm: Realm) -> None:
    made = iam.create_role(
        RoleName="Fleet",
        Path="/factory/",
        AssumeRolePolicyDocument=json.dumps(TRUST),
        Description="for <devices> & more",
        MaxSessionDuration=7200,
        Tags=[{"Key": "site", "Value": "b"}],
    )["Role"]
    arn = f"arn:aws:iam::{realm.account}:role/factory/Fleet"
    assert made["Arn"] == arn
    assert made["RoleId"].startswith("AROA")
    assert len(made["RoleId"]) == 21
    got = iam.get_role(RoleName="Fleet")["Role"]
    assert got["AssumeRolePolicyDocument"] == TRUST
    assert (got["Description"], got["MaxSessionDuration"]) == ("for <devices> & more", 7200)
    assert got["Tags"] == [{"Key": "site", "Value": "b"}]
    assert [role["RoleName"] for role in iam.list_roles()["Roles"]] == ["Fleet"]
    assert iam.list_roles(PathPrefix="/office/")["Roles"] == []
    other = {**TRUST, "Statement": [{**TRUST["Statement"][0], "Sid": "x"}]}  # type: ignore[dict-item] # a list of one
    iam.update_assume_role_policy(RoleName="Fleet", PolicyDocument=json.dumps(other))
    iam.update_role(RoleName="Fleet", Description="new", MaxSessionDuration=3600)
    iam.tag_role(RoleName="Fleet", Tags=[{"Key": "Site", "Value": "c"}, {"Key": "x", "Value": ""}])
    iam.untag_role(RoleName="Fleet", TagKeys=["x"])
    got = iam.get_role(RoleName="Fleet")["Role"]
    assert (got["AssumeRolePolicyDocument"], got["Description"], got["MaxSessionDuration"]) == (other, "new", 3600)
    assert iam.list_role_tags(RoleName="Fleet")["Tags"] == [{"Key": "Site", "Value": "c"}]
    assert iam.update_role_description(RoleName="Fleet", Description="d")["Role"]["Description"] == "d"
    assert iam.list_instance_profiles_for_role(RoleName="Fleet")["InstanceProfiles"] == []
    iam.delete_role(RoleName="Fleet")
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.get_role(RoleName="Fleet")
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.delete_role(RoleName="Fleet")


def test_names_ignore_case_and_are_taken_once(iam: Any) -> None:
    iam.create_role(RoleName="Fleet", AssumeRolePolicyDocument=json.dumps(TRUST))
    with pytest.raises(iam.exceptions.EntityAlreadyExistsException) as caught:
        iam.create_role(RoleName="FLEET", AssumeRolePolicyDocument=json.dumps(TRUST))
    assert code(caught) == ("EntityAlreadyExists", 409)


def test_an_account_has_its_own(house: Installed, iam: Any) -> None:
    iam.create_user(UserName="ana")
    other = house.client(house.operator(house.account()), service="iam", region="eu-west-1")
    assert other.list_users()["Users"] == []
    with pytest.raises(other.exceptions.NoSuchEntityException):
        other.get_user(UserName="ana")


def test_inline_policies(iam: Any) -> None:
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.put_role_policy(RoleName="r", PolicyName="b", PolicyDocument=json.dumps(ALLOW))
    iam.put_role_policy(RoleName="r", PolicyName="a", PolicyDocument=json.dumps(ALLOW))
    assert iam.list_role_policies(RoleName="r")["PolicyNames"] == ["a", "b"]
    first = iam.list_role_policies(RoleName="r", MaxItems=1)
    assert (first["PolicyNames"], first["IsTruncated"]) == (["a"], True)
    rest = iam.list_role_policies(RoleName="r", Marker=first["Marker"])
    assert (rest["PolicyNames"], rest["IsTruncated"]) == (["b"], False)
    got = iam.get_role_policy(RoleName="r", PolicyName="a")
    assert (got["RoleName"], got["PolicyName"], got["PolicyDocument"]) == ("r", "a", ALLOW)
    with pytest.raises(iam.exceptions.DeleteConflictException):
        iam.delete_role(RoleName="r")
    iam.delete_role_policy(RoleName="r", PolicyName="a")
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.delete_role_policy(RoleName="r", PolicyName="a")
    iam.delete_role_policy(RoleName="r", PolicyName="b")
    iam.delete_role(RoleName="r")
    iam.create_user(UserName="ana")
    iam.put_user_policy(UserName="ana", PolicyName="a", PolicyDocument=json.dumps(ALLOW))
    assert iam.list_user_policies(UserName="ana")["PolicyNames"] == ["a"]
    assert iam.get_user_policy(UserName="ana", PolicyName="a")["PolicyDocument"] == ALLOW
    iam.delete_user_policy(UserName="ana", PolicyName="a")
    assert iam.list_user_policies(UserName="ana")["PolicyNames"] == []


def test_documents_that_are_none(iam: Any) -> None:
    broken = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot", "Resorce": "*"}]})
    with pytest.raises(iam.exceptions.MalformedPolicyDocumentException) as caught:
        iam.create_role(RoleName="r", AssumeRolePolicyDocument=broken)
    assert code(caught) == ("MalformedPolicyDocument", 400)
    assert "Statement[0]" in str(caught.value)
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(TRUST))
    with pytest.raises(iam.exceptions.MalformedPolicyDocumentException):
        iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=broken)
    with pytest.raises(iam.exceptions.MalformedPolicyDocumentException):
        iam.update_assume_role_policy(RoleName="r", PolicyDocument=json.dumps(ALLOW))
    with pytest.raises(iam.exceptions.MalformedPolicyDocumentException):
        iam.create_policy(PolicyName="p", PolicyDocument=broken)
    assert iam.list_role_policies(RoleName="r")["PolicyNames"] == []
    many = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:" + "a" * 6000, "Resource": "*"}]}
    iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=json.dumps(many))
    with pytest.raises(iam.exceptions.LimitExceededException, match="10240 bytes"):
        iam.put_role_policy(RoleName="r", PolicyName="q", PolicyDocument=json.dumps(many))
    iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=json.dumps(many))


def test_managed_policies(iam: Any, realm: Realm) -> None:
    made = iam.create_policy(PolicyName="P", Path="/x/", PolicyDocument=json.dumps(ALLOW), Description="d")["Policy"]
    arn = f"arn:aws:iam::{realm.account}:policy/x/P"
    assert (made["Arn"], made["DefaultVersionId"], made["AttachmentCount"]) == (arn, "v1", 0)
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.create_user(UserName="ana")
    for _ in range(2):
        iam.attach_role_policy(RoleName="r", PolicyArn=arn)
    iam.attach_user_policy(UserName="ana", PolicyArn=arn)
    iam.attach_role_policy(RoleName="r", PolicyArn="arn:aws:iam::aws:policy/service-role/AWSIoTThingsRegistration")
    assert iam.list_attached_role_policies(RoleName="r")["AttachedPolicies"] == [
        {"PolicyName": "P", "PolicyArn": arn},
        {
            "PolicyName": "AWSIoTThingsRegistration",
            "PolicyArn": "arn:aws:iam::aws:policy/service-role/AWSIoTThingsRegistration",
        },
    ]
    assert iam.list_attached_user_policies(UserName="ana", PathPrefix="/y/")["AttachedPolicies"] == []
    held = iam.list_entities_for_policy(PolicyArn=arn)
    assert [role["RoleName"] for role in held["PolicyRoles"]] == ["r"]
    assert [user["UserName"] for user in held["PolicyUsers"]] == ["ana"]
    assert iam.get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == 2
    version = iam.create_policy_version(PolicyArn=arn, PolicyDocument=json.dumps(ALLOW), SetAsDefault=True)
    assert (version["PolicyVersion"]["VersionId"], version["PolicyVersion"]["IsDefaultVersion"]) == ("v2", True)
    assert iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]["Document"] == ALLOW
    with pytest.raises(iam.exceptions.DeleteConflictException):
        iam.delete_policy_version(PolicyArn=arn, VersionId="v2")
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
    iam.delete_policy_version(PolicyArn=arn, VersionId="v2")
    assert [each["VersionId"] for each in iam.list_policy_versions(PolicyArn=arn)["Versions"]] == ["v1"]
    with pytest.raises(iam.exceptions.DeleteConflictException):
        iam.delete_policy(PolicyArn=arn)
    iam.detach_user_policy(UserName="ana", PolicyArn=arn)
    iam.detach_role_policy(RoleName="r", PolicyArn=arn)
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.detach_role_policy(RoleName="r", PolicyArn=arn)
    assert [each["Arn"] for each in iam.list_policies(Scope="Local")["Policies"]] == [arn]
    assert [each["PolicyName"] for each in iam.list_policies(OnlyAttached=True)["Policies"]] == [
        "AWSIoTThingsRegistration"
    ]
    iam.delete_policy(PolicyArn=arn)
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.get_policy(PolicyArn=arn)
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.attach_role_policy(RoleName="r", PolicyArn="arn:aws:iam::aws:policy/NoSuchPolicy")


def test_access_keys(house: Installed, iam: Any, operator: Credentials) -> None:
    iam.create_user(UserName="ana")
    made = iam.create_access_key(UserName="ana")["AccessKey"]
    assert (made["UserName"], made["Status"]) == ("ana", "Active")
    mine = house.client(Credentials(made["AccessKeyId"], made["SecretAccessKey"]), service="iam")
    with pytest.raises(ClientError) as caught:
        mine.list_access_keys()
    assert code(caught) == ("AccessDenied", 403)
    own = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "iam:*AccessKey*", "Resource": "*"}}
    own["Statement"]["Resource"] = "arn:aws:iam::*:user/${aws:username}"  # type: ignore[index] # it is an object
    iam.put_user_policy(UserName="ana", PolicyName="own-keys", PolicyDocument=json.dumps(own))
    assert [key["AccessKeyId"] for key in mine.list_access_keys()["AccessKeyMetadata"]] == [made["AccessKeyId"]]
    second = mine.create_access_key()["AccessKey"]
    assert second["UserName"] == "ana"
    with pytest.raises(iam.exceptions.LimitExceededException):
        mine.create_access_key()
    mine.update_access_key(AccessKeyId=second["AccessKeyId"], Status="Inactive")
    off = house.client(Credentials(second["AccessKeyId"], second["SecretAccessKey"]), service="iam")
    with pytest.raises(ClientError) as caught:
        off.list_access_keys()
    assert code(caught) == ("InvalidClientTokenId", 403)
    with pytest.raises(ClientError, match="cannot be found"):
        iam.delete_access_key(UserName="ana", AccessKeyId=str(operator.access_key))
    with pytest.raises(iam.exceptions.DeleteConflictException):
        iam.delete_user(UserName="ana")
    mine.delete_access_key(AccessKeyId=second["AccessKeyId"])
    assert operator.access_key in [key["AccessKeyId"] for key in iam.list_access_keys()["AccessKeyMetadata"]]
    assert made["AccessKeyId"] not in [key["AccessKeyId"] for key in iam.list_access_keys()["AccessKeyMetadata"]]


def test_users(iam: Any, realm: Realm) -> None:
    made = iam.create_user(UserName="ana", Path="/a/", Tags=[{"Key": "k", "Value": "v"}])["User"]
    assert made["Arn"] == f"arn:aws:iam::{realm.account}:user/a/ana"
    assert iam.get_user(UserName="ana")["User"]["UserId"] == made["UserId"]
    assert iam.get_user()["User"]["Arn"] == f"arn:aws:iam::{realm.account}:root"
    iam.tag_user(UserName="ana", Tags=[{"Key": "l", "Value": "w"}])
    iam.untag_user(UserName="ana", TagKeys=["k"])
    assert iam.list_user_tags(UserName="ana")["Tags"] == [{"Key": "l", "Value": "w"}]
    assert [user["UserName"] for user in iam.list_users(PathPrefix="/a/")["Users"]] == ["ana"]
    assert iam.list_groups_for_user(UserName="ana")["Groups"] == []
    iam.delete_user(UserName="ana")
    assert iam.list_users()["Users"] == []


def test_what_is_not_served_is_not_taken(iam: Any, realm: Realm) -> None:
    boundary = f"arn:aws:iam::{realm.account}:policy/p"
    with pytest.raises(ClientError, match="Permissions boundaries are not served"):
        iam.create_user(UserName="ana", PermissionsBoundary=boundary)
    with pytest.raises(ClientError) as caught:
        iam.create_group(GroupName="g")
    assert code(caught) == ("NotImplemented", 501)
    with pytest.raises(ClientError) as caught:
        iam.create_user(UserName="a b")
    assert code(caught) == ("ValidationError", 400)


def test_changes_are_in_the_audit_trail(house: Installed, iam: Any, realm: Realm) -> None:
    iam.create_user(UserName="ana")
    made = iam.create_access_key(UserName="ana")["AccessKey"]
    entries = house.audited(Realm(realm.account, "us-east-1"))
    assert [(entry.action, entry.target) for entry in entries][-2:] == [
        ("CreateUser", f"arn:aws:iam::{realm.account}:user/ana"),
        ("CreateAccessKey", f"arn:aws:iam::{realm.account}:access-key/{made['AccessKeyId']}"),
    ]
    assert made["SecretAccessKey"] not in repr(entries)
