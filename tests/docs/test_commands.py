"""Every `fleetgate ...` in the pages is a command that exists, with options that it has."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
import typer
from tests.docs.pages import pages

from fleetgate.cli.main import app

_COMMAND = re.compile(r"(?<![\w./-])fleetgate( .*)")


def lines() -> list[tuple[str, str]]:
    """(page, what follows the program's name), each once."""
    found = []
    for page in pages():
        texts = [line for block in page.blocks if block.language in {"console", ""} for line in block.commands]
        texts += [span for span in page.spans if span.startswith("fleetgate ")]
        found += [(str(page), match[1].strip()) for text in texts for match in _COMMAND.finditer(text)]
    return sorted(set(found))


def problem(line: str) -> str | None:
    """What is wrong with the command *line*, which may be cut short and have placeholders."""
    command: Any = typer.main.get_command(app)
    context = command.make_context("fleetgate", [], resilient_parsing=True)
    words = shlex.split(re.split(r" [|>;]|\)", line)[0])
    while words:
        options = {option for each in command.params for option in (*each.opts, *each.secondary_opts)}
        word = words.pop(0)
        if word.startswith("-"):
            if word not in options | {"--help"}:
                return f"{command.name} has no option {word}"
        elif hasattr(command, "list_commands"):
            if word not in command.list_commands(context):
                return f"{command.name} has no command {word}"
            _, command, _ = command.resolve_command(context, [word])
            context = command.make_context(word, [], resilient_parsing=True, parent=context)
    return None


@pytest.mark.parametrize(("page", "line"), lines())
def test_command_lines_are_real(page: str, line: str) -> None:
    assert problem(line) is None


@pytest.mark.parametrize(
    "line",
    ["unfound", "claim unfound", "claim create --unfound 3", "serve --free-ports", "--unfound", "config --exmple"],
)
def test_what_is_not_real_is_found(line: str) -> None:
    assert problem(line) is not None


def test_there_are_command_lines() -> None:
    assert len(lines()) > 30
