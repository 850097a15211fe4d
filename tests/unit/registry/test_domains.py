from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from fleetgate.database.port import Tx
from fleetgate.errors import AlreadyExists, InvalidRequest, LimitExceeded, NotFound
from fleetgate.names import Act, Realm
from fleetgate.registry import authorizers, domains, outbox, tags
from fleetgate.registry.domains import AuthorizerConfig, DomainConfiguration, DomainType, Status
from fleetgate.registry.events import DomainConfigurationChanged


def create(tx: Tx, act: Act, name: str = "d", domain: str = "iot.example.net", **more: Any) -> DomainConfiguration:
    return domains.create(tx, act, name, domain, DomainType.CUSTOMER_MANAGED, **more)


def told(tx: Tx) -> int:
    return sum(isinstance(entry.event, DomainConfigurationChanged) for entry in outbox.pending(tx, 100))


def test_create_and_find(tx: Tx, act: Act, elsewhere: Realm) -> None:
    authorizers.create(tx, act, "a", "arn")
    made = create(tx, act, authorizer_config=AuthorizerConfig("a", True), authentication_type="CUSTOM_AUTH")
    assert domains.get(tx, act.realm, "d") == made
    assert domains.find_domain(tx, "iot.example.net") == made
    assert (made.status, made.realm, made.created_at) == (Status.ENABLED, act.realm, act.now)
    assert made.arn.startswith("arn:aws:iot:us-east-1:123456789012:domainconfiguration/d/")
    assert domains.find(tx, elsewhere, "d") is None
    assert domains.find_domain(tx, "other.example.net") is None
    assert told(tx) == 1


def test_names_are_one_accounts_domains_one_installations(tx: Tx, act: Act, later: Callable[..., Act]) -> None:
    elsewhere = later(of=Realm("210987654321", "us-east-1"))
    create(tx, act)
    with pytest.raises(AlreadyExists):
        create(tx, later(), domain="b.example.net")
    with pytest.raises(AlreadyExists, match=r"domain name iot.example.net is another"):
        create(tx, elsewhere)
    assert create(tx, elsewhere, domain="b.example.net").realm == elsewhere.realm
    assert domains.domain_names(tx) == ["b.example.net", "iot.example.net"]


def test_ten_are_the_most(tx: Tx, act: Act) -> None:
    for number in range(domains.MOST):
        create(tx, act, f"d{number}", f"d{number}.example.net")
    with pytest.raises(LimitExceeded):
        create(tx, act)


def test_an_authorizer_must_be_there(tx: Tx, act: Act) -> None:
    with pytest.raises(InvalidRequest, match="no authorizer a"):
        create(tx, act, authorizer_config=AuthorizerConfig("a", False))
    made = create(tx, act)
    with pytest.raises(InvalidRequest, match="no authorizer a"):
        domains.update(tx, act, replace(made, authorizer_config=AuthorizerConfig("a", False)))


def test_update(tx: Tx, act: Act, later: Callable[..., Act]) -> None:
    made = create(tx, act, authorizer_config=AuthorizerConfig(None, True))
    assert domains.get(tx, act.realm, "d").authorizer_config == AuthorizerConfig(None, True)
    changed = replace(made, status=Status.DISABLED, authorizer_config=None)
    domains.update(tx, act := later(), changed)
    assert domains.get(tx, act.realm, "d") == replace(changed, status_changed_at=act.now)
    with pytest.raises(NotFound):
        domains.update(tx, act, replace(made, name="e"))
    assert told(tx) == 2


def test_delete_when_it_is_disabled(tx: Tx, act: Act) -> None:
    made = create(tx, act)
    tags.put(tx, act, made.arn, {"a": "b"})
    assert tags.of(tx, act.realm, made.arn) == {"a": "b"}
    with pytest.raises(InvalidRequest, match="Disable it first"):
        domains.delete(tx, act, "d")
    domains.update(tx, act, replace(made, status=Status.DISABLED))
    domains.delete(tx, act, "d")
    assert domains.all_of(tx, act.realm) == []
    assert tx.rows("SELECT * FROM tags") == []
    with pytest.raises(NotFound):
        domains.delete(tx, act, "d")
