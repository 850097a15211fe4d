"""A program to be killed: writes pairs from many tasks and prints each pair's number once it is acknowledged."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys

from fleetgate.database.open import open_database
from fleetgate.database.port import Tx


async def main(address: str) -> None:
    database = open_database(address)
    numbers = itertools.count()

    async def write_pairs() -> None:
        for number in numbers:

            def pair(tx: Tx, number: int = number) -> None:
                for half in (1, 2):
                    tx.run("INSERT INTO pairs (unit, half) VALUES (:unit, :half)", unit=number, half=half)

            await database.write(pair)
            os.write(1, b"%d\n" % number)

    await asyncio.gather(*(write_pairs() for _ in range(32)))


asyncio.run(main(sys.argv[1]))
