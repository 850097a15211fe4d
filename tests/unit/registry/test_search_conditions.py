from __future__ import annotations

import pytest

from fleetgate.database.port import Tx
from fleetgate.names import Act, Realm
from fleetgate.registry import connectivity, things
from fleetgate.registry.connectivity import Change, Connectivity
from fleetgate.registry.search_conditions import Values, condition, passed
from fleetgate.search.query import parse
from fleetgate.search.tree import And, Exact, Not, Or


def found(tx: Tx, query: str) -> list[str]:
    values = Values()
    where = condition(parse(query), values)
    return [
        row["name"] for row in tx.rows(f"SELECT t.name FROM things t WHERE {where} ORDER BY t.name", **values.named)
    ]


def test_every_value_has_a_parameter_of_its_own() -> None:
    values = Values("v")
    assert [values.put("a"), values.put("a"), values.put(3)] == [":v0", ":v1", ":v2"]
    assert values.named == {"v0": "a", "v1": "a", "v2": 3}


def test_what_a_caller_sends_is_never_in_the_text() -> None:
    values = Values()
    text = condition(parse("attributes.zzz:zz* OR thingName:[zz TO zzz] OR zz?z OR NOT thingTypeName:zz"), values)
    assert "zz" not in text
    assert {"zzz", "zz", "zz_z"} <= set(values.named.values())


def test_a_like_takes_its_own_marks_literally(tx: Tx, act: Act) -> None:
    for name in ("a_b-1", "axb-1"):
        things.create(tx, act, name)
    assert found(tx, "thingName:?_b*") == ["a_b-1"]
    assert found(tx, r"thingName:a\%*") == []
    assert found(tx, r"thingName:a\!*1") == []


def test_a_missing_type_is_no_null(tx: Tx, act: Act) -> None:
    things.create(tx, act, "bare")
    assert found(tx, "NOT thingTypeName:x") == ["bare"]
    assert found(tx, "NOT (NOT thingTypeName:x)") == []


def test_nothing_and_everything() -> None:
    assert condition(Or(()), Values()) == "(1 = 0)"
    assert condition(Not(And(())), Values()) == "NOT 1 = 1"
    values = Values()
    assert passed("x.a", Exact("B"), values) == "x.a = :p0"


@pytest.mark.parametrize(
    ("query", "on", "off"),
    [
        ("connectivity.connected:TRUE", True, False),
        ("connectivity.connected:false", False, True),
        ("connectivity.connected:*", True, True),
        ("connectivity.timestamp:1000", True, False),
        ("connectivity.timestamp>=1000", True, True),
        ("connectivity.timestamp>1000", False, True),
        ("connectivity.timestamp>999.5", True, True),
        ("connectivity.timestamp<1000.5", True, False),
        ("connectivity.timestamp:{999 TO 1000]", True, False),
        ("connectivity.timestamp:{999 TO 1000}", False, False),
        ("connectivity.timestamp<1e300", True, True),
        ("connectivity.disconnectReason:connection*", False, True),
        ("NOT connectivity.disconnectReason:*", True, False),
    ],
)
def test_connectivity(tx: Tx, act: Act, realm: Realm, query: str, on: bool, off: bool) -> None:
    for name in ("on", "off"):
        things.create(tx, act, name)
    states = [Connectivity("on", "on", True, 1000), Connectivity("off", "off", False, 2000, "CONNECTION_LOST")]
    connectivity.note(tx, "node", [Change(realm, state) for state in states])
    assert found(tx, query) == ["off"] * off + ["on"] * on
