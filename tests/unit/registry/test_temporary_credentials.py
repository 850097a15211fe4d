from __future__ import annotations

from fleetgate.database.port import Tx
from fleetgate.registry import temporary_credentials
from fleetgate.registry.temporary_credentials import KEPT, TemporaryCredentials

MADE = TemporaryCredentials(
    id="ASIA0000000000000001",
    account="123456789012",
    token_digest=temporary_credentials.digest("token"),
    sealed_secret="sealed",
    holder="role/r",
    holder_id="AROA",
    name="session",
    policies=("{}",),
    facts={"aws:PrincipalTag/a": "b"},
    created_at=1000,
    expires_at=2000,
)


def test_create_and_find(tx: Tx) -> None:
    temporary_credentials.create(tx, MADE)
    assert temporary_credentials.find(tx, MADE.id) == MADE
    assert temporary_credentials.find(tx, "ASIA0000000000000002") is None
    assert MADE.opened_by("token")
    assert not MADE.opened_by("Token")
    assert not MADE.opened_by("")
    assert "sealed'" not in repr(MADE)


def test_the_long_expired_are_forgotten(tx: Tx) -> None:
    temporary_credentials.create(tx, MADE)
    assert temporary_credentials.sweep(tx, 2000 + KEPT) == 0
    assert temporary_credentials.sweep(tx, 2001 + KEPT) == 1
    assert temporary_credentials.find(tx, MADE.id) is None
