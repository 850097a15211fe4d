"""What is under way on one connection in each direction: packet identifiers, receive maximum, topic aliases."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from fleetgate.wire.mqtt.errors import ProtocolError, Reason
from fleetgate.wire.mqtt.packets import Publish
from fleetgate.wire.mqtt.properties import Properties


class Incoming:
    """From the peer to us. The limits are what we announced; all errors are `ProtocolError`."""

    def __init__(self) -> None:
        self.receive_maximum = 65_535
        self.topic_alias_maximum = 0
        self._messages: set[int] = set()  # identifiers of messages that are not acknowledged yet
        self._questions: set[int] = set()  # of SUBSCRIBE and UNSUBSCRIBE that are not answered yet
        self._aliases: dict[int, str] = {}

    def announced(self, properties: Properties) -> None:
        self.receive_maximum = properties.get("receive_maximum", 65_535)
        self.topic_alias_maximum = properties.get("topic_alias_maximum", 0)

    def take_question(self, packet_id: int) -> None:
        self._check_free(packet_id)
        self._questions.add(packet_id)

    def take_message(self, packet_id: int) -> None:
        self._check_free(packet_id)
        if len(self._messages) >= self.receive_maximum:  # [MQTT-3.3.4-7, MQTT-3.3.4-9]
            message = f"more than the announced {self.receive_maximum} unacknowledged messages"
            raise ProtocolError(Reason.RECEIVE_MAXIMUM_EXCEEDED, message)
        self._messages.add(packet_id)

    def take_again(self, packet_id: int) -> None:
        """A 3.1.1 client may send a message again before it is acknowledged."""
        self._messages.add(packet_id)

    def answered(self, packet_id: int) -> None:
        self._messages.discard(packet_id)
        self._questions.discard(packet_id)

    def _check_free(self, packet_id: int) -> None:
        if packet_id in self._messages or packet_id in self._questions:  # [MQTT-2.2.1-3, MQTT-2.2.1-4]
            raise ProtocolError(Reason.PROTOCOL_ERROR, f"packet identifier {packet_id} is in use already")

    def resolve(self, packet: Publish) -> Publish:
        """Put the topic in its alias's place, so that nobody further up needs to know of aliases (3.3.2.3.4)."""
        properties = cast("dict[str, Any]", dict(packet.properties))
        alias = properties.pop("topic_alias")
        if alias > self.topic_alias_maximum:  # [MQTT-3.3.2-9, MQTT-3.3.2-11]
            message = f"topic alias {alias} is above the announced maximum of {self.topic_alias_maximum}"
            raise ProtocolError(Reason.TOPIC_ALIAS_INVALID, message)
        if packet.topic:
            self._aliases[alias] = packet.topic
        elif alias not in self._aliases:
            raise ProtocolError(Reason.PROTOCOL_ERROR, f"topic alias {alias} stands for no topic yet")
        return replace(packet, topic=self._aliases[alias], properties=cast("Properties", properties))


class Outgoing:
    """From us to the peer. The limits are what the peer announced; an error is our own caller's."""

    def __init__(self) -> None:
        self.peer = Properties()  # what the other end said of itself in its CONNECT or CONNACK
        self._asked: dict[int, int] = {}  # identifiers in use: 0 for a message, else how many answers are due
        self._in_flight = 0  # messages among them
        self._aliases: set[int] = set()
        self._last_id = 0

    def free_id(self) -> int:
        """A packet identifier that is not in use."""
        for step in range(1, 65_536):
            candidate = (self._last_id + step - 1) % 65_535 + 1
            if candidate not in self._asked:
                self._last_id = candidate
                return candidate
        raise ProtocolError(Reason.RECEIVE_MAXIMUM_EXCEEDED, "all packet identifiers are in use")

    def check_free(self, packet_id: int | None) -> None:
        if packet_id in self._asked:
            raise ProtocolError(Reason.PACKET_IDENTIFIER_IN_USE, f"packet identifier {packet_id} is in use already")

    def check_message(self, packet: Publish) -> None:
        peer = self.peer
        if packet.qos:
            if packet.qos > peer.get("maximum_qos", 2):  # [MQTT-3.2.2-11]
                raise ProtocolError(Reason.QOS_NOT_SUPPORTED, f"the server takes no QoS {packet.qos}")
            self.check_free(packet.packet_id)
            if self._in_flight >= peer.get("receive_maximum", 65_535):
                message = f"{self._in_flight} messages are unacknowledged, as many as the peer takes"
                raise ProtocolError(Reason.RECEIVE_MAXIMUM_EXCEEDED, message)
        if packet.retain and not peer.get("retain_available", 1):  # [MQTT-3.2.2-14]
            raise ProtocolError(Reason.RETAIN_NOT_SUPPORTED, "the server retains no messages")
        if "topic_alias" in packet.properties:
            self._check_alias(packet.properties["topic_alias"], packet.topic)

    def _check_alias(self, alias: int, topic: str) -> None:
        if alias > self.peer.get("topic_alias_maximum", 0):
            raise ProtocolError(Reason.TOPIC_ALIAS_INVALID, f"the peer takes no topic alias {alias}")
        if not topic and alias not in self._aliases:
            raise ProtocolError(Reason.PROTOCOL_ERROR, f"topic alias {alias} stands for no topic yet")

    def sent_message(self, packet: Publish) -> None:
        if packet.packet_id is not None:
            self._asked[packet.packet_id] = 0
            self._in_flight += 1
        if (alias := packet.properties.get("topic_alias")) is not None:
            self._aliases.add(alias)

    def sent_question(self, packet_id: int, filters: int) -> None:
        self._asked[packet_id] = filters

    def acknowledged(self, packet_id: int) -> None:
        """The message is done with. Others' identifiers are let pass: an acknowledgement may come late."""
        if self._asked.get(packet_id) == 0:
            del self._asked[packet_id]
            self._in_flight -= 1

    def answer(self, packet_id: int, reasons: int | None) -> None:
        """A SUBACK or UNSUBACK with so many reasons came; None where 3.1.1 gives none."""
        filters = self._asked.get(packet_id, 0)
        if not filters:
            raise ProtocolError(Reason.PROTOCOL_ERROR, f"nobody asked what packet {packet_id} answers")
        if reasons is not None and reasons != filters:  # [MQTT-3.8.4-6]
            raise ProtocolError(Reason.PROTOCOL_ERROR, f"{reasons} answers for {filters} filters")
        del self._asked[packet_id]
