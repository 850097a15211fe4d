"""The rules of the house that no linter knows. Each is shown to find its own small bad example."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "fleetgate"

# Floors 0 to 3, and the rooms above the doors' threshold; what is named in neither stands between the two.
LOWER: Final = {
    "wire",
    "errors",
    "names",
    "config",
    "policy",
    "template",
    "search",
    "sql",
    "pki",
    "manifest",
    "database",
    "registry",
}
DOORS: Final = {"gateway", "api", "console", "works", "app", "cli", "agent", "__main__"}

# Both implementations of a port are tested by its one suite.
IN_CONFORMANCE: Final = {"database"}

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """One file of the package. *path* is relative to it."""

    path: Path
    text: str

    @property
    def room(self) -> str:
        return self.path.parts[0].removesuffix(".py")

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    def functions(self) -> Iterator[Function]:
        return (node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))

    def at(self, node: ast.expr | ast.stmt, problem: str) -> str:
        return f"{self.path}:{node.lineno} {problem}"


def files_are_short(source: Source) -> Iterator[str]:
    if (lines := source.text.count("\n")) > 500:
        yield f"{source.path} has {lines} lines; which concept wants a file of its own?"


def functions_are_short(source: Source) -> Iterator[str]:
    for function in source.functions():
        if (lines := (function.end_lineno or 0) - function.lineno + 1) > 60:
            yield source.at(function, f"{function.name} has {lines} lines")


def only_what_waits_is_async(source: Source) -> Iterator[str]:
    waits = source.room == "database" or source.path == Path("pki/signer.py")
    if source.room in LOWER and not waits:
        for function in source.functions():
            if isinstance(function, ast.AsyncFunctionDef):
                yield source.at(function, f"{function.name} is async below floor 4")


_CLOCK_OR_DICE = re.compile(
    r"(?:.*\.)?(?:datetime\.(?:now|utcnow|today)|date\.today|time\.(?:time|time_ns)|uuid[14]|os\.(?:urandom|getrandom))"
)
_DICE_MODULES: Final = {"random", "secrets"}


def time_and_chance_are_arguments(source: Source) -> Iterator[str]:
    if source.room in DOORS:
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute) and _CLOCK_OR_DICE.fullmatch(ast.unparse(node)):
            yield source.at(node, f"{ast.unparse(node)} below the doors; take it as an argument")
        elif isinstance(node, ast.Import) and (found := {name.name for name in node.names} & _DICE_MODULES):
            yield source.at(node, f"imports {found.pop()} below the doors; take randomness as an argument")
        elif isinstance(node, ast.ImportFrom):
            for name in node.names:
                if node.module in _DICE_MODULES or _CLOCK_OR_DICE.fullmatch(f"{node.module}.{name.name}"):
                    yield source.at(node, f"imports {node.module}.{name.name} below the doors")


_NO_NAMES: Final = {"util", "utils", "helper", "helpers", "common", "base", "manager", "misc"}
_NO_SUFFIXES: Final = re.compile(r".+(?:Manager|Base|Impl|Helper|Utils)")


def names_say_something(source: Source) -> Iterator[str]:
    for part in source.path.with_suffix("").parts:
        if empty := _NO_NAMES & set(part.split("_")):
            yield f"{source.path}: {empty.pop()} is no name"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ClassDef) and _NO_SUFFIXES.fullmatch(node.name):
            yield source.at(node, f"{node.name} is no name")


def functions_are_annotated(source: Source) -> Iterator[str]:
    for function in source.functions():
        arguments = function.args
        named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
        bare = [one.arg for one in named if one and not one.annotation and one.arg not in {"self", "cls"}]
        if function.returns is None:
            bare.append("return")
        if bare:
            yield source.at(function, f"{function.name}: {', '.join(bare)} not annotated")


def lower_floors_are_mirrored(source: Source) -> Iterator[str]:
    if source.room in LOWER and any(_does_something(function) for function in source.functions()):
        test = source.path.with_name(f"test_{source.path.name}")
        homes = [ROOT / "tests" / "unit" / test]
        if source.room in IN_CONFORMANCE:
            homes.append(ROOT / "tests" / "conformance" / source.room)
        if not any(home.exists() for home in homes):
            yield f"{source.path} has no tests/unit/{test}"


def _does_something(function: Function) -> bool:
    """More than a docstring or an ellipsis, which is all that a port's method has."""
    return any(not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant)) for one in function.body)


Check: TypeAlias = Callable[[Source], Iterator[str]]

LONG_FUNCTION = "def f() -> None:\n" + "    pass\n" * 60

BAD_EXAMPLES: list[tuple[Check, str, str]] = [
    (files_are_short, "api/things.py", "\n" * 501),
    (functions_are_short, "api/things.py", LONG_FUNCTION),
    (functions_are_short, "api/things.py", f"async {LONG_FUNCTION}"),
    (only_what_waits_is_async, "policy/document.py", "async def f() -> None: ..."),
    (only_what_waits_is_async, "names.py", "class A:\n    async def f(self) -> None: ..."),
    (time_and_chance_are_arguments, "registry/things.py", "import datetime as dt\nx = dt.datetime.now(dt.UTC)"),
    (time_and_chance_are_arguments, "registry/things.py", "from datetime import datetime\nx = datetime.utcnow"),
    (time_and_chance_are_arguments, "access.py", "import time\nx = time.time()"),
    (time_and_chance_are_arguments, "access.py", "from time import time_ns"),
    (time_and_chance_are_arguments, "pki/keys.py", "import os\nx = os.urandom(16)"),
    (time_and_chance_are_arguments, "pki/keys.py", "from os import urandom as entropy"),
    (time_and_chance_are_arguments, "provisioning/claim.py", "import uuid\nx = uuid.uuid4()"),
    (time_and_chance_are_arguments, "provisioning/claim.py", "from uuid import uuid4"),
    (time_and_chance_are_arguments, "wire/mqtt/flow.py", "import random"),
    (time_and_chance_are_arguments, "wire/mqtt/flow.py", "from secrets import token_hex"),
    (names_say_something, "registry/utils.py", ""),
    (names_say_something, "registry/thing_helpers.py", ""),
    (names_say_something, "common/things.py", ""),
    (names_say_something, "registry/things.py", "class ThingManager: ..."),
    (functions_are_annotated, "api/things.py", "def f(a) -> None: ..."),
    (functions_are_annotated, "api/things.py", "def f(a: int): ..."),
    (functions_are_annotated, "api/things.py", "def f(*a, **b) -> None: ..."),
    (lower_floors_are_mirrored, "policy/no_such_file.py", "def f() -> int: return 1"),
    (lower_floors_are_mirrored, "registry/no_such_file.py", "class A:\n    def f(self) -> int: return 1"),
]

GOOD_EXAMPLES: list[tuple[Check, str, str]] = [
    (files_are_short, "api/things.py", "\n" * 500),
    (functions_are_short, "api/things.py", LONG_FUNCTION.replace("    pass\n", "", 1)),
    (only_what_waits_is_async, "database/sqlite.py", "async def f() -> None: ..."),
    (only_what_waits_is_async, "gateway/mqtt.py", "async def f() -> None: ..."),
    (time_and_chance_are_arguments, "app.py", "import os\nx = os.urandom"),
    (time_and_chance_are_arguments, "access.py", "import time, uuid\nx = time.monotonic, uuid.uuid5"),
    (time_and_chance_are_arguments, "access.py", "x = thing.now, runtime.clock()"),
    (names_say_something, "registry/baseline.py", "class Basement: ..."),
    (functions_are_annotated, "api/things.py", "class A:\n    def f(self, a: int, *b: int, **c: int) -> None: ..."),
    (lower_floors_are_mirrored, "policy/port.py", 'class A:\n    def f(self) -> int:\n        """What it does."""'),
    (lower_floors_are_mirrored, "names.py", "def f() -> int: return 1"),
    (lower_floors_are_mirrored, "gateway/no_such_file.py", "def f() -> int: return 1"),
]

CHECKS: list[Check] = list(dict.fromkeys(check for check, _, _ in BAD_EXAMPLES))

SOURCES = [Source(path.relative_to(PACKAGE), path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))]


def _name(value: object) -> str | None:
    return getattr(value, "__name__", None)


@pytest.mark.parametrize("check", CHECKS, ids=_name)
def test_the_house(check: Check) -> None:
    assert not [problem for source in SOURCES for problem in check(source)]


@pytest.mark.parametrize(("check", "path", "text"), BAD_EXAMPLES, ids=_name)
def test_a_bad_example_is_found(check: Check, path: str, text: str) -> None:
    assert list(check(Source(Path(path), text)))


@pytest.mark.parametrize(("check", "path", "text"), GOOD_EXAMPLES, ids=_name)
def test_a_good_example_is_left_alone(check: Check, path: str, text: str) -> None:
    assert not list(check(Source(Path(path), text)))


def test_there_is_a_house() -> None:
    rooms = {source.room for source in SOURCES}
    assert rooms >= {"wire", "policy", "template", "pki", "database", "registry"}
