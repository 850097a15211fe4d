"""Temporary credentials: what AssumeRole, GetSessionToken and the credential provider hand out, until they expire.

The secret comes down sealed, the session token as a digest; neither can be read here.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from fleetgate.database.port import Row, Tx
from fleetgate.registry import statements

ACCOUNT: Final = "account"
"""The holder of credentials that stand for the account itself."""
KEPT: Final = 86_400_000
"""How long expired ones are remembered, so that their holder learns that they expired. Milliseconds."""
_MOST_SWEPT: Final = 1000


@dataclass(frozen=True, slots=True)
class TemporaryCredentials:
    id: str
    """As in a signature's credential: ASIA..."""
    account: str
    token_digest: str = field(repr=False)
    sealed_secret: str = field(repr=False)
    holder: str
    """`role/<name>`, `user/<name>` or ACCOUNT."""
    holder_id: str
    name: str
    """The session's."""
    policies: tuple[str, ...] | None
    """Documents of the session's own, which narrow what the holder may; None if it has none."""
    facts: Mapping[str, str | Sequence[str]]
    """Condition keys that the session brings along."""
    created_at: int
    expires_at: int

    def opened_by(self, token: str) -> bool:
        return hmac.compare_digest(self.token_digest, digest(token))


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def create(tx: Tx, made: TemporaryCredentials) -> None:
    """Raises Conflict for a taken id, of which there are 2^80."""
    statements.insert(
        tx,
        "temporary_credentials",
        id=made.id,
        account=made.account,
        token_digest=made.token_digest,
        sealed_secret=made.sealed_secret,
        holder=made.holder,
        holder_id=made.holder_id,
        name=made.name,
        policies=None if made.policies is None else json.dumps(made.policies),
        facts=json.dumps(dict(made.facts)),
        created_at=made.created_at,
        expires_at=made.expires_at,
    )


def find(tx: Tx, key_id: str) -> TemporaryCredentials | None:
    """By id alone: a signed request names its key before any realm is known."""
    rows = tx.rows("SELECT * FROM temporary_credentials WHERE id = :id", id=key_id)
    return _credentials(rows[0]) if rows else None


def sweep(tx: Tx, now: int) -> int:
    """Forget some of those that expired long ago. How many there were."""
    return tx.run(
        """DELETE FROM temporary_credentials WHERE id IN (
               SELECT id FROM temporary_credentials WHERE expires_at < :before ORDER BY expires_at, id LIMIT :most)""",
        before=now - KEPT,
        most=_MOST_SWEPT,
    )


def _credentials(row: Row) -> TemporaryCredentials:
    return TemporaryCredentials(
        id=row["id"],
        account=row["account"],
        token_digest=row["token_digest"],
        sealed_secret=row["sealed_secret"],
        holder=row["holder"],
        holder_id=row["holder_id"],
        name=row["name"],
        policies=None if row["policies"] is None else tuple(json.loads(row["policies"])),
        facts=json.loads(row["facts"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
    )
