"""All records at once: what a dev server's reset takes away."""

from __future__ import annotations

from typing import Final

from fleetgate.database.port import Tx

# Each before those that it refers to.
TABLES: Final = (
    "registration_answers",
    "registration_tasks",
    "claim_serials",
    "claims",
    "ownership_tokens",
    "thing_principals",
    "policy_attachments",
    "thing_group_members",
    "thing_attributes",
    "things",
    "thing_groups",
    "thing_types",
    "certificates",
    "authorities",
    "registration_codes",
    "issuances",
    "policy_versions",
    "policies",
    "template_versions",
    "provisioning_templates",
    "registration_functions",
    "functions",
    "tags",
    "access_keys",
    "outbox",
    "audit_entries",
)


def empty(tx: Tx) -> None:
    """Delete every record of every realm, the audit trail with it."""
    for table in TABLES:
        tx.run(f"DELETE FROM {table}")  # noqa: S608 # a name from the list above
