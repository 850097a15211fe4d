from __future__ import annotations

from fleetgate.database.port import Tx
from fleetgate.registry import nodes
from fleetgate.registry.nodes import SILENCE, Node

NOW = 1_700_000_000_000


def test_who_gives_signs_of_life_is_alive(tx: Tx) -> None:
    nodes.beat(tx, "1", "east", NOW)
    nodes.beat(tx, "2", "west", NOW)
    nodes.beat(tx, "1", "east", NOW + SILENCE)
    assert nodes.alive(tx, NOW + SILENCE) == [Node("1", "east", NOW, NOW + SILENCE)]
    assert nodes.alive(tx, NOW + SILENCE - 1) == [
        Node("1", "east", NOW, NOW + SILENCE),
        Node("2", "west", NOW, NOW),
    ]


def test_who_leaves_is_gone_at_once(tx: Tx) -> None:
    nodes.beat(tx, "1", "east", NOW)
    nodes.leave(tx, "1")
    nodes.leave(tx, "1")
    assert nodes.alive(tx, NOW) == []


def test_the_dead_are_forgotten(tx: Tx) -> None:
    nodes.beat(tx, "1", "east", NOW)
    nodes.beat(tx, "2", "west", NOW + 1)
    assert nodes.bury(tx, NOW + 1) == 1
    assert [node.name for node in nodes.alive(tx, NOW)] == ["west"]
