"""The operators' door."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fleetgate.runtime import Runtime


def build(runtime: Runtime, reset: Callable[[], Awaitable[None]] | None = None) -> Any:
    raise NotImplementedError
