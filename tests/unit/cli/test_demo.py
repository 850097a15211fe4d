from __future__ import annotations

import os
import time

import pytest

from fleetgate.cli import demo


def test_a_process_knows_when_it_began() -> None:
    """Tests run in it, so it is older than they are."""
    begun = demo.process_start()
    assert begun < time.time()
    assert begun > time.time() - 86_400


def test_the_parts_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETGATE_DEMO_SETUP_STARTED", f"{demo.process_start() - 60:.3f}")
    clock = demo.Stopwatch()
    clock.lap("server start")
    assert [part.rpartition(" ")[0].rpartition(" ")[0] for part in clock.parts] == [
        "set-up",
        "program start",
        "server start",
    ]
    assert clock.parts[0] == "set-up 60.0 s"
    assert clock.last - clock.begun >= 60
    assert clock.report().startswith(f"It took {clock.last - clock.begun:.1f} s in all: set-up 60.0 s, ")


@pytest.mark.parametrize("value", ["", "yesterday"])
def test_without_make_there_is_no_set_up(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("FLEETGATE_DEMO_SETUP_STARTED", value)
    assert [part.split()[0] for part in demo.Stopwatch().parts] == ["program"]
    assert os.environ["FLEETGATE_DEMO_SETUP_STARTED"] == value
