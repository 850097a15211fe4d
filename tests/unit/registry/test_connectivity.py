from __future__ import annotations

from dataclasses import replace

import pytest

from fleetgate.database.port import Tx
from fleetgate.names import Act, Realm
from fleetgate.registry import connectivity, nodes, things
from fleetgate.registry.connectivity import Change, Connectivity

ON = Connectivity("one", "client", True, 1000, keep_alive=60, clean_session=True, session_expiry=0)
OFF = Connectivity("one", "client", False, 2000, "CLIENT_ERROR")


@pytest.fixture(autouse=True)
def _things(tx: Tx, act: Act) -> None:
    for name in ("one", "two"):
        things.create(tx, act, name)


def note(tx: Tx, realm: Realm, *states: Connectivity, node: str = "n") -> None:
    connectivity.note(tx, node, [Change(realm, state) for state in states])


def test_the_last_change_is_what_is_known(tx: Tx, realm: Realm, elsewhere: Realm) -> None:
    assert connectivity.find(tx, realm, "one") is None
    note(tx, realm, ON)
    assert connectivity.find(tx, realm, "one") == ON
    note(tx, realm, OFF, replace(ON, thing_name="two"))
    assert connectivity.of_things(tx, realm, ["one", "two", "three"]) == {
        "one": OFF,
        "two": replace(ON, thing_name="two"),
    }
    assert connectivity.of_things(tx, realm, []) == {}
    assert connectivity.find(tx, elsewhere, "one") is None


def test_what_is_older_comes_too_late(tx: Tx, realm: Realm) -> None:
    note(tx, realm, OFF)
    note(tx, realm, ON)
    assert connectivity.find(tx, realm, "one") == OFF


def test_a_thing_that_is_gone_leaves_nothing(tx: Tx, act: Act, realm: Realm) -> None:
    note(tx, realm, replace(ON, thing_name="never"))
    note(tx, realm, ON)
    things.delete(tx, act, "one")
    assert connectivity.of_things(tx, realm, ["one", "never"]) == {}


def test_a_run_that_is_over_has_nobody_connected(tx: Tx, realm: Realm) -> None:
    note(tx, realm, ON, node="dead")
    note(tx, realm, replace(ON, thing_name="two"), node="alive")
    assert connectivity.holding(tx) == ["alive", "dead"]
    assert connectivity.end_of(tx, "dead", 5000, "SERVER_ERROR") == 1
    assert connectivity.end_of(tx, "dead", 6000, "SERVER_ERROR") == 0
    found = connectivity.find(tx, realm, "one")
    assert found is not None
    assert (found.connected, found.changed_at, found.reason) == (False, 5000, "SERVER_ERROR")
    assert connectivity.holding(tx) == ["alive"]


def test_the_document_has_the_fields_of_a_search() -> None:
    assert ON.document() == {
        "connectivity.connected": ["true"],
        "connectivity.timestamp": ["1000"],
        "connectivity.disconnectReason": [],
    }
    assert OFF.document()["connectivity.disconnectReason"] == ["CLIENT_ERROR"]


def test_runs_that_give_no_sign_of_life_are_over(tx: Tx, realm: Realm) -> None:
    note(tx, realm, ON, node="dead")
    note(tx, realm, replace(ON, thing_name="two"), node="alive")
    nodes.beat(tx, "alive", "a", 10_000)
    assert connectivity.left_behind(tx, 11_000) == ["dead"]
    assert connectivity.left_behind(tx, 10_000 + 2 * nodes.SILENCE) == ["alive", "dead"]
