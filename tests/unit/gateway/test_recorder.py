"""The door with a recorder: what is acknowledged is on the disk, and what is not costs nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

import pytest
from tests.server import REALM
from tests.unit.gateway.callers import ALL, Caller, Hall

from fleetgate.database.port import Database, Tx
from fleetgate.errors import Unavailable
from fleetgate.gateway.courier import Courier
from fleetgate.gateway.recorder import Recorder, compact, pack, unpack
from fleetgate.names import Realm
from fleetgate.registry import nodes, retained, sessions
from fleetgate.wire.mqtt import journal
from fleetgate.wire.mqtt.packets import (
    V5,
    Disconnect,
    PubAck,
    Publish,
    QoS,
    SubAck,
    Subscribe,
    Subscription,
    UnsubAck,
    Unsubscribe,
)

T = TypeVar("T")
Q1 = QoS.AT_LEAST_ONCE
LASTING = {"clean_start": False, "properties": {"session_expiry_interval": 600}}


class Watched:
    """A database that counts writes, and is away while `away` says so."""

    def __init__(self, inner: Database) -> None:
        self.inner = inner
        self.writes = 0
        self.away = False

    async def read(self, work: Callable[[Tx], T]) -> T:
        return await self.inner.read(work)

    async def glance(self, work: Callable[[Tx], T]) -> T:
        return await self.inner.glance(work)

    async def write(self, work: Callable[[Tx], T]) -> T:
        self.writes += 1
        if self.away:
            raise Unavailable("away")
        return await self.inner.write(work)

    async def close(self) -> None:
        await self.inner.close()


def lasting(hall: Hall) -> Watched:
    """Give the hall a courier that remembers, and the database it writes to."""
    watched = Watched(hall.runtime.database)
    clock = hall.runtime.clock
    hall.courier = Courier(hall.rules, clock, Recorder(watched, clock, clock))
    return watched


async def restarted(hall: Hall) -> None:
    """As after `kill -9`: what is not on the disk is gone."""
    lasting(hall)
    await hall.courier.restore()


async def subscribed(hall: Hall, client_id: str = "away", topic_filter: str = "t") -> Caller:
    caller = hall.call(await hall.certificate(ALL, name=client_id))
    await caller.connect(client_id, **LASTING)
    caller.send(Subscribe(1, (Subscription(topic_filter, Q1),)))
    assert isinstance(await caller.receive(), SubAck)
    return caller


async def test_a_puback_leaves_when_the_message_is_on_the_disk(hall: Hall) -> None:
    lasting(hall)
    away = await subscribed(hall)
    away.leave()
    publisher = hall.call(await hall.certificate(ALL))
    await publisher.connect("p")
    publisher.send(Publish("t", b"1", Q1, packet_id=1))
    assert await publisher.receive() == PubAck(1)
    [stored] = await hall.runtime.database.read(sessions.stored)
    assert [unpack(message.packet).payload for message in stored.messages] == [b"1"]

    await restarted(hall)
    back = hall.call(away.door._visitor.certificate)
    assert (await back.connect("away", **LASTING)).session_present
    message = await back.receive()
    assert isinstance(message, Publish)
    assert (message.payload, message.qos, message.duplicate) == (b"1", Q1, False)
    assert message.packet_id is not None
    back.send(PubAck(message.packet_id), Disconnect())
    await back.closed()
    await hall.courier.close(1)
    [stored] = await hall.runtime.database.read(sessions.stored)
    assert stored.messages == ()


async def test_who_is_there_costs_no_write(hall: Hall) -> None:
    watched = lasting(hall)
    listener = await subscribed(hall)
    publisher = hall.call(await hall.certificate(ALL))
    await publisher.connect("p")
    before = watched.writes
    publisher.send(Publish("t", b"1", Q1, packet_id=1), Publish("t", b"0"), Publish("other", b"", Q1, packet_id=2))
    assert [await publisher.receive() for _ in range(2)] == [PubAck(1), PubAck(2)]
    heard = await listener.receive()
    assert isinstance(heard, Publish)
    assert heard.packet_id is not None
    listener.send(PubAck(heard.packet_id))
    await listener.idle()
    assert watched.writes == before


async def test_provisioning_topics_cost_no_write(hall: Hall) -> None:
    watched = lasting(hall)
    await subscribed(hall, topic_filter="$aws/certificates/create/json/accepted")
    assert watched.writes == 0


async def test_sessions_and_subscriptions_come_back(hall: Hall) -> None:
    lasting(hall)
    caller = await subscribed(hall)
    caller.send(Subscribe(2, (Subscription("gone", Q1),)))
    await caller.receive()
    caller.send(Unsubscribe(3, ("gone",)))
    assert isinstance(await caller.receive(), UnsubAck)
    await restarted(hall)  # while it is connected
    back = hall.call(caller.door._visitor.certificate)
    answer = await back.connect("away", **LASTING)
    assert answer.session_present
    back.send(Publish("t", b"1"), Publish("gone", b"2"))
    assert [each.payload for each in await back.idle() if isinstance(each, Publish)] == [b"1"]


async def test_retained_messages_come_back(hall: Hall) -> None:
    lasting(hall)
    caller = hall.call(await hall.certificate(ALL))
    await caller.connect("p")
    for number, (topic, payload) in enumerate([("a", b"1"), ("b", b"2"), ("b", b"")], 1):
        caller.send(Publish(topic, payload, Q1, retain=True, packet_id=number))
        assert await caller.receive() == PubAck(number)
    assert [one.topic for one in await hall.runtime.database.read(retained.stored)] == ["a"]
    await restarted(hall)
    assert hall.courier.switchboard(REALM).retained.topics() == ["a"]


async def test_sessions_whose_time_is_over_are_swept(hall: Hall) -> None:
    lasting(hall)
    (await subscribed(hall)).leave()
    await hall.courier.close(1)
    hall.house.time[0] += 600_000
    await restarted(hall)
    await hall.courier.close(1)
    assert await hall.runtime.database.read(sessions.stored) == []
    (await subscribed(hall, "other")).leave()
    hall.house.time[0] += 600_000
    hall.courier.tick()
    await hall.courier.close(1)
    assert await hall.runtime.database.read(sessions.stored) == []


async def test_no_acknowledgement_while_the_database_is_away(hall: Hall) -> None:
    watched = lasting(hall)
    away = await subscribed(hall)
    away.leave()
    await hall.courier.close(1)
    publisher = hall.call(await hall.certificate(ALL))
    await publisher.connect("p", version=V5)
    watched.away = True
    publisher.send(Publish("t", b"1", Q1, packet_id=1))
    assert [type(each) for each in await publisher.closed()] == [Disconnect]
    watched.away = False
    await hall.courier.close(5)  # it is tried again
    [stored] = await hall.runtime.database.read(sessions.stored)
    assert len(stored.messages) == 1


async def test_a_reset_leaves_nothing_to_write(hall: Hall) -> None:
    watched = lasting(hall)
    await subscribed(hall)
    watched.away = True
    hall.courier.switchboard(REALM).publish(Publish("r", b"1", retain=True), 0)
    await asyncio.sleep(0)
    watched.away = False
    await hall.courier.empty()
    await hall.courier.close(5)
    assert await hall.runtime.database.read(retained.stored) == []


def test_messages_that_came_and_went_need_no_row() -> None:
    came = journal.Queued("c", 1, Publish("t", b"1", Q1), None)
    stays = journal.Queued("c", 2, Publish("t", b"2", Q1), None)
    entries: list[tuple[Realm, journal.Change]] = [
        (REALM, came),
        (REALM, stays),
        (REALM, journal.Settled("c", 1)),
        (REALM, journal.Settled("c", 0)),
    ]
    assert compact(entries) == [(REALM, stays), (REALM, journal.Settled("c", 0))]


def test_a_message_is_kept_whole() -> None:
    message = Publish(
        "a/ü",
        b"\x00\xff",
        Q1,
        retain=True,
        properties={
            "message_expiry_interval": 60,
            "response_topic": "r",
            "correlation_data": b"\x01",
            "user_property": (("k", "v"), ("k", "w")),
            "subscription_identifier": (5, 6),
            "payload_format_indicator": 0,
        },
    )
    assert unpack(pack(message)) == message
    assert unpack(pack(Publish("t"))) == Publish("t")


async def test_retained_messages_whose_time_is_over_are_swept(hall: Hall) -> None:
    lasting(hall)
    hall.courier.publish(REALM, Publish("t", b"1", retain=True, properties={"message_expiry_interval": 60}))
    hall.courier.tick()
    assert hall.courier.retained_topics(REALM) == ["t"]
    hall.house.time[0] += 60_000
    hall.courier.tick()
    await hall.courier.close(1)
    assert hall.courier.retained_topics(REALM) == []
    assert await hall.runtime.database.read(retained.stored) == []


class Gone(Watched):
    """Reads fail, too."""

    async def glance(self, work: Callable[[Tx], T]) -> T:
        if self.away:
            raise Unavailable("away")
        return await super().glance(work)


async def test_the_sessions_of_the_dead_are_taken_over_though_the_database_fails_and_but_for_those_that_connect(
    hall: Hall,
) -> None:
    watched, clock = Gone(hall.runtime.database), hall.runtime.clock
    hall.courier = Courier(hall.rules, clock, Recorder(watched, clock, clock, "dead"))
    names = {"a", "b", "c", "asked-for"}
    for name in names:
        (await subscribed(hall, name)).leave()
    await hall.courier.close(5)
    recorder, spared, found = Recorder(watched, clock, clock, "here"), {"asked-for"}, list[str]()
    here = Courier(hall.rules, clock, recorder)

    async def adopt() -> None:
        async for _, client_id in recorder.adopt(here.switchboard, lambda realm, client_id: client_id in spared):
            assert here.switchboard(REALM).session(client_id) is not None
            found.append(client_id)
            watched.away = len(found) == 1

    with pytest.raises(Unavailable):
        await adopt()
    watched.away = False
    elsewhere, later = sorted(names - spared - set(found))  # where the first one went is not ours to say
    stored = await watched.read(lambda tx: sessions.find(tx, REALM, elsewhere))
    assert stored is not None
    await watched.write(lambda tx: sessions.keep(tx, REALM, stored.session, "third"))
    await adopt()
    assert found[1:] == [later]
    assert [here.switchboard(REALM).session(name) for name in (elsewhere, "asked-for")] == [None, None]
    spared.clear()
    await watched.write(lambda tx: nodes.beat(tx, "3", "third", clock()))
    await adopt()
    assert found[2:] == ["asked-for"]
    await here.close(5)
