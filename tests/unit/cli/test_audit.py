from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

from fleetgate.config import load
from fleetgate.names import NO_ACCOUNT
from fleetgate.runtime import Refusal
from fleetgate.works import works


def test_filters(call: Any) -> None:
    call("key", "create", "--label", "one")
    everything = call("audit", "list", "--action", "CreateAccessKey", "--json").json
    assert [each["action"] for each in everything] == ["CreateAccessKey", "CreateAccessKey"]
    assert call("audit", "list", "--since", "1h", "--json").json[-2:] == everything
    assert call("audit", "list", "--since", "2999-01-01", "--json").json == []
    assert call("audit", "list", "--action", "Nothing", "--json").json == []
    request = everything[1]["request_id"]
    assert call("audit", "list", "--request-id", request, "--json").json == everything[1:]
    assert everything[0]["at"].endswith("Z")
    assert "CreateAccessKey" in call("audit", "list").out


def test_people_see_the_newest_first_and_programs_the_oldest(call: Any) -> None:
    call("key", "create")
    ids = [each["id"] for each in call("audit", "list", "--json").json]
    assert [each["id"] for each in call("audit", "list", "--json", "--newest-first").json] == ids[::-1]
    assert call("audit", "list", "--json", "--newest-first", "--limit", "1").json[0]["id"] == ids[-1]
    rows = call("audit", "list").out.splitlines()
    assert rows == [*rows[:2], *reversed(call("audit", "list", "--oldest-first").out.splitlines()[2:])]


def test_who_belongs_to_no_account_is_listed_too(call: Any, tmp_path: Path) -> None:
    """A connection with a certificate that nobody knows is refused before it has an account."""

    async def refuse() -> None:
        async with works(load(None, {"server.data_dir": str(tmp_path / "fleetgate-data")})) as opened:
            act = opened.runtime.act(NO_ACCOUNT, "unknown")
            opened.upkeep.refused(Refusal(act, "Connect", "client/stranger", "The certificate is not registered."))

    asyncio.run(refuse())
    (entry,) = call("audit", "list", "--action", "Connect", "--json").json
    assert (entry["target"], entry["outcome"]) == ("client/stranger", "refused")
    assert "not registered" in call("audit", "list", "--account", "210987654321").out


def test_a_sound_trail(call: Any) -> None:
    number = len(call("audit", "list", "--json").json)
    answer = call("audit", "verify", "--json").json
    assert (answer["sound"], answer["sealed"], answer["unsealed"], answer["broken"]) == (True, number, 0, None)
    assert answer["head"] in call("audit", "verify").err


def test_a_trail_that_was_altered(call: Any, tmp_path: Path) -> None:
    call("key", "create")
    call("audit", "verify")
    database = sqlite3.connect(tmp_path / "fleetgate-data" / "fleetgate.db")
    with database:
        database.execute("UPDATE audit_entries SET actor = 'nobody' WHERE position = 2")
    database.close()
    assert "broken after entry 1" in call("audit", "verify", status=1).err
    answer = call("audit", "verify", "--json", status=1).json
    assert answer["sound"] is False
    assert answer["broken"]["actor"] == "nobody"
