"""Which permissions a request asks for, and that calls are refused without them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from tests.runtime import Installed

from fleetgate.api import actions, table
from fleetgate.database.port import Tx
from fleetgate.names import Act, Realm
from fleetgate.wire.restjson import model
from fleetgate.wire.restjson.model import Model

MODELS = {name: model.load(name) for name in ("iot", "iot-data", "iam", "sts")}
REALM = Realm("123456789012", "eu-west-1")
ARN = "arn:aws:iot:eu-west-1:123456789012:"
ROLE = "arn:aws:iam::123456789012:role/r"
ACT = Act(REALM, "arn:aws:iam::123456789012:user/a/ana", 1_700_000_000_000, "00000000-0000-0000-0000-000000000001")

Asks = Callable[..., list[tuple[str, str]]]


@pytest.fixture
def asks(house: Installed) -> Asks:
    def ask(service: str, operation: str, **params: Any) -> list[tuple[str, str]]:
        def work(tx: Tx) -> list[actions.Asked]:
            return actions.asked(tx, ACT, MODELS[service].operation(operation), params)

        return [(each.action, each.resource) for each in house.read(work)]

    return ask


@pytest.mark.parametrize(
    ("operation", "params", "resources"),
    [
        ("CreateThing", {"thingName": "a:b", "thingTypeName": "t"}, ["thing/a:b"]),
        ("CreateThing", {"thingName": "a", "billingGroupName": "b"}, ["thing/a", "billinggroup/b"]),
        ("DescribeThing", {"thingName": "a"}, ["thing/a"]),
        ("ListThings", {"thingTypeName": "t"}, ["*"]),
        ("AttachThingPrincipal", {"thingName": "a", "principal": "p"}, ["*"]),
        ("CreateThingGroup", {"thingGroupName": "g", "parentGroupName": "p"}, ["thinggroup/g"]),
        ("AddThingToThingGroup", {"thingName": "a", "thingGroupName": "g"}, ["thing/a", "thinggroup/g"]),
        ("AddThingToThingGroup", {"thingArn": f"{ARN}thing/x", "thingGroupName": "g"}, ["thing/x", "thinggroup/g"]),
        ("AddThingToBillingGroup", {"thingName": "a", "billingGroupName": "b"}, ["thing/a", "billinggroup/b"]),
        (
            "UpdateThingGroupsForThing",
            {"thingName": "a", "thingGroupsToAdd": ["g"], "thingGroupsToRemove": ["h"]},
            ["thing/a", "thinggroup/g", "thinggroup/h"],
        ),
        ("UpdateCertificate", {"certificateId": "c"}, ["cert/c"]),
        ("DeleteCACertificate", {"certificateId": "c"}, ["cacert/c"]),
        ("UpdateCertificate", {"certificateId": "AB" * 32}, [f"cert/{'ab' * 32}"]),
        ("UpdateCACertificate", {"certificateId": "AB" * 32}, [f"cacert/{'ab' * 32}"]),
        ("AttachPolicy", {"policyName": "p", "target": f"{ARN}cert/{'AB' * 32}"}, [f"cert/{'ab' * 32}"]),
        ("AttachPrincipalPolicy", {"policyName": "p", "principal": f"{ARN}cert/0x{'AB' * 32}"}, [f"cert/{'ab' * 32}"]),
        ("RegisterCertificateWithoutCA", {"certificatePem": "p"}, ["*"]),
        ("CreatePolicy", {"policyName": "p"}, ["policy/p"]),
        ("AttachPolicy", {"policyName": "p", "target": f"{ARN}cert/c"}, ["cert/c"]),
        ("TagResource", {"resourceArn": f"{ARN}policy/p"}, ["policy/p"]),
        ("CreateProvisioningClaim", {"templateName": "t"}, ["provisioningtemplate/t"]),
        ("CreateDynamicThingGroup", {"thingGroupName": "g"}, ["thinggroup/g"]),
        ("SetDefaultAuthorizer", {"authorizerName": "a"}, ["authorizer/a"]),
        ("SearchIndex", {"queryString": "*"}, ["index/AWS_Things"]),
        ("DescribeEndpoint", {}, ["*"]),
        ("DescribeCertificateProvider", {"certificateProviderName": "p"}, ["certificateprovider:p"]),
    ],
)
def test_resources_of_iot(asks: Asks, operation: str, params: dict[str, Any], resources: list[str]) -> None:
    wanted = [(f"iot:{operation}", each if each == "*" else ARN + each) for each in resources]
    assert asks("iot", operation, **params) == wanted


def test_what_is_given_to_a_service_must_be_passed(asks: Asks) -> None:
    passing = [("iam:PassRole", ROLE)]
    assert asks("iot", "CreateRoleAlias", roleAlias="a", roleArn=ROLE)[1:] == passing
    assert asks("iot", "CreateProvisioningTemplate", templateName="t", provisioningRoleArn=ROLE)[1:] == passing
    registration = {"roleArn": ROLE, "templateBody": "{}"}
    assert asks("iot", "RegisterCACertificate", registrationConfig=registration)[1:] == passing
    rule = {"actions": [{"republish": {"roleArn": ROLE}}, {"s3": {"roleArn": ROLE}}]}
    assert asks("iot", "CreateTopicRule", ruleName="r", topicRulePayload=rule)[1:] == passing


def test_resources_of_the_data_plane(asks: Asks) -> None:
    assert asks("iot-data", "Publish", topic="a/b") == [("iot:Publish", f"{ARN}topic/a/b")]
    assert asks("iot-data", "DeleteConnection", clientId="c") == [("iot:DeleteConnection", f"{ARN}client/c")]
    assert asks("iot-data", "ListRetainedMessages") == [("iot:ListRetainedMessages", "*")]


def test_resources_of_iam(asks: Asks) -> None:
    root = "arn:aws:iam::123456789012:"
    assert asks("iam", "CreateRole", RoleName="r", Path="/p/") == [("iam:CreateRole", f"{root}role/p/r")]
    assert asks("iam", "GetUser", UserName="u") == [("iam:GetUser", f"{root}user/u")]
    assert asks("iam", "GetUser") == [("iam:GetUser", ACT.actor)]
    assert asks("iam", "CreatePolicy", PolicyName="p") == [("iam:CreatePolicy", f"{root}policy/p")]
    assert asks("iam", "GetPolicy", PolicyArn="x") == [("iam:GetPolicy", "x")]
    assert asks("iam", "ListRoles") == [("iam:ListRoles", "*")]
    assert asks("sts", "GetCallerIdentity") == []


@pytest.mark.parametrize("service", ["iot", "iot-data"])
def test_every_label_names_a_kind_or_is_known_to_have_none(service: str) -> None:
    """An operation that is served and names its resource by an unknown label would ask for everything."""
    loaded: Model = MODELS[service]
    served = table.OPERATIONS if service == "iot" else {"Publish", "GetRetainedMessage", "DeleteConnection"}
    operations = [loaded.operation(name) for name in served if name not in actions._WITHOUT | actions._FROM_BODY.keys()]
    labels = {member.name for operation in operations for member in operation.input.labels[:1]}
    without_resource = {"taskId", "target", "policyTarget", "caCertificateId", "certificateArn"}
    assert labels - actions._KINDS.keys() <= without_resource


def test_the_context_of_a_request() -> None:
    known = actions.context(ACT, {"tags": [{"Key": "a", "Value": "b"}]}, "192.0.2.1", "https", "Boto3")
    assert known == {
        "aws:CurrentTime": "1700000000",
        "aws:EpochTime": "1700000000",
        "aws:RequestedRegion": "eu-west-1",
        "aws:SecureTransport": "true",
        "aws:RequestTag/a": "b",
        "aws:SourceIp": "192.0.2.1",
        "aws:UserAgent": "Boto3",
        "aws:TagKeys": ["a"],
    }


def test_the_tags_of_a_rule_are_in_a_header() -> None:
    known = actions.context(ACT, {"ruleName": "r", "tags": "site=a%20b&team="}, "", "http", "")
    assert known["aws:TagKeys"] == ["site", "team"]
    assert (known["aws:RequestTag/site"], known["aws:RequestTag/team"]) == ("a b", "")


# --- held at the door -------------------------------------------------------------------------------------------------


class Narrow:
    """A user whose policy a test writes."""

    def __init__(self, house: Installed, operator: Credentials) -> None:
        self.iam = house.client(operator, service="iam")
        self.iam.create_user(UserName="ana")
        key = self.iam.create_access_key(UserName="ana")["AccessKey"]
        self.house, self.credentials = house, Credentials(key["AccessKeyId"], key["SecretAccessKey"])

    def may(self, *statements: dict[str, Any]) -> None:
        text = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        self.iam.put_user_policy(UserName="ana", PolicyName="p", PolicyDocument=text)

    def iot(self, region: str = "us-east-1") -> Any:
        return self.house.client(self.credentials, region=region)


@pytest.fixture
def narrow(house: Installed, operator: Credentials) -> Narrow:
    return Narrow(house, operator)


def message(call: Callable[[], object]) -> str:
    with pytest.raises(ClientError) as caught:
        call()
    response: Any = caught.value.response
    assert response["Error"]["Code"] == "AccessDeniedException"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 403
    return str(response["Error"]["Message"])


def test_a_denial_says_what_decided(house: Installed, narrow: Narrow, realm: Realm) -> None:
    arn, who = f"arn:aws:iot:us-east-1:{realm.account}:thing/", f"User: arn:aws:iam::{realm.account}:user/ana is not"
    iot = narrow.iot()
    narrow.may(
        {"Effect": "Allow", "Action": "iot:*Thing", "Resource": arn + "a*"},
        {"Sid": "NotThis", "Effect": "Deny", "Action": "iot:Create*", "NotResource": arn + "*b"},
    )
    assert iot.create_thing(thingName="ab")["thingArn"] == arn + "ab"
    assert iot.describe_thing(thingName="ab")["thingName"] == "ab"
    assert message(lambda: iot.create_thing(thingName="ac")) == (
        f"{who} authorized to perform: iot:CreateThing on resource: {arn}ac with an explicit deny in an identity-based "
        "policy"
    )
    assert message(lambda: iot.describe_thing(thingName="b")) == (
        f"{who} authorized to perform: iot:DescribeThing on resource: {arn}b because no identity-based policy allows "
        "the iot:DescribeThing action"
    )
    refusals = [each for each in house.refusals if each.act.realm == realm]
    assert [each.action for each in refusals] == ["CreateThing", "DescribeThing"]
    assert "policy p version inline, Statement[1] (NotThis) denies it" in refusals[0].reason
    assert "no statement allows it" in refusals[1].reason
    assert {each.act.actor for each in refusals} == {f"arn:aws:iam::{realm.account}:user/ana"}


def test_conditions_of_the_request(narrow: Narrow) -> None:
    region = {"StringEquals": {"aws:RequestedRegion": "eu-west-1"}}
    narrow.may({"Effect": "Allow", "Action": "iot:ListThings", "Resource": "*", "Condition": region})
    assert narrow.iot("eu-west-1").list_things()["things"] == []
    message(narrow.iot().list_things)
    later = {"DateGreaterThan": {"aws:CurrentTime": "2100-01-01T00:00:00Z"}}
    narrow.may({"Effect": "Allow", "Action": "iot:ListThings", "Resource": "*", "Condition": later})
    message(narrow.iot().list_things)
    tag = {"StringEquals": {"aws:RequestTag/site": "b"}, "ForAllValues:StringEquals": {"aws:TagKeys": ["site"]}}
    narrow.may({"Effect": "Allow", "Action": "iot:CreateThingGroup", "Resource": "*", "Condition": tag})
    narrow.iot().create_thing_group(thingGroupName="g", tags=[{"Key": "site", "Value": "b"}])
    message(lambda: narrow.iot().create_thing_group(thingGroupName="h"))


def test_passing_a_role(narrow: Narrow, realm: Realm) -> None:
    role = f"arn:aws:iam::{realm.account}:role/r"
    every = {"Effect": "Allow", "Action": "iot:*", "Resource": "*"}
    thing = {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": "a"}}
    body = json.dumps({"Resources": {"thing": thing}})

    def create(name: str) -> Any:
        return narrow.iot().create_provisioning_template(
            templateName=name,
            templateBody=body,
            provisioningRoleArn=role,
        )

    narrow.may(every)
    assert "iam:PassRole" in message(lambda: create("a"))
    service = {"StringEquals": {"iam:PassedToService": "iot.amazonaws.com"}}
    narrow.may(every, {"Effect": "Allow", "Action": "iam:PassRole", "Resource": role, "Condition": service})
    assert create("a")["templateName"] == "a"


def test_a_certificate_is_denied_however_its_id_is_spelled(
    house: Installed, operator: Credentials, narrow: Narrow
) -> None:
    owner = house.client(operator)
    made = owner.create_keys_and_certificate(setAsActive=True)
    arn, spelled = made["certificateArn"], made["certificateId"].upper()
    statement = {"Effect": "Allow", "Action": "iot:Connect", "Resource": "*"}
    owner.create_policy(policyName="p", policyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    narrow.may(
        {"Effect": "Allow", "Action": "iot:*", "Resource": "*"},
        {"Effect": "Deny", "Action": "iot:*", "Resource": arn},
    )
    iot = narrow.iot()
    message(lambda: iot.update_certificate(certificateId=spelled, newStatus="INACTIVE"))
    message(lambda: iot.attach_policy(policyName="p", target=arn.replace(made["certificateId"], spelled)))
    assert owner.describe_certificate(certificateId=spelled)["certificateDescription"]["status"] == "ACTIVE"
