"""A server to throw things at: its log, its memory, its database, and everything in it that is secret."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import psycopg
from tests.faults.devices import Device
from tests.fleet import ClaimFleet, make_fleet
from tests.process import ServerProcess
from tests.server import REALM

from fleetgate.agent.backoff import Backoff, Surroundings
from fleetgate.agent.tls import KeyFiles, present, trust
from fleetgate.database.port import Tx
from fleetgate.registry import access_keys
from fleetgate.registry.access_keys import Credentials
from fleetgate.registry.everything import TABLES
from fleetgate.works import works

ROOM = 96 * 1024 * 1024
"""Bytes by which the server may grow while it is fuzzed: caches fill, and the allocator keeps what it had."""
_NUMBERS = count(1)


@dataclass(slots=True)
class House:
    process: ServerProcess
    fleet: ClaimFleet
    operator: Credentials
    secrets: set[str] = field(default_factory=set)
    """Pieces of everything that may be in no log and in no database."""
    first_rss: int = 0

    @classmethod
    async def open(cls, folder: Path, database_url: str | None = None) -> House:
        """On SQLite, unless *database_url* names a database of PostgreSQL's."""
        settings = {"log.level": "debug", "authority.device_key": "ec-p256"}
        if database_url is not None:
            settings["database.url"] = database_url
        process = ServerProcess.prepare(folder, settings)
        async with works(process.config) as opened:
            runtime = opened.runtime
            fleet = await make_fleet(runtime, folder / "claim", maximum=None)
            operator = access_keys.generate(runtime.entropy)
            sealed = runtime.vault.seal(operator.secret)
            act = runtime.act(REALM, "system")

            def enter(tx: Tx) -> None:
                access_keys.create(tx, act, operator.id, label="fuzz", sealed_secret=sealed)

            await runtime.write(enter)
        house = cls(process, fleet, operator)
        data = process.config.server.data_dir
        house.keep_secret(operator.secret, fleet.claim.private_key.read_text())
        for name in ("ca/root.key", "ca/issuing.key", "tls/server.key", "secrets/passphrase", "secrets/sealing.key"):
            if (data / name).exists():
                house.keep_secret((data / name).read_text())
        await process.start()
        house.keep_secret((data / "tls" / "server.key").read_text())
        await house.well()
        house.first_rss = process.rss()
        return house

    def keep_secret(self, *texts: str) -> None:
        """Remember *texts*; of PEM only a line from the middle, which no message would fold."""
        for text in texts:
            lines = [line for line in text.strip().splitlines() if not line.startswith("-----")]
            self.secrets.add(lines[len(lines) // 2])

    @property
    def mqtt_port(self) -> int:
        return self.process.config.gateway.mqtt_port

    @property
    def https_port(self) -> int:
        return self.process.config.gateway.https_port

    @property
    def api_port(self) -> int:
        return self.process.config.api.port

    def context(self, credentials: KeyFiles | None = None, alpn: str | None = None) -> ssl.SSLContext:
        """A device's; with the claim's certificate unless others are given."""
        context = present(trust(self.process.endpoint), credentials or self.fleet.claim)
        if alpn:
            context.set_alpn_protocols([alpn])
        return context

    async def well(self) -> None:
        """A device is provisioned and connects, nothing was logged as an error, memory has not run away."""
        for server_keys in (False, True):
            device = Device(f"WELL-{next(_NUMBERS)}")
            around = Surroundings(Random(1).random, time.monotonic, asyncio.sleep)
            await device.provision(
                self.process.endpoint, self.fleet, around, server_keys=server_keys, backoff=Backoff(1)
            )
            await device.connects(self.process.endpoint)
            self.keep_secret(device.credentials.private_key)
        assert self.errors() == []
        if self.first_rss:
            grown = self.process.rss() - self.first_rss
            assert grown < ROOM, f"the server has grown by {grown / 1e6:.0f} MB"

    def errors(self) -> list[str]:
        """What the server says of its own bugs, and of whatever else it did not expect."""
        return [line for line in self.process.log if '"level": "error"' in line or not line.startswith("{")]

    def leaks(self) -> list[str]:
        """Where secrets are found that should be nowhere."""
        log = "\n".join(self.process.log)
        kept = self.records()
        found = [f"{secret} in the log" for secret in self.secrets if secret in log]
        found += [f"{secret} in the database" for secret in self.secrets if secret.encode() in kept]
        found += ["PRIVATE KEY in the log"] * ("PRIVATE KEY" in log)
        found += ["PRIVATE KEY in the database"] * (b"PRIVATE KEY" in kept)
        return found

    def records(self) -> bytes:
        """The whole database, as it is stored."""
        url = self.process.config.database.url
        if not url.startswith("postgresql:"):
            folder = self.process.config.server.data_dir
            return b"".join(file.read_bytes() for file in sorted(folder.glob("fleetgate.db*")))
        with psycopg.connect(url) as connection:
            rows = [connection.execute(f"SELECT t::text FROM {table} t".encode()).fetchall() for table in TABLES]
        return "\n".join(row[0] for some in rows for row in some).encode()

    def learn(self, answers: Iterable[dict[str, Any]]) -> None:
        """Keep what *answers* of the provisioning topics hold secret."""
        for answer in answers:
            if "certificateOwnershipToken" in answer:
                self.keep_secret(str(answer["certificateOwnershipToken"]))
            if "privateKey" in answer:
                self.keep_secret(str(answer["privateKey"]))


def read_json(body: bytes) -> dict[str, Any]:
    value = json.loads(body)
    assert isinstance(value, dict)
    return value
