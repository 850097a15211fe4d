"""Things (CreateThing, DescribeThing, UpdateThing, DeleteThing, ListThings)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fleetgate import names
from fleetgate.database.port import Row, Tx
from fleetgate.errors import AlreadyExists, InvalidRequest, NotFound, VersionConflict
from fleetgate.names import Act, Realm
from fleetgate.registry import attributes as attribute_rules
from fleetgate.registry import billing_groups, outbox, pages, statements, thing_types
from fleetgate.registry.events import ThingCreated, ThingDeleted, ThingUpdated
from fleetgate.registry.pages import Page
from fleetgate.search.values import lowered, stored

MOST_ATTRIBUTES_UNTYPED: Final = 3
MOST_ATTRIBUTES: Final = 50


@dataclass(frozen=True, slots=True)
class Thing:
    name: str
    thing_id: str
    type_name: str | None
    attributes: Mapping[str, str]
    version: int
    """Starts at 1, one more with each update."""
    created_at: int
    updated_at: int


def create(
    tx: Tx,
    act: Act,
    name: str,
    *,
    type_name: str | None = None,
    attributes: Mapping[str, str] | None = None,
    billing_group: str | None = None,
) -> Thing:
    """A new thing; the same again gives the one there is.

    Raises AlreadyExists when that differs, NotFound for an unknown type or billing group, InvalidRequest for bad names,
    too many attributes or a deprecated type.
    """
    names.check("thing", name)
    wanted = _changed({}, attributes, False, type_name)
    if type_name is not None:
        if existing := find(tx, act.realm, name):
            return _same(tx, act, existing, type_name, wanted, billing_group)
        thing_types.usable(tx, act.realm, type_name)
    thing = Thing(name, act.id_for("thing", name), type_name, wanted, 1, act.now, act.now)
    if not statements.insert_new(
        tx,
        "things",
        realm=str(act.realm),
        name=name,
        folded_name=lowered(name),
        thing_id=thing.thing_id,
        type_name=type_name,
        attributes=json.dumps(wanted),
        version=1,
        created_at=act.now,
        updated_at=act.now,
    ):
        return _same(tx, act, get(tx, act.realm, name), type_name, wanted, billing_group)
    _index(tx, act, name, wanted)
    if billing_group is not None:
        billing_groups.add_thing(tx, act, billing_group, name)
    outbox.add(tx, act, ThingCreated(name, thing.thing_id, type_name, wanted, 1))
    return thing


def find(tx: Tx, realm: Realm, name: str) -> Thing | None:
    rows = tx.rows("SELECT * FROM things WHERE realm = :realm AND name = :name", realm=str(realm), name=name)
    return _thing(rows[0]) if rows else None


def get(tx: Tx, realm: Realm, name: str) -> Thing:
    """Raises NotFound."""
    if found := find(tx, realm, name):
        return found
    raise NotFound(f"Thing {name} does not exist in this account.")


def update(
    tx: Tx,
    act: Act,
    name: str,
    *,
    type_name: str | None = None,
    remove_type: bool = False,
    attributes: Mapping[str, str] | None = None,
    merge: bool = False,
    expected_version: int | None = None,
) -> Thing:
    """Another type, other attributes. *attributes* replace all there are, or with *merge* those of the same name; an
    empty value removes one.

    Raises NotFound, VersionConflict, and InvalidRequest as `create` does.
    """
    old = get(tx, act.realm, name)
    _expect(old, expected_version)
    if remove_type and type_name is not None:
        raise InvalidRequest("Give a thing type or removeThingType, not both.")
    if type_name is not None and type_name != old.type_name:
        thing_types.usable(tx, act.realm, type_name)
    kind = None if remove_type else type_name or old.type_name
    wanted = _changed(old.attributes, attributes, merge, kind)
    tx.run(
        """UPDATE things SET type_name = :type_name, attributes = :attributes, version = :version, updated_at = :now
           WHERE realm = :realm AND name = :name""",
        realm=str(act.realm),
        name=name,
        type_name=kind,
        attributes=json.dumps(wanted),
        version=old.version + 1,
        now=act.now,
    )
    if wanted != old.attributes:
        tx.run(
            "DELETE FROM thing_attributes WHERE realm = :realm AND thing_name = :name", realm=str(act.realm), name=name
        )
        _index(tx, act, name, wanted)
    outbox.add(tx, act, ThingUpdated(name, old.thing_id, kind, wanted, old.version + 1, old.type_name))
    return Thing(name, old.thing_id, kind, wanted, old.version + 1, old.created_at, act.now)


def delete(tx: Tx, act: Act, name: str, *, expected_version: int | None = None) -> None:
    """A thing that is not there is deleted already. Its group memberships go with it.

    Raises VersionConflict, and InvalidRequest while certificates are attached.
    """
    thing = find(tx, act.realm, name)
    if thing is None:
        return
    _expect(thing, expected_version)
    values = {"realm": str(act.realm), "name": name}
    if tx.rows(
        "SELECT fingerprint FROM thing_principals WHERE realm = :realm AND thing_name = :name LIMIT 1", **values
    ):
        raise InvalidRequest(f"Cannot delete. Thing {name} is still attached to one or more principals")
    tx.run("DELETE FROM things WHERE realm = :realm AND name = :name", **values)
    outbox.add(tx, act, ThingDeleted(name, thing.thing_id, thing.version, thing.type_name, thing.attributes))


def page(
    tx: Tx,
    realm: Realm,
    after: str | None = None,
    limit: int = 25,
    *,
    type_name: str | None = None,
    attribute: str | None = None,
    value: str = "",
    prefix: bool = False,
) -> Page[Thing]:
    """By name; of one type, or whose *attribute* has *value*, or with *prefix* begins with it (then by that value).

    Raises InvalidRequest.
    """
    values: dict[str, Any] = {"realm": str(realm)}
    where = ["t.realm = :realm"]
    if type_name is not None:
        values["type_name"] = type_name
        where.append("t.type_name = :type_name")
    if attribute is None:
        values["after"] = pages.name_after(after)
        return _read(tx, "SELECT t.* FROM things t", [*where, "t.name > :after"], "t.name", limit, _name, values)
    values["attribute"] = names.check("attribute", attribute)
    names.check("attribute_value", value)
    where += ["t.realm = a.realm", "t.name = a.thing_name", "a.realm = :realm", "a.name = :attribute"]
    condition, order, key, more = _by_prefix(after, value) if prefix else _by_value(after, value)
    return _read(tx, _BY_ATTRIBUTE, [*where, *condition], order, limit, key, values | more)


# CROSS JOIN is SQLite's way to be told which table comes first; to PostgreSQL it is a join like any other.
_BY_ATTRIBUTE: Final = "SELECT t.*, a.value AS found_value FROM thing_attributes a CROSS JOIN things t"

_Key = Callable[[Row], str]


def _by_value(after: str | None, value: str) -> tuple[list[str], str, _Key, dict[str, str]]:
    values = {"folded": lowered(value), "value": value, "after": pages.name_after(after)}
    where = ["a.folded = :folded", "a.value = :value", "a.thing_name > :after"]
    return where, "a.thing_name", _name, values


def _by_prefix(after: str | None, value: str) -> tuple[list[str], str, _Key, dict[str, str]]:
    """The order is that of the index (lower case first), so the key is value and name: neither has a space."""
    low, high = pages.beginning(value)
    last_value, _, last_name = pages.name_after(after).partition(" ")
    folded_low, folded_high = pages.beginning(lowered(value))
    # With the page key as one lower bound, the first page begins at the prefix itself, before any name.
    condition = [
        "a.value >= :low",
        "a.value < :high",
        "a.folded < :folded_high",
        "(a.folded, a.value, a.thing_name) > (:last_folded, :last_value, :last_name)",
    ]
    key = (lowered(last_value), last_value, last_name)
    last_folded, last_value, last_name = max(key, (folded_low, "", ""))
    values = {"low": low, "high": high, "folded_high": folded_high}
    last = {"last_folded": last_folded, "last_value": last_value, "last_name": last_name}
    return condition, "a.folded, a.value, a.thing_name", _value_and_name, values | last


def _name(row: Row) -> str:
    return str(row["name"])


def _value_and_name(row: Row) -> str:
    return f"{row['found_value']} {row['name']}"


def _read(
    tx: Tx, select: str, where: list[str], order: str, limit: int, key: _Key, values: Mapping[str, Any]
) -> Page[Thing]:
    return pages.read(tx, select, where, order, limit, _thing, key, **values)


def _changed(
    old: Mapping[str, str], new: Mapping[str, str] | None, merge: bool, type_name: str | None
) -> dict[str, str]:
    if type_name is None:
        return attribute_rules.changed(old, new, merge, MOST_ATTRIBUTES_UNTYPED, "A thing without a type")
    return attribute_rules.changed(old, new, merge, MOST_ATTRIBUTES, "A thing")


def _same(
    tx: Tx,
    act: Act,
    existing: Thing,
    type_name: str | None,
    attributes: Mapping[str, str],
    billing_group: str | None,
) -> Thing:
    present = billing_groups.of_thing(tx, act.realm, existing.name)
    if (existing.type_name, existing.attributes, present) == (type_name, attributes, billing_group):
        return existing
    raise AlreadyExists(
        f"Thing {existing.name} already exists in account with different properties",
        resourceId=existing.thing_id,
        resourceArn=act.realm.arn("thing", existing.name),
    )


def _expect(thing: Thing, version: int | None) -> None:
    if version is not None and version != thing.version:
        raise VersionConflict(f"The version for thing {thing.name} does not match the expected version.")


def _index(tx: Tx, act: Act, name: str, attributes: Mapping[str, str]) -> None:
    key = {"realm": str(act.realm), "thing_name": name}
    statements.insert_rows(
        tx,
        "thing_attributes",
        [
            {**key, "name": each, "value": value, "folded": lowered(value), "number": stored(value)}
            for each, value in attributes.items()
        ],
    )


def _thing(row: Row) -> Thing:
    return Thing(
        name=row["name"],
        thing_id=row["thing_id"],
        type_name=row["type_name"],
        attributes=json.loads(row["attributes"]),
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
