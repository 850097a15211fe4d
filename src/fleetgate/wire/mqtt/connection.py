"""One end of an MQTT connection without its socket: bytes in, packets out, and the rules that need memory.

    connection = Connection(Role.SERVER, AWS, now)
    try:
        for packet in connection.receive(data, now):
            write(connection.send(answer(packet), now))
    except ProtocolError as error:
        write(connection.farewell(error.reason, str(error)))
        close()

Times are milliseconds and the caller's. Both ends are this class, so that two of them can be joined back to back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from enum import Enum, auto
from typing import Any, ClassVar, Final, cast

from fleetgate.wire.mqtt import codes
from fleetgate.wire.mqtt import properties as kind
from fleetgate.wire.mqtt.decoding import connect_version, decode, split
from fleetgate.wire.mqtt.encoding import encode
from fleetgate.wire.mqtt.errors import ProtocolError, Reason
from fleetgate.wire.mqtt.flow import Incoming, Outgoing
from fleetgate.wire.mqtt.packets import (
    V5,
    Auth,
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PingReq,
    PingResp,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    UnsubAck,
    Unsubscribe,
    Will,
)
from fleetgate.wire.mqtt.properties import Properties
from fleetgate.wire.mqtt.rules import AWS, Rules

LONGEST_CONNECT: Final = 512 * 1024
"""Bytes of a client's first packet, whatever the rules: a CONNECT has five fields of at most 64 KiB and its properties,
and nobody has looked yet at who sends it.
"""
_FAREWELL_LENGTH: Final = 512  # characters of an error's message that go to the peer


class Role(Enum):
    SERVER = auto()
    CLIENT = auto()


class Phase(Enum):
    NEW = auto()  # no CONNECT yet
    CONNECTING = auto()  # the CONNECT is not answered yet
    OPEN = auto()
    CLOSED = auto()  # refused or said goodbye: nothing is read or written any more


class Connection:
    """Keeps order, keep-alive, topic aliases, receive maximum and packet identifiers for one end of a connection.

    *now* is when the transport was opened: the peer has `Rules.answer_timeout` from then. `version` is known once a
    CONNECT was received or sent, `keep_alive` (seconds in force, 0 for none) is the server's after its CONNACK.
    """

    def __init__(self, role: Role, rules: Rules = AWS, now: int = 0) -> None:
        self.role, self.rules = role, rules
        self.version, self.phase, self.keep_alive = V5, Phase.NEW, 0
        self._buffer = bytearray()
        self._broken = False
        self._incoming, self._outgoing = Incoming(), Outgoing()
        self._received = self._sent = now
        self._awaiting = now if role is Role.SERVER else None  # since when the peer owes us a packet
        self._clean_start = True
        self._session_expiry = 0
        self._method: str | None = None  # of enhanced authentication, which we speak as a client alone

    # -- receiving ---------------------------------------------------------------------------------------------------

    def receive(self, data: bytes, now: int) -> Iterator[Packet]:
        """Take bytes in and give out the packets they complete, one by one.

        Each packet is judged when it is asked for, so after what was sent in answer to the one before: go through all
        of them. Raises `ProtocolError` at the first packet that breaks the protocol; nothing is read after it, and
        `farewell` is what is left to send. Bytes behind a DISCONNECT or a refused CONNECT are thrown away unread.
        """
        if self.phase is not Phase.CLOSED and not self._broken:
            self._buffer += data
        return self._packets(now)

    @property
    def waiting(self) -> int:
        """Bytes taken in that no packet was made of yet: more to come, or nobody went on asking for packets."""
        return len(self._buffer)

    def _packets(self, now: int) -> Iterator[Packet]:
        while self.phase is not Phase.CLOSED and not self._broken:
            try:
                frame = split(self._buffer, self._largest())
                if frame is None:
                    return
                packet = self._admit(*frame, now)
            except ProtocolError:
                self._broken = True
                self._buffer.clear()
                raise
            yield packet
        self._buffer.clear()

    def _largest(self) -> int:
        most = self.rules.maximum_packet_size
        return min(most, LONGEST_CONNECT) if self.phase is Phase.NEW else most

    def _admit(self, first: int, body: bytes, now: int) -> Packet:
        packet_type = first >> 4
        if self.role is Role.SERVER:
            self._check_client_turn(packet_type, body)
        else:
            self._check_server_turn(packet_type)
        packet = decode(first, body, self.version)
        self._received = now
        if self.phase is Phase.OPEN:
            self._awaiting = None
        admit = self._ADMIT.get(type(packet))
        return packet if admit is None else admit(self, packet)

    def _check_client_turn(self, packet_type: int, body: bytes) -> None:
        if self.phase is Phase.NEW:
            if packet_type != kind.CONNECT:  # [MQTT-3.1.0-1]
                raise ProtocolError(Reason.PROTOCOL_ERROR, "the first packet is not a CONNECT")
            self.version, self.phase, self._awaiting = connect_version(body), Phase.CONNECTING, None
        elif packet_type == kind.CONNECT:  # [MQTT-3.1.0-2]
            raise ProtocolError(Reason.PROTOCOL_ERROR, "a second CONNECT")
        elif packet_type in _SERVER_ONLY:
            raise ProtocolError(Reason.PROTOCOL_ERROR, f"a client may not send a {kind.PACKET_NAMES[packet_type]}")

    def _check_server_turn(self, packet_type: int) -> None:
        opening = packet_type == kind.CONNACK
        if packet_type in _CLIENT_ONLY or (packet_type == kind.DISCONNECT and self.version < V5):
            raise ProtocolError(Reason.PROTOCOL_ERROR, f"a server may not send a {kind.PACKET_NAMES[packet_type]}")
        if self.phase is Phase.NEW or (self.phase is Phase.CONNECTING and not opening and packet_type != kind.AUTH):
            raise ProtocolError(Reason.PROTOCOL_ERROR, "the first packet is not a CONNACK")  # [MQTT-3.2.0-1]
        if self.phase is Phase.OPEN and opening:
            raise ProtocolError(Reason.PROTOCOL_ERROR, "a second CONNACK")  # [MQTT-3.2.0-2]

    def _admit_connect(self, packet: Connect) -> Packet:
        self.version, self._outgoing.peer = packet.version, packet.properties
        self._clean_start = packet.clean_start
        self._session_expiry = packet.properties.get("session_expiry_interval", 0)
        # MQTT 5 holds a client to another keep-alive than its own only if the CONNACK says so [MQTT-3.2.2-22].
        self.keep_alive = packet.keep_alive if packet.version >= V5 else self.rules.keep_alive(packet.keep_alive)
        self.rules.check_client_id(packet.client_id)
        if "authentication_method" in packet.properties:
            raise ProtocolError(Reason.BAD_AUTHENTICATION_METHOD, "enhanced authentication is not offered")
        if packet.will is not None:
            self._check_message(packet.will)
        return packet

    def _check_message(self, message: Publish | Will) -> None:
        """What a server asks of a client's messages beyond what `decode` does."""
        rules = self.rules
        if message.qos > rules.maximum_qos:  # [MQTT-3.2.2-11, MQTT-3.2.2-12]
            text = f"QoS {message.qos} is above the maximum of {rules.maximum_qos}"
            raise ProtocolError(Reason.QOS_NOT_SUPPORTED, text)
        if len(message.payload) > rules.maximum_payload:
            text = f"a payload of {len(message.payload)} bytes is over the limit of {rules.maximum_payload}"
            raise ProtocolError(Reason.PACKET_TOO_LARGE, text)
        if message.topic:
            rules.check_topic(message.topic)

    def _admit_connack(self, packet: ConnAck) -> Packet:
        self._outgoing.peer, self._awaiting = packet.properties, None
        if packet.reason:
            self.phase = Phase.CLOSED
            return packet
        if packet.session_present and self._clean_start:  # [MQTT-3.2.2-4]
            raise ProtocolError(Reason.PROTOCOL_ERROR, "the server resumes a session that was to start clean")
        self.keep_alive = packet.properties.get("server_keep_alive", self.keep_alive)
        self.phase = Phase.OPEN
        return packet

    def _admit_publish(self, packet: Publish) -> Packet:
        if self.role is Role.SERVER:
            self._check_message(packet)
            if "subscription_identifier" in packet.properties:  # [MQTT-3.3.4-6]
                raise ProtocolError(Reason.PROTOCOL_ERROR, "a client's PUBLISH holds a subscription identifier")
        if packet.packet_id is not None:
            take = self._incoming.take_message if self.version >= V5 else self._incoming.take_again
            take(packet.packet_id)
        return self._incoming.resolve(packet) if "topic_alias" in packet.properties else packet

    def _admit_filters(self, packet: Subscribe | Unsubscribe) -> Packet:
        if "subscription_identifier" in packet.properties and not self.rules.subscription_identifiers:
            message = "subscription identifiers are not available here"
            raise ProtocolError(Reason.SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED, message)
        most, count = self.rules.filters_per_subscribe, _count(packet)
        if most is not None and count > most:
            raise ProtocolError(Reason.QUOTA_EXCEEDED, f"{count} filters in one packet, more than {most}")
        self._incoming.take_question(packet.packet_id)
        return packet

    def _admit_answer(self, packet: SubAck | UnsubAck) -> Packet:
        bare = self.version < V5 and isinstance(packet, UnsubAck)
        self._outgoing.answer(packet.packet_id, None if bare else len(packet.reasons))
        return packet

    def _admit_puback(self, packet: PubAck) -> Packet:
        self._outgoing.acknowledged(packet.packet_id)
        return packet

    def _admit_exactly_once(self, packet: PubRec | PubRel | PubComp) -> Packet:
        if self.role is Role.SERVER and self.rules.maximum_qos < 2:
            raise ProtocolError(Reason.PROTOCOL_ERROR, f"a {type(packet).__name__} where there is no QoS 2")
        if _ends_exchange(packet):
            self._outgoing.acknowledged(packet.packet_id)
        return packet

    def _admit_disconnect(self, packet: Disconnect) -> Packet:
        self._check_expiry(packet, by_client=self.role is Role.SERVER)
        self.phase = Phase.CLOSED
        return packet

    def _check_expiry(self, packet: Disconnect, *, by_client: bool) -> None:
        if not by_client and "session_expiry_interval" in packet.properties:  # [MQTT-3.14.2-2]
            raise ProtocolError(Reason.PROTOCOL_ERROR, "a server's DISCONNECT holds a session expiry interval")
        if packet.properties.get("session_expiry_interval", 0) and not self._session_expiry:  # 3.14.2.2.2
            message = "a DISCONNECT gives a session an expiry that its CONNECT did not"
            raise ProtocolError(Reason.PROTOCOL_ERROR, message)

    def _admit_auth(self, packet: Auth) -> Packet:
        self._check_auth(packet)
        return packet

    def _check_auth(self, packet: Auth) -> None:
        # [MQTT-4.12.0-5, MQTT-4.12.0-6, MQTT-4.12.0-7]
        if self._method is None or packet.properties.get("authentication_method", self._method) != self._method:
            raise ProtocolError(Reason.PROTOCOL_ERROR, "an AUTH that does not go with the CONNECT's method")

    # -- sending -----------------------------------------------------------------------------------------------------

    def send(self, packet: Packet, now: int) -> bytes:
        """The packet's bytes in the connection's version, for the caller to write.

        Raises `ProtocolError` when this end may not send this packet now. Returns b"" where there is nothing to say:
        for a PUBLISH over the peer's maximum packet size (treat it as acknowledged [MQTT-3.1.2-25]), for what a
        3.1.1 server cannot say (a DISCONNECT, a refusal without return code: just close), and once it is closed.
        """
        if self.phase is Phase.CLOSED:
            return b""
        self._check_our_turn(packet)
        check, note = self._SEND.get(type(packet), (None, None))
        if check is not None:
            check(self, packet)
        data = self._fit(packet) if self._sayable(packet) else b""
        if data:
            self._sent = now
        if note is not None and (data or not isinstance(packet, Publish)):
            note(self, packet, now)
        return data

    def farewell(self, reason: Reason, message: str = "") -> bytes:
        """The last bytes to write before closing, and the connection is closed: a refusing CONNACK, a DISCONNECT, or
        b"" where the version, the phase or the role leaves nothing to say.
        """
        phase, self.phase = self.phase, Phase.CLOSED
        server = self.role is Role.SERVER
        properties = _explanation(message, self.version)
        packet: ConnAck | Disconnect
        if phase is Phase.CONNECTING and server and reason:
            plain = reason if self.version < V5 else codes.fitting(reason, kind.CONNACK)
            packet = ConnAck(plain, properties=properties)
        elif phase is Phase.OPEN and (self.version >= V5 or not (server or reason)):
            packet = Disconnect(codes.fitting(reason, kind.DISCONNECT), properties)
        else:
            return b""
        if not self._sayable(packet):
            return b""
        try:
            return self._fit(packet)
        except ProtocolError:  # the peer takes only tiny packets
            return b""

    def packet_id(self) -> int:
        """A free identifier for a packet of ours."""
        return self._outgoing.free_id()

    def _check_our_turn(self, packet: Packet) -> None:
        client = self.role is Role.CLIENT
        due = Phase.OPEN
        if isinstance(packet, (Connect, ConnAck)):
            due = Phase.NEW if client else Phase.CONNECTING
        if type(packet) in (_NOT_BY_CLIENT if client else _NOT_BY_SERVER):
            message = f"a {self.role.name.lower()} does not send {type(packet).__name__}"
        elif self._broken:
            message = "the connection is broken: only its farewell is left to send"
        elif self.phase is due or (self.phase is Phase.CONNECTING and isinstance(packet, Auth)):
            return
        else:
            message = f"{type(packet).__name__} is not due while the connection is {self.phase.name}"
        raise ProtocolError(Reason.PROTOCOL_ERROR, message)

    def _sayable(self, packet: Packet) -> bool:
        if self.version >= V5 or self.role is Role.CLIENT:
            return True
        if isinstance(packet, ConnAck):
            return codes.has_return_code(packet.reason)  # [MQTT-3.2.2-6] of 3.1.1
        return not isinstance(packet, Disconnect)

    def _fit(self, packet: Packet) -> bytes:
        """Encode; leave the explanations out where the peer does not want them or they do not fit."""
        if self._outgoing.peer.get("request_problem_information") == 0 and not isinstance(packet, _MAY_EXPLAIN):
            packet = _without_explanation(packet)  # [MQTT-3.1.2-29]
        data = encode(packet, self.version)
        limit = self._outgoing.peer.get("maximum_packet_size")
        if limit is None or len(data) <= limit:
            return data
        if isinstance(packet, Publish):
            return b""
        data = encode(_without_explanation(packet), self.version)
        if len(data) > limit:  # [MQTT-3.1.2-24]
            raise ProtocolError(Reason.PACKET_TOO_LARGE, f"the peer takes no packet of more than {limit} bytes")
        return data

    def _check_connect(self, packet: Connect) -> None:
        self.version = packet.version

    def _note_connect(self, packet: Connect, now: int) -> None:
        self._incoming.announced(packet.properties)
        self._clean_start, self.keep_alive = packet.clean_start, packet.keep_alive
        self._method = packet.properties.get("authentication_method")
        self._session_expiry = packet.properties.get("session_expiry_interval", 0)
        self.phase, self._awaiting = Phase.CONNECTING, now

    def _check_connack(self, packet: ConnAck) -> None:
        if packet.session_present and self._clean_start:  # [MQTT-3.2.2-2]; 3.1.1: [MQTT-3.2.2-1]
            raise ProtocolError(Reason.PROTOCOL_ERROR, "a session that starts clean cannot be present")

    def _note_connack(self, packet: ConnAck, now: int) -> None:
        self.phase = Phase.CLOSED if packet.reason else Phase.OPEN
        self._incoming.announced(packet.properties)
        self.keep_alive = packet.properties.get("server_keep_alive", self.keep_alive)
        self._received = now

    def _check_publish(self, packet: Publish) -> None:
        self._outgoing.check_message(packet)

    def _note_publish(self, packet: Publish, now: int) -> None:
        self._outgoing.sent_message(packet)

    def _check_filters(self, packet: Subscribe | Unsubscribe) -> None:
        self._outgoing.check_free(packet.packet_id)

    def _note_filters(self, packet: Subscribe | Unsubscribe, now: int) -> None:
        self._outgoing.sent_question(packet.packet_id, _count(packet))

    def _note_answer(self, packet: PubAck | SubAck | UnsubAck, now: int) -> None:
        self._incoming.answered(packet.packet_id)

    def _note_exactly_once(self, packet: PubRec | PubComp, now: int) -> None:
        if _ends_exchange(packet):
            self._incoming.answered(packet.packet_id)

    def _note_ping(self, packet: PingReq, now: int) -> None:
        self._awaiting = now

    def _check_disconnect(self, packet: Disconnect) -> None:
        self._check_expiry(packet, by_client=self.role is Role.CLIENT)

    def _note_disconnect(self, packet: Disconnect, now: int) -> None:
        self.phase = Phase.CLOSED

    # -- time --------------------------------------------------------------------------------------------------------

    def deadline(self) -> int | None:
        """When to look at `overdue` and `ping_due` again; None when nothing is waited for."""
        times = [at for at in (self._answer_due(), self._silence_ends(), self._ping_at()) if at is not None]
        return min(times) if times else None

    def overdue(self, now: int) -> bool:
        """Whether the peer counts as gone: it owes a CONNECT, CONNACK or PINGRESP for `Rules.answer_timeout`, or a
        client was silent for one and a half keep-alives [MQTT-3.1.2-22; 3.1.1: MQTT-3.1.2-24].
        """
        return any(at is not None and now >= at for at in (self._answer_due(), self._silence_ends()))

    def ping_due(self, now: int) -> bool:
        """Whether a client should send a PINGREQ: at three quarters of the keep-alive, since timers fire late."""
        at = self._ping_at()
        return at is not None and now >= at

    def _answer_due(self) -> int | None:
        if self._awaiting is None or self.phase is Phase.CLOSED:
            return None
        return self._awaiting + self.rules.answer_timeout * 1000

    def _silence_ends(self) -> int | None:
        if self.role is Role.CLIENT or self.phase is not Phase.OPEN or not self.keep_alive:
            return None
        return self._received + self.keep_alive * 1500

    def _ping_at(self) -> int | None:
        if self.role is Role.SERVER or self.phase is not Phase.OPEN or not self.keep_alive:
            return None
        return self._sent + self.keep_alive * 750 if self._awaiting is None else None

    _ADMIT: ClassVar[dict[type, Callable[..., Packet]]] = {
        Connect: _admit_connect,
        ConnAck: _admit_connack,
        Publish: _admit_publish,
        PubAck: _admit_puback,
        PubRec: _admit_exactly_once,
        PubRel: _admit_exactly_once,
        PubComp: _admit_exactly_once,
        Subscribe: _admit_filters,
        SubAck: _admit_answer,
        Unsubscribe: _admit_filters,
        UnsubAck: _admit_answer,
        Disconnect: _admit_disconnect,
        Auth: _admit_auth,
    }
    # What is looked at before a packet is encoded, and what is remembered once it is.
    _SEND: ClassVar[dict[type, tuple[Callable[..., None] | None, Callable[..., None] | None]]] = {
        Connect: (_check_connect, _note_connect),
        ConnAck: (_check_connack, _note_connack),
        Publish: (_check_publish, _note_publish),
        PubAck: (None, _note_answer),
        PubRec: (None, _note_exactly_once),
        PubComp: (None, _note_exactly_once),
        Subscribe: (_check_filters, _note_filters),
        SubAck: (None, _note_answer),
        Unsubscribe: (_check_filters, _note_filters),
        UnsubAck: (None, _note_answer),
        PingReq: (None, _note_ping),
        Disconnect: (_check_disconnect, _note_disconnect),
        Auth: (_check_auth, None),
    }


def _count(packet: Subscribe | Unsubscribe) -> int:
    return len(packet.subscriptions if isinstance(packet, Subscribe) else packet.topic_filters)


def _ends_exchange(packet: PubRec | PubRel | PubComp) -> bool:
    return isinstance(packet, PubComp) or (isinstance(packet, PubRec) and packet.reason >= 0x80)


def _explanation(message: str, version: int) -> Properties:
    if not message or version < V5:
        return Properties()
    said = message[:_FAREWELL_LENGTH].replace("\0", "\\0").encode(errors="replace").decode()
    return Properties(reason_string=said)


def _without_explanation(packet: Packet) -> Packet:
    """MQTT 5, 3.1.2.11.7 and the sections on reason strings: both may be left out."""
    properties = cast("dict[str, Any]", getattr(packet, "properties", {}))
    if "reason_string" not in properties and "user_property" not in properties:
        return packet
    kept = {name: value for name, value in properties.items() if name not in {"reason_string", "user_property"}}
    return cast("Packet", replace(cast("Any", packet), properties=kept))


_CLIENT_ONLY: Final = frozenset({kind.CONNECT, kind.SUBSCRIBE, kind.UNSUBSCRIBE, kind.PINGREQ})
_SERVER_ONLY: Final = frozenset({kind.CONNACK, kind.SUBACK, kind.UNSUBACK, kind.PINGRESP})
_NOT_BY_SERVER: Final = frozenset({Connect, Subscribe, Unsubscribe, PingReq})
_NOT_BY_CLIENT: Final = frozenset({ConnAck, SubAck, UnsubAck, PingResp})
_MAY_EXPLAIN: Final = (Publish, ConnAck, Disconnect)
