from __future__ import annotations

from pathlib import Path
from typing import Any

from fleetgate.config import Config, load


def test_the_example_says_what_the_defaults_say(anywhere: Any, tmp_path: Path) -> None:
    (tmp_path / "example.toml").write_text(anywhere("config", "--example").out)
    assert load(tmp_path / "example.toml") == Config()
    assert "example.toml can be used." in anywhere("config", "check", "example.toml").err


def test_every_problem_of_a_file(anywhere: Any, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("[gateway]\nmqt_port = 1\n[log]\nlevel = 'loud'\n")
    told = anywhere("config", "check", "bad.toml", status=1).err.splitlines()
    assert len(told) == 2
    answer = anywhere("config", "check", "bad.toml", "--json", status=1).json
    assert answer == {"valid": False, "problems": [line.removeprefix("- ") for line in told]}
    assert "did you mean mqtt_port" in anywhere("thing", "list", "--config", "bad.toml", status=1).err


def test_the_reference_page_is_printed(anywhere: Any) -> None:
    assert "## `[s3]`" in anywhere("config", "--reference").out


def test_nothing_asked_is_help(anywhere: Any) -> None:
    assert "--example" in anywhere("config").out


def test_a_file_names_the_installation(call: Any, tmp_path: Path) -> None:
    (tmp_path / "here.toml").write_text(f"[server]\ndata_dir = '{tmp_path / 'fleetgate-data'}'\n")
    assert len(call("key", "list", "--config", "here.toml", "--json", FLEETGATE_DATA_DIR="").json) == 1
    call("key", "list", "--config", "here.toml", "--data-dir", "elsewhere", status=1)
