"""Devices being provisioned, as people watch it: a progress bar, then a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from fleetgate.agent.fleet import Device, Simulation
from fleetgate.cli import show

STEPS: Final = ("connect", "certificate", "provision", "reconnect")
_COLUMNS: Final = {
    "thing": "thing",
    "certificate": "certificate id",
    "connect": "connect",
    "certified": "certify",
    "provision": "provision",
    "reconnect": "reconnect",
    "total": "total",
}
_NARROW: Final = {
    "thing": "thing",
    "certificate": "certificate",
    "connect": "conn",
    "certified": "cert",
    "provision": "prov",
    "reconnect": "back",
    "total": "all",
}


async def watched(
    simulation: Simulation, count: int, console: Console, each: Callable[[Device], None] = lambda _: None
) -> list[Device]:
    """Every device of *simulation*, by serial number, with a progress bar on *console* where that is a terminal."""
    devices: list[Device] = []
    with _progress(console) as progress:
        bar = progress.add_task("devices provisioned", total=count)
        async for device in simulation:
            devices.append(device)
            each(device)
            progress.advance(bar)
    return sorted(devices, key=lambda device: device.serial)


def _progress(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def record(device: Device) -> dict[str, Any]:
    """A device as JSON has it; times in seconds."""
    seconds = {step: _rounded(getattr(device.seconds, step)) for step in STEPS}
    return {
        "serial": device.serial,
        "thing_name": device.thing_name,
        "certificate_id": device.certificate_id,
        "seconds": seconds | {"total": _rounded(device.total)},
        "attempts": device.attempts,
        "error": device.error.message if device.error else None,
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)


def print_table(console: Console, devices: Iterable[Device]) -> None:
    """One row for each provisioned device; times in milliseconds."""
    rows = [_row(device) for device in devices if device.error is None]
    console.print(show.laid_out(console.width, rows, _COLUMNS, _NARROW, caption="Times in milliseconds."))


def _row(device: Device) -> dict[str, Any]:
    return {
        "thing": device.thing_name,
        "certificate": device.certificate_id,
        "connect": _milliseconds(device.seconds.connect),
        "certified": _milliseconds(device.seconds.certificate),
        "provision": _milliseconds(device.seconds.provision),
        "reconnect": _milliseconds(device.seconds.reconnect),
        "total": _milliseconds(device.total),
    }


def print_summary(console: Console, devices: Sequence[Device]) -> None:
    """How long each step took: the middle and the slow end."""
    done = [device for device in devices if device.error is None]
    rows = [_quantiles(step, [getattr(device.seconds, step) for device in done]) for step in STEPS]
    rows.append(_quantiles("total", [device.total for device in done]))
    columns = {"step": "step", "p50": "p50", "p99": "p99", "most": "longest"}
    console.print(show.laid_out(console.width, rows, columns, caption="Milliseconds."))


def _quantiles(step: str, seconds: Sequence[float | None]) -> dict[str, Any]:
    known = sorted(value for value in seconds if value is not None)
    if not known:
        return {"step": step}
    return {
        "step": step,
        "p50": _milliseconds(known[len(known) // 2]),
        "p99": _milliseconds(known[min(len(known) - 1, len(known) * 99 // 100)]),
        "most": _milliseconds(known[-1]),
    }


def _milliseconds(seconds: float | None) -> str | None:
    return None if seconds is None else f"{seconds * 1000:.0f}"


def failures(devices: Iterable[Device]) -> dict[str, int]:
    """What went wrong, and how often, most often first."""
    counts: dict[str, int] = {}
    for device in devices:
        if device.error is not None:
            counts[device.error.message] = counts.get(device.error.message, 0) + 1
    return dict(sorted(counts.items(), key=lambda each: -each[1]))
