from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fleetgate.database.port import Tx
from fleetgate.errors import AlreadyExists, CertificateState, InvalidRequest, LimitExceeded, NotFound
from fleetgate.names import Act, Realm
from fleetgate.registry import authorities, tags, templates
from fleetgate.registry.authorities import Authority, RegistrationConfig, Status
from fleetgate.registry.certificates import Mode
from fleetgate.registry.events import AuthorityChanged, Event

ROLE = "arn:aws:iam::123456789012:role/provisioning"


def register(tx: Tx, act: Act, fingerprint: str = "a" * 64, **more: Any) -> Authority:
    settings: dict[str, Any] = {
        "subject": "CN=Factory",
        "public_key_fingerprint": "k" * 64,
        "not_before": act.now,
        "not_after": act.now + 1,
    }
    return authorities.create(tx, act, fingerprint, "pem", **settings | more)


def jitp(tx: Tx, act: Act) -> None:
    templates.create(tx, act, "jitp", "{}", ROLE, type=templates.Type.JITP)
    templates.create(tx, act, "fleet", "{}", ROLE)


def test_create(tx: Tx, act: Act) -> None:
    made = register(tx, act)
    assert authorities.get(tx, act.realm, "a" * 64) == made
    assert (made.status, made.mode, made.auto_registration) == (Status.INACTIVE, Mode.DEFAULT, False)
    assert made.registration_config == RegistrationConfig()
    with pytest.raises(NotFound):
        authorities.get(tx, act.realm, "b" * 64)


def test_a_known_ca_is_refused(tx: Tx, act: Act, later: Callable[..., Act]) -> None:
    register(tx, act)
    with pytest.raises(AlreadyExists) as refused:
        register(tx, later())
    assert refused.value.members["resourceArn"] == act.realm.arn("cacert", "a" * 64)


def test_default_mode_is_for_one_account_of_a_region(
    tx: Tx, act: Act, later: Callable[..., Act], elsewhere: Realm
) -> None:
    register(tx, act)
    with pytest.raises(AlreadyExists, match="SNI_ONLY") as refused:
        register(tx, later(of=elsewhere))
    assert refused.value.members == {}
    register(tx, later(of=elsewhere), mode=Mode.SNI_ONLY)
    register(tx, later(of=Realm("123456789012", "eu-west-1")))
    assert len(authorities.find_everywhere(tx, "a" * 64)) == 3
    assert len(authorities.issuers_everywhere(tx, "CN=Factory")) == 2
    assert len(authorities.issuers_everywhere(tx, "CN=Factory", sni_only=True)) == 3


def test_ten_of_one_subject(tx: Tx, act: Act) -> None:
    made = [register(tx, act, f"{number:064x}") for number in range(10)]
    with pytest.raises(LimitExceeded, match="10 CA certificates with this subject"):
        register(tx, act)
    register(tx, act, subject="CN=Other")
    assert sorted(each.fingerprint for each in authorities.issuers(tx, act.realm, "CN=Factory")) == [
        each.fingerprint for each in made
    ]
    assert authorities.issuers(tx, act.realm, "CN=Fac") == []


def test_registration_config(tx: Tx, act: Act) -> None:
    jitp(tx, act)
    made = register(tx, act, registration_config=RegistrationConfig(template_name="jitp"), auto_registration=True)
    assert made.registration_config.template_name == "jitp"
    by_body = RegistrationConfig(template_body="{}", role_arn=ROLE)
    assert register(tx, act, "b" * 64, registration_config=by_body).registration_config == by_body
    with pytest.raises(NotFound, match="template unknown"):
        register(tx, act, "c" * 64, registration_config=RegistrationConfig(template_name="unknown"))
    with pytest.raises(InvalidRequest, match="JITP"):
        register(tx, act, "c" * 64, registration_config=RegistrationConfig(template_name="fleet"))
    with pytest.raises(InvalidRequest, match="not both"):
        register(tx, act, "c" * 64, registration_config=RegistrationConfig("jitp", "{}"))


def test_update(tx: Tx, act: Act, later: Callable[..., Act], told: Callable[[], list[Event]]) -> None:
    jitp(tx, act)
    register(tx, act)
    config = RegistrationConfig(template_name="jitp")
    changed = authorities.update(
        tx, later(), "a" * 64, status=Status.ACTIVE, auto_registration=True, registration_config=config
    )
    assert changed == authorities.get(tx, act.realm, "a" * 64)
    assert (changed.status, changed.auto_registration, changed.registration_config) == (Status.ACTIVE, True, config)
    assert (changed.customer_version, changed.updated_at) == (2, act.now + 1000)
    assert told() == [AuthorityChanged("a" * 64, "ACTIVE")]
    same = authorities.update(tx, later(), "a" * 64)
    assert (same.status, same.auto_registration, same.registration_config) == (Status.ACTIVE, True, config)
    removed = authorities.update(tx, later(), "a" * 64, remove_registration=True)
    assert (removed.auto_registration, removed.registration_config) == (False, RegistrationConfig())
    assert authorities.get(tx, act.realm, "a" * 64) == removed
    assert told() == []
    with pytest.raises(InvalidRequest, match="neither"):
        authorities.update(tx, later(), "a" * 64, remove_registration=True, auto_registration=True)
    with pytest.raises(NotFound):
        authorities.update(tx, later(), "b" * 64)


def test_delete(tx: Tx, act: Act, told: Callable[[], list[Event]]) -> None:
    register(tx, act, status=Status.ACTIVE)
    tags.put(tx, act, act.realm.arn("cacert", "a" * 64), {"a": "b"})
    with pytest.raises(CertificateState, match="not ACTIVE"):
        authorities.delete(tx, act, "a" * 64)
    authorities.update(tx, act, "a" * 64, status=Status.INACTIVE)
    told()
    authorities.delete(tx, act, "a" * 64)
    assert told() == [AuthorityChanged("a" * 64, None)]
    assert authorities.find(tx, act.realm, "a" * 64) is None
    assert tx.rows("SELECT * FROM tags") == []
    with pytest.raises(NotFound):
        authorities.delete(tx, act, "a" * 64)


def test_pages(tx: Tx, act: Act, later: Callable[..., Act]) -> None:
    jitp(tx, act)
    config = RegistrationConfig(template_name="jitp")
    register(tx, later(3), "a" * 64)
    register(tx, later(1), "b" * 64, registration_config=config)
    register(tx, later(2), "c" * 64)
    first = authorities.page(tx, act.realm, limit=2)
    assert [each.fingerprint[0] for each in first.items] == ["a", "c"]
    assert [each.fingerprint[0] for each in authorities.page(tx, act.realm, first.next_key).items] == ["b"]
    assert [each.fingerprint[0] for each in authorities.page(tx, act.realm, ascending=True).items] == ["b", "c", "a"]
    assert [each.fingerprint[0] for each in authorities.page(tx, act.realm, template_name="jitp").items] == ["b"]


def test_registration_code(tx: Tx, act: Act, later: Callable[..., Act], elsewhere: Realm) -> None:
    assert authorities.find_registration_code(tx, act.realm) is None
    assert authorities.registration_code(tx, act, "1" * 64) == "1" * 64
    assert authorities.registration_code(tx, later(), "2" * 64) == "1" * 64
    assert authorities.registration_code(tx, later(of=elsewhere), "3" * 64) == "3" * 64
    authorities.delete_registration_code(tx, act)
    with pytest.raises(NotFound):
        authorities.delete_registration_code(tx, act)
    assert authorities.registration_code(tx, later(), "2" * 64) == "2" * 64
