"""Fleet indexing: UpdateIndexingConfiguration ... SearchIndex, GetStatistics ... GetThingConnectivityData."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from fleetgate.api.handling import Params, Result
from fleetgate.api.listing import Listing
from fleetgate.database.port import Row, Tx
from fleetgate.errors import IndexNotReady, InvalidAggregation, InvalidRequest, NotFound
from fleetgate.names import Act
from fleetgate.registry import aggregations, connectivity, group_search, indexing, search, things
from fleetgate.registry.connectivity import Connectivity
from fleetgate.registry.indexing import Configuration
from fleetgate.registry.thing_groups import ThingGroup
from fleetgate.runtime import Runtime
from fleetgate.search import query as language
from fleetgate.search import statistics
from fleetgate.search.fields import GROUPS, INDICES, THINGS, Index
from fleetgate.search.query import parse
from fleetgate.search.statistics import Histogram
from fleetgate.search.tree import Node

_INDICES: Final = Listing("indices")
_FOUND: Final = Listing("found")
_MOST_FOUND: Final = 100
_MOST_BUCKETS: Final = 10


async def update_indexing_configuration(runtime: Runtime, act: Act, params: Params) -> Callable[[Tx], Result]:
    """Attributes that an earlier version wrote get their numbers first, some hundred at a time."""
    await _number(runtime, act)

    def settle(tx: Tx) -> Result:
        things_given, groups_given = (params.get(f"{name}IndexingConfiguration") for name in ("thing", "thingGroup"))
        indexing.update(tx, act, things_given, groups_given)
        return {}

    return settle


async def _number(runtime: Runtime, act: Act) -> None:
    after = ("", "")
    while rows := await runtime.database.read(partial(indexing.unnumbered, realm=act.realm, after=after)):
        if any(row["value"] is not None for row in rows):
            await runtime.write(partial(indexing.number, realm=act.realm, rows=rows))
        if rows[-1]["value"] is not None:
            return
        after = (rows[-1]["thing_name"], rows[-1]["name"])


def get_indexing_configuration(tx: Tx, act: Act, params: Params) -> Result:
    configuration = indexing.get(tx, act.realm)
    return {
        "thingIndexingConfiguration": _shown(configuration, configuration.things, THINGS),
        "thingGroupIndexingConfiguration": _shown(configuration, configuration.groups, GROUPS),
    }


def _shown(configuration: Configuration, given: Mapping[str, Any], index: Index) -> Result:
    managed = [{"name": name, "type": kind} for name, kind in configuration.managed(index).items()]
    default = {"thingConnectivityIndexingMode": "OFF"} if index is THINGS else {}
    return {**default, **given, **({"managedFields": managed} if managed else {})}


def describe_index(tx: Tx, act: Act, params: Params) -> Result:
    index = _index(params)
    configuration = indexing.need(tx, act.realm, index)
    return {"indexName": index.name, "indexStatus": "ACTIVE", "schema": configuration.schema(index)}


def list_indices(tx: Tx, act: Act, params: Params) -> Result:
    page = _INDICES.cut(indexing.get(tx, act.realm).indices, params)
    return {"indexNames": list(page.items), "nextToken": _INDICES.token(page, params)}


def _index(params: Params) -> Index:
    name = params.get("indexName", THINGS.name)
    if name not in INDICES:
        raise NotFound(f"Index {name} does not exist. There are {' and '.join(INDICES)}.")
    return INDICES[name]


# --- search -----------------------------------------------------------------------------------------------------------


def search_index(tx: Tx, act: Act, params: Params) -> Result:
    index, configuration, query = _asked(tx, act, params)
    after, limit = _FOUND.opened({"maxResults": _MOST_FOUND, **params})
    if limit > _MOST_FOUND:
        raise InvalidRequest(f"maxResults is {_MOST_FOUND} at most for a search, not {limit}.")
    if index is GROUPS:
        groups = group_search.page(tx, act.realm, query, after, limit)
        return {"thingGroups": [_group(each) for each in groups.items], "nextToken": _FOUND.token(groups, params)}
    page = search.page(tx, act.realm, query, after, limit)
    return {"things": _things(tx, act, configuration, page.items), "nextToken": _FOUND.token(page, params)}


def _asked(tx: Tx, act: Act, params: Params) -> tuple[Index, Configuration, Node]:
    """The index, what is on, and the query. Raises NotFound, InvalidQuery, InvalidRequest."""
    index = _index(params)
    configuration = indexing.need(tx, act.realm, index)
    check_version(params)
    return index, configuration, indexing.seen(parse(params["queryString"], index), configuration)


def check_version(params: Params) -> str:
    """The query version of *params*. Raises InvalidRequest for one that there is not."""
    version: str = params.get("queryVersion", language.VERSION)
    if version != language.VERSION:
        raise InvalidRequest(f"There is no query version {version}; there is {language.VERSION}.")
    return version


def _things(tx: Tx, act: Act, configuration: Configuration, rows: tuple[Row, ...]) -> list[Result]:
    names = [row["name"] for row in rows]
    joined = search.groups_of(tx, act.realm, names)
    states = connectivity.of_things(tx, act.realm, names) if configuration.connectivity else {}
    return [
        {
            "thingName": row["name"],
            "thingId": row["thing_id"],
            "thingTypeName": row["type_name"],
            "thingGroupNames": joined[row["name"]],
            "attributes": search.attributes_of(row),
            "connectivity": _state(states.get(row["name"])) if configuration.connectivity else None,
        }
        for row in rows
    ]


def _state(state: Connectivity | None) -> Result:
    if state is None:
        return {"connected": False}
    return {"connected": state.connected, "timestamp": state.changed_at, "disconnectReason": state.reason}


def _group(group: ThingGroup) -> Result:
    return {
        "thingGroupName": group.name,
        "thingGroupId": group.group_id,
        "thingGroupDescription": group.description or None,
        "attributes": group.attributes,
        "parentGroupNames": list(group.ancestors),
    }


# --- aggregations -----------------------------------------------------------------------------------------------------


def get_statistics(tx: Tx, act: Act, params: Params) -> Result:
    histogram, kind = _histogram(tx, act, params)
    return {"statistics": statistics.statistics(histogram, kind)}


def get_cardinality(tx: Tx, act: Act, params: Params) -> Result:
    histogram, kind = _histogram(tx, act, params)
    return {"cardinality": len(histogram if kind == "String" else statistics.numbers(histogram, kind))}


def get_percentiles(tx: Tx, act: Act, params: Params) -> Result:
    histogram, kind = _histogram(tx, act, params)
    if kind != "Number":
        raise InvalidAggregation(f"Percentiles are of a field of type Number, not {kind}.")
    found = statistics.percentiles(histogram, params.get("percents") or statistics.PERCENTS)
    return {"percentiles": [{"percent": percent, "value": value} for percent, value in found]}


def get_buckets_aggregation(tx: Tx, act: Act, params: Params) -> Result:
    histogram, _ = _histogram(tx, act, params)
    most = params["bucketsAggregationType"].get("termsAggregation", {}).get("maxBuckets", _MOST_BUCKETS)
    shown = [{"keyValue": value, "count": count} for value, count in statistics.buckets(histogram, most)]
    return {"totalCount": sum(histogram.values()), "buckets": shown}


def _histogram(tx: Tx, act: Act, params: Params) -> tuple[Histogram, str]:
    """The values of the aggregation field, and its type."""
    index, configuration, query = _asked(tx, act, params)
    name = params.get("aggregationField", "version" if index is GROUPS else "registry.version")
    fields = {**configuration.managed(index), **configuration.custom(index)}
    kind = fields.get(name) or fields.get(f"registry.{name}")
    if kind is None:
        raise InvalidAggregation(
            f"{name} is no field to count over. There are {', '.join(sorted(fields))}; add attributes.<name> to the "
            "customFields of the indexing configuration."
        )
    of = group_search.histogram if index is GROUPS else aggregations.histogram
    return of(tx, act.realm, query, name), kind


# --- connectivity -----------------------------------------------------------------------------------------------------


def get_thing_connectivity_data(tx: Tx, act: Act, params: Params) -> Result:
    """Of a thing that never connected: not connected, for no known reason."""
    if not indexing.get(tx, act.realm).connectivity:
        raise IndexNotReady(
            "Connectivity is not indexed. Set thingConnectivityIndexingMode to STATUS with UpdateIndexingConfiguration."
        )
    thing = things.get(tx, act.realm, params["thingName"])
    state = connectivity.find(tx, act.realm, thing.name)
    if state is None:
        return {"thingName": thing.name, "connected": False, "disconnectReason": "UNKNOWN"}
    return {
        "thingName": thing.name,
        "connected": state.connected,
        "timestamp": state.changed_at,
        "disconnectReason": state.reason or "NONE",
        "clientId": state.client_id,
        "keepAliveDuration": state.keep_alive,
        "cleanSession": state.clean_session,
        "sessionExpiry": state.session_expiry,
    }
