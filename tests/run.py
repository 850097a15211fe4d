"""What `make test` runs: every check and every test, each step with its time, one summary, and the counts as last line.

Nothing stops at the first failure. FLEETGATE_NO_SKIP=1 makes a skipped test a failed one; FLEETGATE_TEST_WORKERS sets
how many processes run tests (2).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
FOLDERS = ["unit", "conformance", "journeys", "faults", "fuzz", "docs"]

CHECKS = {
    "ruff": ["ruff", "check", "."],
    "format": ["ruff", "format", "--check", "."],
    "types": ["mypy"],
    "imports": ["lint-imports", "--no-logo"],
}

# What a reason to skip speaks of, and the Debian package that brings it.
PACKAGES = {"postgres": "postgresql", "mosquitto": "mosquitto", "chromium": "chromium"}


@dataclass
class Step:
    name: str
    seconds: float
    failed: bool


@dataclass
class Counts:
    """The counts of one pytest run."""

    passed: int = 0
    failed: int = 0
    skipped: Counter[str] = field(default_factory=Counter)


def run(name: str, command: Sequence[str], *, quiet: bool = True) -> Step:
    """Run one step; a *quiet* one speaks only when it fails."""
    print(f"{name} ...", flush=True)
    started = time.monotonic()
    program = [str(BIN / command[0]), *command[1:]]
    done = subprocess.run(program, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=quiet, text=True, check=False)
    step = Step(name, time.monotonic() - started, done.returncode != 0)
    if quiet and step.failed:
        print(done.stdout + done.stderr, flush=True)
    return step


def pytest(report: Path) -> Step:
    """Every test there is, measured; the counts go to *report*."""
    for stale in ROOT.glob(".coverage*"):
        stale.unlink()
    folders = [f"tests/{name}" for name in FOLDERS if any((ROOT / "tests" / name).rglob("test_*.py"))]
    workers = os.environ.get("FLEETGATE_TEST_WORKERS", "2")
    measured = ["--cov", "--cov-report=", "--cov-fail-under=0"]
    # Hypothesis's own profile for CI: the same examples each time, and no deadline that a busy machine could miss.
    steady = ["--hypothesis-profile=ci", f"--junitxml={report}", "-q", "-n", workers]
    return run("tests", ["pytest", *folders, *measured, *steady], quiet=False)


def coverage() -> Step:
    """Enough lines and branches were run (`fail_under`) in the tests' own processes."""
    return run("coverage", ["coverage", "report"])


def read(report: Path) -> Counts:
    """The counts in a JUnit file; one failure where pytest could not write any."""
    try:
        cases = list(ET.parse(report).iter("testcase"))
    except (OSError, ET.ParseError):
        return Counts(failed=1)
    tests = Counts()
    for case in cases:
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            tests.failed += 1
        elif skipped is not None and skipped.get("type") != "pytest.xfail":
            tests.skipped[skipped.get("message", "no reason")] += 1
        else:
            tests.passed += 1
    return tests


def why_skipped(reason: str, count: int) -> str:
    """One line that names the package to install, where one is missing."""
    line = f"skipped {count}: {' '.join(reason.split())}"
    for word, package in PACKAGES.items():
        if word in reason.lower() and not re.search(rf"package `?{package}", reason):
            line += f" (the Debian package {package} brings it)"
    return line


def summary(steps: Sequence[Step], tests: Counts, *, no_skip: bool) -> tuple[list[str], bool]:
    """The closing lines, and whether all is well. A check counts like a test, so that the counts tell the whole."""
    lines = [f"{'FAILED' if step.failed else 'ok':6} {step.seconds:7.1f} s  {step.name}" for step in steps]
    lines += [why_skipped(reason, count) for reason, count in sorted(tests.skipped.items())]
    checks = [step for step in steps if step.name != "tests"]
    passed = tests.passed + sum(not step.failed for step in checks)
    failed = tests.failed + sum(step.failed for step in checks)
    if no_skip and tests.skipped:
        lines.append("FLEETGATE_NO_SKIP is set: what was skipped counts as failed")
        failed += tests.skipped.total()
    if not failed and any(step.failed for step in steps):  # pytest itself: no test failed, yet it was not content
        failed = 1
    return [*lines, f"{passed} passed, {failed} failed"], not failed


def main() -> int:
    steps = [run(name, command) for name, command in CHECKS.items()]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "tests.xml"
        steps += [pytest(report), coverage()]
        tests = read(report)
    lines, well = summary(steps, tests, no_skip=os.environ.get("FLEETGATE_NO_SKIP") == "1")
    print("", *lines, sep="\n", flush=True)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
