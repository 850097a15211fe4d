"""What a server keeps for one client identifier beyond a connection (MQTT 5, 4.1): subscriptions and messages due."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, cast

from fleetgate.wire.mqtt import journal
from fleetgate.wire.mqtt.packets import Publish, Subscription
from fleetgate.wire.mqtt.properties import Properties
from fleetgate.wire.mqtt.rules import AWS, Rules


class _Due(NamedTuple):
    """A message with the moment it expires, or None."""

    message: Publish
    expires: int | None
    number: int
    """Of the session's messages, in the order of arrival."""

    def remaining(self, now: int) -> Properties | None:
        """The message's properties with the expiry interval that is left [MQTT-3.3.2-6]; None once it is over."""
        if self.expires is None:
            return self.message.properties
        if now >= self.expires:
            return None
        properties = cast("Properties", dict(self.message.properties))
        properties["message_expiry_interval"] = -(-(self.expires - now) // 1000)
        return properties


class Session:
    """Subscriptions and the outgoing window of QoS 1. Offline until `resume`; *now* is in milliseconds.

    `expiry` is how many seconds it outlives its connection (`NEVER`: for ever), `dropped` how many messages did not
    fit the queue.
    """

    def __init__(self, client_id: str, version: int, rules: Rules = AWS) -> None:
        self.client_id, self.version, self.rules = client_id, version, rules
        self.subscriptions: dict[str, Subscription] = {}
        self.connected = False
        self.expiry = 0
        self.dropped = 0
        self.record: journal.Record | None = None
        """Where it is handed what has to be written down of its messages; None for a session that is not to outlive
        the process."""
        self._window = rules.receive_maximum
        self._queue: deque[_Due] = deque()
        self._queued_bytes = 0
        self._unacknowledged: dict[int, _Due] = {}  # by packet identifier, in the order they were sent first
        self._in_flight: set[int] = set()  # those sent on this connection
        self._resend: deque[int] = deque()  # those not yet sent again on it
        self._last_id = 0
        self._last_number = 0
        self._recorded: set[int] = set()  # numbers of messages that are written down

    @property
    def queued(self) -> int:
        """Messages that wait for their first sending."""
        return len(self._queue)

    @property
    def unacknowledged(self) -> int:
        """Messages that were sent and are not acknowledged."""
        return len(self._unacknowledged)

    def deliver(self, message: Publish, now: int) -> Publish | None:
        """The packet to write now. None: queued behind a full window or for an offline client, where QoS 0 is let go.

        Under QoS 0 the message itself is returned, so that many receivers share one.
        """
        if not message.qos:
            return message if self.connected else None
        interval = message.properties.get("message_expiry_interval")
        self._last_number += 1
        due = _Due(message, None if interval is None else now + interval * 1000, self._last_number)
        if not self.connected or self._queue or self._resend or not self._room():
            self._enqueue(due)
            return None
        return self._start(due, message.properties)

    def acknowledged(self, packet_id: int, now: int) -> list[Publish]:
        """The client has the message (or will not have it): what may be sent next. An unknown identifier is nothing."""
        self._settle(self._unacknowledged.pop(packet_id, None))
        self._in_flight.discard(packet_id)
        return list(self._next(now)) if self.connected else []

    def resume(self, now: int, window: int | None = None) -> list[Publish]:
        """The client is there and takes *window* unacknowledged messages at once: unacknowledged ones first
        [MQTT-4.4.0-1], in their order [MQTT-4.6.0-1], then what was queued.
        """
        self.connected = True
        self._window = min(window or self.rules.receive_maximum, self.rules.receive_maximum)
        self._in_flight.clear()
        self._resend = deque(self._unacknowledged)
        return list(self._next(now))

    def pause(self) -> None:
        """The connection is gone; messages are kept from now on."""
        self.connected = False

    def record_unacknowledged(self) -> None:
        """Have those written down, too, that were sent and not acknowledged: whoever they were sent to is gone."""
        for due in self._unacknowledged.values():
            self._write_down(due)

    def restore(self, queued: Iterable[journal.Queued]) -> None:
        """Messages as they were recorded, in their order: all of them wait."""
        for each in queued:
            due = _Due(each.message, each.expires, each.number)
            self._queue.append(due)
            self._queued_bytes += _size(due.message)
            self._recorded.add(due.number)
            self._last_number = due.number

    def _write_down(self, due: _Due) -> None:
        if self.record is not None and due.number not in self._recorded:
            self._recorded.add(due.number)
            self.record(journal.Queued(self.client_id, due.number, due.message, due.expires))

    def _settle(self, due: _Due | None) -> None:
        if due is not None and due.number in self._recorded:
            self._recorded.discard(due.number)
            if self.record is not None:
                self.record(journal.Settled(self.client_id, due.number))

    def _room(self) -> bool:
        return len(self._in_flight) < self._window and len(self._unacknowledged) < 65_535

    def _next(self, now: int) -> Iterator[Publish]:
        while self._resend and len(self._in_flight) < self._window:
            if (again := self._again(self._resend.popleft(), now)) is not None:
                yield again
        while self._queue and not self._resend and self._room():
            due = self._queue.popleft()
            self._queued_bytes -= _size(due.message)
            if (properties := due.remaining(now)) is not None:  # [MQTT-3.3.2-5]
                yield self._start(due, properties)
            else:
                self._settle(due)

    def _start(self, due: _Due, properties: Properties) -> Publish:
        packet_id = self._free_id()
        self._unacknowledged[packet_id] = due
        self._in_flight.add(packet_id)
        message = due.message
        return Publish(message.topic, message.payload, message.qos, message.retain, False, packet_id, properties)

    def _again(self, packet_id: int, now: int) -> Publish | None:
        if (due := self._unacknowledged.get(packet_id)) is None:
            return None
        if (properties := due.remaining(now)) is None:
            del self._unacknowledged[packet_id]
            self._settle(due)
            return None
        self._in_flight.add(packet_id)
        message, duplicate = due.message, self.rules.redelivery_sets_duplicate  # [MQTT-3.3.1-1]
        return Publish(message.topic, message.payload, message.qos, message.retain, duplicate, packet_id, properties)

    def _enqueue(self, due: _Due) -> None:
        self._queue.append(due)
        self._queued_bytes += _size(due.message)
        self._write_down(due)
        while len(self._queue) > self.rules.queued_messages or self._queued_bytes > self.rules.queued_bytes:
            oldest = self._queue.popleft()
            self._queued_bytes -= _size(oldest.message)
            self._settle(oldest)
            self.dropped += 1

    def _free_id(self) -> int:
        """An identifier not in use; `_room` made sure there is one."""
        packet_id = self._last_id
        while True:
            packet_id = packet_id % 65_535 + 1
            if packet_id not in self._unacknowledged:
                self._last_id = packet_id
                return packet_id


def _size(message: Publish) -> int:
    """What a queued message counts; user properties count too, or they would be a way around the bound."""
    size = len(message.payload) + len(message.topic)
    properties = cast("dict[str, Any]", message.properties)
    return size + sum(len(str(value)) for value in properties.values()) if properties else size
