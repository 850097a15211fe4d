from __future__ import annotations

import io
from collections.abc import Callable

from rich.console import Console

from fleetgate.agent.errors import TimedOut
from fleetgate.agent.fleet import Device
from fleetgate.agent.provision import Seconds
from fleetgate.cli import fleet


def device(number: int, *, failed: bool = False) -> Device:
    seconds = Seconds(0.010 * number, 0.020, 0.0304, None)
    error = TimedOut("waiting", 5) if failed else None
    return Device(f"SN-{number}", f"lamp-{number}", f"{number:064x}", seconds, 0.1 * number, 1, error)


def text(show: Callable[[Console, list[Device]], None], devices: list[Device], width: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    show(console, devices)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_a_record_has_everything() -> None:
    assert fleet.record(device(1)) == {
        "serial": "SN-1",
        "thing_name": "lamp-1",
        "certificate_id": f"{1:064x}",
        "seconds": {"connect": 0.01, "certificate": 0.02, "provision": 0.0304, "reconnect": None, "total": 0.1},
        "attempts": 1,
        "error": None,
    }
    assert fleet.record(device(2, failed=True))["error"] == "Timed out after 5 s while waiting."


def test_the_table_fits_80_columns_and_leaves_failures_out() -> None:
    lines = text(fleet.print_table, [device(1), device(2, failed=True), device(3)])
    assert lines[0].split() == ["thing", "certificate", "id", "connect", "certify", "provision", "reconnect", "total"]
    assert [line.split()[0] for line in lines[2:4]] == ["lamp-1", "lamp-3"]
    assert lines[2].split()[2:] == ["10", "20", "30", "-", "100"]
    assert max(map(len, lines)) <= 80


def test_in_50_columns_the_headings_are_short() -> None:
    lines = text(fleet.print_table, [device(1)], 50)
    assert lines[0].split() == ["thing", "certificate", "conn", "cert", "prov", "back", "all"]
    assert lines[2].split()[2:] == ["10", "20", "30", "-", "100"]


def test_in_30_columns_a_device_is_a_paragraph() -> None:
    lines = text(fleet.print_table, [device(1), device(3)], 30)
    assert lines[:3] == ["thing        lamp-1", "certificate  000000000000", "conn         10"]
    assert "thing        lamp-3" in lines
    assert max(map(len, lines)) <= 30


def test_a_summary_of_a_hundred() -> None:
    lines = text(fleet.print_summary, [device(number) for number in range(1, 101)])
    connect = next(line for line in lines if line.startswith("connect"))
    assert connect.split() == ["connect", "510", "1000", "1000"]
    reconnect = next(line for line in lines if line.startswith("reconnect"))
    assert reconnect.split() == ["reconnect", "-", "-", "-"]


def test_failures_are_counted_most_often_first() -> None:
    failed = [device(1, failed=True), device(2, failed=True), device(3)]
    assert fleet.failures(failed) == {"Timed out after 5 s while waiting.": 2}
    assert fleet.failures([device(1)]) == {}
