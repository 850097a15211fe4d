"""The documentation as data: fenced blocks with their markers, code spans, links, headings, tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = ROOT / "src" / "fleetgate"

_FENCE: Final = re.compile(
    r"(?:^<!-- (?P<marker>[^\n]*) -->\n+)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_COMMENT: Final = re.compile(r"<!--.*?-->", re.DOTALL)
_SPAN: Final = re.compile(r"`([^`\n]+)`")
_LINK: Final = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
_HEADING: Final = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block. *marker* is the comment right before it: what its test is to do with it."""

    language: str
    text: str
    marker: str
    line: int

    @property
    def not_run(self) -> str | None:
        """Why it is only shown."""
        return self.marker.removeprefix("not run: ") if self.marker.startswith("not run: ") else None

    @property
    def file(self) -> str | None:
        """The file that it is the content of."""
        return self.marker.removeprefix("file: ") if self.marker.startswith("file: ") else None

    @property
    def commands(self) -> list[str]:
        """What a reader of a console block types."""
        return [line.removeprefix("$ ") for line in self.text.splitlines() if line.startswith("$ ")]

    @property
    def answers(self) -> list[str]:
        """Lines that the commands of a console block are said to answer; `...` stands for anything."""
        return [line for line in self.text.splitlines() if not line.startswith("$ ")]


@dataclass(frozen=True)
class Page:
    """*given* stands for what is in the file."""

    path: Path
    given: str | None = None

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))

    @cached_property
    def text(self) -> str:
        return self.path.read_text() if self.given is None else self.given

    @property
    def blocks(self) -> list[Block]:
        return [
            Block(
                found["language"],
                found["text"],
                found["marker"] or "",
                self.text.count("\n", 0, found.start("language")) + 1,
            )
            for found in _FENCE.finditer(self.text)
        ]

    @property
    def prose(self) -> str:
        """Everything but fenced blocks and comments."""
        return _COMMENT.sub("", _FENCE.sub("", self.text))

    @property
    def spans(self) -> list[str]:
        """Code within the prose."""
        return _SPAN.findall(self.prose)

    @property
    def links(self) -> list[str]:
        return _LINK.findall(_SPAN.sub("", self.prose)) + _LINK.findall(self.prose)

    @property
    def anchors(self) -> set[str]:
        """As GitHub makes them of headings."""
        plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in _HEADING.findall(self.prose))
        return {heading.replace(" ", "-") for heading in plain}

    def table(self, name: str) -> list[list[str]]:
        """The rows, without the heading, of the table under the comment `table: NAME`."""
        after = self.text.partition(f"<!-- table: {name} -->\n")[2]
        assert after, f"{self} has no table {name!r}"
        lines: Iterator[str] = iter(after.lstrip("\n").splitlines())
        rows = []
        for line in lines:
            if not line.startswith("|"):
                break
            rows.append([cell.strip() for cell in line.strip("|").split("|")])
        return rows[2:]


def pages() -> list[Page]:
    """Every page that people read."""
    return [Page(path) for path in (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")))]


def page(name: str) -> Page:
    return Page(ROOT / name)
