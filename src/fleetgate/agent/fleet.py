"""Many simulated devices at once: each provisions itself as a real one would, key, certificate, thing and all.

    async for device in simulate(Fleet(options, claim, count=25)): print(device.serial, device.thing_name)

Made to cost little beside the server it is pointed at: P-256 keys, one TLS context for all claim connections and one
for each worker's own certificates.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from fleetgate.agent import tls
from fleetgate.agent.backoff import Surroundings
from fleetgate.agent.client import Client, dial
from fleetgate.agent.errors import AgentFailed
from fleetgate.agent.provision import SURROUNDINGS, Dial, Flow, Options, Result, Seconds, already
from fleetgate.agent.store import FolderStore, MemoryStore, Store
from fleetgate.agent.tls import Credentials, Endpoint
from fleetgate.wire.mqtt.packets import Connect


@dataclass(frozen=True, slots=True)
class Fleet:
    """What to simulate."""

    options: Options
    """For every device; its serial number is put beside the parameters."""
    claim: Credentials
    count: int
    concurrency: int = 32
    """Devices on their way at the same time."""
    serial_prefix: str = "SIM-"
    first: int = 1
    """The first serial number is the prefix and this number in six digits."""
    serial_parameter: str = "SerialNumber"
    folder: Path | None = None
    """Keep each device's identity in a folder of its serial number in here; None: in memory."""
    connect_patience: float = 10.0
    """Seconds after which the whole fleet gives up where not one device has connected, even once."""
    around: Surroundings = SURROUNDINGS
    """`failed` is told of the first failure alone."""
    dialler: Dial = field(default=dial)

    def serials(self) -> Iterator[str]:
        return (f"{self.serial_prefix}{number:06d}" for number in range(self.first, self.first + self.count))


@dataclass(frozen=True, slots=True)
class Device:
    """A simulated device that is done, one way or the other."""

    serial: str
    thing_name: str | None
    certificate_id: str | None
    seconds: Seconds
    total: float
    """Seconds from its first step to its last, with everything it had to wait for."""
    attempts: int
    error: AgentFailed | None
    """Why it is not provisioned."""


def simulate(fleet: Fleet) -> Simulation:
    """An asynchronous iterator of `Device`, each as soon as it is done; leaving it early stops the rest.

    Raises CredentialsUnusable for a claim or a CA file that cannot be used.
    """
    return Simulation(fleet)


class Simulation(AsyncIterator[Device]):
    """A fleet on its way."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._claimed = tls.present(tls.trust(fleet.options.endpoint), fleet.claim)
        self._serials = fleet.serials()
        self._around = replace(fleet.around, failed=self._failed)
        self._done: asyncio.Queue[Device | Exception | None] = asyncio.Queue()
        self._workers: list[asyncio.Task[None]] = []
        self._begun = 0.0
        self._cpu_begun = 0.0
        self.seconds = 0.0
        """From the beginning to the device that was done last."""
        self.cpu_seconds = 0.0
        """Of this process, over the same time: whatever else runs in it is in there."""
        self.finished = 0
        self.first_failure: AgentFailed | None = None
        """Of any attempt of any device."""
        self.hopeless = False
        """Nothing has ever connected, so the rest was not tried."""
        self._connected = False
        self._since = 0.0

    @property
    def cpu_per_device(self) -> float:
        """Seconds."""
        return self.cpu_seconds / self.finished if self.finished else 0.0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Device:
        if not self._workers:
            self._start()
        if self.finished == self._fleet.count or self.hopeless:
            raise StopAsyncIteration
        device = await self._done.get()
        if device is None:
            await self._give_up()
            raise StopAsyncIteration
        if isinstance(device, Exception):
            await self.aclose()
            raise device
        self.finished += 1
        self.seconds = time.monotonic() - self._begun
        self.cpu_seconds = time.process_time() - self._cpu_begun
        if not self._connected and device.error is not None and len(self._workers) <= self.finished < self._fleet.count:
            await self._give_up()
        return device

    async def _give_up(self) -> None:
        self.hopeless = True
        self.seconds = time.monotonic() - self._begun
        await self.aclose()

    def _failed(self, error: AgentFailed) -> None:
        fleet = self._fleet
        if self.first_failure is None:
            self.first_failure = error
            fleet.around.failed(error)
        if not self._connected and fleet.around.clock() - self._since >= fleet.connect_patience:
            self._done.put_nowait(None)

    async def _dial(self, endpoint: Endpoint, context: ssl.SSLContext, connect: Connect, seconds: float) -> Client:
        client = await self._fleet.dialler(endpoint, context, connect, seconds)
        self._connected = True
        return client

    async def aclose(self) -> None:
        """Stop every device that is still on its way."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)

    def _start(self) -> None:
        self._begun, self._cpu_begun = time.monotonic(), time.process_time()
        self._since = self._fleet.around.clock()
        number = min(self._fleet.concurrency, self._fleet.count)
        self._workers = [asyncio.create_task(self._work()) for _ in range(number)]

    async def _work(self) -> None:
        """Take serial numbers until none is left."""
        own = tls.trust(self._fleet.options.endpoint)
        for serial in self._serials:
            try:
                self._done.put_nowait(await self._device(serial, own))
            except Exception as bug:  # noqa: BLE001 # handed to whoever waits for the device, who would wait for ever
                self._done.put_nowait(bug)

    async def _device(self, serial: str, own: ssl.SSLContext) -> Device:
        fleet, begin = self._fleet, self._fleet.around.clock()
        parameters = {**fleet.options.parameters, fleet.serial_parameter: serial}
        options = replace(fleet.options, parameters=parameters)
        result: Result | None = None
        failed: AgentFailed | None = None
        try:
            with ExitStack() as stack:
                store: Store = MemoryStore()
                if fleet.folder is not None:
                    store = stack.enter_context(FolderStore(fleet.folder / serial))
                flow = Flow(options, store, self._claimed, own, self._around, self._dial)
                result = already(store, options) or await flow.run()
        except AgentFailed as error:
            failed = error
        return Device(
            serial=serial,
            thing_name=result.thing_name if result else None,
            certificate_id=result.certificate_id if result else None,
            seconds=result.seconds if result else Seconds(),
            total=fleet.around.clock() - begin,
            attempts=result.attempts if result else 0,
            error=failed,
        )
