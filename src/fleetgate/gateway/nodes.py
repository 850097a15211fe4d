"""Several nodes, one fleet: what one of them must know of the others, over the bus.

Every message that a node lets in goes to all others, and each of them hands it to its own subscribers. A client that
connects is let go by whoever had it before it is answered, with its session. A shared subscription is served by one
node for each message, which the node that let the message in chooses. Sessions of a node that is dead are kept by
another one from then on, and what was said since its last sign of life is said to them again.

    PREFIX/m               a message of a device or of the server
    PREFIX/ask             "client X connects here"; answered on PREFIX/answers/NODE when nothing of it is left
    PREFIX/nodes/NODE      retained: this node is there, and which shared subscriptions have members on it
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import urlsplit

import structlog

from fleetgate.config import NodesConfig
from fleetgate.errors import FleetgateError, Unavailable
from fleetgate.gateway.bus import Broker, Bus
from fleetgate.gateway.courier import Courier, Summons
from fleetgate.gateway.observer import Origin
from fleetgate.gateway.recent import Recent
from fleetgate.gateway.recorder import Recorder, pack, unpack
from fleetgate.gateway.shares import Shares
from fleetgate.names import Realm
from fleetgate.registry import nodes
from fleetgate.runtime import Runtime
from fleetgate.wire.mqtt.packets import Publish, QoS, Will
from fleetgate.wire.mqtt.properties import Properties

log = structlog.get_logger(__name__)

PREFIX: Final = "fleetgate"
BEAT_SECONDS: Final = 1.0
"""Between two signs of life in the database."""
ANSWER_SECONDS: Final = 2.0
"""How long a client that connects waits for the other nodes to let go of it."""
_KEPT: Final = 2 * nodes.SILENCE
# Between a summons and the moment when whoever sent it has written down that the client's session is there.
_ASKED_FOR: Final = 5_000
# A node that comes back does not hear of clients that came and went meanwhile.
_ASK_SECONDS: Final = int(ANSWER_SECONDS) + 1


@dataclass(eq=False, slots=True)
class _Coming:
    """A client that is about to connect here, and who was asked to let go of it."""

    waiting: set[str]
    """Nodes that have not answered."""
    answered: asyncio.Future[bool]
    let_go: set[str] = field(default_factory=set)
    outdone: bool = False
    """It is about to connect to another node as well, and that one has it."""

    def gone(self, node: str) -> None:
        self.waiting.discard(node)
        if not self.waiting:
            self.end(allowed=True)

    def end(self, *, allowed: bool) -> None:
        if not self.answered.done():
            self.answered.set_result(allowed)


class Nodes:
    """One node among the others: the courier's `Peers`. `run` until cancelled; `join` before the doors open."""

    def __init__(self, runtime: Runtime, courier: Courier, recorder: Recorder, broker: Broker, node_id: str) -> None:
        self._runtime, self._courier, self._recorder = runtime, courier, recorder
        self._name, self._id = broker.node, node_id
        self._shares = Shares(broker.node)
        self._others: set[str] = set()
        self._asked: dict[int, _Coming] = {}
        self._coming: dict[tuple[Realm, str], list[_Coming]] = {}
        self._count = 0
        self._asked_for: dict[tuple[Realm, str], int] = {}  # by other nodes, and when, the longest ago first
        self._recent = Recent(courier.now, _KEPT)
        self._beaten = 0
        here = f"{PREFIX}/nodes/{broker.node}"
        self._bus = Bus(
            replace(broker, node=f"{PREFIX}-{broker.node}"),
            (f"{PREFIX}/m", f"{PREFIX}/ask", f"{PREFIX}/answers/{broker.node}", f"{PREFIX}/nodes/+"),
            self._take,
            courier.now,
            will=Will(here, b"", QoS.AT_LEAST_ONCE, retain=True),
            up=self._bus_is,
        )
        self._saying = False
        courier.peers = self

    @property
    def connected(self) -> bool:
        """Whether the bus is reached."""
        return self._bus.up

    # -- signs of life -----------------------------------------------------------------------------------------------

    async def join(self) -> None:
        """Give the first sign of life, and keep the sessions that nobody keeps. Raises Unavailable."""
        await self._beat()
        await self._adopt()

    async def run(self) -> None:
        bus = asyncio.create_task(self._bus.run())
        try:
            while True:
                await asyncio.sleep(BEAT_SECONDS)
                try:
                    await self._beat()
                    await self._adopt()
                except FleetgateError as error:
                    log.warning("no sign of life given", reason=error.message)
        finally:
            bus.cancel()
            await asyncio.gather(bus, return_exceptions=True)

    async def leave(self) -> None:
        """The doors are closed: the others need not wait for this node's silence."""
        with suppress(Unavailable):
            await self._runtime.database.write(lambda tx: nodes.leave(tx, self._id))

    async def _beat(self) -> None:
        now, last = self._runtime.clock(), self._beaten
        await self._runtime.database.write(lambda tx: nodes.beat(tx, self._id, self._name, now))
        self._beaten = now
        if last and now - last >= nodes.SILENCE:
            await self._come_back()

    async def _come_back(self) -> None:
        """The others took this node for dead, and may have its sessions: let go of what is not kept here any more."""
        kept, count = await self._recorder.kept_here(), 0
        for realm, client_id in self._courier.lasting():
            if (str(realm), client_id) not in kept:
                self._courier.release(realm, client_id, goes_on=True)
                count += 1
        log.warning("this node was silent for too long", sessions_let_go=count)

    async def _adopt(self) -> None:
        async for realm, client_id in self._recorder.adopt(self._courier.switchboard, self._was_asked_for):
            self._say_again(realm, client_id, self._courier.now() - _KEPT)

    def _was_asked_for(self, realm: Realm, client_id: str) -> bool:
        """The client connects to another node, which may not have written down yet that it keeps the session."""
        at = self._asked_for.get((realm, client_id))
        return at is not None and self._courier.now() - at < _ASKED_FOR

    def _note_asked(self, realm: Realm, client_id: str) -> None:
        now, asked = self._courier.now(), self._asked_for
        asked.pop((realm, client_id), None)
        asked[realm, client_id] = now
        while now - next(iter(asked.values())) >= _ASKED_FOR:
            del asked[next(iter(asked))]

    def _say_again(self, realm: Realm, client_id: str, since: int) -> None:
        for said in self._recent.since(realm, since):
            self._courier.say_again(realm, client_id, said.message, said.client_id)

    # -- to the others -----------------------------------------------------------------------------------------------

    def pass_on(
        self, realm: Realm, message: Publish, origin: Origin
    ) -> tuple[Callable[[Any], bool] | None, Awaitable[None] | None]:
        """For `Courier.publish`: which shared subscriptions are served here (None: all), and what to wait for."""
        self._recent.add(realm, message, origin.client_id)
        groups = self._courier.switchboard(realm).subscribers.groups(message.topic)
        given = self._shares.choose(realm, message.topic, {group.shared for group in groups})
        head: dict[str, Any] = {"realm": str(realm), "client": origin.client_id}
        if given.elsewhere:
            head["shares"] = given.elsewhere
        plain = replace(message, packet_id=None, duplicate=False)
        payload = json.dumps(head).encode() + b"\n" + pack(plain).encode()
        done = self._bus.publish(Publish(f"{PREFIX}/m", payload, QoS(min(message.qos, 1))))
        return given.serves_here if given else None, None if done.done() and not done.exception() else done

    async def summon(self, summons: Summons) -> bool:
        """A client connects here: nobody else has it afterwards. False: another node's connection is not to be thrown
        off by it. Who does not answer in time is taken for gone. Raises Unavailable, also where the client is about to
        connect to another node at the same time: one of the two has it.
        """
        key, begun = (summons.realm, summons.client_id), self._courier.now()
        coming = _Coming(set(self._others), asyncio.get_running_loop().create_future())
        self._coming.setdefault(key, []).append(coming)
        try:
            allowed = await self._ask(summons, coming) and await self._fetch(summons, coming.let_go, begun)
        finally:
            self._coming[key].remove(coming)
            if not self._coming[key]:
                del self._coming[key]
        if coming.outdone:
            raise Unavailable("The client connects to another node at the same time.")
        return allowed

    async def _ask(self, summons: Summons, coming: _Coming) -> bool:
        """Have the others let go of the client; whether they do."""
        if not self._others or not self._bus.up:
            return True
        self._count += 1
        number = self._count
        self._asked[number] = coming
        ask = {"from": self._name, "number": number, **summons.plain()}
        properties = Properties(message_expiry_interval=_ASK_SECONDS)
        asked = Publish(f"{PREFIX}/ask", json.dumps(ask).encode(), QoS.AT_LEAST_ONCE, properties=properties)
        self._bus.publish(asked).add_done_callback(_seen)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await coming.answered
        except TimeoutError:
            log.warning("nodes did not let go of a client", client_id=summons.client_id, nodes=sorted(coming.waiting))
            return True
        finally:
            del self._asked[number]

    async def _fetch(self, summons: Summons, let_go: set[str], begun: int) -> bool:
        """Keep the client's session here, with what was said while nobody kept it: since the summons *begun*, where its
        node let go; otherwise since before that one may have died.
        """
        realm, client_id = summons.realm, summons.client_id
        switchboard = self._courier.switchboard(realm)
        keeper = await self._recorder.fetch(realm, client_id, switchboard, goes_on=summons.goes_on)
        if keeper is not None:
            self._say_again(realm, client_id, begun if keeper in let_go else begun - _KEPT)
        return True

    # -- from the others ---------------------------------------------------------------------------------------------

    def _take(self, message: Publish) -> Awaitable[None] | None:
        try:
            match message.topic.split("/")[1:]:
                case ["m"]:
                    return self._take_message(message)
                case ["ask"]:
                    return self._let_go(json.loads(message.payload))
                case ["answers", _]:
                    self._take_answer(json.loads(message.payload))
                case ["nodes", name]:
                    self._take_presence(name, message.payload)
        except (ValueError, KeyError, TypeError) as error:
            log.warning("message of another node not understood", topic=message.topic, reason=str(error))
        return None

    def _take_message(self, message: Publish) -> Awaitable[None] | None:
        line, _, packet = message.payload.partition(b"\n")
        head = json.loads(line)
        realm, said = Realm.parse(head["realm"]), unpack(packet.decode())
        self._recent.add(realm, said, head["client"])
        serves = self._shares.served(head.get("shares", {}))
        return self._courier.receive(realm, said, head["client"], serves)

    async def _let_go(self, ask: dict[str, Any]) -> None:
        summons = Summons.parse(ask)
        self._note_asked(summons.realm, summons.client_id)
        allowed = self._courier.may_displace(summons)
        for coming in self._coming.get((summons.realm, summons.client_id), ()):
            # Of two nodes that asked before they heard of the other, both come to the same; otherwise the later one has
            # it, which let go before it asked.
            if ask["from"] > self._name or ask["from"] in coming.let_go:
                coming.outdone = True
                coming.end(allowed=False)
        if allowed:
            mark = self._courier.mark()
            self._courier.release(summons.realm, summons.client_id, goes_on=summons.goes_on)
            if (written := self._courier.written(mark)) is not None:
                await written
        answer = {"from": self._name, "number": ask["number"], "allowed": allowed}
        topic = f"{PREFIX}/answers/{ask['from']}"
        await self._bus.publish(Publish(topic, json.dumps(answer).encode(), QoS.AT_LEAST_ONCE))

    def _take_answer(self, answer: dict[str, Any]) -> None:
        coming = self._asked.get(answer["number"])
        if coming is None:
            return
        if not answer["allowed"]:
            coming.end(allowed=False)
            return
        coming.let_go.add(answer["from"])
        coming.gone(answer["from"])

    def _take_presence(self, name: str, payload: bytes) -> None:
        if name == self._name:
            return
        if payload:
            if name not in self._others:
                log.info("node joined", node=name)
            self._others.add(name)
            self._shares.tell(name, json.loads(payload)["shares"])
            return
        log.info("node left", node=name)
        self._others.discard(name)
        self._shares.forget(name)
        for coming in self._asked.values():
            coming.gone(name)

    # -- presence ----------------------------------------------------------------------------------------------------

    def _bus_is(self, up: bool) -> None:
        if up:
            self._say_here()
        else:  # whoever is still there says so when the bus is back
            for name in tuple(self._others):
                self._take_presence(name, b"")

    def shares_changed(self) -> None:
        """For the courier: a shared subscription has its first member here, or its last one went."""
        if not self._saying:
            self._saying = True
            asyncio.get_running_loop().call_soon(self._say_here)

    def _say_here(self) -> None:
        self._saying = False
        if not self._bus.up:
            return
        here = {"id": self._id, "shares": self._courier.shared()}
        payload = json.dumps(here).encode()
        said = Publish(f"{PREFIX}/nodes/{self._name}", payload, QoS.AT_LEAST_ONCE, retain=True)
        self._bus.publish(said).add_done_callback(_seen)


def broker(config: NodesConfig) -> Broker:
    """The configured one. Raises Unavailable where a file cannot be read."""
    address = urlsplit(config.bus or "")
    try:
        context = None
        if address.scheme == "mqtts":
            context = ssl.create_default_context(cafile=None if config.ca_file is None else str(config.ca_file))
        file = config.password_file
        password = None if file is None else file.read_bytes().partition(b"\n")[0]
    except OSError as error:
        raise Unavailable(f"A file of the bus between nodes ([nodes]) cannot be used: {error}") from error
    name = config.name or socket.gethostname()
    return Broker(address.hostname or "", address.port or 0, name, context, config.username, password)


def _seen(done: asyncio.Future[None]) -> None:
    if not done.cancelled() and (error := done.exception()) is not None:
        log.warning("not said to the other nodes", reason=str(error))
