"""What must hold in the database after every disaster: nothing half made, nothing counted that is not there."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator

from fleetgate.database.port import Database, Tx
from fleetgate.registry import audit, outbox

_PATIENCE = 15.0

# Each finds what may not be.
_NEVER = {
    "a thing without a certificate": """
        SELECT name AS found FROM things t WHERE NOT EXISTS
            (SELECT 1 FROM thing_principals p WHERE p.realm = t.realm AND p.thing_name = t.name)""",
    "a thing with more or less than one ACTIVE certificate": """
        SELECT t.name AS found FROM things t WHERE 1 <>
            (SELECT count(*) FROM thing_principals p JOIN certificates c
             ON c.realm = p.realm AND c.fingerprint = p.fingerprint AND c.status = 'ACTIVE'
             WHERE p.realm = t.realm AND p.thing_name = t.name)""",
    "an ACTIVE certificate without a thing, which is no claim": """
        SELECT fingerprint AS found FROM certificates c WHERE status = 'ACTIVE'
            AND NOT EXISTS (SELECT 1 FROM claims k WHERE k.realm = c.realm AND k.fingerprint = c.fingerprint)
            AND NOT EXISTS (SELECT 1 FROM thing_principals p WHERE p.realm = c.realm AND p.fingerprint = c.fingerprint)
        """,
    "an ACTIVE certificate without a policy": """
        SELECT fingerprint AS found FROM certificates c WHERE status = 'ACTIVE' AND NOT EXISTS
            (SELECT 1 FROM policy_attachments p WHERE p.realm = c.realm AND p.fingerprint = c.fingerprint)""",
    "a certificate that is not provisioned and has a thing or a policy": """
        SELECT fingerprint AS found FROM certificates c WHERE status = 'PENDING_ACTIVATION' AND (
            EXISTS (SELECT 1 FROM thing_principals p WHERE p.realm = c.realm AND p.fingerprint = c.fingerprint)
            OR EXISTS (SELECT 1 FROM policy_attachments p WHERE p.realm = c.realm AND p.fingerprint = c.fingerprint))
        """,
    "a redeemed token whose certificate is not provisioned": """
        SELECT c.fingerprint AS found FROM ownership_tokens o JOIN certificates c
            ON c.realm = o.realm AND c.fingerprint = o.fingerprint
            WHERE o.used_at IS NOT NULL AND c.status = 'PENDING_ACTIVATION'""",
    "a token that can be redeemed again": """
        SELECT c.fingerprint AS found FROM ownership_tokens o JOIN certificates c
            ON c.realm = o.realm AND c.fingerprint = o.fingerprint
            WHERE o.used_at IS NULL AND c.status <> 'PENDING_ACTIVATION'""",
    "a certificate that nobody can provision": """
        SELECT fingerprint AS found FROM certificates c WHERE status = 'PENDING_ACTIVATION' AND NOT EXISTS
            (SELECT 1 FROM ownership_tokens o WHERE o.realm = c.realm AND o.fingerprint = c.fingerprint)""",
    "a certificate whose intent is missing or open": """
        SELECT fingerprint AS found FROM certificates c WHERE NOT EXISTS
            (SELECT 1 FROM issuances i WHERE i.fingerprint = c.fingerprint AND i.completed_at IS NOT NULL)""",
    "an intent that is done and has no certificate": """
        SELECT serial AS found FROM issuances i WHERE (fingerprint IS NOT NULL OR completed_at IS NOT NULL)
            AND profile <> 'server'  -- which is the listener's own, and in a file
            AND NOT EXISTS (SELECT 1 FROM certificates c WHERE c.fingerprint = i.fingerprint)""",
    "a certificate whose issue nobody wrote down": """
        SELECT fingerprint AS found FROM certificates c WHERE 1 <>
            (SELECT count(*) FROM audit_entries a WHERE a.action = 'IssueCertificate' AND a.outcome = 'ok'
             AND a.target LIKE '%:cert/' || c.fingerprint)""",
}


def faults(tx: Tx) -> list[str]:
    """Everything that is wrong; empty is what a test wants."""
    return list(_faults(tx))


def _faults(tx: Tx) -> Iterator[str]:
    for what, sql in _NEVER.items():
        if found := [str(row["found"]) for row in tx.rows(sql)]:
            yield f"{len(found)} times {what}: {', '.join(found[:3])}"
    for counts in (provisionings(tx), devices(tx)):
        if len(set(counts.values())) != 1:
            yield f"these should be the same number: {counts}"
    report = audit.verify(tx)
    if report.broken is not None or report.unsealed:
        yield f"the audit trail: {report}"


def provisionings(tx: Tx) -> dict[str, int]:
    """How many there were, by everything that counts them."""
    return {
        "tokens redeemed": _number(tx, "SELECT count(*) AS number FROM ownership_tokens WHERE used_at IS NOT NULL"),
        "certificates provisioned": _number(
            tx,
            "SELECT count(*) AS number FROM certificates "
            "WHERE claim_fingerprint IS NOT NULL AND status <> 'PENDING_ACTIVATION'",
        ),
        "written in the audit trail": _number(
            tx, "SELECT count(*) AS number FROM audit_entries WHERE action = 'RegisterThing' AND outcome = 'ok'"
        ),
        "events": _number(tx, "SELECT count(*) AS number FROM outbox WHERE kind = 'DeviceProvisioned'"),
    }


def devices(tx: Tx) -> dict[str, int]:
    """How many there are: one that was provisioned again because an answer was lost is charged once."""
    return {
        "spent by claims": _number(tx, "SELECT coalesce(sum(used), 0) AS number FROM claims"),
        "things": _number(tx, "SELECT count(*) AS number FROM things"),
    }


def _number(tx: Tx, sql: str) -> int:
    return int(tx.rows(sql)[0]["number"])


def unfinished(tx: Tx) -> int:
    """Intents that came to nothing."""
    return _number(tx, "SELECT count(*) AS number FROM issuances WHERE completed_at IS NULL")


def statuses(tx: Tx) -> Counter[str]:
    return Counter(str(row["status"]) for row in tx.rows("SELECT status FROM certificates"))


async def settled(database: Database) -> None:
    """Wait until the running server has handed out every event and sealed its audit trail."""
    async with asyncio.timeout(_PATIENCE):
        while await database.read(lambda tx: bool(outbox.pending(tx, 1)) or audit.unsealed(tx)):  # noqa: ASYNC110 # another process works there
            await asyncio.sleep(0.05)
