from __future__ import annotations

import pytest

from fleetgate.search.evaluate import matches, passes
from fleetgate.search.fields import GROUPS
from fleetgate.search.query import parse
from fleetgate.search.tree import Pattern, Wildcard

LAMP = {
    "thingName": ["Lamp-7"],
    "thingId": ["0b1c"],
    "thingTypeName": ["Light"],
    "thingGroupNames": ["hall3", "East"],
    "attributes.watt": ["75"],
    "attributes.serial": ["ABcd"],
    "attributes.model": ["A"],
    "connectivity.connected": ["true"],
    "connectivity.timestamp": ["1557651600000"],
}
GROUP = {"thingGroupName": ["G"], "thingGroupDescription": ["All lamps of Hall 3"], "attributes.site": ["x"]}


@pytest.mark.parametrize(
    "query",
    [
        "*",
        "thingName:lamp-7",
        "thingName:LAMP*",
        "thingName:lamp-?",
        "thingName:l*7",
        "*7",
        "light",
        "abcd",
        "east",
        "thingTypeName:light",
        "registry.thingTypeName:light",
        "thingGroupNames:EAST",
        "thingGroupNames:(hall3 AND east)",
        "attributes.watt:75",
        "attributes.watt:[75 TO 80]",
        "attributes.watt:{74.5 TO 75]",
        "attributes.watt>9",
        "attributes.watt >= 75",
        "attributes.watt<=7.5e1",
        "attributes.watt:[* TO 75]",
        "attributes.watt:*",
        "attributes.watt:[* TO *]",
        'attributes.serial:["abcc" TO "abce"]',
        "attributes.serial>abb",
        'attributes.watt:["7" TO "8"]',
        "attributes.watt<700 NOT attributes.watt>100",
        "NOT attributes.nothing:x",
        "-thingName:other",
        "NOT NOT light",
        "connectivity.connected:true AND connectivity.timestamp > 1557651599999",
        "nothing OR light",
        "nothing OR (light AND east)",
        r"thingName:Lamp\-7",
        '"lamp-7"',
    ],
)
def test_what_finds_the_lamp(query: str) -> None:
    assert matches(parse(query), LAMP)


@pytest.mark.parametrize(
    "query",
    [
        "thingName:lamp",
        'thingName:"lamp*"',
        r"thingName:lamp\*",
        "lamp-77",
        "thingName:lamp-7?",
        "true",
        "1557651600000",
        "attributes.watt:7.5e1",
        "attributes.watt:{75 TO 80]",
        "attributes.watt>75",
        "attributes.serial>5",
        "attributes.serial:{abcd TO abce]",
        'attributes.watt>"9"',
        "attributes.WATT:75",
        "attributes.nothing:*",
        "shadow.hasDelta:true",
        "connectivity.connected:false",
        "light AND nothing",
        "NOT light",
        "thingTypeName:(lig* AND -light)",
    ],
)
def test_what_does_not_find_it(query: str) -> None:
    assert not matches(parse(query), LAMP)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("lamps", True),
        ("hal*", True),
        ('"lamps of hall"', True),
        ('description:"ALL  LAMPS"', True),
        ('"all of"', False),
        ("lamp", False),
        ("thingGroupDescription:*", True),
        ("attributes.site:x", True),
    ],
)
def test_a_description_is_words(query: str, found: bool) -> None:
    assert matches(parse(query, GROUPS), GROUP) is found


def test_a_pattern_takes_its_literals_literally() -> None:
    assert passes(Pattern(("a.", Wildcard.ONE)), "a.b")
    assert not passes(Pattern(("a.", Wildcard.ONE)), "abb")
