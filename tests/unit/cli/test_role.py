from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FULL = "arn:aws:iam::aws:policy/AWSIoTFullAccess"


def test_the_life_of_a_role(call: Any, tmp_path: Path) -> None:
    made = call(
        "role",
        "create",
        "r",
        "--trust-account",
        "210987654321",
        "--external-id",
        "x",
        "--longest-session",
        "7200",
        "--json",
    ).json
    assert made["longest_session"] == 7200
    assert made["trust"]["Statement"] == [
        {
            "Effect": "Allow",
            "Principal": {"AWS": "arn:aws:iam::210987654321:root"},
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"sts:ExternalId": "x"}},
        }
    ]
    call("role", "policy", "attach", "r", FULL)
    assert "detach" in call("role", "delete", "r", status=1).err
    trust = tmp_path / "trust.json"
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "credentials.iot.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    trust.write_text(json.dumps({"Version": "2012-10-17", "Statement": statement}))
    call("role", "trust", "r", str(trust))
    listed = call("role", "list", "--json").json
    assert [(each["name"], each["trust"]["Statement"]) for each in listed] == [("r", statement)]
    call("role", "create", "q", "--trust", str(trust))
    call("role", "create", "p", "--trust-service", "credentials.iot.amazonaws.com")
    call("role", "delete", "r", "--force")
    assert [each["name"] for each in call("role", "list", "--json").json] == ["p", "q"]


def test_what_cannot_be(call: Any) -> None:
    assert "exactly one" in call("role", "create", "r", status=2).err
    assert (
        "--trust-account"
        in call("role", "create", "r", "--trust-service", "a.example.com", "--external-id", "x", status=2).err
    )
    assert "12 digits" in call("role", "create", "r", "--trust-account", "1", status=1).err
    assert call("role", "list", "--json").json == []
