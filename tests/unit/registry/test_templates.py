from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fleetgate.database.port import Tx
from fleetgate.errors import AlreadyExists, DeleteConflict, InvalidRequest, NotFound, VersionsLimitExceeded
from fleetgate.names import Act
from fleetgate.registry import authorities, tags, templates
from fleetgate.registry.templates import Reprovisioning, Template, Type

ROLE = "arn:aws:iam::123456789012:role/provisioning"
HOOK = "arn:aws:lambda:us-east-1:123456789012:function:check"


def create(tx: Tx, act: Act, name: str = "t", **more: Any) -> Template:
    return templates.create(tx, act, name, "{}", ROLE, **more)


def test_create(tx: Tx, act: Act) -> None:
    made = create(
        tx,
        act,
        description="Lamps",
        enabled=True,
        hook_target_arn=HOOK,
        hook_payload_version="2020-04-01",
        reprovisioning=Reprovisioning.HOOK,
    )
    assert templates.get(tx, act.realm, "t") == made
    assert (made.type, made.default_version, made.enabled) == (Type.FLEET_PROVISIONING, 1, True)
    version = templates.get_version(tx, act.realm, "t")
    assert (version.version, version.body, version.is_default) == (1, "{}", True)
    plain = create(tx, act, "u")
    assert (plain.enabled, plain.hook_target_arn, plain.reprovisioning) == (False, None, None)


def test_a_taken_name_is_refused(tx: Tx, act: Act, later: Callable[..., Act]) -> None:
    create(tx, act)
    with pytest.raises(AlreadyExists, match=r"^Template with name t already exists$") as refused:
        create(tx, later())
    assert refused.value.members["resourceArn"] == act.realm.arn("provisioningtemplate", "t")


def test_every_problem_is_told_at_once(tx: Tx, act: Act) -> None:
    with pytest.raises(InvalidRequest) as refused:
        templates.create(
            tx,
            act,
            "t",
            "{}",
            "",
            type=Type.JITP,
            description="x" * 501,
            hook_target_arn=HOOK,
            hook_payload_version="1",
        )
    for text in ("description", "provisioningRoleArn", "JITP", "payloadVersion"):
        assert text in refused.value.message
    with pytest.raises(InvalidRequest, match="targetArn"):
        create(tx, act, hook_payload_version="2020-04-01")
    with pytest.raises(InvalidRequest, match="10241 characters"):
        templates.create(tx, act, "t", "x" * 10241, ROLE)
    with pytest.raises(InvalidRequest):
        create(tx, act, "x" * 37)
    assert templates.find(tx, act.realm, "t") is None


def test_update(tx: Tx, act: Act, later: Callable[..., Act]) -> None:
    create(tx, act, hook_target_arn=HOOK, hook_payload_version="2020-04-01")
    templates.create_version(tx, act, "t", "two")
    changed = templates.update(tx, later(), "t", description="new", enabled=True, default_version=2, role_arn="r")
    assert changed == templates.get(tx, act.realm, "t")
    assert (changed.description, changed.enabled, changed.default_version) == ("new", True, 2)
    assert (changed.role_arn, changed.hook_target_arn, changed.updated_at) == ("r", HOOK, act.now + 1000)
    other = templates.update(tx, later(), "t", hook_target_arn=HOOK + "2")
    assert (other.hook_target_arn, other.hook_payload_version) == (HOOK + "2", None)
    assert templates.update(tx, later(), "t", remove_hook=True).hook_target_arn is None
    assert templates.get(tx, act.realm, "t").hook_target_arn is None
    same = templates.update(tx, later(), "t", enabled=False)
    assert (same.description, same.default_version, same.enabled) == ("new", 2, False)


def test_what_changes_nothing_leaves_the_time(tx: Tx, act: Act, later: Callable[..., Act]) -> None:
    made = create(tx, act, description="d", hook_target_arn=HOOK, hook_payload_version="2020-04-01")
    assert templates.update(tx, later(), "t") == made
    same = templates.update(
        tx, later(), "t", description="d", default_version=1, hook_target_arn=HOOK, hook_payload_version="2020-04-01"
    )
    assert same == made
    assert templates.set_reprovisioning(tx, later(), "t", made.reprovisioning) == made
    assert templates.get(tx, act.realm, "t") == made
    assert templates.set_reprovisioning(tx, later(), "t", Reprovisioning.NEVER).updated_at == later().now


def test_update_refuses(tx: Tx, act: Act) -> None:
    with pytest.raises(NotFound):
        templates.update(tx, act, "t")
    create(tx, act)
    with pytest.raises(NotFound, match="no version 2"):
        templates.update(tx, act, "t", default_version=2)
    with pytest.raises(NotFound, match="no version 0"):
        templates.update(tx, act, "t", default_version=0)
    with pytest.raises(InvalidRequest, match="not both"):
        templates.update(tx, act, "t", remove_hook=True, hook_target_arn=HOOK)
    create(tx, act, "j", type=Type.JITP)
    with pytest.raises(InvalidRequest, match="JITP"):
        templates.update(tx, act, "j", hook_target_arn=HOOK)


def test_reprovisioning(tx: Tx, act: Act) -> None:
    create(tx, act)
    assert templates.set_reprovisioning(tx, act, "t", Reprovisioning.NEVER).reprovisioning == Reprovisioning.NEVER
    assert templates.get(tx, act.realm, "t").reprovisioning == Reprovisioning.NEVER
    assert templates.set_reprovisioning(tx, act, "t", None) == templates.get(tx, act.realm, "t")
    assert templates.get(tx, act.realm, "t").reprovisioning is None


def test_versions(tx: Tx, act: Act) -> None:
    create(tx, act)
    assert templates.create_version(tx, act, "t", "two").is_default is False
    assert templates.create_version(tx, act, "t", "three", set_as_default=True).is_default
    assert templates.get_version(tx, act.realm, "t").body == "three"
    for number in (4, 5):
        templates.create_version(tx, act, "t", str(number))
    with pytest.raises(VersionsLimitExceeded, match=r"maximum number of versions \(5\)"):
        templates.create_version(tx, act, "t", "6")
    assert templates.create_version(tx, act, "t", "6", most=6).version == 6
    templates.delete_version(tx, act, "t", 6)
    templates.delete_version(tx, act, "t", 5)
    assert templates.create_version(tx, act, "t", "7").version == 7
    page = templates.page_versions(tx, act.realm, "t", limit=3)
    assert [(each.version, each.is_default) for each in page.items] == [(1, False), (2, False), (3, True)]
    rest = templates.page_versions(tx, act.realm, "t", page.next_key)
    assert [each.version for each in rest.items] == [4, 7]


def test_the_default_version_stays(tx: Tx, act: Act) -> None:
    create(tx, act)
    with pytest.raises(DeleteConflict, match="default version"):
        templates.delete_version(tx, act, "t", 1)
    with pytest.raises(NotFound):
        templates.delete_version(tx, act, "t", 2)
    with pytest.raises(NotFound):
        templates.create_version(tx, act, "unknown", "{}")
    with pytest.raises(NotFound):
        templates.page_versions(tx, act.realm, "unknown")
    with pytest.raises(InvalidRequest):
        templates.create_version(tx, act, "t", "x" * 10241)


def test_delete(tx: Tx, act: Act) -> None:
    create(tx, act, type=Type.JITP)
    tags.put(tx, act, act.realm.arn("provisioningtemplate", "t"), {"a": "b"})
    authorities.create(
        tx,
        act,
        "a" * 64,
        "pem",
        subject="CN=x",
        public_key_fingerprint="k",
        not_before=0,
        not_after=1,
        registration_config=authorities.RegistrationConfig(template_name="t"),
    )
    with pytest.raises(DeleteConflict, match=r"a{64} provisions by template t"):
        templates.delete(tx, act, "t")
    authorities.delete(tx, act, "a" * 64)
    templates.delete(tx, act, "t")
    assert templates.find(tx, act.realm, "t") is None
    assert tx.rows("SELECT * FROM template_versions") == []
    assert tx.rows("SELECT * FROM tags") == []
    with pytest.raises(NotFound):
        templates.delete(tx, act, "t")


def test_pages(tx: Tx, act: Act) -> None:
    for name in "cab":
        create(tx, act, name)
    page = templates.page(tx, act.realm, limit=2)
    assert [each.name for each in page.items] == ["a", "b"]
    assert [each.name for each in templates.page(tx, act.realm, page.next_key).items] == ["c"]
