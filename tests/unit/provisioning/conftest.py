"""The registry in memory, for the plain functions of the flows."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count

import pytest

from fleetgate.database.open import memory
from fleetgate.database.port import Tx
from fleetgate.names import Act, Realm
from fleetgate.registry import certificates
from fleetgate.registry.certificates import Certificate, Origin, Status

NOW = 1_700_000_000_000
DAY = 86_400_000

Certify = Callable[..., Certificate]


@pytest.fixture
def tx() -> Iterator[Tx]:
    database = memory()
    yield database.tx
    database.close()


@pytest.fixture
def act() -> Act:
    return Act(Realm("123456789012", "us-east-1"), "system", NOW, str(uuid.UUID(int=1)))


@pytest.fixture
def later(act: Act) -> Callable[[], Act]:
    """Another act, a second after the one before."""
    numbers = count(2)

    def make() -> Act:
        number = next(numbers)
        return replace(act, now=NOW + 1000 * number, request_id=str(uuid.UUID(int=number)))

    return make


@pytest.fixture
def certify(tx: Tx, act: Act) -> Certify:
    """A certificate in the registry, told from others by its *name*; *key* tells its key from others'."""

    def make(name: str, status: Status = Status.PENDING_ACTIVATION, key: str = "") -> Certificate:
        return certificates.create(
            tx,
            act,
            hashlib.sha256(name.encode()).hexdigest(),
            f"-----BEGIN CERTIFICATE-----\n{name}\n-----END CERTIFICATE-----\n",
            status,
            public_key_fingerprint=hashlib.sha256((key or name).encode()).hexdigest(),
            not_before=NOW - DAY,
            not_after=NOW + DAY,
            origin=Origin.ISSUED,
        )

    return make
