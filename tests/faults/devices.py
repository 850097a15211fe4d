"""Devices that never give up, and remember everything that the server ever acknowledged to them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.fleet import ClaimFleet
from tests.server import REALM

from fleetgate.agent.backoff import Backoff, Surroundings
from fleetgate.agent.client import dial
from fleetgate.agent.provision import Options, Result, provision
from fleetgate.agent.store import Identity, MemoryStore
from fleetgate.agent.tls import Endpoint, KeyTexts, present, trust
from fleetgate.database.port import Tx
from fleetgate.registry import attachments, certificates
from fleetgate.registry.certificates import Status
from fleetgate.wire.mqtt.packets import V5, Connect

NEVER_GIVING_UP = Backoff(attempts=100_000, first=0.05, longest=0.3)


@dataclass(slots=True)
class Steps:
    """Counts what devices do, so that somebody can wait until they have done so much more."""

    done: int = 0
    over: bool = False
    """All devices are where they want to be."""
    _waiting: list[tuple[int, asyncio.Event]] = field(default_factory=list)

    def step(self, said: str) -> None:
        if not said.startswith("Asking"):  # all else is also said while the server is away
            return
        self.done += 1
        for at, event in self._waiting:
            if at <= self.done:
                event.set()

    def finish(self) -> None:
        self.over = True
        for _, event in self._waiting:
            event.set()

    async def more(self, steps: int) -> None:
        """Wait for so many more steps, or for the end."""
        if self.over:
            return
        entry = (self.done + steps, asyncio.Event())
        self._waiting.append(entry)
        try:
            await entry[1].wait()
        finally:
            self._waiting.remove(entry)


class Memory(MemoryStore):
    """A device's store that forgets nothing it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.given: set[str] = set()
        """Every certificate that an answer brought."""
        self.accepted: set[tuple[str, str]] = set()
        """Certificate and thing of every accepted RegisterThing."""
        self.in_force = ""

    def keep(self, draft: Identity) -> None:
        super().keep(draft)
        if draft.certificate_id is not None:
            self.given.add(draft.certificate_id)
            if draft.registered:
                assert draft.thing_name is not None
                self.accepted.add((draft.certificate_id, draft.thing_name))

    def adopt(self) -> None:
        super().adopt()
        known = self.current()
        assert known is not None
        assert known.certificate_id is not None
        self.in_force = known.certificate_id


@dataclass(slots=True)
class Device:
    serial: str
    batch: str = "fleet"
    """Its template's name, under which its topics are."""
    store: Memory = field(default_factory=Memory)
    attempts: int = 0

    @property
    def credentials(self) -> KeyTexts:
        found = self.store.credentials(draft=False)
        assert isinstance(found, KeyTexts)
        return found

    async def provision(self, endpoint: Endpoint, fleet: ClaimFleet, around: Surroundings, **more: Any) -> Result:
        settings: dict[str, Any] = {"backoff": NEVER_GIVING_UP} | more
        options = Options(endpoint, self.batch, {"SerialNumber": self.serial}, **settings)
        result = await provision(options, fleet.claim, self.store, around)
        self.attempts = result.attempts
        return result

    async def connects(self, endpoint: Endpoint) -> None:
        """With the certificate in force, and may publish what its policy allows."""
        client = await dial(endpoint, present(trust(endpoint), self.credentials), Connect(self.serial, V5))
        try:
            await client.publish(f"{self.batch}/{self.serial}/hello", b"{}")
        finally:
            await client.disconnect()


def surroundings(steps: Steps, seed: int) -> Surroundings:
    return Surroundings(Random(seed).random, time.monotonic, asyncio.sleep, steps.step)


async def at_most(number: int, devices: list[Device], work: Callable[[Device], Any]) -> None:
    """*work* for every device, *number* of them at a time; the first failure ends it."""
    waiting = iter(devices)

    async def one_by_one() -> None:
        for device in waiting:
            await work(device)

    async with asyncio.TaskGroup() as group:
        for _ in range(number):
            group.create_task(one_by_one())


def missing(tx: Tx, devices: list[Device]) -> list[str]:
    """What was acknowledged and is not in the registry."""
    return [lost for device in devices for lost in _missing(tx, device)]


def _missing(tx: Tx, device: Device) -> Iterator[str]:
    for fingerprint in device.store.given:
        if certificates.find(tx, REALM, fingerprint) is None:
            yield f"{device.serial} was given {fingerprint}, which does not exist"
    for fingerprint, thing in device.store.accepted:
        if fingerprint not in {each.fingerprint for each in attachments.certificates_of(tx, REALM, thing)}:
            yield f"{device.serial} was told that {fingerprint} is {thing}'s, and it is not"
    found = certificates.find(tx, REALM, device.store.in_force)
    if found is None or found.status is not Status.ACTIVE:
        yield f"{device.serial} goes by {device.store.in_force}, which is {found and found.status}"
