"""From a template and one device's parameters to a Plan.

What a `Ref` (or `${}` in `Fn::Sub`) finds, first match first:

1. a pseudo parameter the caller gave (*builtins*), declared or not;
2. a declared parameter's value from the request; names under `AWS::` are taken from a request only where the template
   comes with it (REGISTRATION), so that no device can pass off another certificate's id or subject as its own;
3. the parameter's Default;
4. a resource's logical id, unless a parameter has the same name: the thing's name, the certificate's id (where the
   template takes the certificate by id), the policy's name. AWS does not document values for these (own choice).

Anything else fails with AWS's text, `Cannot resolve reference value: <name>`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fleetgate import names
from fleetgate.errors import InvalidParameters, InvalidRequest
from fleetgate.template.document import Document, Kind
from fleetgate.template.expressions import Expression, Members, Scope, list_of, text_of
from fleetgate.template.plan import CertificatePlan, Plan, PolicyPlan, ThingPlan
from fleetgate.template.problems import Problems, member, shown
from fleetgate.template.pseudo_parameters import CERTIFICATE_ID, PREFIX, why_missing
from fleetgate.template.resources import (
    PRINCIPAL_TYPES,
    STATUSES,
    CertificateResource,
    PolicyResource,
    Resource,
    ThingResource,
    choose,
    property_path,
)
from fleetgate.template.source import is_text, kind_of, read_object

_NAME_DIGITS: Final = 40


def render(document: Document, parameters: Mapping[str, Any], builtins: Mapping[str, str]) -> Plan:
    """The plan for one device.

    *parameters* is what the request sent, untrusted: every value must be a string, undeclared ones are not used.
    *builtins* are the pseudo parameters this request can answer for (`AWS::IoT::Certificate::Id`, in JITP the fields
    the certificate's subject has). Raises InvalidParameters with every problem. The number of attributes, groups and
    policies, and whether what is named exists, are the registry's business.
    """
    problems = Problems()
    _check_texts(parameters, "parameters", problems)
    _check_texts(builtins, "", problems)
    problems.throw(InvalidParameters)
    scope = _scope(document, parameters, builtins, problems)
    only = None if document.kind == Kind.REGISTRATION else builtins.get(CERTIFICATE_ID)
    plan = _Rendering(document, scope, only).plan()
    problems.throw(InvalidParameters)
    return plan


def policy_name(document: str) -> str:
    """The name of a policy that a template writes out without naming it: 40 upper-case hexadecimal digits.

    They are the first 160 bits of SHA-256 over the document's canonical JSON (UTF-8, no white space, members sorted by
    name), so the same policy gets the same name in every template and however it is laid out. AWS's own names have this
    form; how AWS makes them is not known. Raises ValueError when *document* is not JSON.
    """
    canonical = json.dumps(json.loads(document), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:_NAME_DIGITS].upper()


def fixed_policies(document: Document) -> tuple[tuple[str, str], ...]:
    """(path, JSON text) of each inline policy that is the same for every device, to be judged before any comes."""
    found = []
    for policy in document.policies:
        if policy.document is not None and not any(policy.document.references()):
            scope = Scope({}, document.mappings, Problems())
            text = _policy_text(policy.document, property_path(policy.logical_id, "PolicyDocument"), scope)
            if text is not None:
                found.append((property_path(policy.logical_id, "PolicyDocument"), text))
    return tuple(found)


def _check_texts(given: Mapping[Any, Any], path: str, problems: Problems) -> None:
    """JSON and CBOR may bring anything, a certificate's subject any character."""
    for name, value in given.items():
        if not isinstance(name, str):
            problems.add(path, f"A name must be a string, not {shown(name)}.")
        elif not isinstance(value, str):
            problems.add(member(path, name), f"The value must be a string, not {kind_of(value)}.")
        elif not is_text(value):
            problems.add(member(path, name), "Holds U+0000 or half of a surrogate pair, which is not text.")


def _scope(document: Document, parameters: Mapping[str, str], builtins: Mapping[str, str], problems: Problems) -> Scope:
    defaults = {name: default for name, default in document.parameters.items() if default is not None}
    theirs = document.kind == Kind.REGISTRATION
    sent = {
        name: value
        for name, value in parameters.items()
        if name in document.parameters and (theirs or not name.startswith(PREFIX))
    }
    return Scope(
        {**defaults, **sent, **builtins},
        document.mappings,
        problems,
        explain=why_missing if document.kind == Kind.JITP else lambda name: "",
        trusted=None if theirs else frozenset(defaults.keys() - sent.keys() - builtins.keys()),
    )


def _policy_text(expression: Expression, path: str, scope: Scope) -> str | None:
    """The JSON text of a policy document, written as an object or as text; None when a problem was told."""
    scope.guarded = path
    try:
        if isinstance(expression, Members):
            value = expression.evaluate(scope)
            return None if scope.problems else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
        text = text_of(expression, scope, path)
        return None if text is None or read_object(text, path, scope.problems) is None else text
    finally:
        scope.guarded = None


@dataclass(frozen=True, slots=True)
class _Rendering:
    """One pass: names first, because values may refer to them. Where a problem was told an empty text stands in."""

    document: Document
    scope: Scope
    provisioned: str | None
    """The id of the only certificate the template may name, when there is such a one."""
    named: dict[str, str] = field(default_factory=dict)
    policies: dict[str, str] = field(default_factory=dict)

    def plan(self) -> Plan:
        document = self.document
        if document.kind == Kind.JITP:
            for name in document.parameters:
                if name not in self.scope.values:
                    self.scope.miss(name)
        by_id = {resource.logical_id: resource for resource in document.resources}
        for logical_id in document.naming_order:
            self._name(by_id[logical_id])
        return Plan(
            self._thing(document.thing) if document.thing else None,
            self._certificate(document.certificate) if document.certificate else None,
            tuple(self._policy(policy) for policy in document.policies),
            {
                name: text_of(value, self.scope, member("DeviceConfiguration", name)) or ""
                for name, value in document.device_configuration.items()
            },
        )

    def _name(self, resource: Resource) -> None:
        logical_id = resource.logical_id
        name = self._name_of(resource)
        if name is not None:
            self.named[logical_id] = name
        if logical_id in self.document.parameters:
            return
        if name is not None:
            self.scope.values.setdefault(logical_id, name)
        elif resource.naming:
            self.scope.failed.add(logical_id)

    def _name_of(self, resource: Resource) -> str | None:
        logical_id = resource.logical_id
        if isinstance(resource, ThingResource):
            return self._checked("thing", resource.name, property_path(logical_id, "ThingName"))
        if isinstance(resource, CertificateResource):
            return self._certificate_id(resource)
        if resource.name is not None:
            return self._checked("policy", resource.name, property_path(logical_id, "PolicyName"))
        assert resource.document is not None
        text = _policy_text(resource.document, property_path(logical_id, "PolicyDocument"), self.scope)
        if text is None:
            return None
        self.policies[logical_id] = text
        return policy_name(text)

    def _certificate_id(self, resource: CertificateResource) -> str | None:
        if resource.certificate_id is None:
            return None
        path = property_path(resource.logical_id, "CertificateId")
        text = text_of(resource.certificate_id, self.scope, path)
        if text is None:
            return None
        try:
            fingerprint = names.fingerprint(text)
        except InvalidRequest:
            self.scope.problems.add(path, f"A certificate id is 64 hexadecimal digits, not {shown(text)}.")
            return None
        if self.provisioned not in {None, fingerprint}:
            self.scope.problems.add(path, f"Must be the certificate being provisioned: Ref {CERTIFICATE_ID}.")
        return fingerprint

    def _checked(self, kind: str, expression: Expression, path: str) -> str | None:
        text = text_of(expression, self.scope, path)
        if text is not None:
            self.scope.problems.check_name(kind, text, path)
        return text

    def _property(self, kind: str, expression: Expression | None, logical_id: str, name: str) -> str | None:
        return None if expression is None else self._checked(kind, expression, property_path(logical_id, name))

    def _thing(self, thing: ThingResource) -> ThingPlan:
        path = property_path(thing.logical_id, "AttributePayload")
        attributes = thing.attributes
        return ThingPlan(
            thing.logical_id,
            self.named.get(thing.logical_id, ""),
            None
            if attributes is None
            else {
                name: self._checked("attribute_value", value, member(path, name)) or ""
                for name, value in attributes.items()
            },
            self._property("thing_type", thing.type_name, thing.logical_id, "ThingTypeName"),
            self._groups(thing),
            self._property("billing_group", thing.billing_group, thing.logical_id, "BillingGroup"),
            thing.overrides,
        )

    def _groups(self, thing: ThingResource) -> tuple[str, ...] | None:
        if thing.groups is None:
            return None
        path = property_path(thing.logical_id, "ThingGroups")
        groups = list_of(thing.groups, self.scope, path) or ()
        for index, group in enumerate(groups):
            self.scope.problems.check_name("thing_group", group, f"{path}[{index}]")
        return tuple(dict.fromkeys(groups))

    def _certificate(self, certificate: CertificateResource) -> CertificatePlan:
        return CertificatePlan(
            certificate.logical_id,
            self.named.get(certificate.logical_id),
            self._pem(certificate.signing_request, certificate.logical_id, "CertificateSigningRequest"),
            self._pem(certificate.pem, certificate.logical_id, "CertificatePem"),
            self._pem(certificate.ca_pem, certificate.logical_id, "CACertificatePem"),
            self._chosen(certificate.status, STATUSES, property_path(certificate.logical_id, "Status")),
            self._chosen(
                certificate.thing_principal_type,
                PRINCIPAL_TYPES,
                property_path(certificate.logical_id, "ThingPrincipalType"),
            ),
            certificate.overrides,
        )

    def _pem(self, expression: Expression | None, logical_id: str, name: str) -> str | None:
        if expression is None:
            return None
        path = property_path(logical_id, name)
        text = text_of(expression, self.scope, path)
        if text == "":
            self.scope.problems.add(path, "Is empty; send the PEM text.")
        return text

    def _chosen(self, expression: Expression, choices: tuple[str, ...], path: str) -> str:
        text = text_of(expression, self.scope, path)
        return "" if text is None else choose(text, choices, path, self.scope.problems)

    def _policy(self, policy: PolicyResource) -> PolicyPlan:
        return PolicyPlan(
            policy.logical_id, self.named.get(policy.logical_id, ""), self.policies.get(policy.logical_id)
        )
