"""`kill -9` of one of two nodes while devices are provisioned: all arrive at the other, and nothing is doubled."""

from __future__ import annotations

import asyncio
import time
import uuid
from pathlib import Path
from random import Random

import pytest
from tests.faults import soundness
from tests.faults.devices import Device, Steps, at_most, missing, surroundings
from tests.faults.test_kill import founded, opened
from tests.faults.test_kill_bulk import named
from tests.fleet import ClaimFleet
from tests.mosquitto import Mosquitto
from tests.process import ServerProcess, free_port
from tests.server import REALM, policy_document, statement

from fleetgate.agent.backoff import Backoff
from fleetgate.agent.client import Client, dial
from fleetgate.agent.errors import AgentFailed
from fleetgate.agent.tls import Endpoint, present, trust
from fleetgate.names import Act
from fleetgate.registry import policies, things
from fleetgate.wire.mqtt.packets import V5, Connect
from fleetgate.wire.mqtt.properties import Properties

DEVICES = 160
AT_ONCE = 16
SEED = 20_261_101

pytestmark = pytest.mark.postgres


def node(folder: Path, name: str, shared: Path, url: str, broker: Mosquitto) -> ServerProcess:
    """One of several that share the CA's files in *shared*, the database and the broker."""
    (folder / name).mkdir()
    return ServerProcess.prepare(
        folder / name,
        {
            "server.data_dir": str(shared),
            "database.url": named(url),
            "nodes.bus": broker.url,
            "nodes.name": name,
            "gateway.mqtt_port": free_port(),
            "gateway.https_port": free_port(),
            "api.port": free_port(),
        },
    )


class Failover:
    """Every device has its turn at each node, as behind a load balancer that sees who is there."""

    def __init__(self, *nodes: ServerProcess) -> None:
        self._nodes, self._turn = nodes, 0

    @property
    def endpoint(self) -> Endpoint:
        self._turn += 1
        able = [each for each in self._nodes if each.running] or list(self._nodes)
        return able[self._turn % len(able)].endpoint


async def arrive(device: Device, nodes: Failover, fleet: ClaimFleet, steps: Steps, random: Random) -> None:
    """Provision at any node, at another one when that is gone."""
    while True:
        try:
            around = surroundings(steps, random.randrange(2**32))
            await device.provision(nodes.endpoint, fleet, around, backoff=Backoff(3, 0.01, 0.05))
        except AgentFailed:
            continue
        return


@pytest.mark.timeout(180)
async def test_a_node_dies_among_devices_that_are_provisioned(
    tmp_path: Path, postgres_url: str, mosquitto: Mosquitto
) -> None:
    random, steps = Random(SEED), Steps()
    shared = tmp_path / "shared"
    east, west = (node(tmp_path, name, shared, postgres_url, mosquitto) for name in ("east", "west"))
    fleet = await founded(east)
    devices = [Device(f"NODE-{number:03}") for number in range(DEVICES)]
    try:
        await east.start()
        await west.start()
        nodes = Failover(east, west)

        async def kill() -> None:
            await steps.more(random.randint(80, 120))
            await west.kill()
            await west.start()
            await steps.more(random.randint(20, 40))
            assert not steps.over
            await east.kill()

        killing = asyncio.create_task(kill())
        provisioning = asyncio.create_task(
            at_most(AT_ONCE, devices, lambda device: arrive(device, nodes, fleet, steps, random))
        )
        provisioning.add_done_callback(lambda _: steps.finish())
        await asyncio.gather(provisioning, killing)
        await east.start()
        await at_most(AT_ONCE, devices, lambda device: device.connects(nodes.endpoint))
        async with opened(east) as database:
            await soundness.settled(database)
            assert await database.read(soundness.faults) == []
            assert await database.read(lambda tx: missing(tx, devices)) == []
            names = await database.read(lambda tx: things.page(tx, REALM, limit=DEVICES + 1))
            assert [thing.name for thing in names.items] == [device.serial for device in devices]
        assert await east.end() == 0
        assert await west.end() == 0
    finally:
        await east.close()
        await west.close()


def lasting(device: Device) -> Connect:
    return Connect(device.serial, V5, clean_start=False, properties=Properties(session_expiry_interval=3600))


async def here(device: Device, at: ServerProcess) -> Client:
    return await dial(at.endpoint, present(trust(at.endpoint), device.credentials), lasting(device))


@pytest.mark.parametrize("at_once", [False, True], ids=["after it was adopted", "at once"])
async def test_what_waits_for_a_device_outlives_the_node_that_kept_it(
    tmp_path: Path, postgres_url: str, mosquitto: Mosquitto, at_once: bool
) -> None:
    """Its session is on a node that is killed; what is said meanwhile to the other one is there when it comes."""
    shared = tmp_path / "shared"
    east, west = (node(tmp_path, name, shared, postgres_url, mosquitto) for name in ("east", "west"))
    fleet = await founded(east)
    steps, device = Steps(), Device("SLEEPER")
    try:
        await east.start()
        await west.start()
        await device.provision(west.endpoint, fleet, surroundings(steps, SEED))
        await allow_anything(east, fleet)
        topic = f"{device.batch}/{device.serial}"
        client = await here(device, west)
        await client.subscribe(f"{topic}/work")
        await client.disconnect()
        speaker = await dial(east.endpoint, present(trust(east.endpoint), device.credentials), Connect("SPEAKER", V5))
        await speaker.publish(f"{topic}/work", b"before")
        await west.kill()
        for number in range(5):
            await speaker.publish(f"{topic}/work", b"%d" % number)
        if not at_once:
            await adopted(east)
            await speaker.publish(f"{topic}/work", b"after")
        client = await here(device, east)
        if at_once:
            await speaker.publish(f"{topic}/work", b"after")
        await speaker.disconnect()
        heard: list[bytes] = []
        async with asyncio.timeout(20):
            async for message in client.messages():
                heard.append(message.payload)
                if message.payload == b"after":
                    break
        await client.disconnect()
        # At least once: what the dead node had written down already may come again.
        assert list(dict.fromkeys(heard)) == [b"before", b"0", b"1", b"2", b"3", b"4", b"after"]
    finally:
        await east.close()
        await west.close()


async def allow_anything(process: ServerProcess, fleet: ClaimFleet) -> None:
    """To the devices of *fleet*, so that one of them may speak while the other sleeps."""
    async with opened(process) as database:
        act = Act(REALM, "system", int(time.time() * 1000), str(uuid.UUID(int=1)))
        document = policy_document(statement("iot:*", "*"))
        await database.write(lambda tx: policies.create_version(tx, act, fleet.policy, document, set_as_default=True))


async def adopted(process: ServerProcess) -> None:
    """Wait until it keeps the sessions of the node that died."""
    async with asyncio.timeout(30):
        while not any("sessions of dead nodes adopted" in line for line in process.log):  # noqa: ASYNC110 # a log's line sets no event
            await asyncio.sleep(0.05)
