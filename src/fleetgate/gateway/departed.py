"""Who left a while ago, and why (AWS: GetConnection tells it for 30 minutes)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fleetgate.broker import Connection
from fleetgate.gateway.observer import Departure
from fleetgate.names import Realm

KEPT: Final = 30 * 60_000
"""Milliseconds."""
MOST: Final = 20_000


class Departed:
    """At most `MOST` clients; those who left first are forgotten first."""

    def __init__(self, clock: Callable[[], int]) -> None:
        """*clock* gives milliseconds UTC."""
        self._clock = clock
        self._gone: dict[tuple[Realm, str], tuple[int, Departure]] = {}

    def add(self, realm: Realm, client_id: str, why: Departure) -> None:
        key = (realm, client_id)
        self._gone.pop(key, None)
        self._gone[key] = (self._clock(), why)
        if len(self._gone) > MOST:
            del self._gone[next(iter(self._gone))]

    def seen(self, realm: Realm, client_id: str, session_expiry: int | None) -> Connection | None:
        """A client without a connection; *session_expiry* is its session's, None where it has no session. None: nothing
        is known of it any more.
        """
        left_at, why = self._gone.get((realm, client_id), (0, None))
        recent = why is not None and self._clock() - left_at <= KEPT
        if session_expiry is None and not recent:
            return None
        return Connection(
            client_id,
            clean=session_expiry is None,
            session_expiry=session_expiry or 0,
            left_at=left_at if recent else None,
            left_why=str(why) if recent else None,
        )

    def clear(self) -> None:
        self._gone.clear()
