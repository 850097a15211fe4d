from __future__ import annotations

from collections.abc import Callable

import pytest

from fleetgate.database.port import Tx
from fleetgate.errors import AlreadyExists, NotFound
from fleetgate.names import Act, Realm
from fleetgate.registry import certificate_providers, issuances
from fleetgate.registry.issuances import Intent


def intent(serial: str = "0a", issuer: str = "ca") -> Intent:
    return Intent(issuer, serial, "CN=device", "k" * 64, "d" * 64, "device")


def test_intent_before_and_certificate_after(tx: Tx, act: Act, later: Callable[..., Act]) -> None:
    issuances.begin(tx, act, intent())
    begun = issuances.get(tx, "ca", "0a")
    assert (begun.intent, begun.realm, begun.begun_at) == (intent(), act.realm, act.now)
    assert (begun.actor, begun.request_id) == (act.actor, act.request_id)
    assert (begun.fingerprint, begun.completed_at) == (None, None)
    issuances.complete(tx, later(), "ca", "0a", "f" * 64)
    done = issuances.get(tx, "ca", "0a")
    assert (done.fingerprint, done.completed_at) == ("f" * 64, act.now + 1000)
    issuances.complete(tx, later(5000), "ca", "0a", "f" * 64)
    assert issuances.get(tx, "ca", "0a") == done
    with pytest.raises(AlreadyExists, match=r"f{64}"):
        issuances.complete(tx, later(), "ca", "0a", "e" * 64)


def test_a_provider_goes_first(tx: Tx, act: Act, elsewhere: Realm, later: Callable[..., Act]) -> None:
    assert issuances.begin_unless_provided(tx, act, intent("0b")) is None
    assert issuances.get(tx, "ca", "0b").intent == intent("0b")
    with pytest.raises(AlreadyExists, match="Draw another"):
        issuances.begin_unless_provided(tx, act, intent("0b"))
    provider = certificate_providers.create(tx, act, "mine", "arn:aws:lambda:us-east-1:123456789012:function:sign")
    assert issuances.begin_unless_provided(tx, act, intent("0c")) == provider
    assert issuances.find(tx, "ca", "0c") is None
    assert issuances.begin_unless_provided(tx, later(of=elsewhere), intent("0d")) is None


def test_a_serial_is_used_once_for_an_issuer(tx: Tx, act: Act, later: Callable[..., Act], elsewhere: Realm) -> None:
    issuances.begin(tx, act, intent())
    with pytest.raises(AlreadyExists, match="Draw another"):
        issuances.begin(tx, act, intent())
    with pytest.raises(AlreadyExists):
        issuances.begin(tx, later(of=elsewhere), intent())
    issuances.begin(tx, act, intent(issuer="other"))


def test_nothing_is_completed_without_an_intent_here(
    tx: Tx, act: Act, later: Callable[..., Act], elsewhere: Realm
) -> None:
    with pytest.raises(NotFound):
        issuances.complete(tx, act, "ca", "0a", "f" * 64)
    with pytest.raises(NotFound):
        issuances.get(tx, "ca", "0a")
    issuances.begin(tx, act, intent())
    with pytest.raises(NotFound):
        issuances.complete(tx, later(of=elsewhere), "ca", "0a", "f" * 64)
    assert issuances.get(tx, "ca", "0a").completed_at is None


def test_unfinished(tx: Tx, act: Act, later: Callable[..., Act]) -> None:
    for number, moment in enumerate([3, 1, 2, 1]):
        issuances.begin(tx, later(moment), intent(f"0{number}"))
    issuances.begin(tx, later(0), intent("0f"))
    issuances.complete(tx, later(), "ca", "0f", "f" * 64)
    found, after = [], None
    for _ in range(5):
        page = issuances.unfinished(tx, act.realm, act.now + 3, after, 1)
        found += [each.intent.serial for each in page.items]
        if (after := page.next_key) is None:
            break
    assert found == ["01", "03", "02"]
