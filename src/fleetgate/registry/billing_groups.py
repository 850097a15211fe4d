"""Billing groups and their things (CreateBillingGroup ... AddThingToBillingGroup, ListThingsInBillingGroup).

A thing is in one billing group or in none. Things are named here and looked up by the caller.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fleetgate import names
from fleetgate.database.port import Row, Tx
from fleetgate.errors import AlreadyExists, NotFound, VersionConflict
from fleetgate.names import Act, Realm
from fleetgate.registry import pages, statements, tags
from fleetgate.registry.pages import Page


@dataclass(frozen=True, slots=True)
class BillingGroup:
    name: str
    group_id: str
    description: str
    version: int
    """Starts at 1, one more with each update."""
    created_at: int


def create(tx: Tx, act: Act, name: str, *, description: str = "") -> BillingGroup:
    """A new group; the same again gives the one there is. Raises AlreadyExists when that differs, InvalidRequest."""
    names.check("billing_group", name)
    group = BillingGroup(name, act.id_for("billing_group", name), description, 1, act.now)
    if statements.insert_new(
        tx,
        "billing_groups",
        realm=str(act.realm),
        name=name,
        group_id=group.group_id,
        description=description,
        version=1,
        created_at=act.now,
    ):
        return group
    existing = get(tx, act.realm, name)
    if existing.description != description:
        raise AlreadyExists(
            f"Billing group {name} already exists in this account with different properties.",
            resourceId=existing.group_id,
            resourceArn=act.realm.arn("billinggroup", name),
        )
    return existing


def find(tx: Tx, realm: Realm, name: str) -> BillingGroup | None:
    rows = tx.rows("SELECT * FROM billing_groups WHERE realm = :realm AND name = :name", realm=str(realm), name=name)
    return _group(rows[0]) if rows else None


def get(tx: Tx, realm: Realm, name: str) -> BillingGroup:
    """Raises NotFound."""
    if found := find(tx, realm, name):
        return found
    raise NotFound(f"Billing group {name} does not exist in this account.")


def update(
    tx: Tx, act: Act, name: str, *, description: str | None = None, expected_version: int | None = None
) -> BillingGroup:
    """Another description; None leaves it. Raises NotFound, VersionConflict."""
    old = get(tx, act.realm, name)
    _expect(old, expected_version)
    tx.run(
        """UPDATE billing_groups SET description = :description, version = version + 1
           WHERE realm = :realm AND name = :name""",
        realm=str(act.realm),
        name=name,
        description=old.description if description is None else description,
    )
    return get(tx, act.realm, name)


def delete(tx: Tx, act: Act, name: str, *, expected_version: int | None = None) -> None:
    """A group that is not there is deleted already. Its things stay, in no billing group. Raises VersionConflict."""
    group = find(tx, act.realm, name)
    if group is None:
        return
    _expect(group, expected_version)
    tx.run("DELETE FROM billing_groups WHERE realm = :realm AND name = :name", realm=str(act.realm), name=name)
    tags.forget(tx, act, "billinggroup", name)


def page(tx: Tx, realm: Realm, after: str | None = None, limit: int = 25, *, prefix: str = "") -> Page[BillingGroup]:
    """By name, those whose name begins with *prefix*. Raises InvalidRequest."""
    values: dict[str, Any] = {"realm": str(realm), "after": pages.name_after(after)}
    where = ["realm = :realm", "name > :after"]
    if prefix:
        values["low"], values["high"] = pages.beginning(names.check("billing_group", prefix))
        where += ["name >= :low", "name < :high"]
    select = "SELECT * FROM billing_groups"
    return pages.read(tx, select, where, "name", limit, _group, lambda row: str(row["name"]), **values)


def add_thing(tx: Tx, act: Act, name: str, thing_name: str) -> None:
    """AddThingToBillingGroup of a thing that exists: out of the one it was in, into this. Raises NotFound."""
    get(tx, act.realm, name)
    tx.run(
        """INSERT INTO billing_group_members (realm, thing_name, group_name, added_at)
           VALUES (:realm, :thing, :name, :now)
           ON CONFLICT (realm, thing_name) DO UPDATE SET group_name = :name, added_at = :now""",
        realm=str(act.realm),
        thing=thing_name,
        name=name,
        now=act.now,
    )


def remove_thing(tx: Tx, act: Act, name: str, thing_name: str) -> None:
    """RemoveThingFromBillingGroup. A thing that is not in it is removed already. Raises NotFound for the group."""
    get(tx, act.realm, name)
    tx.run(
        "DELETE FROM billing_group_members WHERE realm = :realm AND thing_name = :thing AND group_name = :name",
        realm=str(act.realm),
        thing=thing_name,
        name=name,
    )


def of_thing(tx: Tx, realm: Realm, thing_name: str) -> str | None:
    """The name of the group that a thing is in."""
    rows = tx.rows(
        "SELECT group_name FROM billing_group_members WHERE realm = :realm AND thing_name = :thing",
        realm=str(realm),
        thing=thing_name,
    )
    return str(rows[0]["group_name"]) if rows else None


def page_things(tx: Tx, realm: Realm, name: str, after: str | None = None, limit: int = 25) -> Page[str]:
    """ListThingsInBillingGroup: names of things. Raises NotFound, InvalidRequest."""
    get(tx, realm, name)
    return pages.read(
        tx,
        "SELECT thing_name FROM billing_group_members",
        ["realm = :realm", "group_name = :name", "thing_name > :after"],
        "thing_name",
        limit,
        _thing_name,
        _thing_name,
        realm=str(realm),
        name=name,
        after=pages.name_after(after),
    )


def _thing_name(row: Row) -> str:
    return str(row["thing_name"])


def _expect(group: BillingGroup, version: int | None) -> None:
    if version is not None and version != group.version:
        raise VersionConflict(f"The version for billing group {group.name} does not match the expected version.")


def _group(row: Row) -> BillingGroup:
    return BillingGroup(row["name"], row["group_id"], row["description"], row["version"], row["created_at"])
