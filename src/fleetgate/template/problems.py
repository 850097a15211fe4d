"""What is wrong with a template or its values, collected so that a user mends all at once."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice

from fleetgate import names
from fleetgate.errors import InvalidRequest, all_of

_SHOWN = 64
_COMPARED = 32


class Problems:
    """The problems found so far, each told once, in the order they were found."""

    __slots__ = ("_told", "_whole")

    def __init__(self, whole: str = "The template") -> None:
        """*whole* is what an empty path stands for."""
        self._whole = whole
        self._told: dict[str, None] = {}

    def __bool__(self) -> bool:
        return bool(self._told)

    def tell(self, problem: str) -> None:
        """*problem* as it stands, with no path before it."""
        self._told.setdefault(problem.encode("utf-8", "backslashreplace").decode())

    def add(self, path: str, problem: str) -> None:
        """*problem* is a sentence about the value at *path*; an empty path is the whole."""
        self.tell(f"{path or self._whole}: {problem}")

    def check_name(self, kind: str, name: str, path: str) -> None:
        """A problem at *path* unless *name* is a proper name of its *kind* (names.check)."""
        try:
            names.check(kind, name)
        except InvalidRequest as refused:
            self.add(path, refused.message)

    def throw(self, kind: type[InvalidRequest]) -> None:
        """Raises *kind* with every problem, if there is one."""
        if self._told:
            raise kind(all_of(tuple(self._told)))


def shown(value: object) -> str:
    """*value* as a message quotes it: cut to a readable length."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def member(path: str, name: str) -> str:
    """The path of the member *name* of the object at *path*, as in `Resources.thing.Properties`."""
    brief = name if len(name) <= _SHOWN else f"{name[: _SHOWN - 3]}..."
    return f"{path}.{brief}" if path else brief


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'X'?` or the list of what is known, ready to follow a complaint about *name*.

    Only the first 32 are compared and listed: comparing is slow, and a template may hold hundreds of names.
    """
    choices = tuple(islice(known, _COMPARED))
    folded = {choice.lower(): choice for choice in choices}
    close = get_close_matches(name.lower()[:_SHOWN], folded, n=1, cutoff=0.65)
    if close:
        return f"; did you mean {folded[close[0]]!r}?"
    return f"; known here: {', '.join(choices)}." if choices else "; nothing is known here."
