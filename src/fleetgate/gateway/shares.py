"""Shared subscriptions with members on several nodes: one node serves each message.

The node that lets a message in chooses, among all that have members, in turn; it says so with the message.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from fleetgate.names import Realm
from fleetgate.wire.mqtt.topics import FilterTree, SharedFilter

Plain = Sequence[str]
"""(realm, share name, filter), as it is said between nodes."""


@dataclass(slots=True)
class Given:
    """Who serves one message."""

    elsewhere: dict[str, list[Plain]] = field(default_factory=dict)
    """By node: (share name, filter)."""
    _others: set[SharedFilter] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self._others)

    def give(self, shared: SharedFilter, node: str) -> None:
        self._others.add(shared)
        self.elsewhere.setdefault(node, []).append((shared.share_name, shared.topic_filter))

    def serves_here(self, shared: SharedFilter) -> bool:
        return shared not in self._others


class Shares:
    """Where the members of shared subscriptions are, besides on this node."""

    def __init__(self, node: str, *, parent: bool = False) -> None:
        self._node, self._parent = node, parent
        self._told: dict[str, list[Plain]] = {}
        self._trees: dict[Realm, FilterTree[SharedFilter]] = {}
        self._nodes: dict[tuple[Realm, SharedFilter], list[str]] = {}
        self._turn = 0

    def tell(self, node: str, shares: list[Plain]) -> None:
        """All shared subscriptions that have members on *node*."""
        self._told[node] = shares
        self._sort()

    def forget(self, node: str) -> None:
        self._told.pop(node, None)
        self._sort()

    def _sort(self) -> None:
        self._trees, found = {}, defaultdict(list)
        for node in sorted(self._told):
            for text, name, topic_filter in self._told[node]:
                found[Realm.parse(text), SharedFilter(name, topic_filter)].append(node)
        for realm, shared in found:
            tree = self._trees.setdefault(realm, FilterTree(parent=self._parent))
            tree.add(shared.topic_filter, shared)
        self._nodes = dict(found)

    def choose(self, realm: Realm, topic: str, here: Collection[SharedFilter]) -> Given:
        """For one message; *here* are the shared subscriptions that want it and have members on this node."""
        given = Given()
        tree = self._trees.get(realm)
        if tree is None:
            return given
        for shared in tree.match(topic):
            able = self._nodes[realm, shared] + ([self._node] if shared in here else [])
            self._turn += 1
            chosen = able[self._turn % len(able)]
            if chosen != self._node:
                given.give(shared, chosen)
        return given

    def served(self, elsewhere: dict[str, list[Plain]]) -> Callable[[SharedFilter], bool]:
        """Of a message that another node let in: what is to be served here, by its `Given.elsewhere`."""
        mine = {SharedFilter(name, topic_filter) for name, topic_filter in elsewhere.get(self._node, ())}
        return mine.__contains__
