"""What commands answer: a table for people or one JSON document for programs, both from the same records."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fleetgate.names import Realm
from fleetgate.registry.claims import Rate

Json = Annotated[bool, typer.Option("--json", help="One JSON document instead of a table.")]
Limit = Annotated[
    int | None, typer.Option("--limit", min=1, help="At most so many (default: 100 in a table, all as JSON).")
]

Record = Mapping[str, Any]

_TABLE_LIMIT: Final = 100
_UNBOUND_COLUMNS: Final = 160
"""Width of a table that goes to a file or a pipe, unless COLUMNS says otherwise."""
_TIMES: Final = ("_at", "not_before", "not_after")
_INTERVALS: Final = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))


def limit(given: int | None, as_json: bool) -> int | None:
    return given if given is not None or as_json else _TABLE_LIMIT


def console(*, errors: bool = False) -> Console:
    """Standard output (or error) as rich writes to it: as wide as the terminal, and without colour where none is."""
    stream = sys.stderr if errors else sys.stdout
    plain = not stream.isatty()
    return Console(file=stream, width=_width() if plain else None, highlight=False, soft_wrap=False)


def _width() -> int:
    columns = typer.get_terminal_size((_UNBOUND_COLUMNS, 24)).columns
    return max(columns, 40)


# --- records ----------------------------------------------------------------------------------------------------------


def record(value: Any, *without: str, **more: Any) -> dict[str, Any]:
    """A frozen dataclass as JSON has it, times as ISO 8601 in UTC; *more* comes at the end."""
    fields = [field.name for field in dataclasses.fields(value) if field.name not in without]
    return {name: plain(name, getattr(value, name)) for name in fields} | more


def plain(name: str, value: Any) -> Any:
    """*value* as JSON has it; what *name* tells to be a time in milliseconds becomes text."""
    if isinstance(value, int) and not isinstance(value, bool) and name.endswith(_TIMES):
        return moment(value)
    if isinstance(value, Rate):
        return rate(value)
    if isinstance(value, Realm):
        return str(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Mapping):
        return {key: plain(key, member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [plain("", member) for member in value]
    return value


def moment(milliseconds: int) -> str:
    """`2026-01-31T12:00:00Z`"""
    text = datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00").removesuffix(".000") + "Z"


def rate(value: Rate) -> str:
    """`100/1m`, as the options take it."""
    unit, size = next(each for each in _INTERVALS if value.interval % each[1] == 0)
    return f"{value.count}/{value.interval // size}{unit}"


# --- output -----------------------------------------------------------------------------------------------------------


def document(value: Any) -> None:
    """One JSON document on standard output."""
    typer.echo(json.dumps(value, indent=2))


def say(text: str) -> None:
    """A word to people: on standard error, where it is in no program's way."""
    typer.echo(text, err=True)


def heading(text: str) -> None:
    console().print(Text(text, style="bold"))


def listing(
    records: Sequence[Record], columns: Mapping[str, str], what: str, as_json: bool, more: bool = False
) -> None:
    """*columns*: heading by the record's key. *what* the records are, for a list that is empty or goes on."""
    if as_json:
        document(list(records))
    elif records:
        console().print(table(records, columns))
    else:
        say(f"No {what}.")
    if more:
        say(f"There are more {what}; --limit shows them.")


def table(records: Iterable[Record], columns: Mapping[str, str], **look: Any) -> Table:
    made = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold", **look)
    rows = [[_cell(key, each.get(key)) for key in columns] for each in records]
    for position, (key, heading) in enumerate(columns.items()):
        cells = {row[position] for row in rows} - {"-"}
        numbers = bool(cells) and all(map(_is_number, cells))
        made.add_column(
            heading,
            justify="right" if numbers else "left",
            no_wrap=key in _SHORT,
            overflow="fold",
            style=_STYLE.get(key),
        )
    for row in rows:
        made.add_row(*map(Text, row))
    return made


_SHORT: Final = frozenset({"certificate", "fingerprint", "id", "status", "enabled", "created_at", "at"})
_ARNS: Final = frozenset({"target", "hook_target_arn"})
_IDS: Final = frozenset({"target", "certificate", "fingerprint"})
_ID: Final = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")
_STYLE: Final = {"thing": "bold", "name": "bold"}


def details(value: Record, as_json: bool) -> None:
    """One record: its members below each other."""
    if as_json:
        document(dict(value))
        return
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for key, member in value.items():
        grid.add_row(key.replace("_", " "), Text(_text(member)))
    console().print(grid)


def _cell(key: str, value: Any) -> str:
    """*value* in a table: ids of certificates cut to what tells them apart, ARNs to what is not the same in all."""
    text = _text(value)
    if key in _ARNS and text.startswith("arn:"):
        text = text.split(":", 5)[5]
    if key in _IDS:
        text = _ID.sub(r"\1", text)
    return _readable(text) if key.endswith(_TIMES) or key == "at" else text


def _text(value: Any) -> str:
    if value is None or value in ("", [], {}):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={_text(member)}" for key, member in value.items())
    if isinstance(value, list):
        return "\n".join(_text(member) for member in value)
    return str(value)


def _readable(time: str) -> str:
    return time[:19].replace("T", " ")


def _is_number(cell: str) -> bool:
    return cell.replace(".", "", 1).isdecimal()
