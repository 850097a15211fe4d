from __future__ import annotations

from pathlib import Path
from typing import Any


def test_an_empty_folder_has_nothing(anywhere: Any, tmp_path: Path) -> None:
    shown = anywhere("agent", "show", "--folder", "device", "--json").json
    assert shown == {"provisioned": False, "folder": str(tmp_path / "device"), "in_progress": None}


def test_a_folder_that_others_can_read_is_refused(anywhere: Any, tmp_path: Path) -> None:
    (tmp_path / "device").mkdir(mode=0o755)
    assert "chmod 700" in anywhere("agent", "show", "--folder", "device", status=1).err


def test_there_is_nothing_to_rotate(anywhere: Any) -> None:
    answer = anywhere("agent", "rotate", "--host", "localhost", "--template", "lamps", status=1)
    assert "Provision the device first" in answer.err


def test_a_claim_is_needed(anywhere: Any) -> None:
    answer = anywhere("agent", "provision", "--host", "localhost", "--template", "lamps", status=2)
    assert "--claim-certificate" in answer.err
