from __future__ import annotations

from collections.abc import Callable

import pytest

from fleetgate.database.port import Tx
from fleetgate.errors import InvalidRequest, LimitExceeded, NotFound
from fleetgate.names import Act, Realm
from fleetgate.registry import attachments, policies, thing_groups, things
from fleetgate.registry.attachments import Principal
from fleetgate.registry.certificates import Certificate
from fleetgate.registry.events import AttachmentChanged, Event, PrincipalChanged
from fleetgate.registry.pages import Page

Make = Callable[..., Certificate]
Told = Callable[[], list[Event]]


@pytest.fixture
def target(act: Act, certified: Make) -> str:
    return act.realm.arn("cert", certified().fingerprint)


def test_attach_and_detach_a_policy(tx: Tx, act: Act, target: str, told: Told) -> None:
    policies.create(tx, act, "p", "{}")
    attachments.attach_policy(tx, act, "p", target)
    attachments.attach_policy(tx, act, "p", target)
    assert told() == [AttachmentChanged("p", target, True)]
    assert attachments.page_policies(tx, act.realm, target).items == ("p",)
    attachments.detach_policy(tx, act, "p", target)
    attachments.detach_policy(tx, act, "p", target)
    assert told() == [AttachmentChanged("p", target, False)]
    assert attachments.page_policies(tx, act.realm, target).items == ()


def test_capitals_in_a_certificate_arn_are_forgiven(tx: Tx, act: Act, target: str) -> None:
    policies.create(tx, act, "p", "{}")
    attachments.attach_policy(tx, act, "p", target.rpartition("/")[0] + "/" + target.rpartition("/")[2].upper())
    assert attachments.page_targets(tx, act.realm, "p").items == (target,)


def test_what_a_policy_cannot_be_attached_to(tx: Tx, act: Act, elsewhere: Realm, target: str) -> None:
    with pytest.raises(NotFound, match="Policy not found"):
        attachments.attach_policy(tx, act, "p", target)
    policies.create(tx, act, "p", "{}")
    group = act.realm.arn("thinggroup", "g")
    for arn, text in [
        (group, f"No thing group with ARN {group} exists"),
        (elsewhere.arn("thinggroup", "g"), "No thing group"),
        (act.realm.arn("cert", "0" * 64), "does not exist"),
        (elsewhere.arn("cert", "0" * 64), "in this account"),
    ]:
        with pytest.raises(NotFound, match=text):
            attachments.attach_policy(tx, act, "p", arn)
        with pytest.raises(NotFound, match=text):
            attachments.page_policies(tx, act.realm, arn)
    for arn in (act.realm.arn("thing", "one"), "us-east-1:0a0b", act.realm.arn("cert", "short")):
        with pytest.raises(InvalidRequest):
            attachments.attach_policy(tx, act, "p", arn)
        with pytest.raises(InvalidRequest):
            attachments.detach_policy(tx, act, "p", arn)


def test_detach_touches_this_realm_alone(
    tx: Tx, act: Act, later: Callable[..., Act], elsewhere: Realm, target: str
) -> None:
    policies.create(tx, act, "p", "{}")
    attachments.attach_policy(tx, act, "p", target)
    attachments.detach_policy(tx, later(of=elsewhere), "p", target)
    attachments.detach_policy(tx, act, "p", elsewhere.arn("cert", target.rpartition("/")[2]))
    assert attachments.page_targets(tx, act.realm, "p").items == (target,)


@pytest.mark.parametrize(("kind", "most"), [("cert", 10), ("thinggroup", 2)])
def test_limits(tx: Tx, act: Act, target: str, kind: str, most: int) -> None:
    thing_groups.create(tx, act, "g")
    arn = target if kind == "cert" else act.realm.arn("thinggroup", "g")
    for number in range(most + 1):
        policies.create(tx, act, f"p{number}", "{}")
    for number in range(most):
        attachments.attach_policy(tx, act, f"p{number}", arn)
    with pytest.raises(LimitExceeded, match=f"{most} policies already"):
        attachments.attach_policy(tx, act, f"p{most}", arn)
    attachments.attach_policy(tx, act, "p0", arn)


def test_pages_both_ways(tx: Tx, act: Act, target: str) -> None:
    for group, parent in [("top", None), ("mid", "top"), ("leaf", "mid"), ("other", None)]:
        thing_groups.create(tx, act, group, parent=parent)
    for name, group in [("a", "leaf"), ("b", "top"), ("c", "other"), ("d", "mid"), ("a", "top")]:
        if policies.find(tx, act.realm, name) is None:
            policies.create(tx, act, name, "{}")
        attachments.attach_policy(tx, act, name, act.realm.arn("thinggroup", group))
    attachments.attach_policy(tx, act, "a", target)
    leaf = act.realm.arn("thinggroup", "leaf")
    assert attachments.page_policies(tx, act.realm, leaf).items == ("a",)
    first = attachments.page_policies(tx, act.realm, leaf, limit=2, recursive=True)
    assert first.items == ("a", "b")
    assert attachments.page_policies(tx, act.realm, leaf, first.next_key, recursive=True).items == ("d",)
    assert attachments.page_policies(tx, act.realm, target, recursive=True).items == ("a",)
    targets = attachments.page_targets(tx, act.realm, "a", limit=2)
    assert targets.items == (target, leaf)
    assert attachments.page_targets(tx, act.realm, "a", targets.next_key).items == (act.realm.arn("thinggroup", "top"),)
    with pytest.raises(NotFound):
        attachments.page_targets(tx, act.realm, "unknown")


def test_targets_of_one_kind_fill_their_pages(tx: Tx, act: Act, realm: Realm, certified: Make) -> None:
    policies.create(tx, act, "p", "{}")
    made = sorted(realm.arn("cert", certified(f"c{number}").fingerprint) for number in range(3))
    groups = [realm.arn("thinggroup", name) for name in ("a", "b")]
    for name in ("a", "b"):
        thing_groups.create(tx, act, name)
    for each in (*made, *groups):
        attachments.attach_policy(tx, act, "p", each)
    first = attachments.page_targets(tx, realm, "p", None, 2, kind="cert")
    assert list(first.items) == made[:2]
    assert attachments.page_targets(tx, realm, "p", first.next_key, 2, kind="cert") == Page((made[2],), None)
    assert list(attachments.page_targets(tx, realm, "p", None, 2, kind="thinggroup").items) == groups


def test_policies_for_a_connection(
    tx: Tx, act: Act, later: Callable[..., Act], elsewhere: Realm, certified: Make, target: str
) -> None:
    fingerprint = target.rpartition("/")[2]
    for group, parent in [("top", None), ("mid", "top"), ("leaf", "mid"), ("sibling", "mid"), ("apart", None)]:
        thing_groups.create(tx, act, group, parent=parent)
    things.create(tx, act, "one")
    thing_groups.add_thing(tx, act, "leaf", "one")
    thing_groups.add_thing(tx, act, "apart", "one")
    for name, where in [
        ("on-certificate", target),
        ("on-leaf", act.realm.arn("thinggroup", "leaf")),
        ("on-top", act.realm.arn("thinggroup", "top")),
        ("on-apart", act.realm.arn("thinggroup", "apart")),
        ("on-sibling", act.realm.arn("thinggroup", "sibling")),
        ("on-other", act.realm.arn("cert", certified("other").fingerprint)),
    ]:
        policies.create(tx, act, name, f"first of {name}")
        attachments.attach_policy(tx, act, name, where)
    attachments.attach_policy(tx, act, "on-top", target)
    policies.create_version(tx, act, "on-top", "second of on-top", set_as_default=True)
    policies.create_version(tx, act, "on-leaf", "not the default")
    on_certificate = [
        ("on-certificate", 1, "first of on-certificate"),
        ("on-top", 2, "second of on-top"),
    ]
    assert attachments.policies_for(tx, act.realm, fingerprint, None) == on_certificate
    assert attachments.policies_for(tx, act.realm, fingerprint, "nobody") == on_certificate
    assert attachments.policies_for(tx, act.realm, fingerprint, "one") == [
        ("on-apart", 1, "first of on-apart"),
        ("on-certificate", 1, "first of on-certificate"),
        ("on-leaf", 1, "first of on-leaf"),
        ("on-top", 2, "second of on-top"),
    ]
    assert attachments.policies_for(tx, elsewhere, fingerprint, "one") == []


def test_attach_and_detach_a_certificate(tx: Tx, act: Act, certified: Make, told: Told) -> None:
    things.create(tx, act, "one")
    certificate = certified()
    told()
    attachments.attach_principal(tx, act, "one", certificate.fingerprint)
    attachments.attach_principal(tx, act, "one", certificate.fingerprint)
    assert told() == [PrincipalChanged("one", certificate.fingerprint, True)]
    assert attachments.things_of(tx, act.realm, certificate.fingerprint) == [
        Principal("one", certificate.fingerprint, False)
    ]
    assert attachments.certificates_of(tx, act.realm, "one") == [certificate]
    attachments.detach_principal(tx, act, "one", certificate.fingerprint)
    attachments.detach_principal(tx, act, "one", certificate.fingerprint)
    assert told() == [PrincipalChanged("one", certificate.fingerprint, False)]
    assert attachments.certificates_of(tx, act.realm, "one") == []


def test_exclusive_attachments(tx: Tx, act: Act, certified: Make, told: Told) -> None:
    for name in ("one", "two"):
        things.create(tx, act, name)
    fingerprint = certified().fingerprint
    attachments.attach_principal(tx, act, "one", fingerprint)
    with pytest.raises(InvalidRequest, match="attached to thing one"):
        attachments.attach_principal(tx, act, "two", fingerprint, exclusive=True)
    told()
    attachments.attach_principal(tx, act, "one", fingerprint, exclusive=True)
    assert told() == [PrincipalChanged("one", fingerprint, True)]
    with pytest.raises(InvalidRequest, match="Detach it there first"):
        attachments.attach_principal(tx, act, "two", fingerprint)
    attachments.attach_principal(tx, act, "one", fingerprint)
    attachments.attach_principal(tx, act, "two", fingerprint)
    with pytest.raises(InvalidRequest):
        attachments.attach_principal(tx, act, "one", fingerprint, exclusive=True)
    assert [each.exclusive for each in attachments.things_of(tx, act.realm, fingerprint)] == [False, False]


def test_things_and_certificates_must_exist(tx: Tx, act: Act, certified: Make) -> None:
    with pytest.raises(NotFound, match="Thing one"):
        attachments.attach_principal(tx, act, "one", certified().fingerprint)
    with pytest.raises(NotFound, match="Thing one"):
        attachments.detach_principal(tx, act, "one", "0" * 64)
    things.create(tx, act, "one")
    with pytest.raises(NotFound, match="Certificate 0"):
        attachments.attach_principal(tx, act, "one", "0" * 64)
    with pytest.raises(NotFound) as refused:
        attachments.page_principals(tx, act.realm, "two")
    assert refused.value.message == (
        "Failed to list principals for thing two because the thing does not exist in your account"
    )
    with pytest.raises(NotFound):
        attachments.page_things(tx, act.realm, "0" * 64)


def test_the_thing_that_a_connection_speaks_for(tx: Tx, act: Act, certified: Make) -> None:
    shared, own = certified("shared").fingerprint, certified("own").fingerprint
    for name in ("one", "two"):
        things.create(tx, act, name)
        attachments.attach_principal(tx, act, name, shared)
    attachments.attach_principal(tx, act, "one", own, exclusive=True)
    assert attachments.spoken_for(tx, act.realm, shared, "two") == Principal("two", shared, False)
    assert attachments.spoken_for(tx, act.realm, shared, "three") is None
    assert attachments.spoken_for(tx, act.realm, own, "anything") == Principal("one", own, True)


def test_pages_of_principals(tx: Tx, act: Act, certified: Make) -> None:
    fingerprints = sorted(certified(name).fingerprint for name in "abc")
    things.create(tx, act, "one")
    for number, fingerprint in enumerate(fingerprints):
        attachments.attach_principal(tx, act, "one", fingerprint, exclusive=number == 1)
    first = attachments.page_principals(tx, act.realm, "one", limit=2)
    assert [each.fingerprint for each in first.items] == fingerprints[:2]
    second = attachments.page_principals(tx, act.realm, "one", first.next_key)
    assert [each.fingerprint for each in second.items] == fingerprints[2:]
    exclusive = attachments.page_principals(tx, act.realm, "one", exclusive=True)
    assert exclusive.items == (Principal("one", fingerprints[1], True),)
    things.create(tx, act, "two")
    attachments.attach_principal(tx, act, "two", fingerprints[0])
    held = attachments.page_things(tx, act.realm, fingerprints[0], limit=1)
    assert [each.thing_name for each in held.items] == ["one"]
    assert [
        each.thing_name
        for each in attachments.page_things(tx, act.realm, fingerprints[0], held.next_key, exclusive=False).items
    ] == ["two"]


def test_a_principal_is_a_certificate_of_this_realm(realm: Realm, elsewhere: Realm) -> None:
    assert attachments.fingerprint_of(realm, realm.arn("cert", "A" * 64)) == "a" * 64
    for principal in (realm.arn("thing", "one"), "nonsense", realm.arn("cert", "short")):
        with pytest.raises(InvalidRequest):
            attachments.fingerprint_of(realm, principal)
    with pytest.raises(NotFound):
        attachments.fingerprint_of(realm, elsewhere.arn("cert", "a" * 64))
