"""What AWS's own tutorials and guides type, with the awscli package's `aws` command: what the answers mean."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from tests.awscli import Cli, Failed, forker
from tests.journeys.paho_device import Device
from tests.pki import TestAuthority
from tests.server import REALM, Live, policy_document, statement

from fleetgate.names import Realm
from fleetgate.registry import access_keys

Connect = Callable[..., Device]

pytestmark = pytest.mark.timeout(240)  # as many commands as a tutorial has, on a machine that may be busy
MINE, OTHER = Realm("111122223333", REALM.region), Realm("444455556666", REALM.region)
"""Accounts that no other journey fills."""


@pytest.fixture(scope="module")
def process() -> Iterator[subprocess.Popen[str]]:
    with forker() as running:
        yield running


def cli(live: Live, process: subprocess.Popen[str], folder: Path, realm: Realm) -> Cli:
    runtime = live.server.runtime
    key = access_keys.generate(runtime.entropy)
    act, sealed = runtime.act(realm, "system"), runtime.vault.seal(key.secret)
    live.run(runtime.write(lambda tx: access_keys.create(tx, act, key.id, label="cli", sealed_secret=sealed)))
    environment = {
        "HOME": str(folder),
        "AWS_ENDPOINT_URL": live.api_url,
        "AWS_ACCESS_KEY_ID": key.id,
        "AWS_SECRET_ACCESS_KEY": key.secret,
        "AWS_DEFAULT_REGION": realm.region,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    return Cli(process, folder, environment)


@pytest.fixture
def aws(live: Live, process: subprocess.Popen[str], tmp_path: Path) -> Cli:
    return cli(live, process, tmp_path, MINE)


@pytest.fixture
def beside(live: Live, process: subprocess.Popen[str], tmp_path: Path) -> Cli:
    """Of the account that the server's devices and functions are in."""
    return cli(live, process, tmp_path, REALM)


@pytest.fixture
def other(live: Live, process: subprocess.Popen[str], tmp_path: Path) -> Cli:
    """Another account's."""
    return cli(live, process, tmp_path, OTHER)


# --- CAs and certificates ---------------------------------------------------------------------------------------------


def test_a_ca_is_registered_with_its_verification_certificate(aws: Cli, name: str) -> None:
    maker = TestAuthority(f"{name} CA")
    code = aws.text("iot", "get-registration-code", "--query", "registrationCode", "--output", "text").strip()
    ca = aws.write("ca.pem", maker.pem)
    template = {
        "Parameters": {"AWS::IoT::Certificate::CommonName": {"Type": "String"}},
        "Resources": {
            "thing": {
                "Type": "AWS::IoT::Thing",
                "Properties": {"ThingName": {"Ref": "AWS::IoT::Certificate::CommonName"}},
            },
            "certificate": {
                "Type": "AWS::IoT::Certificate",
                "Properties": {"CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}, "Status": "ACTIVE"},
            },
        },
    }
    role = f"arn:aws:iam::{MINE.account}:role/JITPRole"
    config = aws.write("config.json", {"templateBody": json.dumps(template), "roleArn": role})
    words = ["iot", "register-ca-certificate", "--ca-certificate", ca, "--set-as-active", "--allow-auto-registration"]
    foreign = aws.write("foreign.pem", TestAuthority("another").leaf(code))
    with pytest.raises(Failed, match=r"\(CertificateValidationException\)"):
        aws(*words, "--verification-certificate", foreign)
    proof = aws.write("proof.pem", maker.leaf(code))
    made = aws(*words, "--verification-certificate", proof, "--registration-config", config)
    shown = aws("iot", "describe-ca-certificate", "--certificate-id", made["certificateId"])
    described = shown["certificateDescription"]
    assert (described["certificateArn"], described["status"]) == (made["certificateArn"], "ACTIVE")
    assert (described["autoRegistrationStatus"], described["certificateMode"]) == ("ENABLE", "DEFAULT")
    assert shown["registrationConfig"]["roleArn"] == role
    assert json.loads(shown["registrationConfig"]["templateBody"]) == template
    found = aws("iot", "list-ca-certificates", "--query", "certificates[].certificateId")
    assert made["certificateId"] in found

    pem = aws.write("device.pem", maker.leaf(f"{name}-1"))
    device = aws(
        "iot", "register-certificate", "--certificate-pem", pem, "--ca-certificate-pem", ca, "--status", "ACTIVE"
    )
    listed = aws("iot", "list-certificates-by-ca", "--ca-certificate-id", made["certificateId"])
    assert [each["certificateId"] for each in listed["certificates"]] == [device["certificateId"]]
    caless = aws.write("caless.pem", TestAuthority("nobody's").leaf(f"{name}-2"))
    alone = aws("iot", "register-certificate-without-ca", "--certificate-pem", caless)
    described = aws("iot", "describe-certificate", "--certificate-id", alone["certificateId"])["certificateDescription"]
    assert (described["status"], described["certificateMode"]) == ("INACTIVE", "SNI_ONLY")
    assert "caCertificateId" not in described

    with pytest.raises(Failed, match=r"\(CertificateStateException\)"):
        aws("iot", "delete-ca-certificate", "--certificate-id", made["certificateId"])
    aws("iot", "update-ca-certificate", "--certificate-id", made["certificateId"], "--new-status", "INACTIVE")
    aws("iot", "delete-ca-certificate", "--certificate-id", made["certificateId"])
    with pytest.raises(Failed, match=r"\(ResourceNotFoundException\)"):
        aws("iot", "describe-ca-certificate", "--certificate-id", made["certificateId"])


def test_a_certificate_is_handed_to_another_account(aws: Cli, other: Cli) -> None:
    made = aws("iot", "create-keys-and-certificate", "--certificate-pem-outfile", "device.pem")
    it = ["--certificate-id", made["certificateId"]]
    offer = ["iot", "transfer-certificate", *it, "--target-aws-account", OTHER.account]
    offered = aws(*offer, "--transfer-message", "the pumps")
    assert offered["transferredCertificateArn"].endswith(f":cert/{made['certificateId']}")
    [out] = aws("iot", "list-outgoing-certificates")["outgoingCertificates"]
    assert (out["certificateId"], out["transferredTo"], out["transferMessage"]) == (
        made["certificateId"],
        OTHER.account,
        "the pumps",
    )
    other("iot", "reject-certificate-transfer", *it, "--reject-reason", "not ours")
    data = aws("iot", "describe-certificate", *it)["certificateDescription"]["transferData"]
    assert (data["transferMessage"], data["rejectReason"]) == ("the pumps", "not ours")
    aws(*offer)
    other("iot", "accept-certificate-transfer", *it, "--set-as-active")
    query = ["--query", "certificateDescription.[ownedBy,previousOwnedBy,status]", "--output", "text"]
    taken = other.text("iot", "describe-certificate", *it, *query).split()
    assert taken == [OTHER.account, MINE.account, "ACTIVE"]
    with pytest.raises(Failed, match=r"\(ResourceNotFoundException\)"):
        aws("iot", "describe-certificate", *it)
    assert aws("iot", "list-outgoing-certificates")["outgoingCertificates"] == []


# --- things, groups and the index -------------------------------------------------------------------------------------


def test_things_are_grouped_and_found(aws: Cli, name: str) -> None:
    fields = "customFields=[{name=attributes.watts,type=Number},{name=attributes.colour,type=String}]"
    indexing = f"thingIndexingMode=REGISTRY,thingConnectivityIndexingMode=STATUS,{fields}"
    groups = "thingGroupIndexingMode=ON"
    words = ["--thing-indexing-configuration", indexing, "--thing-group-indexing-configuration", groups]
    aws("iot", "update-indexing-configuration", *words)
    shown = aws("iot", "get-indexing-configuration")
    assert shown["thingIndexingConfiguration"]["thingConnectivityIndexingMode"] == "STATUS"
    assert aws("iot", "describe-index", "--index-name", "AWS_Things")["indexStatus"] == "ACTIVE"

    aws("iot", "create-thing-type", "--thing-type-name", name)
    for number, colour in enumerate(["red", "green", "red"]):
        thing = ["iot", "create-thing", "--thing-name", f"{name}-{number}", "--thing-type-name", name]
        aws(*thing, "--attribute-payload", f"attributes={{colour={colour},watts={10 * number}}}")
    properties = "thingGroupDescription=all,attributePayload={attributes={site=hall3}}"
    aws("iot", "create-thing-group", "--thing-group-name", name, "--thing-group-properties", properties)
    aws("iot", "create-thing-group", "--thing-group-name", f"{name}-child", "--parent-group-name", name)
    for number in (0, 1):
        member = ["--thing-group-name", f"{name}-child", "--thing-name", f"{name}-{number}"]
        aws("iot", "add-thing-to-thing-group", *member)
    inside = ["iot", "list-things-in-thing-group", "--thing-group-name", name]
    assert aws(*inside)["things"] == []
    assert aws(*inside, "--recursive")["things"] == [f"{name}-0", f"{name}-1"]
    described = aws("iot", "describe-thing-group", "--thing-group-name", f"{name}-child")
    assert described["thingGroupMetadata"]["parentGroupName"] == name

    aws("iot", "create-billing-group", "--billing-group-name", name, "--tags", "Key=cost,Value=centre-7")
    aws("iot", "add-thing-to-billing-group", "--billing-group-name", name, "--thing-name", f"{name}-0")
    members = aws("iot", "list-things-in-billing-group", "--billing-group-name", name)["things"]
    assert members == [f"{name}-0"]
    arn = aws("iot", "describe-billing-group", "--billing-group-name", name)["billingGroupArn"]
    assert aws("iot", "list-tags-for-resource", "--resource-arn", arn)["tags"] == [{"Key": "cost", "Value": "centre-7"}]
    assert aws("iot", "describe-thing", "--thing-name", f"{name}-0")["billingGroupName"] == name

    red = f"thingTypeName:{name} AND attributes.colour:red"
    dynamic = aws("iot", "create-dynamic-thing-group", "--thing-group-name", f"{name}-red", "--query-string", red)
    assert dynamic["queryString"] == red
    found = aws("iot", "search-index", "--query-string", red)["things"]
    assert [each["thingName"] for each in found] == [f"{name}-0", f"{name}-2"]
    assert found[0]["attributes"] == {"colour": "red", "watts": "0"}
    assert f"{name}-child" in found[0]["thingGroupNames"]
    in_red = aws("iot", "list-things-in-thing-group", "--thing-group-name", f"{name}-red")["things"]
    assert in_red == [f"{name}-0", f"{name}-2"]
    mine = ["--query-string", f"thingTypeName:{name}"]
    statistics = aws("iot", "get-statistics", *mine, "--aggregation-field", "attributes.watts")["statistics"]
    assert (statistics["count"], statistics["average"], statistics["maximum"]) == (3, 10.0, 20.0)
    assert aws("iot", "get-cardinality", *mine, "--aggregation-field", "attributes.colour")["cardinality"] == 2
    kinds = [
        "--buckets-aggregation-type",
        "termsAggregation={maxBuckets=5}",
        "--aggregation-field",
        "attributes.colour",
    ]
    buckets = aws("iot", "get-buckets-aggregation", *mine, *kinds)
    assert buckets["buckets"] == [{"keyValue": "red", "count": 2}, {"keyValue": "green", "count": 1}]


def test_answers_in_the_shapes_that_people_ask_for(aws: Cli, name: str) -> None:
    for number in range(5):
        aws(
            "iot",
            "create-thing",
            "--thing-name",
            f"{name}-{number}",
            "--attribute-payload",
            f"attributes={{batch={name}}}",
        )
    chosen = ["iot", "list-things", "--attribute-name", "batch", "--attribute-value", name]
    table = aws.text(*chosen, "--query", "things[].{Name: thingName, Version: version}", "--output", "table")
    assert f"|  {name}-4|  1  " in " ".join(table.split("\n")).replace(f"{name}-4 ", f"{name}-4")
    first = aws(*chosen, "--max-items", "2")
    assert [each["thingName"] for each in first["things"]] == [f"{name}-0", f"{name}-1"]
    rest = aws(*chosen, "--starting-token", first["NextToken"])
    assert [each["thingName"] for each in rest["things"]] == [f"{name}-{number}" for number in (2, 3, 4)]
    names = aws.text(*chosen, "--query", "things[?ends_with(thingName, '3')].thingName", "--output", "text")
    assert names == f"{name}-3\n"
    skeleton = aws("iot", "create-thing", "--generate-cli-skeleton")
    assert "thingName" in skeleton
    given = aws.write("thing.json", {"thingName": f"{name}-5", "attributePayload": {"attributes": {"batch": name}}})
    assert aws("iot", "create-thing", "--cli-input-json", given)["thingName"] == f"{name}-5"
    with pytest.raises(Failed, match=r"\(ResourceAlreadyExistsException\)"):
        aws("iot", "create-thing", "--thing-name", f"{name}-5")


# --- messages and rules -----------------------------------------------------------------------------------------------


def test_a_rule_is_made_and_a_message_goes_through_it(beside: Cli, live: Live, name: str, connect: Connect) -> None:
    republish = {"republish": {"roleArn": f"arn:aws:iam::{REALM.account}:role/rules", "topic": f"{name}-hot", "qos": 1}}
    sql = f"SELECT celsius, topic(1) AS place FROM '{name}/+' WHERE celsius > 30"
    payload = {"sql": sql, "description": "hot", "actions": [republish], "awsIotSqlVersion": "2016-03-23"}
    beside("iot", "create-topic-rule", "--rule-name", name, "--topic-rule-payload", beside.write("rule.json", payload))
    got = beside("iot", "get-topic-rule", "--rule-name", name)
    assert got["ruleArn"] == REALM.arn("rule", name)
    assert (got["rule"]["sql"], got["rule"]["ruleDisabled"]) == (sql, False)
    assert got["rule"]["actions"] == [republish]
    listed = beside("iot", "list-topic-rules", "--topic", f"{name}/+")["rules"]
    assert [each["ruleName"] for each in listed] == [name]

    watcher = policy_document(
        statement("iot:Connect", "*"),
        statement("iot:Subscribe", f"topicfilter/{name}-hot"),
        statement("iot:Receive", f"topic/{name}-hot"),
    )
    device = connect(live.identity(f"{name}-watcher", watcher), name)
    assert device.subscribe(f"{name}-hot") == [1]
    publish = ["iot-data", "publish", "--qos", "1", "--topic"]
    for celsius in (20, 40):
        beside(*publish, f"{name}/oven", "--payload", json.dumps({"celsius": celsius}))
    topic, body, _ = device.receive()
    assert (topic, json.loads(body)) == (f"{name}-hot", {"celsius": 40, "place": name})

    payload["sql"] = sql.replace("30", "10")
    beside("iot", "replace-topic-rule", "--rule-name", name, "--topic-rule-payload", beside.write("rule.json", payload))
    beside(*publish, f"{name}/oven", "--payload", '{"celsius": 20}')
    assert json.loads(device.receive()[1])["celsius"] == 20
    beside("iot", "disable-topic-rule", "--rule-name", name)
    assert beside("iot", "get-topic-rule", "--rule-name", name)["rule"]["ruleDisabled"] is True
    beside("iot", "delete-topic-rule", "--rule-name", name)
    with pytest.raises(Failed, match=r"\(UnauthorizedException\)"):  # AWS's answer for a rule that is not there
        beside("iot", "get-topic-rule", "--rule-name", name)


def test_retained_messages_are_published_listed_and_read(aws: Cli, name: str) -> None:
    words = ["iot-data", "publish", "--qos", "1", "--retain", "--topic", f"{name}/state", "--payload"]
    aws(*words, "on")
    listed = aws("iot-data", "list-retained-messages")["retainedTopics"]
    [mine] = [each for each in listed if each["topic"] == f"{name}/state"]
    assert (mine["payloadSize"], mine["qos"]) == (2, 1)
    got = aws("iot-data", "get-retained-message", "--topic", f"{name}/state")
    assert base64.b64decode(got["payload"]) == b"on"
    aws(*words, "")
    with pytest.raises(Failed, match=r"\(ResourceNotFoundException\)"):
        aws("iot-data", "get-retained-message", "--topic", f"{name}/state")


# --- who may what -----------------------------------------------------------------------------------------------------

AUTHORIZER = """
def lambda_handler(event, context):
    allowed = {"Effect": "Allow", "Action": "iot:Connect", "Resource": "*"}
    return {
        "isAuthenticated": event["token"] == "open-sesame",
        "principalId": "sesame",
        "disconnectAfterInSeconds": 3600,
        "refreshAfterInSeconds": 300,
        "policyDocuments": [{"Version": "2012-10-17", "Statement": [allowed]}],
    }
"""


def test_an_authorizer_is_made_and_tried(beside: Cli, live: Live, name: str) -> None:
    function = live.bind(name, AUTHORIZER)
    key = rsa.generate_private_key(65537, 2048)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    words = ["iot", "create-authorizer", "--authorizer-name", name, "--authorizer-function-arn", function]
    keys = ["--token-key-name", "X-Token", "--token-signing-public-keys", f"FIRST={public.decode()}"]
    made = beside(*words, *keys, "--status", "ACTIVE")
    assert made["authorizerArn"] == REALM.arn("authorizer", name)
    described = beside("iot", "describe-authorizer", "--authorizer-name", name)["authorizerDescription"]
    assert (described["authorizerFunctionArn"], described["status"]) == (function, "ACTIVE")
    assert described["tokenSigningPublicKeys"]["FIRST"].strip() == public.decode().strip()

    def tried(token: str, signed: str) -> Any:
        signature = base64.b64encode(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()
        return beside(
            "iot", "test-invoke-authorizer", "--authorizer-name", name, "--token", token, "--token-signature", signature
        )

    answer = tried("open-sesame", "open-sesame")
    assert (answer["isAuthenticated"], answer["principalId"]) == (True, "sesame")
    assert (answer["refreshAfterInSeconds"], answer["disconnectAfterInSeconds"]) == (300, 3600)
    assert json.loads(answer["policyDocuments"][0])["Statement"][0]["Action"] == "iot:Connect"
    assert tried("open-barley", "open-barley")["isAuthenticated"] is False
    with pytest.raises(
        Failed, match=r"\(InvalidResponseException\)|\(InvalidRequestException\)|\(UnauthorizedException\)"
    ):
        tried("open-sesame", "something else")
    beside("iot", "set-default-authorizer", "--authorizer-name", name)
    default = beside("iot", "describe-default-authorizer")["authorizerDescription"]
    assert default["authorizerName"] == name
    beside("iot", "clear-default-authorizer")
    beside("iot", "update-authorizer", "--authorizer-name", name, "--status", "INACTIVE")
    listed = beside("iot", "list-authorizers", "--status", "INACTIVE")["authorizers"]
    assert name in [each["authorizerName"] for each in listed]
    beside("iot", "delete-authorizer", "--authorizer-name", name)


def test_a_role_is_made_taken_and_held_to(aws: Cli, name: str) -> None:
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{MINE.account}:root"},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"sts:ExternalId": "k7"}},
            }
        ],
    }
    document = aws.write("trust.json", trust)
    role = aws("iam", "create-role", "--role-name", name, "--assume-role-policy-document", document)["Role"]
    assert role["Arn"] == f"arn:aws:iam::{MINE.account}:role/{name}"
    assert role["AssumeRolePolicyDocument"] == trust
    rights = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:ListThings", "Resource": "*"}]}
    policy = ["--policy-name", "look", "--policy-document", aws.write("rights.json", rights)]
    aws("iam", "put-role-policy", "--role-name", name, *policy)
    assert aws("iam", "list-role-policies", "--role-name", name)["PolicyNames"] == ["look"]
    got = aws("iam", "get-role-policy", "--role-name", name, "--policy-name", "look")
    assert got["PolicyDocument"] == rights

    assume = ["sts", "assume-role", "--role-arn", role["Arn"], "--role-session-name", "cli"]
    with pytest.raises(Failed, match=r"\(AccessDenied\)"):
        aws(*assume)
    taken = aws(*assume, "--external-id", "k7")
    assert taken["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{MINE.account}:assumed-role/{name}/cli"
    credentials = {
        "AWS_ACCESS_KEY_ID": taken["Credentials"]["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": taken["Credentials"]["SecretAccessKey"],
        "AWS_SESSION_TOKEN": taken["Credentials"]["SessionToken"],
    }
    session = Cli(aws.forker, aws.folder, {**aws.environment, **credentials})
    identity = session("sts", "get-caller-identity")
    assert (identity["Account"], identity["Arn"]) == (MINE.account, taken["AssumedRoleUser"]["Arn"])
    assert "things" in session("iot", "list-things", "--max-items", "1")
    with pytest.raises(Failed, match=r"\(AccessDeniedException\).* iot:CreateThing"):
        session("iot", "create-thing", "--thing-name", name)

    alias = ["--role-alias", name]
    made = aws("iot", "create-role-alias", *alias, "--role-arn", role["Arn"], "--credential-duration-seconds", "900")
    assert made["roleAliasArn"] == MINE.arn("rolealias", name)
    described = aws("iot", "describe-role-alias", *alias)["roleAliasDescription"]
    assert (described["roleArn"], described["credentialDurationSeconds"]) == (role["Arn"], 900)
    assert name in aws("iot", "list-role-aliases")["roleAliases"]
    aws("iot", "delete-role-alias", *alias)


def test_policies_are_versioned_and_tried(aws: Cli, name: str) -> None:
    def document(action: str) -> str:
        return policy_document({"Effect": "Allow", "Action": action, "Resource": MINE.arn("topic", f"{name}/*")})

    aws("iot", "create-policy", "--policy-name", name, "--policy-document", document("iot:Publish"))
    csr = ["--certificate-pem-outfile", "device.pem", "--private-key-outfile", "device.key"]
    target = aws("iot", "create-keys-and-certificate", "--set-as-active", *csr)["certificateArn"]
    aws("iot", "attach-policy", "--policy-name", name, "--target", target)
    resources = f"resources={MINE.arn('topic', f'{name}/1')}"
    tried = ["iot", "test-authorization", "--principal", target, "--auth-infos", f"actionType=PUBLISH,{resources}"]

    def decision() -> str:
        found: str = aws(*tried)["authResults"][0]["authDecision"]
        return found

    assert decision() == "ALLOWED"
    version = aws("iot", "create-policy-version", "--policy-name", name, "--policy-document", document("iot:Receive"))
    assert (version["policyVersionId"], version["isDefaultVersion"]) == ("2", False)
    assert decision() == "ALLOWED"
    aws("iot", "set-default-policy-version", "--policy-name", name, "--policy-version-id", "2")
    assert decision() == "IMPLICIT_DENY"
    ids = "policyVersions[].[versionId,isDefaultVersion]"
    assert aws("iot", "list-policy-versions", "--policy-name", name, "--query", ids) == [["2", True], ["1", False]]
    effective = aws("iot", "get-effective-policies", "--principal", target)["effectivePolicies"]
    assert [each["policyName"] for each in effective] == [name]
    assert aws("iot", "list-targets-for-policy", "--policy-name", name)["targets"] == [target]
    with pytest.raises(Failed, match=r"\(DeleteConflictException\)"):
        aws("iot", "delete-policy", "--policy-name", name)


def test_a_domain_configuration_is_made_and_switched_off(aws: Cli, name: str) -> None:
    config = ["--domain-configuration-name", name]
    made = aws("iot", "create-domain-configuration", *config, "--domain-name", f"{name}.example.com")
    assert made["domainConfigurationArn"].startswith(MINE.arn("domainconfiguration", name))
    shown = aws("iot", "describe-domain-configuration", *config)
    assert (shown["domainName"], shown["domainConfigurationStatus"]) == (f"{name}.example.com", "ENABLED")
    with pytest.raises(Failed, match=r"\(InvalidRequestException\)"):
        aws("iot", "delete-domain-configuration", *config)
    switch = ["--domain-configuration-status", "DISABLED"]
    aws("iot", "update-domain-configuration", *config, *switch)
    names = "domainConfigurations[].domainConfigurationName"
    assert name in aws("iot", "list-domain-configurations", "--query", names)
    aws("iot", "delete-domain-configuration", *config)
    assert name not in aws("iot", "list-domain-configurations", "--query", names)


def test_the_endpoint_is_told(aws: Cli) -> None:
    told = aws.text("iot", "describe-endpoint", "--endpoint-type", "iot:Data-ATS", "--output", "text").strip()
    assert told == "localhost"
