"""The pace of a campaign, step by step, with a clock that the test moves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.fleet import House, opened
from tests.server import REALM

from fleetgate import authority
from fleetgate.database.port import Tx
from fleetgate.errors import InvalidRequest
from fleetgate.pki import keys
from fleetgate.pki.keys import KeyKind
from fleetgate.provisioning import campaign
from fleetgate.registry import attachments, campaigns, certificates, things
from fleetgate.registry.campaigns import Pace, Selection
from fleetgate.registry.certificates import Status


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with opened(tmp_path) as found:
        yield found


async def devices(house: House, *names: str, kind: KeyKind = KeyKind.EC_P256) -> None:
    act = house.runtime.act(REALM, "me")
    for name in names:
        issued = await authority.issue(house.runtime, act, keys.generate(kind).public_key())

        def enter(tx: Tx, name: str = name, issued: authority.Issued = issued) -> None:
            things.create(tx, act, name)
            authority.record(tx, act, issued, Status.ACTIVE)
            attachments.attach_principal(tx, act, name, issued.fingerprint)

        await house.runtime.write(enter)


async def begun(house: House, pace: Pace, **chosen: object) -> campaign.Runner:
    act = house.runtime.act(REALM, "me")
    await campaign.create(house.runtime, act, "spring", Selection(**chosen), pace)  # type: ignore[arg-type] # as Selection has them
    return campaign.Runner(house.runtime)


async def counted(house: House) -> dict[str, int]:
    found = await house.runtime.database.read(lambda tx: campaigns.progress(tx, REALM, "spring"))
    return {status: count for status, count in found.items() if count}


async def comes(house: House, name: str) -> None:
    """The device renews."""
    await devices(house, f"{name}-next")
    act = house.runtime.act(REALM, "me")

    def renew(tx: Tx) -> None:
        [old] = attachments.certificates_of(tx, REALM, name)
        [new] = attachments.certificates_of(tx, REALM, f"{name}-next")
        certificates.supersede(tx, act, old.fingerprint, by=new.fingerprint)
        certificates.connected(tx, act, new.fingerprint)

    await house.runtime.write(renew)


async def test_what_there_is_not_makes_no_campaign(house: House) -> None:
    await devices(house, "a")
    wrong = {"issued_by": "abc", "key_kind": "rsa-2", "group": "g", "type_name": "k", "things": ("a", "slip")}
    with pytest.raises(InvalidRequest) as caught:
        await begun(house, Pace(), **wrong)
    said = caught.value.message
    told = ["64 hexadecimal digits, not 'abc'", "not 'rsa-2'", "thing group g.", "thing type k.", "no thing slip."]
    assert [each for each in told if each not in said] == []
    assert await house.runtime.database.read(lambda tx: campaigns.find(tx, REALM, "spring")) is None
    capitals = house.runtime.issuer.fingerprint.upper()
    await begun(house, Pace(), key_kind="ec", things=("a",), issued_by=capitals)
    assert await counted(house) == {"DUE": 1}


async def test_so_many_a_minute(house: House) -> None:
    await devices(house, *"abcdef")
    runner = await begun(house, Pace(per_minute=2))
    await runner.look()
    assert await counted(house) == {"DUE": 6}
    for passed, asked in ((30_000, 1), (29_999, 1), (1, 2), (600_000, 4), (60_000, 6)):
        house.pass_(passed)
        await runner.look()
        assert (await counted(house))["NOTIFIED"] == asked, "after a long rest no more than a minute's"


async def test_so_many_outstanding_until_they_are_given_up(house: House) -> None:
    await devices(house, *"abcd")
    runner = await begun(house, Pace(per_minute=60_000, outstanding=2, patience=60_000))
    house.pass_(1000)
    await runner.look()
    assert await counted(house) == {"DUE": 2, "NOTIFIED": 2}
    await comes(house, "a")
    house.pass_(1000)
    await runner.look()
    assert await counted(house) == {"DUE": 1, "NOTIFIED": 2, "ROTATED": 1}
    house.pass_(60_000)
    await runner.look()
    assert await counted(house) == {"NOTIFIED": 3, "ROTATED": 1}
    for late in "bcd":
        await comes(house, late)
    await runner.look()
    assert await counted(house) == {"ROTATED": 4}
    found = await house.runtime.database.read(lambda tx: campaigns.get(tx, REALM, "spring"))
    assert found.status is campaigns.Status.ENDED


async def test_pausing_and_the_deadline(house: House) -> None:
    await devices(house, *"abc")
    deadline = house.time[0] + 3_600_000
    runner = await begun(house, Pace(per_minute=1, deadline_at=deadline))
    house.pass_(60_000)
    await runner.look()
    act = house.runtime.act(REALM, "me")
    await house.runtime.write(lambda tx: campaigns.set_status(tx, act, "spring", campaigns.Status.PAUSED))
    house.pass_(600_000)
    await comes(house, "a")
    await runner.look()
    assert await counted(house) == {"DUE": 2, "ROTATED": 1}, "who was asked may come"
    act = house.runtime.act(REALM, "me")
    await house.runtime.write(lambda tx: campaigns.set_status(tx, act, "spring", campaigns.Status.RUNNING))
    await runner.look()
    assert (await counted(house))["DUE"] == 2, "the rest is not made up for"
    house.pass_(60_000)
    await comes(house, "b")
    await runner.look()
    assert await counted(house) == {"DUE": 1, "ROTATED": 2}, "who came unasked is done"
    house.time[0] = deadline
    await runner.look()
    assert await counted(house) == {"MISSED": 1, "ROTATED": 2}


async def test_the_kind_of_key_and_a_list(house: House) -> None:
    await devices(house, "ec")
    await devices(house, "rsa-1", "rsa-2", kind=KeyKind.RSA_2048)
    await begun(house, Pace(), key_kind="rsa", things=("ec", "rsa-2"))
    page = await house.runtime.database.read(lambda tx: campaigns.page_devices(tx, REALM, "spring"))
    assert [each.thing_name for each in page.items] == ["rsa-2"]


async def test_nobody_is_due(house: House) -> None:
    runner = await begun(house, Pace())
    await runner.look()
    found = await house.runtime.database.read(lambda tx: campaigns.get(tx, REALM, "spring"))
    assert found.status is campaigns.Status.ENDED
