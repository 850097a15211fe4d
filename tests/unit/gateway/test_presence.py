"""Lifecycle events: what is told, and how a client's connections are counted."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.fleet import House, opened
from tests.server import REALM

from fleetgate.access import Principal, SignedPrincipal
from fleetgate.gateway.observer import Departure
from fleetgate.gateway.presence import FORGOTTEN_AFTER, Presence
from fleetgate.names import Realm
from fleetgate.wire.mqtt.packets import Publish


@dataclass(eq=False)
class Guest:
    client_id: str
    realm: Realm = REALM
    address: str = "10.0.0.1"
    thing: str | None = None

    @property
    def principal(self) -> Principal:
        return SignedPrincipal(REALM, "p", "p", ())


class Hall:
    def __init__(self, house: House) -> None:
        self.house, self.told, self.wanted = house, list[tuple[str, Any]](), True
        self.presence = Presence(house.runtime, lambda realm, topic: self.wanted, self._publish)

    def _publish(self, realm: Realm, message: Publish) -> None:
        self.told.append((message.topic, json.loads(message.payload)))

    def version(self, guest: Guest) -> int:
        self.presence.connected(guest)
        version: int = self.told[-1][1]["versionNumber"]
        return version


@pytest.fixture
async def hall(tmp_path: Path) -> AsyncIterator[Hall]:
    async with opened(tmp_path) as house:
        yield Hall(house)


async def test_versions_count_connections_until_an_hour_without_one(hall: Hall) -> None:
    for version in (0, 1):
        guest = Guest("c")
        assert hall.version(guest) == version
        hall.presence.disconnected(guest, Departure.CONNECTION_LOST)
        assert hall.told[-1][1]["versionNumber"] == version
    hall.house.time[0] += FORGOTTEN_AFTER - 1
    guest = Guest("c")
    assert hall.version(guest) == 2
    hall.house.time[0] += 2 * FORGOTTEN_AFTER
    assert hall.version(Guest("other")) == 0  # this sweeps, and "c" is online
    hall.presence.disconnected(guest, Departure.CLIENT_INITIATED_DISCONNECT)
    assert hall.told[-1][1]["clientInitiatedDisconnect"] is True
    hall.house.time[0] += FORGOTTEN_AFTER
    assert hall.version(Guest("c")) == 0


async def test_those_away_have_a_bound(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleetgate.gateway.presence.MOST_AWAY", 2)
    for name in ("a", "b", "c"):
        guest = Guest(name)
        hall.version(guest)
        hall.presence.disconnected(guest, Departure.CONNECTION_LOST)
    assert [hall.version(Guest(name)) for name in ("d", "a", "b", "c")] == [0, 0, 1, 1]


async def test_a_displaced_connection_is_told_by_its_own_version(hall: Hall) -> None:
    first, second = Guest("c"), Guest("c")
    assert (hall.version(first), hall.version(second)) == (0, 1)
    hall.presence.disconnected(first, Departure.DUPLICATE_CLIENTID)
    assert hall.told[-1][1]["versionNumber"] == 0
    hall.house.time[0] += 2 * FORGOTTEN_AFTER
    hall.version(Guest("other"))
    assert hall.version(Guest("c")) == 2  # the second one was never away


async def test_what_is_not_told(hall: Hall) -> None:
    hall.presence.connected(Guest("a+b"))
    hall.presence.disconnected(Guest("never came"), Departure.CONNECTION_LOST)
    hall.presence.subscribed(Guest("never came"), ["a"])
    hall.wanted = False
    hall.presence.connected(Guest("c"))
    assert hall.told == []
