"""`make bench`: how many a second, how long each takes, and what each costs the server beside the physical floor.

Server, load and yardstick are processes of their own on loopback. Rounds of floor and load take turns, and every figure
is the median of the rounds, so that a machine that is busy with other things disturbs both alike.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, Final

import pytest
from bench import operators, report
from bench.devices import Connects, Endpoint, Provisions
from bench.floor import SECONDS, Company, Floor
from bench.load import PROCESSES, Crowd, Scenario
from bench.report import Measure
from bench.server import DEV, Target, process_cpu, serving
from rich.console import Console
from tests.postgres import private_server

DATABASES: Final = ("sqlite", "postgresql")
# Acknowledged means on the disk; the tests' server does without.
_DURABLE: Final = "fsync = on"
# What is done after the answers (events, the audit trail's seal, twice a second) belongs to what they cost.
_AFTERMATH_SECONDS: Final = 0.6


@dataclass(frozen=True, slots=True)
class Kind:
    """One line of the table."""

    name: str
    make: Callable[[Endpoint, operators.Api], Scenario]
    floor: Callable[[Floor], float] | None
    count: int
    """Operations in each round."""
    in_flight: int = 32
    bare: bool = False
    """Against the yardstick instead of the server."""


def _provisioning(floor: Floor) -> float:
    """Two handshakes, the claim's and the new certificate's, and one certificate."""
    return 2 * floor.handshake() + floor.certificate()


KINDS: Final = (
    Kind("provision", lambda endpoint, api: Provisions(endpoint), _provisioning, 240),
    Kind("connect", lambda endpoint, api: Connects(endpoint), lambda floor: floor.handshake(), 600),
    Kind("bare connect", lambda endpoint, api: Connects(endpoint), lambda floor: floor.handshake(), 600, bare=True),
    Kind(
        "CreateCertificateFromCsr",
        lambda endpoint, api: operators.CreateCertificateFromCsr(api),
        lambda floor: floor.certificate(),
        400,
    ),
    Kind("CreateThing", lambda endpoint, api: operators.CreateThing(api), None, 400),
    Kind("DescribeThing", lambda endpoint, api: operators.DescribeThing(api), None, 600),
)


@dataclass(frozen=True, slots=True)
class Bench:
    kinds: Sequence[Kind]
    rounds: int
    until: float
    """Monotonic seconds: nothing begins afterwards, when everything was measured once."""
    console: Console

    def run(self, database: str, target: Target) -> list[Measure]:
        ready = target.ready
        claim = ready["claim"]
        endpoint = Endpoint(
            ready["mqtt_port"], claim["certificate_file"], claim["private_key_file"], claim["template_name"]
        )
        api = operators.Api(ready["api_url"], ready["access_key_id"], ready["secret_access_key"], ready["region"])
        floor, company = Floor.of(ready, endpoint), Company(ready, endpoint, 2 * SECONDS)
        measures = [Measure(kind.name, database) for kind in self.kinds]
        crowd = Crowd()
        try:
            with _yardstick(ready) as (port, pid):
                least = partial(_least, crowd, floor=floor, company=company)
                bare = replace(endpoint, port=port)
                rounds = range(-1, self.rounds)  # the first one only warms up
                for number, (kind, measure) in product(rounds, zip(self.kinds, measures, strict=True)):
                    if number > 0 and time.monotonic() > self.until:
                        self.console.print(f"{database}: time is up in round {number + 1} of {self.rounds}{' ' * 40}")
                        break
                    self.console.print(
                        f"{database}: round {number + 1} of {self.rounds}, {kind.name}{' ' * 20}", end="\r"
                    )
                    scenario = kind.make(bare if kind.bare else endpoint, api)
                    cpu = (lambda: process_cpu(pid)) if kind.bare else target.cpu
                    _round(crowd, kind, scenario, (cpu, target.database_cpu), least, number, measure)
        finally:
            crowd.close()
        return measures


def _round(
    crowd: Crowd,
    kind: Kind,
    scenario: Scenario,
    cpu: tuple[Callable[[], float], Callable[[], float]],
    floor: Callable[[Kind], float | None],
    number: int,
    measure: Measure,
) -> None:
    least = floor(kind) if number >= 0 else None
    crowd.prepare(
        scenario,
        kind.count if number >= 0 else kind.count // 4,
        kind.in_flight,
        f"{kind.name.replace(' ', '')}-{number + 1}",
    )
    before = [each() for each in cpu]
    crowd.start()
    tally = crowd.finish()
    time.sleep(_AFTERMATH_SECONDS)
    spent = [each() - earlier for each, earlier in zip(cpu, before, strict=True)]
    if number >= 0:
        measure.add(tally, spent[0], spent[1], least)


def _least(crowd: Crowd, kind: Kind, floor: Floor, company: Company) -> float | None:
    """The floor of one operation, on a machine that is as busy as under load."""
    if kind.floor is None:
        return None
    crowd.prepare(company, PROCESSES, PROCESSES, "")
    crowd.start()
    least = kind.floor(floor)
    crowd.finish()
    return least


@contextmanager
def _yardstick(ready: dict[str, Any]) -> Iterator[tuple[int, int]]:
    folder = Path(ready["data_dir"]) / "tls"
    command = [sys.executable, "-m", "bench.yardstick", str(folder / "server.pem"), str(folder / "server.key")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline()), process.pid
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@contextmanager
def _target(command: Sequence[str], database: str) -> Iterator[Target]:
    """Raises `pytest.skip.Exception` where PostgreSQL is not installed."""
    if database == "sqlite":
        with serving(command) as target:
            yield target
        return
    with private_server(_DURABLE) as postgres, postgres.database() as url:
        assert postgres.folder is not None
        pid = int((postgres.folder / "data" / "postmaster.pid").read_text().split()[0])
        with serving(command, url, pid) as target:
            yield target


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute: fewer rounds, on SQLite only")
    parser.add_argument("--only", metavar="NAME", action="append", help=f"one of: {', '.join(k.name for k in KINDS)}")
    parser.add_argument("--database", choices=DATABASES, action="append", help="on this one only")
    parser.add_argument("--rounds", type=int, help="of each operation on each database (default 5; quick 3)")
    parser.add_argument("--server", type=shlex.split, default=DEV, help="another command for the server, to compare")
    parser.add_argument("--json", metavar="FILE", type=Path, default=Path("bench-results.json"))
    found = parser.parse_args()
    if unknown := sorted({*(found.only or ())} - {kind.name for kind in KINDS}):
        parser.error(f"there is no {', '.join(unknown)}; there is {', '.join(kind.name for kind in KINDS)}")
    return found


def main() -> int:
    wanted = _arguments()
    console = Console()
    kinds = [kind for kind in KINDS if not wanted.only or kind.name in wanted.only]
    databases = wanted.database or (DATABASES[:1] if wanted.quick else DATABASES)
    rounds = wanted.rounds or (3 if wanted.quick else 5)
    seconds = (45 if wanted.quick else 200) / len(databases)
    console.print(", ".join(f"{key} {value}" for key, value in report.machine().items()), highlight=False)
    measures: list[Measure] = []
    for database in databases:
        bench = Bench(kinds, rounds, time.monotonic() + seconds, console)
        try:
            with _target(wanted.server, database) as target:
                measures += bench.run(database, target)
        except pytest.skip.Exception as skipped:
            console.print(f"postgresql skipped: {skipped}")
    report.table(console, measures)
    results = {"machine": report.machine(), "measures": [measure.summary() for measure in measures]}
    wanted.json.write_text(json.dumps(results, indent=2) + "\n")
    console.print(f"written to {wanted.json}")
    return 1 if any(measure.errors for measure in measures) else 0


if __name__ == "__main__":
    sys.exit(main())
