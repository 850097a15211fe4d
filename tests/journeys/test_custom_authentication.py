"""Devices without certificates: user name and password, or a signed token, judged by a function of the account's."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from http.client import HTTPSConnection
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from awscrt import http, mqtt, mqtt5
from awsiot import mqtt5_client_builder, mqtt_connection_builder
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from tests.journeys.operators import operator
from tests.journeys.paho_device import NOT_AUTHORIZED, V5, V311, Closed, Device
from tests.server import PATIENCE, REALM, Live, policy_document, statement

from fleetgate.pki.keys import public_key_pem

if TYPE_CHECKING:
    from mypy_boto3_iot import IoTClient

Connect = Callable[..., Device]
SIGNER = rsa.generate_private_key(65537, 2048)
HANDLER = """
import base64, json

ALLOWED = {policy!r}

def lambda_handler(event, context):
    mqtt = event["protocolData"].get("mqtt", {{}})
    user = mqtt.get("username", "").split("?")[0]
    password = base64.b64decode(mqtt.get("password", "")).decode()
    trusted = event["signatureVerified"] and event["token"] == "ticket-" + user
    return {{
        "isAuthenticated": trusted or (user, password) == ("pump", "water"),
        "principalId": user,
        "policyDocuments": [ALLOWED],
        "disconnectAfterInSeconds": 3600,
        "refreshAfterInSeconds": 300,
    }}
"""

COUNTER = """
def lambda_handler(event, context):
    assert event["protocols"] == ["tls", "http"]
    with open({count!r}, "a") as calls:
        calls.write(".")
    return {{"isAuthenticated": event["token"] == "t", "principalId": "t", "policyDocuments": [{policy!r}]}}
"""


@pytest.fixture
def iot(live: Live) -> Iterator[IoTClient]:
    """What a test makes of authorizers is gone after it: an account has ten at most."""
    client = operator(live, REALM)
    yield client
    for each in client.list_authorizers()["authorizers"]:
        client.update_authorizer(authorizerName=each["authorizerName"], status="INACTIVE")
        client.delete_authorizer(authorizerName=each["authorizerName"])


@pytest.fixture
def function(live: Live, name: str) -> str:
    """The ARN of a handler that knows one user, and everybody who has a ticket; all may use the topics of *name*."""
    policy = policy_document(
        statement("iot:Connect", "client/*"),
        statement(["iot:Publish", "iot:Receive"], f"topic/{name}/*"),
        statement("iot:Subscribe", f"topicfilter/{name}/*"),
    )
    return live.bind(name, HANDLER.format(policy=policy))


@pytest.fixture
def authorizer(iot: IoTClient, function: str, name: str) -> str:
    """By user name and password."""
    iot.create_authorizer(authorizerName=name, authorizerFunctionArn=function, signingDisabled=True, status="ACTIVE")
    return name


@pytest.fixture
def signed(iot: IoTClient, function: str, name: str) -> str:
    """By a ticket that the maker's key signed."""
    iot.create_authorizer(
        authorizerName=name,
        authorizerFunctionArn=function,
        tokenKeyName="ticket",
        tokenSigningPublicKeys={"maker": public_key_pem(SIGNER.public_key())},
        status="ACTIVE",
    )
    return name


def signature(token: str) -> str:
    return base64.b64encode(SIGNER.sign(token.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()


@pytest.mark.parametrize("alpn", [None, "mqtt"])
def test_a_user_name_and_a_password(connect: Connect, authorizer: str, version: int, alpn: str | None) -> None:
    username = f"pump?x-amz-customauthorizer-name={authorizer}"
    device = connect(None, "pump1", version, username=username, password="water", alpn=alpn)
    device.subscribe(f"{authorizer}/news")
    device.publish(f"{authorizer}/news", b"up")
    assert device.receive().payload == b"up"
    if version == V5:
        assert device.publish("elsewhere") == NOT_AUTHORIZED
    with pytest.raises(Closed):
        connect(None, "pump2", version, username=username, password="wine", alpn=alpn)


def test_the_default_authorizer_is_for_who_names_none(connect: Connect, iot: IoTClient, authorizer: str) -> None:
    with pytest.raises(Closed):
        connect(None, "pump1", username="pump", password="water")
    iot.set_default_authorizer(authorizerName=authorizer)
    try:
        assert connect(None, "pump1", V311, username="pump", password="water").reason == 0
        with pytest.raises(Closed):
            connect(None, "pump2", V311)
    finally:
        iot.clear_default_authorizer()
    with pytest.raises(Closed):
        connect(None, "pump1", username="pump", password="water")


def test_one_that_is_switched_off_lets_nobody_in(connect: Connect, iot: IoTClient, authorizer: str) -> None:
    username = f"pump?x-amz-customauthorizer-name={authorizer}"
    iot.update_authorizer(authorizerName=authorizer, status="INACTIVE")
    with pytest.raises(Closed):
        connect(None, "pump1", username=username, password="water")
    tried = iot.test_invoke_authorizer(
        authorizerName=authorizer, mqttContext={"username": "pump", "password": b"water", "clientId": "pump1"}
    )
    assert (tried["isAuthenticated"], tried["principalId"]) == (True, "pump")
    iot.update_authorizer(authorizerName=authorizer, status="ACTIVE")
    assert connect(None, "pump1", username=username, password="water").reason == 0


def test_a_ticket_counts_only_with_its_makers_signature(connect: Connect, signed: str) -> None:
    query = f"x-amz-customauthorizer-name={signed}&ticket=ticket-valve&x-amz-customauthorizer-signature="
    assert connect(None, "valve", username=f"valve?{query}{signature('ticket-valve')}").reason == 0
    with pytest.raises(Closed):
        connect(None, "valve", username=f"valve?{query}{signature('ticket-pump')}")
    with pytest.raises(Closed):
        connect(None, "valve", username=f"valve?x-amz-customauthorizer-name={signed}&ticket=ticket-valve")


# --- HTTPS ------------------------------------------------------------------------------------------------------------


def publish(connection: HTTPSConnection, topic: str, headers: dict[str, str], query: str = "qos=1") -> int:
    connection.request("POST", f"/topics/{topic}?{query}", b"21.5", headers)
    answer = connection.getresponse()
    content = json.loads(answer.read())
    assert "traceId" in content
    return answer.status


@pytest.fixture
def https(live: Live) -> Iterator[HTTPSConnection]:
    context = ssl.create_default_context(cafile=live.ca_file)
    connection = HTTPSConnection(live.host, live.https_port, context=context, timeout=PATIENCE)
    yield connection
    connection.close()


def test_publish_over_https(live: Live, connect: Connect, https: HTTPSConnection, name: str, iot: IoTClient) -> None:
    """With headers and with a query; what an authorizer lets in may publish, and nothing else."""
    count = live.folder / f"{name}.count"
    allowed = policy_document(statement("iot:Publish", f"topic/{name}/*"), statement("iot:GetRetainedMessage", "*"))
    function = live.bind(name, COUNTER.format(policy=allowed, count=str(count)))
    iot.create_authorizer(
        authorizerName=name,
        authorizerFunctionArn=function,
        tokenKeyName="ticket",
        tokenSigningPublicKeys={"maker": public_key_pem(SIGNER.public_key())},
        status="ACTIVE",
        enableCachingForHttp=True,
    )
    listener = connect(live.batch(name).observer, f"{name}-observer")
    listener.subscribe(f"{name}/+/x")
    named = {"x-amz-customauthorizer-name": name, "ticket": "t", "x-amz-customauthorizer-signature": signature("t")}
    assert publish(https, f"{name}/a/x", named) == 200
    assert listener.receive().payload == b"21.5"
    assert publish(https, f"{name}/b/x", {}, f"qos=1&{urlencode(named)}") == 200
    assert listener.receive().topic == f"{name}/b/x"
    assert publish(https, "elsewhere", named) == 403
    assert len(count.read_text()) == 1  # kept for this connection
    assert publish(https, f"{name}/a/x", {**named, "x-amz-customauthorizer-signature": signature("u")}) == 403
    assert publish(https, f"{name}/a/x", {}) == 403
    https.request("GET", f"/retainedMessage/{name}", headers=named)
    answer = https.getresponse()
    assert (answer.status, "not for devices" in answer.read().decode()) == (403, True)
    iot.update_authorizer(authorizerName=name, status="INACTIVE")
    assert publish(https, f"{name}/a/x", named) == 403
    assert len(count.read_text()) == 1


# --- AWS IoT Device SDK v2, whose builders for custom authorizers always go to port 443 -------------------------------


@contextmanager
def proxy(live: Live) -> Iterator[http.HttpProxyOptions]:
    """An HTTP proxy for whom port 443 of the server is the one that it has."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            asked = b""
            while not asked.endswith(b"\r\n\r\n"):
                asked += client.recv(1)
            assert asked.startswith(b"CONNECT localhost:443 ")
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            server = socket.create_connection((live.host, live.https_port))
            for one, other in ((client, server), (server, client)):
                threading.Thread(target=copy, args=(one, other), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    with listening:
        yield http.HttpProxyOptions("127.0.0.1", listening.getsockname()[1])


def copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return  # the other direction has ended it


BUILDERS = {
    "direct": mqtt_connection_builder.direct_with_custom_authorizer,
    "websocket": mqtt_connection_builder.websockets_with_custom_authorizer,
}


@pytest.mark.parametrize("way", BUILDERS)
def test_sdk_with_mqtt_3(live: Live, signed: str, way: str) -> None:
    with proxy(live) as options:
        connection = BUILDERS[way](
            endpoint="localhost",
            ca_filepath=str(live.ca_file),
            client_id="sdk3",
            http_proxy_options=options,
            auth_username="sdk3",
            auth_authorizer_name=signed,
            auth_authorizer_signature=signature("ticket-sdk3"),
            auth_token_key_name="ticket",
            auth_token_value="ticket-sdk3",
        )
        connection.connect().result(PATIENCE)
        heard: Future[bytes] = Future()
        subscribed, _ = connection.subscribe(
            f"{signed}/x", mqtt.QoS.AT_LEAST_ONCE, lambda topic, payload, **_: heard.set_result(payload)
        )
        subscribed.result(PATIENCE)
        connection.publish(f"{signed}/x", b"3", mqtt.QoS.AT_LEAST_ONCE)[0].result(PATIENCE)
        assert heard.result(PATIENCE) == b"3"
        connection.disconnect().result(PATIENCE)


def test_sdk_with_mqtt_5(live: Live, authorizer: str) -> None:
    connected: Future[Any] = Future()
    stopped: Future[Any] = Future()
    with proxy(live) as options:
        client = mqtt5_client_builder.direct_with_custom_authorizer(
            endpoint="localhost",
            ca_filepath=str(live.ca_file),
            client_id="sdk5",
            http_proxy_options=options,
            auth_username="pump",
            auth_password=b"water",
            auth_authorizer_name=authorizer,
            on_lifecycle_connection_success=connected.set_result,
            on_lifecycle_connection_failure=lambda failure: connected.set_exception(failure.exception),
            on_lifecycle_stopped=stopped.set_result,
        )
        client.start()
        connected.result(PATIENCE)
        packet = mqtt5.PublishPacket(topic=f"{authorizer}/x", payload=b"5", qos=mqtt5.QoS.AT_LEAST_ONCE)
        assert client.publish(packet).result(PATIENCE).puback.reason_code == 0
        client.stop()
        stopped.result(PATIENCE)
