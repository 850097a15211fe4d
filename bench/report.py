"""What was measured, for people and for programs."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

import cryptography
from bench.load import Tally
from OpenSSL import SSL
from rich.console import Console
from rich.table import Table


@dataclass(slots=True)
class Measure:
    """One kind of operation on one server, round by round."""

    name: str
    database: str
    rates: list[float] = field(default_factory=list)
    """Operations a second."""
    cpu: list[float] = field(default_factory=list)
    """CPU seconds of the server's process for each operation."""
    database_cpu: list[float] = field(default_factory=list)
    floors: list[float] = field(default_factory=list)
    """CPU seconds that the cryptography alone costs, measured in the same round; none where there is no floor."""
    latencies: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def add(self, tally: Tally, cpu: float, database_cpu: float, floor: float | None) -> None:
        done = len(tally.latencies)
        self.errors += tally.errors
        if not done:
            return
        self.rates.append(done / tally.seconds)
        self.cpu.append(cpu / done)
        self.database_cpu.append(database_cpu / done)
        if floor is not None:
            self.floors.append(floor)
        self.latencies += tally.latencies

    @property
    def ratio(self) -> float | None:
        """The median of the rounds' own ratios: what disturbs a round disturbs its floor too."""
        if not self.floors:
            return None
        return median(cpu / floor for cpu, floor in zip(self.cpu, self.floors, strict=True))

    def percentile(self, share: float) -> float:
        """Seconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def summary(self) -> dict[str, Any]:
        """Medians over the rounds; times in milliseconds."""
        found: dict[str, Any] = {"name": self.name, "database": self.database, "operations": len(self.latencies)}
        found |= {"errors": len(self.errors), "first_errors": self.errors[:3]}
        if self.latencies:
            found |= {
                "per_second": round(median(self.rates), 1),
                "p50_ms": round(self.percentile(0.50) * 1000, 2),
                "p99_ms": round(self.percentile(0.99) * 1000, 2),
                "server_cpu_ms": round(median(self.cpu) * 1000, 4),
                "postgres_cpu_ms": round(median(self.database_cpu) * 1000, 4),
                "floor_ms": round(median(self.floors) * 1000, 4) if self.floors else None,
                "ratio": round(self.ratio, 2) if self.ratio is not None else None,
            }
        return found | {"rounds": {key: value for key, value in asdict(self).items() if isinstance(value, list)}}


def machine() -> dict[str, Any]:
    """What the numbers depend on, and nothing that tells whose machine it is."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "architecture": platform.machine(),
        "kernel": platform.release().split("-")[0],
        "python": platform.python_version(),
        "openssl": SSL.OpenSSL_version(SSL.OPENSSL_VERSION).decode(),
        "cryptography": cryptography.__version__,
        "load_average": [round(each, 2) for each in os.getloadavg()],
    }


def table(console: Console, measures: Sequence[Measure]) -> None:
    shown = Table(title="medians over the rounds; CPU of the server's process for each operation")
    shown.add_column("operation")
    shown.add_column("database")
    for heading in ("/s", "p50 ms", "p99 ms", "CPU ms", "floor ms", "ratio", "PostgreSQL CPU ms", "errors"):
        shown.add_column(heading, justify="right")
    for measure in measures:
        found = measure.summary()
        postgres = found.get("postgres_cpu_ms")
        shown.add_row(
            measure.name,
            measure.database,
            *(_shown(found.get(key)) for key in ("per_second", "p50_ms", "p99_ms", "server_cpu_ms")),
            _shown(found.get("floor_ms")),
            _shown(found.get("ratio")),
            _shown(postgres or None),
            str(found["errors"]) if found["errors"] else "-",
        )
    console.print(shown)
    for measure in measures:
        for error in measure.errors[:2]:
            console.print(f"  {measure.name} on {measure.database}: {error[:300]}", style="red", markup=False)


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.2f}"
