"""Commands, run in process on an installation of the test's own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner

from fleetgate.cli.main import app


@dataclass(frozen=True)
class Answer:
    """What a command said."""

    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as one JSON document."""
        return json.loads(self.out)


Call = Callable[..., Answer]


@pytest.fixture
def anywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Call]:
    """Run a command in an empty folder, where there is no installation: `anywhere("thing", "list", status=1)`."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, status: int = 0, columns: int = 160, **environment: str) -> Answer:
        result = CliRunner().invoke(app, arguments, env={"COLUMNS": str(columns), **environment})
        assert result.exit_code == status, result.output
        assert "Traceback" not in result.output
        return Answer(result.stdout, result.stderr)

    yield run
    structlog.reset_defaults()


@pytest.fixture
def call(anywhere: Call) -> Call:
    """The same with an installation in the folder, as commands look for it by default."""
    anywhere("init")
    return anywhere


@pytest.fixture
def body(tmp_path: Path) -> Path:
    """A template's body in a file."""
    resources = {
        "thing": {
            "Type": "AWS::IoT::Thing",
            "Properties": {"ThingName": {"Fn::Join": ["", ["lamp-", {"Ref": "SerialNumber"}]]}},
        },
        "certificate": {
            "Type": "AWS::IoT::Certificate",
            "Properties": {"CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}},
        },
    }
    file = tmp_path / "lamps.json"
    file.write_text(json.dumps({"Parameters": {"SerialNumber": {"Type": "String"}}, "Resources": resources}))
    return file


@pytest.fixture
def claim(call: Call, body: Path) -> dict[str, Any]:
    """A claim for ten devices of template `lamps`, as `claim create --json` tells it."""
    call("template", "create", "lamps", str(body))
    made: dict[str, Any] = call(
        "claim", "create", "--template", "lamps", "--count", "10", "--key", "ec-p256", "--json"
    ).json
    return made
