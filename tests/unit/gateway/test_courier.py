"""Who hears of which change."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass, field

import pytest

from fleetgate.broker import Connection
from fleetgate.gateway.courier import Courier
from fleetgate.names import Realm
from fleetgate.registry import events, outbox
from fleetgate.registry.certificates import Status
from fleetgate.wire.mqtt.errors import Reason
from fleetgate.wire.mqtt.packets import Connect, Publish, QoS, Subscription
from fleetgate.wire.mqtt.rules import AWS

HERE, THERE = Realm("123456789012", "us-east-1"), Realm("123456789012", "eu-west-1")
RED, BLUE = "a" * 64, "b" * 64


@dataclass(eq=False)
class Someone:
    realm: Realm = HERE
    actor: str = f"cert/{RED}"
    thing: str | None = None
    policies: tuple[str, ...] = ()
    judged: int = 0
    dismissed: list[tuple[Reason, str]] = field(default_factory=list)
    ticks: list[int] = field(default_factory=list)
    delivered: list[Publish] = field(default_factory=list)

    def holds(self, policy: str) -> bool:
        return policy in self.policies

    def judge_anew(self) -> None:
        self.judged += 1

    def dismiss(self, reason: Reason, message: str) -> None:
        self.dismissed.append((reason, message))

    def seen(self) -> Connection:
        return Connection("c", clean=True, session_expiry=0)

    def hand(self, message: Publish) -> None:
        self.delivered.append(message)

    def tick(self, now: int) -> None:
        self.ticks.append(now)

    def deliver(self, message: Publish) -> None:
        self.delivered.append(message)

    def may_receive(self, topic: str) -> bool:
        return True


@pytest.fixture
def courier() -> Courier:
    return Courier(AWS, lambda: 1000)


def entry(event: events.Event, realm: Realm = HERE) -> outbox.Entry:
    return outbox.Entry("1", realm, event, "system", str(uuid.UUID(int=1)), 0)


def enter(courier: Courier, *guests: Someone) -> None:
    for guest in guests:
        courier.enter(guest)


def test_each_realm_has_a_switchboard_of_its_own(courier: Courier) -> None:
    assert courier.switchboard(HERE) is courier.switchboard(HERE)
    assert courier.switchboard(HERE) is not courier.switchboard(THERE)


def test_guests_come_and_go(courier: Courier) -> None:
    first, second = Someone(), Someone()
    enter(courier, first, second)
    assert set(courier.guests()) == {first, second}
    courier.leave(first)
    courier.leave(first)
    courier.leave(Someone(actor=f"cert/{BLUE}"))
    assert courier.guests() == [second]


@pytest.mark.parametrize("status", [Status.INACTIVE, Status.REVOKED])
def test_a_certificate_put_out_of_force_ends_its_connections(courier: Courier, status: Status) -> None:
    guests = [Someone(), Someone(), Someone(actor=f"cert/{BLUE}"), Someone(realm=THERE)]
    enter(courier, *guests)
    courier.consume([entry(events.CertificateStatusChanged(RED, str(status), "ACTIVE"))])
    assert [bool(guest.dismissed) for guest in guests] == [True, True, False, False]
    assert guests[0].dismissed == [(Reason.NOT_AUTHORIZED, f"the certificate is {status} now")]


def test_a_deleted_certificate_ends_its_connections(courier: Courier) -> None:
    guest = Someone()
    enter(courier, guest)
    courier.consume([entry(events.CertificateDeleted(RED))])
    assert guest.dismissed == [(Reason.NOT_AUTHORIZED, "the certificate was deleted")]


def test_a_certificate_put_into_force_ends_nothing(courier: Courier) -> None:
    guest = Someone()
    enter(courier, guest)
    courier.consume([entry(events.CertificateStatusChanged(RED, "ACTIVE", "INACTIVE"))])
    assert guest.dismissed == []


CERTIFICATE, GROUP = HERE.arn("cert", RED), HERE.arn("thinggroup", "g")


@pytest.mark.parametrize(
    ("event", "concerned"),
    [
        (events.AttachmentChanged("p", CERTIFICATE, True), {"red", "red thing"}),
        (events.AttachmentChanged("p", GROUP, True), {"red thing", "blue thing"}),
        (events.ThingGroupDeleted("g"), {"red thing", "blue thing"}),
        (events.PrincipalChanged("t", RED, False), {"red", "red thing"}),
        (events.PolicyChanged("p", 2), {"red"}),
        (events.ThingUpdated("t", "id", None, {}, 2), {"red thing"}),
        (events.ThingDeleted("t", "id", 2), {"red thing"}),
        (events.GroupMembershipChanged("g", "t", True), {"red thing"}),
        (events.ClaimChanged(RED, False), {"red", "red thing"}),
        (events.ClaimChanged(RED, True), set()),
        (events.ThingCreated("t", "id", None, {}, 1), set()),
    ],
)
def test_a_change_is_told_to_those_whose_rights_may_rest_on_it(
    courier: Courier, event: events.Event, concerned: set[str]
) -> None:
    guests = {
        "red": Someone(policies=("p",)),
        "red thing": Someone(thing="t"),
        "blue": Someone(actor=f"cert/{BLUE}", policies=("q",)),
        "blue thing": Someone(actor=f"cert/{BLUE}", thing="u"),
        "elsewhere": Someone(realm=THERE, policies=("p",), thing="t"),
    }
    enter(courier, *guests.values())
    courier.consume([entry(event), entry(event)])
    assert {name for name, guest in guests.items() if guest.judged} == concerned
    assert all(guest.judged <= 1 for guest in guests.values()), "once for all that came together"


@dataclass(eq=False)
class Broken(Someone):
    """Neither to be judged nor to be dismissed."""

    def judge_anew(self) -> None:
        raise ZeroDivisionError

    def dismiss(self, reason: Reason, message: str) -> None:
        super().dismiss(reason, message)
        raise ZeroDivisionError


def test_one_that_cannot_be_judged_is_sent_away_and_harms_nobody_else(courier: Courier) -> None:
    guests = [Someone(policies=("p",)), Broken(policies=("p",)), Someone(policies=("p",))]
    enter(courier, *guests)
    courier.consume([entry(events.PolicyChanged("p", 2))])
    assert [guest.judged for guest in guests] == [1, 0, 1]
    assert [bool(guest.dismissed) for guest in guests] == [False, True, False]
    courier.consume([entry(events.CertificateDeleted(RED))])
    assert all(guest.dismissed for guest in guests)


def test_what_could_not_be_told_sends_the_realm_away(courier: Courier) -> None:
    guests = [Someone(), Broken(actor=f"cert/{BLUE}"), Someone(actor=f"cert/{BLUE}"), Someone(realm=THERE)]
    enter(courier, *guests)
    changes = courier.changes
    courier.give_up([entry(events.PolicyChanged("p", 2)), entry(events.PolicyChanged("q", 2))])
    assert [len(guest.dismissed) for guest in guests] == [1, 1, 1, 0]
    assert courier.changes > changes, "who comes in meanwhile is judged again"


def test_the_clock_reaches_guests_and_sessions(courier: Courier) -> None:
    guest, watcher = Someone(), Someone()
    enter(courier, guest, watcher)
    switchboard = courier.switchboard(HERE)
    attached = switchboard.attach(Connect("w"), watcher, 0)
    switchboard.subscribe(attached.session, Subscription("a", QoS.AT_MOST_ONCE), 0, None)
    courier.tick()
    assert guest.ticks == [1000]


async def test_a_reset_forgets_everything(courier: Courier) -> None:
    guest = Someone()
    enter(courier, guest)
    before = courier.switchboard(HERE)
    await courier.empty()
    assert guest.dismissed == [(Reason.ADMINISTRATIVE_ACTION, "the server was reset")]
    assert courier.switchboard(HERE) is not before


async def test_answers_are_waited_for_at_the_end_and_not_for_ever(courier: Courier) -> None:
    done: list[str] = []
    go, never = asyncio.Event(), asyncio.Event()

    async def answer(name: str, when: asyncio.Event) -> None:
        await when.wait()
        done.append(name)

    await courier.finish(60)  # nobody has asked
    quick = courier.begin(answer("quick", go))
    assert quick is not None
    asyncio.get_running_loop().call_soon(go.set)
    await courier.finish(60)
    assert done == ["quick"]
    assert quick.done()
    slow = courier.begin(answer("slow", never), at_once=True)
    assert slow is not None
    await courier.finish(0.01)
    assert not slow.done()
    slow.cancel()
