from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer

from fleetgate.cli import dev

READY = {
    "api_url": "http://127.0.0.1:8080",
    "mqtt_host": "localhost",
    "mqtt_port": 8883,
    "https_port": 8443,
    "ca_file": "/d/ca/root.pem",
    "region": "us-east-1",
    "access_key_id": "AKIA",
    "secret_access_key": "s",
    "claim": {"certificate_file": "/d/claim.pem", "private_key_file": "/d/claim.key", "template_name": "dev-fleet"},
    "data_dir": "/d",
}


def test_functions(tmp_path: Path) -> None:
    file = tmp_path / "hook.py"
    file.write_text("")
    assert dev.functions([f"a={file}", f"b={file}:decide"]) == {
        "a": (str(file), "lambda_handler"),
        "b": (str(file), "decide"),
    }


@pytest.mark.parametrize("given", ["a", "a=", "a=/nowhere.py", "=/nowhere.py"])
def test_functions_that_cannot_be(given: str) -> None:
    with pytest.raises(typer.BadParameter):
        dev.functions([given])


def test_the_environment_is_what_the_aws_cli_reads() -> None:
    assert dev.environment(READY) == [
        "export AWS_ENDPOINT_URL_IOT=http://127.0.0.1:8080",
        "export AWS_ACCESS_KEY_ID=AKIA",
        "export AWS_SECRET_ACCESS_KEY=s",
        "export AWS_DEFAULT_REGION=us-east-1",
    ]


@pytest.mark.parametrize("columns", ["40", "80", "140"])
def test_what_can_be_copied_is_never_broken_into_lines(
    columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    dev.describe(READY)
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert set(dev.environment(READY)) <= set(lines)
    assert "fleetgate thing list --data-dir /d" in lines


def test_mistakes_are_told_before_anything_is_started(anywhere: Any) -> None:
    assert "no file" in anywhere("dev", "--function", "a=nowhere.py", status=2).err
    assert "No such file" in anywhere("dev", "--config", "nowhere.toml", status=1).err
