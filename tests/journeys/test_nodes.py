"""Two nodes, one fleet: whoever is connected to either of them meets the same fleet."""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from tests.faults.test_kill_bulk import named
from tests.journeys.paho_device import NOT_AUTHORIZED, V5, V311, Closed, Device
from tests.mosquitto import Mosquitto, running
from tests.server import REALM, Identity, Live, policy_document, serving, statement

from fleetgate.registry import attachments, certificates, nodes, policies
from fleetgate.registry.certificates import Status

pytestmark = pytest.mark.postgres
TAKEN_OVER = 0x8E
_numbers = itertools.count(1)
Connect = Callable[..., Device]


@pytest.fixture(scope="module")
def mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with running(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


@pytest.fixture(scope="module")
def fleet(
    mosquitto: Mosquitto, postgres_server: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Live, Live]]:
    folder = tmp_path_factory.mktemp("east")
    with postgres_server.database() as url:
        settings = {"database.url": named(url), "nodes.bus": mosquitto.url, "server.data_dir": str(folder / "data")}
        with (
            serving(folder, settings | {"nodes.name": "east"}) as east,
            serving(tmp_path_factory.mktemp("west"), settings | {"nodes.name": "west"}) as west,
        ):
            joined(east, west)
            yield east, west


def joined(east: Live, west: Live) -> None:
    """Wait until each hears the other: a message of one reaches a subscriber on the other."""
    listener = east.identity("joined", policy_document(statement("iot:*", "*")))
    one, other = Device(east, listener, "joined-east"), Device(west, listener, "joined-west")
    one.connect()
    other.connect()
    one.subscribe("joined/west")
    other.subscribe("joined/east")
    until = time.monotonic() + 20
    while one.messages.empty() or other.messages.empty():
        assert time.monotonic() < until, "the nodes do not hear each other"
        try:
            one.publish("joined/east")
            other.publish("joined/west")
        except Closed:  # the bus is not reached yet
            break
    one.disconnect()
    other.disconnect()


@pytest.fixture
def east(fleet: tuple[Live, Live]) -> Live:
    return fleet[0]


@pytest.fixture
def west(fleet: tuple[Live, Live]) -> Live:
    return fleet[1]


@pytest.fixture
def name() -> str:
    return f"n{next(_numbers)}"


@pytest.fixture
def identity(east: Live, name: str) -> Identity:
    """May do everything below its own name."""
    return east.identity(
        name,
        policy_document(
            statement("iot:Connect", "client/*"),
            statement(["iot:Publish", "iot:Receive", "iot:RetainPublish"], f"topic/{name}/*"),
            statement("iot:Subscribe", f"topicfilter/{name}/*", f"topicfilter/$share/*/{name}/*"),
        ),
    )


def test_messages_cross(east: Live, west: Live, identity: Identity, name: str, connect: Connect) -> None:
    listener = connect(identity, f"{name}-listener", to=west)
    publisher = connect(identity, f"{name}-publisher", V311, to=east)
    listener.subscribe(f"{name}/a/#")
    publisher.subscribe(f"{name}/a/#")
    for number in range(50):
        assert publisher.publish(f"{name}/a/{number}", str(number)) == 0
    assert [listener.receive().payload for _ in range(50)] == [str(number).encode() for number in range(50)]
    assert [publisher.receive().payload for _ in range(50)] == [str(number).encode() for number in range(50)]
    listener.publish(f"{name}/a/back", "back")
    assert publisher.receive().payload == listener.receive().payload == b"back"


def test_a_client_id_is_taken_over(
    east: Live, west: Live, identity: Identity, name: str, connect: Connect, version: int
) -> None:
    for old, new in ((east, west), (west, east)):
        first = connect(identity, f"{name}-device", version, to=old)
        second = connect(identity, f"{name}-device", version, to=new)
        reason = first.closed()
        assert version == V311 or reason == TAKEN_OVER
        assert second.publish(f"{name}/here") == 0
        second.disconnect()


def test_a_session_moves_with_its_client(
    east: Live, west: Live, identity: Identity, name: str, connect: Connect
) -> None:
    publisher = connect(identity, f"{name}-publisher", to=east)
    for number, node in enumerate((east, west, west, east), 1):
        device = connect(identity, f"{name}-device", to=node, clean=False)
        if number == 1:
            device.subscribe(f"{name}/work")
        else:
            assert [device.receive().payload for _ in range(3)] == [f"{number - 1}.{at}".encode() for at in range(3)]
        assert device.messages.empty()
        device.disconnect()
        for at in range(3):
            assert publisher.publish(f"{name}/work", f"{number}.{at}") == 0
    fresh = connect(identity, f"{name}-device", to=west)
    publisher.publish(f"{name}/work", "nobody's")
    fresh.subscribe(f"{name}/other")
    publisher.publish(f"{name}/other", "after")
    assert fresh.receive().payload == b"after"


def test_a_connected_session_moves_with_what_it_was_not_given(
    east: Live, west: Live, identity: Identity, name: str, connect: Connect
) -> None:
    """The device on the first node is cut off by the take-over itself."""
    first = connect(identity, f"{name}-device", to=east, clean=False)
    first.subscribe(f"{name}/work")
    second = connect(identity, f"{name}-device", to=west, clean=False)
    first.closed()
    connect(identity, f"{name}-publisher", to=east).publish(f"{name}/work", "1")
    assert second.receive().payload == b"1"


def test_nothing_is_lost_to_a_device_that_goes_from_node_to_node(
    east: Live, west: Live, identity: Identity, name: str, connect: Connect
) -> None:
    """What is said while one node has let go of its session and the other does not keep it yet."""
    speakers = [connect(identity, f"{name}-speaker-{at}", to=node) for at, node in enumerate((east, west))]
    device = connect(identity, f"{name}-device", to=east, clean=False)
    device.subscribe(f"{name}/work")
    said: list[bytes] = []
    over = threading.Event()

    def speak() -> None:
        for number, speaker in zip(itertools.count(), itertools.cycle(speakers)):
            if over.wait(0.01):  # a session that is being moved keeps a thousand
                return
            assert speaker.publish(f"{name}/work", str(number)) == 0
            said.append(str(number).encode())

    talking = threading.Thread(target=speak)
    talking.start()
    visits = [device]
    for node in (west, east) * 10:
        visits.append(connect(identity, f"{name}-device", to=node, clean=False))
        visits[-2].closed()
    over.set()
    talking.join()
    heard: set[bytes] = set()
    for visit in visits[:-1]:
        heard.update(message.payload for message in visit.messages.queue)
    with suppress(queue.Empty):
        while missing := set(said) - heard:
            heard.add(visits[-1].messages.get(timeout=5).payload)
    assert not missing, f"{len(missing)} of {len(said)}"


def test_a_client_id_that_comes_to_both_at_once_has_one_connection(
    east: Live, west: Live, identity: Identity, name: str, connect: Connect
) -> None:
    for round_ in range(15):
        both = [Device(node, identity, f"{name}-device") for node in (east, west)]
        barrier = threading.Barrier(2)

        def come(device: Device, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            with suppress(Closed):
                device.connect()

        arriving = [threading.Thread(target=come, args=(device,)) for device in both]
        for each in arriving:
            each.start()
        for each in arriving:
            each.join()
        last = connect(identity, f"{name}-last", to=east)
        last.publish(f"{name}/settled")  # and all that was said between the nodes before
        alive = [device for device in both if device.reason == 0 and device.alive]
        answers = 0
        for device in alive:
            with suppress(Closed):
                answers += device.publish(f"{name}/here") == 0
        for device in both:
            device.disconnect()
        last.disconnect()
        assert answers <= 1, f"both, in round {round_}"


def test_a_shared_subscription_has_one_member_for_each_message(
    east: Live, west: Live, identity: Identity, name: str, connect: Connect
) -> None:
    members = [connect(identity, f"{name}-{number}", to=node) for number, node in enumerate((east, west, west))]
    for member in members:
        member.subscribe(f"$share/crew/{name}/jobs")
    publishers = [connect(identity, f"{name}-p{number}", to=node) for number, node in enumerate((east, west))]
    # Until each node knows of the other's members, a message may be served by both.
    deadline = time.monotonic() + 10
    while sum(len(each.messages.queue) for each in members) == 0 or members[0].messages.empty():
        assert time.monotonic() < deadline
        publishers[1].publish(f"{name}/jobs", "warm")
    while members[1].messages.empty() and members[2].messages.empty():
        assert time.monotonic() < deadline
        publishers[0].publish(f"{name}/jobs", "warm")
    for number in range(60):
        assert publishers[number % 2].publish(f"{name}/jobs", str(number)) == 0
    got: list[int] = []
    while len(got) < 60:
        assert time.monotonic() < deadline + 20
        for member in members:
            while not member.messages.empty():
                if (payload := member.receive().payload) != b"warm":
                    got.append(int(payload))
    assert sorted(got) == list(range(60))


def test_a_retained_message_is_everywhere(
    east: Live, west: Live, identity: Identity, name: str, connect: Connect
) -> None:
    publisher = connect(identity, f"{name}-publisher", to=east)
    publisher._answer("publish", publisher._client.publish(f"{name}/state", "on", 1, retain=True).mid)
    device = connect(identity, f"{name}-device", to=west)
    deadline = time.monotonic() + 10
    while device.messages.empty():
        assert time.monotonic() < deadline
        device.subscribe(f"{name}/state")
    assert device.receive().payload == b"on"


def test_changes_reach_connections_on_every_node_within_a_second(
    east: Live, west: Live, identity: Identity, name: str, connect: Connect
) -> None:
    devices = [connect(identity, f"{name}-{at}", to=node) for at, node in enumerate((east, west))]
    for device in devices:
        assert device.publish(f"{name}/free") == 0
    nothing = policy_document(statement("iot:Connect", "client/*"))
    east.write(lambda tx, act: policies.create_version(tx, act, f"{name}-0", nothing, set_as_default=True))
    started = time.monotonic()
    for device in devices:
        while device.publish(f"{name}/free") != NOT_AUTHORIZED:
            assert time.monotonic() - started < 1.0, "more than a second"
    west.write(lambda tx, act: certificates.set_status(tx, act, identity.fingerprint, Status.REVOKED))
    started = time.monotonic()
    for device in devices:
        assert device.closed() == NOT_AUTHORIZED
    assert time.monotonic() - started < 1.0, "more than a second"


def test_a_device_provisioned_on_one_node_is_at_home_on_the_other(
    east: Live, west: Live, name: str, connect: Connect
) -> None:
    batch = east.batch(name, maximum=1)
    made = connect(batch.claim, f"{name}-new", to=west).provision(batch, name, csr=True)
    device = connect(made.identity, made.thing, to=east)
    assert device.publish(batch.topic(made.thing)) == 0
    assert west.read(lambda tx: attachments.certificates_of(tx, REALM, made.thing))[0].status is Status.ACTIVE


def test_a_claim_throws_no_device_off_on_another_node(east: Live, west: Live, name: str, connect: Connect) -> None:
    batch = east.batch(name, maximum=2)
    made = connect(batch.claim, f"{name}-new", to=west).provision(batch, name, csr=True)
    device = connect(made.identity, made.thing, V5, to=east)
    assert connect(batch.claim, made.thing, V5, to=west).reason == NOT_AUTHORIZED
    assert device.publish(batch.topic(made.thing)) == 0


def test_both_are_known(east: Live) -> None:
    alive = east.read(lambda tx: nodes.alive(tx, east.now()))
    assert [node.name for node in alive] == ["east", "west"]
