"""A Plan becomes rows: the one place where a template's wishes meet the registry, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fleetgate.database.port import Tx
from fleetgate.errors import ConflictingUpdate, InvalidRequest
from fleetgate.names import Act
from fleetgate.policy import document
from fleetgate.registry import attachments, certificates, policies, thing_groups, things
from fleetgate.registry.certificates import Certificate, Status
from fleetgate.template.plan import CertificatePlan, Plan, PolicyPlan, ThingPlan
from fleetgate.template.resources import Override


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was made: for the answer, the audit trail and bulk reports."""

    thing_name: str | None
    arns: Mapping[str, str]
    """Logical id in the template -> ARN."""
    device_configuration: Mapping[str, str]


MakeRoom = Callable[[str], None]
"""Called with the name of a thing that exists already, before the certificate is attached to it; may refuse."""


def apply(tx: Tx, act: Act, plan: Plan, certificate: Certificate | None, make_room: MakeRoom) -> Outcome:
    """Thing, policies, attachments, and at last the certificate's status: all of it or nothing.

    *certificate* is the one that the plan's certificate resource names, already in the registry; None for a plan that
    has neither certificate nor policies. Raises what the registry raises, `ConflictingUpdate` where the template says
    FAIL, and whatever *make_room* raises.
    """
    arns: dict[str, str] = {}
    if plan.thing:
        _thing(tx, act, plan.thing, make_room)
        arns[plan.thing.logical_id] = act.realm.arn("thing", plan.thing.name)
    if certificate is not None:
        arns |= _bind(tx, act, plan, certificate)
    return Outcome(plan.thing.name if plan.thing else None, arns, plan.device_configuration)


def _bind(tx: Tx, act: Act, plan: Plan, certificate: Certificate) -> dict[str, str]:
    arns: dict[str, str] = {}
    for wanted in plan.policies:
        _policy(tx, act, wanted)
        attachments.attach_policy(tx, act, wanted.name, act.realm.arn("cert", certificate.fingerprint))
        arns[wanted.logical_id] = act.realm.arn("policy", wanted.name)
    if plan.thing:
        exclusive = plan.certificate is not None and plan.certificate.thing_principal_type == "EXCLUSIVE_THING"
        attachments.attach_principal(tx, act, plan.thing.name, certificate.fingerprint, exclusive=exclusive)
    if plan.certificate:
        _activate(tx, act, plan.certificate, certificate)
        arns[plan.certificate.logical_id] = act.realm.arn("cert", certificate.fingerprint)
    return arns


def _thing(tx: Tx, act: Act, plan: ThingPlan, make_room: MakeRoom) -> None:
    existing = things.find(tx, act.realm, plan.name)
    if existing is None:
        attributes = {name: value for name, value in (plan.attributes or {}).items() if value}
        things.create(
            tx, act, plan.name, type_name=plan.type_name, attributes=attributes, billing_group=plan.billing_group
        )
        for group in plan.groups or ():
            thing_groups.add_thing(tx, act, group, plan.name)
        return
    make_room(plan.name)
    _update(tx, act, plan, existing)
    _regroup(tx, act, plan)


def _update(tx: Tx, act: Act, plan: ThingPlan, existing: things.Thing) -> None:
    """Where the template sets no override, what exists stays as it is (AWS does not say; see aws-divergences)."""
    attributes: Mapping[str, str] | None = None
    how = plan.overrides.get("AttributePayload", Override.DO_NOTHING)
    if plan.attributes is not None and dict(plan.attributes) != dict(existing.attributes):
        if how is Override.FAIL:
            raise _conflict(plan.name, "attributes")
        if how is not Override.DO_NOTHING:
            attributes = plan.attributes
    type_name = None
    how_type = plan.overrides.get("ThingTypeName", Override.DO_NOTHING)
    if plan.type_name is not None and plan.type_name != existing.type_name:
        if how_type is Override.FAIL:
            raise _conflict(plan.name, "thing type")
        if how_type is Override.REPLACE:
            type_name = plan.type_name
    if attributes is not None or type_name is not None:
        merge = how is Override.MERGE or attributes is None
        things.update(tx, act, plan.name, type_name=type_name, attributes=attributes, merge=merge)


def _regroup(tx: Tx, act: Act, plan: ThingPlan) -> None:
    how = plan.overrides.get("ThingGroups", Override.DO_NOTHING)
    if plan.groups is None or how is Override.DO_NOTHING:
        return
    wanted, present = set(plan.groups), set(thing_groups.groups_of(tx, act.realm, plan.name))
    if how is Override.FAIL and wanted != present:
        raise _conflict(plan.name, "thing groups")
    if how is Override.REPLACE:
        for group in sorted(present - wanted):
            thing_groups.remove_thing(tx, act, group, plan.name)
    for group in plan.groups:
        if group not in present:
            thing_groups.add_thing(tx, act, group, plan.name)


def _policy(tx: Tx, act: Act, plan: PolicyPlan) -> None:
    """An inline document's name is its hash: a policy of that name is that policy."""
    if plan.document is None:
        policies.get(tx, act.realm, plan.name)
    elif policies.find(tx, act.realm, plan.name) is None:
        document.parse(plan.document)
        policies.create(tx, act, plan.name, plan.document)


def _activate(tx: Tx, act: Act, plan: CertificatePlan, certificate: Certificate) -> None:
    """The override is about a certificate that had a status of its own before the template came."""
    if certificate.status == plan.status:
        return
    how = plan.overrides.get("Status", Override.REPLACE)
    if certificate.status is not Status.PENDING_ACTIVATION and how is Override.DO_NOTHING:
        return
    if certificate.status is not Status.PENDING_ACTIVATION and how is Override.FAIL:
        raise ConflictingUpdate(
            f"Certificate {certificate.fingerprint} is {certificate.status}, and the template's OverrideSettings say "
            "FAIL."
        )
    if certificate.status not in (Status.PENDING_ACTIVATION, Status.ACTIVE, Status.INACTIVE):
        raise InvalidRequest(
            f"Certificate {certificate.fingerprint} is {certificate.status} and cannot be provisioned."
        )
    certificates.change_status(tx, act, certificate, Status(plan.status))


def _conflict(thing: str, what: str) -> ConflictingUpdate:
    return ConflictingUpdate(f"Thing {thing} exists with other {what}, and the template's OverrideSettings say FAIL.")
