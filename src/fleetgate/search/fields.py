"""The fields of the two indexes (AWS IoT developer guide, Managing fleet indexing)."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

ATTRIBUTES: Final = "attributes."
CONNECTIVITY: Final = "connectivity."
_ELSEWHERE: Final = ("shadow.", "deviceDefender.")
"""Fields that AWS has and that nothing here ever fills: a query on them is right and finds nothing."""


@dataclass(frozen=True, slots=True)
class Index:
    name: str
    fields: frozenset[str]
    """Besides `attributes.<name>`."""
    called: Mapping[str, str]
    """Other names of fields: those of managed fields in the indexing configuration."""
    managed: Mapping[str, str]
    """The fields that can be counted over without being configured, each with its type."""

    def field(self, name: str) -> str | None:
        """The field that *name* means, or None where there is none of that name."""
        plain = self.called.get(name, name)
        if plain in self.fields or name.startswith(_ELSEWHERE):
            return plain
        return name if name.startswith(ATTRIBUTES) and len(name) > len(ATTRIBUTES) else None

    def unknown(self, name: str) -> str:
        """What to tell who asked for a field that is not there."""
        near = difflib.get_close_matches(name, sorted(self.fields), n=1)
        hint = f" Do you mean {near[0]}?" if near else ""
        return f"{self.name} has no field {name}.{hint} It has {', '.join(sorted(self.fields))}, attributes.<name>."


THINGS: Final = Index(
    "AWS_Things",
    frozenset(
        {
            "thingName",
            "thingId",
            "thingTypeName",
            "thingGroupNames",
            "connectivity.connected",
            "connectivity.timestamp",
            "connectivity.disconnectReason",
        }
    ),
    {"registry.thingTypeName": "thingTypeName", "registry.thingGroupNames": "thingGroupNames"},
    {
        "thingName": "String",
        "thingId": "String",
        "registry.version": "Number",
        "registry.thingTypeName": "String",
        "registry.thingGroupNames": "String",
    },
)
GROUPS: Final = Index(
    "AWS_ThingGroups",
    frozenset({"thingGroupName", "thingGroupId", "thingGroupDescription", "parentGroupNames"}),
    {"description": "thingGroupDescription"},
    {
        "thingGroupName": "String",
        "thingGroupId": "String",
        "description": "String",
        "parentGroupNames": "String",
        "version": "Number",
    },
)
CONNECTIVITY_FIELDS: Final = {
    "connectivity.connected": "Boolean",
    "connectivity.timestamp": "Number",
    "connectivity.disconnectReason": "String",
}
"""Managed fields of AWS_Things while connectivity is indexed."""
TIMESTAMP: Final = "connectivity.timestamp"


def numeric(field: str) -> bool:
    """Whether a range of numbers over *field* compares numbers; over other fields every range is one of texts."""
    return field == TIMESTAMP or field.startswith((ATTRIBUTES, *_ELSEWHERE))


INDICES: Final = {index.name: index for index in (THINGS, GROUPS)}
WORDS: Final = frozenset({"thingGroupDescription"})
"""Fields of several words, each of which a term finds; a term finds the whole value of every other."""
