from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.agent.cloud import DROP, Cloud, Recorder, Reject

from fleetgate.agent.backoff import Backoff
from fleetgate.agent.errors import AgentFailed, ConnectionLost, CredentialsUnusable, GaveUp, Rejected
from fleetgate.agent.fleet import Device, Fleet, simulate
from fleetgate.agent.provision import Options
from fleetgate.agent.tls import Endpoint, KeyTexts


@pytest.fixture
def fleet(cloud: Cloud, claim: KeyTexts, recorder: Recorder, endpoint: Endpoint) -> Fleet:
    options = Options(endpoint, "T", {"Batch": "7"}, backoff=Backoff(attempts=2))
    return Fleet(options, claim, count=7, concurrency=3, around=recorder.around, dialler=cloud.dial)


async def run(fleet: Fleet) -> dict[str, Device]:
    return {device.serial: device async for device in simulate(fleet)}


def test_serials(fleet: Fleet) -> None:
    assert list(replace(fleet, count=2).serials()) == ["SIM-000001", "SIM-000002"]
    assert list(replace(fleet, count=1, first=1_234_567, serial_prefix="x").serials()) == ["x1234567"]


async def test_every_device_is_provisioned(cloud: Cloud, fleet: Fleet) -> None:
    devices = await run(fleet)
    assert sorted(devices) == list(fleet.serials())
    for serial, device in devices.items():
        assert (device.thing_name, device.error, device.attempts) == (serial, None, 1)
        assert cloud.things[serial] == [device.certificate_id]
    assert len(set(cloud.keys_seen)) == 7


async def test_its_cost_is_counted(fleet: Fleet) -> None:
    simulation = simulate(fleet)
    assert simulation.cpu_per_device == 0
    async for _ in simulation:
        pass
    assert simulation.finished == 7
    assert simulation.seconds > 0
    assert simulation.cpu_per_device == simulation.cpu_seconds / 7 > 0


async def test_a_device_that_fails_does_not_stop_the_others(cloud: Cloud, fleet: Fleet) -> None:
    cloud.trouble["provision"].append(Reject(403))
    devices = await run(fleet)
    failed = [device for device in devices.values() if device.error is not None]
    assert [type(each.error) for each in failed] == [Rejected]
    assert failed[0].certificate_id is None
    assert len(cloud.things) == 6


async def test_what_passes_is_tried_again_and_given_up(cloud: Cloud, fleet: Fleet) -> None:
    cloud.trouble["connect"] += [DROP, DROP]
    devices = await run(replace(fleet, count=1))
    assert isinstance(devices["SIM-000001"].error, GaveUp)


async def test_the_first_failure_is_told_at_once(cloud: Cloud, fleet: Fleet) -> None:
    told: list[AgentFailed] = []
    cloud.trouble["connect"] += [DROP, DROP, DROP]
    simulation = simulate(replace(fleet, around=replace(fleet.around, failed=told.append)))
    assert sum([1 async for _ in simulation]) == 7
    assert told == [simulation.first_failure]
    assert not simulation.hopeless


async def test_where_nothing_has_ever_connected_the_rest_is_not_tried(cloud: Cloud, fleet: Fleet) -> None:
    cloud.trouble["connect"] += [DROP] * 1000
    simulation = simulate(replace(fleet, count=500))
    devices = [device async for device in simulation]
    assert simulation.hopeless
    assert [type(device.error) for device in devices] == [GaveUp] * 3
    assert len(cloud.connects) < 20


async def test_it_is_patient_for_some_seconds_only(cloud: Cloud, fleet: Fleet) -> None:
    cloud.trouble["connect"] += [DROP] * 1000
    options = replace(fleet.options, backoff=Backoff(attempts=1000))
    simulation = simulate(replace(fleet, options=options, connect_patience=0))
    assert [device async for device in simulation] == []
    assert simulation.hopeless
    assert isinstance(simulation.first_failure, ConnectionLost)


async def test_in_a_folder(cloud: Cloud, fleet: Fleet, tmp_path: Path) -> None:
    fleet = replace(fleet, folder=tmp_path)
    first = await run(fleet)
    assert sorted(path.name for path in tmp_path.iterdir()) == list(fleet.serials())
    again = await run(fleet)
    assert {each.certificate_id for each in again.values()} == {each.certificate_id for each in first.values()}
    assert {each.attempts for each in again.values()} == {0}


async def test_leaving_early_stops_the_rest(cloud: Cloud, fleet: Fleet) -> None:
    simulation = simulate(replace(fleet, count=1000))
    await anext(simulation)
    await simulation.aclose()
    assert len(cloud.things) < 20


async def test_a_bug_comes_through(fleet: Fleet) -> None:
    async def dial(*_: Any) -> Any:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await run(replace(fleet, dialler=dial))


async def test_a_claim_that_cannot_be_used(fleet: Fleet) -> None:
    with pytest.raises(CredentialsUnusable):
        simulate(replace(fleet, claim=KeyTexts("", "")))


async def test_no_devices(fleet: Fleet) -> None:
    assert await run(replace(fleet, count=0)) == {}
