"""Plans become rows, and OverrideSettings decide where there are some already."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from fleetgate.database.port import Tx
from fleetgate.errors import ConflictingUpdate, InvalidRequest, MalformedPolicy, NotFound
from fleetgate.names import Act
from fleetgate.provisioning.apply import Outcome, apply
from fleetgate.registry import attachments, billing_groups, certificates, policies, thing_groups, thing_types, things
from fleetgate.registry.certificates import Certificate, Status
from fleetgate.template.plan import CertificatePlan, Plan, PolicyPlan, ThingPlan
from fleetgate.template.resources import Override

ALLOW = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:Connect", "Resource": "*"}]}
)
THING = ThingPlan("thing", "t", {"a": "1"}, None, None, None, {})


def plan(certificate: Certificate, thing: ThingPlan | None = THING, *names: PolicyPlan, **more: Any) -> Plan:
    wanted = CertificatePlan("certificate", certificate.fingerprint, None, None, None, "ACTIVE", "", {})
    return Plan(thing, replace(wanted, **more), names, {"interval": "60"})


class Applier:
    def __init__(self, tx: Tx, act: Act, certify: Callable[..., Certificate]) -> None:
        self.tx, self.act, self.certify = tx, act, certify
        self.asked: list[str] = []
        self.numbers = count()

    def __call__(self, thing: ThingPlan | None = THING, *names: PolicyPlan, **more: Any) -> Outcome:
        certificate = self.certify(f"certificate {next(self.numbers)}")
        return apply(self.tx, self.act, plan(certificate, thing, *names, **more), certificate, self.asked.append)

    def thing(self) -> things.Thing:
        return things.get(self.tx, self.act.realm, "t")

    def groups(self) -> list[str]:
        return thing_groups.groups_of(self.tx, self.act.realm, "t")


@pytest.fixture
def applier(tx: Tx, act: Act, certify: Callable[..., Certificate]) -> Applier:
    for name in ("red", "blue"):
        thing_types.create(tx, act, f"type-{name}")
        thing_groups.create(tx, act, name)
    policies.create(tx, act, "p", ALLOW)
    return Applier(tx, act, certify)


def test_everything_new(applier: Applier, tx: Tx, act: Act) -> None:
    wanted = replace(THING, attributes={"a": "1", "b": ""}, type_name="type-red", groups=("blue", "red"))
    outcome = applier(wanted, PolicyPlan("policy", "p", None))
    assert outcome.thing_name == "t"
    assert outcome.device_configuration == {"interval": "60"}
    assert applier.asked == [], "nobody has to make room for what is new"
    thing = applier.thing()
    assert (thing.type_name, thing.attributes, applier.groups()) == ("type-red", {"a": "1"}, ["blue", "red"])
    [bound] = attachments.certificates_of(tx, act.realm, "t")
    assert bound.status is Status.ACTIVE
    assert [name for name, _, _ in attachments.policies_for(tx, act.realm, bound.fingerprint, "t")] == ["p"]
    assert outcome.arns == {
        "thing": act.realm.arn("thing", "t"),
        "policy": act.realm.arn("policy", "p"),
        "certificate": act.realm.arn("cert", bound.fingerprint),
    }


def test_a_billing_group(applier: Applier, tx: Tx, act: Act) -> None:
    with pytest.raises(NotFound, match="Billing group b"):
        applier(replace(THING, billing_group="b"))
    billing_groups.create(tx, act, "b")
    billing_groups.create(tx, act, "c")
    applier(replace(THING, name="u", billing_group="b"))
    assert billing_groups.of_thing(tx, act.realm, "u") == "b"
    applier(replace(THING, name="u", billing_group="c"))
    assert billing_groups.of_thing(tx, act.realm, "u") == "b", "no override speaks of it"


def test_without_a_thing(applier: Applier, tx: Tx, act: Act) -> None:
    outcome = applier(None, PolicyPlan("policy", "p", None))
    assert outcome.thing_name is None
    fingerprint = outcome.arns["certificate"].rpartition("/")[2]
    assert certificates.get(tx, act.realm, fingerprint).status is Status.ACTIVE
    assert attachments.things_of(tx, act.realm, fingerprint) == []


def test_without_a_certificate(applier: Applier, tx: Tx, act: Act, certify: Callable[..., Certificate]) -> None:
    certificate = certify("untouched")
    outcome = apply(tx, act, Plan(THING, None, (), {}), certificate, applier.asked.append)
    assert set(outcome.arns) == {"thing"}
    assert certificates.get(tx, act.realm, certificate.fingerprint).status is Status.PENDING_ACTIVATION


@pytest.mark.parametrize(("kind", "exclusive"), [("EXCLUSIVE_THING", True), ("NON_EXCLUSIVE_THING", False)])
def test_how_the_certificate_is_the_things(applier: Applier, tx: Tx, act: Act, kind: str, exclusive: bool) -> None:
    outcome = applier(THING, thing_principal_type=kind)
    [bound] = attachments.things_of(tx, act.realm, outcome.arns["certificate"].rpartition("/")[2])
    assert bound.exclusive is exclusive


def test_an_inline_policy_is_made_once(applier: Applier, tx: Tx, act: Act) -> None:
    inline = PolicyPlan("policy", "inline", ALLOW)
    applier(THING, inline)
    applier(replace(THING, name="other"), inline)
    assert policies.get_version(tx, act.realm, "inline").document == ALLOW
    assert len(attachments.page_targets(tx, act.realm, "inline").items) == 2


def test_a_policy_that_is_none(applier: Applier) -> None:
    with pytest.raises(MalformedPolicy):
        applier(THING, PolicyPlan("policy", "inline", json.dumps({"Version": "2012-10-17"})))
    with pytest.raises(NotFound, match="Policy not found"):
        applier(THING, PolicyPlan("policy", "missing", None))


def test_billing_groups_are_not_there_yet(applier: Applier) -> None:
    with pytest.raises(NotFound, match="Billing group b does not exist"):
        applier(replace(THING, billing_group="b"))


# --- a thing that exists already --------------------------------------------------------------------------------------


def test_room_is_made_before_anything_changes(applier: Applier, tx: Tx, act: Act) -> None:
    applier()
    applier()
    assert applier.asked == ["t"]
    assert len(attachments.certificates_of(tx, act.realm, "t")) == 2


def test_without_overrides_it_stays_as_it_is(applier: Applier) -> None:
    applier(replace(THING, type_name="type-red", groups=("red",)))
    applier(replace(THING, attributes={"a": "2"}, type_name="type-blue", groups=("blue",)))
    thing = applier.thing()
    assert (thing.type_name, thing.attributes, applier.groups()) == ("type-red", {"a": "1"}, ["red"])


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (Override.DO_NOTHING, {"a": "1", "b": "1"}),
        (Override.REPLACE, {"a": "2", "c": "2"}),
        (Override.MERGE, {"a": "2", "b": "1", "c": "2"}),
    ],
)
def test_attributes(applier: Applier, how: Override, expected: dict[str, str]) -> None:
    applier(replace(THING, attributes={"a": "1", "b": "1"}))
    applier(replace(THING, attributes={"a": "2", "c": "2"}, overrides={"AttributePayload": how}))
    assert applier.thing().attributes == expected


@pytest.mark.parametrize(("how", "expected"), [(Override.DO_NOTHING, "type-red"), (Override.REPLACE, "type-blue")])
def test_thing_type(applier: Applier, how: Override, expected: str) -> None:
    applier(replace(THING, type_name="type-red"))
    applier(replace(THING, type_name="type-blue", overrides={"ThingTypeName": how}))
    thing = applier.thing()
    assert (thing.type_name, thing.attributes) == (expected, {"a": "1"})


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (Override.DO_NOTHING, ["red"]),
        (Override.REPLACE, ["blue"]),
        (Override.MERGE, ["blue", "red"]),
    ],
)
def test_groups(applier: Applier, how: Override, expected: list[str]) -> None:
    applier(replace(THING, groups=("red",)))
    applier(replace(THING, groups=("blue",), overrides={"ThingGroups": how}))
    assert applier.groups() == expected


def test_an_empty_list_of_groups_takes_the_thing_out_of_all(applier: Applier) -> None:
    applier(replace(THING, groups=("red",)))
    applier(replace(THING, groups=(), overrides={"ThingGroups": Override.REPLACE}))
    assert applier.groups() == []


@pytest.mark.parametrize(
    ("setting", "other", "what"),
    [
        ("AttributePayload", {"attributes": {"a": "2"}}, "attributes"),
        ("ThingTypeName", {"type_name": "type-blue"}, "thing type"),
        ("ThingGroups", {"groups": ("blue",)}, "thing groups"),
    ],
)
def test_fail(applier: Applier, setting: str, other: dict[str, Any], what: str) -> None:
    first = replace(THING, type_name="type-red", groups=("red",))
    applier(first)
    fail = {setting: Override.FAIL}
    applier(replace(first, overrides=fail))  # the same again is no conflict
    with pytest.raises(ConflictingUpdate, match=f"exists with other {what}"):
        applier(replace(first, overrides=fail, **other))


# --- the certificate's status -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [Status.PENDING_ACTIVATION, Status.INACTIVE, Status.ACTIVE])
@pytest.mark.parametrize("wanted", ["ACTIVE", "INACTIVE"])
def test_the_certificate_gets_the_templates_status(
    tx: Tx, act: Act, certify: Callable[..., Certificate], status: Status, wanted: str
) -> None:
    certificate = certify("c", status)
    apply(tx, act, plan(certificate, status=wanted), certificate, lambda _: None)
    assert certificates.get(tx, act.realm, certificate.fingerprint).status == wanted


def test_what_is_revoked_is_not_provisioned(tx: Tx, act: Act, certify: Callable[..., Certificate]) -> None:
    certificate = certify("c", Status.REVOKED)
    with pytest.raises(InvalidRequest, match="is REVOKED and cannot be provisioned"):
        apply(tx, act, plan(certificate), certificate, lambda _: None)
