"""Thing types (CreateThingType, DescribeThingType, DeprecateThingType, DeleteThingType, ListThingTypes)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from fleetgate import names
from fleetgate.database.port import Row, Tx
from fleetgate.errors import AlreadyExists, InvalidRequest, NotFound
from fleetgate.names import Act, Realm
from fleetgate.registry import outbox, pages, statements, tags
from fleetgate.registry.events import ThingTypeChanged
from fleetgate.registry.pages import Page

MOST_SEARCHABLE: Final = 3
DEPRECATED_FOR: Final = 300_000
"""How long a type must be deprecated before it may be deleted, in milliseconds."""


@dataclass(frozen=True, slots=True)
class ThingType:
    name: str
    type_id: str
    description: str
    searchable: tuple[str, ...]
    """Names of attributes."""
    deprecated_at: int | None
    created_at: int


def create(tx: Tx, act: Act, name: str, *, description: str = "", searchable: Sequence[str] = ()) -> ThingType:
    """A new type; the same again gives the one there is. Raises AlreadyExists when that differs."""
    names.check("thing_type", name)
    for attribute in searchable:
        names.check("attribute", attribute)
    if len(searchable) > MOST_SEARCHABLE:
        raise InvalidRequest(f"A thing type has at most {MOST_SEARCHABLE} searchable attributes.")
    if statements.insert_new(
        tx,
        "thing_types",
        realm=str(act.realm),
        name=name,
        type_id=act.id_for("thing_type", name),
        description=description,
        searchable=json.dumps(list(searchable)),
        deprecated_at=None,
        created_at=act.now,
    ):
        return _tell(tx, act, "CREATED", get(tx, act.realm, name))
    existing = get(tx, act.realm, name)
    if existing.description != description or set(existing.searchable) != set(searchable):
        raise AlreadyExists(
            f"Thing type {name} already exists in this account with different properties.",
            resourceId=existing.type_id,
            resourceArn=act.realm.arn("thingtype", name),
        )
    return existing


def find(tx: Tx, realm: Realm, name: str) -> ThingType | None:
    rows = tx.rows("SELECT * FROM thing_types WHERE realm = :realm AND name = :name", realm=str(realm), name=name)
    return _thing_type(rows[0]) if rows else None


def get(tx: Tx, realm: Realm, name: str) -> ThingType:
    """Raises NotFound."""
    if found := find(tx, realm, name):
        return found
    raise NotFound(f"Thing type {name} does not exist in this account. Create it first.")


def usable(tx: Tx, realm: Realm, name: str) -> ThingType:
    """The type, if a thing may take it now. Raises NotFound, and InvalidRequest when it is deprecated."""
    kind = get(tx, realm, name)
    if kind.deprecated_at is not None:
        raise InvalidRequest(f"Can not create new thing with depreated thing type:{name}")
    return kind


def update(tx: Tx, act: Act, name: str, *, description: str | None = None) -> ThingType:
    """UpdateThingType; None leaves as it is. What is searchable is given once and for all. Raises NotFound."""
    kind = get(tx, act.realm, name)
    if description is None or description == kind.description:
        return kind
    tx.run(
        "UPDATE thing_types SET description = :description WHERE realm = :realm AND name = :name",
        realm=str(act.realm),
        name=name,
        description=description,
    )
    return _tell(tx, act, "UPDATED", replace(kind, description=description))


def deprecate(tx: Tx, act: Act, name: str, *, undo: bool = False) -> ThingType:
    """No new thing may take the type, until *undo*. To deprecate again keeps the first date. Raises NotFound."""
    kind = get(tx, act.realm, name)
    if undo == (kind.deprecated_at is not None):
        tx.run(
            "UPDATE thing_types SET deprecated_at = :moment WHERE realm = :realm AND name = :name",
            realm=str(act.realm),
            name=name,
            moment=None if undo else act.now,
        )
        _tell(tx, act, "UPDATED", get(tx, act.realm, name))
    return get(tx, act.realm, name)


def delete(tx: Tx, act: Act, name: str) -> None:
    """Raises NotFound, and InvalidRequest unless it has been deprecated for five minutes and no thing has it."""
    kind = get(tx, act.realm, name)
    if kind.deprecated_at is None:
        raise InvalidRequest(f"Cannot delete thing type {name}. Deprecate it first, then wait five minutes.")
    if act.now < kind.deprecated_at + DEPRECATED_FOR:
        raise InvalidRequest(f"Cannot delete thing type {name} within five minutes of its deprecation. Try again then.")
    values = {"realm": str(act.realm), "name": name}
    if tx.rows("SELECT name FROM things WHERE realm = :realm AND type_name = :name LIMIT 1", **values):
        raise InvalidRequest(f"Cannot delete thing type {name} while things have it. Give them another type first.")
    tx.run("DELETE FROM thing_types WHERE realm = :realm AND name = :name", **values)
    tags.forget(tx, act, "thingtype", name)
    _tell(tx, act, "DELETED", kind)


def page(tx: Tx, realm: Realm, after: str | None = None, limit: int = 25) -> Page[ThingType]:
    """By name."""
    return pages.read(
        tx,
        "SELECT * FROM thing_types",
        ["realm = :realm", "name > :after"],
        "name",
        limit,
        _thing_type,
        lambda row: str(row["name"]),
        realm=str(realm),
        after=pages.name_after(after),
    )


def _tell(tx: Tx, act: Act, operation: str, kind: ThingType) -> ThingType:
    event = ThingTypeChanged(
        operation, kind.name, kind.type_id, kind.description, list(kind.searchable), kind.deprecated_at
    )
    outbox.add(tx, act, event)
    return kind


def _thing_type(row: Row) -> ThingType:
    return ThingType(
        name=row["name"],
        type_id=row["type_id"],
        description=row["description"],
        searchable=tuple(json.loads(row["searchable"])),
        deprecated_at=row["deprecated_at"],
        created_at=row["created_at"],
    )
