"""A device is reset and comes again with the same key; another is scrapped, and nothing of it is left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from tests.fleet import endpoint, make_fleet, options, running_server
from tests.server import PATIENCE, REALM

from fleetgate import revocation
from fleetgate.agent.client import Client, dial
from fleetgate.agent.errors import AgentFailed, ConnectionLost
from fleetgate.agent.provision import provision
from fleetgate.agent.store import Identity, MemoryStore, Store
from fleetgate.agent.tls import present, trust
from fleetgate.app import Server
from fleetgate.database.port import Tx
from fleetgate.names import Act
from fleetgate.provisioning import end_of_life
from fleetgate.registry import attachments, things
from fleetgate.registry.certificates import Status
from fleetgate.registry.templates import Reprovisioning
from fleetgate.wire.mqtt.packets import V4, Connect

T = TypeVar("T")


async def act_on(server: Server, work: Callable[[Tx, Act], T]) -> T:
    act = server.runtime.act(REALM, "me")
    return await server.runtime.write(lambda tx: work(tx, act))


async def connected(server: Server, store: Store, name: str, *, clean: bool = True) -> Client:
    context = present(trust(endpoint(server)), store.credentials(draft=False))
    return await dial(endpoint(server), context, Connect(name, V4, clean_start=clean, keep_alive=60), 5)


async def ended(client: Client) -> None:
    async def listen() -> None:
        async for _ in client.messages():
            pass

    with pytest.raises(ConnectionLost):
        await asyncio.wait_for(listen(), PATIENCE)


@pytest.mark.parametrize("rule", [Reprovisioning.NEVER, Reprovisioning.SAME_KEY])
async def test_the_same_key_gets_a_new_certificate(tmp_path: Path, rule: Reprovisioning) -> None:
    async with running_server(tmp_path / "data") as server:
        fleet = await make_fleet(server.runtime, tmp_path / "claim", reprovisioning=rule, maximum=2)
        before, after = MemoryStore(), MemoryStore()
        first = await provision(options(server, fleet, "SN-1"), fleet.claim, before)
        device = await connected(server, before, "SN-1")
        done = await act_on(server, lambda tx, act: end_of_life.reset(tx, act, "SN-1"))
        assert done.revoked == (first.certificate_id,)
        await ended(device)
        with pytest.raises(AgentFailed):
            await connected(server, before, "SN-1")
        old = before.current()
        assert old is not None
        after.keep(Identity(private_key=old.private_key))
        second = await provision(options(server, fleet, "SN-1"), fleet.claim, after)
        new = after.current()
        assert new is not None
        assert new.private_key == old.private_key
        assert second.certificate_id != first.certificate_id
        found = await server.runtime.database.read(lambda tx: attachments.certificates_of(tx, REALM, "SN-1"))
        assert [(each.fingerprint, each.status) for each in found] == [(second.certificate_id, Status.ACTIVE)]
        await (await connected(server, after, "SN-1")).disconnect()
        revoked = await revocation.current_list(server.runtime, server.runtime.issuer)
        assert revoked.covers == 1


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
async def test_nothing_is_left_of_a_device_that_was_scrapped(
    tmp_path: Path, database: str, request: pytest.FixtureRequest
) -> None:
    where = {} if database == "sqlite" else {"database__url": request.getfixturevalue("postgres_url")}
    async with running_server(tmp_path / "data", **where) as server:
        fleet = await make_fleet(server.runtime, tmp_path / "claim")
        store, other = MemoryStore(), MemoryStore()
        await provision(options(server, fleet, "SN-1"), fleet.claim, store)
        await provision(options(server, fleet, "SN-10"), fleet.claim, other)
        device = await connected(server, store, "SN-1", clean=False)
        await device.subscribe("fleet/SN-1/cmd")
        switchboard = server.courier.switchboard(REALM)
        assert switchboard.session("SN-1") is not None
        await act_on(server, lambda tx, act: end_of_life.decommission(tx, act, "SN-1"))
        await ended(device)
        assert switchboard.session("SN-1") is None
        again = await act_on(server, lambda tx, act: end_of_life.decommission(tx, act, "SN-1"))
        assert again.record == "none"
        revoked = await revocation.current_list(server.runtime, server.runtime.issuer)
        assert (revoked.number, revoked.covers) == (1, 1)
        names = await server.runtime.database.read(lambda tx: things.page(tx, REALM))
        assert [each.name for each in names.items] == ["SN-10"]
        await (await connected(server, other, "SN-10")).disconnect()
