"""Topics and filters: checks, matching, and the tree against the plain match."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetgate.wire.mqtt.errors import ProtocolError, Reason
from fleetgate.wire.mqtt.topics import FilterTree, SharedFilter, check_filter, check_topic, matches, split_shared


@pytest.mark.parametrize("topic", ["a", "/", "a/b/c", "$aws/x", " ", "ä" * 100, "a//b"])
def test_good_topics(topic: str) -> None:
    check_topic(topic)


@pytest.mark.parametrize("topic", ["", "#", "a/+", "a+b", "a\0b", "x" * 65_536])
def test_bad_topics(topic: str) -> None:
    with pytest.raises(ProtocolError) as error:
        check_topic(topic)
    assert error.value.reason == Reason.TOPIC_NAME_INVALID


def test_limits_count_bytes_and_slashes() -> None:
    check_topic("é" * 128, 256)
    check_topic("a/" * 7, 256, 7)
    with pytest.raises(ProtocolError, match="258 bytes"):
        check_topic("é" * 129, 256)
    with pytest.raises(ProtocolError, match="8 slashes"):
        check_topic("a/" * 8, 256, 7)
    with pytest.raises(ProtocolError, match="257 bytes"):
        check_filter("a" * 257, 256)


@pytest.mark.parametrize("topic_filter", ["#", "+", "a/#", "+/+", "/+", "a/+/b/#", "$aws/+", "$shared/x", "share"])
def test_good_filters(topic_filter: str) -> None:
    assert check_filter(topic_filter) is None


@pytest.mark.parametrize(
    "topic_filter",
    [
        *("", "a#", "#/a", "a/#/b", "a+", "+a/b", "a/##", "a\0"),
        *("$share", "$share/", "$share/g", "$share/g/", "$share//a", "$share/+/a", "$share/g#/a", "$share/g/a#"),
    ],
)
def test_bad_filters(topic_filter: str) -> None:
    with pytest.raises(ProtocolError) as error:
        check_filter(topic_filter)
    assert error.value.reason == Reason.TOPIC_FILTER_INVALID


def test_shared_filters() -> None:
    assert check_filter("$share/g/a/+/#") == SharedFilter("g", "a/+/#")
    assert split_shared("$share/g//a") == SharedFilter("g", "/a")
    assert split_shared("share/g/a") is None
    check_filter("$share/a-long-name/" + "t/" * 7, 14, 7)  # the prefix is free


@pytest.mark.parametrize(
    ("topic_filter", "topic", "selected"),
    [
        ("sport/tennis/player1/#", "sport/tennis/player1", True),
        ("sport/tennis/player1/#", "sport/tennis/player1/ranking", True),
        ("sport/#", "sport", True),
        ("#", "a/b", True),
        ("sport/tennis/+", "sport/tennis/player1", True),
        ("sport/tennis/+", "sport/tennis/player1/ranking", False),
        ("sport/+", "sport", False),
        ("sport/+", "sport/", True),
        ("+/+", "/finance", True),
        ("/+", "/finance", True),
        ("+", "/finance", False),
        ("#", "$SYS/x", False),
        ("+/monitor/Clients", "$SYS/monitor/Clients", False),
        ("$SYS/#", "$SYS/monitor/Clients", True),
        ("$SYS/monitor/+", "$SYS/monitor/Clients", True),
        ("a", "a/b", False),
        ("a/b", "a", False),
    ],
)
def test_examples_of_the_standard(topic_filter: str, topic: str, selected: bool) -> None:
    """MQTT 5, 4.7.1 and 4.7.2"""
    assert matches(topic_filter, topic) is selected
    tree: FilterTree[str] = FilterTree()
    tree.add(topic_filter, "x")
    assert tree.match(topic) == (["x"] if selected else [])


def test_the_parent_level_is_a_choice() -> None:
    assert matches("sport/#", "sport")
    assert not matches("sport/#", "sport", parent=False)
    assert matches("sport/#", "sport/", parent=False)
    for parent in (True, False):
        tree: FilterTree[int] = FilterTree(parent=parent)
        tree.add("sport/#", 1)
        assert tree.match("sport") == ([1] if parent else [])
        assert tree.match("sport/") == [1]


def test_removing_leaves_nothing_behind() -> None:
    tree: FilterTree[int] = FilterTree()
    filters = ["a/b/c", "a/b", "a/#", "+/b", "#", "a/+/c/#"]
    for value, topic_filter in enumerate(filters):
        tree.add(topic_filter, value)
        tree.add(topic_filter, 100 + value)
    assert not tree.remove("a/x", 0)
    assert not tree.remove("a/b/c", 7)
    assert not tree.remove("a/b/#", 0)
    for value, topic_filter in enumerate(filters):
        assert tree
        assert tree.remove(topic_filter, value)
        assert tree.remove(topic_filter, 100 + value)
        assert not tree.remove(topic_filter, value)
    assert not tree


def test_a_long_topic_does_not_recurse() -> None:
    tree: FilterTree[int] = FilterTree()
    topic = "/".join("a" * 30_000)
    tree.add(topic, 1)
    tree.add("a/" * 1000 + "#", 2)
    assert tree.match(topic) == [2, 1]
    assert tree.remove(topic, 1)


level = st.sampled_from(["a", "b", "$c", ""])
filters = st.lists(st.one_of(level, st.just("+")), min_size=1, max_size=4).flatmap(
    lambda levels: st.sampled_from(["/".join(levels), "/".join([*levels, "#"]), "#"])
)


@settings(max_examples=400, deadline=None)
@given(st.lists(filters, max_size=20), st.lists(level, min_size=1, max_size=5), st.booleans(), st.data())
def test_the_tree_finds_what_matching_finds(
    wanted: list[str], topic_levels: list[str], parent: bool, data: st.DataObject
) -> None:
    tree: FilterTree[int] = FilterTree(parent=parent)
    held = dict(enumerate(wanted))
    for value, topic_filter in held.items():
        tree.add(topic_filter, value)
    for value in data.draw(st.lists(st.sampled_from(sorted(held)), unique=True)) if held else []:
        assert tree.remove(held.pop(value), value)
    topic = "/".join(topic_levels)
    assert sorted(tree.match(topic)) == [value for value, one in held.items() if matches(one, topic, parent=parent)]
    assert bool(tree) is bool(held)
