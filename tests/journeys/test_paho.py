"""Journeys with paho-mqtt: both versions, both formats, both ways to a certificate."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.journeys.paho_device import NOT_AUTHORIZED, V5, Closed, Device
from tests.server import Batch, Live

Connect = Callable[..., Device]


@pytest.mark.parametrize("form", ["json", "cbor"])
@pytest.mark.parametrize("csr", [False, True], ids=["keys", "csr"])
def test_device_provisions_itself_and_works(
    live: Live, batch: Batch, connect: Connect, version: int, csr: bool, form: str
) -> None:
    observer = connect(batch.observer, f"{batch.name}-observer")
    observer.subscribe(f"{batch.name}/+/telemetry")
    claiming = connect(batch.claim, f"{batch.name}-new", version)
    made = claiming.provision(batch, f"{batch.name}-1", csr=csr, form=form)
    claiming.disconnect()
    assert made.thing == f"{batch.name}-1"

    device = connect(made.identity, made.thing, version)
    topic = batch.topic(made.thing)
    assert device.publish(topic, b"21.5") == 0
    message = observer.receive()
    assert (message.topic, message.payload) == (topic, b"21.5")

    elsewhere = batch.topic("somebody-else")
    if version == V5:
        assert device.publish(elsewhere, b"0") == NOT_AUTHORIZED
        assert device.alive
    else:
        with pytest.raises(Closed):
            device.publish(elsewhere, b"0")
