"""How long and how much: the bounds of a database, the same for both engines."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Every call ends: with a result, or with Unavailable once one of these is reached."""

    readers: int = 4
    """Threads for `read`, each with a connection of its own."""
    patience: int = 5_000
    """Milliseconds that a call waits for a locked file or a server that is away."""
    statement_timeout: int = 30_000
    """Milliseconds that one statement may take on PostgreSQL; 0 is no limit."""
    queue: int = 8_192
    """Calls that may wait for a thread."""
