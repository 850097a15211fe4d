"""Links lead somewhere, and files that pages name are there."""

from __future__ import annotations

import re

import pytest
from tests.docs.pages import PACKAGE, ROOT, Page, page, pages

ALL = {str(each): each for each in pages()}
# `gateway/mqtt.py`: a file of the package, unless it is one of the repository's
_FILE = re.compile(r"(?<![\w/.-])((?:[a-z_]+/)*[a-z_]+\.py)(?![\w/])")


def broken(page: Page) -> list[str]:
    found = []
    for link in page.links:
        target, _, anchor = link.partition("#")
        if "://" in target:
            continue
        file = (page.path.parent / target).resolve() if target else page.path
        missing = target and not (file.exists() and file.is_relative_to(ROOT))
        if missing or (anchor and anchor not in (Page(file) if target else page).anchors):
            found.append(link)
    return found


@pytest.mark.parametrize("name", ALL)
def test_links_lead_somewhere(name: str) -> None:
    assert broken(ALL[name]) == []


def test_broken_links_are_found() -> None:
    links = "[a](index.md) [b](nowhere.md) [c](index.md#documentation) [d](index.md#no) [e](https://example.com)"
    bad = Page(ROOT / "docs" / "no-such-page.md", f"# A heading\n{links} [f](/etc/passwd) [g](#a-heading)")
    assert set(broken(bad)) == {"nowhere.md", "index.md#no", "/etc/passwd"}


@pytest.mark.parametrize("name", [name for name in ALL if name.startswith("docs/")])
def test_source_files_exist(name: str) -> None:
    prose = [span for span in ALL[name].spans if " " not in span]
    drawn = [block.text for block in ALL[name].blocks if block.language == "text"]
    own = {block.file for block in ALL[name].blocks}
    for file in {file for text in (*prose, *drawn) for file in _FILE.findall(text)} - own:
        assert (PACKAGE / file).exists() or (ROOT / file).exists(), file


def test_the_index_has_every_page() -> None:
    linked = {(ROOT / "docs" / link).resolve() for link in page("docs/index.md").links}
    folder = ROOT / "docs" / "decisions"  # linked as a whole
    missing = {str(each) for each in pages() if each.path not in linked and folder not in each.path.parents}
    assert missing <= {"docs/index.md", "docs/benchmarks.md"}  # the latter is there once somebody has measured
