"""The example file and the reference page, made from the dataclasses and the strings under their fields."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import types
from collections.abc import Iterator, Mapping
from dataclasses import MISSING
from pathlib import Path
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from fleetgate.config import sections
from fleetgate.config.sections import UNITS, Config, Duration

_SHOWN: Final = {Path: "/path/to/file", str: "..."}  # where there is no default to show
_ABOUT: Final = """\
No field is needed to start. Secrets stand in files of their own (`*_file`), never in this one. Relative paths are
relative to the directory that the server is started in."""


def example() -> str:
    """A complete TOML file that says what the defaults say, with every field's documentation above it."""
    lines = ["# Every setting with its default. Nothing here is needed to start; keep what you change."]
    for section in dataclasses.fields(Config):
        kind = _kind_of(section)
        lines += ["", *_comment(kind.__doc__), f"[{section.name}]"]
        tables = []
        for name, item, default, text in _settings(kind):
            if get_origin(item) is Mapping and dataclasses.is_dataclass(get_args(item)[1]):
                tables += ["", *_comment(text), *_example_table(f"{section.name}.{name}", get_args(item)[1])]
            else:
                lines += [*_comment(text), _assignment(name, item, default)]
        lines += tables
    return "\n".join(lines) + "\n"


def reference() -> str:
    """The reference page in Markdown."""
    lines = ["# Configuration", "", *_ABOUT.splitlines(), ""]
    lines += ["`fleetgate config --example` prints a file with every default. This page is made from the same source."]
    for section in dataclasses.fields(Config):
        lines += _reference_table(section.name, _kind_of(section))
    return "\n".join(lines) + "\n"


def _reference_table(title: str, kind: Any) -> list[str]:
    lines = ["", f"## `[{title}]`", "", inspect.cleandoc(kind.__doc__), ""]
    lines += ["| setting | value | default | meaning |", "| --- | --- | --- | --- |"]
    tables = []
    for name, item, default, text in _settings(kind):
        if get_origin(item) is Mapping and dataclasses.is_dataclass(get_args(item)[1]):
            tables += _reference_table(f"{title}.{name}.NAME", get_args(item)[1])
        shown = "" if default is None else f"`{_toml(item, default)}`"
        lines.append(f"| `{name}` | {_called(item)} | {shown} | {text} |")
    return lines + tables


def _called(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return ", ".join(f"`{one}`" for one in get_args(kind))
    if get_origin(kind) in {Union, types.UnionType}:
        return _called(get_args(kind)[0])
    plain = {Duration: "duration", int: "number", str: "string", Path: "path"}
    return plain.get(kind, "list of strings" if get_origin(kind) is tuple else "table")


def _kind_of(section: dataclasses.Field[Any]) -> Any:
    return get_type_hints(Config)[section.name]


def _settings(kind: Any) -> Iterator[tuple[str, Any, Any, str]]:
    """Name, type, default and documentation of each field."""
    hints, texts = get_type_hints(kind), _texts(kind)
    for one in dataclasses.fields(kind):
        default = one.default if one.default_factory is MISSING else one.default_factory()
        yield one.name, hints[one.name], default, texts[one.name]


def _texts(kind: Any) -> dict[str, str]:
    """The string under each field, which exists in the source only."""
    tree = ast.parse(inspect.getsource(sections))
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == kind.__name__)
    found = {}
    for one, after in itertools.pairwise(body):
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name) and isinstance(after, ast.Expr):
            found[one.target.id] = ast.literal_eval(after.value)
    return found


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in inspect.cleandoc(text).splitlines()]


def _assignment(name: str, kind: Any, default: Any) -> str:
    if default is None:
        return f'# {name} = "{_SHOWN[get_args(kind)[0]]}"'
    return f"{name} = {_toml(kind, default)}"


def _example_table(title: str, kind: Any) -> list[str]:
    lines = [f"[{title}.NAME]"]
    for name, item, default, text in _settings(kind):
        lines += [*_comment(text), _assignment(name, item, default).removeprefix("# ")]
    return [f"# {line}" for line in lines]


def _toml(kind: Any, value: Any) -> str:
    if kind is Duration:
        unit = next(unit for unit, size in UNITS.items() if value % size == 0)
        return f'"{value // UNITS[unit]}{unit}"'
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(str, one) for one in value) + "]"
    if isinstance(value, Mapping):
        return "{}"
    return str(value) if isinstance(value, int) else f'"{value}"'
