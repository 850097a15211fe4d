"""SQL text and values on their way to either engine. One text runs on both: `:name` parameters, TEXT, BIGINT, NULL."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from fleetgate.errors import InvalidRequest

_TOKEN: Final = re.compile(
    r"""
      (?P<opaque> '(?:[^']|'')*' | "(?:[^"]|"")*" | --[^\n]* | /\*.*?\*/ )
    | (?P<cast> :: )
    | :(?P<name> [A-Za-z_]\w* )
    | (?P<percent> % )
    | (?P<end> ; )
    | (?P<cast_text> \bAS\s+TEXT\b )
    | (?P<text> \bTEXT\b )
    """,
    re.VERBOSE | re.DOTALL,
)


@lru_cache(maxsize=4096)
def pyformat(sql: str, nulls: frozenset[str] = frozenset()) -> str:
    """*sql* as psycopg wants it: `:name` becomes `%(name)s`, a literal `%` is doubled, strings and casts stay.

    The parameters in *nulls* become NULL itself: PostgreSQL finds no type for a parameter in `:after IS NULL OR ...`.
    """

    def translated(token: re.Match[str]) -> str:
        name = token["name"]
        if name is None:
            return token[0].replace("%", "%%")
        return "NULL" if name in nulls else f"%({name})s"

    return _TOKEN.sub(translated, sql)


@lru_cache(maxsize=256)
def collated(sql: str) -> str:
    """*sql* of a schema file with every TEXT column compared byte by byte, as SQLite does (types are written in
    capitals; `text` may be a column's name).

    Without it PostgreSQL sorts by the language of the server, and the same page token means another place.
    """
    return _TOKEN.sub(lambda token: f'{token[0]} COLLATE "C"' if token["text"] else token[0], sql)


def statements(script: str) -> list[str]:
    """The statements of a schema file, without the semicolons that end them and without bare comments."""
    found, begin, seen, substance = [], 0, 0, False
    script += "\n;"
    for token in _TOKEN.finditer(script):
        comment = token["opaque"] is not None and token[0][:2] in {"--", "/*"}
        substance = substance or bool(script[seen : token.start()].strip()) or not (comment or token["end"])
        seen = token.end()
        if token["end"]:
            if substance:
                found.append(script[begin : token.start()].strip())
            begin, substance = seen, False
    return found


def check_values(values: Mapping[str, Any]) -> None:
    """Let pass what both engines store alike: text without NUL, integers of 64 bits, None.

    Raises InvalidRequest for a value that no engine keeps, TypeError for a type that is none of ours.
    """
    for name, value in values.items():
        if isinstance(value, str):
            if "\0" in value:
                raise InvalidRequest(f"The text for {name} contains a NUL character, which cannot be stored.")
        elif isinstance(value, int):
            if not -0x8000_0000_0000_0000 <= value <= 0x7FFF_FFFF_FFFF_FFFF:
                raise InvalidRequest(f"The number for {name} does not fit into 64 bits: {value}.")
        elif value is not None:
            raise TypeError(f":{name} is a {type(value).__name__}; a row holds str, int and None")


def unencodable(values: Mapping[str, Any]) -> InvalidRequest:
    """What to raise when a text of *values* has no UTF-8 form (half of a surrogate pair)."""

    def broken(value: Any) -> bool:
        return isinstance(value, str) and value.encode("utf-8", "ignore").decode() != value

    names = ", ".join(name for name, value in values.items() if broken(value))
    return InvalidRequest(f"The text for {names} is not valid Unicode: it contains half of a surrogate pair.")
