"""The MQTT door: one connection from its CONNECT to its end. Every packet is judged by policy (aws-wire: IoT policies).

Bytes come in and go out through the listener's plaintext transport; the protocol's own rules are `wire.mqtt`'s. Packets
are taken one by one, and while one waits for the database or a hook the next stay unread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import ClassVar

import structlog

from fleetgate import access
from fleetgate.access import Grounds, Principal
from fleetgate.database.port import Tx
from fleetgate.errors import FleetgateError, Refused
from fleetgate.gateway import reserved
from fleetgate.gateway.courier import Courier, Guest
from fleetgate.gateway.listener import Visitor
from fleetgate.names import Act, Realm
from fleetgate.pki import certificate
from fleetgate.policy.evaluate import Rights
from fleetgate.policy.variables import Context
from fleetgate.provisioning.claim import Asker
from fleetgate.provisioning.just_in_time import JustInTime
from fleetgate.registry import certificates
from fleetgate.runtime import Refusal, Runtime
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
    SubAck,
    Subscribe,
    UnsubAck,
    Unsubscribe,
)
from fleetgate.wire.mqtt.properties import Properties
from fleetgate.wire.mqtt.rules import Rules
from fleetgate.wire.mqtt.session import Session
from fleetgate.wire.mqtt.switchboard import Owner

log = structlog.get_logger(__name__)

# What a client may send while an earlier packet of its is being answered, before its socket is left unread.
_MOST_WAITING = 256 * 1024
# How long the acknowledgement of a request waits for the answer, to save both sides a packet.
_COMPANY_SECONDS = 0.05
_NOBODY = Realm("000000000000", "us-east-1")


class Door(asyncio.Protocol):
    """One connection. Until its CONNECT is accepted it is nobody's."""

    def __init__(self, runtime: Runtime, courier: Courier, newcomers: JustInTime, visitor: Visitor) -> None:
        self.realm = _NOBODY
        self.fingerprint = ""
        self.client_id = ""
        self._runtime, self._courier, self._visitor = runtime, courier, visitor
        self._newcomers = newcomers
        self._connection = Connection(Role.SERVER, courier.rules, courier.now())
        self._principal: Principal | None = None
        self._grounds: Grounds | None = None
        self._rights = Rights((), Context())
        self._session: Session | None = None
        self._farewell: Disconnect | None = None
        self._transport: asyncio.Transport
        self._patience: asyncio.TimerHandle
        self._busy: asyncio.Task[None] | None = None
        self._kept = b""
        self._keeping: asyncio.TimerHandle
        self._judging: asyncio.Task[None] | None = None
        self._outdated = False  # the rights: something they rest on has changed since they were looked up
        self._full = False  # the transport: the peer does not read
        self._paused = False  # the reading
        self._over = False
        self._told = ""  # of the last denial: what the device is told

    # -- the transport -----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        # Later, when the courier knows it, its `tick` keeps the time.
        patience = self._courier.rules.answer_timeout
        self._patience = asyncio.get_running_loop().call_later(patience, self._vanish)

    def data_received(self, data: bytes) -> None:
        packets = self._connection.receive(data, self._courier.now())
        if self._busy is None and not self._full:
            self._go_through(packets)
        elif self._connection.waiting > _MOST_WAITING:
            self._pause()

    def pause_writing(self) -> None:
        """The peer does not read: nothing more is taken that would have to be answered."""
        self._full = True
        self._pause()

    def resume_writing(self) -> None:
        self._full = False
        self._go_on()

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._over = True
        self._patience.cancel()
        if self._judging is not None:
            self._judging.cancel()
        self._courier.leave(self)
        if self._session is not None:
            self._courier.switchboard(self.realm).detach(self.client_id, self, self._courier.now(), self._farewell)

    def _go_through(self, packets: Iterator[Packet]) -> None:
        """Take packet after packet until one has to wait for something."""
        try:
            for packet in packets:
                later = self._TAKE[type(packet)](self, packet)
                if later is not None:
                    # A CONNECT on SQLite needs not wait. Nor may some requests, but a chain of those has no bound.
                    task = self._courier.begin(self._finish(later), at_once=isinstance(packet, Connect))
                    self._busy = task or self._busy
                    return
                if self._full:
                    return
        except ProtocolError as error:
            self._close(error.reason, str(error))

    async def _finish(self, later: Awaitable[None]) -> None:
        try:
            await later
        except ProtocolError as error:
            self._close(error.reason, str(error))
        except FleetgateError as error:
            log.warning("connection closed", reason=error.message, client_id=self.client_id)
            self._close(Reason.SERVER_UNAVAILABLE, "the server cannot answer this now")
        except Exception:
            log.exception("connection closed", client_id=self.client_id)
            self._close(Reason.UNSPECIFIED_ERROR, "")
        self._busy = None
        self._go_on()

    def _go_on(self) -> None:
        """Take what was left lying, unless there still is a reason to let it lie."""
        if self._over or self._full or self._busy is not None:
            return
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        self._go_through(self._connection.receive(b"", self._courier.now()))

    def _send(self, packet: Packet) -> None:
        if not self._over:
            self._write(self._connection.send(packet, self._courier.now()))

    def _write(self, data: bytes) -> None:
        """Send *data*, after what was kept to leave together with it."""
        if self._kept:
            data, self._kept = self._kept + data, b""
            self._keeping.cancel()
        self._transport.write(data)

    def _close(self, reason: Reason, message: str) -> None:
        """Say why, where the version has words for it, and close."""
        if not self._over:
            self._over = True
            self._write(self._connection.farewell(reason, message))
            self._transport.close()

    def _vanish(self) -> None:
        """Close without a word: who is not known is told nothing."""
        self._over = True
        self._transport.close()

    # -- CONNECT -----------------------------------------------------------------------------------------------------

    def _take_connect(self, packet: Connect) -> Awaitable[None]:
        return self._admit(packet)

    async def _admit(self, packet: Connect) -> None:
        runtime = self._runtime
        if self._visitor.certificate is None:
            self._vanish()
            return
        fingerprint = certificate.fingerprint(self._visitor.certificate)
        act = runtime.act(_NOBODY, f"cert/{fingerprint}")
        client_id = packet.client_id or f"auto-{act.request_id}"
        address = self._visitor.address

        def look(tx: Tx) -> tuple[Principal, Grounds, bool]:
            found = access.identify(tx, fingerprint, act.now)
            lasting = self._courier.rules.session_expiry(packet) > self._courier.passing.session_expiry_most
            passing = lasting and not access.is_device(tx, found)
            return found, access.grounds(tx, found, client_id, address), passing

        changes = self._courier.changes
        try:
            principal, grounds, passing = await runtime.database.glance(look)
        except Refused as error:
            # A certificate of a registered CA is taken in for the next connection; this one ends all the same.
            if not await self._newcomers.meet(self._visitor.certificate, self._visitor.server_name):
                runtime.refused(Refusal(act, "Connect", f"client/{client_id}", error.reason))
                log.info("refused", action="Connect", reason=error.reason, client_id=client_id, address=address)
            self._vanish()
            return
        self._principal, self._grounds, self._rights = principal, grounds, grounds.rights()
        self.realm, self.fingerprint, self.client_id = principal.realm, fingerprint, client_id
        if self._over:
            return
        self._courier.enter(self)  # at once: what changes from here on is told, also while the CONNECT is answered
        if self._courier.changes != changes:
            self.judge_anew()
        if not self._may_connect(packet, grounds):
            return
        if principal.certificate.first_connected_at is None:
            # Before it is told that it is in: until this is noted, a claim may have the thing anew.
            first = self._act()
            await runtime.write(lambda tx: certificates.connected(tx, first, fingerprint))
        self._open(packet, self._courier.passing if passing else self._courier.rules)

    def _may_connect(self, packet: Connect, grounds: Grounds) -> bool:
        """iot:Connect under conditions of its own, and what the will asks for. Closes where the answer is no."""
        wishes = {"iot:ConnectAttributes": _connect_attributes(packet)}
        if packet.will is not None:
            wishes["iot:LastWillTopic"] = [self._arn("topic", packet.will.topic)]
        rights = grounds.rights(grounds.context.extended(wishes))
        questions = [("iot:Connect", self._arn("client", self.client_id), rights)]
        if packet.will is not None:
            topic = self._arn("topic", packet.will.topic)
            questions.append(("iot:Publish", topic, self._rights))
            if packet.will.retain:
                questions.append(("iot:RetainPublish", topic, self._rights))
        for action, resource, whose in questions:
            verdict = whose.decide(action, resource)
            if not verdict:
                self._turn_away(action, resource, verdict.explain("The connection"))
                return False
        return True

    def _turn_away(self, action: str, resource: str, reason: str) -> None:
        self._refuse(action, resource, reason)
        if self._connection.version < V5:
            self._vanish()
        else:
            self._close(Reason.NOT_AUTHORIZED, self._told)

    def _is_kept_from(self, holder: Guest) -> bool:
        """Whether this client id is, by its thing, the holder's and not ours: a claim may connect as anything, but
        throws no device off.
        """
        return holder.fingerprint != self.fingerprint and holder.thing == self.client_id != self.thing

    def _open(self, packet: Connect, rules: Rules) -> None:
        """The client is in: take over its session, answer, and send what has been waiting."""
        if self._over:  # while its first connection was noted
            return
        now = self._courier.now()
        assigned = None if packet.client_id else self.client_id
        if assigned is not None:
            packet = replace(packet, client_id=assigned)
        switchboard = self._courier.switchboard(self.realm)
        holder = switchboard.sink(self.client_id)
        if holder is not None and self._is_kept_from(holder):
            reason = "The client id names the thing of another certificate, which is connected."
            self._turn_away("iot:Connect", self._arn("client", self.client_id), reason)
            return
        owner = Owner(self.fingerprint, self.thing == self.client_id, rules.session_expiry_most)
        attached = switchboard.attach(packet, self, now, owner)
        self._session = attached.session
        self._patience.cancel()
        if attached.displaced is not None:
            attached.displaced.dismiss(Reason.SESSION_TAKEN_OVER, "another connection came with this client id")
        announcement = rules.announcement(packet, assigned)
        self._send(ConnAck(session_present=attached.session_present, properties=announcement))
        for message in attached.backlog:
            self.deliver(message)

    # -- PUBLISH -----------------------------------------------------------------------------------------------------

    def _take_publish(self, packet: Publish) -> Awaitable[None] | None:
        topic = packet.topic
        actions = ("iot:Publish", "iot:RetainPublish") if packet.retain else ("iot:Publish",)
        for action in actions:
            if not self._may(action, "topic", topic):
                self._deny_publish(packet)
                return None
        if topic.startswith("$"):
            return self._take_reserved(packet)
        switchboard = self._courier.switchboard(self.realm)
        if packet.retain and packet.payload and not switchboard.can_retain(topic):
            self._acknowledge(packet, Reason.QUOTA_EXCEEDED)
            return None
        switchboard.publish(packet, self._courier.now(), self.client_id)
        self._acknowledge(packet, Reason.SUCCESS)
        return None

    def _take_reserved(self, packet: Publish) -> Awaitable[None] | None:
        call = reserved.find(packet.topic)
        if call is None:
            if packet.topic.startswith("$aws/rules/"):  # Basic Ingest: taken, and nobody's subscription
                self._acknowledge(packet, Reason.SUCCESS)
                return None
            raise ProtocolError(Reason.TOPIC_NAME_INVALID, f"{packet.topic} is reserved, and none of the known ones")
        # The request is taken; how it went is the answer's to say. A client whose patience with a PUBACK is shorter
        # than a hook's five seconds would ask twice otherwise; an answer that comes soon takes it along.
        if packet.packet_id is not None:
            self._kept += self._connection.send(PubAck(packet.packet_id), self._courier.now())
            self._keeping = asyncio.get_running_loop().call_later(_COMPANY_SECONDS, self._write, b"")
        return self._answer(call, packet.payload)

    async def _answer(self, call: reserved.Call, payload: bytes) -> None:
        assert self._principal is not None
        asker = Asker(self._principal, self.client_id)
        answer = await reserved.answer(self._runtime, self._act(), asker, call, payload)
        # With QoS 0, and not through the session: what waits for an acknowledgement outlives the connection, and the
        # next one under this client id may be another device with the same claim certificate.
        self.deliver(Publish(answer.topic, answer.payload))

    def _deny_publish(self, packet: Publish) -> None:
        if packet.qos and self._connection.version >= V5:
            self._acknowledge(packet, Reason.NOT_AUTHORIZED)
        else:
            self._close(Reason.NOT_AUTHORIZED, self._told)

    def _acknowledge(self, packet: Publish, reason: Reason) -> None:
        if packet.packet_id is not None:
            told = reason is Reason.NOT_AUTHORIZED
            self._send(PubAck(packet.packet_id, reason, Properties(reason_string=self._told) if told else Properties()))

    def _take_puback(self, packet: PubAck) -> None:
        assert self._session is not None
        self._courier.switchboard(self.realm).acknowledged(self._session, packet.packet_id, self._courier.now())

    # -- SUBSCRIBE ---------------------------------------------------------------------------------------------------

    def _take_subscribe(self, packet: Subscribe) -> None:
        assert self._session is not None
        switchboard = self._courier.switchboard(self.realm)
        identifier = packet.properties.get("subscription_identifier", (None,))[0]
        reasons: list[Reason] = []
        retained: list[Publish] = []
        for subscription in packet.subscriptions:
            if not self._may("iot:Subscribe", "topicfilter", subscription.topic_filter):
                if self._connection.version < V5:
                    self._close(Reason.NOT_AUTHORIZED, "")
                    return
                reasons.append(Reason.NOT_AUTHORIZED)
                continue
            granted = switchboard.subscribe(self._session, subscription, self._courier.now(), identifier)
            reasons.append(granted.reason)
            retained.extend(granted.retained)
        said = Properties(reason_string=self._told) if Reason.NOT_AUTHORIZED in reasons else Properties()
        self._send(SubAck(packet.packet_id, tuple(reasons), said))
        for message in retained:
            self.deliver(message)

    def _take_unsubscribe(self, packet: Unsubscribe) -> None:
        assert self._session is not None
        switchboard, session = self._courier.switchboard(self.realm), self._session
        reasons = tuple(switchboard.unsubscribe(session, topic_filter) for topic_filter in packet.topic_filters)
        self._send(UnsubAck(packet.packet_id, reasons))

    # -- the rest ----------------------------------------------------------------------------------------------------

    def _take_pingreq(self, packet: PingReq) -> None:
        self._send(PingResp())

    def _take_disconnect(self, packet: Disconnect) -> None:
        self._farewell = packet
        self._vanish()

    _TAKE: ClassVar[dict[type[Packet], Callable[..., Awaitable[None] | None]]] = {
        Connect: _take_connect,
        Publish: _take_publish,
        PubAck: _take_puback,
        Subscribe: _take_subscribe,
        Unsubscribe: _take_unsubscribe,
        PingReq: _take_pingreq,
        Disconnect: _take_disconnect,
    }

    # -- as the switchboard and the courier see it ---------------------------------------------------------------------

    def deliver(self, message: Publish) -> None:
        if self._over:
            return
        try:
            data = self._connection.send(message, self._courier.now())
        except ProtocolError as error:
            self._close(error.reason, str(error))
            return
        self._write(data)
        if not data and message.packet_id is not None and self._session is not None:
            # Over the peer's maximum packet size: it counts as delivered [MQTT-3.1.2-25].
            self._courier.switchboard(self.realm).acknowledged(self._session, message.packet_id, self._courier.now())

    def may_receive(self, topic: str) -> bool:
        return bool(self._rights.decide("iot:Receive", self._arn("topic", topic)))

    @property
    def thing(self) -> str | None:
        return self._grounds.thing if self._grounds is not None else None

    def holds(self, policy: str) -> bool:
        return self._grounds is not None and any(each.name == policy for each in self._grounds.policies)

    def judge_anew(self) -> None:
        self._outdated = True
        if self._judging is None or self._judging.done():
            self._judging = asyncio.get_running_loop().create_task(self._judge())

    async def _judge(self) -> None:
        """Look the rights up, again and again while a change comes in between: the look may have been before it."""
        while self._outdated and not self._over:
            self._outdated = False
            try:
                self._principal, grounds = await self._runtime.database.glance(self._look_again)
                self._grounds, self._rights = grounds, grounds.rights()
            except FleetgateError as error:  # what may no longer be known is not allowed
                log.warning("connection closed", reason=error.reason, client_id=self.client_id)
                refused = isinstance(error, Refused)
                self.dismiss(Reason.NOT_AUTHORIZED if refused else Reason.SERVER_UNAVAILABLE, "")
                return
            except Exception:
                log.exception("connection closed", client_id=self.client_id)
                self.dismiss(Reason.UNSPECIFIED_ERROR, "")
                return

    def _look_again(self, tx: Tx) -> tuple[Principal, Grounds]:
        assert self._principal is not None
        principal = access.identify_again(tx, self._principal, self._runtime.clock())
        return principal, access.grounds(tx, principal, self.client_id, self._visitor.address)

    def dismiss(self, reason: Reason, message: str) -> None:
        if self._session is None:
            self._vanish()
        else:
            self._close(reason, message)

    def tick(self, now: int) -> None:
        if self._connection.overdue(now) and not self._over:
            self._close(Reason.KEEP_ALIVE_TIMEOUT, "nothing was heard for one and a half keep-alives")

    # -- judging -----------------------------------------------------------------------------------------------------

    def _act(self) -> Act:
        return self._runtime.act(self.realm, f"cert/{self.fingerprint}")

    def _arn(self, kind: str, name: str) -> str:
        return self.realm.arn(kind, name)

    def _may(self, action: str, kind: str, name: str) -> bool:
        resource = self._arn(kind, name)
        verdict = self._rights.decide(action, resource)
        if not verdict:
            self._refuse(action, resource, verdict.explain("The connection"))
        return bool(verdict)

    def _refuse(self, action: str, resource: str, reason: str) -> None:
        """Write a denial down, and keep what the device is told: the reason, and where to find it."""
        act = self._act()
        self._told = f"{reason} (request {act.request_id})"
        self._runtime.refused(Refusal(act, action, resource, reason))
        log.info("refused", action=action, reason=reason, client_id=self.client_id, request_id=act.request_id)


def _connect_attributes(packet: Connect) -> list[str]:
    attributes = []
    expiry = packet.properties.get("session_expiry_interval", 0)
    if expiry if packet.version >= V5 else not packet.clean_start:
        attributes.append("PersistentConnect")
    if packet.will is not None:
        attributes.append("LastWill")
    return attributes
