"""Messages over HTTP: boto3's `iot-data`, the AWS CLI, and devices with their certificates on the HTTPS port."""

from __future__ import annotations

import http.client
import json
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.dev_server import DevServer
from tests.journeys.paho_device import V5, V311, Device, Message
from tests.server import Identity, policy_document, statement

Connect = Callable[..., Device]


@pytest.fixture
def data(dev: DevServer) -> Any:
    return client(dev, dev.api_url)


def client(dev: DevServer, url: str, **more: Any) -> Any:
    return boto3.client(
        "iot-data",
        endpoint_url=url,
        region_name=dev.region,
        aws_access_key_id=dev.access_key_id,
        aws_secret_access_key=dev.secret_access_key,
        **more,
    )


@pytest.fixture
def certify(dev: DevServer, name: str) -> Callable[..., Identity]:
    """A certificate with a policy of these statements."""

    def certify(*statements: Any) -> Identity:
        iot = dev.iot()
        made = iot.create_keys_and_certificate(setAsActive=True)
        policy = f"{name}-{made['certificateId'][:8]}"
        iot.create_policy(policyName=policy, policyDocument=policy_document(*statements))
        iot.attach_policy(policyName=policy, target=made["certificateArn"])
        return dev.keep(policy, made["certificatePem"], made["keyPair"]["PrivateKey"], made["certificateId"])

    return certify


@pytest.fixture
def listener(dev: DevServer, certify: Callable[..., Identity], connect: Connect, name: str) -> Device:
    """A device that hears everything below the test's name, but `<name>/secret`."""
    identity = certify(
        statement(["iot:Connect", "iot:Subscribe"], "*"),
        statement(["iot:Publish", "iot:RetainPublish"], "*"),
        statement("iot:Receive", f"topic/{name}/a/*", f"topic/{name}/direct"),
    )
    device = connect(identity, f"{name}-listener", to=dev, clean=False)
    device.subscribe(f"{name}/#")
    return device


def code(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    response = error.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


# --- operators --------------------------------------------------------------------------------------------------------


def test_publish(data: Any, listener: Device, name: str) -> None:
    topic = f"{name}/a/b c/ü"
    data.publish(
        topic=topic,
        qos=1,
        payload=b"\x00\xff",
        contentType="text/plain",
        responseTopic="r/1",
        correlationData="AQI=",
        messageExpiry=60,
        payloadFormatIndicator="UNSPECIFIED_BYTES",
        userProperties=json.dumps([{"colour": "red"}, {"colour": "blue"}]),
    )
    assert listener.receive() == Message(topic, b"\x00\xff", 1)
    data.publish(topic=f"{name}/a/c")
    assert listener.receive() == Message(f"{name}/a/c", b"", 0)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"topic": "a/+"}, "wildcard"),
        ({"topic": "a/b/c/d/e/f/g/h/i"}, "slashes"),
        ({"topic": "$aws/certificates/create/json"}, "reserved"),
        ({"topic": "a", "payload": b"x" * 131_073}, "131073 bytes"),
        ({"topic": "a", "correlationData": "?"}, "base64"),
        ({"topic": "a", "responseTopic": "#"}, "responseTopic"),
        ({"topic": "a", "messageExpiry": 0}, "messageExpiry"),
        ({"topic": "a", "userProperties": '{"a": 1}'}, "userProperties"),
        ({"topic": "a", "userProperties": "[" * 5000}, "userProperties"),
        ({"topic": "a", "userProperties": '[{"a": "\\ud800"}]'}, "userProperties"),
        ({"topic": "a", "qos": 2}, "qos"),
    ],
)
def test_what_cannot_be_published(data: Any, wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ClientError, match=said) as error:
        data.publish(**wrong)
    assert code(error) == ("InvalidRequestException", 400)


def test_retained_messages(
    data: Any, listener: Device, certify: Any, connect: Connect, dev: DevServer, name: str
) -> None:
    topics = [f"{name}/kept/{number}" for number in range(3)]
    for topic in topics:
        data.publish(topic=topic, payload=b"1", qos=1, retain=True, userProperties=json.dumps([{"k": "v"}]))
    data.publish(topic=topics[0], payload=b"22", retain=True)
    data.publish(topic=topics[2], payload=b"", retain=True)
    found = data.get_retained_message(topic=topics[0])
    assert (found["topic"], found["payload"], found["qos"]) == (topics[0], b"22", 0)
    assert json.loads(data.get_retained_message(topic=topics[1])["userProperties"]) == [{"k": "v"}]
    with pytest.raises(data.exceptions.ResourceNotFoundException):
        data.get_retained_message(topic=topics[2])
    pages = data.get_paginator("list_retained_messages").paginate(PaginationConfig={"PageSize": 1})
    listed = [each for page in pages for each in page["retainedTopics"] if each["topic"].startswith(f"{name}/")]
    assert [(each["topic"], each["payloadSize"], each["qos"]) for each in listed] == [
        (topics[0], 2, 0),
        (topics[1], 1, 1),
    ]
    assert listed[0]["lastModifiedTime"] == found["lastModifiedTime"] > listed[1]["lastModifiedTime"] - 1
    late = connect(certify(statement("iot:*", "*")), f"{name}-late", to=dev)
    late.subscribe(topics[0])
    assert late.receive() == Message(topics[0], b"22", 0)


def test_connections(data: Any, listener: Device, name: str) -> None:
    listener_id = f"{name}-listener"
    seen = data.get_connection(clientId=listener_id, includeSocketInformation=True)
    assert (seen["connected"], seen["cleanSession"], seen["sessionExpiry"]) == (True, False, 300)
    assert (seen["sourceIp"], seen["clientId"], seen["keepAliveDuration"]) == ("127.0.0.1", listener_id, 60)
    assert "sourceIp" not in data.get_connection(clientId=listener_id)
    [subscription] = data.list_subscriptions(clientId=listener_id)["subscriptions"]
    assert subscription == {"topicFilter": f"{name}/#", "qos": 1}
    data.delete_connection(clientId=listener_id)
    assert listener.closed() == 0x98
    gone = data.get_connection(clientId=listener_id)
    assert (gone["connected"], gone["disconnectReason"]) == (False, "API_INITIATED_DISCONNECT")
    assert gone["disconnectedSince"] >= seen["connectedSince"]
    assert data.list_subscriptions(clientId=listener_id)["subscriptions"] == [subscription]
    for call in (data.delete_connection, data.list_subscriptions, data.get_connection):
        with pytest.raises(ClientError) as error:
            call(clientId=f"{name}-nobody")
        assert code(error) == ("ResourceNotFoundException", 404)


def test_a_connection_ended_with_its_session_and_without_its_will(data: Any, listener: Device, name: str) -> None:
    data.delete_connection(clientId=f"{name}-listener", cleanSession=True, preventWillMessage=True)
    listener.closed()
    with pytest.raises(data.exceptions.ResourceNotFoundException):
        data.list_subscriptions(clientId=f"{name}-listener")


def test_direct_messages(data: Any, listener: Device, name: str) -> None:
    for confirmation in (True, False):
        answer = data.send_direct_message(
            clientId=f"{name}-listener", topic=f"{name}/direct", payload=b"1", confirmation=confirmation
        )
        assert answer["message"] == "OK"
        assert listener.receive() == Message(f"{name}/direct", b"1", int(confirmation))
    for wrong in ({"topic": f"{name}/secret"}, {"clientId": f"{name}-nobody"}):
        with pytest.raises(ClientError) as error:
            data.send_direct_message(**{"clientId": f"{name}-listener", "topic": f"{name}/direct", **wrong})
        assert code(error) == ("ResourceNotFoundException", 404)


def test_a_direct_message_to_whoever_leaves_is_not_confirmed(
    dev: DevServer, name: str, certify: Callable[..., Identity], connect: Connect
) -> None:
    data = client(dev, dev.api_url, config=Config(retries={"total_max_attempts": 1}))
    device = connect(certify(statement("iot:*", "*")), f"{name}-silent", to=dev)
    device._client.manual_ack_set(True)
    device._client.on_message = lambda client, *_: client.disconnect()
    with pytest.raises(ClientError) as error:
        data.send_direct_message(clientId=f"{name}-silent", topic="t", payload=b"1", confirmation=True, timeout=15)
    assert code(error) == ("GatewayTimeoutException", 504)
    assert "ended before" in str(error.value)


def test_shadows_are_not_served(data: Any) -> None:
    with pytest.raises(ClientError) as error:
        data.get_thing_shadow(thingName="t")
    assert code(error) == ("NotImplementedException", 501)


def test_the_cli(dev: DevServer, listener: Device, name: str) -> None:
    arguments = ["iot-data", "publish", "--topic", f"{name}/a/cli", "--payload", "hello", "--qos", "1"]
    aws = Path(sys.executable).with_name("aws")
    done = subprocess.run([aws, *arguments], env=dev.environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert listener.receive() == Message(f"{name}/a/cli", b"hello", 1)


def test_signed_on_the_devices_port(dev: DevServer, listener: Device, name: str) -> None:
    data = client(dev, f"https://{dev.host}:{dev.https_port}", verify=str(dev.ca_file))
    data.publish(topic=f"{name}/a/x", payload=b"1")
    assert listener.receive() == Message(f"{name}/a/x", b"1", 0)
    stranger = client(dev, f"https://{dev.host}:{dev.https_port}", verify=str(dev.ca_file), aws_session_token="x")
    with pytest.raises(ClientError) as error:
        stranger.publish(topic="t")
    assert code(error)[1] == 403


# --- devices ----------------------------------------------------------------------------------------------------------


class Caller:
    """A device that speaks HTTPS with its certificate."""

    def __init__(self, dev: DevServer, identity: Identity | None, alpn: str | None = None) -> None:
        context = ssl.create_default_context(cafile=dev.ca_file)
        if identity is not None:
            context.load_cert_chain(identity.certificate_file, identity.key_file)
        if alpn:
            context.set_alpn_protocols([alpn])
        self.connection = http.client.HTTPSConnection(dev.host, dev.https_port, context=context, timeout=20)

    def post(self, target: str, body: bytes = b"", method: str = "POST") -> tuple[int, dict[str, Any]]:
        self.connection.request(method, target, body)
        answer = self.connection.getresponse()
        content = json.loads(answer.read())
        self.connection.close()
        assert "topic" in content or content["traceId"] == answer.headers["x-amzn-RequestId"]
        return answer.status, content


@pytest.mark.parametrize("alpn", [None, "x-amzn-http-ca", "http/1.1"])
def test_a_device_publishes(
    dev: DevServer, certify: Callable[..., Identity], listener: Device, name: str, alpn: str | None
) -> None:
    identity = certify(statement("iot:Publish", f"topic/{name}/a/*"))
    caller = Caller(dev, identity, alpn)
    for path in (f"{name}/a/b", quote(f"{name}/a/b", safe="")):
        status, content = caller.post(f"/topics/{path}?qos=1", b"hello")
        assert (status, content["message"]) == (200, "OK")
        assert listener.receive() == Message(f"{name}/a/b", b"hello", 1)
    status, content = caller.post(f"/topics/{name}/other?qos=1", b"hello")
    assert status == 403
    assert "iot:Publish" in content["message"]
    assert caller.post(f"/topics/{name}/a/b?retain=true", b"x")[0] == 403
    assert caller.post(f"/topics/{name}/a/b?qos=2")[0] == 400
    assert caller.post(f"/topics/{name}/a/b", b"x" * 131_073)[0] == 400
    assert caller.post(f"/topics/{name}/a/b", method="PUT")[0] == 405


def test_a_device_reads_what_is_retained(
    dev: DevServer, data: Any, certify: Callable[..., Identity], name: str
) -> None:
    data.publish(topic=f"{name}/kept", payload=b"1", retain=True)
    caller = Caller(dev, certify(statement("iot:GetRetainedMessage", f"topic/{name}/kept")))
    status, content = caller.post(f"/retainedMessage/{quote(f'{name}/kept', safe='')}", method="GET")
    assert (status, content["payload"]) == (200, "MQ==")
    assert caller.post("/retainedMessage", method="GET")[0] == 403


def test_certificates_that_are_not_in_force(dev: DevServer, certify: Callable[..., Identity], name: str) -> None:
    identity = certify(statement("iot:*", "*"))
    caller = Caller(dev, identity)
    assert caller.post("/topics/t")[0] == 200
    dev.iot().update_certificate(certificateId=identity.fingerprint, newStatus="INACTIVE")
    assert caller.post("/topics/t")[0] == 403


def test_nobody(dev: DevServer) -> None:
    caller = Caller(dev, None)
    caller.connection.request("POST", "/topics/t")
    assert caller.connection.getresponse().status == 403
    caller.connection.close()


@pytest.mark.parametrize("version", [V311, V5])
def test_a_message_over_http_waits_for_who_is_away(
    data: Any, dev: DevServer, certify: Callable[..., Identity], connect: Connect, name: str, version: int
) -> None:
    identity = certify(statement("iot:*", "*"))
    away = connect(identity, f"{name}-away", version, to=dev, clean=False)
    away.subscribe(f"{name}/t")
    away.disconnect()
    data.publish(topic=f"{name}/t", payload=b"1", qos=1)
    back = connect(identity, f"{name}-away", version, to=dev, clean=False)
    assert back.receive() == Message(f"{name}/t", b"1", 1)
