"""What the pages tell people to type works: every block is run, in order, against real servers, or says why not."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from tests.docs.pages import ROOT, Block, Page, pages
from tests.docs.session import Session, reading

from fleetgate import config
from fleetgate.policy.document import parse as parse_policy
from fleetgate.template.document import Kind
from fleetgate.template.document import parse as parse_template
from fleetgate.template.render import fixed_policies

LANGUAGES = {"": "text", "text": "text", "ini": "text", "console": "console", "python": "python"} | {
    "json": "data",
    "toml": "data",
}
BACKGROUND, PRINTED, FAILS = "in the background", "printed by the server", "exit status 1"
ALL = {str(page): page for page in pages()}
TYPED = [name for name, page in ALL.items() if any(block.language in {"console", "python"} for block in page.blocks)]
_TARGET = re.compile(r"^([a-z-]+):", re.MULTILINE)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", TYPED)
def test_what_is_typed_works(name: str, tmp_path: Path) -> None:
    with reading(tmp_path) as session:
        for block in ALL[name].blocks:
            if block.not_run is None:
                follow(session, block)


def follow(session: Session, block: Block) -> None:
    if block.file is not None:
        (session.folder / block.file).write_text(block.text)
    elif block.language == "python":
        (session.aside / "snippet.py").write_text(block.text)
        session.type(f"python {session.aside / 'snippet.py'}")
    elif block.language == "console" and block.marker == BACKGROUND:
        [command] = block.commands
        session.start(command)
    elif block.language == "console" and block.marker == PRINTED:
        session.paste(block)
    elif block.language == "console":
        said = session.type("\n".join(block.commands), status=int(block.marker == FAILS))
        for answer in block.answers:
            assert is_among(answer, said), f"{answer!r} is not in:\n{said}"


def is_among(answer: str, said: str) -> bool:
    pattern = ".*".join(re.escape(part) for part in answer.split("..."))
    return any(re.fullmatch(pattern, line.rstrip()) for line in said.splitlines())


@pytest.mark.parametrize("name", ALL)
def test_blocks_are_what_they_say(name: str, tmp_path: Path) -> None:
    for block in ALL[name].blocks:
        where = f"{name}:{block.line}"
        assert block.language in LANGUAGES, where
        assert block.marker in {"", BACKGROUND, PRINTED, FAILS} or block.file or block.not_run, where
        match block.language:
            case "json":
                check_json(block.text)
            case "toml":
                tomllib.loads(block.text)
                (tmp_path / "block.toml").write_text(block.text)
                config.load(tmp_path / "block.toml")
            case "python":
                compile(block.text, where, "exec")
            case "console":
                assert block.commands, where


def check_json(text: str) -> None:
    """Templates and policies are judged as such."""
    value = json.loads(text)
    if "Resources" in value:
        kind = Kind.REGISTRATION if "CertificateSigningRequest" in text else Kind.FLEET_PROVISIONING
        for _, policy in fixed_policies(parse_template(text, kind)):
            parse_policy(policy)
    if "Statement" in value:
        parse_policy(text)


@pytest.mark.parametrize("name", ALL)
def test_make_targets_exist(name: str) -> None:
    targets = set(_TARGET.findall((ROOT / "Makefile").read_text()))
    page: Page = ALL[name]
    code = [*page.spans, *(line.removeprefix("$ ") for block in page.blocks for line in block.text.splitlines())]
    for line in code:
        if line.startswith("make "):
            assert line.split()[1] in targets, f"{name}: {line}"
