"""Ownership tokens: who holds one asked for a certificate, and may have it provisioned, once and within the hour.

Only the SHA-256 digest of a token is kept. A token holds for the realm, the certificate and the asking certificate
that it was issued for.
"""

from __future__ import annotations

from typing import Final

from fleetgate.database.port import Row, Tx
from fleetgate.errors import InvalidOwnershipToken
from fleetgate.names import Act
from fleetgate.registry import statements

LIFETIME: Final = 3_600_000
"""Milliseconds."""
_INVALID: Final = (
    "The certificate ownership token is not valid for this connection: it is wrong, has expired, was used, or was "
    "given to somebody else. Create a certificate again for another token."
)


def issue(
    tx: Tx, act: Act, digest: str, *, fingerprint: str, claim_fingerprint: str, expires_at: int | None = None
) -> None:
    """Keep a token's *digest* for the registered certificate *fingerprint*, which *claim_fingerprint* asked for."""
    statements.insert(
        tx,
        "ownership_tokens",
        realm=str(act.realm),
        digest=digest,
        fingerprint=fingerprint,
        claim_fingerprint=claim_fingerprint,
        issued_at=act.now,
        expires_at=act.now + LIFETIME if expires_at is None else expires_at,
        used_at=None,
    )


def check(tx: Tx, act: Act, digest: str, *, claim_fingerprint: str) -> str:
    """The fingerprint of the certificate that the token is for, which stays as it is.

    Raises InvalidOwnershipToken, in one text, for a token that is wrong, expired, used or somebody else's.
    """
    rows = tx.rows(
        """SELECT fingerprint FROM ownership_tokens
           WHERE realm = :realm AND digest = :digest AND claim_fingerprint = :claim
             AND used_at IS NULL AND expires_at > :now""",
        realm=str(act.realm),
        digest=digest,
        claim=claim_fingerprint,
        now=act.now,
    )
    return _only(rows)


def redeem(tx: Tx, act: Act, digest: str, *, claim_fingerprint: str) -> str:
    """`check`, and the token is used: of two that redeem it at once, one does. Raises InvalidOwnershipToken."""
    rows = tx.rows(
        """UPDATE ownership_tokens SET used_at = :now
           WHERE realm = :realm AND digest = :digest AND claim_fingerprint = :claim
             AND used_at IS NULL AND expires_at > :now
           RETURNING fingerprint""",
        realm=str(act.realm),
        digest=digest,
        claim=claim_fingerprint,
        now=act.now,
    )
    return _only(rows)


def room_at(tx: Tx, act: Act, claim_fingerprint: str, most: int) -> int | None:
    """When fewer than *most* (1 at least) certificates that this asker asked for wait to be provisioned, if nobody
    provisions any until then: milliseconds UTC, or None when that is so already.

    Costs one step of an index for each that waits, and *most* of them at most.
    """
    rows = tx.rows(
        """SELECT expires_at FROM ownership_tokens
           WHERE claim_fingerprint = :claim AND realm = :realm AND used_at IS NULL AND expires_at > :now
           ORDER BY expires_at DESC LIMIT 1 OFFSET :others""",
        claim=claim_fingerprint,
        realm=str(act.realm),
        now=act.now,
        others=most - 1,
    )
    return rows[0]["expires_at"] if rows else None


def _only(rows: list[Row]) -> str:
    if not rows:
        raise InvalidOwnershipToken(_INVALID)
    return str(rows[0]["fingerprint"])
