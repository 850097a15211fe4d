"""Role aliases (CreateRoleAlias ... ListRoleAliases): names under which devices get temporary credentials of a role."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fleetgate import names
from fleetgate.database.port import Row, Tx
from fleetgate.errors import AlreadyExists, InvalidRequest, LimitExceeded, NotFound
from fleetgate.names import Act, Realm
from fleetgate.registry import pages, statements, tags
from fleetgate.registry.pages import Page

MOST: Final = 100
"""In an account and region."""
SECONDS: Final = 3600
"""How long credentials last unless the alias says otherwise."""


@dataclass(frozen=True, slots=True)
class RoleAlias:
    realm: Realm
    name: str
    role_arn: str
    duration: int
    """Seconds."""
    created_at: int
    updated_at: int

    @property
    def arn(self) -> str:
        return self.realm.arn("rolealias", self.name)


def create(tx: Tx, act: Act, name: str, role_arn: str, *, duration: int = SECONDS) -> RoleAlias:
    """Raises AlreadyExists whatever the rest, LimitExceeded, InvalidRequest (a bad name, another account's role)."""
    names.check("role_alias", name)
    _of_the_account(act, role_arn)
    rows = tx.rows("SELECT count(*) AS number FROM role_aliases WHERE realm = :realm", realm=str(act.realm))
    if rows[0]["number"] >= MOST and find(tx, act.realm, name) is None:
        raise LimitExceeded(f"This account and region have {MOST} role aliases already, which is the most. Delete one.")
    if not statements.insert_new(
        tx,
        "role_aliases",
        realm=str(act.realm),
        name=name,
        role_arn=role_arn,
        duration=duration,
        created_at=act.now,
        updated_at=act.now,
    ):
        raise AlreadyExists(
            f"RoleAlias cannot be created - already exists (name={name})",
            resourceId=name,
            resourceArn=act.realm.arn("rolealias", name),
        )
    return get(tx, act.realm, name)


def find(tx: Tx, realm: Realm, name: str) -> RoleAlias | None:
    rows = tx.rows("SELECT * FROM role_aliases WHERE realm = :realm AND name = :name", realm=str(realm), name=name)
    return _role_alias(rows[0]) if rows else None


def get(tx: Tx, realm: Realm, name: str) -> RoleAlias:
    """Raises NotFound."""
    if found := find(tx, realm, name):
        return found
    raise NotFound(f"RoleAlias not found (name= {name})")


def update(tx: Tx, act: Act, name: str, *, role_arn: str | None = None, duration: int | None = None) -> RoleAlias:
    """What is None stays as it is. Raises NotFound, InvalidRequest for no role of the account."""
    known = get(tx, act.realm, name)
    if role_arn is not None:
        _of_the_account(act, role_arn)
    tx.run(
        """UPDATE role_aliases SET role_arn = :role_arn, duration = :duration, updated_at = :now
           WHERE realm = :realm AND name = :name""",
        realm=str(act.realm),
        name=name,
        role_arn=known.role_arn if role_arn is None else role_arn,
        duration=known.duration if duration is None else duration,
        now=act.now,
    )
    return get(tx, act.realm, name)


def delete(tx: Tx, act: Act, name: str) -> None:
    """Raises NotFound."""
    get(tx, act.realm, name)
    tx.run("DELETE FROM role_aliases WHERE realm = :realm AND name = :name", realm=str(act.realm), name=name)
    tags.forget(tx, act, "rolealias", name)


def page(
    tx: Tx, realm: Realm, after: str | None = None, limit: int = 25, *, ascending: bool = False
) -> Page[RoleAlias]:
    """By creation, newest first unless *ascending*."""
    where, order, values = pages.by_creation(after, "name", ascending)
    return pages.read(
        tx,
        "SELECT * FROM role_aliases",
        ["realm = :realm", *where],
        order,
        limit,
        _role_alias,
        lambda row: pages.moment_key(row["created_at"], row["name"]),
        realm=str(realm),
        **values,
    )


def _of_the_account(act: Act, role_arn: str) -> None:
    """Nobody may hand the role of another account to a service."""
    parts = names.iam_parts(role_arn)
    if parts is None or parts[:2] != (act.realm.account, "role"):
        raise InvalidRequest(f"The roleArn is that of a role of this account, not {role_arn!r}.")


def _role_alias(row: Row) -> RoleAlias:
    return RoleAlias(
        realm=Realm.parse(row["realm"]),
        name=row["name"],
        role_arn=row["role_arn"],
        duration=row["duration"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
