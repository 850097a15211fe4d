from __future__ import annotations

from typing import Any


def test_the_life_of_an_access_key(call: Any) -> None:
    made = call("key", "create", "--label", "factory", "--json").json
    assert made["label"] == "factory"
    listed = {each["id"]: each for each in call("key", "list", "--json").json}
    assert listed[made["id"]]["status"] == "Active"
    assert "sealed_secret" not in listed[made["id"]]
    assert made["secret"] not in call("key", "list").out

    assert call("key", "disable", made["id"]).err == f"{made['id']} is Inactive now.\n"
    assert [each["status"] for each in call("key", "list", "--json").json if each["id"] == made["id"]] == ["Inactive"]
    assert call("key", "enable", made["id"]).err == f"{made['id']} is Active now.\n"

    call("key", "delete", made["id"])
    assert made["id"] not in call("key", "list").out
    assert f"no access key {made['id']}" in call("key", "delete", made["id"], status=1).err


def test_people_get_lines_for_their_shell(call: Any) -> None:
    answer = call("key", "create")
    names = [line.partition("=")[0] for line in answer.out.splitlines()]
    assert names == ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
    assert "not shown again" in answer.err


def test_keys_belong_to_an_account(call: Any) -> None:
    made = call("key", "create", "--account", "210987654321", "--json").json
    assert made["account"] == "210987654321"
    assert made["id"] not in call("key", "list").out
    assert made["id"] in call("key", "list", "--account", "210987654321").out
    call("key", "disable", made["id"], status=1)


def test_changes_are_in_the_audit_trail_without_the_secret(call: Any) -> None:
    made = call("key", "create", "--label", "factory", "--json").json
    call("key", "disable", made["id"])
    entries = call("audit", "list", "--target", f"arn:aws:iam::123456789012:access-key/{made['id']}", "--json").json
    assert [(each["action"], each["details"]) for each in entries] == [
        ("CreateAccessKey", {"label": "factory"}),
        ("UpdateAccessKey", {"status": "Inactive"}),
    ]
    assert entries[0]["actor"].startswith("cli/")
    assert made["secret"] not in str(entries)
