"""A statement becomes words. Strings stand in single or double quotes, doubled to stand for themselves."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from fleetgate.errors import SqlParseFailed

LONGEST: Final = 256 * 1024
"""Characters of a statement (AWS quota)."""
MOST_DIGITS: Final = 34

_WORD: Final = re.compile(
    r"""(?P<space>\s+)
      | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
      | (?P<string>'(?:[^']|'')*'|"(?:[^"]|"")*")
      | (?P<name>[A-Za-z_$][A-Za-z0-9_$]*)
      | (?P<symbol><>|!=|<=|>=|[-+*/%=<>(),.\[\]{}:])""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    """`number`, `string`, `name`, `symbol` or `end`."""
    text: str
    """As it stands there."""
    at: int
    value: Any = None
    """Of a number or a string."""

    def says(self, *words: str) -> bool:
        """Whether it is one of these keywords (capitals) or symbols."""
        if self.kind == "name":
            return self.text.upper() in words
        return self.kind == "symbol" and self.text in words

    def __str__(self) -> str:
        return "the end" if self.kind == "end" else f"{self.text:.40}"


def tokens(text: str) -> list[Token]:
    """The last one is the end. Raises SqlParseFailed."""
    if len(text) > LONGEST:
        raise SqlParseFailed(f"The statement is {len(text)} characters long; at most {LONGEST} are allowed.")
    found: list[Token] = []
    at = 0
    while at < len(text):
        match = _WORD.match(text, at)
        if match is None:
            open_string = text[at] in "'\""
            raise wrong(text, at, "a string has no end" if open_string else f"{text[at]!r} means nothing here")
        if match.lastgroup != "space":
            found.append(_token(text, match))
        at = match.end()
    return [*found, Token("end", "", at)]


def wrong(text: str, at: int, problem: str) -> SqlParseFailed:
    """The error at *at*, with the place for people."""
    line = text.count("\n", 0, at) + 1
    column = at - (text.rfind("\n", 0, at) + 1) + 1
    return SqlParseFailed(f"The SQL statement cannot be used: {problem} (line {line}, column {column}).")


def _token(text: str, match: re.Match[str]) -> Token:
    kind, word, at = match.lastgroup or "", match.group(), match.start()
    if kind == "string":
        quote = word[0]
        return Token(kind, word, at, word[1:-1].replace(quote * 2, quote))
    if kind == "number":
        return Token(kind, word, at, _number(text, word, at))
    return Token(kind, word, at)


def _number(text: str, word: str, at: int) -> int | float:
    if word.isdigit():
        if len(word) > MOST_DIGITS:
            raise wrong(text, at, f"a number has at most {MOST_DIGITS} digits")
        return int(word)
    value = float(word)
    if value == float("inf"):
        raise wrong(text, at, f"{word:.40} is too large a number")
    return value
