from __future__ import annotations

from collections.abc import Callable

import pytest

from fleetgate.database.port import Tx
from fleetgate.errors import InvalidRequest
from fleetgate.names import Act, Realm
from fleetgate.registry import event_configurations, outbox
from fleetgate.registry.event_configurations import EventConfiguration
from fleetgate.registry.events import EventConfigurationChanged


def test_everything_is_off_until_it_is_switched_on(
    tx: Tx, act: Act, later: Callable[..., Act], elsewhere: Realm
) -> None:
    assert event_configurations.get(tx, act.realm) == EventConfiguration(frozenset(), None, None)
    event_configurations.update(tx, act, {"THING": True, "JOB": False})
    then = later()
    event_configurations.update(tx, then, {"POLICY": True})
    found = event_configurations.get(tx, act.realm)
    assert found == EventConfiguration(frozenset({"THING", "POLICY"}), act.now, then.now)
    assert event_configurations.get(tx, elsewhere).enabled == frozenset()
    assert event_configurations.realms(tx) == [act.realm]
    assert [entry.event for entry in outbox.pending(tx, 10)] == [
        EventConfigurationChanged(["THING"]),
        EventConfigurationChanged(["POLICY", "THING"]),
    ]


def test_what_changes_nothing(tx: Tx, act: Act) -> None:
    event_configurations.update(tx, act, {})
    with pytest.raises(InvalidRequest, match="There is no event type SHADOW; there are THING"):
        event_configurations.update(tx, act, {"SHADOW": True, "THING": True})
    assert outbox.pending(tx, 10) == []
    assert event_configurations.get(tx, act.realm).enabled == frozenset()
