"""The divergences page: each entry is whole, names what exists, and the table of rules is the rules."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass

import pytest
from tests.docs.pages import PACKAGE, page

from fleetgate.wire.mqtt.rules import AWS, NEVER, STANDARD, Rules

PAGE = page("docs/aws-divergences.md")
_ENTRY = re.compile(r"^### (.+)$", re.MULTILINE)
_BULLET = re.compile(r"^- \*\*(\w+)\*\*(?: \((\w+)\))?: (.*?)(?=^- \*\*|^$|\Z)", re.MULTILINE | re.DOTALL)
_PLACE = re.compile(r"`([\w/]+\.py)`(?: \(((?:`[^`]+`(?:, )?)+)\))?")
_SPAN = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class Entry:
    title: str
    bullets: list[tuple[str, str, str]]

    @property
    def places(self) -> str:
        return self.bullets[-1][2].replace("\n ", "")


def entries() -> dict[str, Entry]:
    parts = _ENTRY.split(PAGE.text)[1:]
    return {title: Entry(title, _BULLET.findall(body)) for title, body in zip(parts[::2], parts[1::2], strict=True)}


@pytest.mark.parametrize("title", entries())
def test_an_entry_is_whole(title: str) -> None:
    names = [name for name, _, _ in entries()[title].bullets]
    assert names == ["AWS", "fleetgate", "Why", "In"]
    assert entries()[title].bullets[0][1] in {"documented", "observed", "unknown"}


@pytest.mark.parametrize("title", entries())
def test_an_entry_names_what_exists(title: str) -> None:
    places = _PLACE.findall(entries()[title].places)
    assert places
    assert _PLACE.sub("", entries()[title].places).strip(", \n") == ""
    for file, names in places:
        source = (PACKAGE / file).read_text()
        for name in _SPAN.findall(names):
            assert name in source, f"{file} has no {name}"


def shown(value: int | None) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "no limit" if value is None else "never ends" if value == NEVER else f"{value:,}"


def test_the_table_of_rules_is_the_rules() -> None:
    rows = [row[:3] for row in PAGE.table("rules")]
    fields = [field.name for field in dataclasses.fields(Rules)]
    assert rows == [[f"`{name}`", shown(getattr(AWS, name)), shown(getattr(STANDARD, name))] for name in fields]
