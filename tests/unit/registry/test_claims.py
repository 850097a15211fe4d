from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleetgate.database.port import Tx
from fleetgate.errors import AccessDenied, AlreadyExists, InvalidRequest, NotFound, Throttled
from fleetgate.names import Act
from fleetgate.registry import attachments, certificates, claim_batches, claims, things
from fleetgate.registry.budgets import Rate
from fleetgate.registry.certificates import Certificate, Status
from fleetgate.registry.claims import Claim, Kind
from fleetgate.registry.events import ClaimChanged, Event

Make = Callable[..., Certificate]
Told = Callable[[], list[Event]]
MINUTE = 60_000


@pytest.fixture
def claim(tx: Tx, act: Act, certified: Make) -> Callable[..., Claim]:
    def make(name: str = "claim", **bounds: Any) -> Claim:
        return claims.register(tx, act, certified(name).fingerprint, **bounds)

    return make


def spend(tx: Tx, act: Act, fingerprint: str, template: str, *more: str | None) -> Claim:
    """What is given back is what is stored."""
    spent = claims.spend(tx, act, claims.get(tx, act.realm, fingerprint), template, *more)
    assert claims.get(tx, act.realm, fingerprint) == spent
    return spent


def denied(tx: Tx, act: Act, fingerprint: str, *more: str | None, template: str = "t") -> str:
    """The reason for which a device is refused, which the message does not tell."""
    with pytest.raises(AccessDenied) as refused:
        spend(tx, act, fingerprint, template, *more)
    assert refused.value.message == claims.REFUSED
    return refused.value.reason


def test_register(tx: Tx, act: Act, certified: Make) -> None:
    certificate = certified()
    made = claims.register(tx, act, certificate.fingerprint, batch="b7", maximum=3, rate=Rate(2, MINUTE))
    assert claims.get(tx, act.realm, certificate.fingerprint) == made
    assert (made.kind, made.enabled, made.used, made.remaining) == (Kind.BATCH, True, 0, 3)
    assert (made.not_before, made.not_after) == (certificate.not_before, certificate.not_after)
    with pytest.raises(AlreadyExists):
        claims.register(tx, act, certificate.fingerprint)
    with pytest.raises(NotFound):
        claims.register(tx, act, "0" * 64)
    with pytest.raises(NotFound):
        claims.get(tx, act.realm, "0" * 64)


@pytest.mark.parametrize(
    "bounds",
    [
        {"maximum": 0},
        {"not_before": 5, "not_after": 5},
        {"kind": Kind.TRUSTED_USER, "not_before": 0, "not_after": 5},
        {"kind": Kind.TRUSTED_USER, "template_name": "t", "not_before": 0, "not_after": 300_001},
        {"serials": ["x", ""]},
        {"serials": ["x" * 129]},
        {"serials": ["a\0b"]},
    ],
)
def test_what_cannot_be_registered(claim: Callable[..., Claim], bounds: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        claim(**bounds)


def test_the_budget(tx: Tx, act: Act, claim: Callable[..., Claim]) -> None:
    made = claim(maximum=2)
    assert spend(tx, act, made.fingerprint, "t").used == 1
    claims.check(act, claims.get(tx, act.realm, made.fingerprint), "t")
    assert spend(tx, act, made.fingerprint, "u", None, "one").remaining == 0
    assert "all 2 devices" in denied(tx, act, made.fingerprint)
    with pytest.raises(AccessDenied) as refused:
        claims.check(act, claims.get(tx, act.realm, made.fingerprint))
    assert (refused.value.message, "all 2 devices" in refused.value.reason) == (claims.REFUSED, True)
    assert claims.get(tx, act.realm, made.fingerprint).used == 2


def test_no_budget_is_no_bound(tx: Tx, act: Act, claim: Callable[..., Claim]) -> None:
    made = claim()
    for _ in range(5):
        assert spend(tx, act, made.fingerprint, "t").remaining is None
    assert claims.get(tx, act.realm, made.fingerprint).used == 5


def test_reasons_that_a_device_does_not_learn(
    tx: Tx, act: Act, later: Callable[..., Act], claim: Callable[..., Claim]
) -> None:
    made = claim(template_name="t", not_before=act.now, not_after=act.now + MINUTE)
    assert "bound to template t, not u" in denied(tx, act, made.fingerprint, template="u")
    assert "does not hold yet" in denied(tx, later(-1), made.fingerprint)
    assert "holds no longer" in denied(tx, later(MINUTE), made.fingerprint)
    claims.set_enabled(tx, act, made.fingerprint, False)
    assert "switched off" in denied(tx, act, made.fingerprint)
    claims.set_enabled(tx, act, made.fingerprint, True)
    assert spend(tx, later(MINUTE - 1), made.fingerprint, "t").used == 1
    certificates.set_status(tx, act, made.fingerprint, Status.INACTIVE)
    assert "is INACTIVE" in denied(tx, act, made.fingerprint)


def test_a_realm_knows_its_own_claims_only(tx: Tx, elsewhere: Any, claim: Callable[..., Claim]) -> None:
    assert claims.find(tx, elsewhere, claim().fingerprint) is None


def test_the_rate(tx: Tx, later: Callable[..., Act], claim: Callable[..., Claim]) -> None:
    fingerprint = claim(rate=Rate(2, MINUTE)).fingerprint
    spend(tx, later(10), fingerprint, "t")
    spend(tx, later(20), fingerprint, "t")
    full = claims.get(tx, later(0).realm, fingerprint)
    for ask in (claims.check, partial(claims.spend, tx)):
        with pytest.raises(Throttled, match="later") as refused:
            ask(later(MINUTE + 9), full, "t")
        assert "rate of 2 in 60000 ms" in refused.value.reason
    after = spend(tx, later(MINUTE + 10), fingerprint, "t")
    assert (after.used, after.window_used) == (3, 1)
    claims.check(later(MINUTE + 11), after)
    assert spend(tx, later(MINUTE + 12), fingerprint, "t").window_used == 2


def test_a_clock_that_is_set_back_begins_the_rate_anew(
    tx: Tx, later: Callable[..., Act], claim: Callable[..., Claim]
) -> None:
    fingerprint = claim(rate=Rate(1, MINUTE)).fingerprint
    spend(tx, later(2 * MINUTE), fingerprint, "t")
    assert spend(tx, later(MINUTE), fingerprint, "t").window_used == 1
    with pytest.raises(Throttled):
        spend(tx, later(MINUTE + 1), fingerprint, "t")


def test_a_claim_that_is_spent_does_not_learn_its_rate(tx: Tx, act: Act, claim: Callable[..., Claim]) -> None:
    fingerprint = claim(maximum=1, rate=Rate(1, MINUTE)).fingerprint
    spend(tx, act, fingerprint, "t")
    assert "budget" in denied(tx, act, fingerprint)


def test_one_serial_makes_one_thing(tx: Tx, act: Act, claim: Callable[..., Claim]) -> None:
    fingerprint = claim(maximum=2, serials=["s1", "s2", "s3"]).fingerprint
    assert spend(tx, act, fingerprint, "t", "s1", "one").used == 1
    assert spend(tx, act, fingerprint, "t", "s1", "one").used == 1
    assert "used for thing one" in denied(tx, act, fingerprint, "s1", "two")
    assert "used for thing one" in denied(tx, act, fingerprint, "s1", None)
    assert "'s9' is not on the list" in denied(tx, act, fingerprint, "s9", "one")
    assert "None is not on the list" in denied(tx, act, fingerprint, None, "one")
    assert spend(tx, act, fingerprint, "t", "s2", "two").used == 2
    assert "budget" in denied(tx, act, fingerprint, "s3", "three")
    assert spend(tx, act, fingerprint, "t", "s2", "two").used == 2
    used = {each.serial: each.thing_name for each in claims.page_serials(tx, act.realm, fingerprint).items}
    assert used == {"s1": "one", "s2": "two", "s3": None}


def test_a_serial_without_a_thing_is_used_once(tx: Tx, act: Act, claim: Callable[..., Claim]) -> None:
    fingerprint = claim(serials=["s1"]).fingerprint
    spend(tx, act, fingerprint, "t", "s1")
    assert "was used" in denied(tx, act, fingerprint, "s1")


def test_serials_can_be_added(tx: Tx, act: Act, claim: Callable[..., Claim]) -> None:
    fingerprint = claim().fingerprint
    assert claims.add_serials(tx, act, fingerprint, []) == 0
    spend(tx, act, fingerprint, "t", "anything", "zero")
    assert claims.add_serials(tx, act, fingerprint, ["s1", "s2"]) == 2
    assert claims.add_serials(tx, act, fingerprint, ["s2", "s3"]) == 1
    assert "not on the list" in denied(tx, act, fingerprint, "anything", "zero")
    spend(tx, act, fingerprint, "t", "s3", "three")
    page = claims.page_serials(tx, act.realm, fingerprint, limit=2)
    assert [each.serial for each in page.items] == ["s1", "s2"]
    assert [each.serial for each in claims.page_serials(tx, act.realm, fingerprint, page.next_key).items] == ["s3"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(serial=st.text(st.characters()) | st.sampled_from(["\ud800", "\0", "s1\0", "S1", " s1"]))
def test_no_text_from_a_device_passes_for_another(tx: Tx, act: Act, claim: Callable[..., Claim], serial: str) -> None:
    found = claims.page(tx, act.realm).items
    fingerprint = found[0].fingerprint if found else claim(serials=["s1"]).fingerprint
    if serial != "s1":
        assert "not on the list" in denied(tx, act, fingerprint, serial, "one")


def test_the_kill_switch(tx: Tx, act: Act, claim: Callable[..., Claim], told: Told) -> None:
    one, two, three = (claim(name, batch=batch).fingerprint for name, batch in [("1", "b"), ("2", "b"), ("3", "c")])
    assert claims.set_enabled(tx, act, one, False).enabled is False
    claims.set_enabled(tx, act, one, False)
    assert told() == [ClaimChanged(one, False)]
    assert claims.set_batch_enabled(tx, act, "b", False) == 1
    assert told() == [ClaimChanged(two, False)]
    assert [claims.get(tx, act.realm, each).enabled for each in (one, two, three)] == [False, False, True]
    assert claims.set_batch_enabled(tx, act, "b", True) == 2
    with pytest.raises(NotFound):
        claims.set_enabled(tx, act, "0" * 64, False)


def test_set_bounds(tx: Tx, act: Act, claim: Callable[..., Claim]) -> None:
    made = claim(maximum=1)
    spend(tx, act, made.fingerprint, "t")
    changed = claims.set_bounds(
        tx, act, made.fingerprint, maximum=5, rate=Rate(1, 2), not_before=0, not_after=act.now + 1
    )
    assert (changed.maximum, changed.used, changed.rate, changed.not_after) == (5, 1, Rate(1, 2), act.now + 1)
    lowered = claims.set_bounds(tx, act, made.fingerprint, maximum=None, rate=None, not_before=0, not_after=act.now + 1)
    assert (lowered.maximum, lowered.rate) == (None, None)
    with pytest.raises(InvalidRequest):
        claims.set_bounds(tx, act, made.fingerprint, maximum=0, rate=None, not_before=0, not_after=1)


def test_a_lowered_budget_is_spent(tx: Tx, act: Act, claim: Callable[..., Claim]) -> None:
    made = claim(maximum=3)
    for _ in range(2):
        spend(tx, act, made.fingerprint, "t")
    lowered = claims.set_bounds(
        tx, act, made.fingerprint, maximum=1, rate=None, not_before=made.not_before, not_after=made.not_after
    )
    assert lowered.remaining == 0
    assert "budget" in denied(tx, act, made.fingerprint)


def test_delete(tx: Tx, act: Act, claim: Callable[..., Claim], told: Told) -> None:
    fingerprint = claim(serials=["s1"]).fingerprint
    claims.delete(tx, act, fingerprint)
    assert told() == [ClaimChanged(fingerprint, False)]
    assert claims.find(tx, act.realm, fingerprint) is None
    assert claims.was_deleted(tx, act.realm, fingerprint)
    assert (claims.page(tx, act.realm).items, claims.page(tx, act.realm, batch="").items) == ((), ())
    assert claims.set_batch_enabled(tx, act, "", True) == 0
    assert certificates.get(tx, act.realm, fingerprint).status == Status.ACTIVE
    with pytest.raises(NotFound):
        claims.delete(tx, act, fingerprint)


def test_a_claim_that_was_deleted_comes_back_with_what_it_used(tx: Tx, act: Act, claim: Callable[..., Claim]) -> None:
    fingerprint = claim(serials=["s1", "s2"], maximum=2).fingerprint
    spend(tx, act, fingerprint, "t", "s1", "thing-1")
    claims.delete(tx, act, fingerprint)
    back = claims.register(tx, act, fingerprint, template_name="t", maximum=5, rate=Rate(1, MINUTE))
    assert (back.maximum, back.used, back.enabled, back.rate) == (5, 1, True, Rate(1, MINUTE))
    assert not claims.was_deleted(tx, act.realm, fingerprint)
    assert "was used for thing thing-1" in denied(tx, act, fingerprint, "s1", "thing-2")
    with pytest.raises(AlreadyExists):
        claims.register(tx, act, fingerprint)


def test_pages(tx: Tx, act: Act, claim: Callable[..., Claim]) -> None:
    made = sorted(claim(str(number), batch="b" if number else "c").fingerprint for number in range(3))
    page = claims.page(tx, act.realm, limit=2)
    assert [each.fingerprint for each in page.items] == made[:2]
    assert [each.fingerprint for each in claims.page(tx, act.realm, page.next_key).items] == made[2:]
    assert len(claims.page(tx, act.realm, batch="b").items) == 2


# --- a batch with a budget of its own ---------------------------------------------------------------------------------


@pytest.fixture
def box(tx: Tx, act: Act, claim: Callable[..., Claim]) -> Callable[..., tuple[str, str]]:
    """Two claims of one batch, with these bounds for the batch."""

    def make(serials: tuple[str, ...] = (), **bounds: Any) -> tuple[str, str]:
        one, two = (claim(name, batch="box", maximum=9).fingerprint for name in ("one", "two"))
        claim_batches.set_bounds(tx, act, "box", **({"maximum": None, "rate": None} | bounds))
        claim_batches.add_serials(tx, act, "box", serials)
        return one, two

    return make


def made_by(tx: Tx, act: Act, certified: Make, claim: str, thing: str, **more: Any) -> Certificate:
    """*thing*, with a certificate that it got by *claim*."""
    certificate = certified(f"{thing} by {claim[:9]}", claim=claim, **more)
    if things.find(tx, act.realm, thing) is None:
        things.create(tx, act, thing)
    attachments.attach_principal(tx, act, thing, certificate.fingerprint)
    return certificate


def test_two_claims_share_their_batchs_budget(tx: Tx, act: Act, box: Callable[..., tuple[str, str]]) -> None:
    one, two = box(maximum=3)
    for number, each in enumerate((one, two, one)):
        assert spend(tx, act, each, "t", None, f"thing-{number}").remaining == 2 - number
    for each in (one, two):
        assert denied(tx, act, each, None, "thing-4") == "Batch box has provisioned all 3 devices of its budget."
        with pytest.raises(AccessDenied) as refused:
            claims.check(act, claims.get(tx, act.realm, each))
        assert refused.value.reason == "Batch box has provisioned all 3 devices of its budget."
    assert claim_batches.get(tx, act.realm, "box").used == 3
    assert [claims.get(tx, act.realm, each).used for each in (one, two)] == [2, 1]


def test_every_claim_knows_whether_its_batch_has_a_budget(tx: Tx, act: Act, claim: Callable[..., Claim]) -> None:
    before, other = claim(batch="box"), claim("other", batch="bag")
    assert before.shared is None
    made = claim_batches.set_bounds(tx, act, "box", maximum=1, rate=None)
    assert claims.get(tx, act.realm, before.fingerprint).shared == made
    assert claim("after", batch="box").shared == made
    assert claims.get(tx, act.realm, other.fingerprint).shared is None
    claims.delete(tx, act, other.fingerprint)
    assert claims.register(tx, act, other.fingerprint, batch="box").shared == made
    assert [each.shared for each in claims.page(tx, act.realm, batch="box").items] == [made] * 3


def test_a_claim_without_one_is_read_in_one_statement(tx: Tx, act: Act, claim: Callable[..., Claim]) -> None:
    made = claim(batch="box")
    claim_batches.set_bounds(tx, act, "bag", maximum=1, rate=None)
    asked: list[str] = []

    class Counting:
        def rows(self, sql: str, /, **values: Any) -> Any:
            asked.append(sql)
            return tx.rows(sql, **values)

        def run(self, sql: str, /, **values: Any) -> int:
            return tx.run(sql, **values)

    claims.find(Counting(), act.realm, made.fingerprint)
    assert len(asked) == 1


def test_a_claims_own_budget_holds_beside_its_batchs(tx: Tx, act: Act, claim: Callable[..., Claim]) -> None:
    fingerprint = claim(maximum=1, batch="box").fingerprint
    claim_batches.set_bounds(tx, act, "box", maximum=5, rate=None)
    assert spend(tx, act, fingerprint, "t").remaining == 0
    assert denied(tx, act, fingerprint) == f"Claim {fingerprint} has provisioned all 1 devices of its budget."
    assert claim_batches.get(tx, act.realm, "box").used == 1


def test_a_thing_of_the_batch_costs_the_batch_nothing(
    tx: Tx, act: Act, certified: Make, box: Callable[..., tuple[str, str]]
) -> None:
    one, two = box(maximum=1)
    spend(tx, act, one, "t", None, "lamp")
    made_by(tx, act, certified, one, "lamp")
    assert spend(tx, act, one, "t", None, "lamp").used == 1
    assert spend(tx, act, two, "t", None, "lamp").used == 1  # for that claim it is a new one
    assert claim_batches.get(tx, act.realm, "box").used == 1
    assert "Batch box has provisioned" in denied(tx, act, two, None, "door")


def test_a_batchs_rate_switch_and_time(
    tx: Tx, act: Act, later: Callable[..., Act], box: Callable[..., tuple[str, str]]
) -> None:
    one, two = box(rate=Rate(1, MINUTE), not_before=act.now, not_after=act.now + MINUTE)
    assert denied(tx, later(-1), one) == "Batch box does not hold yet."
    spend(tx, act, one, "t", None, "lamp")
    for act_two in (act, later(MINUTE - 1)):
        with pytest.raises(Throttled) as refused:
            spend(tx, act_two, two, "t", None, "door")
        assert "Batch box is at its rate of 1" in refused.value.reason
    assert denied(tx, later(MINUTE), two) == "Batch box holds no longer."
    claims.set_batch_enabled(tx, act, "box", False)
    for each in (one, two):
        claims.set_enabled(tx, act, each, True)
        assert denied(tx, act, each) == "Batch box is switched off."
    claims.set_batch_enabled(tx, act, "box", True)
    assert claim_batches.get(tx, act.realm, "box").enabled


def test_a_switched_off_batch_takes_no_new_claims(tx: Tx, act: Act, claim: Callable[..., Claim]) -> None:
    claim_batches.set_bounds(tx, act, "box", maximum=None, rate=None)
    assert claims.set_batch_enabled(tx, act, "box", False) == 0
    assert denied(tx, act, claim(batch="box").fingerprint) == "Batch box is switched off."
    assert spend(tx, act, claim("other", batch="bag").fingerprint, "t").used == 1


def test_a_batchs_list_binds_all_its_claims(tx: Tx, act: Act, box: Callable[..., tuple[str, str]]) -> None:
    one, two = box(("s1", "s2"))
    claims.add_serials(tx, act, two, ["s2", "s3"])
    assert spend(tx, act, one, "t", "s1", "lamp").used == 1
    assert "s1' is not on the list of claim" in denied(tx, act, two, "s1", "lamp")
    assert "s3' is not on the list of batch box" in denied(tx, act, two, "s3", "door")
    assert "s1' of batch box was used for thing lamp" in denied(tx, act, one, "s1", "door")
    assert spend(tx, act, two, "t", "s2", "door").used == 1
    used = {each.serial: each.thing_name for each in claim_batches.page_serials(tx, act.realm, "box").items}
    assert used == {"s1": "lamp", "s2": "door"}


def test_what_a_batch_refuses_costs_nothing(tx: Tx, act: Act, box: Callable[..., tuple[str, str]]) -> None:
    one, _ = box(("s1", "s2"), maximum=1)
    spend(tx, act, one, "t", "s1", "lamp")
    before = claims.get(tx, act.realm, one)
    denied(tx, act, one, "s2", "door")
    assert claims.get(tx, act.realm, one) == before
    assert claim_batches.page_serials(tx, act.realm, "box").items[1].used_at is None


def test_a_claim_whose_batch_is_a_label_has_no_shared_budget(claim: Callable[..., Claim]) -> None:
    assert claim(batch="label").shared is None
    assert claim("second").shared is None


# --- asking again when nothing is left --------------------------------------------------------------------------------


@pytest.mark.parametrize("status", list(Status))
def test_a_key_keeps_its_place_while_its_certificate_is_in_force(
    tx: Tx, act: Act, certified: Make, claim: Callable[..., Claim], status: Status
) -> None:
    made, other = claim(), claim("other")
    certified("device", status, claim=made.fingerprint, key="k1")
    assert claims.has_place(tx, act, made, "k1") is (status is Status.ACTIVE)
    assert not claims.has_place(tx, act, made, "k2")
    assert not claims.has_place(tx, act, other, "k1")


def test_who_has_a_place_passes_the_check_of_a_spent_claim(tx: Tx, act: Act, claim: Callable[..., Claim]) -> None:
    made = claim(maximum=1, rate=Rate(2, MINUTE))
    spent = spend(tx, act, made.fingerprint, "t", None, "lamp")
    with pytest.raises(AccessDenied):
        claims.check(act, spent)
    claims.check(act, spent, has_place=lambda: True)
    claims.set_enabled(tx, act, made.fingerprint, False)
    with pytest.raises(AccessDenied):
        claims.check(act, claims.get(tx, act.realm, made.fingerprint), has_place=lambda: True)


def test_nobody_looks_for_a_place_while_there_is_room(claim: Callable[..., Claim], act: Act) -> None:
    def never() -> bool:
        raise AssertionError("asked without need")

    claims.check(act, claim(maximum=1), has_place=never)
