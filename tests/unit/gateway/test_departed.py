"""Who left a while ago."""

from __future__ import annotations

import pytest
from tests.server import REALM

from fleetgate.gateway import departed
from fleetgate.gateway.departed import KEPT, Departed
from fleetgate.gateway.observer import Departure


def test_it_is_known_for_half_an_hour() -> None:
    time = [1000]
    gone = Departed(lambda: time[0])
    gone.add(REALM, "c", Departure.CONNECTION_LOST)
    time[0] += KEPT
    found = gone.seen(REALM, "c", None)
    assert found is not None
    assert (found.left_at, found.left_why, found.clean, found.connected_at) == (1000, "CONNECTION_LOST", True, None)
    time[0] += 1
    assert gone.seen(REALM, "c", None) is None
    session = gone.seen(REALM, "c", 60)
    assert session is not None
    assert (session.left_at, session.left_why, session.clean, session.session_expiry) == (None, None, False, 60)


def test_there_is_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(departed, "MOST", 2)
    gone = Departed(lambda: 0)
    for name in "abac":
        gone.add(REALM, name, Departure.CLIENT_INITIATED_DISCONNECT)
    assert [name for name in "abc" if gone.seen(REALM, name, None)] == ["a", "c"]
    gone.clear()
    assert gone.seen(REALM, "a", None) is None
