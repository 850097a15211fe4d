"""Topic names and topic filters (MQTT 5, 4.7): checks, matching, and a tree that finds filters by topic."""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

from fleetgate.wire.mqtt.errors import ProtocolError, Reason

T = TypeVar("T")


class SharedFilter(NamedTuple):
    """`$share/<share_name>/<topic_filter>` taken apart (MQTT 5, 4.8.2)."""

    share_name: str
    topic_filter: str


def check_topic(topic: str, max_bytes: int = 65_535, max_slashes: int | None = None) -> None:
    """A topic one may publish to: not empty [MQTT-4.7.3-1], no wildcards [MQTT-3.3.2-2], no U+0000 [MQTT-4.7.3-2].

    Raises `ProtocolError` 0x90, also for more than *max_bytes* bytes of UTF-8 or more than *max_slashes* slashes.
    """
    if not topic:
        raise ProtocolError(Reason.TOPIC_NAME_INVALID, "the topic is empty")
    if "#" in topic or "+" in topic or "\0" in topic:
        raise ProtocolError(Reason.TOPIC_NAME_INVALID, f"the topic {topic!r} holds a wildcard or U+0000")
    if (problem := _excess(topic, max_bytes, max_slashes)) is not None:
        raise ProtocolError(Reason.TOPIC_NAME_INVALID, f"the topic {problem}")


def check_filter(topic_filter: str, max_bytes: int = 65_535, max_slashes: int | None = None) -> SharedFilter | None:
    """A filter one may subscribe to; returns its parts if it is a shared one (its prefix does not count as length).

    `#` only as the whole last level [MQTT-4.7.1-1], `+` only as a whole level [MQTT-4.7.1-2], a share name
    without wildcards and a filter behind it [MQTT-4.8.2-1, MQTT-4.8.2-2]. Raises `ProtocolError` 0x8F.
    """
    if not topic_filter or "\0" in topic_filter:
        raise ProtocolError(Reason.TOPIC_FILTER_INVALID, "the topic filter is empty or holds U+0000")
    shared = split_shared(topic_filter)
    plain = topic_filter if shared is None else shared.topic_filter
    if "#" in plain or "+" in plain:
        _check_wildcards(plain)
    if (problem := _excess(plain, max_bytes, max_slashes)) is not None:
        raise ProtocolError(Reason.TOPIC_FILTER_INVALID, f"the topic filter {problem}")
    return shared


def split_shared(topic_filter: str) -> SharedFilter | None:
    """The parts of a shared subscription's filter, or None for an ordinary filter. Raises `ProtocolError` 0x8F."""
    if not topic_filter.startswith("$share"):
        return None
    head, _, rest = topic_filter.partition("/")
    if head != "$share":
        return None
    name, _, plain = rest.partition("/")
    if not name or "+" in name or "#" in name or not plain:
        raise ProtocolError(Reason.TOPIC_FILTER_INVALID, f"{topic_filter!r} is not of the form $share/<name>/<filter>")
    return SharedFilter(name, plain)


def has_wildcard(topic_filter: str) -> bool:
    return "#" in topic_filter or "+" in topic_filter


def matches(topic_filter: str, topic: str, *, parent: bool = True) -> bool:
    """Whether a (valid, not shared) filter selects a topic. With *parent*, `sport/#` selects `sport` too, as the
    standard wants (4.7.1.2); AWS IoT does not. A leading wildcard never selects a `$` topic [MQTT-4.7.2-1].
    """
    if topic[:1] == "$" and topic_filter[:1] in {"+", "#"}:
        return False
    wanted, given = topic_filter.split("/"), topic.split("/")
    for at, level in enumerate(wanted):
        if level == "#":
            return at < len(given) or parent
        if at == len(given) or level not in {"+", given[at]}:
            return False
    return len(wanted) == len(given)


class _Node(Generic[T]):
    __slots__ = ("below", "here", "subtree")

    def __init__(self) -> None:
        self.below: dict[str, _Node[T]] = {}
        self.here: dict[T, None] = {}
        self.subtree: dict[T, None] = {}  # the values of "<this node>/#"

    def __bool__(self) -> bool:
        return bool(self.below or self.here or self.subtree)


class FilterTree(Generic[T]):
    """Values under topic filters; `match` finds those whose filter selects a topic.

    Its cost grows with the topic's levels and the filters that begin as the topic does, not with all filters.
    Values are told apart by equality and hash; a value stands at most once under one filter.
    """

    def __init__(self, *, parent: bool = True) -> None:
        self._root: _Node[T] = _Node()
        self._parent = parent

    def __bool__(self) -> bool:
        return bool(self._root)

    def add(self, topic_filter: str, value: T) -> None:
        node, levels = self._root, topic_filter.split("/")
        subtree = levels[-1] == "#"
        for level in levels[:-1] if subtree else levels:
            below = node.below.get(level)
            if below is None:
                below = node.below[level] = _Node()
            node = below
        (node.subtree if subtree else node.here)[value] = None

    def remove(self, topic_filter: str, value: T) -> bool:
        """Whether it was there. Nodes that hold nothing any more go with it."""
        levels = topic_filter.split("/")
        subtree = levels[-1] == "#"
        path = [self._root]
        for level in levels[:-1] if subtree else levels:
            below = path[-1].below.get(level)
            if below is None:
                return False
            path.append(below)
        values = path[-1].subtree if subtree else path[-1].here
        if value not in values:
            return False
        del values[value]
        while len(path) > 1 and not path.pop():
            del path[-1].below[levels[len(path) - 1]]
        return True

    def match(self, topic: str) -> list[T]:
        """Every value under a filter that selects the topic; once for each such filter."""
        found: list[T] = []
        levels = topic.split("/")
        nodes = [self._root]
        wild = topic[:1] != "$"  # wildcards of the first level do not select $ topics
        for level in levels:
            reached: list[_Node[T]] = []
            for node in nodes:
                if wild:
                    found += node.subtree
                    if (below := node.below.get("+")) is not None:
                        reached.append(below)
                if (below := node.below.get(level)) is not None:
                    reached.append(below)
            if not reached:
                return found
            nodes, wild = reached, True
        for node in nodes:
            found += node.here
            if self._parent:
                found += node.subtree
        return found


def _check_wildcards(topic_filter: str) -> None:
    levels = topic_filter.split("/")
    for at, level in enumerate(levels):
        if level != "+" and "+" in level:
            raise ProtocolError(Reason.TOPIC_FILTER_INVALID, f"+ must be a whole level in {topic_filter!r}")
        if "#" in level and (level != "#" or at != len(levels) - 1):
            raise ProtocolError(Reason.TOPIC_FILTER_INVALID, f"# must be the whole last level in {topic_filter!r}")


def _excess(topic: str, max_bytes: int, max_slashes: int | None) -> str | None:
    if len(topic) * 4 > max_bytes:
        size = len(topic) if topic.isascii() else len(topic.encode(errors="surrogatepass"))
        if size > max_bytes:
            return f"has {size} bytes, more than {max_bytes}"
    if max_slashes is not None and topic.count("/") > max_slashes:
        return f"has {topic.count('/')} slashes, more than {max_slashes}"
    return None
