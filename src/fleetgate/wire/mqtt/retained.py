"""The last message of each topic that was published to be kept (MQTT 5, 3.3.1.3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

from fleetgate.wire.mqtt import journal
from fleetgate.wire.mqtt.packets import Publish
from fleetgate.wire.mqtt.properties import Properties
from fleetgate.wire.mqtt.rules import Rules
from fleetgate.wire.mqtt.topics import has_wildcard, matches

_OWN = "$fleetgate/"
"""Topics that the server alone publishes to."""


class Retained:
    """Retained messages by topic, at most `Rules.retained_messages`."""

    def __init__(self, rules: Rules, record: journal.Record | None = None) -> None:
        """*record* is given every change."""
        self._rules = rules
        self._record = record
        self._kept: dict[str, tuple[Publish, int]] = {}  # with the moment it came, in milliseconds

    def room(self, topic: str) -> bool:
        """Whether a message on this topic can be kept: there is room and the topic is not a reserved one."""
        if topic.startswith("$") and not (self._rules.retain_reserved or topic.startswith(_OWN)):
            return False
        return topic in self._kept or len(self._kept) < self._rules.retained_messages

    def keep(self, message: Publish, now: int) -> bool:
        """Keep it in the place of the topic's last one; an empty payload removes that one [MQTT-3.3.1-6]."""
        if not message.payload:
            self._drop(message.topic)
            return True
        if not self.room(message.topic):
            return False
        self._kept[message.topic] = (message, now)
        if self._record is not None:
            self._record(journal.RetainedKept(message, now))
        return True

    def restore(self, message: Publish, came: int) -> None:
        """Take a message in as it was recorded."""
        self._kept[message.topic] = (message, came)

    def _drop(self, topic: str) -> None:
        if self._kept.pop(topic, None) is not None and self._record is not None:
            self._record(journal.RetainedGone(topic))

    def forget(self, level: str) -> None:
        """Let go of every message whose topic has this level."""
        for topic in [each for each in self._kept if level in each.split("/")]:
            self._drop(topic)

    def sweep(self, now: int) -> None:
        """Let go of every message whose time is over."""
        for topic in tuple(self._kept):
            self.get(topic, now)

    def came(self, topic: str) -> int | None:
        """When the topic's message came."""
        kept = self._kept.get(topic)
        return None if kept is None else kept[1]

    def get(self, topic: str, now: int) -> Publish | None:
        """The topic's message with the expiry interval that is left to it."""
        if (kept := self._kept.get(topic)) is None:
            return None
        message, came = kept
        interval = message.properties.get("message_expiry_interval")
        if interval is None:
            return message
        left = came + interval * 1000 - now
        if left <= 0:
            self._drop(topic)
            return None
        properties = cast("Properties", {**message.properties, "message_expiry_interval": -(-left // 1000)})
        return replace(message, properties=properties)

    def select(self, topic_filter: str, now: int) -> Iterator[Publish]:
        """The messages a new subscription is given."""
        if not has_wildcard(topic_filter):
            topics = [topic_filter]
        elif self._rules.retained_to_wildcards:
            parent = self._rules.hash_matches_parent
            topics = [topic for topic in self._kept if matches(topic_filter, topic, parent=parent)]
        else:
            return
        for topic in topics:
            if (message := self.get(topic, now)) is not None:
                yield message

    def topics(self) -> list[str]:
        return sorted(self._kept)
