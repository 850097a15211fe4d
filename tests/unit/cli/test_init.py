from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any


def test_a_new_installation_is_whole_and_its_key_is_shown_once(anywhere: Any, tmp_path: Path) -> None:
    made = anywhere("init", "--data-dir", "home", "--region", "eu-west-1", "--json").json
    folder = tmp_path / "home"
    assert made["founded"] is True
    assert made["data_dir"] == str(folder)
    assert made["root_certificate"] == str(folder / "ca" / "root.pem")
    assert (made["account"], made["region"]) == ("123456789012", "eu-west-1")
    assert made["access_key_id"].startswith("AKIA")
    assert len(made["secret_access_key"]) == 40
    assert "BEGIN CERTIFICATE" in Path(made["root_certificate"]).read_text()
    with sqlite3.connect(made["database"]) as database:
        stored = database.execute("SELECT id, sealed_secret FROM access_keys").fetchall()
    database.close()
    assert [row[0] for row in stored] == [made["access_key_id"]]
    assert made["secret_access_key"] not in stored[0][1]


def test_again_changes_nothing_and_says_so(anywhere: Any, tmp_path: Path) -> None:
    first = anywhere("init")
    assert f"Founded an installation in {tmp_path / 'fleetgate-data'}." in first.err
    assert "secret access key" in first.out
    root = (tmp_path / "fleetgate-data" / "ca" / "root.pem").read_text()
    second = anywhere("init")
    assert "already; nothing was changed" in second.err
    assert "secret" not in second.out
    assert (tmp_path / "fleetgate-data" / "ca" / "root.pem").read_text() == root
    assert len(anywhere("key", "list", "--json").json) == 1


def test_an_account_and_a_region_that_cannot_be(anywhere: Any) -> None:
    assert "An account is 12 digits, not '12'." in anywhere("init", "--account", "12", status=1).err
    assert "A region looks like us-east-1, not 'here'." in anywhere("init", "--region", "here", status=1).err


def test_a_data_directory_that_cannot_be(anywhere: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be used" in anywhere("init", "--data-dir", "file", status=1).err
