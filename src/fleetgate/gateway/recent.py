"""What was said on any node a moment ago, to be said again to a session that may not have had it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from fleetgate.names import Realm
from fleetgate.wire.mqtt.packets import Publish

MOST: Final = 20_000
MOST_BYTES: Final = 64 * 1024 * 1024
"""Of topics and payloads."""


@dataclass(frozen=True, slots=True)
class Said:
    at: int
    realm: Realm
    client_id: str | None
    message: Publish

    @property
    def size(self) -> int:
        return len(self.message.topic) + len(self.message.payload)


class Recent:
    """Messages with QoS 1, in the order in which they came here, the oldest forgotten first."""

    def __init__(self, clock: Callable[[], int], kept: int) -> None:
        """*clock* gives milliseconds, and *kept* is how many of them a message stays."""
        self._clock, self._kept = clock, kept
        self._said: deque[Said] = deque()
        self._bytes = 0

    def add(self, realm: Realm, message: Publish, client_id: str | None) -> None:
        if not message.qos:
            return
        said = Said(self._clock(), realm, client_id, message)
        self._said.append(said)
        self._bytes += said.size
        oldest = said.at - self._kept
        while self._said and (len(self._said) > MOST or self._bytes > MOST_BYTES or self._said[0].at < oldest):
            self._bytes -= self._said.popleft().size

    def since(self, realm: Realm, moment: int) -> Iterator[Said]:
        return (said for said in tuple(self._said) if said.realm == realm and said.at >= moment)
