"""Rotation campaigns as records: who is due, what is refused, what an end brings."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fleetgate.database.port import Tx
from fleetgate.errors import AlreadyExists, InvalidRequest, NotFound
from fleetgate.names import Act, Realm
from fleetgate.registry import attachments, campaigns, certificates, issuances, thing_groups, thing_types, things
from fleetgate.registry.campaigns import Campaign, DeviceStatus, Pace, Selection, Status
from fleetgate.registry.certificates import Certificate
from fleetgate.registry.events import Event, RotationAnnounced
from fleetgate.registry.issuances import Intent

CA = "c" * 64


@pytest.fixture
def device(tx: Tx, act: Act, certified: Callable[..., Certificate]) -> Callable[..., Certificate]:
    """A thing of this name with an active certificate."""

    def make(name: str, type_name: str | None = None, **more: object) -> Certificate:
        things.create(tx, act, name, type_name=type_name)
        made = certified(name, **more)
        attachments.attach_principal(tx, act, name, made.fingerprint)
        return made

    return make


def due(tx: Tx, realm: Realm, selection: Selection) -> list[str]:
    found, after = [], None
    while True:
        page = campaigns.page_candidates(tx, realm, selection, after, 2)
        found += [thing for thing, _ in page.items]
        if (after := page.next_key) is None:
            return found


def test_who_is_due(tx: Tx, act: Act, realm: Realm, device: Callable[..., Certificate]) -> None:
    thing_types.create(tx, act, "pump")
    thing_groups.create(tx, act, "site")
    thing_groups.create(tx, act, "hall", parent="site")
    thing_groups.create(tx, act, "site-2")
    ours = device("a", "pump", not_after=act.now + 1000)
    device("b", ca=CA)
    device("c", not_after=act.now + 500)
    device("off", status=certificates.Status.INACTIVE)
    things.create(tx, act, "bare")
    thing_groups.add_thing(tx, act, "hall", "a")
    thing_groups.add_thing(tx, act, "site-2", "c")
    issuances.begin(tx, act, Intent(CA, "a1", "CN=x", "0" * 64, "1" * 64, "aws-device"))
    issuances.complete(tx, act, CA, "a1", ours.fingerprint)
    assert due(tx, realm, Selection()) == ["a", "b", "c"]
    assert due(tx, realm, Selection(expiring_before=act.now + 1000)) == ["c"]
    assert due(tx, realm, Selection(issued_by=CA)) == ["a", "b"]
    assert due(tx, realm, Selection(type_name="pump")) == ["a"]
    assert due(tx, realm, Selection(group="site")) == ["a"]
    assert due(tx, realm, Selection(group="site", issued_by="d" * 64)) == []
    with pytest.raises(NotFound):
        due(tx, realm, Selection(group="nowhere"))


def test_a_thing_with_two_certificates_is_looked_at_twice_and_entered_once(
    tx: Tx, act: Act, realm: Realm, device: Callable[..., Certificate], certified: Callable[..., Certificate]
) -> None:
    device("a")
    attachments.attach_principal(tx, act, "a", certified("second").fingerprint)
    found = campaigns.page_candidates(tx, realm, Selection(), None, 1)
    again = campaigns.page_candidates(tx, realm, Selection(), found.next_key, 1)
    both = [(thing, each.fingerprint) for page in (found, again) for thing, each in page.items]
    assert [thing for thing, _ in both] == ["a", "a"]
    campaigns.create(tx, act, "one", Selection(), Pace())
    assert campaigns.add_devices(tx, act, "one", both) == 1


@pytest.fixture
def running(tx: Tx, act: Act, device: Callable[..., Certificate]) -> Campaign:
    campaigns.create(tx, act, "spring", Selection(), Pace())
    campaigns.add_devices(tx, act, "spring", [(name, device(name).fingerprint) for name in ("a", "b", "c")])
    return campaigns.set_status(tx, act, "spring", Status.RUNNING)


def test_all_that_is_wrong_is_said_at_once(tx: Tx, act: Act) -> None:
    with pytest.raises(InvalidRequest) as refused:
        campaigns.create(tx, act, "x", Selection(), Pace(0, 0, 0, act.now), "$aws/{thing}/#")
    for each in ("per minute", "outstanding", "patience", "deadline", "wildcards", "begin with $"):
        assert each in refused.value.message
    with pytest.raises(InvalidRequest, match="levels"):
        campaigns.create(tx, act, "x", Selection(), Pace(), "cmd/rotate")
    campaigns.create(tx, act, "x", Selection(), Pace(), "cmd/{thing}/rotate")
    with pytest.raises(AlreadyExists):
        campaigns.create(tx, act, "x", Selection(), Pace())


def test_an_announcement_is_put_up_and_taken_back(
    tx: Tx, later: Callable[..., Act], realm: Realm, running: Campaign, told: Callable[[], list[Event]]
) -> None:
    told()
    [first, *_] = campaigns.open_devices(tx, running, DeviceStatus.DUE, 1)
    campaigns.notify(tx, later(), running, [first], later().now)
    [event] = told()
    assert isinstance(event, RotationAnnounced)
    assert event.topic == "$fleetgate/rotation/a/notify"
    assert first.fingerprint in event.payload
    assert campaigns.outstanding(tx, running, later().now) == 1
    assert campaigns.outstanding(tx, running, later().now + running.pace.patience) == 0
    [asked] = campaigns.open_devices(tx, running, DeviceStatus.NOTIFIED, 5)
    campaigns.settle(tx, later(), running, asked, DeviceStatus.ROTATED)
    assert told() == [RotationAnnounced("$fleetgate/rotation/a/notify", "")]
    assert campaigns.progress(tx, realm, "spring") == {"DUE": 2, "NOTIFIED": 0, "ROTATED": 1, "GONE": 0, "MISSED": 0}


def test_what_becomes_of_a_certificate(
    tx: Tx, later: Callable[..., Act], running: Campaign, certified: Callable[..., Certificate]
) -> None:
    devices = campaigns.open_devices(tx, running, DeviceStatus.DUE, 3)
    campaigns.notify(tx, later(), running, devices, 0)
    assert campaigns.replaced(tx, running, 5) == []
    successor = certified("successor")
    certificates.supersede(tx, later(), devices[0].fingerprint, by=successor.fingerprint)
    certificates.connected(tx, later(), successor.fingerprint)
    certificates.set_status(tx, later(), devices[1].fingerprint, certificates.Status.REVOKED)
    assert [each.thing_name for each in campaigns.replaced(tx, running, 5)] == ["a", "b"]
    became = [campaigns.became(tx, running, each) for each in devices]
    assert became == [DeviceStatus.ROTATED, DeviceStatus.GONE, None]


@pytest.mark.parametrize("end", [Status.CANCELLED, Status.ENDED])
def test_an_end_is_an_end(
    tx: Tx, later: Callable[..., Act], realm: Realm, running: Campaign, told: Callable[[], list[Event]], end: Status
) -> None:
    [first, *_] = campaigns.open_devices(tx, running, DeviceStatus.DUE, 1)
    campaigns.notify(tx, later(), running, [first], 0)
    told()
    assert campaigns.at_work(tx) != []
    assert campaigns.set_status(tx, later(), "spring", end).status is end
    assert campaigns.at_work(tx) == []
    assert told() == [RotationAnnounced("$fleetgate/rotation/a/notify", "")]
    assert [
        each.thing_name for each in campaigns.page_devices(tx, realm, "spring", status=DeviceStatus.MISSED).items
    ] == [
        "a",
        "b",
        "c",
    ]
    assert campaigns.set_status(tx, later(), "spring", end).status is end, "once more changes nothing"
    with pytest.raises(InvalidRequest, match="its end"):
        campaigns.set_status(tx, later(), "spring", Status.RUNNING)
    with pytest.raises(NotFound):
        campaigns.set_status(tx, later(), "autumn", Status.PAUSED)
