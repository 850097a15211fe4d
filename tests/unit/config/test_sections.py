"""What holds where nobody says anything."""

from __future__ import annotations

from fleetgate.config import Config, load


def test_no_file_is_needed() -> None:
    assert load() == Config()


def test_listens_on_loopback_unless_told_otherwise() -> None:
    assert load().gateway.host == load().api.host == "127.0.0.1"
