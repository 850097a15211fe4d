"""Topic rules (CreateTopicRule ... ListTopicRules): a statement over messages, and what is done with what it selects.

A statement is kept as it was written, and parsed where it is run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fleetgate import names
from fleetgate.database.port import Row, Tx
from fleetgate.errors import AlreadyExists, RuleUnknown
from fleetgate.names import Act, Realm
from fleetgate.registry import outbox, pages, statements, tags
from fleetgate.registry.events import TopicRuleChanged
from fleetgate.registry.pages import Page

Action = Mapping[str, Any]
"""One of the service model's actions: `{"republish": {...}}` or `{"lambda": {...}}`."""


@dataclass(frozen=True, slots=True)
class Definition:
    """What a rule is given, at first and whenever it is replaced."""

    statement: str
    statement_version: str
    source: str
    """The statement's topic filter; empty where it has none."""
    actions: Sequence[Action]
    error_action: Action | None = None
    description: str = ""
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class TopicRule:
    name: str
    definition: Definition
    created_at: int


def create(tx: Tx, act: Act, name: str, definition: Definition) -> TopicRule:
    """Raises AlreadyExists, and InvalidRequest for a bad name."""
    names.check("rule", name)
    if not statements.insert_new(
        tx, "topic_rules", realm=str(act.realm), name=name, created_at=act.now, **_columns(definition)
    ):
        raise AlreadyExists(f"Topic rule {name} exists already.", resourceArn=act.realm.arn("rule", name))
    outbox.add(tx, act, TopicRuleChanged(name))
    return TopicRule(name, definition, act.now)


def replace(tx: Tx, act: Act, name: str, definition: Definition) -> None:
    """Raises RuleUnknown."""
    if not tx.run(
        """UPDATE topic_rules SET statement = :statement, statement_version = :statement_version, source = :source,
           description = :description, actions = :actions, error_action = :error_action, enabled = :enabled
           WHERE realm = :realm AND name = :name""",
        realm=str(act.realm),
        name=name,
        **_columns(definition),
    ):
        raise _unknown(name)
    outbox.add(tx, act, TopicRuleChanged(name))


def set_enabled(tx: Tx, act: Act, name: str, enabled: bool) -> None:
    """Raises RuleUnknown."""
    if not tx.run(
        "UPDATE topic_rules SET enabled = :enabled WHERE realm = :realm AND name = :name",
        realm=str(act.realm),
        name=name,
        enabled=int(enabled),
    ):
        raise _unknown(name)
    outbox.add(tx, act, TopicRuleChanged(name))


def delete(tx: Tx, act: Act, name: str) -> None:
    """Raises RuleUnknown."""
    if not tx.run("DELETE FROM topic_rules WHERE realm = :realm AND name = :name", realm=str(act.realm), name=name):
        raise _unknown(name)
    tags.forget(tx, act, "rule", name)
    outbox.add(tx, act, TopicRuleChanged(name))


def get(tx: Tx, realm: Realm, name: str) -> TopicRule:
    """Raises RuleUnknown."""
    rows = tx.rows("SELECT * FROM topic_rules WHERE realm = :realm AND name = :name", realm=str(realm), name=name)
    if not rows:
        raise _unknown(name)
    return _rule(rows[0])


def page(
    tx: Tx,
    realm: Realm,
    after: str | None = None,
    limit: int = 25,
    *,
    source: str | None = None,
    enabled: bool | None = None,
) -> Page[TopicRule]:
    """By name; with this topic filter; switched on or off."""
    where, values = ["realm = :realm", "name > :after"], dict[str, Any]()
    if source is not None:
        where, values = [*where, "source = :source"], {**values, "source": source}
    if enabled is not None:
        where, values = [*where, "enabled = :enabled"], {**values, "enabled": int(enabled)}
    after = pages.name_after(after)
    read = "SELECT * FROM topic_rules"
    return pages.read(
        tx, read, where, "name", limit, _rule, lambda row: str(row["name"]), realm=str(realm), after=after, **values
    )


def running(tx: Tx, realm: Realm) -> list[TopicRule]:
    """Every rule of *realm* that is switched on, by name."""
    rows = tx.rows(
        "SELECT * FROM topic_rules WHERE realm = :realm AND name > '' AND enabled = 1 ORDER BY name", realm=str(realm)
    )
    return [_rule(row) for row in rows]


def realms(tx: Tx) -> list[Realm]:
    """Who has rules."""
    return [Realm.parse(row["realm"]) for row in tx.rows("SELECT DISTINCT realm FROM topic_rules")]


def _unknown(name: str) -> RuleUnknown:
    return RuleUnknown(f"Access to topic rule '{name}' was denied: there is none of this name.")


def _columns(definition: Definition) -> dict[str, Any]:
    error_action = "" if definition.error_action is None else json.dumps(definition.error_action)
    return {
        "statement": definition.statement,
        "statement_version": definition.statement_version,
        "source": definition.source,
        "description": definition.description,
        "actions": json.dumps(list(definition.actions)),
        "error_action": error_action,
        "enabled": int(definition.enabled),
    }


def _rule(row: Row) -> TopicRule:
    definition = Definition(
        statement=row["statement"],
        statement_version=row["statement_version"],
        source=row["source"],
        actions=tuple(json.loads(row["actions"])),
        error_action=json.loads(row["error_action"]) if row["error_action"] else None,
        description=row["description"],
        enabled=bool(row["enabled"]),
    )
    return TopicRule(row["name"], definition, row["created_at"])
