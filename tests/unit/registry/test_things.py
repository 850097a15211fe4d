from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fleetgate.database.port import Tx
from fleetgate.errors import AlreadyExists, InvalidRequest, NotFound, VersionConflict
from fleetgate.names import Act, Realm
from fleetgate.registry import attachments, thing_groups, thing_types, things
from fleetgate.registry.certificates import Certificate
from fleetgate.registry.events import Event, ThingCreated, ThingDeleted, ThingUpdated

Told = Callable[[], list[Event]]


def test_create(tx: Tx, act: Act, told: Told) -> None:
    thing_types.create(tx, act, "lamp")
    told()
    made = things.create(tx, act, "one", type_name="lamp", attributes={"colour": "red", "empty": ""})
    assert things.get(tx, act.realm, "one") == made
    assert (made.type_name, made.attributes, made.version) == ("lamp", {"colour": "red"}, 1)
    assert (made.created_at, made.updated_at) == (act.now, act.now)
    assert told() == [ThingCreated("one", made.thing_id, "lamp", {"colour": "red"}, 1)]


def test_the_same_again_is_the_one_there_is(tx: Tx, act: Act, later: Callable[..., Act], told: Told) -> None:
    thing_types.create(tx, act, "lamp")
    made = things.create(tx, act, "one", type_name="lamp", attributes={"a": "1"})
    thing_types.deprecate(tx, act, "lamp")
    told()
    assert things.create(tx, later(), "one", type_name="lamp", attributes={"a": "1"}) == made
    assert told() == []


@pytest.mark.parametrize("other", [{"type_name": "lamp"}, {"attributes": {"a": "2"}}, {}])
def test_something_else_of_the_name_is_refused(
    tx: Tx, act: Act, later: Callable[..., Act], other: dict[str, Any]
) -> None:
    thing_types.create(tx, act, "lamp")
    made = things.create(tx, act, "one", attributes={"a": "1"})
    with pytest.raises(AlreadyExists, match="different properties") as refused:
        things.create(tx, later(), "one", **other)
    assert refused.value.members == {
        "resourceId": made.thing_id,
        "resourceArn": "arn:aws:iot:us-east-1:123456789012:thing/one",
    }


def test_what_cannot_be_created(tx: Tx, act: Act) -> None:
    with pytest.raises(InvalidRequest):
        things.create(tx, act, "no/slash")
    with pytest.raises(NotFound, match="Thing type lamp"):
        things.create(tx, act, "one", type_name="lamp")
    assert things.find(tx, act.realm, "one") is None
    with pytest.raises(NotFound, match="Thing one"):
        things.get(tx, act.realm, "one")


def test_attributes_are_three_without_a_type_and_fifty_with(tx: Tx, act: Act) -> None:
    thing_types.create(tx, act, "lamp")
    many = {f"a{number}": "1" for number in range(51)}
    with pytest.raises(InvalidRequest, match="3 attributes, not 4"):
        things.create(tx, act, "one", attributes=dict(list(many.items())[:4]))
    with pytest.raises(InvalidRequest, match="50 attributes, not 51"):
        things.create(tx, act, "one", type_name="lamp", attributes=many)
    things.create(tx, act, "one", type_name="lamp", attributes=dict(list(many.items())[:50]))
    with pytest.raises(InvalidRequest, match="3 attributes, not 50"):
        things.update(tx, act, "one", remove_type=True)


def test_realms_do_not_see_each_other(tx: Tx, act: Act, later: Callable[..., Act], elsewhere: Realm) -> None:
    mine = things.create(tx, act, "one", attributes={"a": "1"})
    theirs = things.create(tx, later(of=elsewhere), "one", attributes={"a": "2"})
    things.delete(tx, later(of=elsewhere), "one")
    assert things.get(tx, act.realm, "one") == mine != theirs
    assert [thing.name for thing in things.page(tx, act.realm, attribute="a", value="1").items] == ["one"]
    assert things.page(tx, elsewhere).items == ()


def test_update(tx: Tx, act: Act, later: Callable[..., Act], told: Told) -> None:
    thing_types.create(tx, act, "lamp")
    made = things.create(tx, act, "one", attributes={"a": "1", "b": "2"})
    told()
    merged = things.update(tx, later(), "one", type_name="lamp", attributes={"a": "", "c": "3"}, merge=True)
    assert merged == things.get(tx, act.realm, "one")
    assert (merged.attributes, merged.type_name, merged.version) == ({"b": "2", "c": "3"}, "lamp", 2)
    assert (merged.created_at, merged.updated_at) == (act.now, act.now + 1000)
    assert told() == [ThingUpdated("one", made.thing_id, "lamp", {"b": "2", "c": "3"}, 2)]
    assert things.page(tx, act.realm, attribute="a", value="1").items == ()
    assert things.page(tx, act.realm, attribute="c", value="3").items == (merged,)
    replaced = things.update(tx, later(), "one", attributes={"d": "4"}, remove_type=True, expected_version=2)
    assert (replaced.attributes, replaced.type_name, replaced.version) == ({"d": "4"}, None, 3)
    assert things.update(tx, later(), "one").attributes == {"d": "4"}


def test_update_refuses(tx: Tx, act: Act) -> None:
    with pytest.raises(NotFound):
        things.update(tx, act, "one")
    made = things.create(tx, act, "one")
    with pytest.raises(VersionConflict, match=r"The version for thing one does not match the expected version\."):
        things.update(tx, act, "one", expected_version=2)
    with pytest.raises(NotFound):
        things.update(tx, act, "one", type_name="unknown")
    with pytest.raises(InvalidRequest, match="not both"):
        things.update(tx, act, "one", type_name="lamp", remove_type=True)
    assert things.get(tx, act.realm, "one") == made


def test_a_deprecated_type_may_be_kept_but_not_taken(tx: Tx, act: Act) -> None:
    thing_types.create(tx, act, "lamp")
    things.create(tx, act, "one", type_name="lamp")
    things.create(tx, act, "two")
    thing_types.deprecate(tx, act, "lamp")
    things.update(tx, act, "one", type_name="lamp", attributes={"a": "1"})
    with pytest.raises(InvalidRequest):
        things.update(tx, act, "two", type_name="lamp")


def test_delete(tx: Tx, act: Act, told: Told) -> None:
    made = things.create(tx, act, "one", attributes={"a": "1"})
    thing_groups.create(tx, act, "g")
    thing_groups.add_thing(tx, act, "g", "one")
    told()
    with pytest.raises(VersionConflict):
        things.delete(tx, act, "one", expected_version=9)
    things.delete(tx, act, "one", expected_version=1)
    assert told() == [ThingDeleted("one", made.thing_id, 1)]
    assert things.find(tx, act.realm, "one") is None
    assert tx.rows("SELECT * FROM thing_attributes") == []
    assert tx.rows("SELECT * FROM thing_group_members") == []


def test_to_delete_what_is_not_there_succeeds(tx: Tx, act: Act, told: Told) -> None:
    things.delete(tx, act, "one", expected_version=7)
    assert told() == []


def test_a_thing_with_a_certificate_stays(tx: Tx, act: Act, certified: Callable[..., Certificate]) -> None:
    things.create(tx, act, "one")
    fingerprint = certified().fingerprint
    attachments.attach_principal(tx, act, "one", fingerprint)
    with pytest.raises(
        InvalidRequest, match=r"^Cannot delete\. Thing one is still attached to one or more principals$"
    ):
        things.delete(tx, act, "one")
    attachments.detach_principal(tx, act, "one", fingerprint)
    things.delete(tx, act, "one")
    assert things.find(tx, act.realm, "one") is None


@pytest.fixture
def fleet(tx: Tx, act: Act) -> None:
    thing_types.create(tx, act, "lamp")
    for number, room in enumerate(["attic", "att", "attic", "cellar", "attica"]):
        things.create(tx, act, f"t{number}", type_name="lamp" if number % 2 else None, attributes={"room": room})


def everything(tx: Tx, realm: Realm, **filters: Any) -> list[str]:
    """The names that pages of one make together."""
    names: list[str] = []
    after: str | None = None
    while True:
        page = things.page(tx, realm, after, 1, **filters)
        names += [thing.name for thing in page.items]
        if (after := page.next_key) is None:
            return names


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, ["t0", "t1", "t2", "t3", "t4"]),
        ({"type_name": "lamp"}, ["t1", "t3"]),
        ({"type_name": "none"}, []),
        ({"attribute": "room", "value": "attic"}, ["t0", "t2"]),
        ({"attribute": "room", "value": "att"}, ["t1"]),
        ({"attribute": "colour", "value": "red"}, []),
        ({"attribute": "room", "value": "att", "prefix": True}, ["t1", "t0", "t2", "t4"]),
        ({"attribute": "room", "value": "attic", "prefix": True}, ["t0", "t2", "t4"]),
        ({"attribute": "room", "prefix": True}, ["t1", "t0", "t2", "t4", "t3"]),
        ({"attribute": "room", "value": "att", "prefix": True, "type_name": "lamp"}, ["t1"]),
        ({"attribute": "room", "value": "cellar", "type_name": "lamp"}, ["t3"]),
    ],
)
def test_pages(tx: Tx, realm: Realm, filters: dict[str, Any], expected: list[str]) -> None:
    assert everything(tx, realm, **filters) == expected
    assert [thing.name for thing in things.page(tx, realm, **filters).items] == expected


def test_a_page_refuses_what_cannot_be_an_attribute(tx: Tx, realm: Realm) -> None:
    with pytest.raises(InvalidRequest):
        things.page(tx, realm, attribute="no space")
    with pytest.raises(InvalidRequest):
        things.page(tx, realm, attribute="room", value="~", prefix=True)
    with pytest.raises(InvalidRequest):
        things.page(tx, realm, "a\0b")
