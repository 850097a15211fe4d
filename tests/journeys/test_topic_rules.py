"""Topic rules, Basic Ingest and events, from boto3 to a device's subscription."""

from __future__ import annotations

import base64
import json
import queue
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from tests.journeys.maker import Maker, operator
from tests.journeys.paho_device import NOT_AUTHORIZED, V5, Closed, Device
from tests.server import REALM, Live, policy_document, statement

from fleetgate.registry.events import CertificateStatusChanged

if TYPE_CHECKING:
    from mypy_boto3_iot import IoTClient

Connect = Callable[..., Device]
ROLE = f"arn:aws:iam::{REALM.account}:role/rules"


@pytest.fixture(scope="session")
def iot(live: Live) -> IoTClient:
    client: IoTClient = operator(live)
    return client


@pytest.fixture
def anybody(live: Live, name: str, connect: Connect) -> Callable[..., Device]:
    """Connect a device that may do everything; its number comes after the name."""
    return lambda number=1, **more: connect(
        live.identity(f"{name}-{number}", policy_document(statement("*", "*"))), f"{name}-{number}", **more
    )


def republish(topic: str, **more: Any) -> dict[str, Any]:
    return {"republish": {"roleArn": ROLE, "topic": topic, **more}}


def payload(sql: str, *actions: dict[str, Any], **more: Any) -> Any:
    return {"sql": sql, "actions": list(actions), "awsIotSqlVersion": "2016-03-23", **more}


def until_it_runs(device: Device, topic: str, content: bytes = b'{"probe": 1}') -> None:
    """Publish until something comes of it: a rule is in force within a tenth of a second or so."""
    for _ in range(100):
        device.publish(topic, content)
        try:
            device.messages.get(timeout=0.1)
        except queue.Empty:
            continue
        break
    else:
        pytest.fail(f"no rule took what is on {topic}")
    while True:  # what came of the others
        try:
            device.messages.get(timeout=0.2)
        except queue.Empty:
            return


def told(device: Device) -> tuple[str, Any]:
    message = device.receive()
    return message.topic, json.loads(message.payload)


def test_a_rule_republishes_what_it_selects(
    iot: IoTClient, name: str, anybody: Callable[..., Device], version: int
) -> None:
    sql = f"SELECT topic(2) AS room, temp, principal() AS who, clientid() AS client FROM '{name}/+' WHERE temp > 20"
    iot.create_topic_rule(
        ruleName=name, topicRulePayload=payload(sql, republish(f"out/{name}/${{topic(2)}}/${{unit}}", qos=1))
    )
    device = anybody(version=version)
    device.subscribe(f"out/{name}/#")
    until_it_runs(device, f"{name}/a", b'{"temp": 99, "unit": "x"}')
    device.publish(f"{name}/kitchen", b'{"temp": 20, "unit": "C"}')
    device.publish(f"{name}/hall", b'{"temp": 20.5, "unit": "C"}')
    topic, content = told(device)
    assert topic == f"out/{name}/hall/C"
    assert content["client"] == f"{name}-1"
    assert (content["room"], content["temp"], len(content["who"])) == ("hall", 20.5, 64)
    iot.disable_topic_rule(ruleName=name)
    assert iot.get_topic_rule(ruleName=name)["rule"]["ruleDisabled"] is True
    iot.enable_topic_rule(ruleName=name)
    assert iot.get_topic_rule(ruleName=name)["rule"]["ruleDisabled"] is False
    iot.delete_topic_rule(ruleName=name)


def test_basic_ingest_reaches_its_rule_and_nobody_else(
    iot: IoTClient, name: str, live: Live, anybody: Callable[..., Device], connect: Connect
) -> None:
    sql = f"SELECT principal() AS certid, clientid() AS devicename, topic(1) AS first, * FROM '$aws/rules/{name}'"
    iot.create_topic_rule(ruleName=name, topicRulePayload=payload(sql, republish(f"lobby/{name}")))
    device = anybody()
    device.subscribe(f"lobby/{name}")
    until_it_runs(device, f"$aws/rules/{name}")
    device.subscribe(f"$aws/rules/{name}/#", "#")
    assert device.publish(f"$aws/rules/{name}/kitchen/7", b'{"state": "new", "certid": "forged"}') == 0
    topic, content = told(device)
    assert (topic, content["state"], content["first"]) == (f"lobby/{name}", "new", "kitchen")
    assert content["certid"] != "forged"
    assert device.messages.empty()
    assert device.publish("$aws/rules/nosuchrule", b"{}") == 0
    allowed = [statement("iot:Connect", "*"), statement("iot:Publish", f"topic/$aws/rules/{name}/*")]
    narrow = live.identity(f"{name}-narrow", policy_document(*allowed))
    restricted = connect(narrow, f"{name}-narrow", V5)
    assert restricted.publish(f"$aws/rules/{name}/ok", b"{}") == 0
    assert restricted.publish(f"$aws/rules/other{name}/no", b"{}") == NOT_AUTHORIZED
    iot.delete_topic_rule(ruleName=name)


def test_a_function_and_the_error_action(iot: IoTClient, name: str, live: Live, anybody: Callable[..., Device]) -> None:
    arn = live.bind(
        name,
        "import boto3, json\n\n\n"
        "def lambda_handler(event, context):\n"
        "    if event['n'] == 0:\n"
        "        raise ValueError('not nought')\n"
        f"    boto3.client('iot').create_thing(thingName='{name}-' + str(event['n']))\n",
    )
    rule = payload(
        f"SELECT n FROM '{name}/in'", {"lambda": {"functionArn": arn}}, errorAction=republish(f"{name}/errors")
    )
    iot.create_topic_rule(ruleName=name, topicRulePayload=rule)
    device = anybody()
    device.subscribe(f"{name}/errors")
    until_it_runs(device, f"{name}/in", b'{"n": 0}')
    raw = b'{"n": 0, "more": true}'
    device.publish(f"{name}/in", raw)
    topic, content = told(device)
    assert topic == f"{name}/errors"
    assert content.pop("cloudwatchTraceId")
    [failure] = content.pop("failures")
    assert content == {
        "ruleName": name,
        "topic": f"{name}/in",
        "clientId": f"{name}-1",
        "base64OriginalPayload": base64.b64encode(raw).decode(),
    }
    assert (failure["failedAction"], failure["failedResource"]) == ("LambdaAction", arn)
    assert "not nought" in failure["errorMessage"]
    device.publish(f"{name}/in", b'{"n": 1}')
    live.happenings.wait_for(lambda event: getattr(event, "thing_name", None) == f"{name}-1")
    iot.delete_topic_rule(ruleName=name)


def test_what_is_published_over_http_meets_the_rules(
    iot: IoTClient, name: str, live: Live, anybody: Callable[..., Device]
) -> None:
    sql = f"SELECT *, clientid() AS client, principal() AS who FROM '{name}/+'"
    iot.create_topic_rule(ruleName=name, topicRulePayload=payload(sql, republish(f"out/{name}")))
    device = anybody()
    device.subscribe(f"out/{name}")
    until_it_runs(device, f"{name}/a")
    operator(live, service="iot-data").publish(topic=f"{name}/b", qos=1, payload=b'{"n": 1}')
    _, content = told(device)
    assert (content["n"], content["client"]) == (1, "n/a")
    operator(live, service="iot-data").publish(topic=f"$aws/rules/{name}/c", qos=1, payload=b'{"n": 2}')
    assert told(device)[1]["n"] == 2
    iot.delete_topic_rule(ruleName=name)


def test_a_rule_that_is_too_much_work_holds_nobody_up(
    iot: IoTClient, name: str, anybody: Callable[..., Device]
) -> None:
    items = ", ".join(f"upper(a) AS a{number}" for number in range(2000))
    rule = payload(f"SELECT {items} FROM '{name}/much'", republish(f"{name}/out"), errorAction=republish(f"{name}/err"))
    iot.create_topic_rule(ruleName=name, topicRulePayload=rule)
    device = anybody()
    device.subscribe(f"{name}/#")
    long = json.dumps({"a": [[1] * 30_000]}).encode()  # milliseconds for each of the items
    for _ in range(100):  # until the rule is in force
        device.publish(f"{name}/much", long)
        assert device.receive().topic == f"{name}/much"
        try:
            told = device.messages.get(timeout=0.2)
        except queue.Empty:
            continue
        break
    assert told.topic == f"{name}/err"
    assert "too much work" in json.loads(told.payload)["failures"][0]["errorMessage"]
    iot.delete_topic_rule(ruleName=name)


def test_rules_that_feed_each_other_come_to_an_end(iot: IoTClient, name: str, anybody: Callable[..., Device]) -> None:
    rule = payload(f"SELECT * FROM '{name}/loop'", republish(f"{name}/loop"), errorAction=republish(f"{name}/stopped"))
    iot.create_topic_rule(ruleName=name, topicRulePayload=rule)
    device = anybody()
    device.subscribe(f"{name}/stopped")
    for _ in range(100):
        device.publish(f"{name}/loop", b"{}")
        try:
            stopped = device.messages.get(timeout=0.1)
        except queue.Empty:
            continue
        break
    assert "feed each other" in json.loads(stopped.payload)["failures"][0]["errorMessage"]
    iot.delete_topic_rule(ruleName=name)


REGISTER = """
import boto3, json


def lambda_handler(event, context):
    iot = boto3.client("iot")
    certificate, region, account = event["certificateId"], "us-east-1", event["awsAccountId"]
    policy = "Policy_" + certificate
    iot.create_policy(policyName=policy, policyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "iot:*", "Resource": "*"}]}))
    iot.attach_principal_policy(policyName=policy, principal=f"arn:aws:iot:{region}:{account}:cert/{certificate}")
    iot.update_certificate(certificateId=certificate, newStatus="ACTIVE")
"""


def test_a_registration_handler_runs_by_a_rule(
    iot: IoTClient, name: str, live: Live, connect: Connect, anybody: Callable[..., Device]
) -> None:
    maker = Maker(live, name)
    ca = maker.register(iot)
    arn = live.bind(name, REGISTER)
    sql = "SELECT * FROM '$aws/events/certificates/registered/+'"
    actions = [{"lambda": {"functionArn": arn}}, republish(f"{name}/told")]
    iot.create_topic_rule(ruleName=name, topicRulePayload=payload(sql, *actions))
    listener = anybody()
    listener.subscribe(f"{name}/told")
    leaf = maker.device(f"{name}-leaf")
    for _ in range(100):  # until the rule is in force; every presentation while it waits makes an event
        with pytest.raises(Closed):
            connect(leaf, f"{name}-leaf")
        try:
            message = listener.messages.get(timeout=0.2)
        except queue.Empty:
            continue
        break
    content = json.loads(message.payload)
    assert (content["caCertificateId"], content["certificateId"]) == (ca, leaf.fingerprint)
    activated = CertificateStatusChanged(leaf.fingerprint, "ACTIVE", "PENDING_ACTIVATION")
    live.happenings.wait_for(lambda event: event == activated)
    assert connect(leaf, f"{name}-leaf").publish(f"{name}/anything") == 0
    iot.delete_topic_rule(ruleName=name)


def test_presence_and_subscriptions_are_told(
    name: str, live: Live, anybody: Callable[..., Device], connect: Connect
) -> None:
    watcher = anybody(1)
    other = f"{name}-2"
    kinds = ("presence/connected", "presence/disconnected", "subscriptions/subscribed", "subscriptions/unsubscribed")
    watcher.subscribe(*(f"$aws/events/{kind}/{other}" for kind in kinds))
    identity = live.identity(other, policy_document(statement("*", "*")))
    device = connect(identity, other)
    topic, came = told(watcher)
    assert topic == f"$aws/events/presence/connected/{other}"
    session = came["sessionIdentifier"]
    assert came == {
        "clientId": other,
        "timestamp": came["timestamp"],
        "eventType": "connected",
        "sessionIdentifier": session,
        "principalIdentifier": identity.fingerprint,
        "ipAddress": "127.0.0.1",
        "versionNumber": 0,
    }
    device.subscribe("a/b", "c/+")
    assert told(watcher)[1]["topics"] == ["a/b", "c/+"]
    device.unsubscribe("a/b")
    topic, content = told(watcher)
    assert (topic, content["topics"]) == (f"$aws/events/subscriptions/unsubscribed/{other}", ["a/b"])
    assert (content["eventType"], content["sessionIdentifier"]) == ("unsubscribed", session)
    connect(identity, other)  # throws the first one off
    seen = sorted((told(watcher)[1] for _ in range(2)), key=lambda each: str(each["eventType"]))
    assert [(each["eventType"], each["versionNumber"]) for each in seen] == [("connected", 1), ("disconnected", 0)]
    assert (seen[1]["disconnectReason"], seen[1]["clientInitiatedDisconnect"]) == ("DUPLICATE_CLIENTID", False)
    assert seen[1]["sessionIdentifier"] == session != seen[0]["sessionIdentifier"]


def test_events_are_only_for_who_may_have_them(live: Live, name: str, connect: Connect) -> None:
    document = policy_document(statement("iot:Connect", "*"), statement("iot:Subscribe", f"topicfilter/{name}/*"))
    device = connect(live.identity(name, document), name, V5)
    assert device.subscribe("$aws/events/presence/#") == [NOT_AUTHORIZED]
    free = connect(live.identity(f"{name}-f", policy_document(statement("*", "*"))), f"{name}-f", V5)
    with pytest.raises(Closed):  # nobody makes events up
        free.publish(f"$aws/events/presence/connected/{name}", b"{}")


def test_registry_events_are_published_when_switched_on(live: Live, name: str, anybody: Callable[..., Device]) -> None:
    iot, watcher = operator(live), anybody()
    kinds = ("thing/+", f"thingType/{name}", f"thingTypeAssociation/thing/{name}/thingType/+", "thingGroup/+")
    watcher.subscribe(*(f"$aws/events/{kind}/+" for kind in kinds))
    members = f"thingGroupMembership/thingGroup/+/thing/{name}"
    watcher.subscribe(f"$aws/events/{members}/+", "$aws/events/thingGroupHierarchy/#")
    iot.create_thing(thingName=f"{name}-before")  # nobody hears of it
    every = [each for each in iot.describe_event_configurations()["eventConfigurations"] if each.startswith("THING")]
    iot.update_event_configurations(eventConfigurations={each: {"Enabled": True} for each in every})
    iot.create_thing_type(thingTypeName=name)
    made = iot.create_thing(thingName=name, thingTypeName=name, attributePayload={"attributes": {"a": "b"}})
    top = iot.create_thing_group(thingGroupName=name)
    iot.create_thing_group(thingGroupName=f"{name}-low", parentGroupName=name)
    iot.add_thing_to_thing_group(thingGroupName=name, thingName=name)
    iot.update_event_configurations(eventConfigurations={each: {"Enabled": False} for each in every})
    iot.delete_thing(thingName=name)  # nor of that
    seen = dict(told(watcher) for _ in range(7))
    assert {topic.removeprefix("$aws/events/") for topic in seen} == {
        f"thingType/{name}/created",
        f"thing/{name}/created",
        f"thingTypeAssociation/thing/{name}/thingType/{name}/added",
        f"thingGroup/{name}/created",
        f"thingGroup/{name}-low/created",
        f"thingGroupHierarchy/thingGroup/{name}/childThingGroup/{name}-low/added",
        f"thingGroupMembership/thingGroup/{name}/thing/{name}/added",
    }
    thing = seen[f"$aws/events/thing/{name}/created"]
    assert thing.pop("eventId")
    assert thing.pop("timestamp")
    assert thing == {
        "eventType": "THING_EVENT",
        "operation": "CREATED",
        "accountId": REALM.account,
        "thingId": made["thingId"],
        "thingName": name,
        "versionNumber": 1,
        "thingTypeName": name,
        "attributes": {"a": "b"},
    }
    low = seen[f"$aws/events/thingGroup/{name}-low/created"]
    assert low["rootToParentThingGroups"] == [{"groupArn": top["thingGroupArn"], "groupId": top["thingGroupId"]}]
    assert watcher.messages.empty()
