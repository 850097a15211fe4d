from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.fleet import opened
from tests.unit.gateway.callers import Hall


@pytest.fixture
async def hall(tmp_path: Path) -> AsyncIterator[Hall]:
    async with opened(tmp_path) as house:
        found = Hall(house)
        yield found
        for caller in found.callers:
            if not caller.wire.over:
                caller.leave()
