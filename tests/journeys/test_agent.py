"""The agent against the whole server, on one event loop: TLS, MQTT, claims, templates, the database, all of it real."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.fleet import ClaimFleet, endpoint, make_fleet, options, running_server
from tests.server import REALM
from tests.unit.agent.cloud import certify

from fleetgate.agent import tls
from fleetgate.agent.backoff import Backoff, Surroundings
from fleetgate.agent.client import Client, dial
from fleetgate.agent.errors import AgentFailed, ConnectionLost, Declined, GaveUp, Rejected, TlsFailed, Unreachable
from fleetgate.agent.fleet import Fleet, simulate
from fleetgate.agent.provision import SURROUNDINGS, Result, provision, rotate
from fleetgate.agent.store import FolderStore, MemoryStore, Store
from fleetgate.agent.tls import KeyFiles, KeyTexts
from fleetgate.app import Server
from fleetgate.pki import certificate, keys
from fleetgate.registry import attachments, audit, certificates, claims, templates, things
from fleetgate.registry.certificates import Certificate, Status
from fleetgate.wire.mqtt.errors import Reason
from fleetgate.wire.mqtt.packets import V4, V5, Connect


async def certificates_of(server: Server, thing: str) -> list[Certificate]:
    await server.courier.finish(10)  # what follows from a connection is noted beside it
    return await server.runtime.database.read(lambda tx: attachments.certificates_of(tx, REALM, thing))


async def only_active(server: Server, thing: str) -> Certificate:
    """The one ACTIVE certificate of *thing*; there must be one, and one only."""
    [active] = [each for each in await certificates_of(server, thing) if each.status is Status.ACTIVE]
    return active


async def connected(server: Server, store: Store, client_id: str, version: int = V5) -> Client:
    """A connection with the identity that *store* has in force."""
    where = endpoint(server)
    context = tls.present(tls.trust(where), store.credentials(draft=False))
    return await dial(where, context, Connect(client_id, version, keep_alive=60))


# --- devices provision themselves -------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [V4, V5], ids=["3.1.1", "5"])
@pytest.mark.parametrize("form", ["json", "cbor"])
@pytest.mark.parametrize("server_keys", [False, True], ids=["csr", "server keys"])
@pytest.mark.parametrize("https", [False, True], ids=["mqtt port", "alpn"])
async def test_a_device_gets_an_identity_that_works(
    tmp_path: Path, version: int, form: Any, server_keys: bool, https: bool
) -> None:
    async with running_server(tmp_path / "data") as server:
        fleet = await make_fleet(server.runtime, tmp_path / "claim")
        store = MemoryStore()
        wanted = options(server, fleet, "SN-1", version=version, format=form, server_keys=server_keys)
        wanted = replace(wanted, endpoint=endpoint(server, https=https), confirm_topic="fleet/SN-1/hello")
        result = await provision(wanted, fleet.claim, store)
        assert (result.thing_name, result.device_configuration, result.attempts) == ("SN-1", {"interval": "60"}, 1)
        active = await only_active(server, "SN-1")
        assert active.fingerprint == result.certificate_id
        assert active.claim_fingerprint == fleet.fingerprint
        assert active.first_connected_at is not None
        await _can_do_its_own_and_nothing_else(server, store, version)


async def _can_do_its_own_and_nothing_else(server: Server, store: Store, version: int) -> None:
    client = await connected(server, store, "SN-1", version)
    await client.subscribe("fleet/SN-1/down")
    with client.expecting("fleet/SN-1/down") as message:
        await client.publish("fleet/SN-1/down", b"1")
        assert (await message.within(5)).payload == b"1"
    with pytest.raises(ConnectionLost if version == V4 else Declined):
        await client.publish("fleet/SN-2/up", b"1")
    await client.disconnect()
    with pytest.raises(ConnectionLost if version == V4 else Declined):
        await connected(server, store, "SN-2", version)


async def test_many_devices_at_once(tmp_path: Path) -> None:
    async with running_server(tmp_path / "data") as server:
        fleet = await make_fleet(server.runtime, tmp_path / "claim")
        simulation = simulate(Fleet(options(server, fleet, ""), fleet.claim, count=60, concurrency=20))
        devices = [device async for device in simulation]
        assert [device.error for device in devices] == [None] * 60
        assert len({device.certificate_id for device in devices}) == 60
        for device in devices:
            assert device.thing_name == device.serial
            assert (await only_active(server, device.serial)).fingerprint == device.certificate_id
        used = await server.runtime.database.read(lambda tx: claims.get(tx, REALM, fleet.fingerprint).used)
        assert used == 60
        assert simulation.cpu_per_device > 0


async def test_a_claim_is_spent_when_its_budget_is(tmp_path: Path) -> None:
    async with running_server(tmp_path / "data") as server:
        fleet = await make_fleet(server.runtime, tmp_path / "claim", maximum=5)
        simulation = simulate(Fleet(options(server, fleet, ""), fleet.claim, count=8, concurrency=4))
        outcomes = Counter(type(device.error) for device in [device async for device in simulation])
        assert outcomes == {type(None): 5, Rejected: 3}


# --- and are refused --------------------------------------------------------------------------------------------------


async def _failure(server: Server, fleet: ClaimFleet, **more: Any) -> AgentFailed:
    with pytest.raises(AgentFailed) as caught:
        await provision(options(server, fleet, "SN-1", **more), fleet.claim, MemoryStore())
    await server.works.upkeep.finish()
    return caught.value


async def _reasons(server: Server) -> list[str]:
    page = await server.runtime.database.read(lambda tx: audit.page(tx, REALM))
    return [entry.reason for entry in page.items if entry.outcome == "refused"]


async def test_a_certificate_that_nobody_knows_is_told_nothing(tmp_path: Path) -> None:
    async with running_server(tmp_path / "data") as server:
        fleet = await make_fleet(server.runtime, tmp_path / "claim")
        key = keys.generate(keys.KeyKind.EC_P256)
        stranger = KeyTexts(certify(key.public_key()), keys.private_key_pem(key))
        with pytest.raises(GaveUp) as caught:
            await provision(options(server, fleet, "SN-1"), stranger, MemoryStore())
        assert isinstance(caught.value.last, ConnectionLost)
        assert "certificates that they do not know" in caught.value.message


async def test_a_certificate_without_a_budget_may_not_provision(tmp_path: Path) -> None:
    async with running_server(tmp_path / "data") as server:
        fleet = await make_fleet(server.runtime, tmp_path / "claim")
        act = server.runtime.act(REALM, "system")
        await server.runtime.write(lambda tx: claims.delete(tx, act, fleet.fingerprint))
        failed = await _failure(server, fleet)
        assert isinstance(failed, Rejected)
        assert failed.status_code == 403
        assert any("no registered claim" in reason for reason in await _reasons(server))


async def test_a_template_that_is_switched_off(tmp_path: Path) -> None:
    async with running_server(tmp_path / "data") as server:
        fleet = await make_fleet(server.runtime, tmp_path / "claim", enabled=False)
        failed = await _failure(server, fleet)
        assert isinstance(failed, Rejected)
        assert (failed.operation, failed.status_code, failed.error_code) == ("RegisterThing", 403, "AccessDenied")
        page = await server.runtime.database.read(
            lambda tx: audit.page(tx, REALM, request_id=failed.request_id, action="RegisterThing")
        )
        [entry] = page.items
        assert entry.reason == "Provisioning template fleet is disabled."


async def test_a_template_that_is_gone(tmp_path: Path) -> None:
    async with running_server(tmp_path / "data") as server:
        fleet = await make_fleet(server.runtime, tmp_path / "claim")
        act = server.runtime.act(REALM, "system")
        await server.runtime.write(lambda tx: templates.delete(tx, act, fleet.template))
        failed = await _failure(server, fleet)
        assert isinstance(failed, Rejected)
        assert failed.status_code == 404


@pytest.mark.parametrize("version", [V4, V5], ids=["3.1.1", "5"])
async def test_a_template_that_the_claims_policy_does_not_allow(tmp_path: Path, version: int) -> None:
    async with running_server(tmp_path / "data") as server:
        fleet = await make_fleet(server.runtime, tmp_path / "claim")
        failed = await _failure(server, replace(fleet, template="other"), version=version)
        if version == V5:
            assert isinstance(failed, Declined)
            assert failed.reason_code is Reason.NOT_AUTHORIZED
            assert "iot:Subscribe" in failed.said
        else:
            assert isinstance(failed, GaveUp)
            assert "while subscribing to" in failed.last.message


async def test_a_parameter_that_is_missing(tmp_path: Path) -> None:
    async with running_server(tmp_path / "data") as server:
        fleet = await make_fleet(server.runtime, tmp_path / "claim")
        failed = await _failure(server, fleet, parameters={})
        assert isinstance(failed, Rejected)
        assert (failed.status_code, failed.error_code) == (400, "InvalidParameters")
        assert "SerialNumber" in failed.said


async def test_a_server_that_is_not_trusted(tmp_path: Path) -> None:
    async with running_server(tmp_path / "data") as server:
        fleet = await make_fleet(server.runtime, tmp_path / "claim")
        other = tmp_path / "other.pem"
        other.write_text(certify(keys.generate(keys.KeyKind.EC_P256).public_key()))
        here = endpoint(server)
        failed = await _failure(server, fleet, endpoint=replace(here, ca_file=other))
        assert isinstance(failed, TlsFailed)
        assert "the server's certificate is not trusted" in failed.why
        failed = await _failure(server, fleet, endpoint=replace(here, server_name="elsewhere.example"))
        assert isinstance(failed, TlsFailed)
        assert "elsewhere.example" in failed.why


async def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    async with running_server(tmp_path / "data") as server:
        fleet = await make_fleet(server.runtime, tmp_path / "claim")
    with pytest.raises(GaveUp) as caught:
        await provision(options(server, fleet, "SN-1"), fleet.claim, MemoryStore())
    assert isinstance(caught.value.last, Unreachable)


# --- what goes wrong on the way ---------------------------------------------------------------------------------------

STEPS = ["Making a key", "Asking for a certificate", "Asking to be provisioned", "Connecting with the new certificate"]


class Crash(BaseException):
    """The device loses its power."""


@pytest.mark.parametrize("step", STEPS)
async def test_a_device_that_crashes_goes_on_with_the_same_key(tmp_path: Path, step: str) -> None:
    async with running_server(tmp_path / "data") as server:
        fleet = await make_fleet(server.runtime, tmp_path / "claim")
        wanted, folder = options(server, fleet, "SN-1"), tmp_path / "device"

        def crash(said: str) -> None:
            if said.startswith(step):
                raise Crash

        with FolderStore(folder) as store, suppress(Crash):
            await provision(wanted, fleet.claim, store, replace(SURROUNDINGS, say=crash))
        with FolderStore(folder) as store:
            begun = store.draft()
            result = await provision(wanted, fleet.claim, store)
            kept = store.current()
            assert kept is not None
            assert begun.private_key in {None, kept.private_key}
            assert (await only_active(server, "SN-1")).fingerprint == result.certificate_id
            await (await connected(server, store, "SN-1")).disconnect()


@pytest.mark.parametrize("step", STEPS[1:])
async def test_a_server_that_restarts_in_the_middle(tmp_path: Path, step: str) -> None:
    """Whether the request that was on its way is done or not, the device ends with one certificate that works."""
    reached, up = asyncio.Event(), asyncio.Event()

    def say(said: str) -> None:
        if said.startswith(step):
            reached.set()

    async def sleep(_: float) -> None:
        await up.wait()

    store = MemoryStore()
    async with running_server(tmp_path / "data") as server:
        fleet = await make_fleet(server.runtime, tmp_path / "claim")
        around = replace(SURROUNDINGS, say=say, sleep=sleep)
        wanted = options(server, fleet, "SN-1", backoff=Backoff(attempts=10))
        provisioning = asyncio.create_task(provision(wanted, fleet.claim, store, around))
        await reached.wait()
    async with running_server(tmp_path / "data", gateway__mqtt_port=server.mqtt_port) as server:
        up.set()
        result = await provisioning
        assert (await only_active(server, "SN-1")).fingerprint == result.certificate_id
        keys_used = {each.public_key_fingerprint for each in await certificates_of(server, "SN-1")}
        assert len(keys_used) == 1
        await (await connected(server, store, "SN-1")).disconnect()


async def test_an_answer_that_is_lost_costs_no_thing_and_no_second_identity(tmp_path: Path) -> None:
    """RegisterThing succeeds, and the device never hears of it."""
    async with running_server(tmp_path / "data") as server:
        fleet = await make_fleet(server.runtime, tmp_path / "claim")
        result = await provision(
            options(server, fleet, "SN-1"), fleet.claim, MemoryStore(), SURROUNDINGS, _deaf_once("/provision/")
        )
        assert result.attempts == 2
        lost, kept = sorted(await certificates_of(server, "SN-1"), key=lambda each: each.created_at)
        assert (lost.status, kept.status) == (Status.INACTIVE, Status.ACTIVE)
        assert lost.public_key_fingerprint == kept.public_key_fingerprint


def _deaf_once(topic: str) -> Callable[..., Any]:
    """A dialler whose first connection breaks when an answer on *topic* arrives."""
    left = [1]

    class Deaf(Client):
        def _hand_over(self, message: Any) -> None:
            if topic in message.topic and left:
                left.clear()
                self._transport.abort()
            else:
                super()._hand_over(message)

    async def dialler(where: Any, context: ssl.SSLContext, connect: Connect, seconds: float) -> Client:
        client = Deaf()
        await asyncio.get_running_loop().create_connection(
            lambda: client, where.host, where.port, ssl=context, server_hostname=where.server_name
        )
        await client.open(connect, seconds)
        return client

    return dialler


# --- rotation ---------------------------------------------------------------------------------------------------------


async def _provisioned(server: Server, fleet: ClaimFleet, store: Store) -> Result:
    return await provision(options(server, fleet, "SN-1"), fleet.claim, store)


async def test_rotation_disables_the_old_certificate_at_first_use_of_the_new_one(tmp_path: Path) -> None:
    async with running_server(tmp_path / "data") as server:
        fleet = await make_fleet(server.runtime, tmp_path / "claim")
        with FolderStore(tmp_path / "device") as store:
            first = await _provisioned(server, fleet, store)
            old = store.current()
            assert old is not None
            active_before: list[set[str]] = []

            async def look_and_dial(*arguments: Any) -> Client:
                found = await certificates_of(server, "SN-1")
                active_before.append({each.fingerprint for each in found if each.status is Status.ACTIVE})
                return await dial(*arguments)

            second = await rotate(options(server, fleet, "SN-1"), store, SURROUNDINGS, look_and_dial)
            assert active_before == [{first.certificate_id}, {first.certificate_id, second.certificate_id}]
            assert second.certificate_id != first.certificate_id
            states = {each.fingerprint: each.status for each in await certificates_of(server, "SN-1")}
            assert states == {first.certificate_id: Status.INACTIVE, second.certificate_id: Status.ACTIVE}
            new = store.current()
            assert new is not None
            assert new.private_key != old.private_key
            await (await connected(server, store, "SN-1")).disconnect()


async def test_until_the_new_certificate_connects_the_old_one_works(tmp_path: Path) -> None:
    async with running_server(tmp_path / "data") as server:
        fleet = await make_fleet(server.runtime, tmp_path / "claim")
        with FolderStore(tmp_path / "device") as store:
            first = await _provisioned(server, fleet, store)

            def crash(said: str) -> None:
                if said.startswith("Connecting with the new"):
                    raise Crash

            with suppress(Crash):
                await rotate(options(server, fleet, "SN-1"), store, replace(SURROUNDINGS, say=crash))
            states = {each.status for each in await certificates_of(server, "SN-1")}
            assert states == {Status.ACTIVE}, "both"
            live = await connected(server, store, "SN-1")
            second = await rotate(options(server, fleet, "SN-1", own_client_id="SN-1"), store)
            assert (await only_active(server, "SN-1")).fingerprint == second.certificate_id != first.certificate_id
            with pytest.raises(ConnectionLost):
                await anext(live.messages())


async def test_a_device_may_not_renew_another_ones_thing(tmp_path: Path) -> None:
    async with running_server(tmp_path / "data") as server:
        fleet = await make_fleet(server.runtime, tmp_path / "claim")
        await provision(options(server, fleet, "SN-2"), fleet.claim, MemoryStore())
        store = MemoryStore()
        await _provisioned(server, fleet, store)
        own = store.current()
        assert own is not None
        store.keep(replace(own, parameters={}))  # a device that has forgotten whose it is, or lies about it
        store.adopt()
        with pytest.raises(Rejected, match="403 AccessDenied: A device may renew its own certificate only"):
            await rotate(options(server, fleet, "SN-2", client_id="SN-1"), store)
        assert len(await certificates_of(server, "SN-2")) == 1


async def test_a_retired_certificate_cannot_ask(tmp_path: Path) -> None:
    async with running_server(tmp_path / "data") as server:
        fleet = await make_fleet(server.runtime, tmp_path / "claim")
        store = MemoryStore()
        result = await _provisioned(server, fleet, store)
        act = server.runtime.act(REALM, "system")
        await server.runtime.write(lambda tx: certificates.set_status(tx, act, result.certificate_id, Status.REVOKED))
        with pytest.raises(GaveUp, match="certificates that they do not know or that are not active"):
            await rotate(options(server, fleet, "SN-1"), store)


# --- the same folder, other programs ----------------------------------------------------------------------------------


async def test_a_server_that_stops_says_so(tmp_path: Path) -> None:
    async with running_server(tmp_path / "data") as server:
        fleet = await make_fleet(server.runtime, tmp_path / "claim")
        store = MemoryStore()
        await _provisioned(server, fleet, store)
        client = await connected(server, store, "SN-1")
    with pytest.raises(ConnectionLost, match="server shutting down") as caught:
        await anext(client.messages())
    assert caught.value.retryable


async def test_other_programs_find_the_identity_in_force(tmp_path: Path) -> None:
    async with running_server(tmp_path / "data") as server:
        fleet = await make_fleet(server.runtime, tmp_path / "claim")
        with FolderStore(tmp_path / "device") as store:
            result = await _provisioned(server, fleet, store)
        files = KeyFiles(tmp_path / "device/current/certificate.pem", tmp_path / "device/current/private.key")
        assert certificate.fingerprint(certificate.load(files.certificate.read_text())) == result.certificate_id
        where = endpoint(server)
        client = await dial(where, tls.present(tls.trust(where), files), Connect("SN-1"))
        await client.disconnect()


async def test_the_thing_is_what_the_template_says(tmp_path: Path) -> None:
    async with running_server(tmp_path / "data") as server:
        fleet = await make_fleet(server.runtime, tmp_path / "claim")
        await _provisioned(server, fleet, MemoryStore())
        thing = await server.runtime.database.read(lambda tx: things.get(tx, REALM, "SN-1"))
        assert thing.name == "SN-1"


def test_the_default_surroundings_are_real() -> None:
    assert isinstance(SURROUNDINGS, Surroundings)
    assert 0 <= SURROUNDINGS.chance() < 1
