from __future__ import annotations

from pathlib import Path

from fleetgate.api.coverage import page
from fleetgate.api.table import OPERATIONS

FILE = Path(__file__).parents[3] / "docs" / "coverage.md"


def test_the_page_is_current() -> None:
    assert FILE.read_text() == page(), "run: python -m fleetgate.api.coverage > docs/coverage.md"


def test_every_served_operation_is_on_it() -> None:
    assert page().count("| done |") == len(OPERATIONS)
    assert "| DescribeThing | done |" in page()
    assert "| CreateJob | answers 501 |" in page()
