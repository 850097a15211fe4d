from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Any, get_args

import pytest

from fleetgate.registry.events import KINDS, Event


def test_every_event_has_its_kind() -> None:
    assert set(KINDS.values()) == set(get_args(Event))
    assert {kind: each.__name__ for kind, each in KINDS.items()} == {kind: kind for kind in KINDS}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_an_event_survives_json(kind: str) -> None:
    values: dict[str, Any] = {field.name: field.name for field in fields(KINDS[kind])}
    event = KINDS[kind](**values)
    assert KINDS[kind](**json.loads(json.dumps(asdict(event)))) == event
