"""The MQTT door: one connection from its CONNECT to its end. Every packet is judged by policy."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import ClassVar

import structlog

from fleetgate.access import CertificatePrincipal, Grounds, Principal
from fleetgate.broker import Connection
from fleetgate.errors import FleetgateError, Refused
from fleetgate.gateway import reserved
from fleetgate.gateway.conversation import Conversation
from fleetgate.gateway.courier import Courier, Summons
from fleetgate.gateway.entrance import Entrance, called, questions
from fleetgate.gateway.listener import Visitor
from fleetgate.gateway.observer import Departure, Origin, departure
from fleetgate.gateway.standing import Standing
from fleetgate.names import NO_ACCOUNT, Act
from fleetgate.provisioning.claim import Asker
from fleetgate.registry import certificates
from fleetgate.runtime import Refusal, Runtime
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


class Door(Conversation):
    """One connection. Until its CONNECT is accepted it is nobody's and has no standing."""

    def __init__(self, runtime: Runtime, courier: Courier, entrance: Entrance, visitor: Visitor) -> None:
        super().__init__(courier)
        self.realm, self.actor = NO_ACCOUNT, ""
        self._standing: Standing
        self._runtime, self._entrance, self._visitor = runtime, entrance, visitor
        self._session: Session | None = None
        self._farewell: Disconnect | None = None
        self._clean = True
        self._connected_at = 0
        self._awaited: dict[int, asyncio.Future[bool]] = {}  # by packet identifier: who waits for the PUBACK
        self._handed: list[tuple[Publish, asyncio.Future[bool]]] = []  # not sent yet: the client's window is full
        self._judging: asyncio.Task[None] | None = None
        self._outdated = False  # the rights: something they rest on has changed since they were looked up

    def _left(self) -> None:
        if self._judging is not None:
            self._judging.cancel()
        self._courier.leave(self)
        if self._session is not None:
            self._courier.switchboard(self.realm).detach(self.client_id, self, self._courier.now(), self._farewell)
            why = departure(self._ending, said_goodbye=self._farewell is not None)
            if why is Departure.AUTH_ERROR and self._standing.overstayed():
                why = Departure.CUSTOMAUTH_TTL_EXPIRATION
            elif why is Departure.AUTH_ERROR and self._standing.expired():
                why = Departure.WEBSOCKET_TTL_EXPIRATION
            self._courier.left(self, why)
            for waiting in (*self._awaited.values(), *(future for _, future in self._handed)):
                if not waiting.done():
                    waiting.set_result(False)

    def _take(self, packet: Packet) -> Awaitable[None] | None:
        return self._TAKE[type(packet)](self, packet)

    # -- CONNECT -----------------------------------------------------------------------------------------------------

    def _take_connect(self, packet: Connect) -> Awaitable[None]:
        if packet.will is not None and packet.will.topic.startswith("$") and not _is_ingest(packet.will.topic):
            # What the server says itself, and what only a connection can ask for: nobody leaves that behind.
            raise ProtocolError(Reason.TOPIC_NAME_INVALID, f"a will on {packet.will.topic}, which is reserved")
        return self._admit(packet)

    async def _admit(self, packet: Connect) -> None:
        courier, rules = self._courier, self._courier.rules
        act = self._runtime.act(NO_ACCOUNT, "")
        client_id = packet.client_id or f"auto-{act.request_id}"
        lasting = rules.session_expiry(packet) > courier.passing.session_expiry_most
        changes = courier.changes
        try:
            admission = await self._entrance.authenticate(self._visitor, packet, client_id, lasting=lasting)
        except Refused as error:
            self._note_stranger(act, client_id, error)
            admission = None
        if admission is None:
            self._vanish()
            return
        principal, grounds = admission.principal, admission.grounds
        self._standing = Standing(self._runtime, principal, grounds, client_id, self.address)
        self.realm, self.actor, self.client_id = principal.realm, principal.actor, client_id
        if self._over:
            return
        courier.enter(self)  # at once: what changes from here on is told, also while the CONNECT is answered
        if courier.changes != changes:
            self.judge_anew()
        if not self._may_connect(packet, grounds):
            return
        if isinstance(principal, CertificatePrincipal) and principal.certificate.first_connected_at is None:
            # Before it is told that it is in: until this is noted, a claim may have the thing anew.
            first, fingerprint = self._standing.act(), principal.fingerprint
            await self._runtime.write(lambda tx: certificates.connected(tx, first, fingerprint))
        if await self._may_have_session(packet):
            self._open(packet, courier.passing if admission.passing else rules)

    def _note_stranger(self, act: Act, client_id: str, error: Refused) -> None:
        act = replace(act, actor=called(self._visitor))
        self._runtime.refused(Refusal(act, "Connect", f"client/{client_id}", error.reason))
        log.info("refused", action="Connect", reason=error.reason, client_id=client_id, address=self.address)

    def _may_connect(self, packet: Connect, grounds: Grounds) -> bool:
        """Closes where the answer is no."""
        for action, resource, rights in questions(packet, grounds, self.client_id, self.realm):
            verdict = rights.decide(action, resource)
            if not verdict:
                self._turn_away(action, resource, verdict.explain("The connection"))
                return False
        return True

    def _turn_away(self, action: str, resource: str, reason: str) -> None:
        self._standing.refuse(action, resource, reason)
        if self._connection.version < V5:
            self._vanish()
        else:
            self._close(Reason.NOT_AUTHORIZED, self._standing.told)

    def _summons(self, packet: Connect) -> Summons:
        return Summons(self.realm, self.client_id, self.actor, self.thing, not packet.clean_start)

    async def _may_have_session(self, packet: Connect) -> bool:
        """Whether nobody else, on any node, keeps this client id from it. Closes where the answer is no."""
        peers, summons = self._courier.peers, self._summons(packet)
        if self._courier.may_displace(summons) and (peers is None or await peers.summon(summons)):
            return True
        reason = "The client id names the thing of another certificate, which is connected."
        self._turn_away("iot:Connect", self.realm.arn("client", self.client_id), reason)
        return False

    def _open(self, packet: Connect, rules: Rules) -> None:
        """The client is in: take over its session, answer, and send what has been waiting."""
        if self._over:  # while its first connection was noted
            return
        now = self._courier.now()
        assigned = None if packet.client_id else self.client_id
        if assigned is not None:
            packet = replace(packet, client_id=assigned)
        switchboard = self._courier.switchboard(self.realm)
        owner = Owner(self.actor, self.thing == self.client_id, rules.session_expiry_most)
        attached = switchboard.attach(packet, self, now, owner)
        self._session = attached.session
        self._clean, self._connected_at = packet.clean_start, self._runtime.clock()
        self._patience.cancel()
        if attached.displaced is not None:
            attached.displaced.dismiss(Reason.SESSION_TAKEN_OVER, "another connection came with this client id")
        announcement = rules.announcement(packet, assigned)
        self._send(ConnAck(session_present=attached.session_present, properties=announcement))
        self._courier.observer.connected(self, packet)
        for message in attached.backlog:
            self.deliver(message)

    # -- PUBLISH -----------------------------------------------------------------------------------------------------

    def _take_publish(self, packet: Publish) -> Awaitable[None] | None:
        topic = packet.topic
        actions = ("iot:Publish", "iot:RetainPublish") if packet.retain else ("iot:Publish",)
        for action in actions:
            if not self._standing.may(action, "topic", topic):
                self._deny_publish(packet)
                return None
        if topic.startswith("$"):
            return self._take_reserved(packet)
        if packet.retain and packet.payload and not self._courier.switchboard(self.realm).can_retain(topic):
            self._acknowledge(packet, Reason.QUOTA_EXCEEDED)
            return None
        return self._pass_on(packet)

    def _pass_on(self, packet: Publish) -> Awaitable[None] | None:
        later = self._courier.publish(self.realm, packet, Origin(self.client_id, self.principal))
        if later is not None:
            return self._acknowledge_after(later, packet)
        self._acknowledge(packet, Reason.SUCCESS)
        return None

    async def _acknowledge_after(self, later: Awaitable[None], packet: Publish) -> None:
        """Whoever published it learns that it is taken when nothing can lose it any more."""
        await later
        self._acknowledge(packet, Reason.SUCCESS)

    def _take_reserved(self, packet: Publish) -> Awaitable[None] | None:
        call = reserved.find(packet.topic)
        if call is None:
            if _is_ingest(packet.topic):  # nobody's subscription
                return self._pass_on(packet)
            raise ProtocolError(Reason.TOPIC_NAME_INVALID, f"{packet.topic} is reserved, and none of the known ones")
        # The request is taken; how it went is the answer's to say. A client whose patience with a PUBACK is shorter
        # than a hook's five seconds would ask twice otherwise; an answer that comes soon takes it along.
        if packet.packet_id is not None:
            self._send_in_company(PubAck(packet.packet_id))
        return self._answer(call, packet.payload)

    async def _answer(self, call: reserved.Call, payload: bytes) -> None:
        asker = Asker(self.principal, self.client_id)
        answer = await reserved.answer(self._runtime, self._standing.act(), asker, call, payload)
        # With QoS 0, and not through the session: what waits for an acknowledgement outlives the connection, and the
        # next one under this client id may be another device with the same claim certificate.
        self.deliver(Publish(answer.topic, answer.payload))

    def _deny_publish(self, packet: Publish) -> None:
        if packet.qos and self._connection.version >= V5:
            self._acknowledge(packet, Reason.NOT_AUTHORIZED)
        else:
            self._close(Reason.NOT_AUTHORIZED, self._standing.told)

    def _acknowledge(self, packet: Publish, reason: Reason) -> None:
        if packet.packet_id is not None:
            told = reason is Reason.NOT_AUTHORIZED
            self._send(
                PubAck(
                    packet.packet_id, reason, Properties(reason_string=self._standing.told) if told else Properties()
                )
            )

    def _take_puback(self, packet: PubAck) -> None:
        assert self._session is not None
        if (waiting := self._awaited.pop(packet.packet_id, None)) is not None and not waiting.done():
            waiting.set_result(True)
        self._courier.switchboard(self.realm).acknowledged(self._session, packet.packet_id, self._courier.now())

    # -- SUBSCRIBE ---------------------------------------------------------------------------------------------------

    def _take_subscribe(self, packet: Subscribe) -> Awaitable[None] | None:
        assert self._session is not None
        switchboard, mark = self._courier.switchboard(self.realm), self._courier.mark()
        identifier = packet.properties.get("subscription_identifier", (None,))[0]
        reasons: list[Reason] = []
        retained: list[Publish] = []
        for subscription in packet.subscriptions:
            if not self._standing.may("iot:Subscribe", "topicfilter", subscription.topic_filter):
                if self._connection.version < V5:
                    self._close(Reason.NOT_AUTHORIZED, "")
                    return None
                reasons.append(Reason.NOT_AUTHORIZED)
                continue
            granted = switchboard.subscribe(self._session, subscription, self._courier.now(), identifier)
            reasons.append(granted.reason)
            retained.extend(granted.retained)
        said = Properties(reason_string=self._standing.told) if Reason.NOT_AUTHORIZED in reasons else Properties()
        answer = SubAck(packet.packet_id, tuple(reasons), said)
        if (written := self._courier.written(mark)) is not None:
            return self._answer_after(written, packet, answer, retained)
        self._answer_subscribe(packet, answer, retained)
        return None

    def _answer_subscribe(self, packet: Subscribe, answer: SubAck, retained: list[Publish]) -> None:
        self._send(answer)
        for message in retained:
            self.deliver(message)
        answers = zip(packet.subscriptions, answer.reasons, strict=True)
        if granted_filters := [each.topic_filter for each, reason in answers if reason < Reason.UNSPECIFIED_ERROR]:
            self._courier.observer.subscribed(self, granted_filters)

    async def _answer_after(
        self, written: Awaitable[None], packet: Subscribe, answer: SubAck, retained: list[Publish]
    ) -> None:
        await written
        self._answer_subscribe(packet, answer, retained)

    def _take_unsubscribe(self, packet: Unsubscribe) -> Awaitable[None] | None:
        assert self._session is not None
        mark = self._courier.mark()
        switchboard, session = self._courier.switchboard(self.realm), self._session
        reasons = tuple(switchboard.unsubscribe(session, topic_filter) for topic_filter in packet.topic_filters)
        self._courier.observer.unsubscribed(self, packet.topic_filters)
        answer = UnsubAck(packet.packet_id, reasons)
        if (written := self._courier.written(mark)) is not None:
            return self._send_after(written, answer)
        self._send(answer)
        return None

    async def _send_after(self, written: Awaitable[None], answer: Packet) -> None:
        await written
        self._send(answer)

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
        if self._handed:
            self._is_sent(message)
        if not data and message.packet_id is not None and self._session is not None:
            # Over the peer's maximum packet size: it counts as delivered [MQTT-3.1.2-25].
            self._courier.switchboard(self.realm).acknowledged(self._session, message.packet_id, self._courier.now())

    def may_receive(self, topic: str) -> bool:
        return self._standing.may_receive(topic)

    @property
    def thing(self) -> str | None:
        return self._standing.thing

    @property
    def principal(self) -> Principal:
        return self._standing.principal

    @property
    def address(self) -> str:
        return self._visitor.address

    def seen(self) -> Connection:
        """As the API shows it."""
        assert self._session is not None
        peer, ours = (self._transport.get_extra_info(name) or ("", 0) for name in ("peername", "sockname"))
        return Connection(
            self.client_id,
            self._clean,
            self._session.expiry,
            connected_at=self._connected_at,
            thing=self.thing,
            keep_alive=self._connection.keep_alive,
            source=(str(peer[0]), int(peer[1])),
            target=(str(ours[0]), int(ours[1])),
        )

    def hand(self, message: Publish) -> Awaitable[bool] | None:
        """Deliver outside of every subscription; with QoS 1, true when it was acknowledged, false when it was not and
        the connection is over.
        """
        assert self._session is not None
        waiting: asyncio.Future[bool] | None = None
        if message.qos:
            waiting = asyncio.get_running_loop().create_future()
            waited_for = [each for each in self._handed if not each[1].done()]  # others have given up
            self._handed = [*waited_for, (message, waiting)]
        ready = self._session.deliver(message, self._courier.now())
        if ready is not None:
            self.deliver(ready)
        return waiting

    def _is_sent(self, message: Publish) -> None:
        """Perhaps one of those that were handed over: from now on its PUBACK is waited for."""
        for at, (handed, waiting) in enumerate(self._handed):
            if handed.payload is message.payload and handed.topic == message.topic:
                del self._handed[at]
                if message.packet_id is not None and not waiting.done():
                    self._awaited[message.packet_id] = waiting
                return

    def holds(self, policy: str) -> bool:
        return self._standing.holds(policy)

    def judge_anew(self) -> None:
        self._outdated = True
        if self._judging is None or self._judging.done():
            self._judging = asyncio.get_running_loop().create_task(self._judge())

    async def _judge(self) -> None:
        """Look the rights up, again and again while a change comes in between: the look may have been before it."""
        while self._outdated and not self._over:
            self._outdated = False
            try:
                look = self._entrance.look_again(self.principal, self.client_id, self.address)
                self._standing.changed(*await look)
            except FleetgateError as error:  # what may no longer be known is not allowed
                log.warning("connection closed", reason=error.reason, client_id=self.client_id)
                refused = isinstance(error, Refused)
                self.dismiss(Reason.NOT_AUTHORIZED if refused else Reason.SERVER_UNAVAILABLE, "")
                return
            except Exception:
                log.exception("connection closed", client_id=self.client_id)
                self.dismiss(Reason.UNSPECIFIED_ERROR, "")
                return

    def dismiss(self, reason: Reason, message: str) -> None:
        if self._session is None:
            self._vanish()
        else:
            self._close(reason, message)

    def tick(self, now: int) -> None:
        if self._over:
            return
        if self._connection.overdue(now):
            self._close(Reason.KEEP_ALIVE_TIMEOUT, "nothing was heard for one and a half keep-alives")
        elif self._standing.expired():
            self.dismiss(Reason.NOT_AUTHORIZED, "the credentials of this connection have expired")
        elif self._standing.outlived() and (self._judging is None or self._judging.done()):
            self.judge_anew()


def _is_ingest(topic: str) -> bool:
    """Basic Ingest: for one topic rule alone."""
    return topic.startswith("$aws/rules/")
