"""Histograms over what a query finds: the values of one field, and how many things have each.

They read everything that the query finds; nothing bounds them but the size of the fleet.
"""

from __future__ import annotations

from typing import Final

from fleetgate.database.port import Tx
from fleetgate.names import Realm
from fleetgate.registry import search, search_streams
from fleetgate.registry.search import Branch
from fleetgate.registry.search_conditions import Values
from fleetgate.search.fields import ATTRIBUTES
from fleetgate.search.tree import Node

_CONNECTED: Final = "CASE c.connected WHEN 1 THEN 'true' ELSE 'false' END"
_CONNECTIVITY: Final = "JOIN thing_connectivity c ON c.realm = t.realm AND c.thing_name = t.name"
_MEMBERS: Final = "JOIN thing_group_members m ON m.realm = t.realm AND m.thing_name = t.name"
# field: the value as SQL over `t`, and what has to be joined for it
_FIELDS: Final = {
    "thingName": ("t.name", ""),
    "thingId": ("t.thing_id", ""),
    "registry.version": ("CAST(t.version AS TEXT)", ""),
    "registry.thingTypeName": ("t.type_name", ""),
    "thingTypeName": ("t.type_name", ""),
    "registry.thingGroupNames": ("m.group_name", _MEMBERS),
    "thingGroupNames": ("m.group_name", _MEMBERS),
    "connectivity.connected": (_CONNECTED, _CONNECTIVITY),
    "connectivity.timestamp": ("CAST(c.changed_at AS TEXT)", _CONNECTIVITY),
    "connectivity.disconnectReason": ("c.reason", _CONNECTIVITY),
}


def histogram(tx: Tx, realm: Realm, query: Node, field: str) -> dict[str, int]:
    """The values of *field* in what *query* finds. A field that nothing has gives nothing; a thing in two groups counts
    for both.
    """
    found: dict[str, int] = {}
    if field not in _FIELDS and not field.startswith(ATTRIBUTES):
        return found
    for branch in search.branches(tx, realm, query):
        for value, count in _of_branch(tx, realm, branch, field):
            found[value] = found.get(value, 0) + count
    return found


def _of_branch(tx: Tx, realm: Realm, branch: Branch, field: str) -> list[tuple[str, int]]:
    values = Values("a")
    value, join = _value(field, values)
    streams = branch.streams()
    term, stream = streams[search_streams.shortest(tx, str(realm), [stream for _, stream in streams])[0]]
    where = " AND ".join(
        [*stream.within(None, None, values), *branch.rest(term, stream, values), f"{value} IS NOT NULL"]
    )
    # Written in this package; what a caller sends is in the values.
    sql = f"SELECT {value} AS value, count(*) AS number FROM {stream.source} {join} WHERE {where} GROUP BY {value}"  # noqa: S608 # as above
    rows = tx.rows(sql, realm=str(realm), **stream.values, **values.named)
    return [(row["value"], row["number"]) for row in rows]


def _value(field: str, values: Values) -> tuple[str, str]:
    if field.startswith(ATTRIBUTES):
        name = values.put(field.removeprefix(ATTRIBUTES))
        own = "o.realm = t.realm AND o.thing_name = t.name"
        return "o.value", f"JOIN thing_attributes o ON {own} AND o.name = {name}"
    return _FIELDS[field]
