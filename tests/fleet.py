"""A real server on the test's own event loop, and everything that a fleet needs to provision itself against it.

    async with running_server(tmp_path) as server:
        fleet = await make_fleet(server.runtime, tmp_path / "claim", maximum=10)
        result = await provision(options(server, fleet, "SN-1"), fleet.claim, MemoryStore())

`tests.server` has the same for client libraries that block.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.server import FREE_PORTS, REALM, ROLE, production_policy, template_body

from fleetgate import config
from fleetgate.agent.backoff import Backoff
from fleetgate.agent.provision import Options
from fleetgate.agent.tls import Endpoint, KeyFiles
from fleetgate.app import Reset, Server, serve
from fleetgate.database.port import Tx
from fleetgate.pki import keys
from fleetgate.pki.keys import KeyKind
from fleetgate.provisioning import claim_certificate
from fleetgate.provisioning.claim_certificate import Budget
from fleetgate.registry import policies, templates
from fleetgate.registry.templates import Reprovisioning
from fleetgate.runtime import Refusal, Runtime
from fleetgate.works import works


@asynccontextmanager
async def running_server(folder: Path, reset: Reset | None = None, **overrides: Any) -> AsyncIterator[Server]:
    """A server on free ports with its data in *folder*; *overrides* as `config.load` takes them, `__` for the dot:
    `running_server(tmp_path, gateway__mqtt_rules="standard")`. The same folder again is the same installation.
    """
    async with serve(_config(folder, overrides), reset) as server:
        yield server


def endpoint(server: Server, *, https: bool = False) -> Endpoint:
    """Where devices connect: the MQTT port, or the one where they ask for MQTT by ALPN."""
    port = server.https_port if https else server.mqtt_port
    return Endpoint("127.0.0.1", port, server.works.installation.root_file, https or None, server_name="localhost")


@dataclass(frozen=True, slots=True)
class ClaimFleet:
    """A claim certificate on disk with a budget, and the template that it may provision by."""

    claim: KeyFiles
    fingerprint: str
    """Of the claim certificate."""
    template: str
    """By default it makes a thing named after `SerialNumber`, which may use the topics `<template>/<thing>/...`."""

    @property
    def policy(self) -> str:
        """Of provisioned devices."""
        return f"{self.template}-production"


async def make_fleet(
    runtime: Runtime,
    folder: Path,
    *,
    template: str = "fleet",
    body: str | None = None,
    enabled: bool = True,
    maximum: int | None = 1000,
    serials: Iterable[str] = (),
    hook: str | None = None,
    reprovisioning: Reprovisioning | None = None,
) -> ClaimFleet:
    """Everything that a batch of devices needs, with the claim's certificate and key in *folder*.

    *body* is the template as JSON, *hook* the ARN of its function.
    """
    act = runtime.act(REALM, "system")

    def make(tx: Tx) -> None:
        policies.create(tx, act, f"{template}-production", production_policy(template))
        templates.create(
            tx,
            act,
            template,
            body or template_body(f"{template}-production", DeviceConfiguration={"interval": "60"}),
            ROLE,
            enabled=enabled,
            hook_target_arn=hook,
            reprovisioning=reprovisioning,
        )

    await runtime.write(make)
    budget = Budget(template, maximum, serials=tuple(serials), batch=template)
    made = await claim_certificate.create(runtime, act, keys.generate(KeyKind.EC_P256), budget)
    folder.mkdir(parents=True, exist_ok=True)
    files = KeyFiles(folder / f"{template}.pem", folder / f"{template}.key")
    files.certificate.write_text(made.certificate_pem)
    files.private_key.write_text(made.private_key_pem)
    return ClaimFleet(files, made.claim.fingerprint, template)


def options(server: Server, fleet: ClaimFleet, serial: str, **more: Any) -> Options:
    """How the device *serial* is provisioned; impatient, because everything is on this machine."""
    settings: dict[str, Any] = {
        "endpoint": endpoint(server),
        "template": fleet.template,
        "parameters": {"SerialNumber": serial},
        "backoff": Backoff(attempts=3, first=0.01, longest=0.01),
    }
    return Options(**settings | more)


@dataclass(frozen=True, slots=True)
class House:
    """A real installation without doors, whose clock a test moves."""

    runtime: Runtime
    time: list[int]
    """What the clock shows (milliseconds UTC), in the list's one element."""
    refusals: list[Refusal]
    """What the audit trail would be told of."""

    def pass_(self, milliseconds: int) -> None:
        self.time[0] += milliseconds


@asynccontextmanager
async def opened(folder: Path, **overrides: Any) -> AsyncIterator[House]:
    """An installation in *folder*, without sockets; *overrides* as for `running_server`."""
    async with works(_config(folder, overrides)) as inside:
        time, refusals = [inside.runtime.clock()], list[Refusal]()
        yield House(replace(inside.runtime, clock=lambda: time[0], refused=refusals.append), time, refusals)


def _config(folder: Path, overrides: Mapping[str, Any]) -> config.Config:
    """Devices' keys are elliptic unless a test says otherwise: RSA keys take most of a second to begin with."""
    given = {name.replace("__", "."): value for name, value in overrides.items()}
    quick = {"authority.device_key": "ec-p256", "authority.key_pool": 2}
    return config.load(None, {"server.data_dir": str(folder), **quick, **FREE_PORTS, **given})
