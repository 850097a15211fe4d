"""Two connections joined back to back, and a small broker made of a switchboard and such pairs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from fleetgate.wire.mqtt.connection import Connection, Role
from fleetgate.wire.mqtt.errors import ProtocolError, Reason
from fleetgate.wire.mqtt.packets import (
    V5,
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
    Subscription,
    UnsubAck,
    Unsubscribe,
)
from fleetgate.wire.mqtt.properties import Properties
from fleetgate.wire.mqtt.rules import STANDARD, Rules
from fleetgate.wire.mqtt.switchboard import Switchboard

# Both ends of a dialogue may speak of QoS 2, which only packets and connections know here.
FULL = replace(STANDARD, maximum_qos=2)


class Dialogue:
    """A client and a server that hear exactly what the other one says. Time stands still unless `wait` is called."""

    def __init__(self, rules: Rules) -> None:
        self.now = 1_700_000_000_000
        self.server = Connection(Role.SERVER, rules, self.now)
        self.client = Connection(Role.CLIENT, FULL, self.now)

    def wait(self, seconds: float) -> None:
        self.now += round(seconds * 1000)

    def client_says(self, packet: Packet) -> list[Packet]:
        return self.client_writes(self.client.send(packet, self.now))

    def server_says(self, packet: Packet) -> list[Packet]:
        return self.server_writes(self.server.send(packet, self.now))

    def client_writes(self, data: bytes) -> list[Packet]:
        return list(self.server.receive(data, self.now))

    def server_writes(self, data: bytes) -> list[Packet]:
        return list(self.client.receive(data, self.now))

    def open(self, connect: Connect, connack: ConnAck) -> Dialogue:
        assert self.client_says(connect) == [connect]
        assert self.server_says(connack) == [connack]
        return self

    def server_refuses(self, data: bytes) -> Reason:
        """The reason with which the server breaks off at these bytes."""
        with pytest.raises(ProtocolError) as error:
            self.client_writes(data)
        return error.value.reason

    def client_refuses(self, data: bytes) -> Reason:
        with pytest.raises(ProtocolError) as error:
            self.server_writes(data)
        return error.value.reason


OpenDialogue = Callable[..., Dialogue]


@pytest.fixture
def fresh() -> Callable[..., Dialogue]:
    """A dialogue in which nothing was said yet."""
    return lambda rules=FULL: Dialogue(rules)


@pytest.fixture
def talk() -> OpenDialogue:
    """A dialogue after CONNECT and CONNACK."""

    def opened(
        version: int = V5,
        connect: Connect | None = None,
        connack: ConnAck | None = None,
        rules: Rules = FULL,
    ) -> Dialogue:
        return Dialogue(rules).open(connect or Connect("a", version), connack or ConnAck())

    return opened


class Device:
    """A client of the broker: `heard` is what came in since it was last read."""

    def __init__(self, broker: Broker, connect: Connect) -> None:
        self.broker, self.dialogue = broker, Dialogue(broker.board.rules)
        self.dialogue.now = broker.now
        self.connect = connect
        self._heard: list[Packet] = []
        self.acknowledges = True
        self.send(connect)

    def heard(self) -> list[Packet]:
        heard, self._heard = self._heard, []
        return heard

    def messages(self) -> list[Publish]:
        return [packet for packet in self.heard() if isinstance(packet, Publish)]

    def payloads(self) -> list[bytes]:
        return [message.payload for message in self.messages()]

    def send(self, packet: Packet) -> None:
        for received in self.dialogue.client_says(packet):
            self.broker.handle(self, received)

    def subscribe(
        self, topic_filter: str, qos: int = 1, identifier: int | None = None, **options: bool | int
    ) -> SubAck:
        subscription = Subscription(topic_filter, QoS(qos), **options)  # type: ignore[arg-type]  # a test's shorthand
        properties = Properties() if identifier is None else Properties(subscription_identifier=(identifier,))
        self.send(Subscribe(self.dialogue.client.packet_id(), (subscription,), properties))
        answers = [packet for packet in self._heard if isinstance(packet, SubAck)]
        self._heard = [packet for packet in self._heard if not isinstance(packet, SubAck)]
        return answers[-1]

    def publish(
        self, topic: str, payload: bytes = b"!", qos: int = 0, retain: bool = False, **properties: object
    ) -> None:
        packet_id = self.dialogue.client.packet_id() if qos else None
        self.send(Publish(topic, payload, QoS(qos), retain, False, packet_id, properties))  # type: ignore[arg-type]

    def vanish(self) -> None:
        """The network connection breaks."""
        self.broker.board.detach(self.connect.client_id, self, self.broker.now)

    def leave(self, reason: Reason = Reason.NORMAL_DISCONNECTION, **properties: int) -> None:
        self.send(Disconnect(reason, properties))  # type: ignore[arg-type]

    # What the switchboard asks of a sink.

    def deliver(self, message: Publish, /) -> None:
        self.hear(message)

    def may_receive(self, topic: str, /) -> bool:
        return not topic.startswith("secret")

    def hear(self, packet: Packet) -> None:
        heard = self.dialogue.server_says(packet)
        self._heard += heard
        for one in heard:
            if self.acknowledges and isinstance(one, Publish) and one.packet_id is not None:
                self.send(PubAck(one.packet_id))


class Broker:
    """What a gateway does with a switchboard, without policies and reserved topics."""

    def __init__(self, rules: Rules) -> None:
        self.now = 1_700_000_000_000
        self.board: Switchboard[Device] = Switchboard(rules)
        self.displaced: list[Device] = []

    def wait(self, seconds: float) -> None:
        self.now += round(seconds * 1000)
        self.board.due(self.now)

    def join(self, client_id: str, version: int = V5, clean_start: bool = True, **more: object) -> Device:
        return Device(self, Connect(client_id, version, clean_start, **more))  # type: ignore[arg-type]

    def handle(self, device: Device, packet: Packet) -> None:
        session = self.board.session(device.connect.client_id)
        match packet:
            case Connect():
                attached = self.board.attach(packet, device, self.now)
                device.hear(ConnAck(Reason.SUCCESS, attached.session_present, self.board.rules.announcement(packet)))
                for message in attached.backlog:
                    device.hear(message)
                if attached.displaced is not None:
                    self.displaced.append(attached.displaced)
            case Publish():
                self.board.publish(packet, self.now, device.connect.client_id)
                if packet.packet_id is not None:
                    device.hear(PubAck(packet.packet_id))
            case Subscribe() if session is not None:
                numbers = packet.properties.get("subscription_identifier", (None,))
                granted = [self.board.subscribe(session, one, self.now, numbers[0]) for one in packet.subscriptions]
                device.hear(SubAck(packet.packet_id, tuple(one.reason for one in granted)))
                for message in (message for one in granted for message in one.retained):
                    device.hear(message)
            case Unsubscribe() if session is not None:
                reasons = tuple(self.board.unsubscribe(session, one) for one in packet.topic_filters)
                device.hear(UnsubAck(packet.packet_id, reasons))
            case PubAck() if session is not None:
                self.board.acknowledged(session, packet.packet_id, self.now)
            case PingReq():
                device.hear(PingResp())
            case Disconnect():
                self.board.detach(device.connect.client_id, device, self.now, packet)


@pytest.fixture
def broker() -> Broker:
    return Broker(STANDARD)


@pytest.fixture
def broker_by() -> Callable[[Rules], Broker]:
    return Broker
