"""Roles of an account (IAM: CreateRole, GetRole, UpdateRole, UpdateAssumeRolePolicy, DeleteRole).

The trust policy is text here; whether it is one is judged by `fleetgate.policy` before it comes down.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fleetgate import names
from fleetgate.database.port import Row, Tx
from fleetgate.errors import AlreadyExists, NotFound
from fleetgate.names import Act
from fleetgate.registry import identities, pages, permissions, statements
from fleetgate.registry.pages import Page

SESSION_SECONDS: Final = 3600
"""A session's longest life unless the role says otherwise."""


@dataclass(frozen=True, slots=True)
class Role:
    account: str
    name: str
    role_id: str
    """AROA and 17 letters or digits; a later role of the same name has another."""
    path: str
    description: str
    longest_session: int
    """Seconds."""
    trust: str
    tags: Mapping[str, str]
    created_at: int

    @property
    def arn(self) -> str:
        return names.iam_arn(self.account, "role", self.path, self.name)


def create(
    tx: Tx,
    act: Act,
    name: str,
    trust: str,
    *,
    path: str = "/",
    description: str = "",
    longest_session: int = SESSION_SECONDS,
    tags: Mapping[str, str] | None = None,
) -> Role:
    """Raises AlreadyExists (for a name that differs in case alone as well), InvalidRequest for a bad name or tag."""
    names.check("role", name)
    if not statements.insert_new(
        tx,
        "roles",
        account=act.realm.account,
        name=name,
        folded=name.lower(),
        role_id=identities.unique_id(act, "AROA", name),
        path=path,
        description=description,
        longest_session=longest_session,
        trust=trust,
        tags=json.dumps(identities.checked(tags or {})),
        created_at=act.now,
    ):
        raise AlreadyExists(f"Role with name {name} already exists.")
    return get(tx, act.realm.account, name)


def find(tx: Tx, account: str, name: str) -> Role | None:
    rows = tx.rows("SELECT * FROM roles WHERE account = :account AND name = :name", account=account, name=name)
    return _role(rows[0]) if rows else None


def find_by_arn(tx: Tx, arn: str) -> Role | None:
    """The role whose whole ARN, path and all, is *arn*."""
    parts = names.iam_parts(arn)
    found = find(tx, parts[0], parts[3]) if parts and parts[1] == "role" else None
    return found if found and found.arn == arn else None


def get(tx: Tx, account: str, name: str) -> Role:
    """Raises NotFound."""
    if found := find(tx, account, name):
        return found
    raise NotFound(f"The role with name {name} cannot be found.")


def set_trust(tx: Tx, act: Act, name: str, trust: str) -> None:
    """Raises NotFound."""
    get(tx, act.realm.account, name)
    _set(tx, act, name, "trust", trust)


def update(tx: Tx, act: Act, name: str, *, description: str | None = None, longest_session: int | None = None) -> Role:
    """What is None stays as it is. Raises NotFound."""
    get(tx, act.realm.account, name)
    if description is not None:
        _set(tx, act, name, "description", description)
    if longest_session is not None:
        _set(tx, act, name, "longest_session", longest_session)
    return get(tx, act.realm.account, name)


def set_tags(tx: Tx, act: Act, name: str, tags: Mapping[str, str]) -> None:
    """In place of those it has. Raises NotFound, InvalidRequest."""
    get(tx, act.realm.account, name)
    _set(tx, act, name, "tags", json.dumps(identities.checked(tags)))


_SETTERS: Final = {
    column: f"UPDATE roles SET {column} = :value WHERE account = :account AND name = :name"  # noqa: S608 # these four
    for column in ("trust", "description", "longest_session", "tags")
}


def _set(tx: Tx, act: Act, name: str, column: str, value: str | int) -> None:
    tx.run(_SETTERS[column], account=act.realm.account, name=name, value=value)


def delete(tx: Tx, act: Act, name: str) -> None:
    """Its sessions end with it. Raises NotFound, and DeleteConflict while it has policies."""
    account = act.realm.account
    get(tx, account, name)
    permissions.must_have_none(tx, account, permissions.role(name))
    tx.run("DELETE FROM roles WHERE account = :account AND name = :name", account=account, name=name)


def page(tx: Tx, account: str, after: str | None = None, limit: int = 25, *, path: str = "/") -> Page[Role]:
    """Those under *path*, by name."""
    return pages.read(
        tx,
        "SELECT * FROM roles",
        ["account = :account", "name > :after", "path >= :path", "path < :beyond"],
        "name",
        limit,
        _role,
        lambda row: str(row["name"]),
        account=account,
        after=pages.name_after(after),
        path=path,
        beyond=f"{path}\x7f",
    )


def _role(row: Row) -> Role:
    return Role(
        account=row["account"],
        name=row["name"],
        role_id=row["role_id"],
        path=row["path"],
        description=row["description"],
        longest_session=row["longest_session"],
        trust=row["trust"],
        tags=json.loads(row["tags"]),
        created_at=row["created_at"],
    )
