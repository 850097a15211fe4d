"""A batch's own bounds; that they are spent with a claim's is in test_claims.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fleetgate.database.port import Tx
from fleetgate.errors import InvalidRequest, NotFound
from fleetgate.names import Act, Realm
from fleetgate.registry import claim_batches, claims
from fleetgate.registry.budgets import Rate
from fleetgate.registry.certificates import Certificate


def test_a_batch_comes_into_being_with_its_bounds(tx: Tx, act: Act, elsewhere: Realm) -> None:
    assert claim_batches.find(tx, act.realm, "box") is None
    made = claim_batches.set_bounds(tx, act, "box", maximum=3, rate=Rate(2, 10), not_before=1, not_after=9)
    assert claim_batches.get(tx, act.realm, "box") == made
    assert (made.title, made.enabled, made.maximum, made.used, made.remaining) == ("Batch box", True, 3, 0, 3)
    assert (made.rate, made.not_before, made.not_after, made.serials_listed) == (Rate(2, 10), 1, 9, False)
    assert claim_batches.find(tx, elsewhere, "box") is None


def test_other_bounds_leave_what_was_used(tx: Tx, act: Act, later: Callable[..., Act]) -> None:
    made = claim_batches.set_bounds(tx, act, "box", maximum=3, rate=None)
    counted = claim_batches.count(tx, act, made, repeated=False)
    assert claim_batches.get(tx, act.realm, "box") == counted
    changed = claim_batches.set_bounds(tx, later(), "box", maximum=None, rate=Rate(1, 5))
    assert (changed.used, changed.maximum, changed.remaining, changed.created_at) == (1, None, None, act.now)
    assert changed.updated_at == later().now


def test_devices_that_its_claims_made_before_count(tx: Tx, act: Act, certified: Callable[..., Certificate]) -> None:
    for name, batch in (("one", "box"), ("two", "box"), ("three", "other")):
        claim = claims.register(tx, act, certified(name).fingerprint, batch=batch)
        claims.spend(tx, act, claim, "t", None, f"thing-{name}")
    assert claim_batches.set_bounds(tx, act, "box", maximum=3, rate=None).used == 2


@pytest.mark.parametrize(
    ("label", "bounds"), [("", {}), ("box", {"maximum": 0}), ("box", {"not_before": 5, "not_after": 5})]
)
def test_what_cannot_be_set(tx: Tx, act: Act, label: str, bounds: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        claim_batches.set_bounds(tx, act, label, **({"maximum": None, "rate": None} | bounds))
    assert claim_batches.page(tx, act.realm).items == ()


def test_repeats_count_against_the_rate_alone(tx: Tx, act: Act) -> None:
    made = claim_batches.set_bounds(tx, act, "box", maximum=3, rate=Rate(5, 10))
    counted = claim_batches.count(tx, act, made, repeated=True)
    assert (counted.used, counted.window_used, counted.window_started) == (0, 1, act.now)
    assert claim_batches.get(tx, act.realm, "box") == counted


def test_its_list(tx: Tx, act: Act) -> None:
    with pytest.raises(NotFound, match="fleetgate claim batch set"):
        claim_batches.add_serials(tx, act, "box", ["s1"])
    claim_batches.set_bounds(tx, act, "box", maximum=None, rate=None)
    assert claim_batches.add_serials(tx, act, "box", []) == 0
    assert not claim_batches.get(tx, act.realm, "box").serials_listed
    assert claim_batches.add_serials(tx, act, "box", ["s1", "s2"]) == 2
    assert claim_batches.get(tx, act.realm, "box").serials_listed
    assert [each.serial for each in claim_batches.page_serials(tx, act.realm, "box").items] == ["s1", "s2"]
    with pytest.raises(NotFound):
        claim_batches.page_serials(tx, act.realm, "bag")


def test_the_switch(tx: Tx, act: Act) -> None:
    claim_batches.set_bounds(tx, act, "box", maximum=None, rate=None)
    for enabled in (False, False, True):
        claim_batches.set_enabled(tx, act, "box", enabled)
        assert claim_batches.get(tx, act.realm, "box").enabled is enabled
    claim_batches.set_enabled(tx, act, "bag", False)
    assert claim_batches.find(tx, act.realm, "bag") is None


def test_pages(tx: Tx, act: Act) -> None:
    for label in ("c", "a", "b"):
        claim_batches.set_bounds(tx, act, label, maximum=None, rate=None)
    page = claim_batches.page(tx, act.realm, limit=2)
    assert [each.batch for each in page.items] == ["a", "b"]
    assert [each.batch for each in claim_batches.page(tx, act.realm, page.next_key).items] == ["c"]
