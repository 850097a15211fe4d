"""A device on paho-mqtt: each step waits for what answers it, and everything received is kept in order."""

from __future__ import annotations

import json
import queue
import ssl
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, NamedTuple

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions
from tests.server import PATIENCE, Batch, Endpoint, Identity

V311, V5 = 4, 5
NOT_AUTHORIZED = 0x87
CREATE, CREATE_FROM_CSR = "$aws/certificates/create", "$aws/certificates/create-from-csr"


class Closed(Exception):
    """The server closed the connection; `reason` is what it said, where the version has words for it."""

    def __init__(self, reason: int) -> None:
        super().__init__(f"closed by the server, reason 0x{reason:02x}")
        self.reason = reason


class Message(NamedTuple):
    topic: str
    payload: bytes
    qos: int


class Answer(NamedTuple):
    """An answer on a provisioning topic."""

    accepted: bool
    content: dict[str, Any]

    @property
    def told(self) -> tuple[int, str]:
        """Of a rejection: its status and its code."""
        assert not self.accepted, self.content
        assert {"statusCode", "errorCode", "errorMessage"} <= self.content.keys()
        return self.content["statusCode"], self.content["errorCode"]


@dataclass(frozen=True, slots=True)
class Provisioned:
    thing: str
    configuration: Mapping[str, str]
    identity: Identity


class Device:
    """One connection, from `connect` to `disconnect`."""

    def __init__(
        self,
        live: Endpoint,
        identity: Identity | None,
        client_id: str,
        version: int = V5,
        *,
        username: str | None = None,
        password: str | None = None,
        alpn: str | None = None,
        clean: bool = True,
    ) -> None:
        self.messages: queue.Queue[Message] = queue.Queue()
        self.client_id = client_id
        self.reason = -1
        """Of the CONNACK."""
        self.version = version
        self._live, self._clean = live, clean
        self._answered: dict[tuple[str, int], Future[list[int]]] = {}
        self._lock = threading.Lock()
        self._connected: Future[int] = Future()
        self._closed: Future[int] = Future()
        self._port = live.https_port if alpn else live.mqtt_port
        self._client = self._make(identity, alpn)
        if username is not None or password is not None:
            self._client.username_pw_set(username, password)

    def _make(self, identity: Identity | None, alpn: str | None) -> paho.Client:
        protocol = MQTTProtocolVersion.MQTTv5 if self.version == V5 else MQTTProtocolVersion.MQTTv311
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            self.client_id,
            clean_session=None if self.version == V5 else self._clean,
            protocol=protocol,
            reconnect_on_failure=False,
        )
        context = ssl.create_default_context(cafile=self._live.ca_file)
        if identity is not None:
            context.load_cert_chain(identity.certificate_file, identity.key_file)
        if alpn:
            context.set_alpn_protocols([alpn])
        client.tls_set_context(context)
        client.on_connect = lambda c, u, flags, reason, p: self._connected.set_result(reason.value)
        client.on_disconnect = lambda c, u, flags, reason, p: self._lost(reason.value)
        client.on_message = lambda c, u, message: self.messages.put(
            Message(message.topic, bytes(message.payload), message.qos)
        )
        client.on_publish = lambda c, u, mid, reason, p: self._settle("publish", mid, [reason.value])
        client.on_subscribe = lambda c, u, mid, reasons, p: self._settle("subscribe", mid, [r.value for r in reasons])
        client.on_unsubscribe = lambda c, u, mid, reasons, p: self._settle("unsubscribe", mid, [])
        return client

    # -- from paho's thread ------------------------------------------------------------------------------------------

    def _settle(self, kind: str, mid: int, reasons: list[int]) -> None:
        self._awaited(kind, mid).set_result(reasons)

    def _awaited(self, kind: str, mid: int) -> Future[list[int]]:
        with self._lock:
            return self._answered.setdefault((kind, mid), Future())

    def _lost(self, reason: int) -> None:
        if not self._connected.done():
            self._connected.set_exception(Closed(reason))
        with self._lock:
            waiting = [each for each in self._answered.values() if not each.done()]
            self._closed.set_result(reason)
        for each in waiting:
            each.set_exception(Closed(reason))

    # -- steps -------------------------------------------------------------------------------------------------------

    def connect(self) -> int:
        """The CONNACK's reason; raises `Closed` where there is none."""
        properties: Any = None
        if self.version == V5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho's is not annotated
            properties.SessionExpiryInterval = 0 if self._clean else 3600
        clean: Any = self._clean if self.version == V5 else paho.MQTT_CLEAN_START_FIRST_ONLY
        self._client.connect(self._live.host, self._port, 60, clean_start=clean, properties=properties)
        self._client.loop_start()
        self.reason = self._connected.result(PATIENCE)
        return self.reason

    def disconnect(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def closed(self) -> int:
        """Wait until the server closes the connection: the reason it gave (3.1.1 has no words for it)."""
        return self._closed.result(PATIENCE)

    @property
    def alive(self) -> bool:
        return self._connected.done() and not self._closed.done()

    def subscribe(self, *filters: str, qos: int = 1) -> list[int]:
        """The SUBACK's reasons, one for each filter; raises `Closed`."""
        options = SubscribeOptions(qos=qos)
        wishes: Any = [(each, options if self.version == V5 else qos) for each in filters]
        return self._answer("subscribe", self._client.subscribe(wishes)[1])

    def unsubscribe(self, *filters: str) -> None:
        self._answer("unsubscribe", self._client.unsubscribe(list(filters))[1])

    def publish(self, topic: str, payload: bytes | str = b"", qos: int = 1) -> int:
        """With QoS 1 the PUBACK's reason; raises `Closed`. QoS 0 returns when it is sent."""
        return self._answer("publish", self._client.publish(topic, payload, qos).mid)[0]

    def _answer(self, kind: str, mid: int | None) -> list[int]:
        assert mid is not None
        waiting = self._awaited(kind, mid)
        with self._lock:
            over = self._closed.done() and not waiting.done()
        if over:
            raise Closed(self._closed.result())
        return waiting.result(PATIENCE)

    def receive(self) -> Message:
        return self.messages.get(timeout=PATIENCE)

    # -- provisioning ------------------------------------------------------------------------------------------------

    def ask(self, topic: str, request: Any = None, form: str = "json", qos: int = 1) -> Answer:
        """Publish a request and wait for its answer, which must be the next message."""
        asked = f"{topic}/{form}"
        self.publish(asked, encode(form, request), qos)
        return read(asked, self.receive())

    def provision(
        self, batch: Batch, serial: str, *, csr: bool = False, form: str = "json", **parameters: str
    ) -> Provisioned:
        """Both steps of the claim flow; fails unless both are accepted."""
        certificate, key = self.certificate(csr=csr, form=form)
        answer = self.register(batch, certificate["certificateOwnershipToken"], serial, form, **parameters)
        assert answer.accepted, answer.content
        content = answer.content
        identity = self._live.keep(
            f"{batch.name}-{serial}-{certificate['certificateId'][:10]}",
            certificate["certificatePem"],
            key,
            certificate["certificateId"],
        )
        return Provisioned(content["thingName"], content["deviceConfiguration"], identity)

    def certificate(self, *, csr: bool = False, form: str = "json") -> tuple[dict[str, Any], str]:
        """The accepted answer of the first step, and the private key."""
        if csr:
            request, key = signing_request()
            answer = self.ask(CREATE_FROM_CSR, {"certificateSigningRequest": request}, form)
            assert answer.accepted, answer.content
            return answer.content, key
        answer = self.ask(CREATE, {}, form)
        assert answer.accepted, answer.content
        return answer.content, answer.content["privateKey"]

    def register(self, batch: Batch, token: str, serial: str, form: str = "json", **parameters: str) -> Answer:
        """The answer of the second step."""
        request = {"certificateOwnershipToken": token, "parameters": {"SerialNumber": serial, **parameters}}
        return self.ask(f"$aws/provisioning-templates/{batch.template}/provision", request, form)


def encode(form: str, request: Any) -> bytes:
    """*request* as a payload; bytes stay as they are."""
    if isinstance(request, bytes):
        return request
    return json.dumps(request).encode() if form == "json" else cbor2.dumps(request)


def read(asked: str, message: Message) -> Answer:
    """What *message* answers to a request on the topic *asked*; fails if it answers another one."""
    assert message.topic in {f"{asked}/accepted", f"{asked}/rejected"}
    content = json.loads(message.payload) if asked.endswith("/json") else cbor2.loads(message.payload)
    return Answer(message.topic.endswith("/accepted"), content)


def signing_request(key: ec.EllipticCurvePrivateKey | None = None, name: str = "") -> tuple[str, str]:
    """A CSR and the private key that signed it, both PEM."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else [])
    csr = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return csr.public_bytes(Encoding.PEM).decode(), pem
