"""Every limit and every choice between AWS IoT and the plain standard, in one value: `AWS` or `STANDARD`."""

from __future__ import annotations

from dataclasses import dataclass

from fleetgate.wire.mqtt import topics
from fleetgate.wire.mqtt.errors import ProtocolError, Reason
from fleetgate.wire.mqtt.packets import V5, Connect
from fleetgate.wire.mqtt.properties import Properties
from fleetgate.wire.mqtt.topics import SharedFilter

NEVER = 0xFFFF_FFFF
"""A session expiry interval, in seconds, that does not end (MQTT 5, 3.1.2.11.2)."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The defaults are AWS IoT Core's published quotas and behaviour. Sizes are bytes, intervals seconds."""

    maximum_qos: int = 1
    """Highest QoS accepted in a PUBLISH or will (more: reason 0x9B); a SUBSCRIBE is granted this at most. The
    switchboard routes QoS 0 and 1, so a server must not raise it; a client may."""
    maximum_packet_size: int = 149_504
    """Largest packet taken in, whole; it bounds a connection's memory. AWS IoT: 128 KiB payload and header room."""
    maximum_payload: int = 131_072
    """Largest payload of a PUBLISH or will (more: reason 0x95)."""
    receive_maximum: int = 100
    """Unacknowledged messages above QoS 0, in each direction. Towards us it is enforced in MQTT 5 alone."""
    topic_alias_maximum: int = 8
    """Topic aliases a client may use towards us."""
    topic_bytes: int = 256
    """Longest topic or filter in UTF-8, without the free prefixes."""
    topic_slashes: int | None = 7
    """Most slashes in a topic or filter, without the free prefixes; None for no limit."""
    basic_ingest: bool = True
    """`$aws/rules/<rule>/` counts neither as bytes nor as slashes of a topic."""
    share_name_bytes: int = 128
    """Longest share name of a shared subscription."""
    client_id_bytes: int = 128
    """Longest client identifier (more: reason 0x85)."""
    reserved_client_ids: bool = True
    """Client identifiers that begin with `$` are refused."""
    filters_per_subscribe: int | None = 8
    """Most filters in one SUBSCRIBE or UNSUBSCRIBE (more: reason 0x97); None for no limit."""
    subscriptions: int | None = 50
    """Most subscriptions of one session (more: the filter is refused with 0x97); None for no limit."""
    subscription_identifiers: bool = False
    """Whether a SUBSCRIBE may carry a subscription identifier (if not: reason 0xA1)."""
    keep_alive_least: int = 30
    """A shorter keep-alive is raised to this."""
    keep_alive_most: int | None = 1200
    """A longer keep-alive, and none at all (0), is set to this; None leaves the client its wish."""
    answer_timeout: int = 30
    """How long to wait for the CONNECT, the CONNACK or a PINGRESP before the peer counts as gone."""
    session_expiry_default: int = 3600
    """How long a 3.1.1 session without clean session outlives its connection; `NEVER` to keep it."""
    session_expiry_most: int = 7 * 86_400
    """A longer session expiry interval is lowered to this."""
    sessions: int = 200_000
    """Most clients with a session, connected or not; while there are more, a session ends with its connection. One
    certificate may connect under any number of identifiers and leave a session behind each time.
    """
    sessions_per_certificate: int = 10
    """Most sessions that one certificate may leave behind, in each realm; over it, the one left first ends."""
    session_expiry_unattached: int = 300
    """`session_expiry_default` and `session_expiry_most` of a certificate that is a claim or has no thing."""
    sessions_cross_versions: bool = False
    """Whether a session begun in one version may be resumed in the other."""
    message_expiry_most: int | None = 7 * 86_400
    """A longer message expiry interval is lowered to this; None leaves it."""
    queued_messages: int = 1000
    """Most messages waiting for one session; the oldest is dropped for the newest."""
    queued_bytes: int = 8 * 1024 * 1024
    """Most bytes of topics and payloads waiting for one session."""
    redelivery_sets_duplicate: bool = False
    """DUP on a message sent again after a reconnect: the standard demands it, AWS IoT does not set it."""
    hash_matches_parent: bool = False
    """`sport/#` selects `sport`: so says the standard, not so AWS IoT."""
    retained_to_wildcards: bool = False
    """A new subscription with wildcards is given retained messages: so says the standard, not so AWS IoT."""
    retain_reserved: bool = False
    """Messages on topics that begin with `$` may be retained."""
    retained_messages: int = 5000
    """Most topics with a retained message; `Switchboard.can_retain` says when it is full."""

    def keep_alive(self, requested: int) -> int:
        """The keep-alive that holds for a client that asked for this one; 0 for none."""
        if self.keep_alive_most is not None and not 0 < requested <= self.keep_alive_most:
            return self.keep_alive_most
        return max(requested, self.keep_alive_least) if requested else 0

    def session_expiry(self, connect: Connect) -> int:
        """How long the session outlives this connection; 0 not at all, `NEVER` for ever."""
        if connect.version < V5:
            return 0 if connect.clean_start else self.session_expiry_default
        return min(connect.properties.get("session_expiry_interval", 0), self.session_expiry_most)

    def announcement(self, connect: Connect, assigned_client_id: str | None = None) -> Properties:
        """The properties of the CONNACK that accepts this CONNECT: what differs from the standard's defaults or the
        client's wishes (MQTT 5, 3.2.2.3). Empty for 3.1.1.
        """
        if connect.version < V5:
            return Properties()
        said = Properties(
            receive_maximum=self.receive_maximum,
            maximum_packet_size=self.maximum_packet_size,
            topic_alias_maximum=self.topic_alias_maximum,
            retain_available=1,
            wildcard_subscription_available=1,
            subscription_identifier_available=int(self.subscription_identifiers),
            shared_subscription_available=1,
        )
        if self.maximum_qos < 2:
            said["maximum_qos"] = self.maximum_qos
        if (keep_alive := self.keep_alive(connect.keep_alive)) != connect.keep_alive:
            said["server_keep_alive"] = keep_alive
        if (expiry := self.session_expiry(connect)) != connect.properties.get("session_expiry_interval", 0):
            said["session_expiry_interval"] = expiry
        if assigned_client_id is not None:
            said["assigned_client_identifier"] = assigned_client_id
        return said

    def check_client_id(self, client_id: str) -> None:
        """Raises `ProtocolError` 0x85. The empty one passes: the caller assigns an identifier."""
        if len(client_id.encode()) > self.client_id_bytes:
            message = f"the client identifier is longer than {self.client_id_bytes} bytes"
        elif self.reserved_client_ids and client_id.startswith("$"):
            message = "client identifiers that begin with $ are reserved"
        else:
            return
        raise ProtocolError(Reason.CLIENT_IDENTIFIER_NOT_VALID, message)

    def check_topic(self, topic: str) -> None:
        """Raises `ProtocolError` 0x90 for a topic these rules do not allow to publish to."""
        if topic[:11] == "$aws/rules/" and self.basic_ingest:
            topics.check_topic(topic)
            topic = topic.split("/", 3)[-1]
        topics.check_topic(topic, self.topic_bytes, self.topic_slashes)

    def check_filter(self, topic_filter: str) -> SharedFilter | None:
        """The parts of a shared filter. Raises `ProtocolError` 0x8F for a filter these rules do not allow."""
        shared = topics.check_filter(topic_filter, self.topic_bytes, self.topic_slashes)
        if shared is not None and len(shared.share_name.encode()) > self.share_name_bytes:
            message = f"the share name is longer than {self.share_name_bytes} bytes"
            raise ProtocolError(Reason.TOPIC_FILTER_INVALID, message)
        return shared


AWS = Rules()

STANDARD = Rules(
    maximum_packet_size=268_435_460,
    maximum_payload=268_435_455,
    receive_maximum=65_535,
    topic_alias_maximum=65_535,
    topic_bytes=65_535,
    topic_slashes=None,
    basic_ingest=False,
    share_name_bytes=65_535,
    client_id_bytes=65_535,
    reserved_client_ids=False,
    filters_per_subscribe=None,
    subscriptions=None,
    subscription_identifiers=True,
    keep_alive_least=0,
    keep_alive_most=None,
    session_expiry_default=NEVER,
    session_expiry_most=NEVER,
    sessions_cross_versions=True,
    message_expiry_most=None,
    redelivery_sets_duplicate=True,
    hash_matches_parent=True,
    retained_to_wildcards=True,
    retain_reserved=True,
)
"""MQTT as the standard has it, without QoS 2."""
