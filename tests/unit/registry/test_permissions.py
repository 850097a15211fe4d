from __future__ import annotations

import pytest

from fleetgate.database.port import Tx
from fleetgate.errors import InvalidRequest, LimitExceeded, NotFound
from fleetgate.names import Act
from fleetgate.registry import managed_policies, permissions

ACCOUNT = "123456789012"
HOLDER = permissions.user("ana")
FULL = "arn:aws:iam::aws:policy/AWSIoTFullAccess"


def test_all_that_holds_for_somebody(tx: Tx, act: Act) -> None:
    own = managed_policies.create(tx, act, "P", "one")
    permissions.put(tx, act, HOLDER, "b", "two")
    permissions.put(tx, act, HOLDER, "b", "three")
    permissions.put(tx, act, permissions.role("ana"), "b", "not mine")
    permissions.attach(tx, act, HOLDER, own.arn)
    permissions.attach(tx, act, HOLDER, own.arn)
    permissions.attach(tx, act, HOLDER, FULL)
    found = permissions.of(tx, ACCOUNT, HOLDER)
    assert [(each.name, each.version) for each in found] == [("b", "inline"), (own.arn, "v1"), (FULL, "v1")]
    assert [each.document for each in found][:2] == ["three", "one"]
    managed_policies.create_version(tx, act, own.arn, "four", set_as_default=True)
    assert permissions.of(tx, ACCOUNT, HOLDER)[1].document == "four"
    permissions.detach(tx, act, HOLDER, own.arn)
    permissions.delete(tx, act, HOLDER, "b")
    assert [each.name for each in permissions.of(tx, ACCOUNT, HOLDER)] == [FULL]


def test_what_is_not_there(tx: Tx, act: Act) -> None:
    for call in (
        lambda: permissions.get(tx, ACCOUNT, HOLDER, "p"),
        lambda: permissions.delete(tx, act, HOLDER, "p"),
        lambda: permissions.detach(tx, act, HOLDER, FULL),
        lambda: permissions.attach(tx, act, HOLDER, FULL + "x"),
        lambda: permissions.attach(tx, act, HOLDER, "arn:aws:iam::210987654321:policy/P"),
    ):
        with pytest.raises(NotFound):
            call()
    with pytest.raises(InvalidRequest):
        permissions.put(tx, act, HOLDER, "a b", "")


def test_limits(tx: Tx, act: Act) -> None:
    permissions.put(tx, act, HOLDER, "a", "x" * 2000 + " " * 500)
    with pytest.raises(LimitExceeded, match="2048 bytes exceeded for user ana"):
        permissions.put(tx, act, HOLDER, "b", "x" * 49)
    permissions.put(tx, act, HOLDER, "b", "x" * 48)
    assert permissions.get(tx, ACCOUNT, HOLDER, "b") == "x" * 48
    for number in range(10):
        permissions.attach(tx, act, HOLDER, managed_policies.create(tx, act, f"P{number}", "").arn)
    with pytest.raises(LimitExceeded):
        permissions.attach(tx, act, HOLDER, FULL)


def test_all_at_once_taken_away(tx: Tx, act: Act) -> None:
    permissions.put(tx, act, HOLDER, "a", "")
    permissions.put(tx, act, permissions.role("ana"), "a", "")
    permissions.attach(tx, act, HOLDER, FULL)
    permissions.clear(tx, act, HOLDER)
    assert permissions.of(tx, ACCOUNT, HOLDER) == []
    assert len(permissions.of(tx, ACCOUNT, permissions.role("ana"))) == 1


def test_pages(tx: Tx, act: Act) -> None:
    for name in "cab":
        permissions.put(tx, act, HOLDER, name, "")
    page = permissions.page(tx, ACCOUNT, HOLDER, limit=2)
    assert (page.items, page.next_key) == (("a", "b"), "b")
    permissions.attach(tx, act, HOLDER, FULL)
    assert permissions.page_attached(tx, ACCOUNT, HOLDER).items == (FULL,)
