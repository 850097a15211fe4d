from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

FULL = "arn:aws:iam::aws:policy/AWSIoTFullAccess"


@pytest.fixture
def policy(tmp_path: Path) -> str:
    statement = {"Effect": "Allow", "Action": "iot:List*", "Resource": "*"}
    file = tmp_path / "policy.json"
    file.write_text(json.dumps({"Version": "2012-10-17", "Statement": statement}))
    return str(file)


def test_the_life_of_a_user(call: Any, policy: str) -> None:
    made = call("user", "create", "ana", "--json").json
    assert made["arn"] == "arn:aws:iam::123456789012:user/ana"
    key = call("key", "create", "--user", "ana", "--json").json
    assert key["user"] == "ana"
    assert {each["id"]: each["user_name"] for each in call("key", "list", "--json").json}[key["id"]] == "ana"
    call("user", "policy", "put", "ana", "listing", policy)
    call("user", "policy", "attach", "ana", FULL)
    shown = call("user", "policy", "show", "ana", "--json").json
    assert [(each["name"], each["version"]) for each in shown] == [("listing", "inline"), (FULL, "v1")]
    assert shown[0]["document"]["Statement"]["Action"] == "iot:List*"
    assert "iot:List*" in call("user", "policy", "show", "ana").out
    assert [each["keys"] for each in call("user", "list", "--json").json] == [[key["id"]]]
    assert "access keys first" in call("user", "delete", "ana", status=1).err
    call("user", "policy", "detach", "ana", FULL)
    call("user", "policy", "delete", "ana", "listing")
    assert call("user", "policy", "show", "ana", "--json").json == []
    call("user", "policy", "put", "ana", "listing", policy)
    call("user", "delete", "ana", "--force")
    assert call("user", "list", "--json").json == []
    assert key["id"] not in call("key", "list").out


def test_what_cannot_be(call: Any, policy: str, tmp_path: Path) -> None:
    assert "cannot be found" in call("user", "policy", "put", "nobody", "p", policy, status=1).err
    assert "cannot be found" in call("key", "create", "--user", "nobody", status=1).err
    assert "a b" in call("user", "create", "a b", status=1).err
    call("user", "create", "ana")
    assert "already exists" in call("user", "create", "Ana", status=1).err
    broken = tmp_path / "broken.json"
    broken.write_text('{"Version": "2012-10-17", "Statement": {"Effect": "Allow"}}')
    assert "Action" in call("user", "policy", "put", "ana", "p", str(broken), status=1).err
    assert call("user", "policy", "show", "ana", "--json").json == []


def test_changes_are_in_the_audit_trail(call: Any, policy: str) -> None:
    call("user", "create", "ana")
    call("user", "policy", "put", "ana", "listing", policy)
    entries = call("audit", "list", "--target", "arn:aws:iam::123456789012:user/ana", "--json").json
    assert [each["action"] for each in entries] == ["CreateUser", "PutUserPolicy"]
