"""What reaches the database in test_server.py, less of it, on PostgreSQL: it refuses texts that SQLite takes, gives a
transaction up at its first error, and runs transactions again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from random import Random

import pytest
import pytest_asyncio
from tests.fuzz import test_server as whole
from tests.fuzz.house import House
from tests.postgres import Server

SEED = 20_260_306
PAYLOADS, CONVERSATIONS, SIGNED = 1_000, 300, 1_500

pytestmark = [pytest.mark.postgres, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory, postgres_server: Server) -> AsyncIterator[House]:
    with postgres_server.database() as url:
        opened = await House.open(tmp_path_factory.mktemp("house"), url)
        yield opened
        await opened.process.close()


@pytest.fixture
def random(monkeypatch: pytest.MonkeyPatch) -> Random:
    for name, number in (("PAYLOADS", PAYLOADS), ("CONVERSATIONS", CONVERSATIONS), ("SIGNED", SIGNED)):
        monkeypatch.setattr(whole, name, number)
    return Random(SEED)


async def test_a_leak_would_be_found(house: House) -> None:
    await whole.test_a_leak_would_be_found(house)


async def test_payloads_that_are_no_requests(house: House, random: Random) -> None:
    await whole.test_payloads_that_are_no_requests(house, random)


async def test_conversations_that_go_wrong(house: House, random: Random) -> None:
    await whole.test_conversations_that_go_wrong(house, random)


async def test_calls_that_are_signed_and_strange(house: House, random: Random) -> None:
    await whole.test_calls_that_are_signed_and_strange(house, random)
