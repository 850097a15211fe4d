"""`make bench-bulk`: a bulk registration of many lines, each with a signing request of its own, killed in the middle.

The server is killed as by `kill -9` when half the lines are answered, and started again. Afterwards the reports are
read whole: every line must be answered once, and have made one thing and one certificate. Printed are the rate, and the
server's memory at each tenth of the way.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.devices import signing_request
from cryptography.hazmat.primitives.asymmetric import ec
from rich.console import Console
from rich.table import Table
from tests.process import ServerProcess
from tests.registrations import body
from tests.server import REALM

from fleetgate.database.open import open_database
from fleetgate.database.port import Database, Tx
from fleetgate.provisioning import bucket
from fleetgate.registry import tasks
from fleetgate.registry.tasks import Report, Task
from fleetgate.works import database_address, works

LINES: Final = 100_000
SECONDS: Final = 1_800.0
"""For all lines."""
_PARTS: Final = 10
_AT_ONCE: Final = 5_000


@dataclass(slots=True)
class Way:
    """What was seen on the way through the file."""

    seconds: float = 0.0
    """With work under way; not the restart."""
    memory: list[int] = field(default_factory=list)
    """Bytes, at each part of the way."""


def write_input(file: Path, count: int, show: Callable[[str], None]) -> None:
    with file.open("w") as out:
        for number in range(1, count + 1):
            request = signing_request(ec.generate_private_key(ec.SECP256R1()))
            out.write(json.dumps({"ThingName": f"lamp-{number:07}", "CSR": request}) + "\n")
            if number % 1000 == 0:
                show(f"{number:,} lines written")


async def begin(server: ServerProcess, count: int, show: Callable[[str], None]) -> Task:
    """Found the installation, and start a task that nobody works on yet."""
    async with works(server.config) as opened:
        folder = bucket.root(server.config)
        (folder / "factory").mkdir(parents=True)
        await asyncio.to_thread(write_input, folder / "factory" / "lamps.json", count, show)
        source = bucket.look(folder, "factory", "lamps.json")
        act = opened.runtime.act(REALM, "system")
        return await opened.runtime.write(lambda tx: tasks.start(tx, act, body(), source, "role"))


async def follow(
    server: ServerProcess,
    database: Database,
    task: Task,
    lines: int,
    until: int | None,
    way: Way,
    show: Callable[[str], None],
) -> None:
    """Watch until *until* of *lines* are answered; with None until the task has ended."""
    began = time.monotonic()
    async with asyncio.timeout(SECONDS):
        while (now := await database.read(lambda tx: tasks.get(tx, REALM, task.id))).ended_at is None:
            if until is not None and now.line >= until:
                break
            show(f"{now.line:,} lines answered, {server.rss() / 2**20:.0f} MiB")
            if now.line >= (len(way.memory) + 1) * lines // _PARTS:
                way.memory.append(server.rss())
            await asyncio.sleep(0.2)
    way.seconds += time.monotonic() - began


def answered(tx: Tx, task: Task, lines: int) -> Counter[int]:
    """How often each line is in the two reports."""
    found: Counter[int] = Counter()
    for report in Report:
        for first in range(0, lines, _AT_ONCE):
            last = first + _AT_ONCE
            found.update(line for line, _ in tasks.bodies(tx, REALM, task.id, report, first, last, _AT_ONCE))
    return found


def count(tx: Tx, table: str) -> int:
    return int(tx.rows(f"SELECT count(*) AS number FROM {table}")[0]["number"])


async def measure(lines: int, console: Console) -> dict[str, Any]:
    def show(text: str) -> None:
        if console.is_terminal:
            console.print(f"{text:<70}", end="\r")

    with tempfile.TemporaryDirectory(prefix="fleetgate-bench-") as folder:
        server = ServerProcess.prepare(Path(folder))
        task = await begin(server, lines, show)
        database = open_database(database_address(server.config))
        way = Way()
        try:
            await server.start()
            empty = server.rss()
            await follow(server, database, task, lines, lines // 2, way, show)
            await server.kill()
            await server.start()
            await follow(server, database, task, lines, None, way, show)
            done = await database.read(lambda tx: tasks.get(tx, REALM, task.id))
            found = await database.read(lambda tx: answered(tx, task, lines))
            made = {table: await database.read(lambda tx, table=table: count(tx, table)) for table in _MADE}  # type: ignore[misc] # bound now
        finally:
            await database.close()
            await server.close()
    once = sum(times == 1 for times in found.values())
    return {
        "lines": lines,
        "status": str(done.status),
        "successes": done.successes,
        "failures": done.failures,
        "answered_once": once,
        "answered_more_than_once": len(found) - once,
        "made": made,
        "seconds": way.seconds,
        "rate": lines / way.seconds,
        "memory_empty": empty,
        "memory": way.memory,
        "well": once == len(found) == lines and done.successes == lines and set(made.values()) == {lines},
    }


_MADE: Final = ("things", "certificates", "thing_principals", "policy_attachments")


def table(found: dict[str, Any]) -> Table:
    shown = Table(title=f"Bulk registration of {found['lines']:,} lines with signing requests, killed half-way")
    shown.add_column("")
    shown.add_column("", justify="right")
    shown.add_row("registered", f"{found['successes']:,}")
    shown.add_row("failed", f"{found['failures']:,}")
    shown.add_row("lines answered once", f"{found['answered_once']:,}")
    shown.add_row("lines answered more than once", f"{found['answered_more_than_once']:,}")
    for name, number in found["made"].items():
        shown.add_row(name.replace("_", " "), f"{number:,}")
    shown.add_row("seconds", f"{found['seconds']:.0f}")
    shown.add_row("lines a second", f"{found['rate']:.0f}")
    shown.add_row("MiB at the start", f"{found['memory_empty'] / 2**20:.0f}")
    for part, memory in enumerate(found["memory"], 1):
        shown.add_row(f"MiB at {part * 100 // _PARTS} %", f"{memory / 2**20:.0f}")
    return shown


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=LINES)
    parser.add_argument("--json", type=Path, help="a file for the numbers")
    options = parser.parse_args()
    console = Console()
    found = asyncio.run(measure(options.lines, console))
    console.print(table(found))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    return 0 if found["well"] else 1


if __name__ == "__main__":
    sys.exit(main())
