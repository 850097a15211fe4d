"""What an operator changes reaches live connections within a second."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from tests.journeys.paho_device import NOT_AUTHORIZED, V5, Closed, Device, Provisioned
from tests.server import REALM, Batch, Live, policy_document, statement

from fleetgate.database.port import Tx
from fleetgate.names import Act
from fleetgate.registry import attachments, certificates, claims, policies, thing_groups, things
from fleetgate.registry.certificates import Status

Connect = Callable[..., Device]


class Deadline:
    """From now on, a second."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def check(self) -> None:
        assert time.monotonic() - self._started < 1.0, "more than a second"

    def until(self, done: Callable[[], bool]) -> None:
        """Ask again and again (each question waits for the server's answer)."""
        while not done():
            self.check()


@pytest.fixture
def made(batch: Batch, connect: Connect) -> Provisioned:
    return connect(batch.claim, f"{batch.name}-new").provision(batch, f"{batch.name}-1", csr=True)


@pytest.fixture
def device(batch: Batch, made: Provisioned, connect: Connect, version: int) -> Device:
    """Online, and at work."""
    device = connect(made.identity, made.thing, version)
    assert device.publish(batch.topic(made.thing)) == 0
    return device


def is_refused(device: Device, topic: str) -> bool:
    try:
        return device.publish(topic) == NOT_AUTHORIZED
    except Closed:
        return True


@pytest.mark.parametrize("status", [Status.INACTIVE, Status.REVOKED])
def test_a_certificate_put_out_of_force_drops_its_connection(
    live: Live, made: Provisioned, device: Device, connect: Connect, version: int, status: Status
) -> None:
    live.write(lambda tx, act: certificates.set_status(tx, act, made.identity.fingerprint, status))
    deadline = Deadline()
    reason = device.closed()
    deadline.check()
    if version == V5:
        assert reason == NOT_AUTHORIZED
    with pytest.raises(Closed):
        connect(made.identity, made.thing, version)


def test_a_certificate_put_into_force_again_connects_again(
    live: Live, batch: Batch, made: Provisioned, device: Device, connect: Connect, version: int
) -> None:
    live.write(lambda tx, act: certificates.set_status(tx, act, made.identity.fingerprint, Status.INACTIVE))
    live.write(lambda tx, act: certificates.set_status(tx, act, made.identity.fingerprint, Status.ACTIVE))
    device.closed()
    assert connect(made.identity, made.thing, version).publish(batch.topic(made.thing)) == 0


def test_a_deleted_certificate_drops_its_connection(live: Live, made: Provisioned, device: Device) -> None:
    fingerprint = made.identity.fingerprint

    def delete(tx: Tx, act: Act) -> None:
        attachments.detach_principal(tx, act, made.thing, fingerprint)
        certificates.set_status(tx, act, fingerprint, Status.INACTIVE)
        certificates.delete(tx, act, fingerprint, force=True)

    live.write(delete)
    deadline = Deadline()
    device.closed()
    deadline.check()


def test_a_claim_certificate_put_out_of_force_drops_every_device_that_holds_it(
    live: Live, batch: Batch, made: Provisioned, device: Device, connect: Connect
) -> None:
    claiming = [connect(batch.claim, f"{batch.name}-claiming{number}") for number in range(5)]
    live.write(lambda tx, act: certificates.set_status(tx, act, batch.claim.fingerprint, Status.INACTIVE))
    deadline = Deadline()
    assert {each.closed() for each in claiming} == {NOT_AUTHORIZED}
    deadline.check()
    assert device.publish(batch.topic(made.thing)) == 0  # provisioned devices are unaffected


def test_a_new_default_version_of_a_policy_holds_at_once(
    live: Live, batch: Batch, made: Provisioned, device: Device, connect: Connect, version: int
) -> None:
    topic = batch.topic(made.thing)
    document = policy_document(statement("iot:Connect", "*"), statement("iot:Publish", f"topic/{batch.name}/new"))
    live.write(lambda tx, act: policies.create_version(tx, act, batch.policy, document))
    assert device.publish(topic) == 0  # not the default yet
    live.write(lambda tx, act: policies.set_default(tx, act, batch.policy, 2))
    deadline = Deadline()
    deadline.until(lambda: is_refused(device, topic))
    again = connect(made.identity, made.thing, version)
    assert again.publish(f"{batch.name}/new") == 0
    live.write(lambda tx, act: policies.set_default(tx, act, batch.policy, 1))
    deadline = Deadline()
    if version == V5:
        deadline.until(lambda: again.publish(topic) == 0)


def test_a_detached_policy_allows_nothing_more(live: Live, batch: Batch, made: Provisioned, device: Device) -> None:
    target = REALM.arn("cert", made.identity.fingerprint)
    live.write(lambda tx, act: attachments.detach_policy(tx, act, batch.policy, target))
    Deadline().until(lambda: is_refused(device, batch.topic(made.thing)))


def test_a_certificate_detached_from_its_thing_speaks_for_it_no_more(
    live: Live, batch: Batch, made: Provisioned, device: Device
) -> None:
    live.write(lambda tx, act: attachments.detach_principal(tx, act, made.thing, made.identity.fingerprint))
    Deadline().until(lambda: is_refused(device, batch.topic(made.thing)))


def test_what_may_be_received_changes_for_standing_subscriptions(
    live: Live, batch: Batch, made: Provisioned, device: Device, connect: Connect
) -> None:
    observer = connect(batch.observer, f"{batch.name}-observer")
    observer.subscribe(f"{batch.name}/+/telemetry")
    topic = batch.topic(made.thing)
    device.publish(topic, b"seen")
    assert observer.receive().payload == b"seen"
    deaf = policy_document(statement(["iot:Connect", "iot:Subscribe"], "*"))
    live.write(lambda tx, act: policies.create_version(tx, act, f"{batch.name}-observer-0", deaf, set_as_default=True))
    deadline = Deadline()

    def unheard() -> bool:
        device.publish(topic, b"unseen?")
        observer.subscribe(f"{batch.name}/barrier")
        arrived = not observer.messages.empty()
        while not observer.messages.empty():
            observer.receive()
        return not arrived

    deadline.until(unheard)


def test_a_policy_of_a_group_comes_and_goes(live: Live, batch: Batch, made: Provisioned, connect: Connect) -> None:
    """A thing's groups lend their policies to the connection that speaks for it."""
    topic, extra, group = f"{batch.name}-extra/x", f"{batch.name}-extra", f"{batch.name}-group"
    device = connect(made.identity, made.thing)
    assert device.publish(topic) == NOT_AUTHORIZED

    def lend(tx: Tx, act: Act) -> None:
        thing_groups.create(tx, act, group)
        policies.create(tx, act, extra, policy_document(statement("iot:Publish", f"topic/{topic}")))
        attachments.attach_policy(tx, act, extra, REALM.arn("thinggroup", group))
        thing_groups.add_thing(tx, act, group, made.thing)

    live.write(lend)
    Deadline().until(lambda: device.publish(topic) == 0)
    live.write(lambda tx, act: thing_groups.remove_thing(tx, act, group, made.thing))
    Deadline().until(lambda: device.publish(topic) == NOT_AUTHORIZED)


def test_a_changed_attribute_changes_what_variables_stand_for(live: Live, name: str, connect: Connect) -> None:
    attribute = "${iot:Connection.Thing.Attributes[site]}"
    production = policy_document(
        statement("iot:Connect", "*"), statement("iot:Publish", f"topic/{name}/{attribute}/telemetry")
    )
    batch = live.batch(name, production=production)
    made = connect(batch.claim, f"{name}-new").provision(batch, f"{name}-1", csr=True)
    device = connect(made.identity, made.thing)
    assert device.publish(f"{name}/hall/telemetry") == NOT_AUTHORIZED
    live.write(lambda tx, act: things.update(tx, act, made.thing, attributes={"site": "hall"}, merge=True))
    Deadline().until(lambda: device.publish(f"{name}/hall/telemetry") == 0)


def test_a_claim_that_is_on_again_keeps_who_came_since_then(live: Live, batch: Batch, connect: Connect) -> None:
    """What was said of the time before reaches the courier later than the connection."""
    for number in range(5):
        live.write(lambda tx, act: claims.set_enabled(tx, act, batch.claim.fingerprint, False))
        live.write(lambda tx, act: claims.set_enabled(tx, act, batch.claim.fingerprint, True))
        assert connect(batch.claim, f"{batch.name}-{number}").provision(batch, f"{batch.name}-{number}", csr=True).thing
