"""Substitution templates: `${expression}` within a text, as in the topic of a republish action."""

from __future__ import annotations

from dataclasses import dataclass

from fleetgate.errors import SqlParseFailed
from fleetgate.sql.effort import TooMuch
from fleetgate.sql.evaluate import Message, evaluate
from fleetgate.sql.parse import parse_expression
from fleetgate.sql.syntax import Expression
from fleetgate.sql.values import UNDEFINED, text


@dataclass(frozen=True, slots=True)
class Template:
    source: str
    parts: tuple[str | Expression, ...]

    def fill(self, message: Message) -> str | None:
        """The text for *message*; None where an expression has no value."""
        words = []
        for part in self.parts:
            try:
                word = part if isinstance(part, str) else text(evaluate(part, message))
            except (RecursionError, TooMuch):
                word = UNDEFINED
            if word is UNDEFINED:
                return None
            words.append(word)
        return "".join(words)


def parse(source: str) -> Template:
    """Raises SqlParseFailed."""
    parts: list[str | Expression] = []
    at = 0
    while (start := source.find("${", at)) >= 0:
        end = _end(source, start)
        parts += [source[at:start]] if start > at else []
        try:
            parts.append(parse_expression(source[start + 2 : end]))
        except SqlParseFailed as error:
            raise SqlParseFailed(f"{source[start : end + 1]:.100} cannot be used. {error.message}") from error
        at = end + 1
    if at < len(source):
        parts.append(source[at:])
    return Template(source, tuple(parts))


def _end(source: str, start: int) -> int:
    """Where the expression's brace closes; braces within it and within its strings do not count."""
    depth, quote = 0, ""
    for at in range(start + 1, len(source)):
        letter = source[at]
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter == "{":
            depth += 1
        elif letter == "}":
            depth -= 1
            if depth == 0:
                return at
    raise SqlParseFailed(f"{source[start:]:.100} has no closing brace.")
