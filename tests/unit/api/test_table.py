from __future__ import annotations

import pytest

from fleetgate.api import things
from fleetgate.api.handling import Flow, Glance, Handler, Write, named
from fleetgate.api.table import OPERATIONS, check
from fleetgate.wire.restjson.model import load

IOT = load("iot")


def test_the_table_fits_the_model() -> None:
    check(IOT)


def test_every_entry_that_does_not_fit_is_named() -> None:
    wrong: dict[str, Handler] = {
        "CreateThing": Glance(things.describe_thing),
        "MakeThing": Write(things.create_thing, named("thing", "thingName")),
    }
    with pytest.raises(RuntimeError, match=r"MakeThing.*CreateThing \(describe_thing\)"):
        check(IOT, wrong)


@pytest.mark.parametrize("name", [name for name, each in OPERATIONS.items() if isinstance(each, Write | Flow)])
def test_what_the_audit_trail_shows_is_a_parameter_and_no_secret(name: str) -> None:
    members = IOT.operation(name).input.shape.members
    handler = OPERATIONS[name]
    assert isinstance(handler, Write | Flow)
    for noted in handler.noted:
        assert not members[noted].shape.sensitive


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_changes_something_is_written_down(name: str) -> None:
    reads = name.startswith(("Describe", "List", "Get", "Test", "Search")) and name != "GetRegistrationCode"
    assert isinstance(OPERATIONS[name], Write | Flow) is not reads
