"""Journeys with AWSIoTPythonSDK 1.x (MQTT 3.1.1 on 8883, no ALPN). The published client on it subscribes to the two
rejected topics alone, publishes with QoS 0, and takes what comes for its answer; its second connection has the same
client id as the first, which is still open.
"""

from __future__ import annotations

import json
import queue
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import pytest
from AWSIoTPythonSDK.exception.AWSIoTExceptions import disconnectError
from AWSIoTPythonSDK.MQTTLib import AWSIoTMQTTClient
from tests.journeys.paho_device import CREATE, CREATE_FROM_CSR, Device, signing_request
from tests.server import PATIENCE, Batch, Identity, Live, policy_document, statement

Connect = Callable[..., Device]

# The SDK is of 2015: it names its TLS version as one did then.
pytestmark = pytest.mark.filterwarnings("ignore:ssl.PROTOCOL_TLS is deprecated:DeprecationWarning")


class Client:
    """An `AWSIoTMQTTClient`, configured as the published client does it."""

    def __init__(self, live: Live, identity: Identity, client_id: str) -> None:
        self.messages: queue.Queue[tuple[str, Any]] = queue.Queue()
        self.offline: Future[bool] = Future()
        self.sdk = AWSIoTMQTTClient(client_id)
        self.sdk.configureEndpoint(live.host, live.mqtt_port)
        self.sdk.configureCredentials(str(live.ca_file), str(identity.key_file), str(identity.certificate_file))
        self.sdk.configureAutoReconnectBackoffTime(1, 32, 20)
        self.sdk.configureOfflinePublishQueueing(-1)
        self.sdk.configureDrainingFrequency(2)
        self.sdk.configureConnectDisconnectTimeout(10)
        self.sdk.configureMQTTOperationTimeout(3)
        self.sdk.onMessage = lambda message: self.messages.put((message.topic, json.loads(message.payload)))
        self.sdk.onOffline = self._went_offline
        assert self.sdk.connect()

    def _went_offline(self) -> None:
        if not self.offline.done():
            self.offline.set_result(True)

    def close(self) -> None:
        """Send a DISCONNECT; or, while offline, connect no more."""
        with suppress(disconnectError):
            self.sdk.disconnectAsync()

    def receive(self) -> tuple[str, Any]:
        return self.messages.get(timeout=PATIENCE)


@pytest.fixture
def open_client(live: Live) -> Any:
    clients: list[Client] = []

    def open_client(identity: Identity, client_id: str) -> Client:
        clients.append(Client(live, identity, client_id))
        return clients[-1]

    yield open_client
    for client in clients:
        client.close()


def production(name: str) -> str:
    """The client id of the published client is a serial number, and its topic anybody's."""
    return policy_document(
        statement("iot:Connect", "client/*"),
        statement(["iot:Publish", "iot:Receive"], f"topic/{name}/*"),
        statement("iot:Subscribe", f"topicfilter/{name}/*"),
    )


@pytest.mark.parametrize("csr", [False, True], ids=["keys", "csr"])
def test_device_provisions_itself_without_subscribing_to_its_answers(
    live: Live, name: str, connect: Connect, open_client: Callable[..., Client], csr: bool
) -> None:
    batch = live.batch(name, production=production(name))
    unique_id = f"{name}-sn"
    claiming = open_client(batch.claim, unique_id)
    provision = f"$aws/provisioning-templates/{batch.template}/provision/json"
    topic = f"{CREATE_FROM_CSR if csr else CREATE}/json"
    for rejected in (f"{provision}/rejected", f"{topic}/rejected"):
        assert claiming.sdk.subscribe(rejected, 1, lambda client, userdata, message: None)

    request, key = signing_request() if csr else (None, "")
    claiming.sdk.publish(topic, json.dumps({"certificateSigningRequest": request} if csr else {}), 0)
    answered, made = claiming.receive()
    assert answered == f"{topic}/accepted"
    identity = live.keep(unique_id, made["certificatePem"], key or made["privateKey"], made["certificateId"])

    parameters = {"SerialNumber": unique_id}
    token = made["certificateOwnershipToken"]
    claiming.sdk.publish(provision, json.dumps({"certificateOwnershipToken": token, "parameters": parameters}), 0)
    answered, done = claiming.receive()
    assert (answered, done) == (f"{provision}/accepted", {"deviceConfiguration": {}, "thingName": unique_id})

    device = open_client(identity, unique_id)  # the same id while the first is still open
    claiming.offline.result(PATIENCE)
    claiming.close()  # it would come back after a second, and the two would take over from each other for ever
    observer = connect(batch.observer, f"{batch.name}-observer")
    observer.subscribe(f"{name}/#")
    assert device.sdk.publish(f"{name}/openworld", '{"service_response": "hello"}', 1)
    assert observer.receive() == (f"{name}/openworld", b'{"service_response": "hello"}', 1)
    assert claiming.messages.empty()

    device.sdk.publishAsync("elsewhere", "{}", 1)
    assert device.offline.result(PATIENCE)


def test_a_rejection_reaches_the_subscription_that_waits_for_it(
    live: Live, batch: Batch, open_client: Callable[..., Client]
) -> None:
    claiming = open_client(batch.claim, f"{batch.name}-new")
    provision = f"$aws/provisioning-templates/{batch.template}/provision/json"
    rejected: queue.Queue[Any] = queue.Queue()
    claiming.sdk.subscribe(f"{provision}/rejected", 1, lambda c, u, message: rejected.put(json.loads(message.payload)))
    claiming.sdk.publish(provision, json.dumps({"parameters": {"SerialNumber": batch.name}}), 0)
    answer = rejected.get(timeout=PATIENCE)
    assert (answer["statusCode"], answer["errorCode"]) == (400, "InvalidCertificateOwnershipToken")
    assert answer["errorMessage"] == "Certificate ownership token cannot be empty."
