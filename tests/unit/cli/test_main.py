from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from fleetgate import __version__
from fleetgate.cli import main
from fleetgate.errors import Unavailable


def test_help_names_every_command_and_what_it_does(anywhere: Any) -> None:
    text = anywhere("--help", columns=120).out
    for name, (panel, what) in main.COMMANDS.items():
        assert f" {name} " in text
        assert panel in text
        assert what in text


def test_no_arguments_is_help(anywhere: Any) -> None:
    assert "Usage: fleetgate" in anywhere(status=2).out


@pytest.mark.parametrize("name", sorted(main.COMMANDS))
def test_every_command_has_a_module_and_help(anywhere: Any, name: str) -> None:
    module = importlib.import_module(f"fleetgate.cli.{name}")
    assert isinstance(module.app, typer.Typer)
    assert f"Usage: fleetgate {name}" in anywhere(name, "--help").out


@pytest.mark.parametrize("name", sorted(main.COMMANDS))
def test_every_command_below_a_command_says_what_it_does(name: str) -> None:
    for each in importlib.import_module(f"fleetgate.cli.{name}").app.registered_commands:
        assert each.callback.__doc__, each.callback


def test_version(anywhere: Any) -> None:
    assert anywhere("--version").out == f"fleetgate {__version__}\n"


def test_help_and_completion_import_nothing_that_takes_time() -> None:
    script = (
        "import sys; from fleetgate.cli.main import app; app(['--help'], standalone_mode=False); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = done.stdout.splitlines()[-1].split()
    assert "fleetgate.cli.main" in loaded
    assert not {"asyncio", "cryptography", "structlog", "fleetgate.app", "fleetgate.cli.thing"} & set(loaded)


def test_an_unknown_command_is_a_mistake_in_usage(anywhere: Any) -> None:
    assert "Did you mean 'template'" in anywhere("templat", status=2).err


def test_an_error_is_one_message_and_status_1(anywhere: Any) -> None:
    assert anywhere("thing", "list", status=1).err == (
        "Error: There is no installation in fleetgate-data. Name another directory with --data-dir, or found one with: "
        "fleetgate init\n"
    )


def test_debug_shows_where_an_error_came_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main.app, ["thing", "list"], env={"FLEETGATE_DEBUG": "1"})
    assert isinstance(result.exception, Unavailable)


def test_what_nobody_foresaw_is_called_a_bug() -> None:
    explained = main._explained(KeyError("thing"))
    assert explained.startswith("This is a bug in fleetgate (KeyError: 'thing').")
    assert main._explained(FileNotFoundError(2, "No such file", "a.txt")) == "[Errno 2] No such file: 'a.txt'"


def test_python_runs_the_package_as_well() -> None:
    done = subprocess.run([sys.executable, "-m", "fleetgate", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"fleetgate {__version__}\n"
