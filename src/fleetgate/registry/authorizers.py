"""Authorizers (CreateAuthorizer ... ClearDefaultAuthorizer): functions that decide about devices, and when to ask."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from fleetgate import names
from fleetgate.database.port import Row, Tx
from fleetgate.errors import AlreadyExists, DeleteConflict, LimitExceeded, NotFound
from fleetgate.names import Act, Realm
from fleetgate.registry import pages, statements, tags
from fleetgate.registry.pages import Page

MOST: Final = 10
"""In an account and region."""


class Status(StrEnum):
    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"


@dataclass(frozen=True, slots=True)
class Authorizer:
    name: str
    function_arn: str
    token_key_name: str | None
    """Where the token stands in a request; None where tokens are not signed and nobody named one."""
    token_keys: Mapping[str, str]
    """Public keys as PEM; one of them must have signed the token."""
    status: Status
    signing_disabled: bool
    cached_for_http: bool
    is_default: bool
    created_at: int
    updated_at: int


def create(
    tx: Tx,
    act: Act,
    name: str,
    function_arn: str,
    *,
    token_key_name: str | None = None,
    token_keys: Mapping[str, str] | None = None,
    status: Status = Status.INACTIVE,
    signing_disabled: bool = False,
    cached_for_http: bool = False,
) -> Authorizer:
    """Raises AlreadyExists whatever the rest, LimitExceeded, InvalidRequest for a bad name."""
    names.check("authorizer", name)
    if len(_all(tx, act.realm)) >= MOST and find(tx, act.realm, name) is None:
        raise LimitExceeded(f"This account and region have {MOST} authorizers already, which is the most. Delete one.")
    made = Authorizer(
        name,
        function_arn,
        token_key_name,
        dict(token_keys or {}),
        status,
        signing_disabled,
        cached_for_http,
        is_default=False,
        created_at=act.now,
        updated_at=act.now,
    )
    if not statements.insert_new(tx, "authorizers", realm=str(act.realm), **_columns(made)):
        raise AlreadyExists(
            f"Authorizer {name} already exists.", resourceId=name, resourceArn=act.realm.arn("authorizer", name)
        )
    return made


def find(tx: Tx, realm: Realm, name: str) -> Authorizer | None:
    rows = tx.rows("SELECT * FROM authorizers WHERE realm = :realm AND name = :name", realm=str(realm), name=name)
    return _authorizer(rows[0]) if rows else None


def get(tx: Tx, realm: Realm, name: str) -> Authorizer:
    """Raises NotFound."""
    if found := find(tx, realm, name):
        return found
    raise NotFound(f"Authorizer {name} does not exist in this account and region.")


def find_default(tx: Tx, realm: Realm) -> Authorizer | None:
    """The one for connections that name none."""
    rows = tx.rows("SELECT * FROM authorizers WHERE realm = :realm AND is_default = 1", realm=str(realm))
    return _authorizer(rows[0]) if rows else None


def find_everywhere(tx: Tx, name: str | None) -> list[tuple[Realm, Authorizer]]:
    """At most two of the installation's authorizers of this name, or for None of the default ones."""
    if name is None:
        rows = tx.rows("SELECT * FROM authorizers WHERE is_default = 1 LIMIT 2")
    else:
        rows = tx.rows("SELECT * FROM authorizers WHERE name = :name LIMIT 2", name=name)
    return [(Realm.parse(row["realm"]), _authorizer(row)) for row in rows]


def update(tx: Tx, act: Act, changed: Authorizer) -> Authorizer:
    """Put *changed*, which has a known name, in the place of what there is. Raises NotFound."""
    get(tx, act.realm, changed.name)
    changed = replace(changed, updated_at=act.now)
    tx.run(
        """UPDATE authorizers SET function_arn = :function_arn, token_key_name = :token_key_name,
               token_keys = :token_keys, status = :status, cached_for_http = :cached_for_http, updated_at = :now
           WHERE realm = :realm AND name = :name""",
        realm=str(act.realm),
        name=changed.name,
        function_arn=changed.function_arn,
        token_key_name=changed.token_key_name,
        token_keys=json.dumps(dict(changed.token_keys)),
        status=changed.status,
        cached_for_http=int(changed.cached_for_http),
        now=act.now,
    )
    return changed


def delete(tx: Tx, act: Act, name: str) -> None:
    """Raises NotFound, and DeleteConflict while it is ACTIVE, the default, or that of a domain configuration."""
    found = get(tx, act.realm, name)
    values = {"realm": str(act.realm), "name": name}
    if found.status is Status.ACTIVE:
        raise DeleteConflict(f"Authorizer {name} is ACTIVE. Make it INACTIVE first (UpdateAuthorizer).")
    if found.is_default:
        raise DeleteConflict(f"Authorizer {name} is the default one. Clear that first (ClearDefaultAuthorizer).")
    users = tx.rows(
        "SELECT name FROM domain_configurations WHERE realm = :realm AND default_authorizer = :name", **values
    )
    if users:
        raise DeleteConflict(f"Authorizer {name} is the default one of domain configuration {users[0]['name']}.")
    tx.run("DELETE FROM authorizers WHERE realm = :realm AND name = :name", **values)
    tags.forget(tx, act, "authorizer", name)


def set_default(tx: Tx, act: Act, name: str) -> None:
    """Once more changes nothing. Raises NotFound, and AlreadyExists while another one is the default."""
    get(tx, act.realm, name)
    present = find_default(tx, act.realm)
    if present is not None and present.name != name:
        raise AlreadyExists(
            f"Authorizer {present.name} is the default one. Clear that first (ClearDefaultAuthorizer).",
            resourceId=present.name,
            resourceArn=act.realm.arn("authorizer", present.name),
        )
    tx.run(
        "UPDATE authorizers SET is_default = 1 WHERE realm = :realm AND name = :name", realm=str(act.realm), name=name
    )


def clear_default(tx: Tx, act: Act) -> None:
    """Raises NotFound where there is none."""
    present = find_default(tx, act.realm)
    if present is None:
        raise NotFound("There is no default authorizer in this account and region.")
    tx.run(
        "UPDATE authorizers SET is_default = 0 WHERE realm = :realm AND name = :name",
        realm=str(act.realm),
        name=present.name,
    )


def page(
    tx: Tx,
    realm: Realm,
    after: str | None = None,
    limit: int = 25,
    *,
    ascending: bool = False,
    status: Status | None = None,
) -> Page[Authorizer]:
    """By creation, newest first unless *ascending*."""
    where, order, values = pages.by_creation(after, "name", ascending)
    if status is not None:
        where.append("status = :status")
        values["status"] = status
    return pages.read(
        tx,
        "SELECT * FROM authorizers",
        ["realm = :realm", *where],
        order,
        limit,
        _authorizer,
        lambda row: pages.moment_key(row["created_at"], row["name"]),
        realm=str(realm),
        **values,
    )


def _all(tx: Tx, realm: Realm) -> list[Row]:
    """There are never more than `MOST`."""
    return tx.rows("SELECT name FROM authorizers WHERE realm = :realm LIMIT 10", realm=str(realm))


def _columns(authorizer: Authorizer) -> dict[str, Any]:
    return {
        "name": authorizer.name,
        "function_arn": authorizer.function_arn,
        "token_key_name": authorizer.token_key_name,
        "token_keys": json.dumps(dict(authorizer.token_keys)),
        "status": authorizer.status,
        "signing_disabled": int(authorizer.signing_disabled),
        "cached_for_http": int(authorizer.cached_for_http),
        "is_default": int(authorizer.is_default),
        "created_at": authorizer.created_at,
        "updated_at": authorizer.updated_at,
    }


def _authorizer(row: Row) -> Authorizer:
    return Authorizer(
        row["name"],
        row["function_arn"],
        row["token_key_name"],
        json.loads(row["token_keys"]),
        Status(row["status"]),
        row["signing_disabled"] == 1,
        row["cached_for_http"] == 1,
        row["is_default"] == 1,
        row["created_at"],
        row["updated_at"],
    )
