"""All records at once: what a dev server's reset takes away."""

from __future__ import annotations

from typing import Final

from fleetgate.database.port import Tx

# Each before those that it refers to.
TABLES: Final = (
    "rotation_campaign_devices",
    "rotation_campaigns",
    "registration_answers",
    "registration_tasks",
    "claim_serials",
    "claims",
    "claim_batch_serials",
    "claim_batches",
    "ownership_tokens",
    "thing_principals",
    "policy_attachments",
    "thing_group_members",
    "thing_connectivity",
    "thing_attributes",
    "billing_group_members",
    "things",
    "thing_groups",
    "billing_groups",
    "thing_types",
    "certificate_transfers",
    "certificates",
    "authorities",
    "registration_codes",
    "certificate_providers",
    "revocation_lists",
    "revocations",
    "issuances",
    "domain_configurations",
    "authorizers",
    "policy_versions",
    "policies",
    "template_versions",
    "provisioning_templates",
    "registration_functions",
    "functions",
    "indexing_configurations",
    "function_keys",
    "topic_rules",
    "event_configurations",
    "tags",
    "access_keys",
    "mqtt_retained",
    "mqtt_messages",
    "mqtt_subscriptions",
    "mqtt_sessions",
    "temporary_credentials",
    "role_aliases",
    "managed_policy_attachments",
    "managed_policy_versions",
    "managed_policies",
    "inline_policies",
    "roles",
    "users",
    "outbox",
    "nodes",
    "audit_entries",
)


_OPERATORS: Final = (
    "access_keys",
    "policies",
    "provisioning_templates",
    "certificates",
    "things",
    "authorities",
    "claims",
)
"""Where an operator's work shows: a server that has only just started has rows in none of them."""


def in_use(tx: Tx) -> bool:
    """Whether anybody has put records here."""
    return any(tx.rows(f"SELECT 1 AS one FROM {table} LIMIT 1") for table in _OPERATORS)  # noqa: S608 # as above


def empty(tx: Tx) -> None:
    """Delete every record of every realm, the audit trail with it."""
    for table in TABLES:
        tx.run(f"DELETE FROM {table}")  # noqa: S608 # a name from the list above
