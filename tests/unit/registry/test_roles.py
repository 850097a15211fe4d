from __future__ import annotations

import pytest

from fleetgate.database.port import Tx
from fleetgate.errors import AlreadyExists, DeleteConflict, NotFound
from fleetgate.names import Act
from fleetgate.registry import permissions, roles

ACCOUNT = "123456789012"


def test_create_find_change_and_delete(tx: Tx, act: Act) -> None:
    made = roles.create(tx, act, "r", "{}", path="/a/", description="d", longest_session=7200, tags={"k": "v"})
    assert roles.find(tx, ACCOUNT, "r") == made
    assert roles.find_by_arn(tx, f"arn:aws:iam::{ACCOUNT}:role/a/r") == made
    for other in (f"arn:aws:iam::{ACCOUNT}:role/r", f"arn:aws:iam::{ACCOUNT}:user/a/r", "r", "arn:aws:iam::1:role/r"):
        assert roles.find_by_arn(tx, other) is None
    roles.set_trust(tx, act, "r", '{"a": 1}')
    roles.set_tags(tx, act, "r", {})
    changed = roles.update(tx, act, "r", description="")
    assert (changed.trust, changed.tags, changed.description, changed.longest_session) == ('{"a": 1}', {}, "", 7200)
    assert roles.update(tx, act, "r", longest_session=3600).longest_session == 3600
    with pytest.raises(AlreadyExists):
        roles.create(tx, act, "R", "{}")
    roles.delete(tx, act, "r")
    for call in (
        lambda: roles.delete(tx, act, "r"),
        lambda: roles.set_trust(tx, act, "r", ""),
        lambda: roles.update(tx, act, "r"),
        lambda: roles.set_tags(tx, act, "r", {}),
    ):
        with pytest.raises(NotFound):
            call()


def test_a_role_with_policies_stays(tx: Tx, act: Act) -> None:
    roles.create(tx, act, "r", "{}")
    permissions.attach(tx, act, permissions.role("r"), "arn:aws:iam::aws:policy/AWSIoTFullAccess")
    with pytest.raises(DeleteConflict, match="detach"):
        roles.delete(tx, act, "r")


def test_pages(tx: Tx, act: Act) -> None:
    for name, path in (("c", "/x/"), ("a", "/x/y/"), ("b", "/")):
        roles.create(tx, act, name, "{}", path=path)
    page = roles.page(tx, ACCOUNT, limit=1)
    assert ([role.name for role in page.items], page.next_key) == (["a"], "a")
    assert [role.name for role in roles.page(tx, ACCOUNT, "a").items] == ["b", "c"]
    assert [role.name for role in roles.page(tx, ACCOUNT, path="/x/").items] == ["a", "c"]
