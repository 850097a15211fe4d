from __future__ import annotations

from collections.abc import Callable

import pytest

from fleetgate.database.port import Tx
from fleetgate.errors import AlreadyExists, InvalidRequest, NotFound
from fleetgate.names import Act, Realm
from fleetgate.registry import tags, thing_types, things

MINUTE = 60_000


def test_create_and_get(tx: Tx, act: Act) -> None:
    made = thing_types.create(tx, act, "lamp", description="Lamps", searchable=["colour", "room"])
    assert thing_types.get(tx, act.realm, "lamp") == made
    assert made.searchable == ("colour", "room")
    assert made.deprecated_at is None
    assert made.created_at == act.now


def test_the_same_again_is_the_one_there_is(tx: Tx, act: Act, later: Callable[..., Act]) -> None:
    made = thing_types.create(tx, act, "lamp", searchable=["a", "b"])
    assert thing_types.create(tx, later(), "lamp", searchable=["b", "a"]) == made


def test_something_else_of_the_name_is_refused(tx: Tx, act: Act, later: Callable[..., Act]) -> None:
    made = thing_types.create(tx, act, "lamp")
    with pytest.raises(AlreadyExists) as refused:
        thing_types.create(tx, later(), "lamp", description="other")
    assert refused.value.members == {
        "resourceId": made.type_id,
        "resourceArn": "arn:aws:iot:us-east-1:123456789012:thingtype/lamp",
    }


def test_bad_ones(tx: Tx, act: Act) -> None:
    with pytest.raises(InvalidRequest):
        thing_types.create(tx, act, "no spaces")
    with pytest.raises(InvalidRequest):
        thing_types.create(tx, act, "lamp", searchable=["no spaces"])
    with pytest.raises(InvalidRequest, match="at most 3"):
        thing_types.create(tx, act, "lamp", searchable=list("abcd"))
    assert thing_types.find(tx, act.realm, "lamp") is None


def test_deprecated_types_take_no_things_until_undone(tx: Tx, act: Act, later: Callable[..., Act]) -> None:
    thing_types.create(tx, act, "lamp")
    first = thing_types.deprecate(tx, later(1), "lamp")
    assert first.deprecated_at == act.now + 1
    assert thing_types.deprecate(tx, later(9), "lamp").deprecated_at == act.now + 1
    with pytest.raises(InvalidRequest, match="depreated thing type:lamp"):
        things.create(tx, act, "one", type_name="lamp")
    assert thing_types.deprecate(tx, later(), "lamp", undo=True).deprecated_at is None
    things.create(tx, act, "one", type_name="lamp")


def test_delete_waits_five_minutes_for_a_type_without_things(tx: Tx, act: Act, later: Callable[..., Act]) -> None:
    thing_types.create(tx, act, "lamp")
    tags.put(tx, act, act.realm.arn("thingtype", "lamp"), {"team": "blue"})
    things.create(tx, act, "one", type_name="lamp")
    with pytest.raises(InvalidRequest, match="Deprecate it first"):
        thing_types.delete(tx, act, "lamp")
    thing_types.deprecate(tx, act, "lamp")
    with pytest.raises(InvalidRequest, match="five minutes"):
        thing_types.delete(tx, later(5 * MINUTE - 1), "lamp")
    with pytest.raises(InvalidRequest, match="while things have it"):
        thing_types.delete(tx, later(5 * MINUTE), "lamp")
    things.delete(tx, act, "one")
    thing_types.delete(tx, later(5 * MINUTE), "lamp")
    with pytest.raises(NotFound):
        thing_types.get(tx, act.realm, "lamp")
    with pytest.raises(NotFound):
        thing_types.delete(tx, act, "lamp")
    assert tx.rows("SELECT * FROM tags") == []


def test_pages_by_name_in_one_realm(tx: Tx, act: Act, later: Callable[..., Act], elsewhere: Realm) -> None:
    for name in "cab":
        thing_types.create(tx, act, name)
    thing_types.create(tx, later(of=elsewhere), "d")
    page = thing_types.page(tx, act.realm, limit=2)
    assert [kind.name for kind in page.items] == ["a", "b"]
    assert [kind.name for kind in thing_types.page(tx, act.realm, page.next_key).items] == ["c"]


def test_update_changes_the_description_alone(tx: Tx, act: Act) -> None:
    made = thing_types.create(tx, act, "lamp", description="old", searchable=["room"])
    assert thing_types.update(tx, act, "lamp") == made
    changed = thing_types.update(tx, act, "lamp", description="")
    assert changed == thing_types.get(tx, act.realm, "lamp")
    assert (changed.description, changed.searchable, changed.type_id) == ("", ("room",), made.type_id)
    with pytest.raises(NotFound):
        thing_types.update(tx, act, "unknown", description="new")
