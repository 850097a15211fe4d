"""A rotation campaign over a small fleet: agents that wait are asked and renew; one that never comes is listed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from tests.fleet import ClaimFleet, make_fleet, options, running_server
from tests.server import PATIENCE, REALM, policy_document, production_policy

from fleetgate.agent.provision import Result, provision
from fleetgate.agent.rotation import TOPIC, attend
from fleetgate.agent.store import MemoryStore
from fleetgate.app import Server
from fleetgate.provisioning import campaign
from fleetgate.registry import attachments, campaigns, policies
from fleetgate.registry.campaigns import DeviceStatus, Pace, Selection
from fleetgate.registry.certificates import Status

NAMES = ("SN-1", "SN-2", "SN-3", "SN-4")


async def allow_asking(server: Server, fleet: ClaimFleet) -> None:
    """The fleet's policy, with the topic of announcements."""
    document = json.loads(production_policy(fleet.template))
    own = TOPIC.replace("{thing}", "${iot:Connection.Thing.ThingName}")
    more = [("iot:Receive", "topic"), ("iot:Subscribe", "topicfilter")]
    document["Statement"] += [
        {"Effect": "Allow", "Action": action, "Resource": REALM.arn(kind, own)} for action, kind in more
    ]
    act = server.runtime.act(REALM, "me")
    text = policy_document(*document["Statement"])
    await server.runtime.write(lambda tx: policies.create_version(tx, act, fleet.policy, text, set_as_default=True))


async def until(server: Server, wanted: dict[str, int]) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            found = await server.runtime.database.read(lambda tx: campaigns.progress(tx, REALM, "spring"))
            if {name: count for name, count in found.items() if count} == wanted:
                return
            await asyncio.sleep(0.05)


async def active(server: Server, thing: str) -> list[str]:
    found = await server.runtime.database.read(lambda tx: attachments.certificates_of(tx, REALM, thing))
    return [each.fingerprint for each in found if each.status is Status.ACTIVE]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest) -> dict[str, Any]:
    return {} if request.param == "sqlite" else {"database__url": request.getfixturevalue("postgres_url")}


async def test_a_fleet_renews_and_who_never_comes_is_listed(tmp_path: Path, database: dict[str, Any]) -> None:
    stores = {name: MemoryStore() for name in NAMES}
    before: dict[str, Any] = {}
    async with running_server(tmp_path / "data", **database) as server:
        fleet = await make_fleet(server.runtime, tmp_path / "claim")
        await allow_asking(server, fleet)
        for name, store in stores.items():
            before[name] = (await provision(options(server, fleet, name), fleet.claim, store)).certificate_id
        act = server.runtime.act(REALM, "me")
        pace = Pace(per_minute=60_000, patience=1_000, outstanding=3)
        ours = server.runtime.issuer.fingerprint
        selection = Selection(expiring_before=2**62, issued_by=ours, key_kind="ec", things=NAMES)
        await campaign.create(server.runtime, act, "spring", selection, pace)
        # Nobody waits yet: the announcements stay for whoever comes later, over a restart as well.
        await until(server, {"NOTIFIED": 4})
    async with running_server(tmp_path / "data", **database) as server:

        async def next_of(name: str) -> Result:
            return await anext(attend(options(server, fleet, name), stores[name]))

        async with asyncio.timeout(PATIENCE):
            renewed = await asyncio.gather(*map(next_of, NAMES[:3]))
        await until(server, {"NOTIFIED": 1, "ROTATED": 3})
        for name, result in zip(NAMES, renewed, strict=False):
            assert result.certificate_id != before[name]
            assert await active(server, name) == [result.certificate_id]
        assert await active(server, NAMES[3]) == [before[NAMES[3]]]
        act = server.runtime.act(REALM, "me")
        await server.runtime.write(lambda tx: campaigns.set_status(tx, act, "spring", campaigns.Status.CANCELLED))
        missed = await server.runtime.database.read(
            lambda tx: campaigns.page_devices(tx, REALM, "spring", status=DeviceStatus.MISSED)
        )
        assert [each.thing_name for each in missed.items] == [NAMES[3]]
