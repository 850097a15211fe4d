from __future__ import annotations

from collections.abc import Callable

import pytest

from fleetgate.database.port import Tx
from fleetgate.errors import AlreadyExists, DeleteConflict, InvalidRequest, LimitExceeded, NotFound
from fleetgate.names import Act, Realm
from fleetgate.registry import access_keys, permissions, users


def test_create_find_and_delete(tx: Tx, act: Act, later: Callable[..., Act]) -> None:
    made = users.create(tx, act, "ana", path="/a/", tags={"k": "v"})
    assert users.find(tx, "123456789012", "ana") == users.get(tx, "123456789012", "ana") == made
    assert made.arn == "arn:aws:iam::123456789012:user/a/ana"
    with pytest.raises(AlreadyExists):
        users.create(tx, act, "Ana")
    with pytest.raises(InvalidRequest):
        users.create(tx, act, "a b")
    users.delete(tx, act, "ana")
    assert users.find(tx, "123456789012", "ana") is None
    with pytest.raises(NotFound):
        users.delete(tx, act, "ana")
    assert users.create(tx, later(), "ana").user_id != made.user_id


def test_an_account_sees_its_own(tx: Tx, act: Act, later: Callable[..., Act], elsewhere: Realm) -> None:
    users.create(tx, act, "ana")
    users.create(tx, later(of=elsewhere), "ana")
    assert users.find(tx, "123456789012", "bob") is None
    assert [user.account for user in users.page(tx, elsewhere.account).items] == [elsewhere.account]


def test_pages(tx: Tx, act: Act) -> None:
    for name, path in (("c", "/x/"), ("a", "/x/y/"), ("b", "/"), ("d", "/xx/")):
        users.create(tx, act, name, path=path)
    page = users.page(tx, "123456789012", limit=2)
    assert ([user.name for user in page.items], page.next_key) == (["a", "b"], "b")
    assert [user.name for user in users.page(tx, "123456789012", "b").items] == ["c", "d"]
    assert [user.name for user in users.page(tx, "123456789012", path="/x/").items] == ["a", "c"]


def test_tags(tx: Tx, act: Act) -> None:
    users.create(tx, act, "ana", tags={"a": "b"})
    users.set_tags(tx, act, "ana", {"c": "d"})
    assert users.get(tx, "123456789012", "ana").tags == {"c": "d"}
    with pytest.raises(NotFound):
        users.set_tags(tx, act, "bob", {})


def test_what_belongs_to_a_user_goes_first(tx: Tx, act: Act) -> None:
    users.create(tx, act, "ana")
    for number in (1, 2):
        access_keys.create(tx, act, f"AKIA{number:016d}", label="", sealed_secret="s", user_name="ana")
    with pytest.raises(LimitExceeded):
        access_keys.create(tx, act, f"AKIA{3:016d}", label="", sealed_secret="s", user_name="ana")
    access_keys.create(tx, act, f"AKIA{4:016d}", label="", sealed_secret="s")
    assert [key.id[-1] for key in access_keys.of_user(tx, "123456789012", "ana")] == ["1", "2"]
    assert [key.id[-1] for key in access_keys.page_of_account(tx, "123456789012").items] == ["4"]
    with pytest.raises(DeleteConflict, match="access keys"):
        users.delete(tx, act, "ana")
    for number in (1, 2):
        access_keys.delete(tx, act, f"AKIA{number:016d}")
    permissions.put(tx, act, permissions.user("ana"), "p", "{}")
    with pytest.raises(DeleteConflict, match="policies"):
        users.delete(tx, act, "ana")
