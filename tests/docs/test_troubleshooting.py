"""What devices are said to see is what the server says."""

from __future__ import annotations

import ast
import re

import pytest
from tests.docs.pages import PACKAGE, page

PAGES = [page(f"docs/{name}.md") for name in ("provisioning-by-claim", "just-in-time", "custom-authentication")]
_SPAN = re.compile(r"`([^`]+)`")


def texts() -> list[str]:
    """Every text in the source; what an f-string fills in is left out of it."""
    found = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
            elif isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "\0" for part in node.values]
                found.append("".join(map(str, parts)))
    return found


TEXTS = texts()
SEEN = [
    span for each in PAGES for row in each.table("troubleshooting") for span in _SPAN.findall(row[0]) if " " in span
]


@pytest.mark.parametrize("text", SEEN)
def test_the_server_says_so(text: str) -> None:
    assert any(text in each for each in TEXTS)


def test_there_are_texts_to_look_for() -> None:
    assert len(SEEN) > 10
    assert not any("no such text anywhere" in each for each in TEXTS)
