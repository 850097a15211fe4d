"""A server to try things on: all that a device needs to be provisioned is there, and can be had anew at any time.

It has an operator's access key, a claim certificate with a budget, a provisioning template and the policies behind
both. They are made once and kept in `<data_dir>/dev`, so they outlive a reset and a restart.

An installation that `fleetgate init` or `fleetgate serve` founded is refused: its operators would get a key that they
did not make, and a reset would take their records.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from fleetgate import app, authority
from fleetgate.app import Server
from fleetgate.config import Config, load
from fleetgate.database.port import Tx
from fleetgate.errors import Unavailable
from fleetgate.gateway.courier import Courier
from fleetgate.names import Act, Realm
from fleetgate.pki import certificate as x509
from fleetgate.pki import keys
from fleetgate.provisioning.claim_certificate import Budget, asking, connect, policy_document
from fleetgate.registry import (
    access_keys,
    attachments,
    certificates,
    everything,
    functions,
    policies,
    templates,
)
from fleetgate.registry.access_keys import Credentials
from fleetgate.registry.certificates import Origin, Status
from fleetgate.works import Works

REALM: Final = Realm("123456789012", "us-east-1")
TEMPLATE: Final = "dev-fleet"
DEVICE_POLICY: Final = "dev-device"
CLAIM_POLICY: Final = "dev-claim"
BUDGET: Final = 1_000_000
"""Devices that the seeded claim, and any claim that nobody registered, may provision."""

_ROLE: Final = "arn:aws:iam::123456789012:role/dev-provisioning"
_HEALTH_TRIES: Final = 100
_HEALTH_SECONDS: Final = 0.05

Functions = Mapping[str, tuple[str, str]]
"""Name in a hook's ARN -> (file, handler)."""


@dataclass(frozen=True, slots=True)
class Dev:
    """A dev server that answers."""

    server: Server
    seed: Seed
    folder: Path
    reset: Callable[[], Awaitable[None]]
    """What `POST /_fleetgate/reset` does."""

    def ready(self) -> dict[str, Any]:
        """Everything that another program needs to use it, secrets included: what `--ready-file` holds."""
        server = self.server
        return {
            "api_url": server.api_url,
            "mqtt_host": "localhost",
            "mqtt_port": server.mqtt_port,
            "https_port": server.https_port,
            "ca_file": str(server.works.installation.root_file.absolute()),
            "account": REALM.account,
            "region": REALM.region,
            "access_key_id": self.seed.credentials.id,
            "secret_access_key": self.seed.credentials.secret,
            "claim": {
                "certificate_file": str((self.folder / _CLAIM_CERTIFICATE).absolute()),
                "private_key_file": str((self.folder / _CLAIM_KEY).absolute()),
                "template_name": TEMPLATE,
            },
            "data_dir": str(server.runtime.config.server.data_dir.absolute()),
            "pid": os.getpid(),
        }


def config(data_dir: Path, *, free_ports: bool = False, file: Path | None = None) -> Config:
    """The configuration of a dev server in *data_dir*; what *file* says comes first but for these few."""
    overrides: dict[str, Any] = {
        "server.data_dir": str(data_dir),
        "claims.unregistered": "default-budget",
        "claims.default_budget": BUDGET,
    }
    if free_ports:
        overrides |= {"gateway.mqtt_port": 0, "gateway.https_port": 0, "api.port": 0}
    return load(file, overrides)


@asynccontextmanager
async def serve(config: Config, functions: Functions | None = None) -> AsyncIterator[Dev]:
    """A dev server; inside the block every door answers, and `POST /_fleetgate/reset` empties and seeds it anew.

    *functions* are bound at the start and after each reset. Raises Unavailable for an installation that is not its own.
    """
    _claim_folder(config.server.data_dir)
    sown: list[Seed] = []

    async def reset(works: Works, courier: Courier) -> None:
        await works.upkeep.finish()
        act = works.runtime.act(REALM, "system")

        def anew(tx: Tx) -> None:
            everything.empty(tx)
            _plant(tx, act, sown[0])

        await courier.empty()
        await works.runtime.write(anew)
        await courier.empty()  # whoever came meanwhile

    async with app.serve(config, reset) as server:
        folder = config.server.data_dir / "dev"
        seed = await _sow(server.works, folder, functions or {})
        sown.append(seed)
        await _answering(server)
        yield Dev(server, seed, folder, lambda: reset(server.works, server.courier))


_MARK: Final = "made-by-fleetgate-dev"
_FOUNDED: Final = ("ca", "tls", "secrets", "dev", "fleetgate.db")
"""Any of these in a data directory without the mark: somebody else's installation, whole or half made."""


def _claim_folder(data_dir: Path) -> None:
    """Mark a new data directory as a dev server's. Raises Unavailable for an installation that has no such mark."""
    mark = data_dir / "dev" / _MARK
    if mark.exists():
        return
    if any((data_dir / name).exists() for name in _FOUNDED):
        raise Unavailable(
            f"The installation in {data_dir} was not made by fleetgate dev, which would plant a key and a claim in it "
            "and could be told to empty it. Name another directory with --data-dir, or run it with: fleetgate serve "
            f"--data-dir {data_dir}"
        )
    try:
        mark.parent.mkdir(mode=0o700, parents=True)
        _write(mark, "A reset empties this installation. Remove this file, and fleetgate dev starts here no more.\n")
    except OSError as error:
        raise Unavailable(f"The data directory {data_dir} cannot be used: {error}") from error


def _check_database(tx: Tx, credentials: Credentials) -> None:
    """The configuration may name a database outside of the data directory, and that one has no mark."""
    if access_keys.find(tx, credentials.id) is None and everything.in_use(tx):
        raise Unavailable(
            "The database has records that fleetgate dev did not make, and a reset would take them. Leave [database] "
            "out of its configuration, or name an empty one."
        )


async def _answering(server: Server) -> None:
    """Wait for the health check. Raises Unavailable when it stays away."""
    config = server.runtime.config.api
    if config.tls_certificate is not None:
        return
    for _ in range(_HEALTH_TRIES):
        if await _healthy(config.host, server.api_port):
            return
        await asyncio.sleep(_HEALTH_SECONDS)
    raise Unavailable(f"{server.api_url}/_fleetgate/health does not answer with 200.")


async def _healthy(host: str, port: int) -> bool:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(b"GET /_fleetgate/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return (await reader.readline()).split(b" ")[1:2] == [b"200"]
    finally:
        writer.close()


# --- the seed ---------------------------------------------------------------------------------------------------------

_ACCESS_KEY: Final = "access-key.json"
_CLAIM_CERTIFICATE: Final = "claim.pem"
_CLAIM_KEY: Final = "claim.key"


@dataclass(frozen=True, slots=True)
class Seed:
    """What is there from the start. It stays the same, so that whoever read a ready file can go on after a reset."""

    credentials: Credentials
    sealed_secret: str = field(repr=False)
    claim_pem: str
    functions: Functions


async def _sow(works: Works, folder: Path, functions: Functions) -> Seed:
    """The seed that *folder* keeps, or a new one, with its records in the database."""
    runtime = works.runtime
    act = runtime.act(REALM, "system")
    credentials = _credentials(works, folder)
    await runtime.database.read(lambda tx: _check_database(tx, credentials))
    issued = None if (folder / _CLAIM_CERTIFICATE).exists() else await _new_claim(works, act, folder)
    seed = Seed(
        credentials,
        runtime.vault.seal(credentials.secret),
        (folder / _CLAIM_CERTIFICATE).read_text(),
        functions,
    )

    def enter(tx: Tx) -> None:
        if issued is not None:
            authority.record(tx, act, issued, Status.ACTIVE)
        if access_keys.find(tx, credentials.id) is None:
            _plant(tx, act, seed)
        else:
            _bind(tx, act, seed)

    await runtime.write(enter)
    return seed


async def _new_claim(works: Works, act: Act, folder: Path) -> authority.Issued:
    """A P-256 key, made in no time where RSA takes its tenths of a second."""
    key = keys.generate(keys.KeyKind.EC_P256)
    issued = await authority.issue(works.runtime, act, key.public_key())
    _write(folder / _CLAIM_KEY, keys.private_key_pem(key))
    _write(folder / _CLAIM_CERTIFICATE, issued.pem)
    return issued


def _credentials(works: Works, folder: Path) -> Credentials:
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / _ACCESS_KEY
    if path.exists():
        return Credentials(**json.loads(path.read_text()))
    made = access_keys.generate(works.runtime.entropy)
    _write(path, json.dumps({"id": made.id, "secret": made.secret}))
    return made


def _write(path: Path, text: str) -> None:
    """Readable by its owner alone. No fsync: a dev server's files may go with the machine."""
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)


def _plant(tx: Tx, act: Act, seed: Seed) -> None:
    """Enter the seed's records into a database that has none of them, but perhaps the claim's certificate."""
    fingerprint = _enter_certificate(tx, act, seed.claim_pem)
    access_keys.create(tx, act, seed.credentials.id, label="dev server", sealed_secret=seed.sealed_secret)
    policies.create(tx, act, DEVICE_POLICY, device_policy())
    policies.create(tx, act, CLAIM_POLICY, policy_document(act.realm, None))
    templates.create(tx, act, TEMPLATE, template_body(), _ROLE, description="Made by the dev server", enabled=True)
    attachments.attach_policy(tx, act, CLAIM_POLICY, act.realm.arn("cert", fingerprint))
    Budget(None, BUDGET, batch="dev").register(tx, act, fingerprint)
    _bind(tx, act, seed)


def _enter_certificate(tx: Tx, act: Act, pem: str) -> str:
    certificate = x509.load(pem)
    fingerprint = x509.fingerprint(certificate)
    if certificates.find(tx, act.realm, fingerprint) is None:
        certificates.create(
            tx,
            act,
            fingerprint,
            pem,
            Status.ACTIVE,
            public_key_fingerprint=keys.public_key_fingerprint(keys.as_public_key(certificate.public_key())),
            not_before=int(certificate.not_valid_before_utc.timestamp() * 1000),
            not_after=int(certificate.not_valid_after_utc.timestamp() * 1000),
            origin=Origin.ISSUED,
        )
    return fingerprint


def _bind(tx: Tx, act: Act, seed: Seed) -> None:
    for name, (file, handler) in seed.functions.items():
        functions.put(tx, act, name, file, handler)


def device_policy() -> str:
    """What a provisioned device may do: connect as its thing, speak under `devices/<thing>/`, renew its certificate."""
    own = "devices/${iot:Connection.Thing.ThingName}/*"
    asked = "$fleetgate/rotation/${iot:Connection.Thing.ThingName}/notify"
    statements = [
        connect(REALM, "${iot:Connection.Thing.ThingName}"),
        {
            "Effect": "Allow",
            "Action": ["iot:Publish", "iot:Receive", "iot:RetainPublish"],
            "Resource": REALM.arn("topic", own),
        },
        {"Effect": "Allow", "Action": "iot:Subscribe", "Resource": REALM.arn("topicfilter", own)},
        {"Effect": "Allow", "Action": "iot:Receive", "Resource": REALM.arn("topic", asked)},
        {"Effect": "Allow", "Action": "iot:Subscribe", "Resource": REALM.arn("topicfilter", asked)},
        *asking(REALM, TEMPLATE),
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, indent=2)


def template_body() -> str:
    """A thing named by the device's serial number, its certificate active, the device policy on it."""
    serial, certificate = {"Ref": "SerialNumber"}, {"Ref": "AWS::IoT::Certificate::Id"}
    body = {
        "Parameters": {"SerialNumber": {"Type": "String"}, "AWS::IoT::Certificate::Id": {"Type": "String"}},
        "Resources": {
            "thing": {
                "Type": "AWS::IoT::Thing",
                "Properties": {"ThingName": serial, "AttributePayload": {"serialNumber": serial}},
            },
            "certificate": {
                "Type": "AWS::IoT::Certificate",
                "Properties": {"CertificateId": certificate, "Status": "ACTIVE"},
            },
            "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": DEVICE_POLICY}},
        },
    }
    return json.dumps(body, indent=2)
