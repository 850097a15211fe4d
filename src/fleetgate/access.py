"""Who is at the door, and what they may do: a certificate becomes a Principal, a Principal's policies become Rights."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeAlias

from fleetgate.database.port import Tx
from fleetgate.errors import AccessDenied
from fleetgate.names import Realm
from fleetgate.pki import certificate as x509
from fleetgate.policy import variables
from fleetgate.policy.document import Document, parse
from fleetgate.policy.evaluate import Named, Rights, Verdict
from fleetgate.policy.variables import Context
from fleetgate.registry import attachments, certificates, claims, policies, things
from fleetgate.registry.certificates import Certificate, Mode, Status


@dataclass(frozen=True, slots=True)
class CertificatePrincipal:
    """A device certificate that is in force: its holder has proven the key, and a realm knows it."""

    realm: Realm
    certificate: Certificate

    @property
    def fingerprint(self) -> str:
        return self.certificate.fingerprint

    @property
    def identifier(self) -> str:
        """As lifecycle events and rules name it (AWS: `principalIdentifier`)."""
        return self.certificate.fingerprint

    @property
    def actor(self) -> str:
        """As the audit trail names it; no two principals of a realm share one, whatever their identifiers are."""
        return f"cert/{self.certificate.fingerprint}"

    @property
    def ends_at(self) -> int | None:
        """When it has to leave, in milliseconds UTC: a connection does not outlive its certificate."""
        return self.certificate.not_after + 1


@dataclass(frozen=True, slots=True)
class SignedPrincipal:
    """Somebody who signed a request with an access key (SigV4): an operator, an application, a role's session."""

    realm: Realm
    identifier: str
    actor: str
    """An ARN."""
    policies: tuple[Named, ...]
    """All that its rights rest on."""
    key_id: str = ""
    ends_at: int | None = None
    """When the connection has to end, in milliseconds UTC."""
    bounds: tuple[Named, ...] | None = None
    """What it may do at most, where a session has policies of its own."""
    facts: Mapping[str, variables.Values] = field(default_factory=dict)
    """Condition keys that are known of it."""
    refresh_at: int | None = None
    """When key and policies are to be looked at again, in milliseconds UTC."""
    presented: object = field(default=None, repr=False, compare=False)
    """What it signed with, to look again."""


@dataclass(frozen=True, slots=True)
class AuthorizerPrincipal:
    """A device that a custom authorizer let in, with the rights that its function answered."""

    realm: Realm
    authorizer: str
    identifier: str
    """The function's `principalId`."""
    policies: tuple[Named, ...]
    refresh_at: int | None = None
    """When the function is to be asked again, in milliseconds UTC."""
    ends_at: int | None = None
    """When the connection has to end, in milliseconds UTC."""
    presented: object = field(default=None, repr=False, compare=False)
    """What it brought with it, for the function to be asked with again: secrets."""

    @property
    def actor(self) -> str:
        return f"authorizer/{self.authorizer}/{self.identifier}"


Principal: TypeAlias = CertificatePrincipal | SignedPrincipal | AuthorizerPrincipal
"""Who is speaking."""


def identify(tx: Tx, fingerprint: str, now: int, home: Realm | None = None) -> CertificatePrincipal:
    """The principal behind a certificate whose key was just proven; *home* is the account and region that the
    connection's server name tells, if any.

    Raises AccessDenied, with the reason for the audit trail; the peer is told nothing.
    """
    known = certificates.find_everywhere(tx, fingerprint)
    if not known:
        raise AccessDenied(f"Certificate {fingerprint} is not registered.")
    if home is not None:
        known = [each for each in known if each.realm == home]
        if not known:
            raise AccessDenied(f"Certificate {fingerprint} is not registered in {home}, which the server name tells.")
    # Anybody who has seen a certificate can register it without its CA in an account of their own, and may not cut its
    # device off with that: DEFAULT mode, which asks for the CA's key, comes first, and then whoever came first.
    first = min(known, key=lambda each: (each.mode is not Mode.DEFAULT, each.created_at, str(each.realm)))
    return _in_force(first, now)


def identify_again(tx: Tx, principal: CertificatePrincipal, now: int) -> CertificatePrincipal:
    """*principal* as it stands now; another realm's registration of its certificate changes nothing for it.

    Raises AccessDenied when it is in force no more.
    """
    found = certificates.find(tx, principal.realm, principal.fingerprint)
    if found is None:
        raise AccessDenied(f"Certificate {principal.fingerprint} is not registered any more.")
    return _in_force(found, now)


def _in_force(found: Certificate, now: int) -> CertificatePrincipal:
    if found.status is not Status.ACTIVE:
        raise AccessDenied(f"Certificate {found.fingerprint} is {found.status}, not ACTIVE.")
    if now > found.not_after:
        raise AccessDenied(f"Certificate {found.fingerprint} has expired.")
    if now < found.not_before:
        raise AccessDenied(f"Certificate {found.fingerprint} is not valid yet.")
    return CertificatePrincipal(found.realm, found)


def is_device(tx: Tx, principal: CertificatePrincipal) -> bool:
    """Whether the certificate is one device's own: it has a thing, and is no claim, which many devices share."""
    if claims.find(tx, principal.realm, principal.fingerprint) is not None:
        return False
    return bool(attachments.things_of(tx, principal.realm, principal.fingerprint))


@dataclass(frozen=True, slots=True)
class Grounds:
    """What a connection's rights rest on: the policies that hold for it and what its variables stand for."""

    policies: tuple[Named, ...]
    context: Context
    thing: str | None
    """The thing that the connection speaks for."""
    bounds: tuple[Named, ...] | None = None
    """What it may do at most; None where that is all that the policies say."""

    def rights(self, more: Context | None = None) -> Rights:
        context = self.context if more is None else more
        if self.bounds is None:
            return Rights(self.policies, context)
        return Bounded(self.policies, context, Rights(self.bounds, context))


class Bounded(Rights):
    """Rights within others: both have to allow (IAM: session policies)."""

    __slots__ = ("_bounds",)

    def __init__(self, policies: Iterable[Named], context: Context, bounds: Rights) -> None:
        super().__init__(policies, context)
        self._bounds = bounds

    def decide(self, action: str, resource: str) -> Verdict:
        verdict = super().decide(action, resource)
        return self._bounds.decide(action, resource) if verdict else verdict


def grounds(tx: Tx, principal: Principal, client_id: str | None, address: str) -> Grounds:
    """The one place that says what a principal's rights rest on: who has no certificate brought its policies along.

    For a certificate they are its policies, and, where the connection may speak for a thing, those of that thing's
    groups; a certificate of CreateProvisioningClaim has one that nobody attached and nobody can alter. It may speak for
    the thing that the client id names, if the certificate is attached to it, or for the certificate's exclusive thing
    under any client id (AWS: thing policy variables), the latter alone where there is no client id.
    """
    if not isinstance(principal, CertificatePrincipal):
        context = variables.connection(
            client_id=client_id,
            source_ip=address or None,
            thing=variables.Thing(client_id or ""),
            more=principal.facts if isinstance(principal, SignedPrincipal) else None,
        )
        bounds = principal.bounds if isinstance(principal, SignedPrincipal) else None
        return Grounds(principal.policies, context, None, bounds)
    thing = _speaks_for(tx, principal, client_id)
    name = thing.name if thing.attached else None
    found = attachments.policies_for(tx, principal.realm, principal.fingerprint, name)
    held = tuple(Named(policy, str(version), _parsed(document)) for policy, version, document in found)
    if not principal.certificate.listed:
        held += _of_claim(tx, principal)
    needs_certificate = any("iot:certificate." in document.lower() for _, _, document in found)
    context = variables.connection(
        client_id=client_id,
        source_ip=address or None,
        thing=thing,
        certificate=_facts(principal.certificate.pem) if needs_certificate else None,
    )
    return Grounds(held, context, name)


def _speaks_for(tx: Tx, principal: CertificatePrincipal, client_id: str | None) -> variables.Thing:
    chosen = attachments.spoken_for(tx, principal.realm, principal.fingerprint, client_id or "")
    if chosen is None:
        # Known only as not attached, so that a condition on IsAttached has something to look at.
        return variables.Thing(client_id or "")
    thing = things.get(tx, principal.realm, chosen.thing_name)
    return variables.Thing(thing.name, thing.type_name, thing.attributes, attached=True, exclusive=chosen.exclusive)


def _of_claim(tx: Tx, principal: CertificatePrincipal) -> tuple[Named, ...]:
    """AWS does not say what such a certificate may do: here, ask for a certificate and provision by its template."""
    claim = claims.find(tx, principal.realm, principal.fingerprint)
    if claim is None or claim.template_name is None:
        return ()
    document = _provisioning(principal.realm, claim.template_name)
    return (Named(f"CreateProvisioningClaim({claim.template_name})", "1", document),)


@lru_cache(maxsize=256)
def _provisioning(realm: Realm, template: str) -> Document:
    topics = [
        "$aws/certificates/create/*",
        "$aws/certificates/create-from-csr/*",
        f"$aws/provisioning-templates/{template}/provision/*",
    ]
    statements = [
        (["iot:Connect"], [realm.arn("client", "*")]),
        (["iot:Publish", "iot:Receive"], [realm.arn("topic", topic) for topic in topics]),
        (["iot:Subscribe"], [realm.arn("topicfilter", topic) for topic in topics]),
    ]
    allow = [{"Effect": "Allow", "Action": actions, "Resource": arns} for actions, arns in statements]
    return parse(json.dumps({"Version": "2012-10-17", "Statement": allow}))


def named(tx: Tx, realm: Realm, wanted: Iterable[str]) -> tuple[Named, ...]:
    """The default versions of the policies of these names. Raises NotFound."""
    versions = [policies.get_version(tx, realm, name) for name in wanted]
    return tuple(Named(each.policy_name, str(each.version), _parsed(each.document)) for each in versions)


@lru_cache(maxsize=4096)
def _parsed(document: str) -> Document:
    """Policies are shared by many devices; a stored document was checked when it was stored."""
    return parse(document)


@lru_cache(maxsize=1024)
def _facts(pem: str) -> variables.Certificate:
    certificate = x509.load(pem)
    subject, issuer = x509.attributes(certificate)
    return variables.Certificate(f"{certificate.serial_number:x}", subject, issuer)
