"""Journeys with awsiotsdk (AWS IoT Device SDK v2): MQTT 3.1.1 and 5, keys and signing requests, and both of its
identity clients, the classic one and the request-response one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, Protocol

import pytest
from awscrt import mqtt, mqtt5, mqtt_request_response
from awsiot import V2ServiceException, iotidentity, mqtt5_client_builder, mqtt_connection_builder
from tests.journeys.paho_device import NOT_AUTHORIZED, V5, Device, signing_request
from tests.server import PATIENCE, Batch, Identity, Live

Connect = Callable[..., Device]


class Sdk(Protocol):
    """A connection of either version, for what happens outside of the identity clients."""

    protocol_client: Any

    def publish(self, topic: str, payload: bytes) -> int: ...
    def is_refused(self, topic: str) -> bool: ...


class Sdk311:
    """`mqtt_connection_builder`: keep-alive 1200, clean session 0."""

    def __init__(self, live: Live, identity: Identity, client_id: str) -> None:
        self._interrupted: Future[bool] = Future()
        self.protocol_client = mqtt_connection_builder.mtls_from_path(
            endpoint=live.host,
            port=live.mqtt_port,
            cert_filepath=str(identity.certificate_file),
            pri_key_filepath=str(identity.key_file),
            ca_filepath=str(live.ca_file),
            client_id=client_id,
            on_connection_interrupted=self._on_interrupted,
            reconnect_min_timeout_secs=1,  # `disconnect` waits for a reconnect that is due
            reconnect_max_timeout_secs=1,
        )
        self.protocol_client.connect().result(PATIENCE)

    def _on_interrupted(self, **_: Any) -> None:
        if not self._interrupted.done():
            self._interrupted.set_result(True)

    def publish(self, topic: str, payload: bytes) -> int:
        future, _ = self.protocol_client.publish(topic, payload, mqtt.QoS.AT_LEAST_ONCE)
        future.result(PATIENCE)
        return 0

    def is_refused(self, topic: str) -> bool:
        self.protocol_client.publish(topic, b"", mqtt.QoS.AT_LEAST_ONCE)
        return self._interrupted.result(PATIENCE)

    def close(self) -> None:
        self.protocol_client.disconnect().result(PATIENCE)


class Sdk5:
    """`mqtt5_client_builder`: keep-alive 1200, clean start."""

    def __init__(self, live: Live, identity: Identity, client_id: str) -> None:
        connected: Future[bool] = Future()
        self._stopped: Future[bool] = Future()
        self.protocol_client = mqtt5_client_builder.mtls_from_path(
            endpoint=live.host,
            port=live.mqtt_port,
            cert_filepath=str(identity.certificate_file),
            pri_key_filepath=str(identity.key_file),
            ca_filepath=str(live.ca_file),
            client_id=client_id,
            on_lifecycle_connection_success=lambda _: connected.set_result(True),
            on_lifecycle_connection_failure=lambda failure: connected.set_exception(failure.exception),
            on_lifecycle_stopped=lambda _: self._stopped.set_result(True),
        )
        self.protocol_client.start()
        connected.result(PATIENCE)

    def publish(self, topic: str, payload: bytes) -> int:
        packet = mqtt5.PublishPacket(topic=topic, payload=payload, qos=mqtt5.QoS.AT_LEAST_ONCE)
        return int(self.protocol_client.publish(packet).result(PATIENCE).puback.reason_code)

    def is_refused(self, topic: str) -> bool:
        return self.publish(topic, b"") == NOT_AUTHORIZED

    def close(self) -> None:
        self.protocol_client.stop()
        self._stopped.result(PATIENCE)


@contextmanager
def sdk(live: Live, identity: Identity, client_id: str, version: int) -> Iterator[Sdk]:
    connection = (Sdk5 if version == V5 else Sdk311)(live, identity, client_id)
    try:
        yield connection
    finally:
        connection.close()


class Classic:
    """`IotIdentityClient`: subscribe to accepted, then to rejected, then publish, as its samples do."""

    def __init__(self, protocol_client: Any) -> None:
        self._client = iotidentity.IotIdentityClient(protocol_client)

    def _answered(self, subscribe: str, request: Any, publish: str, question: Any) -> Any:
        answer: Future[Any] = Future()

        def rejected(error: Any) -> None:
            answer.set_exception(Refused(error))

        for word, callback in (("accepted", answer.set_result), ("rejected", rejected)):
            method = getattr(self._client, f"subscribe_to_{subscribe}_{word}")
            method(request=request, qos=mqtt.QoS.AT_LEAST_ONCE, callback=callback)[0].result(PATIENCE)
        getattr(self._client, f"publish_{publish}")(question, mqtt.QoS.AT_LEAST_ONCE).result(PATIENCE)
        return answer.result(PATIENCE)

    def create_keys(self) -> Any:
        name = "create_keys_and_certificate"
        request = iotidentity.CreateKeysAndCertificateSubscriptionRequest()
        return self._answered(name, request, name, iotidentity.CreateKeysAndCertificateRequest())

    def create_from_csr(self, csr: str) -> Any:
        name = "create_certificate_from_csr"
        request = iotidentity.CreateCertificateFromCsrSubscriptionRequest()
        question = iotidentity.CreateCertificateFromCsrRequest(certificate_signing_request=csr)
        return self._answered(name, request, name, question)

    def register_thing(self, template: str, token: str, parameters: dict[str, str]) -> Any:
        request = iotidentity.RegisterThingSubscriptionRequest(template_name=template)
        question = iotidentity.RegisterThingRequest(
            template_name=template, certificate_ownership_token=token, parameters=parameters
        )
        return self._answered("register_thing", request, "register_thing", question)


class Refused(Exception):
    def __init__(self, error: Any) -> None:
        super().__init__(f"{error.status_code} {error.error_code}: {error.error_message}")
        self.error = error


class RequestResponse:
    """`IotIdentityClientV2`, with room for the subscriptions of one operation: it unsubscribes before the next."""

    def __init__(self, protocol_client: Any) -> None:
        options = mqtt_request_response.ClientOptions(
            max_request_response_subscriptions=2, max_streaming_subscriptions=1, operation_timeout_in_seconds=20
        )
        self._client = iotidentity.IotIdentityClientV2(protocol_client, options)

    def _result(self, future: Future[Any]) -> Any:
        try:
            return future.result(PATIENCE)
        except V2ServiceException as error:
            raise Refused(error.modeled_error) from error

    def create_keys(self) -> Any:
        return self._result(self._client.create_keys_and_certificate(iotidentity.CreateKeysAndCertificateRequest()))

    def create_from_csr(self, csr: str) -> Any:
        request = iotidentity.CreateCertificateFromCsrRequest(certificate_signing_request=csr)
        return self._result(self._client.create_certificate_from_csr(request))

    def register_thing(self, template: str, token: str, parameters: dict[str, str]) -> Any:
        request = iotidentity.RegisterThingRequest(
            template_name=template, certificate_ownership_token=token, parameters=parameters
        )
        return self._result(self._client.register_thing(request))


@pytest.fixture(params=[Classic, RequestResponse], ids=["classic", "request-response"])
def identity_client(request: pytest.FixtureRequest) -> type[Classic | RequestResponse]:
    chosen: type[Classic | RequestResponse] = request.param
    return chosen


@pytest.mark.parametrize("csr", [False, True], ids=["keys", "csr"])
def test_device_provisions_itself_and_works(
    live: Live, batch: Batch, connect: Connect, version: int, csr: bool, identity_client: Callable[[Any], Classic]
) -> None:
    with sdk(live, batch.claim, f"{batch.name}-new", version) as claiming:
        client = identity_client(claiming.protocol_client)
        if csr:
            request, key = signing_request()
            made = client.create_from_csr(request)
        else:
            made = client.create_keys()
            key = made.private_key
        identity = live.keep(f"{batch.name}-1", made.certificate_pem, key, made.certificate_id)
        done = client.register_thing(batch.template, made.certificate_ownership_token, {"SerialNumber": batch.name})
    assert done.thing_name == batch.name
    assert done.device_configuration == {}

    observer = connect(batch.observer, f"{batch.name}-observer")
    observer.subscribe(f"{batch.name}/+/telemetry")
    with sdk(live, identity, batch.name, version) as device:
        topic = batch.topic(batch.name)
        assert device.publish(topic, b"21.5") == 0
        assert observer.receive() == (topic, b"21.5", 1)
        assert device.is_refused(batch.topic("somebody-else"))


def test_what_is_rejected_arrives_as_the_sdk_models_it(
    live: Live, batch: Batch, version: int, identity_client: Callable[[Any], Classic]
) -> None:
    with sdk(live, batch.claim, f"{batch.name}-new", version) as claiming:
        client = identity_client(claiming.protocol_client)
        with pytest.raises(Refused) as refused:
            client.create_from_csr("no signing request")
        error = refused.value.error
        assert (error.status_code, error.error_code) == (400, "InvalidCertificateSigningRequest")
        assert error.error_message
        with pytest.raises(Refused) as refused:
            client.register_thing(batch.template, "no token", {"SerialNumber": batch.name})
        error = refused.value.error
        assert (error.status_code, error.error_code) == (400, "InvalidCertificateOwnershipToken")


def test_devices_in_parallel_in_one_process(live: Live, batch: Batch) -> None:
    """One event loop group of the SDK, one claim: each request-response client gets the answers to its own requests."""
    names = [f"{batch.name}-{number}" for number in range(10)]
    connections = [Sdk5(live, batch.claim, name) for name in names]
    clients = [RequestResponse(each.protocol_client)._client for each in connections]
    futures = [each.create_keys_and_certificate(iotidentity.CreateKeysAndCertificateRequest()) for each in clients]
    made = [each.result(PATIENCE) for each in futures]
    assert len({each.certificate_id for each in made}) == len(names)
    futures = [
        client.register_thing(
            iotidentity.RegisterThingRequest(
                template_name=batch.template,
                certificate_ownership_token=each.certificate_ownership_token,
                parameters={"SerialNumber": name},
            )
        )
        for client, each, name in zip(clients, made, names, strict=True)
    ]
    assert [each.result(PATIENCE).thing_name for each in futures] == names
    for connection in connections:
        connection.close()
