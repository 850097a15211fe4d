from __future__ import annotations

from collections.abc import Callable

import pytest

from fleetgate.database.port import Tx
from fleetgate.errors import AlreadyExists, InvalidRequest, NotFound
from fleetgate.names import Act, Realm
from fleetgate.registry import access_keys
from fleetgate.registry.access_keys import Status

ID = "AKIA0000000000000001"


def test_create_and_find(tx: Tx, act: Act) -> None:
    made = access_keys.create(tx, act, ID, label="factory", sealed_secret="sealed")
    assert access_keys.find(tx, ID) == made
    assert (made.account, made.status, made.created_at) == ("123456789012", Status.ACTIVE, act.now)
    assert "sealed'" not in repr(made)
    assert access_keys.find(tx, "AKIA0000000000000002") is None
    with pytest.raises(AlreadyExists):
        access_keys.create(tx, act, ID, label="again", sealed_secret="other")
    with pytest.raises(InvalidRequest):
        access_keys.create(tx, act, "short", label="", sealed_secret="")


def test_only_its_account_changes_a_key(tx: Tx, act: Act, later: Callable[..., Act], elsewhere: Realm) -> None:
    access_keys.create(tx, act, ID, label="factory", sealed_secret="sealed")
    with pytest.raises(NotFound):
        access_keys.set_status(tx, later(of=elsewhere), ID, Status.INACTIVE)
    with pytest.raises(NotFound):
        access_keys.delete(tx, later(of=elsewhere), ID)
    access_keys.set_status(tx, act, ID, Status.INACTIVE)
    found = access_keys.find(tx, ID)
    assert found is not None
    assert found.status == Status.INACTIVE
    access_keys.delete(tx, act, ID)
    assert access_keys.find(tx, ID) is None
    with pytest.raises(NotFound):
        access_keys.delete(tx, act, ID)


def test_pages(tx: Tx, act: Act, later: Callable[..., Act], elsewhere: Realm) -> None:
    ids = [f"AKIA{number:016}" for number in range(3)]
    for key_id in ids:
        access_keys.create(tx, act, key_id, label="", sealed_secret="")
    access_keys.create(tx, later(of=elsewhere), ID.replace("1", "9"), label="", sealed_secret="")
    page = access_keys.page(tx, act.realm.account, limit=2)
    assert [key.id for key in page.items] == ids[:2]
    assert [key.id for key in access_keys.page(tx, act.realm.account, page.next_key).items] == ids[2:]


def test_generated_credentials_have_the_form_of_aws() -> None:
    made = access_keys.generate(lambda count: bytes(range(count)))
    assert made.id == "AKIAAAAQEAYEAUDAOCAJ"
    assert len(made.secret) == 40
    assert made.secret not in repr(made)


def test_a_label_has_a_bound(tx: Tx, act: Act) -> None:
    with pytest.raises(InvalidRequest, match="at most 256 characters, not 257"):
        access_keys.create(tx, act, "AKIA" + "L" * 16, label="x" * 257, sealed_secret="s")
    assert access_keys.create(tx, act, "AKIA" + "L" * 16, label="x" * 256, sealed_secret="s").label == "x" * 256
