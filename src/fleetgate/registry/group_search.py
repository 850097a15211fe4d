"""Searches over thing groups (SearchIndex on AWS_ThingGroups). Groups are few: each is read and held to the query."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from fleetgate.database.port import Tx
from fleetgate.names import Realm
from fleetgate.registry import pages, thing_groups
from fleetgate.registry.pages import Page
from fleetgate.registry.thing_groups import ThingGroup
from fleetgate.search.evaluate import Document, matches
from fleetgate.search.fields import ATTRIBUTES
from fleetgate.search.tree import Node

BUDGET: Final = 10_000
"""Groups that are looked at for one page."""


def page(
    tx: Tx, realm: Realm, query: Node, after: str | None = None, limit: int = 100, budget: int = BUDGET
) -> Page[ThingGroup]:
    """Groups that *query* finds, by name. A page may be short, or empty, with a next key. Raises InvalidRequest."""
    found: list[ThingGroup] = []
    last = after
    for looked, group in enumerate(_all(tx, realm, after)):
        if len(found) == limit or looked == budget:
            return Page(tuple(found), last)
        last = group.name
        if matches(query, document(group)):
            found.append(group)
    return Page(tuple(found), None)


def histogram(tx: Tx, realm: Realm, query: Node, field: str) -> dict[str, int]:
    """As `aggregations.histogram`, of groups."""
    found: dict[str, int] = {}
    for group in _all(tx, realm, None):
        known = document(group)
        if matches(query, known):
            values = [str(group.version)] if field == "version" else known.get(_CALLED.get(field, field), ())
            for value in values:
                found[value] = found.get(value, 0) + 1
    return found


_CALLED: Final = {"description": "thingGroupDescription"}


def document(group: ThingGroup) -> Document:
    return {
        "thingGroupName": [group.name],
        "thingGroupId": [group.group_id],
        "thingGroupDescription": [group.description] if group.description else [],
        "parentGroupNames": group.ancestors,
        **{f"{ATTRIBUTES}{name}": [value] for name, value in group.attributes.items()},
    }


def _all(tx: Tx, realm: Realm, after: str | None) -> Iterator[ThingGroup]:
    while True:
        part = thing_groups.page(tx, realm, after, pages.LARGEST)
        yield from part.items
        if part.next_key is None:
            return
        after = part.next_key
