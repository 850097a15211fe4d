"""What has to be written down for sessions and retained messages to outlive the process, change by change.

A `Switchboard` that is given somewhere to record hands these out in the order in which they hold. Whoever reads them
back calls `Switchboard.restore` and `Retained.restore`. Moments are the switchboard's milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from fleetgate.wire.mqtt.packets import Publish, Subscription


@dataclass(frozen=True, slots=True)
class SessionKept:
    """A session as it is now; its subscriptions and messages follow, or stay as they were."""

    client_id: str
    version: int
    owner: str
    entitled: bool
    longest: int
    expiry: int
    """Seconds that it outlives its connection."""
    left_at: int | None
    """When its connection ended; None while it has one."""


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """And with it its subscriptions and messages."""

    client_id: str


@dataclass(frozen=True, slots=True)
class Subscribed:
    """One subscription, added or replaced."""

    client_id: str
    subscription: Subscription
    identifier: int | None


@dataclass(frozen=True, slots=True)
class Unsubscribed:
    client_id: str
    topic_filter: str


@dataclass(frozen=True, slots=True)
class Queued:
    """A message that waits for a session. *number* grows in the order of arrival."""

    client_id: str
    number: int
    message: Publish
    expires: int | None


@dataclass(frozen=True, slots=True)
class Settled:
    """A message that waits no more: acknowledged, expired or dropped."""

    client_id: str
    number: int


@dataclass(frozen=True, slots=True)
class RetainedKept:
    message: Publish
    came: int


@dataclass(frozen=True, slots=True)
class RetainedGone:
    topic: str


Change: TypeAlias = (
    SessionKept | SessionEnded | Subscribed | Unsubscribed | Queued | Settled | RetainedKept | RetainedGone
)
Record: TypeAlias = Callable[[Change], object]
