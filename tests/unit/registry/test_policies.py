from __future__ import annotations

from collections.abc import Callable

import pytest

from fleetgate.database.port import Tx
from fleetgate.errors import (
    AlreadyExists,
    DeleteConflict,
    InvalidRequest,
    MalformedPolicy,
    NotFound,
    VersionsLimitExceeded,
)
from fleetgate.names import Act
from fleetgate.registry import attachments, policies, tags, thing_groups
from fleetgate.registry.events import Event, PolicyChanged


def test_create(tx: Tx, act: Act) -> None:
    made = policies.create(tx, act, "p", '{"a": 1}')
    assert policies.get(tx, act.realm, "p") == made
    assert (made.default_version, made.created_at) == (1, act.now)
    version = policies.get_version(tx, act.realm, "p")
    assert (version.version, version.document, version.is_default) == (1, '{"a": 1}', True)


def test_a_taken_name_is_refused_even_with_the_same_document(tx: Tx, act: Act, later: Callable[..., Act]) -> None:
    policies.create(tx, act, "p", "{}")
    with pytest.raises(AlreadyExists) as refused:
        policies.create(tx, later(), "p", "{}")
    assert refused.value.message == "Policy cannot be created - name already exists (name=p)"
    assert refused.value.members["resourceArn"] == act.realm.arn("policy", "p")


def test_white_space_does_not_count(tx: Tx, act: Act) -> None:
    policies.create(tx, act, "p", "x" * 2048 + " \n\t" * 1000)
    with pytest.raises(MalformedPolicy, match="2049 characters"):
        policies.create(tx, act, "q", "x" * 2049)
    with pytest.raises(MalformedPolicy):
        policies.create_version(tx, act, "p", "x" * 2049)
    with pytest.raises(InvalidRequest):
        policies.create(tx, act, "no space", "{}")


def test_versions(tx: Tx, act: Act, told: Callable[[], list[Event]]) -> None:
    policies.create(tx, act, "p", "one")
    assert policies.create_version(tx, act, "p", "two").is_default is False
    assert told() == []
    assert policies.create_version(tx, act, "p", "three", set_as_default=True).is_default
    assert told() == [PolicyChanged("p", 3)]
    assert policies.get_version(tx, act.realm, "p").document == "three"
    assert policies.get_version(tx, act.realm, "p", 2).document == "two"
    assert [each.version for each in policies.versions(tx, act.realm, "p")] == [3, 2, 1]
    policies.set_default(tx, act, "p", 3)
    assert told() == []
    policies.set_default(tx, act, "p", 1)
    assert told() == [PolicyChanged("p", 1)]


def test_five_versions_and_no_number_twice(tx: Tx, act: Act) -> None:
    policies.create(tx, act, "p", "1")
    for number in range(2, 6):
        policies.create_version(tx, act, "p", str(number))
    with pytest.raises(VersionsLimitExceeded) as refused:
        policies.create_version(tx, act, "p", "6")
    assert refused.value.message == "The policy p already has the maximum number of versions (5)"
    policies.delete_version(tx, act, "p", 5)
    assert policies.create_version(tx, act, "p", "6").version == 6


def test_delete_version(tx: Tx, act: Act) -> None:
    policies.create(tx, act, "p", "1")
    with pytest.raises(InvalidRequest, match=r"^Cannot delete the default version of a policy$"):
        policies.delete_version(tx, act, "p", 1)
    with pytest.raises(NotFound, match="version=2"):
        policies.delete_version(tx, act, "p", 2)


def test_what_is_not_there(tx: Tx, act: Act) -> None:
    assert policies.find(tx, act.realm, "p") is None
    assert policies.find_version(tx, act.realm, "p", 1) is None
    for ask in (
        lambda: policies.get(tx, act.realm, "p"),
        lambda: policies.versions(tx, act.realm, "p"),
        lambda: policies.delete(tx, act, "p"),
        lambda: policies.create_version(tx, act, "p", "{}"),
        lambda: policies.set_default(tx, act, "p", 1),
    ):
        with pytest.raises(NotFound, match=r"Policy not found \(name=p\)"):
            ask()


def test_delete(tx: Tx, act: Act) -> None:
    policies.create(tx, act, "p", "1")
    policies.create_version(tx, act, "p", "2")
    tags.put(tx, act, act.realm.arn("policy", "p"), {"a": "b"})
    thing_groups.create(tx, act, "g")
    target = act.realm.arn("thinggroup", "g")
    attachments.attach_policy(tx, act, "p", target)
    with pytest.raises(DeleteConflict) as refused:
        policies.delete(tx, act, "p")
    assert refused.value.message == (
        "The policy cannot be deleted as the policy is attached to one or more principals (name=p)"
    )
    attachments.detach_policy(tx, act, "p", target)
    with pytest.raises(DeleteConflict) as refused:
        policies.delete(tx, act, "p")
    assert refused.value.message == (
        "Cannot delete the policy because it has one or more policy versions attached to it (name=p)"
    )
    policies.delete_version(tx, act, "p", 2)
    policies.delete(tx, act, "p")
    assert policies.find(tx, act.realm, "p") is None
    assert tx.rows("SELECT * FROM policy_versions") == []
    assert tx.rows("SELECT * FROM tags") == []


def test_pages(tx: Tx, act: Act, later: Callable[..., Act]) -> None:
    for name, moment in [("a", 2), ("b", 1), ("c", 2)]:
        policies.create(tx, later(moment), name, "{}")
    first = policies.page(tx, act.realm, limit=2)
    assert [each.name for each in first.items] == ["c", "a"]
    assert [each.name for each in policies.page(tx, act.realm, first.next_key).items] == ["b"]
    assert [each.name for each in policies.page(tx, act.realm, ascending=True).items] == ["b", "a", "c"]
