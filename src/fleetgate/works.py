"""An installation without doors: what the command line opens, beside a running server or in its place."""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import quote

import structlog

from fleetgate.config import Config
from fleetgate.database.migrate import migrate
from fleetgate.database.open import open_database
from fleetgate.database.port import Tx
from fleetgate.dispatch import Dispatcher, Share
from fleetgate.errors import Unavailable
from fleetgate.installation import Installation, open_installation
from fleetgate.names import NO_ACCOUNT, Act
from fleetgate.pki.keys import KeyKind
from fleetgate.pki.pool import KeyPool
from fleetgate.provisioning.bound_hooks import BoundHooks
from fleetgate.provisioning.functions import BoundFunctions
from fleetgate.registry import audit
from fleetgate.runtime import Runtime
from fleetgate.upkeep import Upkeep

log = structlog.get_logger(__name__)


def clock() -> int:
    """Milliseconds UTC."""
    return time.time_ns() // 1_000_000


def database_address(config: Config) -> str:
    """Where the records are, as `open_database` takes it. Raises Unavailable where the password file cannot be read."""
    url = config.database.url
    if url == "sqlite":
        return str(config.server.data_dir / "fleetgate.db")
    if config.database.password_file is None or not url.startswith("postgresql://"):
        return url
    try:
        password = config.database.password_file.read_text().partition("\n")[0]
    except OSError as error:
        raise Unavailable(f"The password file cannot be read: {error}") from error
    joint = "&" if "?" in url else "?"
    return f"{url}{joint}password={quote(password, safe='')}"


@dataclass(frozen=True, slots=True)
class Works:
    """Everything but the doors: what the command line needs to work on an installation, running or not."""

    runtime: Runtime
    installation: Installation
    dispatcher: Dispatcher
    upkeep: Upkeep
    functions: BoundFunctions
    node_id: str
    """Of this process, where several serve."""


@asynccontextmanager
async def works(config: Config, clock: Callable[[], int] = clock) -> AsyncIterator[Works]:
    """Open the installation that *config* names, founding it where there is none; closed at the end of the block."""
    installation = open_installation(config.server.data_dir, config, os.urandom, clock())
    database = await asyncio.to_thread(open_database, database_address(config))
    try:
        await migrate(database, clock())
        if installation.founded:
            await database.write(lambda tx: _note_founding(tx, installation, clock()))
        node_id = os.urandom(8).hex()
        share = None if config.nodes.bus is None else Share(node_id, clock)
        dispatcher, upkeep = Dispatcher(database, share), Upkeep(database, clock)
        hooks = BoundHooks(config.hooks, os.urandom)
        functions = BoundFunctions(config.hooks, database, installation.vault, os.urandom)
        keys = KeyPool(KeyKind(config.authority.device_key), config.authority.key_pool)
        try:
            yield Works(
                Runtime(
                    config=config,
                    database=database,
                    issuer=installation.issuer,
                    keys=keys,
                    vault=installation.vault,
                    hooks=hooks,
                    functions=functions,
                    clock=clock,
                    entropy=os.urandom,
                    committed=dispatcher.stir,
                    refused=upkeep.refused,
                    former=installation.former,
                ),
                installation,
                dispatcher,
                upkeep,
                functions,
                node_id,
            )
            await _finish(upkeep)
        finally:
            keys.close()
            await hooks.close()
            await functions.close()
    finally:
        await database.close()


def _note_founding(tx: Tx, installation: Installation, now: int) -> None:
    """The CA's keys were made and used before there was a database: the first entries of the trail say so."""
    act = Act(NO_ACCOUNT, "system", now, str(uuid.UUID(bytes=os.urandom(16), version=4)))
    for role, fingerprint in installation.authorities().items():
        audit.add(tx, act, "FoundAuthority", act.realm.arn("cacert", fingerprint), "ok", details={"role": role})


async def _finish(upkeep: Upkeep) -> None:
    """A database that is away when the house closes is no reason to leave the rest open."""
    try:
        await upkeep.finish()
    except Unavailable as error:
        log.warning("closed without the last entries of the audit trail", reason=error.message)
