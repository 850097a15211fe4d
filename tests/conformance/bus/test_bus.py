"""The bus between nodes over a real broker: what is acknowledged arrives, also at a node that was away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

import pytest
from tests.mosquitto import Mosquitto

from fleetgate.errors import Unavailable
from fleetgate.gateway import bus as module
from fleetgate.gateway.bus import Broker, Bus
from fleetgate.wire.mqtt.packets import Publish, QoS, Will
from fleetgate.wire.mqtt.properties import Properties


def now() -> int:
    return time.monotonic_ns() // 1_000_000


class Node:
    """One node's end of the bus, and what it heard."""

    def __init__(self, broker: Mosquitto, name: str, will: Will | None = None) -> None:
        self.heard: list[Publish] = []
        self.changed = asyncio.Event()
        self.failing = 0
        address = Broker("127.0.0.1", broker.port, name)
        self.bus = Bus(address, ["fleet/#"], self._take, now, will=will, up=lambda _: self.changed.set())

    def _take(self, message: Publish) -> Awaitable[None] | None:
        if self.failing:
            self.failing -= 1
            return self._fail()
        self.heard.append(message)
        self.changed.set()
        return self._soon()

    async def _fail(self) -> None:
        self.changed.set()
        raise Unavailable("not now")

    async def _soon(self) -> None:
        await asyncio.sleep(0)

    async def until(self, *, count: int = 0, up: bool = True) -> None:
        async with asyncio.timeout(20):
            while len(self.heard) < count or self.bus.up is not up:
                self.changed.clear()
                await self.changed.wait()

    @property
    def payloads(self) -> list[bytes]:
        return [message.payload for message in self.heard]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.bus.run())
        try:
            await self.until()
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def message(payload: bytes, qos: QoS = QoS.AT_LEAST_ONCE) -> Publish:
    return Publish("fleet/m", payload, qos, properties=Properties(user_property=(("from", "east"),)))


async def test_what_one_says_all_others_hear(mosquitto: Mosquitto) -> None:
    east, west = Node(mosquitto, "east"), Node(mosquitto, "west")
    async with east.running(), west.running():
        await asyncio.gather(*(east.bus.publish(message(b"%d" % number)) for number in range(2_500)))
        await west.until(count=2_500)
        await east.bus.publish(message(b"soon", QoS.AT_MOST_ONCE))
        await west.until(count=2_501)
    assert west.payloads == [b"%d" % number for number in range(2_500)] + [b"soon"]
    assert west.heard[0].properties["user_property"] == (("from", "east"),)
    assert east.heard == []


async def test_what_is_said_while_a_node_is_away_waits_for_it(mosquitto: Mosquitto) -> None:
    east, west = Node(mosquitto, "east"), Node(mosquitto, "west")
    async with east.running():
        async with west.running():
            await east.bus.publish(message(b"1"))
            await west.until(count=1)
        await east.bus.publish(message(b"2"))
        back = Node(mosquitto, "west")
        async with back.running(), asyncio.timeout(20):
            while b"2" not in back.payloads:
                await back.until(count=len(back.heard) + 1)
    # The first one may come again: its acknowledgement leaves after the test has heard of it.
    assert (west.payloads, back.payloads[-1]) == ([b"1"], b"2")


async def test_what_was_not_dealt_with_comes_again(mosquitto: Mosquitto) -> None:
    east, west = Node(mosquitto, "east"), Node(mosquitto, "west")
    west.failing = 1
    async with east.running():
        async with west.running():
            await east.bus.publish(message(b"1"))
            await east.bus.publish(message(b"2"))
            await west.until(count=1)
        again = Node(mosquitto, "west")
        async with again.running():
            await again.until(count=1)
    assert (west.payloads, again.payloads[0]) == ([b"2"], b"1")


async def test_a_broker_that_comes_back_is_found_and_given_what_waits(mosquitto: Mosquitto) -> None:
    east, west = Node(mosquitto, "east"), Node(mosquitto, "west")
    async with east.running(), west.running():
        await east.bus.publish(message(b"1"))
        await west.until(count=1)
        mosquitto.stop()
        await east.until(up=False)
        await west.until(up=False)
        waiting = east.bus.publish(message(b"2"))
        lost = east.bus.publish(message(b"lost", QoS.AT_MOST_ONCE))
        assert lost.done()
        mosquitto.start()
        await waiting
        await west.until(count=2)
    assert west.payloads[-1] == b"2"


async def test_a_message_does_not_wait_for_ever(mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    monkeypatch.setattr(module, "MOST_WAITING", 1)
    mosquitto.stop()
    east = Node(mosquitto, "east")
    waiting, refused = east.bus.publish(message(b"1")), east.bus.publish(message(b"2"))
    with pytest.raises(Unavailable, match="no more messages"):
        await refused
    with pytest.raises(Unavailable, match="does not answer"):
        await waiting
    with pytest.raises(Unavailable, match="does not answer"):  # there is room again
        await east.bus.publish(message(b"3"))


async def test_the_others_are_told_of_a_node_that_is_gone(mosquitto: Mosquitto) -> None:
    east = Node(mosquitto, "east", Will("fleet/gone", b"east", QoS.AT_LEAST_ONCE))
    west = Node(mosquitto, "west")
    async with west.running():
        async with east.running():
            pass
        await west.until(count=1)
    assert [(each.topic, each.payload) for each in west.heard] == [("fleet/gone", b"east")]
