"""What every test may ask for. Unit tests get no sockets; the others may use PostgreSQL (`tests/postgres.py`)."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from pytest_socket import disable_socket

TESTS = Path(__file__).parent
sys.path.insert(0, str(TESTS.parent))  # test folders are no packages; this lets `from tests.postgres import` work

from tests.mosquitto import mosquitto  # noqa: E402 # the line above comes first
from tests.postgres import postgres_server, postgres_url  # noqa: E402 # as above

__all__ = ["mosquitto", "postgres_server", "postgres_url"]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Block the network for unit tests. Unix sockets stay: an event loop wakes itself through a pair of them."""
    if item.path.is_relative_to(TESTS / "unit"):
        disable_socket(allow_unix_socket=True)
