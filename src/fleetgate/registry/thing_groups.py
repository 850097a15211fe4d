"""Thing groups, and the members of static ones (CreateThingGroup ... AddThingToThingGroup, ListThingsInThingGroup ...).

A group's parent is given once and never changes, so a group is known by its path: every name from the root down, each
followed by a slash. What lies below a group is then one range of paths.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fleetgate import names
from fleetgate.database.port import Row, Tx
from fleetgate.errors import AlreadyExists, InvalidRequest, NotFound, VersionConflict
from fleetgate.names import Act, Realm
from fleetgate.registry import attributes as attribute_rules
from fleetgate.registry import outbox, pages, statements, tags, things
from fleetgate.registry.events import GroupMembershipChanged, ThingGroupChanged, ThingGroupDeleted
from fleetgate.registry.pages import Page

MOST_LEVELS: Final = 7
MOST_CHILDREN: Final = 100
MOST_ATTRIBUTES: Final = 50
MOST_GROUPS_OF_A_THING: Final = 10


@dataclass(frozen=True, slots=True)
class ThingGroup:
    name: str
    group_id: str
    parent_name: str | None
    path: str
    """Every name from the root to this group, each followed by a slash."""
    description: str
    attributes: Mapping[str, str]
    version: int
    created_at: int
    query: str | None = None
    """What a dynamic group finds; None in a static one."""

    @property
    def root(self) -> str:
        """The name on top, which may be this group's own."""
        return self.path.partition("/")[0]

    @property
    def ancestors(self) -> tuple[str, ...]:
        """The names above this group, root first."""
        return tuple(self.path.split("/")[:-2])


def create(
    tx: Tx,
    act: Act,
    name: str,
    *,
    parent: str | None = None,
    description: str = "",
    attributes: Mapping[str, str] | None = None,
    query: str | None = None,
) -> ThingGroup:
    """A new group, dynamic with a *query*; the same again gives the one there is.

    Raises AlreadyExists when that differs, NotFound for an unknown parent, InvalidRequest for bad names and for more
    than seven levels, 100 children or 50 attributes.
    """
    names.check("thing_group", name)
    wanted = attribute_rules.changed({}, attributes, False, MOST_ATTRIBUTES, "A thing group")
    if existing := find(tx, act.realm, name):
        return _same(act, existing, (parent, description, wanted, query))
    path = f"{name}/" if parent is None else f"{_parent(tx, act.realm, parent).path}{name}/"
    statements.insert(
        tx,
        "thing_groups",
        realm=str(act.realm),
        name=name,
        group_id=act.id_for("thing_group", name),
        parent_name=parent,
        path=path,
        description=description,
        attributes=json.dumps(wanted),
        version=1,
        created_at=act.now,
        query=query,
    )
    made = get(tx, act.realm, name)
    outbox.add(tx, act, ThingGroupChanged("CREATED", name, told(tx, act.realm, made)))
    return made


def told(tx: Tx, realm: Realm, group: ThingGroup) -> dict[str, Any]:
    """A group as events tell of it."""
    above = [get(tx, realm, name) for name in group.ancestors]
    return {
        "id": group.group_id,
        "version": group.version,
        "parent": [above[-1].name, above[-1].group_id] if above else None,
        "root_to_parent": [[each.name, each.group_id] for each in above],
        "description": group.description,
        "attributes": dict(group.attributes),
        "dynamic": group.query is not None,
    }


def find(tx: Tx, realm: Realm, name: str) -> ThingGroup | None:
    rows = tx.rows("SELECT * FROM thing_groups WHERE realm = :realm AND name = :name", realm=str(realm), name=name)
    return _group(rows[0]) if rows else None


def get(tx: Tx, realm: Realm, name: str) -> ThingGroup:
    """Raises NotFound."""
    if found := find(tx, realm, name):
        return found
    raise NotFound(f"Thing group {name} does not exist in this account.")


def static(tx: Tx, realm: Realm, name: str) -> ThingGroup:
    """Raises NotFound, and InvalidRequest for a dynamic group, which has no parent, children, policies or members
    that somebody puts there.
    """
    group = get(tx, realm, name)
    if group.query is None:
        return group
    raise InvalidRequest(f"Thing group {name} is a dynamic group: its query alone says what is in it.")


def update(
    tx: Tx,
    act: Act,
    name: str,
    *,
    description: str | None = None,
    attributes: Mapping[str, str] | None = None,
    merge: bool = False,
    query: str | None = None,
    expected_version: int | None = None,
) -> ThingGroup:
    """Another description, other attributes (as for things), another query of a dynamic group.

    Raises NotFound, VersionConflict, InvalidRequest.
    """
    old = get(tx, act.realm, name)
    _expect(old, expected_version)
    wanted = attribute_rules.changed(old.attributes, attributes, merge, MOST_ATTRIBUTES, "A thing group")
    tx.run(
        """UPDATE thing_groups
           SET description = :description, attributes = :attributes, query = :query, version = :version
           WHERE realm = :realm AND name = :name""",
        realm=str(act.realm),
        name=name,
        description=old.description if description is None else description,
        attributes=json.dumps(wanted),
        query=old.query if query is None else query,
        version=old.version + 1,
    )
    new = get(tx, act.realm, name)
    outbox.add(tx, act, ThingGroupChanged("UPDATED", name, told(tx, act.realm, new)))
    return new


def delete(tx: Tx, act: Act, name: str, *, expected_version: int | None = None) -> None:
    """A group that is not there is deleted already. Memberships and attached policies go with it, things stay.

    Raises VersionConflict, and InvalidRequest while there are child groups.
    """
    group = find(tx, act.realm, name)
    if group is None:
        return
    _expect(group, expected_version)
    values = {"realm": str(act.realm), "name": name}
    if tx.rows("SELECT name FROM thing_groups WHERE realm = :realm AND parent_name = :name LIMIT 1", **values):
        # The space in front is AWS's.
        raise InvalidRequest(f" Cannot delete thing group : {name} when there are still child groups attached to it")
    was = told(tx, act.realm, group)
    tx.run("DELETE FROM thing_groups WHERE realm = :realm AND name = :name", **values)
    tags.forget(tx, act, "thinggroup", name)
    outbox.add(tx, act, ThingGroupDeleted(name, was))


def page(
    tx: Tx,
    realm: Realm,
    after: str | None = None,
    limit: int = 25,
    *,
    parent: str | None = None,
    recursive: bool = True,
    prefix: str = "",
) -> Page[ThingGroup]:
    """Groups by name, below *parent* where one is given, whose name begins with *prefix*.

    Without *recursive* only the direct children of *parent* (or only roots), with it all levels; a branch comes by
    path, parents before children. Raises NotFound for an unknown parent, InvalidRequest.
    """
    low, high = pages.beginning(names.check("thing_group", prefix) if prefix else "")
    values: dict[str, Any] = {"realm": str(realm), "after": pages.name_after(after)}
    if parent is not None and recursive:
        return _branch(tx, get(tx, realm, parent), prefix, limit, values)
    where = ["realm = :realm", "name > :after"]
    if prefix:
        where += ["name >= :low", "name < :high"]
        values |= {"low": low, "high": high}
    if parent is not None:
        where.append("parent_name = :parent")
        values["parent"] = get(tx, realm, parent).name
    elif not recursive:
        where.append("parent_name IS NULL")
    return _read(tx, where, "name", limit, values)


def _branch(tx: Tx, top: ThingGroup, prefix: str, limit: int, values: dict[str, Any]) -> Page[ThingGroup]:
    where = ["realm = :realm", "path > :after", "path < :end"]
    values |= {"after": max(top.path, values["after"]), "end": _end(top.path)}
    if prefix:
        where.append("substr(name, 1, CAST(:length AS INTEGER)) = :prefix")
        values |= {"length": len(prefix), "prefix": prefix}
    return _read(tx, where, "path", limit, values)


def _read(tx: Tx, where: list[str], order: str, limit: int, values: Mapping[str, Any]) -> Page[ThingGroup]:
    select = "SELECT * FROM thing_groups"
    return pages.read(tx, select, where, order, limit, _group, lambda row: str(row[order]), **values)


def add_thing(tx: Tx, act: Act, group_name: str, thing_name: str) -> None:
    """AddThingToThingGroup. Once more changes nothing.

    Raises NotFound, and InvalidRequest when the thing is in another group of that hierarchy or in ten groups already.
    """
    group = static(tx, act.realm, group_name)
    thing = things.get(tx, act.realm, thing_name)
    root = group.root
    members = tx.rows(
        "SELECT root_name, group_name FROM thing_group_members WHERE realm = :realm AND thing_name = :thing",
        realm=str(act.realm),
        thing=thing_name,
    )
    joined = {row["root_name"]: row["group_name"] for row in members}
    if joined.get(root) == group_name:
        return
    if root in joined:
        raise InvalidRequest(
            f"Thing {thing_name} is in group {joined[root]} of the same hierarchy. Remove it from there first."
        )
    if len(joined) >= MOST_GROUPS_OF_A_THING:
        raise InvalidRequest(f"Thing {thing_name} is in {MOST_GROUPS_OF_A_THING} groups already, which is the most.")
    statements.insert(
        tx,
        "thing_group_members",
        realm=str(act.realm),
        thing_name=thing_name,
        root_name=root,
        group_name=group_name,
        group_path=group.path,
        added_at=act.now,
    )
    outbox.add(tx, act, GroupMembershipChanged(group_name, thing_name, True, group.group_id, thing.thing_id))


def remove_thing(tx: Tx, act: Act, group_name: str, thing_name: str) -> None:
    """RemoveThingFromThingGroup. A thing that is no member is removed already. Raises NotFound."""
    group = static(tx, act.realm, group_name)
    thing = things.get(tx, act.realm, thing_name)
    if tx.run(
        """DELETE FROM thing_group_members
           WHERE realm = :realm AND thing_name = :thing AND root_name = :root AND group_name = :group_name""",
        realm=str(act.realm),
        thing=thing_name,
        root=group.root,
        group_name=group_name,
    ):
        outbox.add(tx, act, GroupMembershipChanged(group_name, thing_name, False, group.group_id, thing.thing_id))


def page_things(
    tx: Tx, realm: Realm, group_name: str, after: str | None = None, limit: int = 25, *, recursive: bool = False
) -> Page[str]:
    """ListThingsInThingGroup: names of the things in a group, or with *recursive* in it and all below, group by group.

    Raises NotFound, InvalidRequest.
    """
    group = get(tx, realm, group_name)
    group_path, _, thing_name = pages.name_after(after).rpartition("/")
    values: dict[str, Any] = {"realm": str(realm), "root": group.root, "path": group.path, "after": thing_name}
    where = ["realm = :realm", "root_name = :root"]
    if recursive:
        values["path"] = max(group.path, f"{group_path}/") if group_path else group.path
        values["end"] = _end(group.path)
        where += ["(group_path, thing_name) > (:path, :after)", "group_path < :end"]
    else:
        where += ["group_path = :path", "thing_name > :after"]
    return pages.read(
        tx,
        "SELECT group_path, thing_name FROM thing_group_members",
        where,
        "group_path, thing_name",
        limit,
        lambda row: str(row["thing_name"]),
        lambda row: f"{row['group_path']}{row['thing_name']}",
        **values,
    )


def groups_of(tx: Tx, realm: Realm, thing_name: str) -> list[str]:
    """ListThingGroupsForThing: names of the groups, at most ten, that a thing was added to. Raises NotFound."""
    things.get(tx, realm, thing_name)
    rows = tx.rows(
        """SELECT group_name FROM thing_group_members WHERE realm = :realm AND thing_name = :thing
           ORDER BY group_name""",
        realm=str(realm),
        thing=thing_name,
    )
    return [row["group_name"] for row in rows]


def _end(path: str) -> str:
    """What follows every path that begins with *path*: `0` comes after `/`."""
    return path[:-1] + "0"


def _parent(tx: Tx, realm: Realm, name: str) -> ThingGroup:
    parent = static(tx, realm, name)
    if parent.path.count("/") >= MOST_LEVELS:
        raise InvalidRequest(
            f"Thing group {name} is on level {MOST_LEVELS}, which is the deepest; it takes no children."
        )
    children = tx.rows(
        "SELECT count(*) AS number FROM thing_groups WHERE realm = :realm AND parent_name = :name",
        realm=str(realm),
        name=name,
    )
    if children[0]["number"] >= MOST_CHILDREN:
        raise InvalidRequest(f"Thing group {name} has {MOST_CHILDREN} child groups already, which is the most.")
    return parent


def _same(act: Act, existing: ThingGroup, wanted: tuple[str | None, str, Mapping[str, str], str | None]) -> ThingGroup:
    if (existing.parent_name, existing.description, existing.attributes, existing.query) == wanted:
        return existing
    raise AlreadyExists(
        f"Thing Group {existing.name} already exists in current account with different properties",
        resourceId=existing.group_id,
        resourceArn=act.realm.arn("thinggroup", existing.name),
    )


def _expect(group: ThingGroup, version: int | None) -> None:
    if version is not None and version != group.version:
        raise VersionConflict(f"The version for thing group {group.name} does not match the expected version.")


def _group(row: Row) -> ThingGroup:
    return ThingGroup(
        name=row["name"],
        group_id=row["group_id"],
        parent_name=row["parent_name"],
        path=row["path"],
        description=row["description"],
        attributes=json.loads(row["attributes"]),
        version=row["version"],
        created_at=row["created_at"],
        query=row["query"],
    )
