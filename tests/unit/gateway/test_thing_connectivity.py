"""Who is connected: what is written down, what a crash leaves behind, and what nobody asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.fleet import House, opened
from tests.server import REALM

from fleetgate.access import Principal, SignedPrincipal
from fleetgate.gateway.observer import Departure
from fleetgate.gateway.thing_connectivity import ThingConnectivity
from fleetgate.names import Realm
from fleetgate.registry import connectivity, indexing, outbox, things
from fleetgate.registry.connectivity import Connectivity
from fleetgate.wire.mqtt.packets import Connect

STATUS = {"thingIndexingMode": "REGISTRY", "thingConnectivityIndexingMode": "STATUS"}
PACKET = Connect("lamp", keep_alive=60)


@dataclass(eq=False)
class Guest:
    client_id: str = "lamp"
    thing: str | None = "lamp"
    realm: Realm = REALM
    address: str = "10.0.0.1"

    @property
    def principal(self) -> Principal:
        return SignedPrincipal(REALM, "p", "p", ())


class Hall:
    def __init__(self, house: House) -> None:
        self.house, self.log = house, ThingConnectivity(house.runtime)

    async def index(self, **mode: str) -> None:
        act = self.house.runtime.act(REALM, "system")
        await self.house.runtime.database.write(lambda tx: indexing.update(tx, act, mode))
        self.log.consume(await self.house.runtime.database.read(lambda tx: outbox.pending(tx, 100)))

    async def known(self, name: str = "lamp") -> Connectivity | None:
        await self.log.finish(10)
        return await self.house.runtime.database.read(lambda tx: connectivity.find(tx, REALM, name))


@pytest.fixture
async def hall(tmp_path: Path) -> AsyncIterator[Hall]:
    async with opened(tmp_path) as house:
        act = house.runtime.act(REALM, "system")
        await house.runtime.database.write(lambda tx: things.create(tx, act, "lamp"))
        yield Hall(house)


async def test_nothing_is_written_where_connectivity_is_not_indexed(hall: Hall) -> None:
    await hall.log.load()
    hall.log.connected(Guest(), PACKET)
    assert await hall.known() is None


async def test_who_is_there_when_it_is_switched_on_is_written(hall: Hall) -> None:
    hall.log.connected(Guest(), PACKET)
    hall.log.connected(Guest("other", None), PACKET)
    await hall.index(**STATUS)
    known = await hall.known()
    assert known is not None
    assert (known.connected, known.client_id, known.keep_alive, known.reason) == (True, "lamp", 60, None)


async def test_a_displaced_connection_says_nothing_of_its_thing(hall: Hall) -> None:
    await hall.index(**STATUS)
    old, new = Guest(), Guest()
    hall.log.connected(old, PACKET)
    hall.log.connected(new, PACKET)
    hall.log.disconnected(old, Departure.DUPLICATE_CLIENTID)
    known = await hall.known()
    assert known is not None
    assert known.connected
    hall.log.disconnected(new, Departure.CONNECTION_LOST)
    known = await hall.known()
    assert known is not None
    assert (known.connected, known.reason) == (False, "CONNECTION_LOST")


async def test_a_server_that_died_has_nobody_connected(hall: Hall) -> None:
    await hall.index(**STATUS)
    hall.log.connected(Guest(), PACKET)
    assert (await hall.known()) is not None
    after = ThingConnectivity(hall.house.runtime)
    await after.load()
    known = await hall.known()
    assert known is not None
    assert (known.connected, known.reason) == (False, "SERVER_ERROR")
    after.connected(Guest(), PACKET)  # it knows by itself that connectivity is indexed
    await after.finish(10)
    known = await hall.known()
    assert known is not None
    assert known.connected
