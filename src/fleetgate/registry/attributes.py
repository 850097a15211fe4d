"""Attributes of things and thing groups: checked, and changed the way UpdateThing and UpdateThingGroup say."""

from __future__ import annotations

from collections.abc import Mapping

from fleetgate import names
from fleetgate.errors import InvalidRequest, all_of


def changed(
    old: Mapping[str, str], new: Mapping[str, str] | None, merge: bool, most: int, whose: str
) -> dict[str, str]:
    """What *old* becomes. None changes nothing, *merge* keeps what *new* does not name, an empty value removes.

    Raises InvalidRequest with every bad name and value, and when more than *most* would be left; *whose* is for
    that message.
    """
    given = new or {}
    problems = [problem for pair in given.items() for problem in _problems(*pair)]
    kept = old if merge or new is None else {}
    result = {name: value for name, value in {**kept, **given}.items() if value}
    if len(result) > most:
        problems.append(f"{whose} can have {most} attributes, not {len(result)}.")
    if problems:
        raise InvalidRequest(all_of(problems))
    return result


def _problems(name: str, value: str) -> list[str]:
    found = []
    for kind, text in (("attribute", name), ("attribute_value", value)):
        try:
            names.check(kind, text)
        except InvalidRequest as error:
            found.append(error.message if kind == "attribute" else f"Attribute {name}: {error.message}")
    return found
