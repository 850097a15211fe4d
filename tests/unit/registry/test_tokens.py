from __future__ import annotations

from collections.abc import Callable

import pytest

from fleetgate.database.port import Conflict, Tx
from fleetgate.errors import InvalidOwnershipToken
from fleetgate.names import Act, Realm
from fleetgate.registry import tokens
from fleetgate.registry.certificates import Certificate

HOUR = 3_600_000


@pytest.fixture
def fingerprint(tx: Tx, act: Act, certified: Callable[..., Certificate]) -> str:
    made = certified().fingerprint
    tokens.issue(tx, act, "digest", fingerprint=made, claim_fingerprint="claim")
    return made


def test_a_token_is_redeemed_once(tx: Tx, act: Act, later: Callable[..., Act], fingerprint: str) -> None:
    for _ in range(2):
        assert tokens.check(tx, later(), "digest", claim_fingerprint="claim") == fingerprint
    assert tokens.redeem(tx, later(HOUR - 1), "digest", claim_fingerprint="claim") == fingerprint
    for ask in (tokens.check, tokens.redeem):
        with pytest.raises(InvalidOwnershipToken):
            ask(tx, later(), "digest", claim_fingerprint="claim")


@pytest.mark.usefixtures("fingerprint")
def test_all_that_is_wrong_is_told_in_one_text(tx: Tx, later: Callable[..., Act], elsewhere: Realm) -> None:
    cases = [
        (later(), "wrong", "claim"),
        (later(), "digest", "somebody else"),
        (later(), "", ""),
        (later(HOUR), "digest", "claim"),
        (later(of=elsewhere), "digest", "claim"),
    ]
    texts = set()
    for act, digest, claim in cases:
        for ask in (tokens.check, tokens.redeem):
            with pytest.raises(InvalidOwnershipToken) as refused:
                ask(tx, act, digest, claim_fingerprint=claim)
            texts.add((refused.value.message, refused.value.reason))
    tokens.redeem(tx, later(), "digest", claim_fingerprint="claim")
    with pytest.raises(InvalidOwnershipToken) as refused:
        tokens.redeem(tx, later(), "digest", claim_fingerprint="claim")
    assert texts == {(refused.value.message, refused.value.reason)}


def test_an_expiry_of_ones_own(tx: Tx, act: Act, later: Callable[..., Act], fingerprint: str) -> None:
    tokens.issue(tx, act, "short", fingerprint=fingerprint, claim_fingerprint="claim", expires_at=act.now + 5)
    tokens.check(tx, later(4), "short", claim_fingerprint="claim")
    with pytest.raises(InvalidOwnershipToken):
        tokens.check(tx, later(5), "short", claim_fingerprint="claim")


def test_a_token_is_for_a_certificate_in_the_registry(tx: Tx, act: Act) -> None:
    with pytest.raises(Conflict):
        tokens.issue(tx, act, "digest", fingerprint="0" * 64, claim_fingerprint="claim")


def test_what_waits_for_one_asker_is_bounded(
    tx: Tx, act: Act, later: Callable[..., Act], elsewhere: Realm, fingerprint: str
) -> None:
    for number in range(1, 4):
        made = later(number)
        tokens.issue(tx, made, f"digest {number}", fingerprint=fingerprint, claim_fingerprint="claim")
    now = later(10)
    assert tokens.room_at(tx, now, "claim", 5) is None
    assert tokens.room_at(tx, now, "claim", 4) == act.now + HOUR
    assert tokens.room_at(tx, now, "claim", 2) == act.now + 2 + HOUR
    assert tokens.room_at(tx, now, "somebody else", 1) is None
    assert tokens.room_at(tx, later(of=elsewhere), "claim", 1) is None

    tokens.redeem(tx, now, "digest 2", claim_fingerprint="claim")
    assert tokens.room_at(tx, now, "claim", 4) is None
    assert tokens.room_at(tx, later(HOUR), "claim", 3) is None
    assert tokens.room_at(tx, later(HOUR), "claim", 2) == act.now + 1 + HOUR
    assert tokens.room_at(tx, later(2 * HOUR), "claim", 1) is None
