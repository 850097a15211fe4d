from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from fleetgate.database.port import Tx
from fleetgate.errors import AlreadyExists, DeleteConflict, InvalidRequest, LimitExceeded, NotFound
from fleetgate.names import Act, Realm
from fleetgate.registry import authorizers, domains
from fleetgate.registry.authorizers import Status
from fleetgate.registry.domains import AuthorizerConfig, DomainType


def test_create_and_get(tx: Tx, act: Act, elsewhere: Realm) -> None:
    made = authorizers.create(
        tx, act, "a", "arn", token_key_name="token", token_keys={"one": "PEM"}, status=Status.ACTIVE
    )
    assert authorizers.get(tx, act.realm, "a") == made
    assert (made.signing_disabled, made.cached_for_http, made.is_default) == (False, False, False)
    assert authorizers.find(tx, elsewhere, "a") is None
    with pytest.raises(AlreadyExists):
        authorizers.create(tx, act, "a", "arn")
    with pytest.raises(InvalidRequest):
        authorizers.create(tx, act, "no spaces", "arn")


def test_ten_are_the_most(tx: Tx, act: Act) -> None:
    for number in range(authorizers.MOST):
        authorizers.create(tx, act, f"a{number}", "arn")
    with pytest.raises(LimitExceeded):
        authorizers.create(tx, act, "a", "arn")
    with pytest.raises(AlreadyExists):
        authorizers.create(tx, act, "a1", "arn")


def test_update(tx: Tx, act: Act, later: Callable[..., Act]) -> None:
    made = authorizers.create(tx, act, "a", "arn", signing_disabled=True)
    authorizers.set_default(tx, act, "a")
    changed = replace(made, function_arn="other", status=Status.ACTIVE, cached_for_http=True)
    authorizers.update(tx, act := later(), changed)
    assert authorizers.get(tx, act.realm, "a") == replace(changed, is_default=True, updated_at=act.now)
    with pytest.raises(NotFound):
        authorizers.update(tx, act, replace(made, name="b"))


def test_one_default(tx: Tx, act: Act, elsewhere: Realm) -> None:
    assert authorizers.find_default(tx, act.realm) is None
    with pytest.raises(NotFound):
        authorizers.clear_default(tx, act)
    with pytest.raises(NotFound):
        authorizers.set_default(tx, act, "a")
    for name in ("a", "b"):
        authorizers.create(tx, act, name, "arn")
    authorizers.set_default(tx, act, "a")
    authorizers.set_default(tx, act, "a")
    with pytest.raises(AlreadyExists, match="a is the default one"):
        authorizers.set_default(tx, act, "b")
    found = authorizers.find_default(tx, act.realm)
    assert found is not None
    assert (found.name, found.is_default) == ("a", True)
    assert authorizers.find_default(tx, elsewhere) is None
    authorizers.clear_default(tx, act)
    authorizers.set_default(tx, act, "b")


def test_what_keeps_one_from_being_deleted(tx: Tx, act: Act) -> None:
    made = authorizers.create(tx, act, "a", "arn", status=Status.ACTIVE)
    authorizers.set_default(tx, act, "a")
    domains.create(
        tx, act, "d", "d.example", DomainType.CUSTOMER_MANAGED, authorizer_config=AuthorizerConfig("a", False)
    )
    with pytest.raises(DeleteConflict, match="ACTIVE"):
        authorizers.delete(tx, act, "a")
    authorizers.update(tx, act, replace(made, status=Status.INACTIVE))
    with pytest.raises(DeleteConflict, match="ClearDefaultAuthorizer"):
        authorizers.delete(tx, act, "a")
    authorizers.clear_default(tx, act)
    with pytest.raises(DeleteConflict, match="domain configuration d"):
        authorizers.delete(tx, act, "a")
    domains.update(tx, act, replace(domains.get(tx, act.realm, "d"), authorizer_config=None))
    authorizers.delete(tx, act, "a")
    with pytest.raises(NotFound):
        authorizers.delete(tx, act, "a")


def test_pages(tx: Tx, act: Act, later: Callable[..., Act]) -> None:
    for name, status in (("a", Status.ACTIVE), ("b", Status.INACTIVE), ("c", Status.ACTIVE)):
        authorizers.create(tx, later(ord(name)), name, "arn", status=status)
    first = authorizers.page(tx, act.realm, limit=2)
    assert [each.name for each in first.items] == ["c", "b"]
    assert [each.name for each in authorizers.page(tx, act.realm, first.next_key).items] == ["a"]
    assert [each.name for each in authorizers.page(tx, act.realm, ascending=True).items] == ["a", "b", "c"]
    assert [each.name for each in authorizers.page(tx, act.realm, status=Status.ACTIVE).items] == ["c", "a"]
