"""Devices at the MQTT door without TLS and sockets: what a caller sends, the door has at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from tests.fleet import House
from tests.pki import TestAuthority
from tests.server import REALM

from fleetgate import authority
from fleetgate.database.port import Tx
from fleetgate.gateway.courier import Courier
from fleetgate.gateway.entrance import Entrance
from fleetgate.gateway.mqtt import Door
from fleetgate.pki import certificate as certificates
from fleetgate.pki import keys
from fleetgate.pki.identity import Identity
from fleetgate.pki.keys import KeyKind
from fleetgate.provisioning.just_in_time import JustInTime
from fleetgate.registry import attachments, authorities, outbox, policies
from fleetgate.registry import certificates as registry
from fleetgate.registry.certificates import Status
from fleetgate.runtime import Runtime
from fleetgate.wire.mqtt.connection import Connection, Role
from fleetgate.wire.mqtt.packets import ConnAck, Connect, Packet
from fleetgate.wire.mqtt.rules import AWS, STANDARD, Rules

PATIENCE = 10.0


@dataclass(frozen=True)
class Visitor:
    certificate: x509.Certificate | None
    address: str = "192.0.2.1"
    server_name: str | None = None


class Wire(asyncio.Transport):
    """The door's transport."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = bytearray()
        self.over = False
        self.paused = False
        self.stirred = asyncio.Event()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self.over:
            self.sent += data
            self.stirred.set()

    def close(self) -> None:
        self.over = True
        self.stirred.set()

    def is_closing(self) -> bool:
        return self.over

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


class Caller:
    """One device and its connection."""

    def __init__(self, door: Door) -> None:
        self.door, self.wire = door, Wire()
        self.connection = Connection(Role.CLIENT, STANDARD, 0)
        self.waiting: list[Packet] = []
        door.connection_made(self.wire)

    def send(self, *packets: Packet) -> None:
        """Everything in one piece."""
        self.raw(b"".join(self.connection.send(packet, 0) for packet in packets))

    def raw(self, data: bytes) -> None:
        self.door.data_received(data)

    async def receive(self) -> Packet:
        """The door's next packet."""
        async with asyncio.timeout(PATIENCE):
            while not self._look():
                assert not self.wire.over, "the door closed instead"
                self.wire.stirred.clear()
                await self.wire.stirred.wait()
        return self.waiting.pop(0)

    async def closed(self) -> list[Packet]:
        """Return when the door has closed the connection: what it said before."""
        async with asyncio.timeout(PATIENCE):
            while not self.wire.over:
                self.wire.stirred.clear()
                await self.wire.stirred.wait()
        self._look()
        said, self.waiting = self.waiting, []
        self.leave()
        return said

    async def idle(self) -> list[Packet]:
        """What was said when nothing is under way at the door any more."""
        async with asyncio.timeout(PATIENCE):
            while self.door._busy is not None:
                await self.door._busy
            if self.door._judging is not None:
                await self.door._judging
        self._look()
        said, self.waiting = self.waiting, []
        return said

    async def connect(self, client_id: str = "c", **more: Any) -> ConnAck:
        self.send(Connect(client_id, **more))
        answer = await self.receive()
        assert isinstance(answer, ConnAck)
        return answer

    def leave(self) -> None:
        """The connection is gone."""
        self.wire.over = True
        self.door.connection_lost(None)

    def _look(self) -> bool:
        data, self.wire.sent = bytes(self.wire.sent), bytearray()
        self.waiting += self.connection.receive(data, 0)
        return bool(self.waiting)


@dataclass
class Hall:
    """An installation and its MQTT door."""

    house: House
    rules: Rules = AWS
    callers: list[Caller] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.courier = Courier(self.rules, self.house.runtime.clock)

    @property
    def runtime(self) -> Runtime:
        return self.house.runtime

    async def certificate(
        self, *statements: Any, name: str = "device", status: Status = Status.ACTIVE, lasting: int | None = None
    ) -> x509.Certificate:
        """A registered certificate under the policy *name* of these statements (`allow`)."""
        act = self.runtime.act(REALM, "system")
        issued = await authority.issue(self.runtime, act, keys.generate(KeyKind.EC_P256).public_key(), lasting=lasting)

        def make(tx: Tx) -> None:
            authority.record(tx, act, issued, status)
            policies.create(tx, act, name, document(*statements))
            attachments.attach_policy(tx, act, name, REALM.arn("cert", issued.fingerprint))

        await self.runtime.write(make)
        return certificates.load(issued.pem)

    async def authority(self, maker: TestAuthority) -> str:
        """Register *maker* as a CA that registers its devices just in time; its fingerprint."""
        identity = Identity.read(maker.pem)
        act = self.runtime.act(REALM, "system")
        await self.runtime.write(
            lambda tx: authorities.create(
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
            )
        )
        return identity.fingerprint

    def call(
        self, certificate: x509.Certificate | None, runtime: Runtime | None = None, server_name: str | None = None
    ) -> Caller:
        here = runtime or self.runtime
        caller = Caller(
            Door(here, self.courier, Entrance(here, JustInTime(here)), Visitor(certificate, server_name=server_name))
        )
        self.callers.append(caller)
        return caller

    async def change(self, work: Any) -> None:
        """An operator's change, told to the courier as the dispatcher would."""
        act = self.runtime.act(REALM, "system")
        await self.runtime.write(lambda tx: work(tx, act))
        await self.tell()

    async def tell(self) -> None:
        entries = await self.runtime.database.read(lambda tx: outbox.pending(tx, 1000))
        await self.runtime.database.write(lambda tx: outbox.delivered(tx, [entry.id for entry in entries]))
        self.courier.consume(entries)
        self.courier.announce(entries)

    async def status(self, certificate: x509.Certificate, status: Status) -> None:
        fingerprint = certificates.fingerprint(certificate)
        await self.change(lambda tx, act: registry.set_status(tx, act, fingerprint, status))

    def refused(self) -> list[tuple[str, str]]:
        """What was refused so far: actions and reasons."""
        found = [(refusal.action, refusal.reason) for refusal in self.house.refusals]
        self.house.refusals.clear()
        return found


def document(*statements: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(actions: str | Sequence[str], *resources: str, **conditions: Any) -> dict[str, Any]:
    """A statement; resources without the ARN's beginning: `topic/a`; `*` for all."""
    named = [one if one == "*" else f"arn:aws:iot:{REALM.region}:{REALM.account}:{one}" for one in resources]
    found: dict[str, Any] = {"Effect": "Allow", "Action": actions, "Resource": named}
    if conditions:
        found["Condition"] = conditions
    return found


ALL = allow("iot:*", "*")
