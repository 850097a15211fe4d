"""The table of MQTT rules names tests that there are."""

from __future__ import annotations

import re

import pytest
from tests.docs.pages import ROOT, Page

_TEST = re.compile(r"`tests/([\w/]+\.py)::(test_\w+)`")
RULES = [row for row in Page(ROOT / "docs" / "device-door.md").table("held") if not row[0].startswith("**")]


@pytest.mark.parametrize("row", RULES, ids=lambda row: row[0][:40])
def test_a_rule_is_held_by_tests_that_there_are(row: list[str]) -> None:
    rule, aws, standard, tests = row
    named = _TEST.findall(tests)
    assert named, f"nothing holds: {rule}"
    assert aws
    assert standard
    for file, name in named:
        source = (ROOT / "tests" / file).read_text()
        assert re.search(rf"^(async )?def {name}\(", source, re.MULTILINE), f"{file} has no {name}"


def test_the_table_is_whole() -> None:
    assert len(RULES) > 50
