from __future__ import annotations

from pathlib import Path

import pytest

from fleetgate.api.coverage import _OUT_OF_SCOPE, _WHY_NOT, out_of_scope, page
from fleetgate.api.data_plane import ANSWERS
from fleetgate.api.services import SERVICES

FILE = Path(__file__).parents[3] / "docs" / "coverage.md"


def test_the_page_is_current() -> None:
    assert FILE.read_text() == page(), "run: python -m fleetgate.api.coverage > docs/coverage.md"


def test_every_served_operation_is_on_it() -> None:
    assert page().count("| done |") == sum(len(each.operations) for each in SERVICES.values()) + len(ANSWERS)
    assert "| DescribeThing | done |" in page()
    assert "| CreateJob | answers 501 (jobs) |" in page()


def test_nothing_that_is_served_is_out_of_scope() -> None:
    assert [name for name in SERVICES["iot"].operations if out_of_scope(name)] == []


@pytest.mark.parametrize(("group", "pattern"), _OUT_OF_SCOPE)
def test_every_group_is_of_operations_that_there_are(group: str, pattern: str) -> None:
    assert group in _WHY_NOT
    assert any(out_of_scope(name) == group for name in SERVICES["iot"].model.operations)
