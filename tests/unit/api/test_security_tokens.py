"""`sts` through boto3: who may become what, for how long, and what a session may then do."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from tests.runtime import URL, Installed, signed

from fleetgate.api import security_tokens
from fleetgate.api.table import check
from fleetgate.names import Realm
from fleetgate.wire.restjson import model

HOUR = 3_600_000


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def trust(*principals: str, **more: Any) -> str:
    return document({"Effect": "Allow", "Principal": {"AWS": list(principals)}, "Action": "sts:AssumeRole", **more})


def allow(*actions: str, resource: str = "*") -> str:
    return document({"Effect": "Allow", "Action": list(actions), "Resource": resource})


class Party:
    """An account with its root's clients, its users and roles."""

    def __init__(self, house: Installed, account: str) -> None:
        self.house, self.account = house, account
        self.root = house.operator(account)
        self.iam = house.client(self.root, service="iam")

    def user(self, name: str, *policies: str) -> Credentials:
        self.iam.create_user(UserName=name)
        for number, text in enumerate(policies):
            self.iam.put_user_policy(UserName=name, PolicyName=f"p{number}", PolicyDocument=text)
        key = self.iam.create_access_key(UserName=name)["AccessKey"]
        return Credentials(key["AccessKeyId"], key["SecretAccessKey"])

    def role(self, name: str, trusts: str, *policies: str, **more: Any) -> str:
        made = self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusts, **more)
        for number, text in enumerate(policies):
            self.iam.put_role_policy(RoleName=name, PolicyName=f"p{number}", PolicyDocument=text)
        return str(made["Role"]["Arn"])

    def arn(self, rest: str) -> str:
        return f"arn:aws:iam::{self.account}:{rest}"


@pytest.fixture
def customer(house: Installed, realm: Realm) -> Party:
    return Party(house, realm.account)


@pytest.fixture
def partner(house: Installed) -> Party:
    return Party(house, house.account())


def assume(house: Installed, who: Credentials, role: str, **more: Any) -> Credentials:
    sts = house.client(who, service="sts")
    got = sts.assume_role(RoleArn=role, RoleSessionName="session", **more)["Credentials"]
    return Credentials(got["AccessKeyId"], got["SecretAccessKey"], got["SessionToken"])


def refused(call: Any, code: str = "AccessDenied", status: int = 403) -> str:
    with pytest.raises(ClientError) as caught:
        call()
    response: Any = caught.value.response
    assert (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)
    return str(response["Error"]["Message"])


def test_the_table_is_of_the_model() -> None:
    check(model.load("sts"), security_tokens.OPERATIONS)


def test_everybody_may_ask_who_they_are(house: Installed, customer: Party) -> None:
    def told(who: Credentials) -> tuple[str, str, str]:
        got = house.client(who, service="sts").get_caller_identity()
        return got["Account"], got["Arn"], got["UserId"]

    account = customer.account
    assert told(customer.root) == (account, customer.arn("root"), account)
    deny = document({"Effect": "Deny", "Action": "*", "Resource": "*"})
    ana = customer.user("ana", deny)
    user_id = customer.iam.get_user(UserName="ana")["User"]["UserId"]
    assert told(ana) == (account, customer.arn("user/ana"), user_id)
    role = customer.role("r", trust(customer.arn("root")), deny, Path="/p/")
    role_id = customer.iam.get_role(RoleName="r")["Role"]["RoleId"]
    session = assume(house, customer.root, role)
    assert told(session) == (account, f"arn:aws:sts::{account}:assumed-role/r/session", f"{role_id}:session")


def test_a_presigned_question(house: Installed, customer: Party) -> None:
    request = AWSRequest("GET", f"{URL}/?Action=GetCallerIdentity&Version=2011-06-15")
    SigV4QueryAuth(customer.root, "sts", "us-east-1", expires=60).add_auth(request)
    answer = house.send(request.prepare())
    assert answer.status == 200
    assert f"<Account>{customer.account}</Account>".encode() in answer.body


def test_a_role_of_another_account(house: Installed, customer: Party, partner: Party) -> None:
    """The whole of it: external id, both sides' consent, and what the session may then do and not do."""
    condition = {"StringEquals": {"sts:ExternalId": "secret-17"}}
    things = f"arn:aws:iot:*:{customer.account}:thing/p-*"
    role = customer.role(
        "Access", trust(partner.arn("root"), Condition=condition), allow("iot:CreateThing", resource=things)
    )
    ana = partner.user("ana", allow("sts:AssumeRole", resource=role))
    bob = partner.user("bob", allow("iot:*"))
    sentence = f"User: {partner.arn('user/ana')} is not authorized to perform: sts:AssumeRole on resource: {role}"
    assert refused(lambda: assume(house, ana, role)) == sentence
    assert refused(lambda: assume(house, ana, role, ExternalId="other")) == sentence
    assert refused(lambda: assume(house, ana, role + "x")) == sentence + "x"
    refused(lambda: assume(house, bob, role, ExternalId="secret-17"))
    stranger = Party(house, house.account())
    refused(lambda: assume(house, stranger.root, role, ExternalId="secret-17"))
    session = assume(house, ana, role, ExternalId="secret-17")
    iot = house.client(session)
    made = iot.create_thing(thingName="p-1")
    assert made["thingArn"] == f"arn:aws:iot:us-east-1:{customer.account}:thing/p-1"
    message = refused(lambda: iot.create_thing(thingName="q-1"), "AccessDeniedException")
    assert message == (
        f"User: arn:aws:sts::{customer.account}:assumed-role/Access/session is not authorized to perform: "
        f"iot:CreateThing on resource: arn:aws:iot:us-east-1:{customer.account}:thing/q-1 because no identity-based "
        "policy allows the iot:CreateThing action"
    )
    refused(iot.list_things, "AccessDeniedException")
    refused(house.client(session, service="iam").list_roles)
    entries = house.audited(Realm(customer.account, "us-east-1"))
    by = [entry.details["by"] for entry in entries if (entry.action, entry.target) == ("AssumeRole", role)]
    assert by == [partner.arn("user/ana")]


def test_who_a_trust_policy_names(house: Installed, customer: Party) -> None:
    ana, bob = customer.user("ana"), customer.user("bob", allow("sts:AssumeRole"))
    by_name = customer.role("ByName", trust(customer.arn("user/ana")))
    by_account = customer.role("ByAccount", trust(customer.account))
    assume(house, ana, by_name)
    refused(lambda: assume(house, bob, by_name))
    refused(lambda: assume(house, ana, by_account))
    first = assume(house, bob, by_account)
    by_role = customer.role("ByRole", trust(by_account), allow("iot:ListThings"))
    second = assume(house, first, by_role)
    assert house.client(second).list_things()["things"] == []
    customer.iam.put_user_policy(
        UserName="ana",
        PolicyName="no",
        PolicyDocument=document({"Effect": "Deny", "Action": "sts:*", "Resource": "*"}),
    )
    refused(lambda: assume(house, ana, by_name))
    everybody_but = document(
        {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"},
        {"Effect": "Deny", "Principal": {"AWS": customer.arn("user/bob")}, "Action": "sts:AssumeRole"},
    )
    open_role = customer.role("Open", everybody_but)
    refused(lambda: assume(house, bob, open_role))
    assume(house, customer.user("cy"), open_role)


def test_a_role_for_a_service_is_for_nobody_else(house: Installed, customer: Party) -> None:
    for_service = {"Effect": "Allow", "Principal": {"Service": "iot.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = customer.role("r", document(for_service), allow("*"))
    refused(lambda: assume(house, customer.root, role))


def test_how_long(house: Installed, customer: Party) -> None:
    role = customer.role("r", trust(customer.account), allow("*"), MaxSessionDuration=7200)
    session = assume(house, customer.root, role, DurationSeconds=7200)
    refused(lambda: assume(house, customer.root, role, DurationSeconds=7201), "ValidationError", 400)
    refused(lambda: assume(house, customer.root, role, DurationSeconds=43201), "ValidationError", 400)
    assert "1 hour" in refused(lambda: assume(house, session, role, DurationSeconds=3601), "ValidationError", 400)
    assume(house, session, role, DurationSeconds=3600)
    iot, sts = house.client(session), house.client(session, service="sts")
    assert iot.list_things()["things"] == []
    house.clock.ahead = 2 * HOUR
    refused(iot.list_things, "ExpiredTokenException")
    refused(sts.get_caller_identity, "ExpiredToken")
    house.clock.ahead = 0


def test_the_session_token_belongs_to_its_key(house: Installed, customer: Party) -> None:
    role = customer.role("r", trust(customer.account), allow("*"))
    one, two = assume(house, customer.root, role), assume(house, customer.root, role)
    assert str(one.access_key).startswith("ASIA")
    for token in (two.token, "x", None):
        other = house.client(Credentials(one.access_key, one.secret_key, token))
        refused(other.list_things, "UnrecognizedClientException")
    foreign = house.client(Credentials(customer.root.access_key, customer.root.secret_key, one.token))
    refused(foreign.list_things, "UnrecognizedClientException")
    rows = house.read(lambda tx: tx.rows("SELECT * FROM temporary_credentials"))
    assert not {one.token, one.secret_key} & {value for row in rows for value in row.values()}


def test_a_session_ends_with_its_role(house: Installed, customer: Party) -> None:
    role = customer.role("r", trust(customer.account))
    customer.iam.attach_role_policy(RoleName="r", PolicyArn="arn:aws:iam::aws:policy/AWSIoTFullAccess")
    iot = house.client(assume(house, customer.root, role))
    assert iot.list_things()["things"] == []
    customer.iam.detach_role_policy(RoleName="r", PolicyArn="arn:aws:iam::aws:policy/AWSIoTFullAccess")
    refused(iot.list_things, "AccessDeniedException")
    customer.iam.delete_role(RoleName="r")
    refused(iot.list_things, "UnrecognizedClientException")
    customer.role("r", trust(customer.account), allow("*"))
    refused(iot.list_things, "UnrecognizedClientException")


def test_session_policies_narrow(house: Installed, customer: Party) -> None:
    role = customer.role("r", trust(customer.account), allow("iot:ListThings", "iot:CreateThing"))
    sts = house.client(customer.root, service="sts")
    got = sts.assume_role(RoleArn=role, RoleSessionName="s1", Policy=allow("iot:List*"))
    assert 1 <= got["PackedPolicySize"] <= 100
    keys = got["Credentials"]
    iot = house.client(Credentials(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"]))
    assert iot.list_things()["things"] == []
    message = refused(lambda: iot.create_thing(thingName="a"), "AccessDeniedException")
    assert message.endswith("because no session policy allows the iot:CreateThing action")
    refused(iot.list_policies, "AccessDeniedException")
    arn = "arn:aws:iam::aws:policy/AWSIoTConfigReadOnlyAccess"
    session = assume(house, customer.root, role, PolicyArns=[{"arn": arn}])
    assert house.client(session).list_things()["things"] == []
    refused(lambda: house.client(session).create_thing(thingName="a"), "AccessDeniedException")
    refused(lambda: assume(house, customer.root, role, Policy="{}"), "MalformedPolicyDocument", 400)


def test_session_tags_and_the_source(house: Installed, customer: Party) -> None:
    condition = {"StringEquals": {"aws:PrincipalTag/site": "b"}}
    tagged = document({"Effect": "Allow", "Action": "iot:ListThings", "Resource": "*", "Condition": condition})
    both = json.loads(trust(customer.account))
    role = customer.role("r", json.dumps(both), tagged)
    tags = [{"Key": "site", "Value": "b"}]
    refused(lambda: assume(house, customer.root, role, Tags=tags))
    both["Statement"][0]["Action"] = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]
    customer.iam.update_assume_role_policy(RoleName="r", PolicyDocument=json.dumps(both))
    assert house.client(assume(house, customer.root, role, Tags=tags)).list_things()["things"] == []
    plain = house.client(assume(house, customer.root, role, SourceIdentity="ana"))
    refused(plain.list_things, "AccessDeniedException")


def test_tokens_of_ones_own(house: Installed, customer: Party) -> None:
    ana = customer.user("ana", allow("iot:ListThings", "iam:*"))
    got = house.client(ana, service="sts").get_session_token(DurationSeconds=900)["Credentials"]
    mine = Credentials(got["AccessKeyId"], got["SecretAccessKey"], got["SessionToken"])
    assert house.client(mine).list_things()["things"] == []
    refused(lambda: house.client(mine).create_thing(thingName="a"), "AccessDeniedException")
    refused(house.client(mine, service="iam").list_users)
    refused(house.client(mine, service="sts").get_session_token)
    root = house.client(customer.root, service="sts").get_session_token()["Credentials"]
    whole = Credentials(root["AccessKeyId"], root["SecretAccessKey"], root["SessionToken"])
    assert house.client(whole).create_thing(thingName="a")["thingName"] == "a"
    refused(house.client(whole, service="iam").list_users)
    info = house.client(customer.root, service="sts").get_access_key_info(AccessKeyId=mine.access_key)
    assert info["Account"] == customer.account


def test_what_is_not_served_is_not_taken(house: Installed, customer: Party) -> None:
    role = customer.role("r", trust(customer.account))
    for more in ({"SerialNumber": "a" * 9, "TokenCode": "123456"}, {"TransitiveTagKeys": ["a"]}):
        call = partial(assume, house, customer.root, role, **more)
        assert "not served" in refused(call, "ValidationError", 400)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", b"ValidationError"),
        (b"Action=Nonsense", b"InvalidAction"),
        (b"Action=AssumeRole&Version=2011-06-15", b"ValidationError"),
        (b"Action=AssumeRole&Version=1", b"ValidationError"),
        (b"Action=AssumeRole&RoleArn.x=%ff", b"ValidationError"),
        (b"Action=DecodeAuthorizationMessage&EncodedMessage=x", b"NotImplemented"),
    ],
)
def test_forms_that_are_none(house: Installed, customer: Party, body: bytes, code: bytes) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = house.send(signed(customer.root, "POST", "/", body, service="sts", headers=headers))
    assert answer.status in {400, 501}
    assert answer.headers["content-type"] == "text/xml"
    assert b"<Code>" + code + b"</Code>" in answer.body
