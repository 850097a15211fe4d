from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterator
from itertools import count

import pytest

from fleetgate.database.open import memory
from fleetgate.database.port import Tx
from fleetgate.names import Act, Realm
from fleetgate.registry import certificates, outbox
from fleetgate.registry.certificates import Certificate, Mode, Origin, Status
from fleetgate.registry.events import Event

NOW = 1_700_000_000_000
DAY = 86_400_000


@pytest.fixture
def tx() -> Iterator[Tx]:
    database = memory()
    yield database.tx
    database.close()


@pytest.fixture
def realm() -> Realm:
    return Realm("123456789012", "us-east-1")


@pytest.fixture
def elsewhere() -> Realm:
    """Another account, in the same region."""
    return Realm("210987654321", "us-east-1")


@pytest.fixture
def act(realm: Realm) -> Act:
    return Act(realm, "system", NOW, str(uuid.UUID(int=1)))


@pytest.fixture
def later(realm: Realm) -> Callable[..., Act]:
    """Another act, some milliseconds after `act`, in the same realm unless another is given."""
    numbers = count(2)

    def make(milliseconds: int = 1000, *, of: Realm = realm) -> Act:
        return Act(of, "system", NOW + milliseconds, str(uuid.UUID(int=next(numbers))))

    return make


@pytest.fixture
def certified(tx: Tx, act: Act) -> Callable[..., Certificate]:
    """A certificate in the registry, told from others by its *name*."""

    def make(
        name: str = "first",
        status: Status = Status.ACTIVE,
        *,
        by: Act = act,
        key: str | None = None,
        mode: Mode = Mode.DEFAULT,
        ca: str | None = None,
        claim: str | None = None,
        listed: bool = True,
        not_after: int = NOW + DAY,
    ) -> Certificate:
        return certificates.create(
            tx,
            by,
            hashlib.sha256(name.encode()).hexdigest(),
            f"-----BEGIN CERTIFICATE-----\n{name}\n-----END CERTIFICATE-----\n",
            status,
            public_key_fingerprint=key or hashlib.sha256(b"key of " + name.encode()).hexdigest(),
            not_before=NOW - DAY,
            not_after=not_after,
            origin=Origin.ISSUED,
            mode=mode,
            ca_fingerprint=ca,
            claim_fingerprint=claim,
            listed=listed,
        )

    return make


@pytest.fixture
def told(tx: Tx) -> Callable[[], list[Event]]:
    """The events since the last call."""

    def read() -> list[Event]:
        entries = outbox.pending(tx, 1000)
        outbox.delivered(tx, [entry.id for entry in entries])
        return [entry.event for entry in entries]

    return read
