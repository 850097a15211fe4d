"""Ownership tokens: one success, an hour, for the asking certificate in its account; and what is swept after it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tests.conformance.provisioning.desk import CREATE_FROM_CSR, HOUR, Answer, Desk, Format, csr
from tests.fleet import make_fleet
from tests.server import REALM, ROLE, template_body

from fleetgate.database.port import Tx
from fleetgate.errors import AccessDenied
from fleetgate.names import Act, Realm
from fleetgate.registry import attachments, certificates, claims, templates, things, tokens
from fleetgate.registry.budgets import Rate
from fleetgate.registry.certificates import Status

INVALID = (400, "InvalidCertificateOwnershipToken")
MINUTE = 60_000


async def test_a_token_has_one_success(desk: Desk, form: Format) -> None:
    token = (await desk.certificate(form))["certificateOwnershipToken"]
    assert (await desk.register(token, "SN-1", form)).accepted
    for serial in ("SN-1", "SN-2"):
        assert (await desk.register(token, serial, form)).code == INVALID
    found = await desk.read(lambda tx: things.page(tx, REALM))
    assert [thing.name for thing in found.items] == ["SN-1"]


async def test_of_many_who_come_at_once_one_succeeds(desk: Desk) -> None:
    token = (await desk.certificate())["certificateOwnershipToken"]
    answers = await asyncio.gather(*(desk.register(token, f"SN-{number}") for number in range(8)))
    assert sorted(answer.accepted for answer in answers) == [False] * 7 + [True]
    assert {answer.code for answer in answers if not answer.accepted} == {INVALID}
    assert len((await desk.read(lambda tx: things.page(tx, REALM))).items) == 1
    assert (await desk.read(lambda tx: claims.get(tx, REALM, desk.fleet.fingerprint))).used == 1


async def test_a_token_lasts_an_hour(desk: Desk) -> None:
    first, second = await desk.certificate(), await desk.certificate()
    desk.now += HOUR - 1
    assert (await desk.register(first["certificateOwnershipToken"], "SN-1")).accepted
    desk.now += 1
    assert (await desk.register(second["certificateOwnershipToken"], "SN-2")).code == INVALID


async def test_a_failure_does_not_use_it_up(desk: Desk) -> None:
    token = (await desk.certificate())["certificateOwnershipToken"]
    for _ in range(3):
        assert (await desk.register(token, "no name of a thing")).code == (400, "InvalidParameters")
    assert (await desk.register(token, "SN-1")).accepted


async def test_it_is_not_bound_to_a_connection(desk: Desk) -> None:
    token = (await desk.certificate(client_id="one"))["certificateOwnershipToken"]
    assert (await desk.register(token, "SN-1", client_id="another")).accepted


async def test_it_is_bound_to_the_asking_certificate(desk: Desk) -> None:
    other = await make_fleet(desk.runtime, desk.folder / "other", template="other")
    token = (await desk.certificate())["certificateOwnershipToken"]
    assert (await desk.register(token, "SN-1", template="other", who=other.fingerprint)).code == INVALID
    assert (await desk.register(token, "SN-1")).accepted


async def test_it_is_bound_to_the_account(desk: Desk) -> None:
    """Another account has a template of the same name, and knows the same claim certificate."""
    elsewhere = Realm("210987654321", REALM.region)
    token = (await desk.certificate())["certificateOwnershipToken"]
    body = template_body("fleet-production")
    await desk.write(
        lambda tx, act: templates.create(tx, replace(act, realm=elsewhere), "fleet", body, ROLE, enabled=True)
    )
    assert (await desk.register(token, "SN-1", realm=elsewhere)).code == INVALID
    assert (await desk.register(token, "SN-1")).accepted


# --- the certificate behind it ----------------------------------------------------------------------------------------


async def test_a_certificate_connects_only_once_it_is_provisioned(desk: Desk) -> None:
    content = await desk.certificate()
    with pytest.raises(AccessDenied, match="is PENDING_ACTIVATION, not ACTIVE"):
        await desk.ask(CREATE_FROM_CSR, who=content["certificateId"])
    assert (await desk.register(content["certificateOwnershipToken"])).accepted
    own = await desk.ask(CREATE_FROM_CSR, {"certificateSigningRequest": csr()}, who=content["certificateId"])
    assert own.accepted, "a device's own certificate may ask for its successor"


async def test_after_an_hour_it_is_swept(desk: Desk) -> None:
    forgotten, used, kept = await desk.certificate(), await desk.certificate(), await desk.certificate()
    assert (await desk.register(used["certificateOwnershipToken"])).accepted
    arn = REALM.arn("cert", kept["certificateId"])
    await desk.write(lambda tx, act: attachments.attach_policy(tx, act, "fleet-production", arn))
    desk.now += HOUR // 2
    young = await desk.certificate()

    desk.now += HOUR // 2 - 1
    assert await sweep(desk) == 0
    desk.now += 1
    assert await sweep(desk) == 1

    assert await known(desk, forgotten) is None
    assert await known(desk, used) is Status.ACTIVE
    assert await known(desk, kept) is Status.PENDING_ACTIVATION, "somebody has given it a policy by hand"
    assert await known(desk, young) is Status.PENDING_ACTIVATION
    assert (await desk.register(forgotten["certificateOwnershipToken"])).code == INVALID
    assert (await desk.register(young["certificateOwnershipToken"], "SN-2")).accepted
    desk.now += HOUR
    assert await sweep(desk) == 0


async def sweep(desk: Desk) -> int:
    return await desk.write(lambda tx, act: certificates.sweep(tx, act.now))


async def known(desk: Desk, content: dict[str, Any]) -> Status | None:
    found = await desk.read(lambda tx: certificates.find(tx, REALM, content["certificateId"]))
    return found.status if found else None


async def test_a_second_certificate_takes_the_place_of_one_that_never_connected(desk: Desk) -> None:
    """The device did not get the answer, and asks again with the same key."""
    key = ec.generate_private_key(ec.SECP256R1())
    lost, found = await desk.certificate(key=key), await desk.certificate(key=key)
    for content in (lost, found):
        assert (await desk.register(content["certificateOwnershipToken"])).accepted
    assert await known(desk, lost) is Status.INACTIVE
    assert await known(desk, found) is Status.ACTIVE


# --- how many may wait ------------------------------------------------------------------------------------------------


async def filled(desk: Desk, asker: str, number: int) -> None:
    """*asker* has asked for *number* certificates and provisioned none."""
    fingerprint = (await desk.certificate(who=asker))["certificateId"]

    def issue(tx: Tx, act: Act) -> None:
        for each in range(number - 1):
            tokens.issue(tx, act, f"digest {each}", fingerprint=fingerprint, claim_fingerprint=asker)

    await desk.write(issue)


async def ask(desk: Desk, asker: str) -> Answer:
    return await desk.ask(CREATE_FROM_CSR, {"certificateSigningRequest": csr()}, who=asker)


@pytest.mark.parametrize(
    ("maximum", "setting", "most"),
    [
        (5, 10_000, 1_000),  # as many as it may still provision, but never under a thousand
        (1_200, 10_000, 1_200),
        (5_000, 1_500, 1_500),
        (None, 1_300, 1_300),
    ],
)
async def test_certificates_that_wait_are_bounded_for_each_claim(
    desk: Desk, maximum: int | None, setting: int, most: int
) -> None:
    config = desk.runtime.config
    desk.runtime = replace(desk.runtime, config=replace(config, claims=replace(config.claims, unprovisioned=setting)))
    thief = (await make_fleet(desk.runtime, desk.folder / "b", template="b", maximum=maximum)).fingerprint
    await desk.certificate(who=thief)
    desk.now += MINUTE
    await filled(desk, thief, most - 1)
    answer = await ask(desk, thief)
    assert answer.code == (429, "Throttled")
    assert answer.content["errorMessage"] == (
        f"{most} certificates that were made for this certificate wait to be provisioned, and more are not made. "
        "Provision those, or try again in 3540 seconds."
    )
    assert (await ask(desk, desk.fleet.fingerprint)).accepted, "nobody else is concerned"

    desk.now += HOUR - MINUTE
    assert (await ask(desk, thief)).accepted, "the oldest has run out"
    assert (await ask(desk, thief)).code == (429, "Throttled")


async def test_who_provisions_has_room_again(desk: Desk) -> None:
    thief = (await make_fleet(desk.runtime, desk.folder / "b", template="b", maximum=50)).fingerprint
    last = await desk.certificate(who=thief)
    await filled(desk, thief, 999)
    assert (await ask(desk, thief)).code == (429, "Throttled")
    assert (await desk.register(last["certificateOwnershipToken"], template="b", who=thief)).accepted
    assert (await ask(desk, thief)).accepted
    assert (await ask(desk, thief)).code == (429, "Throttled")


async def test_a_device_has_a_bound_too(desk: Desk) -> None:
    content = await desk.certificate()
    assert (await desk.register(content["certificateOwnershipToken"])).accepted
    device = content["certificateId"]
    await filled(desk, device, 1_000)
    assert (await ask(desk, device)).code == (429, "Throttled")


# --- a clock that is set back -----------------------------------------------------------------------------------------


async def test_a_clock_set_back_shuts_nobody_out(desk: Desk) -> None:
    claim = desk.fleet.fingerprint
    await desk.write(
        lambda tx, act: claims.set_bounds(
            tx,
            act,
            claim,
            maximum=100,
            rate=Rate(2, MINUTE),
            not_before=act.now - 10 * HOUR,
            not_after=act.now + 10 * HOUR,
        )
    )
    desk.now += 5 * HOUR  # to be set back to when there were certificates already
    waiting = await desk.certificate()
    for serial in ("SN-1", "SN-2"):
        assert (await desk.register((await desk.certificate())["certificateOwnershipToken"], serial)).accepted
    assert (await desk.register(waiting["certificateOwnershipToken"], "SN-3")).code == (429, "Throttled")

    desk.now -= 5 * HOUR

    assert (await desk.register(waiting["certificateOwnershipToken"], "SN-3")).accepted
    fourth, fifth = await desk.certificate(), await desk.certificate()
    assert (await desk.register(fourth["certificateOwnershipToken"], "SN-4")).accepted
    assert (await desk.register(fifth["certificateOwnershipToken"], "SN-5")).code == (429, "Throttled")
