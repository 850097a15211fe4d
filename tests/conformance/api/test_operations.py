"""Every operation that is served, once, for what it means; and what the audit trail keeps of it."""

from __future__ import annotations

import json
import re
import time
from functools import cache
from pathlib import Path
from typing import Any

from botocore import xform_name
from cryptography import x509
from tests.conformance.api.conftest import Account
from tests.pki import TestAuthority, new_key, signing_request
from tests.server import PATIENCE

from fleetgate.api.handling import Flow, Write
from fleetgate.api.table import OPERATIONS
from fleetgate.names import Act
from fleetgate.registry import audit, thing_types

ROLE = "arn:aws:iam::123456789012:role/provisioning"
POLICY = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"*"}]}'
BODY = json.dumps(
    {
        "Parameters": {"Serial": {"Type": "String"}},
        "Resources": {"thing": {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": {"Ref": "Serial"}}}},
    }
)


def test_every_operation(account: Account, neighbour: Account) -> None:
    iot = account.client()
    called: set[str] = set()
    iot.meta.events.register("before-call.iot.*", lambda model, **_: called.add(model.name))
    types_and_things(iot)
    groups(iot)
    billing(iot)
    arn = certificates(iot)
    transfers(iot, account, neighbour)
    providers(iot)
    authorities(iot, account)
    policies(iot, arn)
    principals(iot, arn)
    templates(iot)
    registration(iot, account)
    the_end(iot, account)
    elsewhere = {
        name for name in set(OPERATIONS) - called if re.search(rf"""[."']{xform_name(name)}[("']""", _other_tests())
    }
    assert called | elsewhere == set(OPERATIONS)
    entries = account.live.read(lambda tx: audit.page(tx, account.realm, limit=1000)).items
    changing = {name for name, handler in OPERATIONS.items() if isinstance(handler, Write | Flow)}
    assert {entry.action for entry in entries} == (changing & called) | {"IssueCertificate"}
    for entry in entries:
        assert entry.outcome == "ok"
        own = f"arn:aws:iam::{account.realm.account}:access-key/{account.key.id}"
        assert entry.actor in {own, f"account/{neighbour.realm.account}"}
        assert entry.target.startswith(f"arn:aws:iot:us-east-1:{account.realm.account}:")


@cache
def _other_tests() -> str:
    """Journeys and unit tests of the API, where operations are called that take more to set up."""
    root = Path(__file__).parents[2]
    return "\n".join(file.read_text() for folder in ("journeys", "unit/api") for file in (root / folder).glob("*.py"))


def types_and_things(iot: Any) -> None:
    iot.create_thing_type(thingTypeName="lamp", thingTypeProperties={"searchableAttributes": ["room"]})
    iot.update_thing_type(thingTypeName="lamp", thingTypeProperties={"thingTypeDescription": "gives light"})
    described = iot.describe_thing_type(thingTypeName="lamp")["thingTypeProperties"]
    assert described == {"thingTypeDescription": "gives light", "searchableAttributes": ["room"]}
    assert [each["thingTypeName"] for each in iot.list_thing_types()["thingTypes"]] == ["lamp"]
    for name, room in (("lamp:1", "hall"), ("lamp:2", "hall"), ("lamp:3", "attic")):
        iot.create_thing(thingName=name, thingTypeName="lamp", attributePayload={"attributes": {"room": room}})
    found = iot.list_things(attributeName="room", attributeValue="hall", thingTypeName="lamp")["things"]
    assert [each["thingName"] for each in found] == ["lamp:1", "lamp:2"]
    iot.update_thing(thingName="lamp:2", attributePayload={"attributes": {"room": "attic"}, "merge": True})
    assert iot.describe_thing(thingName="lamp:2")["attributes"] == {"room": "attic"}
    iot.delete_thing(thingName="lamp:3")
    assert [each["thingName"] for each in iot.list_things()["things"]] == ["lamp:1", "lamp:2"]


def groups(iot: Any) -> None:
    arn = iot.create_thing_group(thingGroupName="house", tags=[{"Key": "plan", "Value": "A"}])["thingGroupArn"]
    iot.create_thing_group(thingGroupName="hall", parentGroupName="house")
    iot.update_thing_group(thingGroupName="hall", thingGroupProperties={"thingGroupDescription": "the hall"})
    above = iot.describe_thing_group(thingGroupName="hall")["thingGroupMetadata"]["rootToParentThingGroups"]
    assert above == [{"groupName": "house", "groupArn": arn}]
    iot.add_thing_to_thing_group(thingGroupName="hall", thingName="lamp:1")
    iot.update_thing_groups_for_thing(thingName="lamp:2", thingGroupsToAdd=["house"])
    assert iot.list_things_in_thing_group(thingGroupName="house")["things"] == ["lamp:2"]
    recursive = iot.list_things_in_thing_group(thingGroupName="house", recursive=True)["things"]
    assert sorted(recursive) == ["lamp:1", "lamp:2"]
    of = iot.list_thing_groups_for_thing(thingName="lamp:1")["thingGroups"]
    assert [each["groupName"] for each in of] == ["hall"]
    iot.remove_thing_from_thing_group(thingGroupName="hall", thingName="lamp:1")
    assert iot.list_things_in_thing_group(thingGroupName="hall")["things"] == []
    assert [each["groupName"] for each in iot.list_thing_groups(recursive=False)["thingGroups"]] == ["house"]
    iot.tag_resource(resourceArn=arn, tags=[{"Key": "floor", "Value": "1"}])
    iot.untag_resource(resourceArn=arn, tagKeys=["plan"])
    assert iot.list_tags_for_resource(resourceArn=arn)["tags"] == [{"Key": "floor", "Value": "1"}]


def billing(iot: Any) -> None:
    arn = iot.create_billing_group(billingGroupName="south", tags=[{"Key": "cost", "Value": "7"}])["billingGroupArn"]
    iot.create_billing_group(billingGroupName="north")
    assert iot.list_tags_for_resource(resourceArn=arn)["tags"] == [{"Key": "cost", "Value": "7"}]
    described = {"billingGroupDescription": "the south"}
    assert iot.update_billing_group(billingGroupName="south", billingGroupProperties=described)["version"] == 2
    assert iot.describe_billing_group(billingGroupName="south")["billingGroupProperties"] == described
    listed = iot.list_billing_groups(namePrefixFilter="so")["billingGroups"]
    assert listed == [{"groupName": "south", "groupArn": arn}]
    for name in ("lamp:1", "lamp:2"):
        iot.add_thing_to_billing_group(billingGroupName="north", thingName=name)
    iot.add_thing_to_billing_group(billingGroupArn=arn, thingName="lamp:1")
    iot.remove_thing_from_billing_group(billingGroupName="north", thingName="lamp:2")
    assert iot.describe_thing(thingName="lamp:1")["billingGroupName"] == "south"
    assert iot.list_things_in_billing_group(billingGroupName="south")["things"] == ["lamp:1"]
    assert iot.list_things_in_billing_group(billingGroupName="north")["things"] == []
    for name in ("south", "north"):
        iot.delete_billing_group(billingGroupName=name)
    assert "billingGroupName" not in iot.describe_thing(thingName="lamp:1")


def certificates(iot: Any) -> str:
    """The ARN of an active certificate."""
    key = new_key()
    made = iot.create_certificate_from_csr(certificateSigningRequest=signing_request(key, "sn-1"), setAsActive=True)
    leaf = x509.load_pem_x509_certificate(made["certificatePem"].encode())
    assert leaf.public_key() == key.public_key()
    pair = iot.create_keys_and_certificate()
    iot.update_certificate(certificateId=pair["certificateId"], newStatus="ACTIVE")
    described = iot.describe_certificate(certificateId=pair["certificateId"])["certificateDescription"]
    assert described["status"] == "ACTIVE"
    listed = {each["certificateId"] for each in iot.list_certificates()["certificates"]}
    assert listed == {made["certificateId"], pair["certificateId"]}
    iot.update_certificate(certificateId=pair["certificateId"], newStatus="INACTIVE")
    iot.delete_certificate(certificateId=pair["certificateId"])
    assert [each["certificateId"] for each in iot.list_certificates()["certificates"]] == [made["certificateId"]]
    return str(made["certificateArn"])


def transfers(iot: Any, account: Account, neighbour: Account) -> None:
    """One way and back, once rejected and once cancelled."""
    other = neighbour.client()
    made = iot.create_keys_and_certificate()["certificateId"]
    ends = [iot.cancel_certificate_transfer, other.reject_certificate_transfer, other.accept_certificate_transfer]
    for end in ends:
        iot.transfer_certificate(certificateId=made, targetAwsAccount=neighbour.realm.account)
        assert [each["certificateId"] for each in iot.list_outgoing_certificates()["outgoingCertificates"]] == [made]
        end(certificateId=made)
        assert iot.list_outgoing_certificates()["outgoingCertificates"] == []
    for end in (iot.reject_certificate_transfer, iot.accept_certificate_transfer):
        other.transfer_certificate(certificateId=made, targetAwsAccount=account.realm.account)
        end(certificateId=made)
    described = iot.describe_certificate(certificateId=made)["certificateDescription"]
    assert (described["ownedBy"], described["previousOwnedBy"]) == (account.realm.account, neighbour.realm.account)
    iot.delete_certificate(certificateId=made)


def providers(iot: Any) -> None:
    function = "arn:aws:lambda:us-east-1:123456789012:function:sign"
    arn = iot.create_certificate_provider(
        certificateProviderName="mine",
        lambdaFunctionArn=function,
        accountDefaultForOperations=["CreateCertificateFromCsr"],
        tags=[{"Key": "team", "Value": "pki"}],
    )["certificateProviderArn"]
    assert iot.list_certificate_providers()["certificateProviders"] == [
        {"certificateProviderName": "mine", "certificateProviderArn": arn}
    ]
    assert iot.list_tags_for_resource(resourceArn=arn)["tags"] == [{"Key": "team", "Value": "pki"}]
    iot.update_certificate_provider(certificateProviderName="mine", lambdaFunctionArn=f"{function}2")
    assert iot.describe_certificate_provider(certificateProviderName="mine")["lambdaFunctionArn"] == f"{function}2"
    iot.delete_certificate_provider(certificateProviderName="mine")
    assert iot.list_certificate_providers()["certificateProviders"] == []


def authorities(iot: Any, account: Account) -> None:
    ca = TestAuthority(f"CA of {account.realm.account}")
    code = iot.get_registration_code()["registrationCode"]
    made = iot.register_ca_certificate(
        caCertificate=ca.pem, verificationCertificate=ca.leaf(code), setAsActive=True, allowAutoRegistration=True
    )["certificateId"]
    iot.update_ca_certificate(certificateId=made, newAutoRegistrationStatus="DISABLE")
    described = iot.describe_ca_certificate(certificateId=made)["certificateDescription"]
    assert (described["status"], described["autoRegistrationStatus"]) == ("ACTIVE", "DISABLE")
    assert [each["certificateId"] for each in iot.list_ca_certificates()["certificates"]] == [made]
    under = iot.register_certificate(certificatePem=ca.leaf())["certificateId"]
    alone = iot.register_certificate_without_ca(certificatePem=ca.leaf())["certificateId"]
    listed = iot.list_certificates_by_ca(caCertificateId=made)["certificates"]
    assert [each["certificateId"] for each in listed] == [under]
    for each in (under, alone):
        iot.delete_certificate(certificateId=each)
    iot.update_ca_certificate(certificateId=made, newStatus="INACTIVE")
    iot.delete_ca_certificate(certificateId=made)
    iot.delete_registration_code()
    assert iot.get_registration_code()["registrationCode"] != code


def policies(iot: Any, arn: str) -> None:
    iot.create_policy(policyName="p", policyDocument=POLICY)
    narrower = POLICY.replace("*", "arn:aws:iot:us-east-1:123456789012:client/a")
    iot.create_policy_version(policyName="p", policyDocument=narrower)
    iot.set_default_policy_version(policyName="p", policyVersionId="2")
    assert iot.get_policy(policyName="p")["policyDocument"] == narrower
    assert iot.get_policy_version(policyName="p", policyVersionId="1")["isDefaultVersion"] is False
    iot.delete_policy_version(policyName="p", policyVersionId="1")
    assert [each["versionId"] for each in iot.list_policy_versions(policyName="p")["policyVersions"]] == ["2"]
    iot.attach_policy(policyName="p", target=arn)
    assert [each["policyName"] for each in iot.list_attached_policies(target=arn)["policies"]] == ["p"]
    assert iot.list_targets_for_policy(policyName="p")["targets"] == [arn]
    assert [each["policyName"] for each in iot.get_effective_policies(principal=arn)["effectivePolicies"]] == ["p"]
    asked = {"actionType": "CONNECT", "resources": ["arn:aws:iot:us-east-1:123456789012:client/a"]}
    [tested] = iot.test_authorization(principal=arn, authInfos=[asked])["authResults"]
    assert tested["authDecision"] == "ALLOWED"
    iot.detach_policy(policyName="p", target=arn)
    iot.attach_principal_policy(policyName="p", principal=arn)
    assert [each["policyName"] for each in iot.list_principal_policies(principal=arn)["policies"]] == ["p"]
    assert iot.list_policy_principals(policyName="p")["principals"] == [arn]
    iot.detach_principal_policy(policyName="p", principal=arn)
    assert [each["policyName"] for each in iot.list_policies()["policies"]] == ["p"]
    iot.delete_policy(policyName="p")


def principals(iot: Any, arn: str) -> None:
    iot.attach_thing_principal(thingName="lamp:1", principal=arn, thingPrincipalType="EXCLUSIVE_THING")
    assert iot.list_thing_principals(thingName="lamp:1")["principals"] == [arn]
    assert iot.list_principal_things(principal=arn)["things"] == ["lamp:1"]
    objects = iot.list_thing_principals_v2(thingName="lamp:1")["thingPrincipalObjects"]
    assert objects == [{"principal": arn, "thingPrincipalType": "EXCLUSIVE_THING"}]
    things = iot.list_principal_things_v2(principal=arn)["principalThingObjects"]
    assert things == [{"thingName": "lamp:1", "thingPrincipalType": "EXCLUSIVE_THING"}]
    iot.detach_thing_principal(thingName="lamp:1", principal=arn)
    assert iot.list_thing_principals(thingName="lamp:1")["principals"] == []


def templates(iot: Any) -> None:
    iot.create_provisioning_template(templateName="t", templateBody=BODY, provisioningRoleArn=ROLE)
    assert iot.describe_provisioning_template(templateName="t")["enabled"] is False
    iot.update_provisioning_template(templateName="t", enabled=True)
    assert iot.list_provisioning_templates()["templates"][0]["enabled"] is True
    iot.create_provisioning_template_version(templateName="t", templateBody=BODY, setAsDefault=True)
    assert iot.describe_provisioning_template_version(templateName="t", versionId=2)["isDefaultVersion"] is True
    iot.delete_provisioning_template_version(templateName="t", versionId=1)
    assert [each["versionId"] for each in iot.list_provisioning_template_versions(templateName="t")["versions"]] == [2]
    claim = iot.create_provisioning_claim(templateName="t")
    leaf = x509.load_pem_x509_certificate(claim["certificatePem"].encode())
    assert leaf.not_valid_after_utc == claim["expiration"]
    assert claim["certificateId"] not in {each["certificateId"] for each in iot.list_certificates()["certificates"]}
    iot.delete_provisioning_template(templateName="t")
    assert iot.list_provisioning_templates()["templates"] == []


def registration(iot: Any, account: Account) -> None:
    answer = iot.register_thing(templateBody=BODY, parameters={"Serial": "one"})
    assert answer["resourceArns"] == {"thing": account.realm.arn("thing", "one")}
    bucket = account.live.folder.parent / "data" / "buckets" / account.realm.account / "factory"
    bucket.mkdir(parents=True)
    (bucket / "lamps.json").write_text('{"Serial": "two"}\n{"Serial": "no spaces"}\n')
    task = iot.start_thing_registration_task(
        templateBody=BODY, inputFileBucket="factory", inputFileKey="lamps.json", roleArn=ROLE
    )["taskId"]
    iot.stop_thing_registration_task(taskId=task)
    described = ended(iot, task)
    assert described["status"] == "Cancelled"
    assert iot.list_thing_registration_tasks()["taskIds"] == [task]
    done = described["successCount"] + described["failureCount"]
    links = [
        link
        for report in ("RESULTS", "ERRORS")
        for link in iot.list_thing_registration_task_reports(taskId=task, reportType=report)["resourceLinks"]
    ]
    assert len(links) == done
    for name in ["one", "two"][: 1 + described["successCount"]]:
        iot.delete_thing(thingName=name)


def ended(iot: Any, task: str) -> Any:
    """The task when it has ended."""
    deadline = time.monotonic() + PATIENCE
    while (described := iot.describe_thing_registration_task(taskId=task))["status"] in {"InProgress", "Cancelling"}:
        assert time.monotonic() < deadline, described
        time.sleep(0.02)
    return described


def the_end(iot: Any, account: Account) -> None:
    assert iot.describe_endpoint(endpointType="iot:Data-ATS")["endpointAddress"] == "localhost"
    for name in ("lamp:1", "lamp:2"):
        iot.delete_thing(thingName=name)
    iot.delete_thing_group(thingGroupName="hall")
    iot.delete_thing_group(thingGroupName="house")
    assert iot.list_thing_groups()["thingGroups"] == []
    # Nobody waits five minutes: the type was deprecated that long ago, and to do it again changes nothing.
    now = account.live.now()
    earlier = Act(account.realm, "system", now - 6 * 60_000, account.live.act().request_id)
    account.live.run(account.live.server.runtime.write(lambda tx: thing_types.deprecate(tx, earlier, "lamp")))
    iot.deprecate_thing_type(thingTypeName="lamp")
    assert iot.describe_thing_type(thingTypeName="lamp")["thingTypeMetadata"]["deprecated"] is True
    iot.delete_thing_type(thingTypeName="lamp")
    assert iot.list_thing_types()["thingTypes"] == []
