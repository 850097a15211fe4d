"""Policies and their versions (CreatePolicy, CreatePolicyVersion, SetDefaultPolicyVersion, DeletePolicy ...).

Documents are text here; whether one is a policy is judged by `fleetgate.policy` before it comes down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fleetgate import names
from fleetgate.database.port import Row, Tx
from fleetgate.errors import (
    AlreadyExists,
    DeleteConflict,
    InvalidRequest,
    MalformedPolicy,
    NotFound,
    VersionsLimitExceeded,
)
from fleetgate.names import Act, Realm
from fleetgate.registry import outbox, pages, statements, tags
from fleetgate.registry.events import PolicyChanged
from fleetgate.registry.pages import Page

MOST_VERSIONS: Final = 5
MOST_CHARACTERS: Final = 2048
"""In a document, white space not counted."""


@dataclass(frozen=True, slots=True)
class Policy:
    name: str
    default_version: int
    generation_id: str
    created_at: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    policy_name: str
    version: int
    document: str
    is_default: bool
    created_at: int


def create(tx: Tx, act: Act, name: str, document: str) -> Policy:
    """A new policy with version 1. Raises AlreadyExists whatever the document, MalformedPolicy when it is too long."""
    names.check("policy", name)
    _fits(document)
    if not statements.insert_new(
        tx,
        "policies",
        realm=str(act.realm),
        name=name,
        default_version=1,
        last_version=1,
        generation_id=act.id_for("policy", name),
        created_at=act.now,
        updated_at=act.now,
    ):
        raise AlreadyExists(
            f"Policy cannot be created - name already exists (name={name})",
            resourceId=name,
            resourceArn=act.realm.arn("policy", name),
        )
    _insert_version(tx, act, name, 1, document)
    return get(tx, act.realm, name)


def find(tx: Tx, realm: Realm, name: str) -> Policy | None:
    rows = tx.rows("SELECT * FROM policies WHERE realm = :realm AND name = :name", realm=str(realm), name=name)
    return _policy(rows[0]) if rows else None


def get(tx: Tx, realm: Realm, name: str) -> Policy:
    """Raises NotFound."""
    if found := find(tx, realm, name):
        return found
    raise NotFound(f"Policy not found (name={name})")


def delete(tx: Tx, act: Act, name: str) -> None:
    """Raises NotFound, and DeleteConflict while it is attached or has other versions than the default."""
    get(tx, act.realm, name)
    values = {"realm": str(act.realm), "name": name}
    if tx.rows("SELECT target FROM policy_attachments WHERE realm = :realm AND policy_name = :name LIMIT 1", **values):
        raise DeleteConflict(
            f"The policy cannot be deleted as the policy is attached to one or more principals (name={name})"
        )
    if len(_numbers(tx, act.realm, name)) > 1:
        raise DeleteConflict(
            f"Cannot delete the policy because it has one or more policy versions attached to it (name={name})"
        )
    tx.run("DELETE FROM policies WHERE realm = :realm AND name = :name", **values)
    tags.forget(tx, act, "policy", name)


def page(tx: Tx, realm: Realm, after: str | None = None, limit: int = 25, *, ascending: bool = False) -> Page[Policy]:
    """By creation, newest first unless *ascending*."""
    where, order, values = pages.by_creation(after, "name", ascending)
    return pages.read(
        tx,
        "SELECT * FROM policies",
        ["realm = :realm", *where],
        order,
        limit,
        _policy,
        lambda row: pages.moment_key(row["created_at"], row["name"]),
        realm=str(realm),
        **values,
    )


def create_version(tx: Tx, act: Act, name: str, document: str, *, set_as_default: bool = False) -> PolicyVersion:
    """Raises NotFound, MalformedPolicy when *document* is too long, VersionsLimitExceeded at the sixth."""
    _fits(document)
    get(tx, act.realm, name)
    if len(_numbers(tx, act.realm, name)) >= MOST_VERSIONS:
        raise VersionsLimitExceeded(f"The policy {name} already has the maximum number of versions ({MOST_VERSIONS})")
    rows = tx.rows(
        """UPDATE policies SET last_version = last_version + 1, updated_at = :now
           WHERE realm = :realm AND name = :name RETURNING last_version""",
        realm=str(act.realm),
        name=name,
        now=act.now,
    )
    version: int = rows[0]["last_version"]
    _insert_version(tx, act, name, version, document)
    if set_as_default:
        set_default(tx, act, name, version)
    return get_version(tx, act.realm, name, version)


def find_version(tx: Tx, realm: Realm, name: str, version: int) -> PolicyVersion | None:
    found = [entry for entry in _versions(tx, realm, name) if entry.version == version]
    return found[0] if found else None


def get_version(tx: Tx, realm: Realm, name: str, version: int | None = None) -> PolicyVersion:
    """That version, or the default. Raises NotFound."""
    policy = get(tx, realm, name)
    if found := find_version(tx, realm, name, policy.default_version if version is None else version):
        return found
    raise NotFound(f"Policy version not found (name={name}, version={version})")


def versions(tx: Tx, realm: Realm, name: str) -> list[PolicyVersion]:
    """All, newest first. Raises NotFound."""
    get(tx, realm, name)
    return _versions(tx, realm, name)


def set_default(tx: Tx, act: Act, name: str, version: int) -> None:
    """Raises NotFound."""
    if get_version(tx, act.realm, name, version).is_default:
        return
    tx.run(
        "UPDATE policies SET default_version = :version, updated_at = :now WHERE realm = :realm AND name = :name",
        realm=str(act.realm),
        name=name,
        version=version,
        now=act.now,
    )
    outbox.add(tx, act, PolicyChanged(name, version))


def delete_version(tx: Tx, act: Act, name: str, version: int) -> None:
    """Raises NotFound, and InvalidRequest for the default version."""
    if get_version(tx, act.realm, name, version).is_default:
        raise InvalidRequest("Cannot delete the default version of a policy")
    tx.run(
        "DELETE FROM policy_versions WHERE realm = :realm AND policy_name = :name AND version = :version",
        realm=str(act.realm),
        name=name,
        version=version,
    )


def _fits(document: str) -> None:
    if (length := sum(not character.isspace() for character in document)) > MOST_CHARACTERS:
        raise MalformedPolicy(
            f"The policy document has {length} characters without white space; at most {MOST_CHARACTERS} are allowed."
        )


def _insert_version(tx: Tx, act: Act, name: str, version: int, document: str) -> None:
    statements.insert(
        tx,
        "policy_versions",
        realm=str(act.realm),
        policy_name=name,
        version=version,
        document=document,
        created_at=act.now,
    )


def _numbers(tx: Tx, realm: Realm, name: str) -> list[int]:
    sql = "SELECT version FROM policy_versions WHERE realm = :realm AND policy_name = :name"
    return [row["version"] for row in tx.rows(sql, realm=str(realm), name=name)]


def _versions(tx: Tx, realm: Realm, name: str) -> list[PolicyVersion]:
    rows = tx.rows(
        """SELECT v.*, p.default_version FROM policies p
           JOIN policy_versions v ON v.realm = p.realm AND v.policy_name = p.name
           WHERE p.realm = :realm AND p.name = :name ORDER BY v.version DESC""",
        realm=str(realm),
        name=name,
    )
    return [_version(row) for row in rows]


def _policy(row: Row) -> Policy:
    return Policy(
        name=row["name"],
        default_version=row["default_version"],
        generation_id=row["generation_id"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _version(row: Row) -> PolicyVersion:
    return PolicyVersion(
        policy_name=row["policy_name"],
        version=row["version"],
        document=row["document"],
        is_default=row["version"] == row["default_version"],
        created_at=row["created_at"],
    )
