"""The picture of the house is the house: rooms, floors, ports and events."""

from __future__ import annotations

import re
import tomllib

from tests.docs.pages import PACKAGE, ROOT, page

from fleetgate import runtime
from fleetgate.database import port
from fleetgate.pki import signer
from fleetgate.registry.events import KINDS

PAGE = page("docs/architecture.md")
_SPAN = re.compile(r"`([^`]+)`")
_ROOM = re.compile(r"\(?(\w+)\)?")


def rooms() -> set[str]:
    """The modules and packages right below `fleetgate`."""
    return {path.stem for path in PACKAGE.iterdir() if path.stem != "__init__" and (path / "__init__.py").exists()} | {
        path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__"
    }


def floors() -> list[set[str]]:
    """As the import law has them, from the top; rooms that are only planned are left out."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [layers] = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    drawn = [set(_ROOM.findall(layer)) & rooms() for layer in layers]
    return [floor for floor in drawn if floor]


def test_the_floors_are_those_of_the_import_law() -> None:
    drawn = [set(_SPAN.findall(row[0])) for row in PAGE.table("floors, from the top")]
    assert drawn == floors()


def test_every_room_is_drawn() -> None:
    drawn = [room for row in PAGE.table("floors, from the top") for room in _SPAN.findall(row[0])]
    assert sorted(drawn) == sorted(rooms())


def test_the_ports_have_these_methods() -> None:
    ports = {"Database": port.Database, "Signer": signer.Signer, "Hook": runtime.Hook}
    rows = {row[0] for row in PAGE.table("ports")}
    for name, kind in ports.items():
        [cell] = [cell for cell in rows if cell.startswith(f"`{name}`")]
        assert set(_SPAN.findall(cell)[1:]) <= set(dir(kind)), name


def test_events_exist() -> None:
    named = {word for row in PAGE.table("events") for word in _SPAN.findall(row[0])}
    assert named <= set(KINDS)
    assert len(named) > 5
