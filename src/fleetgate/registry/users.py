"""Users of an account (IAM: CreateUser, GetUser, ListUsers, DeleteUser): people and programs with keys of their own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from fleetgate import names
from fleetgate.database.port import Row, Tx
from fleetgate.errors import AlreadyExists, DeleteConflict, NotFound
from fleetgate.names import Act
from fleetgate.registry import access_keys, identities, pages, permissions, statements
from fleetgate.registry.pages import Page


@dataclass(frozen=True, slots=True)
class User:
    account: str
    name: str
    user_id: str
    """AIDA and 17 letters or digits; a later user of the same name has another."""
    path: str
    tags: Mapping[str, str]
    created_at: int

    @property
    def arn(self) -> str:
        return names.iam_arn(self.account, "user", self.path, self.name)


def create(tx: Tx, act: Act, name: str, *, path: str = "/", tags: Mapping[str, str] | None = None) -> User:
    """Raises AlreadyExists (for a name that differs in case alone as well), InvalidRequest for a bad name or tag."""
    names.check("user", name)
    account = act.realm.account
    made = User(account, name, identities.unique_id(act, "AIDA", name), path, identities.checked(tags or {}), act.now)
    if not statements.insert_new(
        tx,
        "users",
        account=account,
        name=name,
        folded=name.lower(),
        user_id=made.user_id,
        path=path,
        tags=json.dumps(dict(made.tags)),
        created_at=act.now,
    ):
        raise AlreadyExists(f"User with name {name} already exists.")
    return made


def find(tx: Tx, account: str, name: str) -> User | None:
    rows = tx.rows("SELECT * FROM users WHERE account = :account AND name = :name", account=account, name=name)
    return _user(rows[0]) if rows else None


def get(tx: Tx, account: str, name: str) -> User:
    """Raises NotFound."""
    if found := find(tx, account, name):
        return found
    raise NotFound(f"The user with name {name} cannot be found.")


def set_tags(tx: Tx, act: Act, name: str, tags: Mapping[str, str]) -> None:
    """In place of those it has. Raises NotFound, InvalidRequest."""
    get(tx, act.realm.account, name)
    tx.run(
        "UPDATE users SET tags = :tags WHERE account = :account AND name = :name",
        account=act.realm.account,
        name=name,
        tags=json.dumps(identities.checked(tags)),
    )


def delete(tx: Tx, act: Act, name: str) -> None:
    """Raises NotFound, and DeleteConflict while it has access keys or policies."""
    account = act.realm.account
    get(tx, account, name)
    if access_keys.of_user(tx, account, name):
        raise DeleteConflict("Cannot delete entity, must delete access keys first.")
    permissions.must_have_none(tx, account, permissions.user(name))
    tx.run("DELETE FROM users WHERE account = :account AND name = :name", account=account, name=name)


def page(tx: Tx, account: str, after: str | None = None, limit: int = 25, *, path: str = "/") -> Page[User]:
    """Those under *path*, by name."""
    return pages.read(
        tx,
        "SELECT * FROM users",
        ["account = :account", "name > :after", "path >= :path", "path < :beyond"],
        "name",
        limit,
        _user,
        lambda row: str(row["name"]),
        account=account,
        after=pages.name_after(after),
        path=path,
        beyond=f"{path}\x7f",
    )


def _user(row: Row) -> User:
    return User(row["account"], row["name"], row["user_id"], row["path"], json.loads(row["tags"]), row["created_at"])
