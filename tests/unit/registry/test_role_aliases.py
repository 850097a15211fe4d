from __future__ import annotations

from collections.abc import Callable

import pytest

from fleetgate.database.port import Tx
from fleetgate.errors import AlreadyExists, InvalidRequest, LimitExceeded, NotFound
from fleetgate.names import Act, Realm
from fleetgate.registry import role_aliases, tags

ROLE = "arn:aws:iam::123456789012:role/p/r"


def test_create_change_and_delete(tx: Tx, act: Act, later: Callable[..., Act], realm: Realm) -> None:
    made = role_aliases.create(tx, act, "a=b,c@d", ROLE)
    assert (made.duration, made.arn) == (3600, realm.arn("rolealias", "a=b,c@d"))
    assert role_aliases.find(tx, realm, "a=b,c@d") == made
    with pytest.raises(AlreadyExists, match=r"already exists \(name=a=b,c@d\)"):
        role_aliases.create(tx, act, "a=b,c@d", ROLE)
    changed = role_aliases.update(tx, later(), made.name, duration=900)
    assert (changed.role_arn, changed.duration, changed.updated_at) == (ROLE, 900, act.now + 1000)
    assert role_aliases.update(tx, act, made.name, role_arn=ROLE + "2").role_arn == ROLE + "2"
    tags.put(tx, act, made.arn, {"k": "v"})
    role_aliases.delete(tx, act, made.name)
    assert tx.rows("SELECT * FROM tags") == []
    for call in (
        lambda: role_aliases.delete(tx, act, made.name),
        lambda: role_aliases.update(tx, act, made.name),
        lambda: role_aliases.get(tx, realm, made.name),
    ):
        with pytest.raises(NotFound):
            call()


@pytest.mark.parametrize(
    "arn", ["arn:aws:iam::210987654321:role/r", "arn:aws:iam::123456789012:user/r", "r", "arn:aws:iam::aws:role/r"]
)
def test_only_roles_of_the_account(tx: Tx, act: Act, arn: str) -> None:
    with pytest.raises(InvalidRequest, match="of this account"):
        role_aliases.create(tx, act, "a", arn)
    role_aliases.create(tx, act, "a", ROLE)
    with pytest.raises(InvalidRequest, match="of this account"):
        role_aliases.update(tx, act, "a", role_arn=arn)


def test_pages_and_the_limit(tx: Tx, later: Callable[..., Act], realm: Realm) -> None:
    for number in range(role_aliases.MOST):
        role_aliases.create(tx, later(number), f"a{number}", ROLE)
    with pytest.raises(LimitExceeded):
        role_aliases.create(tx, later(), "more", ROLE)
    page = role_aliases.page(tx, realm, limit=2)
    assert [alias.name for alias in page.items] == ["a99", "a98"]
    assert [alias.name for alias in role_aliases.page(tx, realm, page.next_key, 1).items] == ["a97"]
    assert [alias.name for alias in role_aliases.page(tx, realm, limit=1, ascending=True).items] == ["a0"]
    with pytest.raises(InvalidRequest):
        role_aliases.create(tx, later(), "a b", ROLE)
