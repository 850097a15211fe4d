"""MQTT over WebSocket with a signed URL: paho and the AWS IoT device SDK, and who is kept out."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any
from urllib.parse import quote, urlsplit

import boto3
import pytest
from awscrt import auth, mqtt
from awsiot import mqtt_connection_builder
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from tests.dev_server import DevServer
from tests.server import PATIENCE


def signed(dev: DevServer, credentials: Credentials, service: str = "iotdevicegateway") -> str:
    """The path and query of a signed URL, the session token appended after signing."""
    host = f"{dev.host}:{dev.https_port}"
    request = AWSRequest("GET", f"https://{host}/mqtt", headers={"host": host})
    plain = Credentials(credentials.access_key, credentials.secret_key)
    SigV4QueryAuth(plain, service, dev.region, expires=300).add_auth(request)
    parts = urlsplit(str(request.url))
    token = "" if credentials.token is None else f"&X-Amz-Security-Token={quote(credentials.token, safe='')}"
    return f"{parts.path}?{parts.query}{token}"


def keys(dev: DevServer) -> Credentials:
    return Credentials(dev.access_key_id, dev.secret_access_key)


class Socket:
    """One paho client on a WebSocket."""

    def __init__(self, dev: DevServer, path: str, client_id: str, version: int = 5) -> None:
        protocol = MQTTProtocolVersion.MQTTv5 if version == 5 else MQTTProtocolVersion.MQTTv311
        self.client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id,
            transport="websockets",
            protocol=protocol,
            reconnect_on_failure=False,
        )
        self.client.tls_set_context(ssl.create_default_context(cafile=dev.ca_file))
        self.client.ws_set_options(
            path=path, headers=lambda headers: headers | {"Host": f"{dev.host}:{dev.https_port}"}
        )
        self.connected: Future[int] = Future()
        self.subscribed: Future[list[int]] = Future()
        self.heard: Future[tuple[str, bytes]] = Future()
        self.lost = threading.Event()
        self.client.on_connect = lambda c, u, flags, reason, p: self.connected.set_result(reason.value)
        self.client.on_subscribe = lambda c, u, mid, reasons, p: self.subscribed.set_result([r.value for r in reasons])
        self.client.on_message = lambda c, u, message: self.heard.set_result((message.topic, bytes(message.payload)))
        self.client.on_disconnect = lambda c, u, flags, reason, p: self.lost.set()
        self._dev = dev

    def connect(self) -> int:
        self.client.connect(self._dev.host, self._dev.https_port, 60)
        self.client.loop_start()
        return self.connected.result(PATIENCE)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def open_socket(dev: DevServer) -> Iterator[Callable[..., Socket]]:
    made: list[Socket] = []

    def open_socket(path: str, client_id: str, version: int = 5) -> Socket:
        made.append(Socket(dev, path, client_id, version))
        return made[-1]

    yield open_socket
    for each in made:
        each.close()


def test_paho(dev: DevServer, open_socket: Callable[..., Socket], name: str, version: int) -> None:
    socket = open_socket(signed(dev, keys(dev)), f"{name}-ws", version)
    assert socket.connect() == 0
    socket.client.subscribe(f"{name}/t", 1)
    assert socket.subscribed.result(PATIENCE) == [1]
    payload = b"x" * 100_000  # many frames, either way
    socket.client.publish(f"{name}/t", payload, 1)
    assert socket.heard.result(PATIENCE) == (f"{name}/t", payload)


def test_the_aws_sdk(dev: DevServer, name: str) -> None:
    provider = auth.AwsCredentialsProvider.new_static(dev.access_key_id, dev.secret_access_key)
    connection = mqtt_connection_builder.websockets_with_default_aws_signing(
        region=dev.region,
        credentials_provider=provider,
        endpoint=dev.host,
        port=dev.https_port,
        ca_filepath=str(dev.ca_file),
        client_id=f"{name}-sdk",
        clean_session=True,
    )
    connection.connect().result(PATIENCE)
    heard: Future[bytes] = Future()
    subscribed, _ = connection.subscribe(
        f"{name}/t", mqtt.QoS.AT_LEAST_ONCE, lambda topic, payload, **more: heard.set_result(payload)
    )
    subscribed.result(PATIENCE)
    published, _ = connection.publish(f"{name}/t", b"hello", mqtt.QoS.AT_LEAST_ONCE)
    published.result(PATIENCE)
    assert heard.result(PATIENCE) == b"hello"
    connection.disconnect().result(PATIENCE)


def test_a_user_may_do_what_its_policies_say(dev: DevServer, open_socket: Callable[..., Socket], name: str) -> None:
    iam: Any = boto3.client(
        "iam",
        endpoint_url=dev.api_url,
        region_name=dev.region,
        aws_access_key_id=dev.access_key_id,
        aws_secret_access_key=dev.secret_access_key,
    )
    iam.create_user(UserName=name)
    statements = [
        {"Effect": "Allow", "Action": "iot:Connect", "Resource": dev.arn("client", f"{name}-*")},
        {"Effect": "Allow", "Action": "iot:Subscribe", "Resource": dev.arn("topicfilter", f"{name}/own")},
    ]
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_user_policy(UserName=name, PolicyName="ws", PolicyDocument=document)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    path = signed(dev, Credentials(key["AccessKeyId"], key["SecretAccessKey"]))
    socket = open_socket(path, f"{name}-a")
    assert socket.connect() == 0
    socket.client.subscribe([(f"{name}/own", 1), (f"{name}/other", 1)])
    assert socket.subscribed.result(PATIENCE) == [1, 0x87]
    assert open_socket(path, "another").connect() == 0x87


def upgrade(dev: DevServer, path: str, **more: str) -> tuple[int, str]:
    context = ssl.create_default_context(cafile=dev.ca_file)
    connection = http.client.HTTPSConnection(dev.host, dev.https_port, context=context, timeout=PATIENCE)
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Protocol": "mqtt",
    }
    connection.request("GET", path, headers=headers | more)
    answer = connection.getresponse()
    body = "" if answer.status == 101 else answer.read().decode()
    connection.close()
    return answer.status, body


def test_who_is_kept_out(dev: DevServer, open_socket: Callable[..., Socket], name: str) -> None:
    wrong = Credentials(dev.access_key_id, "wrong")
    assert upgrade(dev, signed(dev, wrong))[0] == 403
    assert upgrade(dev, signed(dev, keys(dev), "iot"))[0] == 403
    assert upgrade(dev, signed(dev, Credentials("AKIAAAAAAAAAAAAAAAAA", "x")))[0] == 403
    assert upgrade(dev, signed(dev, keys(dev)), **{"Sec-WebSocket-Protocol": "chat"})[0] == 400
    assert upgrade(dev, signed(dev, keys(dev)))[0] == 101
    assert upgrade(dev, signed(dev, keys(dev)).replace("/mqtt", "/other"))[0] in {403, 404}
    socket = open_socket("/mqtt", f"{name}-unsigned")
    socket.client.connect(dev.host, dev.https_port)
    socket.client.loop_start()
    assert socket.lost.wait(PATIENCE)
    assert not socket.connected.done()
