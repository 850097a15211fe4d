"""What a rendered template asks for: plain values, nothing left to resolve, nothing done yet."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fleetgate.template.resources import Overrides


@dataclass(frozen=True, slots=True)
class ThingPlan:
    """The thing to make or to change. None: the template does not speak of it. Empty: it asks for none."""

    logical_id: str
    name: str
    attributes: Mapping[str, str] | None
    """An empty value asks for the attribute's removal, as in UpdateThing."""
    type_name: str | None
    groups: tuple[str, ...] | None
    """In the template's order, each once."""
    billing_group: str | None
    overrides: Overrides
    """Keyed by AttributePayload, ThingGroups, ThingTypeName; what is not set is the caller's choice."""


@dataclass(frozen=True, slots=True)
class CertificatePlan:
    """The certificate to activate (by id), to issue (by signing request) or to register (by PEM): exactly one."""

    logical_id: str
    certificate_id: str | None
    """64 lower-case hexadecimal digits."""
    signing_request: str | None
    pem: str | None
    ca_pem: str | None
    """Goes with *pem* only."""
    status: str
    """ACTIVE or INACTIVE."""
    thing_principal_type: str
    """EXCLUSIVE_THING or NON_EXCLUSIVE_THING (the default), as in AttachThingPrincipal."""
    overrides: Overrides
    """Keyed by Status."""


@dataclass(frozen=True, slots=True)
class PolicyPlan:
    """A policy to attach: one that exists (*document* is None), or one to create under *name* unless it is there."""

    logical_id: str
    name: str
    document: str | None
    """JSON text of an object, not yet judged as a policy."""


@dataclass(frozen=True, slots=True)
class Plan:
    thing: ThingPlan | None
    certificate: CertificatePlan | None
    policies: tuple[PolicyPlan, ...]
    device_configuration: dict[str, str]

    def describe(self) -> dict[str, Any]:
        """A dry run for people: JSON-ready, in the template's own words, without what the plan does not speak of."""
        found: dict[str, Any] = {}
        if self.thing:
            found["thing"] = _thing(self.thing)
        if self.certificate:
            found["certificate"] = _certificate(self.certificate)
        found["policies"] = [_policy(policy) for policy in self.policies]
        found["deviceConfiguration"] = dict(self.device_configuration)
        return found


def _thing(thing: ThingPlan) -> dict[str, Any]:
    return _spoken_of(
        LogicalId=thing.logical_id,
        ThingName=thing.name,
        AttributePayload=None if thing.attributes is None else dict(thing.attributes),
        ThingTypeName=thing.type_name,
        ThingGroups=None if thing.groups is None else list(thing.groups),
        BillingGroup=thing.billing_group,
        OverrideSettings=_settings(thing.overrides),
    )


def _certificate(certificate: CertificatePlan) -> dict[str, Any]:
    return _spoken_of(
        LogicalId=certificate.logical_id,
        CertificateId=certificate.certificate_id,
        CertificateSigningRequest=certificate.signing_request,
        CertificatePem=certificate.pem,
        CACertificatePem=certificate.ca_pem,
        Status=certificate.status,
        ThingPrincipalType=certificate.thing_principal_type,
        OverrideSettings=_settings(certificate.overrides),
    )


def _policy(policy: PolicyPlan) -> dict[str, Any]:
    return _spoken_of(
        LogicalId=policy.logical_id,
        PolicyName=policy.name,
        PolicyDocument=None if policy.document is None else json.loads(policy.document),
    )


def _settings(overrides: Overrides) -> dict[str, str] | None:
    return {name: override.value for name, override in overrides.items()} or None


def _spoken_of(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
