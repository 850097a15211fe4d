"""What commands answer: a table for people or one JSON document for programs, both from the same records."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from fleetgate.names import Realm
from fleetgate.registry.budgets import Rate

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


def use(serial: Record) -> str:
    """A serial number's record, in a line."""
    return f"{serial['serial']} " + (f"used by {serial['thing_name']}" if serial["used_at"] else "free")


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
        out = console()
        out.print(laid_out(out.width, records, columns))
    else:
        say(f"No {what}.")
    if more:
        say(f"There are more {what}; --limit shows them.")


def laid_out(
    width: int, records: Sequence[Record], *choices: Mapping[str, str], caption: str | None = None
) -> RenderableType:
    """A table by the first of *choices* (heading by key) that fits *width*; where none does, each record's members
    below each other.
    """
    for columns in choices:
        made = [_Column.of(key, heading, records) for key, heading in columns.items()]
        for padding in (1, 0):
            if sum(column.least for column in made) + (len(made) - 1) * (2 * padding + 1) <= width:
                return _table(made, padding, caption)
    parts = [Padding(_below_each_other(_cells(each, choices[-1])), (0, 0, 1, 0)) for each in records]
    return Group(*parts, *([Text(caption, style="italic")] if caption else []))


@dataclass(frozen=True, slots=True)
class _Column:
    heading: str
    cells: list[str]
    style: str | None
    folds: bool
    """Whether its texts may be broken into lines."""

    @classmethod
    def of(cls, key: str, heading: str, records: Sequence[Record]) -> _Column:
        return cls(heading, [_cell(key, each.get(key)) for each in records], _STYLE.get(key), key in _LONG)

    @property
    def least(self) -> int:
        widest = max(len(line) for text in [self.heading, *self.cells] for line in text.splitlines() or [""])
        return min(widest, _FOLDED) if self.folds else widest

    @property
    def is_numbers(self) -> bool:
        cells = set(self.cells) - {"-"}
        return bool(cells) and all(cell.replace(".", "", 1).isdecimal() for cell in cells)


def _table(columns: Sequence[_Column], padding: int, caption: str | None) -> Table:
    made = Table(
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, padding),
        header_style="bold",
        caption=caption,
        caption_justify="left",
    )
    for column in columns:
        made.add_column(
            column.heading,
            justify="right" if column.is_numbers else "left",
            no_wrap=not column.folds,
            overflow="fold",
            min_width=column.least,
            style=column.style,
        )
    for row in zip(*(column.cells for column in columns), strict=True):
        made.add_row(*map(Text, row))
    return made


def _cells(record: Record, columns: Mapping[str, str]) -> dict[str, str]:
    """By heading."""
    return {heading: _cell(key, record.get(key)) for key, heading in columns.items()}


def _below_each_other(members: Mapping[str, str]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, text in members.items():
        grid.add_row(name, Text(text))
    return grid


_FOLDED: Final = 20
"""A column of long texts is not made narrower than this."""
_LONG: Final = frozenset({"attributes", "description", "reason", "file", "subject", "label", "target", "policies"})
_ARNS: Final = frozenset({"target", "hook_target_arn"})
_IDS: Final = frozenset({"target", "certificate", "fingerprint"})
_ID: Final = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")
_STYLE: Final = {"thing": "bold", "name": "bold"}


def details(value: Record, as_json: bool) -> None:
    """One record: its members below each other."""
    if as_json:
        document(dict(value))
        return
    members = {key.replace("_", " "): _text(member) for key, member in value.items()}
    console().print(_below_each_other(members))


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
