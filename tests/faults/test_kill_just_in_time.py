"""`kill -9` while devices with their maker's certificates come in: they get in later, and nothing is half made."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from tests.pki import TestAuthority, new_key
from tests.process import ServerProcess
from tests.server import REALM, ROLE, production_policy

from fleetgate.agent.client import dial
from fleetgate.agent.errors import AgentFailed
from fleetgate.agent.tls import KeyTexts, present, trust
from fleetgate.database.open import open_database
from fleetgate.database.port import Tx
from fleetgate.pki.identity import Identity
from fleetgate.registry import authorities, policies
from fleetgate.registry.authorities import RegistrationConfig
from fleetgate.wire.mqtt.packets import V5, Connect
from fleetgate.works import database_address, works

DEVICES, AT_ONCE, SEED = 60, 12, 20_261_121
BODY = {
    "Parameters": {
        "AWS::IoT::Certificate::CommonName": {"Type": "String"},
        "AWS::IoT::Certificate::Id": {"Type": "String"},
    },
    "Resources": {
        "thing": {
            "Type": "AWS::IoT::Thing",
            "Properties": {"ThingName": {"Ref": "AWS::IoT::Certificate::CommonName"}},
        },
        "certificate": {
            "Type": "AWS::IoT::Certificate",
            "Properties": {"CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}, "Status": "ACTIVE"},
        },
        "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "production"}},
    },
}

# Each counts the devices that have it all.
WHOLE = {
    "things": "SELECT count(*) AS number FROM things",
    "certificates": "SELECT count(*) AS number FROM certificates WHERE status = 'ACTIVE'",
    "certificates of any status": "SELECT count(*) AS number FROM certificates",
    "attachments to things": "SELECT count(*) AS number FROM thing_principals",
    "attachments of policies": "SELECT count(*) AS number FROM policy_attachments",
    "registrations written down": "SELECT count(*) AS number FROM audit_entries WHERE action = 'RegisterCertificate'",
    "provisionings written down": "SELECT count(*) AS number FROM audit_entries WHERE action = 'ProvisionDevice'",
    "events": "SELECT count(*) AS number FROM outbox WHERE kind = 'DeviceProvisioned'",
}


@dataclass
class Knocks:
    """Counts attempts to connect, so that somebody can wait for some more."""

    done: int = 0
    more: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def one(self) -> None:
        async with self.more:
            self.done += 1
            self.more.notify_all()

    async def wait_for(self, number: int) -> None:
        async with self.more:
            wanted = self.done + number
            await self.more.wait_for(lambda: self.done >= wanted)


@pytest.fixture
async def process(tmp_path: Path) -> AsyncIterator[ServerProcess]:
    process = ServerProcess.prepare(tmp_path)
    yield process
    await process.close()


async def found(process: ServerProcess, maker: TestAuthority) -> None:
    """An installation in which *maker* is a CA whose devices are provisioned just in time."""
    identity = Identity.read(maker.pem)
    async with works(process.config) as opened:
        act = opened.runtime.act(REALM, "system")

        def fill(tx: Tx) -> None:
            policies.create(tx, act, "production", production_policy("pumps"))
            authorities.create(
                tx,
                act,
                identity.fingerprint,
                identity.pem,
                subject=identity.subject,
                public_key_fingerprint=identity.public_key_fingerprint,
                not_before=identity.not_before,
                not_after=identity.not_after,
                status=authorities.Status.ACTIVE,
                auto_registration=True,
                registration_config=RegistrationConfig(None, json.dumps(BODY), ROLE),
            )

        await opened.runtime.write(fill)


def device(maker: TestAuthority, name: str) -> KeyTexts:
    key = new_key()
    leaf = maker.device(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key)
    return KeyTexts(leaf, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


async def get_in(process: ServerProcess, name: str, credentials: KeyTexts, knocks: Knocks) -> None:
    """Try until the server lets the device in."""
    while True:
        await knocks.one()
        try:
            context = present(trust(process.endpoint), credentials)
            client = await dial(process.endpoint, context, Connect(name, V5))
            await client.disconnect()
        except AgentFailed:
            await asyncio.sleep(0.05)  # as devices do, and while the server is away there is nothing else to wait for
        else:
            return


async def test_every_device_gets_in_and_nothing_is_half_made(process: ServerProcess) -> None:
    random, maker, knocks = Random(SEED), TestAuthority("Works CA"), Knocks()
    await found(process, maker)
    devices = {f"JIT-{number:03}": device(maker, f"JIT-{number:03}") for number in range(DEVICES)}
    await process.start()
    waiting = iter(devices.items())

    async def one_by_one() -> None:
        for name, credentials in waiting:
            await get_in(process, name, credentials, knocks)

    async def all_in() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(one_by_one())

    async def kill_again_and_again() -> None:
        while True:
            await knocks.wait_for(random.randint(1, 40))
            await asyncio.sleep(random.uniform(0.0, 0.02))  # any moment of what those knocks set off
            await process.kill()
            await process.start()

    killing = asyncio.create_task(kill_again_and_again())
    coming = asyncio.create_task(all_in())
    await asyncio.wait({killing, coming}, return_when=asyncio.FIRST_COMPLETED)
    assert coming.done(), killing.exception()
    coming.result()
    killing.cancel()
    await asyncio.wait({killing})
    await process.close()
    await process.start()
    for name, credentials in devices.items():  # once more, in peace, and at the first attempt
        client = await dial(process.endpoint, present(trust(process.endpoint), credentials), Connect(name, V5))
        await client.disconnect()
    database = open_database(database_address(process.config))
    try:
        counts = await database.read(lambda tx: {what: tx.rows(sql)[0]["number"] for what, sql in WHOLE.items()})
    finally:
        await database.close()
    assert counts == dict.fromkeys(WHOLE, DEVICES)
    assert process.runs > 3
