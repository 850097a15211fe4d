"""A program whose files may not grow for a while: `RLIMIT_FSIZE` makes every write call past the limit fail."""

from __future__ import annotations

import asyncio
import resource
import sys
from collections.abc import Callable

from fleetgate.database.open import open_database
from fleetgate.database.port import Tx
from fleetgate.errors import Unavailable


def pair(unit: int) -> Callable[[Tx], None]:
    def work(tx: Tx) -> None:
        for half in (1, 2):
            tx.run("INSERT INTO pairs VALUES (:unit, :half, :text)", unit=unit, half=half, text="x" * 3000)

    return work


async def main(path: str) -> None:
    database = open_database(path)
    await database.alter(lambda tx: tx.run("CREATE TABLE pairs (unit BIGINT, half BIGINT, text TEXT)"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
    refused, kept = 0, []
    for unit in range(100):
        try:
            await database.write(pair(unit))
            kept.append(unit)
        except Unavailable:
            refused += 1
    assert refused > 0
    assert kept
    sys.stdout.write("refused\n")
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await asyncio.gather(*(database.write(pair(unit)) for unit in range(1000, 1100)))
    rows = await database.read(lambda tx: tx.rows("SELECT DISTINCT unit FROM pairs ORDER BY unit"))
    assert [row["unit"] for row in rows] == [*kept, *range(1000, 1100)]
    sys.stdout.write("went on\n")
    await database.close()


asyncio.run(main(sys.argv[1]))
