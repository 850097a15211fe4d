"""Fleet indexing's configuration (UpdateIndexingConfiguration, GetIndexingConfiguration, DescribeIndex, ListIndices).

Searches read the registry itself, so an index is a switch: ready when it is on, and never behind.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fleetgate.database.port import Row, Tx
from fleetgate.errors import InvalidRequest, NotFound, all_of
from fleetgate.names import Act, Realm
from fleetgate.registry import outbox, pages, statements
from fleetgate.registry.events import IndexingChanged
from fleetgate.search.fields import ATTRIBUTES, CONNECTIVITY, CONNECTIVITY_FIELDS, GROUPS, THINGS, Index
from fleetgate.search.tree import And, Match, Node, Not, Or
from fleetgate.search.values import stored

MOST_CUSTOM_FIELDS: Final = 5
"""Of each index."""
_OFF: Final = "OFF"


@dataclass(frozen=True, slots=True)
class Configuration:
    """The two members of an indexing configuration, as AWS names what is in them; managed fields left out."""

    things: Mapping[str, Any] = field(default_factory=lambda: {"thingIndexingMode": _OFF})
    groups: Mapping[str, Any] = field(default_factory=lambda: {"thingGroupIndexingMode": _OFF})

    @property
    def connectivity(self) -> bool:
        return bool(self.things.get("thingConnectivityIndexingMode", _OFF) != _OFF)

    def on(self, index: Index) -> bool:
        mode = self.things["thingIndexingMode"] if index is THINGS else self.groups["thingGroupIndexingMode"]
        return bool(mode != _OFF)

    @property
    def indices(self) -> list[str]:
        """The names of those that are on."""
        return [index.name for index in (GROUPS, THINGS) if self.on(index)]

    def schema(self, index: Index) -> str:
        """What an index is made of, in AWS's words."""
        if index is GROUPS:
            return "THING_GROUPS"
        mode = str(self.things["thingIndexingMode"])
        return f"{mode}_AND_CONNECTIVITY_STATUS" if self.connectivity else mode

    def managed(self, index: Index) -> dict[str, str]:
        """The fields that are there by themselves, each with its type; none while the index is off."""
        if not self.on(index):
            return {}
        more = CONNECTIVITY_FIELDS if index is THINGS and self.connectivity else {}
        return {**index.managed, **more}

    def custom(self, index: Index) -> dict[str, str]:
        """The fields that the user named, each with its type."""
        given = self.things if index is THINGS else self.groups
        return {each["name"]: each["type"] for each in given.get("customFields", ())}


def get(tx: Tx, realm: Realm) -> Configuration:
    """Everything is off until somebody switches it on."""
    rows = tx.rows("SELECT things, groups FROM indexing_configurations WHERE realm = :realm", realm=str(realm))
    return Configuration(json.loads(rows[0]["things"]), json.loads(rows[0]["groups"])) if rows else Configuration()


def update(
    tx: Tx, act: Act, things: Mapping[str, Any] | None = None, groups: Mapping[str, Any] | None = None
) -> Configuration:
    """Another configuration; None leaves that part as it is, a part is replaced as a whole.

    Raises InvalidRequest with everything that does not fit together, and while dynamic groups need the index.
    """
    old = get(tx, act.realm)
    new = Configuration(_given(old.things, things), _given(old.groups, groups))
    problems = [*_problems(new, THINGS), *_problems(new, GROUPS)]
    if old.on(THINGS) and not new.on(THINGS) and _dynamic(tx, act.realm):
        problems.append("Dynamic thing groups are found through AWS_Things. Delete them before you switch it off.")
    if problems:
        raise InvalidRequest(all_of(problems))
    values = {"things": json.dumps(new.things), "groups": json.dumps(new.groups), "now": act.now}
    if not statements.insert_new(
        tx,
        "indexing_configurations",
        realm=str(act.realm),
        things=values["things"],
        groups=values["groups"],
        updated_at=act.now,
    ):
        tx.run(
            """UPDATE indexing_configurations SET things = :things, groups = :groups, updated_at = :now
               WHERE realm = :realm""",
            realm=str(act.realm),
            **values,
        )
    outbox.add(tx, act, IndexingChanged(new.connectivity))
    return new


def with_connectivity(tx: Tx) -> set[Realm]:
    """The realms that index connectivity; of all realms, when a server starts."""
    rows = tx.rows("SELECT realm, things FROM indexing_configurations")
    return {Realm.parse(row["realm"]) for row in rows if Configuration(json.loads(row["things"])).connectivity}


def _given(old: Mapping[str, Any], new: Mapping[str, Any] | None) -> Mapping[str, Any]:
    return old if new is None else {name: value for name, value in new.items() if name != "managedFields"}


def _dynamic(tx: Tx, realm: Realm) -> bool:
    sql = "SELECT name FROM thing_groups WHERE realm = :realm AND query IS NOT NULL LIMIT 1"
    return bool(tx.rows(sql, realm=str(realm)))


def _problems(configuration: Configuration, index: Index) -> Iterator[str]:
    given = configuration.things if index is THINGS else configuration.groups
    custom: Sequence[Mapping[str, str]] = given.get("customFields", ())
    if index is THINGS and not configuration.on(THINGS) and configuration.connectivity:
        yield "thingConnectivityIndexingMode STATUS needs a thingIndexingMode other than OFF."
    if len(custom) > MOST_CUSTOM_FIELDS:
        yield f"{index.name} can have {MOST_CUSTOM_FIELDS} custom fields, not {len(custom)}."
    if len({each.get("name") for each in custom}) < len(custom):
        yield f"The custom fields of {index.name} name a field twice."
    shadow = given.get("thingIndexingMode") == "REGISTRY_AND_SHADOW"
    for each in custom:
        name = each.get("name", "")
        if not {"name", "type"} <= set(each):
            yield f"A custom field of {index.name} has a name and a type."
        elif not name.startswith(ATTRIBUTES) and not (shadow and name.startswith("shadow.")):
            yield f"Custom field {name} of {index.name} is not in what is indexed: only attributes.<name> can be."


def need(tx: Tx, realm: Realm, index: Index) -> Configuration:
    """The configuration; raises NotFound while *index* is off."""
    configuration = get(tx, realm)
    if configuration.on(index):
        return configuration
    raise NotFound(f"Index {index.name} does not exist. Switch it on with UpdateIndexingConfiguration.")


def seen(query: Node, configuration: Configuration) -> Node:
    """*query* where connectivity is not indexed: what it asks about connectivity then finds nothing."""
    if configuration.connectivity:
        return query
    match query:
        case And(children):
            return And(tuple(seen(child, configuration) for child in children))
        case Or(children):
            return Or(tuple(seen(child, configuration) for child in children))
        case Not(child):
            return Not(seen(child, configuration))
        case Match(name, _):
            return Or(()) if name is not None and name.startswith(CONNECTIVITY) else query


# --- rows of earlier versions -----------------------------------------------------------------------------------------


def unnumbered(tx: Tx, realm: Realm, after: tuple[str, str] = ("", ""), limit: int = 500) -> list[Row]:
    """Attributes whose value is a number and is not kept as one yet, as (thing_name, name, value).

    At most *limit* rows are looked at, behind *after*. A row with `value` None only says how far it was looked.
    """
    rows = tx.rows(
        """SELECT thing_name, name, value, number FROM thing_attributes
           WHERE realm = :realm AND (thing_name, name) > (:thing, :name) ORDER BY thing_name, name LIMIT :limit""",
        realm=str(realm),
        thing=after[0],
        name=after[1],
        limit=min(limit, pages.LARGEST),
    )
    missing = [row for row in rows if row["number"] is None and stored(row["value"]) is not None]
    last = rows[-1] if len(rows) == limit else None
    return [*missing, {**last, "value": None}] if last else missing


def number(tx: Tx, realm: Realm, rows: Sequence[Row]) -> None:
    """Keep the values of *rows* (as `unnumbered` gave them) as numbers, where they are still the same."""
    for row in rows:
        if row["value"] is not None:
            tx.run(
                """UPDATE thing_attributes SET number = :number
                   WHERE realm = :realm AND thing_name = :thing AND name = :name AND value = :value""",
                realm=str(realm),
                thing=row["thing_name"],
                name=row["name"],
                value=row["value"],
                number=stored(row["value"]),
            )
