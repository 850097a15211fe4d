"""Claim certificates of one batch spend one budget, on both databases, and nobody who was counted is shut out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tests.journeys.paho_device import CREATE, CREATE_FROM_CSR, Answer, Device, signing_request
from tests.server import PATIENCE, REALM, Identity, Live, serving

from fleetgate.registry import audit, certificates, claim_batches, claims, things
from fleetgate.registry.certificates import Status

Connect = Callable[..., Device]

DENIED = (403, "AccessDenied")
PLACES = 5


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Live]:
    if request.param == "sqlite":
        yield request.getfixturevalue("live")
        return
    with serving(tmp_path, {"database.url": request.getfixturevalue("postgres_url")}) as server:
        yield server


class Works:
    """One batch with a budget, and two claim certificates in its devices."""

    def __init__(self, live: Live, name: str, connect: Connect) -> None:
        self.live, self.name, self.connect = live, name, connect
        self.batch = live.batch(name, batch=name)
        self.claims = (self.batch.claim, live.claim(f"{name}-two", name, batch=name))
        live.write(lambda tx, act: claim_batches.set_bounds(tx, act, name, maximum=PLACES, rate=None))

    def device(self, claim: Identity, client_id: str) -> Device:
        return self.connect(claim, client_id, to=self.live)

    @property
    def used(self) -> tuple[int, int]:
        """By the batch, and by its claims together."""
        fingerprints = [each.fingerprint for each in self.claims]
        return self.live.read(
            lambda tx: (
                claim_batches.get(tx, REALM, self.name).used,
                sum(claims.get(tx, REALM, each).used for each in fingerprints),
            )
        )


def ask(device: Device, key: ec.EllipticCurvePrivateKey) -> Answer:
    return device.ask(CREATE_FROM_CSR, {"certificateSigningRequest": signing_request(key)[0]})


def token_of(answer: Answer) -> str:
    token: str = answer.content["certificateOwnershipToken"]
    return token


def test_two_claims_race_for_the_last_places_of_their_batch(place: Live, name: str, connect: Connect) -> None:
    works = Works(place, name, connect)
    devices = [works.device(works.claims[number % 2], f"{name}-{number}") for number in range(2 * PLACES)]
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in devices]
    tokens = [token_of(ask(device, key)) for device, key in zip(devices, keys, strict=True)]
    start = threading.Barrier(len(devices))

    def register(number: int) -> Answer:
        start.wait(PATIENCE)
        return devices[number].register(works.batch, tokens[number], f"{name}-{number}")

    with ThreadPoolExecutor(len(devices)) as pool:
        answers = list(pool.map(register, range(len(devices))))
    assert [each.accepted for each in answers].count(True) == PLACES
    assert {each.told for each in answers if not each.accepted} == {DENIED}
    assert works.used == (PLACES, PLACES)
    made = place.read(lambda tx: [things.find(tx, REALM, f"{name}-{number}") for number in range(len(devices))])
    assert [thing is not None for thing in made] == [each.accepted for each in answers]


def test_who_lost_the_last_answer_asks_again_with_its_key(place: Live, name: str, connect: Connect) -> None:
    works = Works(place, name, connect)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(PLACES)]
    first = works.device(works.claims[0], f"{name}-asking")
    lost = []
    for number, key in enumerate(keys):
        certificate = ask(first, key)
        assert first.register(works.batch, token_of(certificate), f"{name}-{number}").accepted
        lost.append(certificate.content["certificateId"])
    assert works.used == (PLACES, PLACES)

    # A stranger's key has no place, a key made here proves nothing, and another claim counted nobody.
    assert ask(first, ec.generate_private_key(ec.SECP256R1())).told == DENIED
    assert first.ask(CREATE, {}).told == DENIED
    assert ask(works.device(works.claims[1], f"{name}-other"), keys[-1]).told == DENIED

    again = ask(first, keys[-1])
    assert again.accepted, again.content
    assert first.register(works.batch, token_of(again), f"{name}-new").told == DENIED  # its place is its thing's
    answer = first.register(works.batch, token_of(again), f"{name}-{PLACES - 1}")
    assert answer.accepted, answer.content
    assert works.used == (PLACES, PLACES)
    assert status(place, lost[-1]) is Status.INACTIVE
    assert status(place, again.content["certificateId"]) is Status.ACTIVE
    assert place.read(lambda tx: things.find(tx, REALM, f"{name}-new")) is None


def test_the_audit_trail_says_which_budget_was_exhausted(live: Live, name: str, connect: Connect) -> None:
    works = Works(live, name, connect)
    live.write(lambda tx, act: claim_batches.set_bounds(tx, act, name, maximum=1, rate=None))
    device = works.device(works.claims[0], name)
    spare = token_of(ask(device, ec.generate_private_key(ec.SECP256R1())))
    device.provision(works.batch, f"{name}-1", csr=True)
    refused = device.register(works.batch, spare, f"{name}-2")
    assert refused.content["errorMessage"] == claims.REFUSED  # as any other refusal

    live.run(live.server.works.upkeep.finish())
    request = refused.content["requestId"]
    entries = live.read(lambda tx: audit.page(tx, REALM, request_id=request)).items
    assert [each.reason for each in entries] == [f"Batch {name} has provisioned all 1 devices of its budget."]


def status(live: Live, fingerprint: str) -> Status:
    return live.read(lambda tx: certificates.get(tx, REALM, fingerprint)).status
