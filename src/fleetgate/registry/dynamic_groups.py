"""Dynamic thing groups (CreateDynamicThingGroup ...): groups whose members are what a query finds.

Membership is kept nowhere. Whoever lists the members searches; whoever lists a thing's groups holds the thing against
the query of each dynamic group, of which there are 100 at most. So it is never behind, and a thing
is written at no extra cost.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fleetgate.database.port import Tx
from fleetgate.errors import InvalidRequest, LimitExceeded
from fleetgate.names import Act, Realm
from fleetgate.registry import connectivity, indexing, search, thing_groups
from fleetgate.registry.pages import Page
from fleetgate.registry.thing_groups import ThingGroup
from fleetgate.search.evaluate import matches
from fleetgate.search.fields import THINGS
from fleetgate.search.query import parse

MOST: Final = 100
"""In one realm."""


def create(
    tx: Tx, act: Act, name: str, query: str, *, description: str = "", attributes: Mapping[str, str] | None = None
) -> ThingGroup:
    """A new group; the same again gives the one there is.

    Raises NotFound while AWS_Things is off, InvalidQuery, AlreadyExists, LimitExceeded, InvalidRequest.
    """
    indexing.need(tx, act.realm, THINGS)
    parse(query)
    if thing_groups.find(tx, act.realm, name) is None and len(_all(tx, act.realm)) >= MOST:
        raise LimitExceeded(f"There are {MOST} dynamic thing groups already, which is the most. Delete one first.")
    return thing_groups.create(tx, act, name, description=description, attributes=attributes, query=query)


def get(tx: Tx, realm: Realm, name: str) -> ThingGroup:
    """Raises NotFound, and InvalidRequest for a static group."""
    group = thing_groups.get(tx, realm, name)
    if group.query is None:
        raise InvalidRequest(f"Thing group {name} is a static group; use the operations for those.")
    return group


def update(
    tx: Tx,
    act: Act,
    name: str,
    *,
    query: str | None = None,
    description: str | None = None,
    attributes: Mapping[str, str] | None = None,
    merge: bool = False,
    expected_version: int | None = None,
) -> ThingGroup:
    """Another query, description, other attributes. Raises NotFound, InvalidQuery, VersionConflict, InvalidRequest."""
    get(tx, act.realm, name)
    if query is not None:
        parse(query)
    return thing_groups.update(
        tx,
        act,
        name,
        description=description,
        attributes=attributes,
        merge=merge,
        query=query,
        expected_version=expected_version,
    )


def delete(tx: Tx, act: Act, name: str, *, expected_version: int | None = None) -> None:
    """A group that is not there is deleted already. Raises VersionConflict, and InvalidRequest for a static group."""
    if thing_groups.find(tx, act.realm, name) is not None:
        get(tx, act.realm, name)
        thing_groups.delete(tx, act, name, expected_version=expected_version)


def page_things(tx: Tx, realm: Realm, group: ThingGroup, after: str | None = None, limit: int = 25) -> Page[str]:
    """ListThingsInThingGroup: names of what the query of *group* finds now. Raises InvalidRequest."""
    query = indexing.seen(parse(group.query or ""), indexing.get(tx, realm))
    page = search.page(tx, realm, query, after, limit)
    return Page(tuple(row["name"] for row in page.items), page.next_key)


def of_thing(tx: Tx, realm: Realm, thing_name: str) -> list[str]:
    """The names of the dynamic groups that the thing is in now."""
    groups = _all(tx, realm)
    rows = tx.rows("SELECT * FROM things WHERE realm = :realm AND name = :name", realm=str(realm), name=thing_name)
    if not groups or not rows:
        return []
    joined = search.groups_of(tx, realm, [thing_name])[thing_name]
    state = connectivity.of_things(tx, realm, [thing_name]).get(thing_name)
    document = {**search.document(rows[0], joined), **(state.document() if state else {})}
    configuration = indexing.get(tx, realm)
    return [name for name, query in groups if matches(indexing.seen(parse(query), configuration), document)]


def _all(tx: Tx, realm: Realm) -> list[tuple[str, str]]:
    """Names and queries."""
    rows = tx.rows(
        """SELECT name, query FROM thing_groups WHERE realm = :realm AND query IS NOT NULL AND name > ''
           ORDER BY name LIMIT :most""",
        realm=str(realm),
        most=MOST,
    )
    return [(row["name"], row["query"]) for row in rows]
