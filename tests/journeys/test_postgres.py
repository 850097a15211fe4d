"""The same server on PostgreSQL, where transactions meet: many devices at once, and changes while they are online."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.journeys.maker import Maker, config, operator
from tests.journeys.paho_device import NOT_AUTHORIZED, V5, V311, Closed, Device
from tests.server import PATIENCE, REALM, Live, serving

from fleetgate.registry import attachments, certificates, claims, policies
from fleetgate.registry.certificates import Status

Connect = Callable[..., Device]

pytestmark = pytest.mark.postgres

COUNT = 30


@pytest.fixture
def live(tmp_path: Path, postgres_url: str) -> Iterator[Live]:
    with serving(tmp_path, {"database.url": postgres_url}) as server:
        yield server


def test_many_devices_of_one_claim_at_once(live: Live, name: str, connect: Connect) -> None:
    """They all count against one budget, and every one of them is answered."""
    batch = live.batch(name, maximum=COUNT)
    devices = [connect(batch.claim, f"{name}-{number}", (V311, V5)[number % 2]) for number in range(COUNT)]
    start = threading.Barrier(COUNT)

    def provision(number: int) -> str:
        start.wait(PATIENCE)
        made = devices[number].provision(batch, f"{name}-{number}", csr=True)
        working = connect(made.identity, made.thing)
        assert working.publish(batch.topic(made.thing)) == 0
        assert working.publish(batch.topic("somebody-else")) == NOT_AUTHORIZED
        return made.identity.fingerprint

    with ThreadPoolExecutor(COUNT) as pool:
        assert len(set(pool.map(provision, range(COUNT)))) == COUNT
    assert live.read(lambda tx: claims.get(tx, REALM, batch.claim.fingerprint)).used == COUNT
    assert all(device.messages.empty() for device in devices)


def test_one_thing_wanted_by_many_at_once_is_one_devices(live: Live, name: str, connect: Connect) -> None:
    """A race for one serial number: each winner's predecessor had never connected, and one certificate is left."""
    batch = live.batch(name)
    devices = [connect(batch.claim, f"{name}-{number}") for number in range(8)]
    tokens = [device.certificate(csr=True)[0]["certificateOwnershipToken"] for device in devices]
    start = threading.Barrier(len(devices))

    def register(device: Device, token: str) -> bool:
        start.wait(PATIENCE)
        return device.register(batch, token, f"{name}-1").accepted

    with ThreadPoolExecutor(len(devices)) as pool:
        assert any(pool.map(register, devices, tokens))
    bound = live.read(lambda tx: attachments.certificates_of(tx, REALM, f"{name}-1"))
    assert [each.status for each in bound].count(Status.ACTIVE) == 1


def test_many_devices_of_one_ca_at_once(live: Live, name: str, connect: Connect) -> None:
    """Each is provisioned just in time, although all of them make the same policy's attachments."""
    iot, maker = operator(live), Maker(live, name)
    maker.register(iot, registrationConfig=config(iot, name, "body"))
    start = threading.Barrier(COUNT)

    def arrive(number: int) -> int:
        thing = f"{name}-{number}"
        device = maker.device(thing)
        start.wait(PATIENCE)
        with pytest.raises(Closed):
            connect(device, thing)
        return connect(device, thing).publish(f"{name}/{thing}/up")

    with ThreadPoolExecutor(COUNT) as pool:
        assert set(pool.map(arrive, range(COUNT))) == {0}
    assert len(iot.list_things(maxResults=100)["things"]) == COUNT


def test_changes_reach_live_connections_within_a_second(live: Live, name: str, connect: Connect) -> None:
    batch = live.batch(name)
    made = connect(batch.claim, f"{name}-new").provision(batch, f"{name}-1")
    device = connect(made.identity, made.thing)
    topic = batch.topic(made.thing)
    assert device.publish(topic) == 0
    nothing = '{"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "iot:*", "Resource": "*"}}'
    live.write(lambda tx, act: policies.create_version(tx, act, batch.policy, nothing, set_as_default=True))
    started = time.monotonic()
    while device.publish(topic) == 0:
        assert time.monotonic() - started < 1.0
    live.write(lambda tx, act: certificates.set_status(tx, act, made.identity.fingerprint, Status.INACTIVE))
    started = time.monotonic()
    device.closed()
    assert time.monotonic() - started < 1.0
