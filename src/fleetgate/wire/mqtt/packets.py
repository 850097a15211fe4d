"""MQTT control packets, versions 3.1.1 and 5: one frozen dataclass each. `decoding` and `encoding` turn them from and
to bytes; both speak MQTT 5's reason codes and translate them for 3.1.1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from fleetgate.wire.mqtt.errors import Reason
from fleetgate.wire.mqtt.properties import NO_PROPERTIES, Properties

V4, V5 = 4, 5  # the protocol level bytes of 3.1.1 and 5


def _none() -> Properties:
    return NO_PROPERTIES


class QoS(IntEnum):
    AT_MOST_ONCE = 0
    AT_LEAST_ONCE = 1
    EXACTLY_ONCE = 2


@dataclass(frozen=True, slots=True)
class Will:
    """What the server publishes for a client that leaves without a goodbye (MQTT 5, 3.1.2.5)."""

    topic: str
    payload: bytes = b""
    qos: QoS = QoS.AT_MOST_ONCE
    retain: bool = False
    properties: Properties = field(default_factory=_none)


@dataclass(frozen=True, slots=True)
class Connect:
    """*clean_start* is 3.1.1's clean session; *keep_alive* is in seconds, 0 for none."""

    client_id: str
    version: int = V5
    clean_start: bool = True
    keep_alive: int = 0
    username: str | None = None
    password: bytes | None = field(default=None, repr=False)
    will: Will | None = None
    properties: Properties = field(default_factory=_none)


@dataclass(frozen=True, slots=True)
class ConnAck:
    """*reason* is MQTT 5's in both versions; 3.1.1's five return codes are translated at the wire."""

    reason: Reason = Reason.SUCCESS
    session_present: bool = False
    properties: Properties = field(default_factory=_none)


@dataclass(frozen=True, slots=True)
class Publish:
    """A message on the wire, and the word for a message everywhere in this room. *packet_id* only with QoS above 0."""

    topic: str
    payload: bytes = b""
    qos: QoS = QoS.AT_MOST_ONCE
    retain: bool = False
    duplicate: bool = False
    packet_id: int | None = None
    properties: Properties = field(default_factory=_none)


@dataclass(frozen=True, slots=True)
class _Acknowledgement:
    packet_id: int
    reason: Reason = Reason.SUCCESS
    properties: Properties = field(default_factory=_none)


class PubAck(_Acknowledgement):
    __slots__ = ()


class PubRec(_Acknowledgement):
    __slots__ = ()


class PubRel(_Acknowledgement):
    __slots__ = ()


class PubComp(_Acknowledgement):
    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Subscription:
    """One filter of a SUBSCRIBE with its options (MQTT 5, 3.8.3.1); 3.1.1 knows the QoS alone."""

    topic_filter: str
    qos: QoS = QoS.AT_MOST_ONCE
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: int = 0


@dataclass(frozen=True, slots=True)
class Subscribe:
    packet_id: int
    subscriptions: tuple[Subscription, ...]
    properties: Properties = field(default_factory=_none)


@dataclass(frozen=True, slots=True)
class SubAck:
    """One reason for each filter, in order; 3.1.1 knows 0, 1, 2 and 0x80, which stands for every refusal."""

    packet_id: int
    reasons: tuple[Reason, ...]
    properties: Properties = field(default_factory=_none)


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    packet_id: int
    topic_filters: tuple[str, ...]
    properties: Properties = field(default_factory=_none)


@dataclass(frozen=True, slots=True)
class UnsubAck:
    """One reason for each filter, in order; 3.1.1 carries none."""

    packet_id: int
    reasons: tuple[Reason, ...] = ()
    properties: Properties = field(default_factory=_none)


@dataclass(frozen=True, slots=True)
class PingReq: ...


@dataclass(frozen=True, slots=True)
class PingResp: ...


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Sent by both sides in MQTT 5, by the client alone and without a reason in 3.1.1."""

    reason: Reason = Reason.NORMAL_DISCONNECTION
    properties: Properties = field(default_factory=_none)


@dataclass(frozen=True, slots=True)
class Auth:
    """MQTT 5 alone (3.15)."""

    reason: Reason = Reason.SUCCESS
    properties: Properties = field(default_factory=_none)


Packet = (
    Connect | ConnAck | Publish | PubAck | PubRec | PubRel | PubComp | Subscribe | SubAck
    | Unsubscribe | UnsubAck | PingReq | PingResp | Disconnect | Auth
)  # fmt: skip
