"""The program behind `make test`: what it counts, and that nothing that went wrong ends well."""

from __future__ import annotations

import runpy
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

PROGRAM = runpy.run_path(str(Path(__file__).parents[1] / "run.py"))
Step, Counts, read, summary, why_skipped = (
    PROGRAM[name] for name in ("Step", "Counts", "read", "summary", "why_skipped")
)

REPORT = """<testsuites><testsuite>
<testcase name="a"/>
<testcase name="b"><failure message="no"/></testcase>
<testcase name="c"><error message="no"/></testcase>
<testcase name="d"><skipped type="pytest.skip" message="no PostgreSQL"/></testcase>
<testcase name="e"><skipped type="pytest.skip" message="no PostgreSQL"/></testcase>
<testcase name="f"><skipped type="pytest.xfail" message="known"/></testcase>
</testsuite></testsuites>"""


def test_the_counts_of_a_run(tmp_path: Path) -> None:
    report = tmp_path / "tests.xml"
    report.write_text(REPORT)
    assert read(report) == Counts(passed=2, failed=2, skipped=Counter({"no PostgreSQL": 2}))


@pytest.mark.parametrize("text", [None, "", "<testsuites>"])
def test_no_report_is_a_failure(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "tests.xml").write_text(text)
    assert read(tmp_path / "tests.xml") == Counts(failed=1)


def closing(*failing: str, no_skip: bool = False, **counts: Any) -> tuple[str, bool]:
    steps = [Step(name, 1.0, name in failing) for name in ("ruff", "tests", "coverage")]
    lines, well = summary(steps, Counts(**counts), no_skip=no_skip)
    return lines[-1], well


def test_all_is_well() -> None:
    assert closing(passed=5) == ("7 passed, 0 failed", True)


@pytest.mark.parametrize("step", ["ruff", "coverage"])
def test_a_failed_check_is_a_failure(step: str) -> None:
    assert closing(step, passed=5) == ("6 passed, 1 failed", False)


def test_a_failed_test_is_a_failure() -> None:
    assert closing("tests", passed=4, failed=1) == ("6 passed, 1 failed", False)


def test_a_run_that_found_no_test_is_a_failure() -> None:
    assert closing("tests") == ("2 passed, 1 failed", False)


def test_skips_fail_only_where_none_are_allowed() -> None:
    skipped = Counter({"no PostgreSQL": 2, "no browser": 1})
    assert closing(passed=5, skipped=skipped) == ("7 passed, 0 failed", True)
    assert closing(passed=5, skipped=skipped, no_skip=True) == ("7 passed, 3 failed", False)


@pytest.mark.parametrize(
    ("reason", "line"),
    [
        ("Skipped: no PostgreSQL", "skipped 2: Skipped: no PostgreSQL (the Debian package postgresql brings it)"),
        ("needs\n mosquitto", "skipped 2: needs mosquitto (the Debian package mosquitto brings it)"),
        ("the Debian package `postgresql` brings it", "skipped 2: the Debian package `postgresql` brings it"),
        ("not on this system", "skipped 2: not on this system"),
    ],
)
def test_a_skip_names_what_to_install(reason: str, line: str) -> None:
    assert why_skipped(reason, 2) == line
