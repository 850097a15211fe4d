"""Which operation does this method and path mean?

Everything happens on the raw, still percent-encoded path: names and ARNs hold slashes as %2F and must stay one segment.
The method comes first, because AWS tells `PUT /thing-groups/addThingToThingGroup` from `GET /thing-groups/{name}` by it
alone; then literal segments win over labels, and labels over the greedy ones (`{name+}`) that span slashes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_LABEL: Final = re.compile(r"\{([^{}+]+)(\+?)\}")


class NoSuchOperation(Exception):
    """No operation has this method and path. *allowed* names the methods that this path would answer to."""

    def __init__(self, message: str, allowed: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.allowed = allowed


@dataclass(frozen=True, slots=True, order=True)
class _Route:
    """*shape* has a flag for each segment, true for a label: sorted by it, literals come first, the leftmost counting
    most.
    """

    shape: tuple[bool, ...]
    operation: str
    literals: tuple[tuple[int, str], ...]
    labels: tuple[tuple[int, str], ...]
    greedy: bool

    @classmethod
    def parse(cls, template: str, operation: str) -> _Route:
        segments = template.split("/")
        found = [_LABEL.fullmatch(segment) for segment in segments]
        return cls(
            shape=tuple(bool(label) for label in found),
            operation=operation,
            literals=tuple((i, text) for i, text in enumerate(segments) if not found[i]),
            labels=tuple((i, label[1]) for i, label in enumerate(found) if label),
            greedy=bool(found[-1] and found[-1][2]),
        )

    def labels_of(self, segments: list[str]) -> dict[str, str] | None:
        """The labels' texts by name when *segments* fit; no label may be empty."""
        for position, text in self.literals:
            if segments[position] != text:
                return None
        labels = {name: segments[position] for position, name in self.labels}
        return labels if all(labels.values()) else None


class Routes:
    """A table of method and URI template, filled at start-up and asked for each request."""

    def __init__(self) -> None:
        self._plain: dict[tuple[str, int, str], list[_Route]] = {}
        self._greedy: dict[str, list[_Route]] = {}

    def add(self, method: str, template: str, operation: str) -> None:
        """*template* as the service model writes it: `/things/{thingName}`. One that ends in a slash matches without it
        as well; one greedy label may stand at its end. The first segment must be literal.
        """
        route = _Route.parse(template, operation)
        if route.greedy:
            self._greedy.setdefault(method, []).append(route)
            self._greedy[method].sort(key=lambda route: (-len(route.shape), route))
            return
        routes = self._plain.setdefault((method, len(route.shape), template.split("/")[1]), [])
        routes.append(route)
        routes.sort()
        if template.endswith("/") and template != "/":
            self.add(method, template.rstrip("/"), operation)

    def match(self, method: str, raw_path: str) -> tuple[str, Mapping[str, str]]:
        """The operation's name and its labels, still percent-encoded. Raises NoSuchOperation."""
        found = self._find(method, raw_path.split("/"))
        if found is None:
            raise self._no_such(method, raw_path)
        return found

    def _find(self, method: str, segments: list[str]) -> tuple[str, dict[str, str]] | None:
        count = len(segments)
        if count < 2:
            return None
        for route in self._plain.get((method, count, segments[1]), ()):
            if (labels := route.labels_of(segments)) is not None:
                return route.operation, labels
        for route in self._greedy.get(method, ()):
            last = len(route.shape) - 1
            if count > last:
                labels = route.labels_of([*segments[:last], "/".join(segments[last:])])
                if labels is not None:
                    return route.operation, labels
        return None

    def _no_such(self, method: str, raw_path: str) -> NoSuchOperation:
        methods = {key[0] for key in self._plain} | self._greedy.keys()
        segments = raw_path.split("/")
        allowed = tuple(sorted(other for other in methods if self._find(other, segments)))
        shown = raw_path if len(raw_path) <= 200 else raw_path[:200] + "..."
        hint = f"; this path answers to {', '.join(allowed)}" if allowed else ""
        return NoSuchOperation(f"No operation has the method {method[:20]} and the path {shown}{hint}.", allowed)
