from __future__ import annotations

import sqlite3
import stat
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key


def test_a_claim_is_made_with_files_policy_and_budget(call: Any, body: Path, tmp_path: Path) -> None:
    call("template", "create", "lamps", str(body))
    made = call(
        *["claim", "create", "--template", "lamps", "--count", "10", "--rate", "100/1m", "--not-before", "2026-01-31"],
        *["--not-after", "30d", "--batch", "box 7", "--key", "ec-p256", "--json"],
    ).json
    assert (made["template_name"], made["maximum"], made["rate"]) == ("lamps", 10, "100/1m")
    assert (made["batch"], made["enabled"], made["policy"]) == ("box 7", True, "claim-lamps")
    assert made["not_before"] == "2026-01-31T00:00:00Z"
    certificate_file, key_file = Path(made["certificate_file"]), Path(made["private_key_file"])
    assert (certificate_file, key_file) == (tmp_path / "claim-lamps.pem", tmp_path / "claim-lamps.key")
    assert [stat.S_IMODE(file.stat().st_mode) for file in (certificate_file, key_file)] == [0o600, 0o600]
    certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
    key = load_pem_private_key(key_file.read_bytes(), None)
    assert certificate.public_key() == key.public_key()


def test_nothing_is_overwritten_and_nothing_made_before_that_is_known(call: Any, claim: dict[str, Any]) -> None:
    before = Path(claim["private_key_file"]).read_text()
    refused = call("claim", "create", "--template", "lamps", status=1)
    assert "Already there: claim-lamps.pem, claim-lamps.key" in refused.err
    assert Path(claim["private_key_file"]).read_text() == before
    assert len(call("claim", "list", "--json").json) == 1
    call("claim", "create", "--template", "lamps", "--key", "ec-p256", "--out", "second")
    assert len(call("claim", "list", "--json").json) == 2


def test_a_claim_for_an_unknown_template_is_refused_without_files(call: Any, tmp_path: Path) -> None:
    refused = call("claim", "create", "--template", "lamps", "--key", "ec-p256", status=1)
    assert "template lamps does not exist" in refused.err
    assert not list(tmp_path.glob("*.key"))


def test_a_folder_that_is_not_there_is_told_before_anything_is_made(call: Any) -> None:
    refused = call("claim", "create", "--key", "ec-p256", "--out", "nowhere/claim", status=1)
    assert "Nothing can be written to" in refused.err
    assert call("claim", "list", "--json").json == []
    assert call("audit", "list", "--action", "IssueCertificate", "--json").json == []


def test_a_key_that_cannot_be_written_makes_no_claim(call: Any, tmp_path: Path) -> None:
    (tmp_path / "mine.pem").symlink_to(tmp_path / "away" / "mine.pem")  # exists for O_EXCL alone
    call("claim", "create", "--key", "ec-p256", "--out", "mine", status=1)
    assert call("claim", "list", "--json").json == []
    assert not (tmp_path / "mine.key").exists()


def test_another_policy_of_the_claims_name_is_not_attached(call: Any, tmp_path: Path) -> None:
    call("claim", "create", "--key", "ec-p256", "--out", "first")
    with sqlite3.connect(next(tmp_path.rglob("*.db"))) as database:
        database.execute("UPDATE policy_versions SET document = replace(document, 'iot:Connect', 'iot:*')")
    refused = call("claim", "create", "--key", "ec-p256", "--out", "second", status=1)
    assert "Policy claim exists and says something else" in refused.err
    assert not list(tmp_path.glob("second.*"))
    assert len(call("claim", "list", "--json").json) == 1


def test_a_claim_for_any_template(call: Any) -> None:
    made = call("claim", "create", "--key", "ec-p256", "--json").json
    assert (made["template_name"], made["maximum"], made["policy"]) == (None, None, "claim")


def test_a_claim_is_found_by_the_beginning_of_its_id(call: Any, claim: dict[str, Any]) -> None:
    shown = call("claim", "show", claim["fingerprint"][:8].upper(), "--json").json
    assert shown["fingerprint"] == claim["fingerprint"]
    assert (shown["remaining"], shown["serials"]) == (10, [])
    assert call("claim", "show", claim["fingerprint"], "--json").json == shown
    assert "No claim has an id that begins with 0000." in call("claim", "show", "0000", status=1).err


def test_an_ambiguous_beginning_is_refused(call: Any, claim: dict[str, Any]) -> None:
    call("claim", "create", "--key", "ec-p256", "--out", "second")
    assert "Several claims have an id that begins with ." in call("claim", "show", "", status=1).err


def test_the_kill_switch(call: Any, claim: dict[str, Any]) -> None:
    def enabled() -> bool:
        shown: bool = call("claim", "show", claim["fingerprint"], "--json").json["enabled"]
        return shown

    assert call("claim", "disable", claim["fingerprint"][:8]).err == f"Claim {claim['fingerprint']} is off now.\n"
    assert not enabled()
    call("claim", "enable", claim["fingerprint"])
    assert enabled()


def test_the_kill_switch_of_a_batch(call: Any) -> None:
    for name in ("a", "b"):
        call("claim", "create", "--batch", "box", "--key", "ec-p256", "--out", name)
    call("claim", "create", "--batch", "other", "--key", "ec-p256", "--out", "c")
    assert call("claim", "disable", "--batch", "box").err == "Switched 2 claims of batch box off.\n"
    assert [each["enabled"] for each in call("claim", "list", "--batch", "box", "--json").json] == [False, False]
    assert [each["enabled"] for each in call("claim", "list", "--batch", "other", "--json").json] == [True]
    assert call("claim", "enable", "--batch", "other").err == "Switched 0 claims of batch other on.\n"
    for command in ("disable", "enable"):
        assert "No claim has the batch 'nope'." in call("claim", command, "--batch", "nope", status=1).err
    assert "nope" not in call("audit", "list", "--json").out


def test_the_kill_switch_needs_one_target(call: Any, claim: dict[str, Any]) -> None:
    for arguments in ([], [claim["fingerprint"], "--batch", "box"]):
        assert "either a certificate or --batch" in call("claim", "disable", *arguments, status=2).err


def test_serial_numbers(call: Any, claim: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "serials.txt").write_text("SN-1\nSN-2\n")
    said = call("claim", "add-serials", claim["fingerprint"], "serials.txt").err
    assert said == "Added 2 serial numbers; 0 were there.\n"
    shown = call("claim", "show", claim["fingerprint"], "--json").json
    assert shown["serials_listed"]
    assert [each["serial"] for each in shown["serials"]] == ["SN-1", "SN-2"]
    assert "SN-1 free" in call("claim", "show", claim["fingerprint"]).out


def test_a_claim_with_a_list_from_the_start(call: Any, tmp_path: Path) -> None:
    (tmp_path / "serials.txt").write_text("SN-1\n")
    made = call("claim", "create", "--serials", "serials.txt", "--key", "ec-p256", "--json").json
    assert made["serials_listed"]


def test_bounds_can_be_changed_one_by_one(call: Any, claim: dict[str, Any]) -> None:
    more = call("claim", "set", claim["fingerprint"][:8], "--count", "20", "--json").json
    assert (more["maximum"], more["rate"], more["not_after"]) == (20, claim["rate"], claim["not_after"])
    other = call("claim", "set", claim["fingerprint"], "--rate", "7/1h", "--not-before", "2026-01-31", "--json").json
    assert (other["maximum"], other["rate"], other["not_before"]) == (20, "7/1h", "2026-01-31T00:00:00Z")
    ended = call("claim", "set", claim["fingerprint"], "--not-after", "2026-02-01", "--json").json
    assert (ended["rate"], ended["not_after"]) == ("7/1h", "2026-02-01T00:00:00Z")
    entries = call("audit", "list", "--action", "SetClaimBounds", "--json").json
    assert sorted(entry["details"].get("count", 0) for entry in entries) == [0, 0, 20]
    said = call("claim", "set", claim["fingerprint"], "--not-before", "30d", status=1).err
    assert "A claim ends after it begins: 20" in said
    assert "Z is not after 20" in said
    assert "Say what is to change" in call("claim", "set", claim["fingerprint"], status=2).err


def test_a_deleted_claim_is_an_ordinary_certificate_and_can_be_registered_anew(
    call: Any, claim: dict[str, Any]
) -> None:
    call("claim", "delete", claim["fingerprint"])
    assert call("claim", "list", "--json").json == []
    registered = call("claim", "register", "claim-lamps.pem", "--template", "lamps", "--count", "3", "--json").json
    assert (registered["fingerprint"], registered["maximum"]) == (claim["fingerprint"], 3)
    again = call("claim", "register", claim["fingerprint"], status=1)
    assert "is a registered claim already" in again.err


def test_only_a_certificate_that_is_known_becomes_a_claim(call: Any) -> None:
    assert "does not exist" in call("claim", "register", "ab" * 32, status=1).err
    assert "64 hexadecimal digits" in call("claim", "register", "ab", status=1).err
    assert "No such file" in call("claim", "register", "no.pem", status=1).err


def test_what_was_done_is_in_the_audit_trail(call: Any, claim: dict[str, Any]) -> None:
    call("claim", "disable", claim["fingerprint"])
    target = f"arn:aws:iot:us-east-1:123456789012:cert/{claim['fingerprint']}"
    actions = {each["action"] for each in call("audit", "list", "--target", target, "--json").json}
    assert actions == {"IssueCertificate", "RegisterClaim", "DisableClaim"}


def test_a_bad_rate_is_a_mistake_in_usage(call: Any) -> None:
    assert "100/1m" in call("claim", "create", "--rate", "5", status=2).err


def test_the_policy_that_a_claim_gets_is_in_the_audit_trail(call: Any, claim: dict[str, Any]) -> None:
    def entries(action: str) -> list[tuple[str, dict[str, Any]]]:
        found = call("audit", "list", "--action", action, "--json").json
        return [(each["target"].split(":", 5)[5], each["details"]) for each in found]

    call("claim", "create", "--template", "lamps", "--key", "ec-p256", "--out", "second")
    second = next(each for each in call("claim", "list", "--json").json if each["fingerprint"] != claim["fingerprint"])
    (made,) = entries("CreatePolicy")
    assert made[0] == "policy/claim-lamps"
    ids = [claim["fingerprint"], second["fingerprint"]]
    assert entries("AttachPolicy") == [("policy/claim-lamps", {"target": f"{ARN}cert/{each}"}) for each in ids]


ARN = "arn:aws:iot:us-east-1:123456789012:"


def test_a_batch_gets_a_budget_of_its_own(call: Any, claim: dict[str, Any], tmp_path: Path) -> None:
    assert "has no budget of its own" in call("claim", "batch", "show", "box", status=1).err
    assert "Say what bounds it" in call("claim", "batch", "set", "box", status=2).err
    (tmp_path / "serials").write_text("s1\ns2\n")
    made = call("claim", "batch", "set", "box", "--count", "7", "--serials", "serials", "--json").json
    assert (made["batch"], made["maximum"], made["used"], made["serials_listed"]) == ("box", 7, 0, True)
    changed = call("claim", "batch", "set", "box", "--rate", "5/1m", "--not-after", "30d", "--json").json
    assert (changed["maximum"], changed["rate"], changed["not_before"]) == (7, "5/1m", None)
    shown = call("claim", "batch", "show", "box", "--json").json
    assert (shown["remaining"], [each["serial"] for each in shown["serials"]]) == (7, ["s1", "s2"])
    assert "s1 free" in call("claim", "batch", "show", "box").out
    assert [each["batch"] for each in call("claim", "batch", "list", "--json").json] == ["box"]
    other = call("claim", "create", "--key", "ec-p256", "--out", "second", "--batch", "box", "--json").json
    assert other["batch_budget"] == {"used": 0, "maximum": 7}
    assert call("claim", "show", claim["fingerprint"], "--json").json["batch_budget"] is None
    [entry, _] = call("audit", "list", "--action", "SetClaimBatch", "--json").json
    assert entry["target"].endswith(":claimbatch/box")


def test_a_batch_without_claims_can_be_switched_off(call: Any) -> None:
    call("claim", "batch", "set", "box", "--count", "7")
    assert "Switched 0 claims of batch box off." in call("claim", "disable", "--batch", "box").err
    assert call("claim", "batch", "show", "box", "--json").json["enabled"] is False
    assert "No claim has the batch" in call("claim", "disable", "--batch", "bag", status=1).err
