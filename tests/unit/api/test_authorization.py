from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from fleetgate.names import Realm

Attach = Callable[..., None]


@pytest.fixture
def certificate(iot: Any) -> str:
    return str(iot.create_keys_and_certificate(setAsActive=True)["certificateArn"])


@pytest.fixture
def policy(iot: Any, realm: Realm) -> Attach:
    """Make a policy of one statement, and attach it to all of *targets*."""

    def make(name: str, effect: str, action: str, resource: str, *targets: str, **more: Any) -> None:
        named = f"arn:aws:iot:{realm.region}:{realm.account}:{resource}"
        statement = {"Effect": effect, "Action": f"iot:{action}", "Resource": named, **more}
        iot.create_policy(
            policyName=name, policyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        )
        for target in targets:
            iot.attach_policy(policyName=name, target=target)

    return make


def names(policies: Any) -> list[str]:
    return [each["policyName"] for each in policies]


def asked(realm: Realm, action: str, *resources: str) -> dict[str, Any]:
    return {"actionType": action, "resources": [realm.arn(*each.split("/", 1)) for each in resources]}


# --- GetEffectivePolicies ---------------------------------------------------------------------------------------------


@pytest.fixture
def lamp(iot: Any, policy: Attach, certificate: str) -> str:
    """A thing in a group below another, with a policy at each place; the certificate is attached to it."""
    above = iot.create_thing_group(thingGroupName="above")["thingGroupArn"]
    below = iot.create_thing_group(thingGroupName="below", parentGroupName="above")["thingGroupArn"]
    iot.create_thing(thingName="lamp")
    iot.add_thing_to_thing_group(thingGroupName="below", thingName="lamp")
    policy("own", "Allow", "Connect", "client/*", certificate)
    policy("above", "Allow", "Publish", "topic/a", above)
    policy("below", "Deny", "Publish", "topic/b", below, certificate)
    policy("nobodys", "Allow", "Publish", "topic/c")
    iot.attach_thing_principal(thingName="lamp", principal=certificate)
    return str(below)


def test_policies_of_a_certificate_and_of_its_thing(iot: Any, lamp: str, certificate: str, realm: Realm) -> None:
    found = iot.get_effective_policies(principal=certificate)["effectivePolicies"]
    assert names(found) == ["below", "own"]
    assert found[1]["policyArn"] == realm.arn("policy", "own")
    assert found[1]["policyDocument"] == iot.get_policy(policyName="own")["policyDocument"]
    found = iot.get_effective_policies(principal=certificate, thingName="lamp")["effectivePolicies"]
    assert names(found) == ["above", "below", "own"]


def test_policies_of_a_group_and_of_a_thing_alone(iot: Any, lamp: str) -> None:
    assert names(iot.get_effective_policies(principal=lamp)["effectivePolicies"]) == ["above", "below"]
    assert names(iot.get_effective_policies(thingName="lamp")["effectivePolicies"]) == ["above", "below"]


def test_anothers_thing_brings_nothing(iot: Any, lamp: str) -> None:
    other = iot.create_keys_and_certificate(setAsActive=True)["certificateArn"]
    assert iot.get_effective_policies(principal=other, thingName="lamp")["effectivePolicies"] == []


def test_the_version_in_force(iot: Any, lamp: str, certificate: str) -> None:
    newer = '{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"iot:*","Resource":"*"}]}'
    iot.create_policy_version(policyName="own", policyDocument=newer, setAsDefault=True)
    found = iot.get_effective_policies(principal=certificate)["effectivePolicies"]
    assert found[1]["policyDocument"] == newer


def test_what_has_no_effective_policies(iot: Any, realm: Realm) -> None:
    invalid, missing = iot.exceptions.InvalidRequestException, iot.exceptions.ResourceNotFoundException
    with pytest.raises(invalid, match="Name a principal"):
        iot.get_effective_policies()
    with pytest.raises(invalid, match="no Cognito identities"):
        iot.get_effective_policies(cognitoIdentityPoolId="us-east-1:pool")
    with pytest.raises(missing):
        iot.get_effective_policies(thingName="nothing")
    with pytest.raises(missing):
        iot.get_effective_policies(principal=realm.arn("cert", "0" * 64))
    with pytest.raises(missing):
        iot.get_effective_policies(principal=realm.arn("thinggroup", "nothing"))
    with pytest.raises(invalid, match="Not an IoT resource ARN"):
        iot.get_effective_policies(principal="somebody")


# --- TestAuthorization ------------------------------------------------------------------------------------------------


def test_each_decision_and_the_policies_behind_it(iot: Any, policy: Attach, certificate: str, realm: Realm) -> None:
    policy("may", "Allow", "Publish", "topic/a/*", certificate)
    policy("may-not", "Deny", "Publish", "topic/a/secret", certificate)
    wishes = [
        asked(realm, "PUBLISH", "topic/a/b"),
        asked(realm, "PUBLISH", "topic/a/secret"),
        asked(realm, "PUBLISH", "topic/z"),
        asked(realm, "SUBSCRIBE", "topicfilter/a/b"),
    ]
    allowed, explicit, implicit, other = iot.test_authorization(principal=certificate, authInfos=wishes)["authResults"]
    assert [each["authInfo"] for each in (allowed, explicit, implicit, other)] == wishes
    assert allowed["authDecision"] == "ALLOWED"
    assert allowed["allowed"]["policies"] == [{"policyName": "may", "policyArn": realm.arn("policy", "may")}]
    assert names(allowed["denied"]["implicitDeny"]["policies"]) == ["may-not"]
    assert explicit["authDecision"] == "EXPLICIT_DENY"
    assert names(explicit["denied"]["explicitDeny"]["policies"]) == ["may-not"]
    assert names(explicit["allowed"]["policies"]) == ["may"]
    for each in (implicit, other):
        assert each["authDecision"] == "IMPLICIT_DENY"
        assert names(each["denied"]["implicitDeny"]["policies"]) == ["may", "may-not"]
        assert (each["allowed"]["policies"], each["missingContextValues"]) == ([], [])


def test_of_several_resources_one_denied_decides(iot: Any, policy: Attach, certificate: str, realm: Realm) -> None:
    policy("may", "Allow", "Receive", "topic/a/*", certificate)
    policy("may-not", "Deny", "Receive", "topic/a/secret", certificate)

    def decision(*topics: str) -> str:
        asking = [asked(realm, "RECEIVE", *topics)]
        return str(iot.test_authorization(principal=certificate, authInfos=asking)["authResults"][0]["authDecision"])

    assert decision("topic/a/b", "topic/a/c") == "ALLOWED"
    assert decision("topic/a/b", "topic/z") == "IMPLICIT_DENY"
    assert decision("topic/z", "topic/a/secret") == "EXPLICIT_DENY"


def test_the_client_id_brings_variables_and_the_groups_policies(
    iot: Any, lamp: str, policy: Attach, certificate: str, realm: Realm
) -> None:
    own = "${iot:Connection.Thing.ThingName}"
    policy("thing", "Allow", "Subscribe", f"topicfilter/{own}/#", certificate)
    wishes = [asked(realm, "SUBSCRIBE", "topicfilter/lamp/#"), asked(realm, "PUBLISH", "topic/a")]
    found = iot.test_authorization(principal=certificate, clientId="lamp", authInfos=wishes)["authResults"]
    assert [each["authDecision"] for each in found] == ["ALLOWED", "ALLOWED"]
    assert names(found[1]["allowed"]["policies"]) == ["above"]
    for client in ({"clientId": "other"}, {}):
        found = iot.test_authorization(principal=certificate, authInfos=wishes, **client)["authResults"]
        assert [each["authDecision"] for each in found] == ["IMPLICIT_DENY", "IMPLICIT_DENY"]
        assert found[0]["missingContextValues"] == ["iot:Connection.Thing.ThingName"]


def test_policies_to_add_and_to_skip(iot: Any, policy: Attach, certificate: str, realm: Realm) -> None:
    policy("attached", "Deny", "Connect", "client/*", certificate)
    policy("considered", "Allow", "Connect", "client/${iot:ClientId}")
    wishes = [asked(realm, "CONNECT", "client/me")]

    def decision(**options: Any) -> str:
        return str(iot.test_authorization(authInfos=wishes, **options)["authResults"][0]["authDecision"])

    adding = {"policyNamesToAdd": ["considered"], "clientId": "me"}
    assert decision(principal=certificate) == "EXPLICIT_DENY"
    assert decision(principal=certificate, **adding) == "EXPLICIT_DENY"
    assert decision(principal=certificate, policyNamesToSkip=["attached"]) == "IMPLICIT_DENY"
    assert decision(principal=certificate, policyNamesToSkip=["attached"], **adding) == "ALLOWED"
    assert decision(**adding) == "ALLOWED"
    assert decision(**{**adding, "clientId": "you"}) == "IMPLICIT_DENY"
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        decision(policyNamesToAdd=["nothing"])


def test_a_group_as_principal(iot: Any, lamp: str, realm: Realm) -> None:
    wishes = [asked(realm, "PUBLISH", "topic/a"), asked(realm, "PUBLISH", "topic/b")]
    found = iot.test_authorization(principal=lamp, authInfos=wishes)["authResults"]
    assert [each["authDecision"] for each in found] == ["ALLOWED", "EXPLICIT_DENY"]


def test_every_problem_of_a_question_at_once(iot: Any, certificate: str, realm: Realm) -> None:
    wishes = [
        {"resources": ["topic/a"]},
        {"actionType": "PUBLISH", "resources": []},
        asked(realm, "PUBLISH", *(f"topic/{number}" for number in range(101))),
    ]
    with pytest.raises(iot.exceptions.InvalidRequestException) as caught:
        iot.test_authorization(principal=certificate, authInfos=wishes)
    text = str(caught.value)
    for problem in ("[0].actionType is missing", "[0].resources[0] is 'topic/a'", "[1].resources has 0", "has 101"):
        assert problem in text
    with pytest.raises(iot.exceptions.InvalidRequestException, match="authInfos"):
        iot.test_authorization(principal=certificate, authInfos=[asked(realm, "PUBLISH", "topic/a")] * 11)
    elsewhere = f"arn:aws:iot:eu-west-1:{realm.account}:cert/{'0' * 64}"
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.test_authorization(principal=elsewhere, authInfos=[asked(realm, "PUBLISH", "topic/a")])
