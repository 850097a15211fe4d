from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any


def test_filters(call: Any) -> None:
    call("key", "create", "--label", "one")
    everything = call("audit", "list", "--json").json
    assert [each["action"] for each in everything] == ["CreateAccessKey", "CreateAccessKey"]
    assert call("audit", "list", "--since", "1h", "--json").json == everything
    assert call("audit", "list", "--since", "2999-01-01", "--json").json == []
    assert call("audit", "list", "--action", "Nothing", "--json").json == []
    request = everything[1]["request_id"]
    assert call("audit", "list", "--request-id", request, "--json").json == everything[1:]
    assert everything[0]["at"].endswith("Z")
    assert "CreateAccessKey" in call("audit", "list").out


def test_a_sound_trail(call: Any) -> None:
    answer = call("audit", "verify", "--json").json
    assert (answer["sound"], answer["sealed"], answer["unsealed"], answer["broken"]) == (True, 1, 0, None)
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
