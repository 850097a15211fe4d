from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """A template with two problems."""
    file = tmp_path / "bad.json"
    resources = {"thing": {"Type": "AWS::IoT::Thingy"}}
    file.write_text(json.dumps({"Parameters": {"SerialNumber": {"Type": "Number"}}, "Resources": resources}))
    return file


def test_a_template_is_made_listed_shown_and_deleted(call: Any, body: Path) -> None:
    made = call("template", "create", "lamps", str(body), "--description", "for lamps", "--json").json
    assert (made["name"], made["type"], made["enabled"]) == ("lamps", "FLEET_PROVISIONING", True)
    assert made["role_arn"] == "arn:aws:iam::123456789012:role/fleetgate-provisioning"
    assert [each["name"] for each in call("template", "list", "--json").json] == ["lamps"]
    assert json.loads(call("template", "show", "lamps", "--json").json["body"]) == json.loads(body.read_text())
    assert body.read_text() in call("template", "show", "lamps").out
    assert "already exists" in call("template", "create", "lamps", str(body), status=1).err
    call("template", "delete", "lamps")
    assert "does not exist" in call("template", "show", "lamps", status=1).err


def test_every_problem_is_told_at_once(anywhere: Any, bad: Path) -> None:
    answer = anywhere("template", "check", str(bad), "--json", status=1).json
    assert answer["valid"] is False
    assert len(answer["problems"]) == 2
    told = anywhere("template", "check", str(bad), status=1).err.splitlines()
    assert told == [f"- {problem}" for problem in answer["problems"]]
    assert not [problem for problem in answer["problems"] if problem.startswith("-")]


def test_a_bad_policy_in_a_template_is_a_problem_too(anywhere: Any, tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    properties = {"PolicyDocument": {"Version": "2012-10-17", "Statement": [{"Effect": "Perhaps"}]}}
    file.write_text(json.dumps({"Resources": {"policy": {"Type": "AWS::IoT::Policy", "Properties": properties}}}))
    assert "Resources.policy" in anywhere("template", "check", str(file), status=1).err


def test_a_good_template(anywhere: Any, body: Path) -> None:
    assert "is a good template" in anywhere("template", "check", str(body)).err
    assert anywhere("template", "check", str(body), "--json").json == {"valid": True, "problems": []}


def test_a_template_of_another_kind(anywhere: Any, tmp_path: Path) -> None:
    file = tmp_path / "jitp.json"
    resources = {"thing": {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": "lamp"}}}
    file.write_text(json.dumps({"Resources": resources, "DeviceConfiguration": {"a": "b"}}))
    anywhere("template", "check", str(file))
    assert "JITP" in anywhere("template", "check", str(file), "--type", "jitp", status=1).err


def test_a_bad_template_is_not_created(call: Any, bad: Path) -> None:
    told = call("template", "create", "lamps", str(bad), status=1).err.splitlines()
    assert told[0] == "Error: Several things are wrong:"
    assert "Thingy" in "".join(told[1:])
    assert call("template", "list", "--json").json == []


def test_settings(call: Any, body: Path) -> None:
    call("template", "create", "lamps", str(body), "--no-enabled", "--hook", "approve", "--reprovisioning", "never")
    shown = call("template", "show", "lamps", "--json").json
    assert (shown["enabled"], shown["reprovisioning"]) == (False, "never")
    assert shown["hook_target_arn"] == "arn:aws:lambda:us-east-1:123456789012:function:approve"

    changed = call("template", "set", "lamps", "--enabled", "--no-hook", "--reprovisioning", "default", "--json").json
    assert (changed["enabled"], changed["hook_target_arn"], changed["reprovisioning"]) == (True, None, None)

    arn = "arn:aws:lambda:us-east-1:123456789012:function:other"
    assert call("template", "set", "lamps", "--hook", arn, "--json").json["hook_target_arn"] == arn
    assert call("template", "set", "lamps", "--disabled", "--json").json["hook_target_arn"] == arn


def test_settings_without_any(call: Any, body: Path) -> None:
    made = call("template", "create", "lamps", str(body), "--json").json
    assert "Say what is to change" in call("template", "set", "lamps", status=2).err
    assert call("template", "show", "lamps", "--json").json["updated_at"] == made["updated_at"]


def test_versions(call: Any, body: Path, tmp_path: Path, bad: Path) -> None:
    call("template", "create", "lamps", str(body))
    other = tmp_path / "other.json"
    other.write_text(body.read_text().replace("lamp-", "light-"))
    added = call("template", "add-version", "lamps", str(other), "--json").json
    assert (added["version"], added["default_version"]) == (2, 2)
    third = call("template", "add-version", "lamps", str(body), "--no-default", "--json").json
    assert (third["version"], third["default_version"]) == (3, 2)
    assert "light-" in call("template", "show", "lamps").out
    assert "light-" not in call("template", "show", "lamps", "--version", "1").out
    assert call("template", "set", "lamps", "--default-version", "1", "--json").json["default_version"] == 1
    assert "Thingy" in call("template", "add-version", "lamps", str(bad), status=1).err


def test_a_dry_run_of_a_file_needs_no_installation(anywhere: Any, body: Path) -> None:
    plan = anywhere("template", "dry-run", str(body), "-p", "SerialNumber=7", "--json").json
    assert plan["thing"]["ThingName"] == "lamp-7"
    assert plan["certificate"]["CertificateId"] == "0" * 64
    assert plan["policies"] == []
    assert "lamp-7" in anywhere("template", "dry-run", str(body), "-p", "SerialNumber=7").out


def test_a_dry_run_tells_what_is_missing(anywhere: Any, body: Path) -> None:
    answer = anywhere("template", "dry-run", str(body), status=1)
    assert "Cannot resolve reference value: SerialNumber" in answer.err
    assert "-p NAME=VALUE" in answer.err
    assert "NAME=VALUE" in anywhere("template", "dry-run", str(body), "-p", "SerialNumber", status=2).err


def test_a_dry_run_of_a_template_by_name(call: Any, tmp_path: Path) -> None:
    file = tmp_path / "all.json"
    policy = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "iot:Connect", "Resource": "*"}}
    resources = {
        "written": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyDocument": policy}},
        "named": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "lamps"}},
    }
    file.write_text(json.dumps({"Resources": resources, "DeviceConfiguration": {"interval": "60"}}))
    call("template", "create", "lamps", str(file))
    plan = call("template", "dry-run", "lamps", "--json").json
    assert [each.get("PolicyDocument") for each in plan["policies"]] == [policy, None]
    shown = call("template", "dry-run", "lamps").out
    assert '"Action": "iot:Connect"' in shown
    assert "interval  60" in shown
    assert "does not exist" in call("template", "dry-run", "ghosts", status=1).err


def test_a_file_that_is_no_text(anywhere: Any, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(b"\xff")
    assert "UTF-8" in anywhere("template", "check", "x.json", status=1).err


def test_the_reprovisioning_rule_in_force_is_shown(call: Any, body: Path) -> None:
    def rules(name: str) -> tuple[str | None, str]:
        shown = call("template", "show", name, "--json").json
        return shown["reprovisioning"], shown["reprovisioning_in_force"]

    call("template", "create", "plain", str(body))
    call("template", "create", "asking", str(body), "--hook", "approve")
    call("template", "create", "strict", str(body), "--reprovisioning", "never")
    assert (rules("plain"), rules("asking")) == ((None, "same-key"), (None, "hook"))
    assert rules("strict") == ("never", "never")
    assert "reprovisioning in force  same-key" in call("template", "show", "plain").out
