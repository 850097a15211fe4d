from __future__ import annotations

import json
import subprocess
import sys

import pytest

LOUD = """
import logging, structlog
from fleetgate.cli import logs
from fleetgate.config import LogConfig
logs.configure(LogConfig(level="info", format={format!r}))
log = structlog.get_logger("a")
log.debug("unheard")
log.info("heard", thing="lamp")
logging.getLogger("library").info("unheard")
logging.getLogger("library").warning("a %s said", "library")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("failed")
"""
QUIET = """
import structlog
from fleetgate.cli import logs
logs.quiet()
structlog.get_logger().info("unheard")
structlog.get_logger().warning("heard")
"""


def said(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert "unheard" not in done.stderr
    return done.stderr


def test_json_is_one_object_in_a_line() -> None:
    first, second, third = map(json.loads, said(LOUD.format(format="json")).splitlines())
    assert (first["event"], first["thing"], first["level"]) == ("heard", "lamp", "info")
    assert (second["event"], second["level"]) == ("a library said", "warning")
    assert "ZeroDivisionError" in third["exception"]
    assert third["timestamp"].endswith("Z")


def test_the_console_has_the_same_for_people() -> None:
    text = said(LOUD.format(format="console"))
    assert "heard" in text
    assert "thing=lamp" in text
    assert "a library said" in text
    assert "ZeroDivisionError" in text
    assert "\x1b" not in text, "no colours where there is no terminal"


@pytest.mark.parametrize("script", [QUIET])
def test_commands_that_answer_are_quiet(script: str) -> None:
    assert "heard" in said(script)
