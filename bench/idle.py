"""`make bench-idle`: many devices that are connected and say nothing, and all of them coming back at once.

Each device has a thing and a certificate of its own. What a connection holds of the server's memory is measured with
all of them inside; then the server is killed as by `kill -9` and started again on the same data and ports, and every
device comes back as the device SDKs do: at once, and after a failure later and later, at a moment drawn at random.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import uvloop
from bench import wire
from bench.wire import Wire
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from OpenSSL import SSL, crypto
from rich.console import Console
from rich.table import Table
from tests.process import ServerProcess
from tests.server import REALM

from fleetgate.database.port import Tx
from fleetgate.names import Act
from fleetgate.pki.identity import Identity
from fleetgate.provisioning import own_certificate
from fleetgate.registry import attachments, policies, things
from fleetgate.registry.certificates import Status
from fleetgate.works import works

DEVICES: Final = 10_000
MOST_MEMORY: Final = 1536 * 1024 * 1024
"""Bytes that a server may hold with `DEVICES` connections inside."""
SECONDS: Final = 300.0
"""For all of them to be back."""
ARRIVING: Final = 200
"""Connections being made at the same time, the first time."""
_KEEP_ALIVE: Final = 1200
# As the device SDKs wait by default: doubled with each failure, drawn at random below that.
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 128.0
_PATIENCE: Final = 20.0
_POLICY: Final = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "iot:Connect",
                "Resource": REALM.arn("client", "${iot:Connection.Thing.ThingName}"),
            }
        ],
    }
)
_AT_ONCE: Final = 250


@dataclass(frozen=True, slots=True)
class Identities:
    """A device's name, and its certificate and key as DER and PEM."""

    name: str
    certificate: bytes
    key: bytes


def make(number: int) -> Identities:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"sensor-{number:05}")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Identities(f"sensor-{number:05}", certificate.public_bytes(Encoding.PEM), private)


def enter(tx: Tx, act: Act, devices: list[Identities]) -> None:
    """Their things and certificates, attached to each other and to the policy."""
    for device in devices:
        certificate = own_certificate.register_without_ca(
            tx, act, Identity.read(device.certificate.decode()), Status.ACTIVE
        )
        things.create(tx, act, device.name)
        attachments.attach_principal(tx, act, device.name, certificate.fingerprint)
        attachments.attach_policy(tx, act, "sensors", act.realm.arn("cert", certificate.fingerprint))


async def fill(server: ServerProcess, devices: list[Identities], told: Callable[[int], None]) -> None:
    async with works(server.config) as opened:
        act = opened.runtime.act(REALM, "system")
        await opened.runtime.write(lambda tx: policies.create(tx, act, "sensors", _POLICY))
        for begin in range(0, len(devices), _AT_ONCE):
            some = devices[begin : begin + _AT_ONCE]
            await opened.runtime.write(lambda tx, some=some: enter(tx, act, some))  # type: ignore[misc] # bound now
            told(begin + len(some))


# --- the devices' process ---------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Device:
    """One device that stays: it comes back whenever it was cut off."""

    name: str
    context: SSL.Context
    port: int
    inside: Callable[[int], None]
    """Told +1 when the server took it in, -1 when it was cut off."""
    attempts: int = 0
    _gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def live(self, places: asyncio.Semaphore) -> None:
        async with places:
            taken_in = await self._attempt()
        while True:
            if taken_in:
                await self._gone.wait()
                self.inside(-1)
            failures = 0
            while not (taken_in := await self._attempt()):
                failures += 1
                await asyncio.sleep(random.uniform(0, min(_LONGEST_WAIT, _FIRST_WAIT * 2**failures)))

    async def _attempt(self) -> bool:
        self.attempts += 1
        loop = asyncio.get_running_loop()
        self._gone = asyncio.Event()
        accepted: asyncio.Future[bool] = loop.create_future()

        def take(_: Wire, kind: int, body: bytes) -> None:
            if kind == wire.CONNACK and not accepted.done():
                accepted.set_result(body[1] == 0)

        def lost() -> None:
            self._gone.set()
            if not accepted.done():
                accepted.set_result(False)

        hello = wire.connect(self.name, _KEEP_ALIVE)
        try:
            async with asyncio.timeout(_PATIENCE):
                transport, _ = await loop.create_connection(
                    lambda: Wire(self.context, hello, take, lost), "127.0.0.1", self.port
                )
        except (OSError, TimeoutError):
            return False
        try:
            async with asyncio.timeout(_PATIENCE):
                taken_in = await accepted
        except TimeoutError:
            transport.abort()
            return False
        if taken_in:
            self.inside(1)
        return taken_in


def context_of(device: Identities) -> SSL.Context:
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.use_certificate(crypto.X509.from_cryptography(x509.load_pem_x509_certificate(device.certificate)))
    context.use_privatekey(crypto.load_privatekey(crypto.FILETYPE_PEM, device.key))
    return context


async def _fleet(end: Connection, port: int, devices: list[Identities]) -> None:
    """Answers each word on *end* with how many are inside and how many attempts there were."""
    count = 0

    def inside(change: int) -> None:
        nonlocal count
        count += change

    fleet = [Device(device.name, context_of(device), port, inside) for device in devices]
    places = asyncio.Semaphore(ARRIVING)
    lives = [asyncio.create_task(device.live(places)) for device in fleet]
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(end.fileno(), asked.set)
    while True:
        await asked.wait()
        asked.clear()
        while end.poll():
            if end.recv() == "end":
                for life in lives:
                    life.cancel()
                return
            end.send((count, sum(device.attempts for device in fleet)))


def _live(end: Connection, port: int, devices: list[Identities]) -> None:
    with suppress(EOFError, KeyboardInterrupt):
        uvloop.run(_fleet(end, port, devices))


@dataclass(slots=True)
class Fleet:
    """The devices' process, seen from outside."""

    end: Connection
    process: Any

    @classmethod
    def start(cls, port: int, devices: list[Identities]) -> Fleet:
        spawn = multiprocessing.get_context("spawn")
        ours, theirs = spawn.Pipe()
        process = spawn.Process(target=_live, args=(theirs, port, devices), daemon=True)
        process.start()
        return cls(ours, process)

    def ask(self) -> tuple[int, int]:
        """How many are inside; how often somebody tried."""
        self.end.send("count")
        if not self.end.poll(SECONDS):
            raise RuntimeError("The devices' process says nothing.")
        inside, attempts = self.end.recv()
        return inside, attempts

    def close(self) -> None:
        with suppress(OSError):
            self.end.send("end")
        self.process.join(30)
        self.process.kill()


# --- what is measured -------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Arrival:
    """How a fleet came in."""

    seconds: dict[str, float] = field(default_factory=dict)
    """Until half, 99 of a hundred, and all were inside."""
    attempts: int = 0
    memory: int = 0
    """The most that the server held meanwhile, bytes."""

    @property
    def complete(self) -> bool:
        return "all" in self.seconds


async def arrival(
    fleet: Fleet, server: ServerProcess, count: int, seconds: float, show: Callable[[str], None], before: int = 0
) -> Arrival:
    """Watch for *seconds* at most until all are inside; *before* attempts were made already."""
    began, found = time.monotonic(), Arrival()
    marks = {"half": count // 2, "99 of 100": count * 99 // 100, "all": count}
    while not found.complete and time.monotonic() < began + seconds:
        await asyncio.sleep(0.1)
        inside, attempts = fleet.ask()
        found.attempts = attempts - before
        found.memory = max(found.memory, server.rss())
        for name, mark in marks.items():
            if inside >= mark:
                found.seconds.setdefault(name, time.monotonic() - began)
        show(f"{inside:,} of {count:,} inside, {found.attempts:,} attempts")
    return found


async def measure(count: int, seconds: float, console: Console) -> dict[str, Any]:
    def show(text: str) -> None:
        if console.is_terminal:
            console.print(f"{text:<70}", end="\r")

    console.print(f"{count:,} devices, each with a thing and a certificate of its own")
    devices = [make(number) for number in _counted(count, show)]
    with tempfile.TemporaryDirectory(prefix="fleetgate-bench-") as folder:
        server = ServerProcess.prepare(Path(folder), {"gateway.maximum_connections": count + 100})
        await fill(server, devices, lambda done: show(f"{done:,} entered"))
        await server.start()
        fleet = None
        try:
            empty = server.rss()
            fleet = Fleet.start(server.config.gateway.mqtt_port, devices)
            first = await arrival(fleet, server, count, seconds, show)
            await asyncio.sleep(2)  # what follows the connects: events, the audit trail's seal
            memory = server.rss()
            before = fleet.ask()[1]
            await server.kill()
            await server.start()
            storm = await arrival(fleet, server, count, seconds, show, before)
        finally:
            if fleet is not None:
                fleet.close()
            await server.close()
    return {
        "devices": count,
        "memory_empty": empty,
        "memory": memory,
        "memory_each": (memory - empty) / count,
        "first": _plain(first),
        "storm": _plain(storm),
        "well": first.complete and storm.complete and memory <= MOST_MEMORY,
    }


def _counted(count: int, show: Callable[[str], None]) -> Iterator[int]:
    for number in range(count):
        if number % 500 == 0:
            show(f"{number:,} certificates made")
        yield number


def _plain(arrived: Arrival) -> dict[str, Any]:
    return {"seconds": arrived.seconds, "attempts": arrived.attempts, "memory": arrived.memory}


def table(found: dict[str, Any]) -> Table:
    shown = Table(title=f"{found['devices']:,} idle TLS connections, MQTT 3.1.1, one server process")
    for column in ("", "half in, s", "99 % in, s", "all in, s", "attempts", "most memory, MiB"):
        shown.add_column(column, justify="left" if not column else "right")
    for name, label in (("first", "first arrival"), ("storm", "after kill -9")):
        part = found[name]
        times = [f"{part['seconds'][mark]:.1f}" if mark in part["seconds"] else "-" for mark in _MARKS]
        shown.add_row(label, *times, f"{part['attempts']:,}", f"{part['memory'] / 2**20:,.0f}")
    return shown


_MARKS: Final = ("half", "99 of 100", "all")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=DEVICES)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for all to arrive, each time")
    parser.add_argument("--json", type=Path, help="a file for the numbers")
    options = parser.parse_args()
    console = Console()
    found = uvloop.run(measure(options.devices, options.seconds, console))
    console.print(table(found))
    console.print(
        f"server: {found['memory_empty'] / 2**20:.0f} MiB empty, {found['memory'] / 2**20:,.0f} MiB with all inside: "
        f"{found['memory_each'] / 1024:.1f} KiB for each connection"
    )
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    return 0 if found["well"] else 1


if __name__ == "__main__":
    sys.exit(main())
