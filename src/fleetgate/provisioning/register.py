"""RegisterThing by a trusted caller: a template that comes with the request, and one device's parameters.

No claim, no ownership token and no hook: the caller's own rights are what counts. The same serves each line of a bulk
file (`bulk`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fleetgate import authority
from fleetgate.authority import Issued
from fleetgate.database.port import Tx
from fleetgate.errors import InvalidRequest, MalformedPolicy, all_of
from fleetgate.names import Act
from fleetgate.pki import csr
from fleetgate.pki.identity import Identity
from fleetgate.policy import document as policies
from fleetgate.provisioning import own_certificate
from fleetgate.provisioning.apply import apply
from fleetgate.registry import certificates
from fleetgate.registry.certificates import Certificate, Status
from fleetgate.runtime import Runtime
from fleetgate.template.document import Document, Kind, parse
from fleetgate.template.plan import CertificatePlan, Plan
from fleetgate.template.render import fixed_policies, render


@dataclass(frozen=True, slots=True)
class Registration:
    """What was registered."""

    certificate_pem: str | None
    """None where the template has no certificate."""
    arns: Mapping[str, str]
    """Logical id in the template -> ARN."""

    def target(self, act: Act) -> str:
        """The ARN that an audit entry is about: the thing's, else the first one's."""
        things = [arn for arn in self.arns.values() if ":thing/" in arn]
        return next(iter([*things, *self.arns.values()]), act.realm.arn("thing", ""))


Settle = Callable[[Tx], Registration]
"""The one transaction. Raises what the registry raises, and ConflictingUpdate where the template says FAIL."""


def read_template(body: str) -> Document:
    """Raises InvalidRequest with every problem, also of policies that are written out in it."""
    document = parse(body, Kind.REGISTRATION)
    problems = []
    for path, text in fixed_policies(document):
        try:
            policies.parse(text)
        except MalformedPolicy as error:
            problems.append(f"{path}: {error.message}")
    if problems:
        raise InvalidRequest(all_of(problems))
    if document.policies and document.certificate is None:
        raise InvalidRequest("Policies are attached to a certificate, and the template has none; add one.")
    return document


async def prepare(runtime: Runtime, act: Act, document: Document, parameters: Mapping[str, Any]) -> Settle:
    """Render the template, and have the certificate signed where there is a signing request (intent first).

    Raises InvalidParameters, InvalidSigningRequest, CertificateInvalid, InvalidRequest.
    """
    plan = render(document, parameters, {})
    wanted = plan.certificate
    if wanted is None:
        return lambda tx: _settle(tx, act, plan, None)
    if wanted.signing_request is not None:
        verified = csr.parse(wanted.signing_request)
        issued = await authority.issue(runtime, act, verified.public_key, csr=verified)
        return lambda tx: _settle(tx, act, plan, _issued(tx, act, issued, wanted))
    if wanted.pem is not None:
        identity = Identity.read(wanted.pem)
        return lambda tx: _settle(tx, act, plan, _brought(tx, act, identity, wanted))
    return lambda tx: _settle(tx, act, plan, certificates.get(tx, act.realm, str(wanted.certificate_id)))


def _issued(tx: Tx, act: Act, issued: Issued, wanted: CertificatePlan) -> Certificate:
    return authority.record(tx, act, issued, Status(wanted.status))


def _brought(tx: Tx, act: Act, identity: Identity, wanted: CertificatePlan) -> Certificate:
    """A certificate that this realm knows already is taken as it is: to register a device again is no mistake."""
    known = certificates.find(tx, act.realm, identity.fingerprint)
    return known or own_certificate.register(tx, act, identity, Status(wanted.status), wanted.ca_pem)


def _settle(tx: Tx, act: Act, plan: Plan, certificate: Certificate | None) -> Registration:
    outcome = apply(tx, act, plan, certificate, lambda _: None)
    return Registration(certificate.pem if certificate else None, outcome.arns)
