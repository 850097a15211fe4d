"""`kill -9` while messages are published for a client that is away, and while it fetches them: none that was
acknowledged is missing, and the session, its subscriptions and the retained messages are there.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest
from tests.process import ServerProcess
from tests.server import REALM, policy_document, statement

from fleetgate import authority
from fleetgate.agent.client import Client, dial
from fleetgate.agent.errors import AgentFailed
from fleetgate.agent.tls import KeyTexts, present, trust
from fleetgate.database.port import Tx
from fleetgate.pki import keys
from fleetgate.pki.keys import KeyKind
from fleetgate.registry import attachments, policies
from fleetgate.registry.certificates import Status
from fleetgate.wire.mqtt.packets import V4, V5, Connect
from fleetgate.works import works

ROUNDS, MESSAGES = 3, 40
SEEDS = {"sqlite": 20_261_122, "postgres": 20_261_123}


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
async def process(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[ServerProcess]:
    settings = {}
    if request.param == "postgres":
        settings["database.url"] = request.getfixturevalue("postgres_url")
    process = ServerProcess.prepare(tmp_path, settings)
    yield process
    await process.close()


@pytest.fixture
def random(request: pytest.FixtureRequest) -> Random:
    return Random(SEEDS["postgres" if "postgres" in request.node.name else "sqlite"])


class Tally:
    """Numbers, in the order in which they came."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self._more = asyncio.Event()

    def add(self, number: int) -> None:
        self.numbers.append(number)
        self._more.set()

    async def reaches(self, count: int) -> None:
        async with asyncio.timeout(20):
            while len(self.numbers) < count:
                self._more.clear()
                await self._more.wait()


async def device(process: ServerProcess) -> ssl.SSLContext:
    """A certificate that may do everything, as a client presents it."""
    key = keys.generate(KeyKind.EC_P256)
    async with works(process.config) as opened:
        runtime = opened.runtime
        act = runtime.act(REALM, "system")
        issued = await authority.issue(runtime, act, key.public_key())

        def make(tx: Tx) -> None:
            authority.record(tx, act, issued, Status.ACTIVE)
            policies.create(tx, act, "all", policy_document(statement("iot:*", "*")))
            attachments.attach_policy(tx, act, "all", REALM.arn("cert", issued.fingerprint))

        await runtime.write(make)
    return present(trust(process.endpoint), KeyTexts(issued.pem, keys.private_key_pem(key)))


async def absent(process: ServerProcess, context: ssl.SSLContext) -> Client:
    """The session of the client that is mostly away."""
    return await dial(process.endpoint, context, Connect("away", V4, clean_start=False))


async def publish(process: ServerProcess, context: ssl.SSLContext, numbers: range, acknowledged: Tally) -> None:
    """Until it is done or the server is gone."""
    try:
        client = await dial(process.endpoint, context, Connect("publisher", V5))
        for number in numbers:
            await client.publish("t", b"%d" % number)
            await client.publish("last", b"%d" % number, retain=True)
            acknowledged.add(number)
        await client.disconnect()
    except AgentFailed:
        pass


async def fetch(client: Client, heard: Tally, until: int | None) -> None:
    """What waits for it, up to the message *until*, or until the server is gone."""
    try:
        async for message in client.messages():
            if message.topic == "t":
                heard.add(int(message.payload))
                if heard.numbers[-1] == until:
                    break
        await client.disconnect()
    except AgentFailed:
        pass


@pytest.mark.timeout(120)
async def test_nothing_acknowledged_is_missing(process: ServerProcess, random: Random) -> None:
    context = await device(process)
    await process.start()
    client = await absent(process, context)
    await client.subscribe("t")
    await client.disconnect()
    acknowledged, heard = Tally(), Tally()
    for turn in range(ROUNDS):
        numbers = range(turn * MESSAGES, (turn + 1) * MESSAGES)
        publishing = asyncio.create_task(publish(process, context, numbers, acknowledged))
        wanted = len(acknowledged.numbers) + random.randint(3, MESSAGES - 5)
        await acknowledged.reaches(wanted)
        await process.kill()
        await publishing
        await process.start()
        client = await absent(process, context)
        assert client.connack.session_present
        fetching = asyncio.create_task(fetch(client, heard, None))
        await heard.reaches(len(heard.numbers) + 1)
        await process.kill()
        await fetching
        await process.start()
    await publish(process, context, range(1000, 1001), acknowledged)
    client = await absent(process, context)
    assert client.connack.session_present
    async with asyncio.timeout(20):
        await fetch(client, heard, 1000)
    assert acknowledged.numbers[-1] == 1000
    assert len(acknowledged.numbers) > 3 * ROUNDS
    assert set(acknowledged.numbers) <= set(heard.numbers), "acknowledged, and never delivered"
    assert list(dict.fromkeys(heard.numbers)) == sorted(set(heard.numbers)), "each for the first time in order"
    watcher = await dial(process.endpoint, context, Connect("watcher", V5))
    with watcher.expecting("last") as answer:
        await watcher.subscribe("last")
        assert int((await answer.within(5)).payload) == 1000
    await watcher.disconnect()
