from __future__ import annotations

from collections.abc import Callable

import pytest

from fleetgate.database.port import Tx
from fleetgate.errors import InvalidRequest, NotFound
from fleetgate.names import Act
from fleetgate.registry import functions


def test_put_binds_and_binds_anew(tx: Tx, act: Act, later: Callable[..., Act]) -> None:
    made = functions.put(tx, act, "check", "hooks/check.py", "lambda_handler")
    assert functions.get(tx, act.realm, "check") == made
    moved = functions.put(tx, later(), "check", "hooks/other.py", "main")
    assert (moved.file, moved.handler) == ("hooks/other.py", "main")
    assert (moved.created_at, moved.updated_at) == (act.now, act.now + 1000)
    with pytest.raises(InvalidRequest):
        functions.put(tx, act, "no/slash", "x.py", "main")


def test_delete(tx: Tx, act: Act) -> None:
    functions.put(tx, act, "check", "check.py", "main")
    functions.delete(tx, act, "check")
    assert functions.find(tx, act.realm, "check") is None
    for ask in (lambda: functions.get(tx, act.realm, "check"), lambda: functions.delete(tx, act, "check")):
        with pytest.raises(NotFound):
            ask()


def test_pages(tx: Tx, act: Act) -> None:
    for name in "cab":
        functions.put(tx, act, name, "f.py", "main")
    page = functions.page(tx, act.realm, limit=2)
    assert [each.name for each in page.items] == ["a", "b"]
    assert [each.name for each in functions.page(tx, act.realm, page.next_key).items] == ["c"]
