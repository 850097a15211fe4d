"""A server made of `wire.mqtt`'s other end, joined back to back with the client: no sockets, and it can misbehave."""

from __future__ import annotations

import asyncio
import json
import ssl
import uuid
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from fleetgate.agent.backoff import Surroundings
from fleetgate.agent.client import Client
from fleetgate.agent.tls import Endpoint
from fleetgate.pki import keys
from fleetgate.pki.keys import KeyKind, PublicKey
from fleetgate.wire.mqtt.connection import Connection, Role
from fleetgate.wire.mqtt.errors import ProtocolError, Reason
from fleetgate.wire.mqtt.packets import (
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PingReq,
    PingResp,
    PubAck,
    Publish,
    QoS,
    SubAck,
    Subscribe,
    UnsubAck,
    Unsubscribe,
)
from fleetgate.wire.mqtt.rules import AWS

CA_KEY: Final = keys.generate(KeyKind.EC_P256)
NAME: Final = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test CA")])


def certify(public_key: PublicKey) -> str:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        NAME, NAME, public_key, x509.random_serial_number(), now - timedelta(1), now + timedelta(1)
    )
    return builder.sign(CA_KEY, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


class Pipe(asyncio.Transport):
    """The client's transport: what it writes, the peer has at the loop's next turn."""

    def __init__(self, client: Client, peer: Peer) -> None:
        super().__init__()
        self._client, self._peer, self._over = client, peer, False
        self._loop = asyncio.get_running_loop()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._over:
            self._loop.call_soon(self._peer.take, bytes(data))

    def to_client(self, data: bytes) -> None:
        if not self._over:
            self._loop.call_soon(self._client.data_received, data)

    def lose(self, exc: Exception | None = None) -> None:
        if not self._over:
            self._over = True
            self._loop.call_soon(self._client.connection_lost, exc)

    def close(self) -> None:
        self.lose()

    def abort(self) -> None:
        self.lose()

    def is_closing(self) -> bool:
        return self._over

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


class Peer:
    """The server's end of one connection. Takes everything, echoes nothing; a subclass or a test says more."""

    def __init__(self, client: Client) -> None:
        self.pipe = Pipe(client, self)
        self.connection = Connection(Role.SERVER, AWS, 0)
        self.packets: list[Packet] = []
        self.silent: set[type[Packet]] = set()
        """Kinds of packets that are not answered."""
        self.answers: dict[type[Packet], Packet] = {}
        """Instead of the ordinary answer to a kind of packet."""
        client.connection_made(self.pipe)

    def take(self, data: bytes) -> None:
        try:
            for packet in self.connection.receive(data, 0):
                self.packets.append(packet)
                self.answer(packet)
        except ProtocolError as error:
            self.pipe.to_client(self.connection.farewell(error.reason, str(error)))
            self.pipe.lose()

    def answer(self, packet: Packet) -> None:
        if type(packet) in self.silent:
            return
        if type(packet) in self.answers:
            self.send(self.answers[type(packet)])
            return
        match packet:
            case Connect():
                self.send(ConnAck(properties=AWS.announcement(packet)))
            case Subscribe():
                self.send(SubAck(packet.packet_id, (Reason.GRANTED_QOS_1,) * len(packet.subscriptions)))
            case Unsubscribe():
                self.send(UnsubAck(packet.packet_id, (Reason.SUCCESS,) * len(packet.topic_filters)))
            case Publish():
                if packet.packet_id is not None:
                    self.send(PubAck(packet.packet_id))
                self.message(packet)
            case PingReq():
                self.send(PingResp())
            case Disconnect():
                self.pipe.lose()

    def message(self, message: Publish) -> None:
        """For the server behind the connection."""

    def send(self, packet: Packet) -> None:
        self.pipe.to_client(self.connection.send(packet, 0))
        if isinstance(packet, ConnAck) and packet.reason:
            self.pipe.lose()


@dataclass(frozen=True)
class Reject:
    """Instead of doing what was asked."""

    status: int
    code: str = "Because"

    def members(self) -> dict[str, Any]:
        return {"statusCode": self.status, "errorCode": self.code, "errorMessage": "no", "requestId": "r-1"}


DROP, DROP_AFTER, SILENT = "drop", "drop after", "silent"


@dataclass
class Cloud:
    """Certificates, tokens and things, as far as a device can tell; requests go wrong as `trouble` says."""

    trouble: defaultdict[str, deque[Any]] = field(default_factory=lambda: defaultdict(deque))
    """By operation (`create`, `provision`, `connect`): what happens to the next request, and to the one after ...;
    None is what should. A function makes up the whole answer.
    """
    keys_seen: list[str] = field(default_factory=list)
    """Fingerprints of the keys that certificates were asked for."""
    tokens: dict[str, str] = field(default_factory=dict)
    pending: dict[str, str] = field(default_factory=dict)
    things: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Certificate ids by thing, the active one last."""
    connects: list[Connect] = field(default_factory=list)
    published: list[Publish] = field(default_factory=list)
    subscribed: list[str] = field(default_factory=list)

    async def dial(self, endpoint: Endpoint, context: ssl.SSLContext, connect: Connect, seconds: float) -> Client:
        self.connects.append(connect)
        client = Client()
        peer = CloudPeer(client, self)
        try:
            await client.open(connect, seconds)
        except BaseException:
            peer.pipe.abort()
            raise
        return client

    def is_silent(self) -> bool:
        """Whether somebody will wait in vain."""
        return any(SILENT in queue for queue in self.trouble.values())

    def next_trouble(self, operation: str) -> Any:
        return self.trouble[operation].popleft() if self.trouble[operation] else None

    def create(self, request: dict[str, Any]) -> dict[str, Any]:
        """CreateCertificateFromCsr, or without a request CreateKeysAndCertificate."""
        answer: dict[str, Any] = {}
        if "certificateSigningRequest" in request:
            csr = x509.load_pem_x509_csr(request["certificateSigningRequest"].encode())
            assert csr.is_signature_valid
            key = keys.as_public_key(csr.public_key())
        else:
            pair = keys.generate(KeyKind.EC_P256)
            key, answer["privateKey"] = pair.public_key(), keys.private_key_pem(pair)
        self.keys_seen.append(keys.public_key_fingerprint(key))
        number, token = f"{len(self.keys_seen):064x}", str(uuid.uuid4())
        self.tokens[token] = number
        return {
            **answer,
            "certificateId": number,
            "certificatePem": certify(key),
            "certificateOwnershipToken": token,
        }

    def provision(self, request: dict[str, Any]) -> dict[str, Any] | Reject:
        number = self.tokens.pop(request["certificateOwnershipToken"], None)
        if number is None:
            return Reject(400, "InvalidCertificateOwnershipToken")
        name = request["parameters"]["SerialNumber"]
        self.things[name].append(number)
        return {"thingName": name, "deviceConfiguration": {"interval": "60"}}


class CloudPeer(Peer):
    def __init__(self, client: Client, cloud: Cloud) -> None:
        super().__init__(client)
        self.cloud = cloud

    def answer(self, packet: Packet) -> None:
        if isinstance(packet, Connect) and (trouble := self.cloud.next_trouble("connect")) is not None:
            if trouble == DROP:
                self.pipe.lose()
            elif trouble != SILENT:
                self.send(trouble)
            return
        if isinstance(packet, Subscribe):
            self.cloud.subscribed += [each.topic_filter for each in packet.subscriptions]
        super().answer(packet)

    def message(self, message: Publish) -> None:
        *levels, form = message.topic.split("/")
        if levels[:1] != ["$aws"]:
            self.cloud.published.append(message)
            return
        operation = "provision" if levels[-1] == "provision" else "create"
        trouble = self.cloud.next_trouble(operation)
        if trouble == DROP:
            self.pipe.lose()
        if trouble in {DROP, SILENT}:
            return
        self.reply(message, form, operation, trouble)

    def reply(self, message: Publish, form: str, operation: str, trouble: Any) -> None:
        loads: Callable[[bytes], Any] = json.loads if form == "json" else cbor2.loads
        dumps: Callable[[Any], bytes] = (lambda value: json.dumps(value).encode()) if form == "json" else cbor2.dumps
        if isinstance(trouble, Reject):
            result: Any = trouble
        elif callable(trouble):
            result = trouble()
        else:
            result = getattr(self.cloud, operation)(loads(message.payload))
        if trouble == DROP_AFTER:
            self.pipe.lose()
            return
        word = "rejected" if isinstance(result, Reject) else "accepted"
        members = result.members() if isinstance(result, Reject) else result
        payload = members if isinstance(members, bytes) else dumps(members)
        self.send(Publish(f"{message.topic}/{word}", payload, QoS.AT_MOST_ONCE))


@dataclass
class Recorder:
    """Surroundings without chance, whose clock stands still unless it is slept."""

    said: list[str] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    @property
    def around(self) -> Surroundings:
        return Surroundings(lambda: 0.5, lambda: sum(self.pauses), self.sleep, self.said.append)
