"""The server in a world that fails: its database goes, its disk is full, wires break, hooks sleep, clocks are set."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import resource
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.faults import soundness
from tests.faults.devices import Device, Steps, at_most, missing, surroundings
from tests.faults.wire import Wire
from tests.fleet import ClaimFleet, endpoint, make_fleet, running_server
from tests.postgres import Server as Postgres
from tests.postgres import private_server
from tests.process import ServerProcess
from tests.server import FREE_PORTS, REALM

from fleetgate import config
from fleetgate.agent import requests
from fleetgate.agent.client import Client, dial
from fleetgate.agent.errors import ConnectionLost, Declined, Rejected
from fleetgate.agent.tls import Endpoint, KeyFiles, KeyTexts, present, trust
from fleetgate.app import Server, serve
from fleetgate.database.open import open_database
from fleetgate.database.port import Database
from fleetgate.registry import audit, certificates, claims, functions, things
from fleetgate.registry.certificates import Status
from fleetgate.wire.mqtt.errors import Reason
from fleetgate.wire.mqtt.packets import V5, Connect, Publish
from fleetgate.works import clock, database_address, works

SEED = 20_260_304
MINUTE = 60_000


async def founded(process: ServerProcess, **options: Any) -> ClaimFleet:
    """Found the installation, and fill it with everything that a fleet needs."""
    async with works(process.config) as opened:
        return await make_fleet(opened.runtime, process.folder / "claim", **options)


@contextlib.asynccontextmanager
async def running(process: ServerProcess) -> AsyncIterator[ServerProcess]:
    await process.start()
    try:
        yield process
    finally:
        await process.close()


@contextlib.asynccontextmanager
async def records(process: ServerProcess) -> AsyncIterator[Database]:
    """The server's database, beside the server."""
    database = open_database(database_address(process.config))
    try:
        yield database
    finally:
        await database.close()


async def connected(at: Endpoint, credentials: KeyFiles | KeyTexts, client_id: str, version: int = V5) -> Client:
    return await dial(at, present(trust(at), credentials), Connect(client_id, version, keep_alive=60))


async def asked(client: Client, operation: requests.Operation, request: dict[str, Any]) -> dict[str, Any]:
    """The accepted answer's members. Raises Rejected and whatever the connection raises."""
    with client.expecting(*operation.answers) as answer:
        await client.publish(operation.topic, operation.encode(request))
        message: Publish = await answer.within(20)
    return dict(operation.decode(message.topic, message.payload))


CREATE = requests.create_keys("json")


async def rejection(client: Client, operation: requests.Operation, request: dict[str, Any]) -> Rejected:
    with pytest.raises(Rejected) as rejected:
        await asked(client, operation, request)
    return rejected.value


async def status_of(url: str) -> int:
    def fetch() -> int:
        try:
            with urllib.request.urlopen(url, timeout=20) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    return await asyncio.to_thread(fetch)


async def once(ready: Callable[[], Awaitable[bool]]) -> None:
    """Wait until somebody else has done something."""
    async with asyncio.timeout(15):
        while not await ready():  # noqa: ASYNC110 # nobody tells
            await asyncio.sleep(0.02)


async def sound(database: Database, *devices: Device) -> None:
    await soundness.settled(database)
    assert await database.read(soundness.faults) == []
    assert await database.read(lambda tx: missing(tx, list(devices))) == []


# --- the database is away ---------------------------------------------------------------------------------------------


@pytest.fixture
def fragile() -> Iterator[Postgres]:
    """A database server of this test's own, to be killed."""
    with private_server("fsync = on") as server:
        yield server


@pytest.mark.postgres
async def test_postgres_goes_away_and_comes_back(fragile: Postgres, tmp_path: Path) -> None:
    with fragile.database() as url:
        process = ServerProcess.prepare(tmp_path, {"database.url": url})
        fleet = await founded(process)
        around = surroundings(Steps(), SEED)
        first, second = Device("BEFORE"), Device("MEANWHILE")
        async with running(process):
            at = process.endpoint
            await first.provision(at, fleet, around)
            own = await connected(at, first.credentials, first.serial)
            await own.subscribe("fleet/BEFORE/echo")
            claim = await connected(at, fleet.claim, "waiting")

            await asyncio.to_thread(fragile.kill)
            waiting = asyncio.create_task(second.provision(at, fleet, around))

            # Who is in stays in, and messages need no database.
            await own.publish("fleet/BEFORE/echo", b"still here")
            async for message in own.messages():
                assert message.payload == b"still here"
                break
            # Who asks is told that it is not his fault.
            refused = await rejection(claim, CREATE, {})
            assert (refused.status_code, refused.error_code) == (503, "ServiceUnavailable")
            assert refused.said == "The server cannot answer this now; try again later."
            with pytest.raises(Declined) as declined:
                await connected(at, first.credentials, first.serial + "-2")
            assert declined.value.reason_code is Reason.SERVER_UNAVAILABLE
            assert await status_of(f"http://127.0.0.1:{process.config.api.port}/_fleetgate/health") == 503

            await asyncio.to_thread(fragile.start)
            await waiting
            assert own.alive
            assert (await asked(claim, CREATE, {}))["certificateId"]
            assert await status_of(f"http://127.0.0.1:{process.config.api.port}/_fleetgate/health") == 200
            await at_most(2, [first, second], lambda device: device.connects(at))
            async with records(process) as database:
                await sound(database, first, second)

            # And it can be stopped without its database.
            await asyncio.to_thread(fragile.kill)
            try:
                assert await process.end() == 0, process.last_words()
            finally:
                await asyncio.to_thread(fragile.start)


# --- the disk is full -------------------------------------------------------------------------------------------------


async def test_a_full_disk(tmp_path: Path) -> None:
    """No file may grow for a while: every commit fails, as on a full disk."""
    process = ServerProcess.prepare(tmp_path)
    fleet = await founded(process)
    around = surroundings(Steps(), SEED)
    first, second = Device("BEFORE"), Device("MEANWHILE")
    async with running(process):
        at = process.endpoint
        await first.provision(at, fleet, around)
        claim = await connected(at, fleet.claim, "waiting")
        before = await asked(claim, CREATE, {})

        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        waiting = asyncio.create_task(second.provision(at, fleet, around))
        for request in (CREATE, requests.register_thing("fleet", "json")):
            members = {
                "certificateOwnershipToken": before["certificateOwnershipToken"],
                "parameters": {"SerialNumber": "NEVER"},
            }
            refused = await rejection(claim, request, members)
            assert (refused.status_code, refused.error_code) == (503, "ServiceUnavailable")
        await first.connects(at)  # which needs to read, not to write

        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await waiting
        members["parameters"] = {"SerialNumber": "LATER"}
        assert await asked(claim, requests.register_thing("fleet", "json"), members)
        await at_most(2, [first, second], lambda device: device.connects(at))
        async with records(process) as database:
            await sound(database, first, second)
            names = {thing.name for thing in (await database.read(lambda tx: things.page(tx, REALM))).items}
        assert names == {"BEFORE", "MEANWHILE", "LATER"}
        assert await process.end() == 0


# --- the server is stopped --------------------------------------------------------------------------------------------


@pytest.mark.timeout(120)
async def test_stopped_in_the_middle(tmp_path: Path) -> None:
    random = Random(SEED)
    process = ServerProcess.prepare(tmp_path)
    fleet = await founded(process)
    devices = [Device(f"STOP-{number:02}") for number in range(40)]
    steps = Steps()
    around = surroundings(steps, SEED)
    async with running(process):
        provisioning = asyncio.create_task(
            at_most(16, devices, lambda device: device.provision(process.endpoint, fleet, around))
        )
        provisioning.add_done_callback(lambda _: steps.finish())
        for _ in range(3):
            await steps.more(random.randint(5, 25))
            async with deaf_peer(process):
                assert await process.end() == 0, process.last_words()
            await process.start()
        await provisioning
        await at_most(16, devices, lambda device: device.connects(process.endpoint))
        async with records(process) as database:
            await sound(database, *devices)
            assert await database.read(lambda tx: len(things.page(tx, REALM, limit=100).items)) == len(devices)
            assert await database.read(soundness.unfinished) == 0, "what was begun was finished before the end"


@contextlib.asynccontextmanager
async def deaf_peer(process: ServerProcess) -> AsyncIterator[None]:
    """Somebody who has opened a connection, says nothing and hears nothing."""
    _, writer = await asyncio.open_connection("127.0.0.1", process.endpoint.port)
    try:
        yield
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


# --- the wire breaks --------------------------------------------------------------------------------------------------


async def test_a_wire_that_breaks_anywhere(tmp_path: Path) -> None:
    """After any number of bytes in either direction; the device comes again with the same key and arrives."""
    random = Random(SEED)
    async with running_server(tmp_path / "data") as server:
        fleet = await make_fleet(server.runtime, tmp_path / "claim")
        around = surroundings(Steps(), SEED)

        async def arrive(device: Device, wire: Wire) -> Wire:
            async with wire.open():
                ca_file = endpoint(server).ca_file
                at = Endpoint("127.0.0.1", wire.port, ca_file, server_name="localhost")
                await device.provision(at, fleet, around)
            return wire

        measured = Device("WHOLE")
        whole = await arrive(measured, Wire(server.mqtt_port))
        devices = [Device(f"CUT-{number:02}") for number in range(80)]
        wires = {
            device.serial: Wire(server.mqtt_port, upward, random.randint(0, whole.up if upward else whole.down))
            for device, upward in zip(devices, itertools.cycle([True, False]), strict=False)
        }
        await at_most(8, devices, lambda device: arrive(device, wires[device.serial]))
        assert all(wire.left is None for wire in wires.values()), "every wire has broken"
        database = server.runtime.database
        await sound(database, measured, *devices)
        statuses = await database.read(soundness.statuses)
        assert statuses[Status.INACTIVE] > 0, "an answer to RegisterThing was lost, and the certificate disabled"
        assert statuses[Status.PENDING_ACTIVATION] > 0, "an answer to CreateCertificateFromCsr was lost"
        assert statuses[Status.ACTIVE] == len(devices) + 2  # the one that measured, and the claim


# --- a hook that takes its time ---------------------------------------------------------------------------------------

SLEEPER = """
import os, time

HERE = os.path.dirname(os.path.abspath(__file__))

def lambda_handler(event, context):
    serial = event["parameters"]["SerialNumber"]
    open(os.path.join(HERE, serial + ".asked"), "w").close()
    while os.path.exists(os.path.join(HERE, serial + ".wait")):
        time.sleep(0.01)
    return {"allowProvisioning": True}
"""


class Hooked:
    """A fleet whose hook waits as long as a file is there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "hook.py").write_text(SLEEPER)

    async def fleet(self, server: Server) -> ClaimFleet:
        act = server.runtime.act(REALM, "system")
        file = str(self.folder / "hook.py")
        await server.runtime.write(lambda tx: functions.put(tx, act, "hook", file, "lambda_handler"))
        arn = f"arn:aws:lambda:{REALM.region}:{REALM.account}:function:hook"
        return await make_fleet(server.runtime, self.folder / "claim", template="hooked", hook=arn)

    def hold(self, serial: str) -> None:
        (self.folder / f"{serial}.wait").touch()

    def release(self, serial: str) -> None:
        (self.folder / f"{serial}.wait").unlink()

    async def asked(self, serial: str) -> None:
        async def there() -> bool:
            return (self.folder / f"{serial}.asked").exists()

        await once(there)


def register(serial: str, token: str) -> dict[str, Any]:
    return {"certificateOwnershipToken": token, "parameters": {"SerialNumber": serial}}


HOOKED = requests.register_thing("hooked", "json")


async def test_a_hook_that_sleeps(tmp_path: Path) -> None:
    """One answer, a refusal, at its time limit; others do not wait for it; the token is as good as before."""
    hooked = Hooked(tmp_path / "hook")
    async with running_server(tmp_path / "data", hooks__time_limit="1s") as server:
        plain, fleet = await make_fleet(server.runtime, tmp_path / "claim"), await hooked.fleet(server)
        at, around = endpoint(server), surroundings(Steps(), SEED)
        client = await connected(at, fleet.claim, "slow")
        token = (await asked(client, CREATE, {}))["certificateOwnershipToken"]

        hooked.hold("SLOW")
        slow = asyncio.create_task(rejection(client, HOOKED, register("SLOW", token)))
        await hooked.asked("SLOW")
        others = [Device(f"QUICK-{number}") for number in range(5)]
        await at_most(5, others, lambda device: device.provision(at, plain, around))
        assert not slow.done(), "five devices took longer than a hook's time limit"
        refused = await slow
        assert (refused.status_code, refused.error_code) == (403, "AccessDenied")

        hooked.release("SLOW")
        assert (await asked(client, HOOKED, register("SLOW", token)))["thingName"] == "SLOW"
        await client.disconnect()
        await sound(server.runtime.database, *others)


async def test_what_changes_while_a_hook_thinks_counts(tmp_path: Path) -> None:
    """The kill switch holds for requests that are under way."""
    hooked = Hooked(tmp_path / "hook")
    async with running_server(tmp_path / "data") as server:
        fleet = await hooked.fleet(server)
        client = await connected(endpoint(server), fleet.claim, "thief")
        token = (await asked(client, CREATE, {}))["certificateOwnershipToken"]
        hooked.hold("THIEF")
        await client.publish(HOOKED.topic, HOOKED.encode(register("THIEF", token)))
        await hooked.asked("THIEF")
        act = server.runtime.act(REALM, "system")
        await server.runtime.write(lambda tx: claims.set_enabled(tx, act, fleet.fingerprint, False))
        hooked.release("THIEF")
        asked_by = f"cert/{fleet.fingerprint}"

        async def refused() -> bool:
            await server.works.upkeep.finish()
            page = await server.runtime.database.read(lambda tx: audit.page(tx, REALM, action="RegisterThing"))
            return any(each.actor == asked_by and "is switched off" in each.reason for each in page.items)

        await once(refused)
        assert await server.runtime.database.read(lambda tx: things.find(tx, REALM, "THIEF")) is None
        await sound(server.runtime.database)


async def test_a_device_that_leaves_while_its_hook_thinks(tmp_path: Path) -> None:
    """Nobody hears the answer; the same key comes again and gets the thing."""
    hooked = Hooked(tmp_path / "hook")
    async with running_server(tmp_path / "data") as server:
        fleet = await hooked.fleet(server)
        at = endpoint(server)
        client = await connected(at, fleet.claim, "impatient")
        certificate = await asked(client, CREATE, {})
        hooked.hold("GONE")
        payload = HOOKED.encode(register("GONE", certificate["certificateOwnershipToken"]))
        await client.publish(HOOKED.topic, payload)
        await hooked.asked("GONE")
        client.abort()
        hooked.release("GONE")

        async def made() -> bool:
            return await server.runtime.database.read(lambda tx: things.find(tx, REALM, "GONE")) is not None

        await once(made)
        device = Device("GONE", "hooked")
        await device.provision(at, fleet, surroundings(Steps(), SEED))
        await sound(server.runtime.database, device)
        first = await server.runtime.database.read(lambda tx: certificates.get(tx, REALM, certificate["certificateId"]))
        assert first.status is Status.INACTIVE


# --- the clock is set -------------------------------------------------------------------------------------------------


async def test_a_clock_that_is_set(tmp_path: Path) -> None:
    """Forth and back again: nobody who is in is thrown out, and the next device is provisioned."""
    now = clock() - 50 * MINUTE
    settings = config.load(None, {"server.data_dir": str(tmp_path / "data"), "authority.key_pool": 0, **FREE_PORTS})
    async with serve(settings, clock=lambda: now) as server:
        fleet = await make_fleet(server.runtime, tmp_path / "claim")
        at, around = endpoint(server), surroundings(Steps(), SEED)
        early, late, back = Device("EARLY"), Device("LATE"), Device("BACK")
        await early.provision(at, fleet, around)
        live = await connected(at, early.credentials, early.serial)

        now += 50 * MINUTE
        server.courier.tick()
        await late.provision(at, fleet, around)
        now -= 30 * MINUTE
        server.courier.tick()
        await back.provision(at, fleet, around)

        await live.publish("fleet/EARLY/hello", b"{}")
        assert live.alive
        for device in (early, back):
            await device.connects(at)
        with pytest.raises((ConnectionLost, Declined)):  # its certificate is of a time to come
            await late.connects(at)
        now += 30 * MINUTE
        await late.connects(at)
        await live.disconnect()
        await sound(server.runtime.database, early, late, back)
