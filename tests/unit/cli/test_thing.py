from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fleetgate.database.open import open_database
from fleetgate.database.port import Tx
from fleetgate.names import Act, Realm
from fleetgate.registry import attachments, policies, thing_groups, thing_types, things

ACT = Act(Realm("123456789012", "us-east-1"), "system", 1_700_000_000_000, "00000000-0000-0000-0000-000000000001")


@pytest.fixture
def enter(call: Any, tmp_path: Path) -> Callable[[Callable[[Tx], object]], None]:
    """Write records into the installation."""

    def run(work: Callable[[Tx], object]) -> None:
        async def write() -> None:
            database = open_database(tmp_path / "fleetgate-data" / "fleetgate.db")
            await database.write(work)
            await database.close()

        asyncio.run(write())

    return run


def lamps(tx: Tx) -> None:
    thing_types.create(tx, ACT, "lamp")
    for number in range(3):
        things.create(tx, ACT, f"lamp-{number}", type_name="lamp", attributes={"room": f"r{number}"})
    things.create(tx, ACT, "switch", attributes={"room": "hall"})


def test_lists_and_their_filters(call: Any, enter: Any) -> None:
    enter(lamps)

    def found(*arguments: str) -> list[str]:
        return [each["name"] for each in call("thing", "list", *arguments, "--json").json]

    assert found() == ["lamp-0", "lamp-1", "lamp-2", "switch"]
    assert found("--type", "lamp", "--limit", "2") == ["lamp-0", "lamp-1"]
    assert found("--attribute", "room=hall") == ["switch"]
    assert found("--attribute", "room=r*") == ["lamp-0", "lamp-1", "lamp-2"]
    assert found("--attribute", "room=r") == []


def test_a_table_says_when_there_is_more(call: Any, enter: Any) -> None:
    enter(lamps)
    answer = call("thing", "list", "--limit", "1")
    assert "lamp-0" in answer.out
    assert "lamp-1" not in answer.out
    assert answer.err == "There are more things; --limit shows them.\n"
    assert call("thing", "list", "--limit", "4").err == ""


def test_long_lists_are_read_in_pages(call: Any, enter: Any) -> None:
    enter(lambda tx: [things.create(tx, ACT, f"t{number:04}") for number in range(1001)])
    assert len(call("thing", "list", "--json").json) == 1001
    assert call("thing", "list").out.count("\nt0") == 100


def test_a_thing_is_shown_with_groups_certificates_and_policies(call: Any, enter: Any, claim: dict[str, Any]) -> None:
    def attach(tx: Tx) -> None:
        things.create(tx, ACT, "lamp", attributes={"room": "hall"})
        thing_groups.create(tx, ACT, "house")
        thing_groups.add_thing(tx, ACT, "house", "lamp")
        policies.create(tx, ACT, "shine", "{}")
        attachments.attach_principal(tx, ACT, "lamp", claim["fingerprint"])
        attachments.attach_policy(tx, ACT, "shine", ACT.realm.arn("cert", claim["fingerprint"]))

    enter(attach)
    shown = call("thing", "show", "lamp", "--json").json
    assert shown["arn"] == "arn:aws:iot:us-east-1:123456789012:thing/lamp"
    assert (shown["attributes"], shown["groups"]) == ({"room": "hall"}, ["house"])
    (certificate,) = shown["certificates"]
    assert certificate["fingerprint"] == claim["fingerprint"]
    assert certificate["policies"] == ["claim-lamps", "shine"]
    assert "pem" not in certificate

    text = call("thing", "show", "lamp").out
    assert "room=hall" in text
    assert claim["fingerprint"][:12] in text


def test_an_unknown_thing(call: Any) -> None:
    assert "Thing ghost does not exist" in call("thing", "show", "ghost", status=1).err


def test_realms_do_not_see_each_other(call: Any, enter: Any) -> None:
    enter(lamps)
    assert call("thing", "list", "--region", "eu-west-1", "--json").json == []
