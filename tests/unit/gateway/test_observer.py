"""Who hears of what happens at the door: everything that was let in, and nothing that was not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence

import pytest
from tests.server import REALM
from tests.unit.gateway.callers import ALL, Hall, allow

from fleetgate.gateway.observer import SERVER, Departure, Nobody, Origin, Visit, departure
from fleetgate.names import Realm
from fleetgate.wire.mqtt.errors import Reason
from fleetgate.wire.mqtt.packets import (
    Connect,
    Disconnect,
    PubAck,
    Publish,
    QoS,
    Subscribe,
    Subscription,
    Unsubscribe,
    Will,
)

Q1 = QoS.AT_LEAST_ONCE


class Diary(Nobody):
    """Writes down what it is told; what is published waits for `ready` where the topic says so."""

    def __init__(self) -> None:
        self.lines: list[tuple[object, ...]] = []
        self.ready = asyncio.Event()

    def connected(self, visit: Visit, connect: Connect) -> None:
        self.lines.append(("connected", visit.client_id, visit.principal.identifier, visit.address))

    def disconnected(self, visit: Visit, why: Departure) -> None:
        self.lines.append(("disconnected", visit.client_id, why))

    def subscribed(self, visit: Visit, filters: Sequence[str]) -> None:
        self.lines.append(("subscribed", visit.client_id, tuple(filters)))

    def unsubscribed(self, visit: Visit, filters: Sequence[str]) -> None:
        self.lines.append(("unsubscribed", visit.client_id, tuple(filters)))

    def published(self, realm: Realm, message: Publish, origin: Origin) -> Awaitable[None] | None:
        self.lines.append(("published", message.topic, origin.client_id))
        return self._wait() if message.topic.startswith("$aws/rules/") else None

    async def _wait(self) -> None:
        await self.ready.wait()


@pytest.fixture
def diary(hall: Hall) -> Diary:
    hall.courier.observer = found = Diary()
    return found


async def test_a_visit_from_its_beginning_to_its_end(hall: Hall, diary: Diary) -> None:
    may = allow(["iot:Connect", "iot:Publish", "iot:Subscribe"], "client/*", "topic/a", "topicfilter/a")
    caller = hall.call(await hall.certificate(may))
    await caller.connect()
    caller.send(Subscribe(1, (Subscription("a"), Subscription("b"))))
    await caller.receive()
    caller.send(Publish("a"), Publish("b", qos=Q1, packet_id=2), Unsubscribe(3, ("a",)), Disconnect())
    await caller.closed()
    identifier = caller.door.principal.identifier
    assert len(identifier) == 64
    assert diary.lines == [
        ("connected", "c", identifier, caller.door.address),
        ("subscribed", "c", ("a",)),
        ("published", "a", "c"),
        ("unsubscribed", "c", ("a",)),
        ("disconnected", "c", Departure.CLIENT_INITIATED_DISCONNECT),
    ]


async def test_who_was_not_let_in_was_not_there(hall: Hall, diary: Diary) -> None:
    caller = hall.call(await hall.certificate(allow("iot:Connect", "client/other")))
    assert (await caller.connect()).reason is Reason.NOT_AUTHORIZED
    await caller.closed()
    assert diary.lines == []


async def test_a_will_is_a_message_like_others(hall: Hall, diary: Diary) -> None:
    caller = hall.call(await hall.certificate(ALL))
    await caller.connect(will=Will("gone", b"x"))
    caller.leave()
    assert diary.lines[1:] == [
        ("published", "gone", "c"),
        ("disconnected", "c", Departure.CONNECTION_LOST),
    ]


async def test_basic_ingest_is_acknowledged_when_the_observer_is_done(hall: Hall, diary: Diary) -> None:
    watching, caller = hall.call(await hall.certificate(ALL)), hall.call(await hall.certificate(ALL, name="other"))
    await watching.connect("w")
    watching.send(Subscribe(1, (Subscription("#"),)))
    await watching.receive()
    await caller.connect()
    caller.send(Publish("$aws/rules/r/a", b"x", Q1, packet_id=7))
    assert diary.lines[-1] == ("published", "$aws/rules/r/a", "c")
    await asyncio.sleep(0)
    assert not caller.wire.sent
    diary.ready.set()
    assert await caller.receive() == PubAck(7)
    assert await watching.idle() == []


async def test_messages_of_the_servers_own(hall: Hall, diary: Diary) -> None:
    hall.courier.publish(REALM, Publish("t"))
    assert Origin() == SERVER
    assert diary.lines == [("published", "t", None)]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (None, Departure.CONNECTION_LOST),
        (Reason.SESSION_TAKEN_OVER, Departure.DUPLICATE_CLIENTID),
        (Reason.KEEP_ALIVE_TIMEOUT, Departure.MQTT_KEEP_ALIVE_TIMEOUT),
        (Reason.NOT_AUTHORIZED, Departure.AUTH_ERROR),
        (Reason.MALFORMED_PACKET, Departure.CLIENT_ERROR),
        (Reason.SERVER_SHUTTING_DOWN, Departure.SERVER_INITIATED_DISCONNECT),
    ],
)
def test_why_a_connection_ended(reason: Reason | None, expected: Departure) -> None:
    assert departure(reason, said_goodbye=False) is expected
    assert departure(reason, said_goodbye=True) is Departure.CLIENT_INITIATED_DISCONNECT
