"""Just-in-time registration and provisioning (AWS: JITR and JITP): a certificate that nobody knows vouches for itself.

Its direct issuer is a CA that a user registered with auto registration. The connection that presents it is dropped
without a word; what came of it is there for the next one:

    no template     PENDING_ACTIVATION, and an event at every presentation, until somebody activates it
    a template      certificate, thing, policies and attachments in one transaction, or nothing of it

A certificate that no such CA signed leaves no trace in the registry.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import structlog
from cryptography import x509

from fleetgate import endpoints
from fleetgate.database.port import Tx
from fleetgate.errors import AccessDenied, CertificateInvalid, InvalidParameters, Refused, Throttled
from fleetgate.names import Act, Realm
from fleetgate.pki import certificate as x509s
from fleetgate.pki import chain, moments, subject
from fleetgate.pki.der import Malformed
from fleetgate.pki.identity import Identity
from fleetgate.pki.issuer import examine
from fleetgate.provisioning import rebind
from fleetgate.provisioning.apply import apply
from fleetgate.registry import audit, authorities, certificates, events, outbox, templates
from fleetgate.registry.authorities import NO_CONFIG, Authority, RegistrationConfig
from fleetgate.registry.certificates import Certificate, Mode, Origin, Status
from fleetgate.registry.templates import Reprovisioning
from fleetgate.runtime import Refusal, Runtime
from fleetgate.template.document import Kind, parse
from fleetgate.template.plan import Plan
from fleetgate.template.pseudo_parameters import CERTIFICATE_ID, SUBJECT_FIELDS
from fleetgate.template.render import render

log = structlog.get_logger(__name__)

REGISTER: Final = "RegisterCertificate"
"""In the audit trail: the certificate was entered, or could not be."""
PROVISION: Final = "ProvisionDevice"
"""In the audit trail: the template of its CA was carried out, or could not be. AWS's logs call it so."""
# Signatures are checked on threads: a stranger's certificates may cost the event loop nothing, and the rest little.
_AT_ONCE: Final = 4
_WINDOW: Final = 1000


@dataclass(frozen=True, slots=True)
class _Study:
    """What the certificate itself says."""

    signers: tuple[Authority, ...]
    """The registered CAs that signed it."""
    identity: Identity | None
    """None where it may not be registered, because of *problem*."""
    problem: str


@dataclass(frozen=True, slots=True)
class _Recipe:
    """The template of a CA, ready for one device."""

    name: str
    """Empty for a body in the CA's own registration config."""
    plan: Plan
    rule: Reprovisioning


_Found: TypeAlias = tuple[Certificate | None, Sequence[Authority], Realm | None]


class JustInTime:
    """`meet` for each connection whose certificate may not come in. Knows how often each CA's came lately."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._came: dict[tuple[Realm, str], tuple[int, int]] = {}

    async def meet(self, leaf: x509.Certificate, server_name: str | None) -> bool:
        """Register, provision, or tell of *leaf*, whose key was just proven. *server_name* is the connection's SNI, in
        small letters.

        False where this is none of its business: no registered CA signed it, or it is known and past activation. What
        goes wrong with a certificate that is its business stands in the audit trail of the CA's account.
        """
        fingerprint = x509s.fingerprint(leaf)
        known, candidates, home = await self._look(leaf, fingerprint, server_name)
        if not candidates:
            return False
        async with self._places:
            study = await asyncio.to_thread(_study, leaf, candidates)
        if not study.signers:
            return False
        try:
            authority = self._choose(study.signers, known, server_name, home)
        except Refused as error:
            now = self._runtime.clock()
            for each in {each.realm: each for each in study.signers}.values():
                own = _unready(each, now)  # one account is told nothing of another's CA
                self._refuse(each.realm, fingerprint, REGISTER, AccessDenied(own) if own else error)
            return True
        action = REGISTER if authority.registration_config == NO_CONFIG else PROVISION
        act = self._runtime.act(authority.realm, f"cert/{fingerprint}")
        try:
            self._pace(authority, act.now)
            await self._take_in(act, authority, _usable(study, act.now))
        except Refused as error:
            self._refuse(authority.realm, fingerprint, action, error, act)
        return True

    async def _look(self, leaf: x509.Certificate, fingerprint: str, server_name: str | None) -> _Found:
        """The certificate where it waits for activation, the CAs that call themselves as its issuer is called, and what
        the server name tells: then only that account and region counts.
        """
        try:
            issuer = subject.canonical(examine(leaf).issuer)
        except (CertificateInvalid, Malformed):
            return None, (), None

        def look(tx: Tx) -> _Found:
            home = endpoints.realm(tx, self._runtime.config.gateway, server_name)
            everywhere = [each for each in certificates.find_everywhere(tx, fingerprint) if home in {None, each.realm}]
            if any(each.status != Status.PENDING_ACTIVATION or each.ca_fingerprint is None for each in everywhere):
                return None, (), home
            candidates = authorities.issuers_everywhere(tx, issuer, sni_only=True)
            homes = {home} if home else {each.realm for each in everywhere}
            if homes:
                candidates = [each for each in candidates if each.realm in homes]
            return next(iter(everywhere), None), candidates, home

        return await self._runtime.database.glance(look)

    def _choose(
        self, signers: Sequence[Authority], known: Certificate | None, server_name: str | None, home: Realm | None
    ) -> Authority:
        """The one CA whose account gets the device. Raises AccessDenied where there is none, or no one."""
        ready = [each for each in signers if not _unready(each, self._runtime.clock())]
        if not ready:
            raise AccessDenied(_unready(signers[0], self._runtime.clock()))
        # Who registered a CA in DEFAULT mode has proven its key; nobody else can draw its devices away, also while that
        # CA registers nobody.
        proven = [each for each in ready if each.mode == Mode.DEFAULT]
        owners = {each.realm for each in signers if each.mode == Mode.DEFAULT}
        if home is None and owners and not proven:
            first, ready = ready[0], [each for each in ready if each.realm in owners]
            if not ready:
                raise AccessDenied(
                    f"CA certificate {first.fingerprint} is in SNI_ONLY mode, its key was proven elsewhere, and the "
                    "server name tells no account."
                )
        named = home is not None or endpoints.is_shared(self._runtime.config.gateway, server_name or "")
        if not proven and not named:
            raise AccessDenied(
                f"CA certificate {ready[0].fingerprint} is in SNI_ONLY mode, and the connection "
                + (f"names the server {server_name}, which is not this one." if server_name else "names no server.")
            )
        chosen = proven or ready
        if len({each.realm for each in chosen}) > 1:
            raise AccessDenied(
                f"CA certificate {chosen[0].fingerprint} registers devices in several accounts or regions, and the "
                "server name tells none of them."
            )
        return next((each for each in chosen if known and each.fingerprint == known.ca_fingerprint), chosen[0])

    def _pace(self, authority: Authority, now: int) -> None:
        """Raises Throttled at more presentations of one CA's certificates in a second than are taken."""
        key, most = (authority.realm, authority.fingerprint), self._runtime.config.gateway.just_in_time_rate
        started, count = self._came.get(key, (now, 0))
        if not 0 <= now - started < _WINDOW:
            started, count = now, 0
        if count >= most:
            raise Throttled(
                f"More than {most} certificates of CA {authority.fingerprint} were presented within a second."
            )
        self._came[key] = (started, count + 1)

    async def _take_in(self, act: Act, authority: Authority, identity: Identity) -> None:
        recipe = None
        if authority.registration_config != NO_CONFIG:
            found = await self._runtime.database.glance(lambda tx: _body(tx, act, authority.registration_config))
            recipe = _recipe(*found, identity)
        await self._runtime.write(lambda tx: _settle(tx, act, authority, identity, recipe))

    def _refuse(self, realm: Realm, fingerprint: str, action: str, error: Refused, act: Act | None = None) -> None:
        act = act or self._runtime.act(realm, f"cert/{fingerprint}")
        self._runtime.refused(Refusal(act, action, realm.arn("cert", fingerprint), error.reason))
        log.info("refused", action=action, reason=error.reason, realm=str(realm), request_id=act.request_id)


def registered_event(entry: outbox.Entry, presented: events.CertificatePresented) -> tuple[str, dict[str, Any]]:
    """AWS's event of an automatic registration: topic and JSON object."""
    return f"$aws/events/certificates/registered/{presented.ca_fingerprint}", {
        "certificateId": presented.fingerprint,
        "caCertificateId": presented.ca_fingerprint,
        "timestamp": entry.created_at,
        "certificateStatus": str(Status.PENDING_ACTIVATION),
        "awsAccountId": entry.realm.account,
        "certificateRegistrationTimestamp": str(presented.registered_at),
    }


# --- whose is it? -----------------------------------------------------------------------------------------------------


def _study(leaf: x509.Certificate, candidates: Sequence[Authority]) -> _Study:
    signed = {
        each.fingerprint: chain.issued_by(leaf, x509s.load(each.pem))
        for each in {each.fingerprint: each for each in candidates}.values()
    }
    signers = tuple(each for each in candidates if signed[each.fingerprint])
    if not signers:
        return _Study((), None, "")
    try:
        return _Study(signers, Identity.read(x509s.pem(leaf)), "")
    except CertificateInvalid as error:
        return _Study(signers, None, error.reason)


def _unready(authority: Authority, now: int) -> str:
    """Why *authority* registers nobody; empty where it does."""
    called = f"CA certificate {authority.fingerprint}"
    if authority.status != authorities.Status.ACTIVE:
        return f"{called} is {authority.status}, not ACTIVE."
    if not authority.auto_registration:
        return f"{called} has no auto registration: it was not allowed, or it was disabled."
    if not authority.not_before <= now <= authority.not_after:
        return f"{called} is in force {_term(authority.not_before, authority.not_after)}."
    return ""


def _usable(study: _Study, now: int) -> Identity:
    identity = study.identity
    if identity is None:
        raise CertificateInvalid(study.problem)
    if not identity.not_before <= now <= identity.not_after:
        raise CertificateInvalid(
            f"Certificate {identity.fingerprint} is in force {_term(identity.not_before, identity.not_after)}."
        )
    return identity


def _term(starts: int, ends: int) -> str:
    return f"from {moments.text_of(starts)} to {moments.text_of(ends)}"


# --- what becomes of it? ----------------------------------------------------------------------------------------------


def _body(tx: Tx, act: Act, config: RegistrationConfig) -> tuple[str, str, Reprovisioning]:
    """Name, body and rule of a CA's template. Raises AccessDenied, NotFound."""
    if config.template_name is None:
        return "", config.template_body or "", Reprovisioning.ALLOW
    template = templates.get(tx, act.realm, config.template_name)
    if not template.enabled:
        raise AccessDenied(f"Provisioning template {template.name} is disabled.")
    version = templates.get_version(tx, act.realm, template.name, template.default_version)
    # The CA vouches for the subject that the thing's name comes from, so that by default, as with AWS, a device that
    # its CA gave another certificate keeps its thing.
    return template.name, version.body, template.reprovisioning or Reprovisioning.ALLOW


def _recipe(name: str, body: str, rule: Reprovisioning, identity: Identity) -> _Recipe:
    """Raises InvalidParameters with every field that the subject lacks."""
    plan = render(parse(body, Kind.JITP), {}, subject_fields(identity) | {CERTIFICATE_ID: identity.fingerprint})
    if plan.certificate is None:
        raise InvalidParameters("The template has no AWS::IoT::Certificate, so that nothing would activate it.")
    return _Recipe(name, plan, rule)


def subject_fields(identity: Identity) -> dict[str, str]:
    """The pseudo parameters that the certificate's subject answers for; of several values the first."""
    values: dict[str, str] = {}
    for attribute in subject.read(examine(identity.certificate).subject):
        values.setdefault(attribute.oid, attribute.value)
    return {name: values[field.oid] for name, field in SUBJECT_FIELDS.items() if values.get(field.oid)}


def _settle(tx: Tx, act: Act, authority: Authority, identity: Identity, recipe: _Recipe | None) -> None:
    """Everything of one presentation. *authority* and the certificate may have changed since they were looked up."""
    current = authorities.get(tx, act.realm, authority.fingerprint)
    if (problem := _unready(current, act.now)) or current.registration_config != authority.registration_config:
        raise AccessDenied(problem or f"CA certificate {authority.fingerprint} was just given another template.")
    certificate = certificates.find(tx, act.realm, identity.fingerprint) or _enter(tx, act, authority, identity)
    if certificate.status != Status.PENDING_ACTIVATION:
        return
    if recipe is None:
        presented = events.CertificatePresented(identity.fingerprint, authority.fingerprint, certificate.created_at)
        outbox.add(tx, act, presented)
        return
    outcome = apply(
        tx,
        act,
        recipe.plan,
        certificate,
        lambda thing: rebind.settle(tx, act, thing, certificate, recipe.rule, approved=False),
    )
    thing = outcome.thing_name
    target = act.realm.arn("thing", thing) if thing else act.realm.arn("cert", identity.fingerprint)
    details = {
        "template": recipe.name,
        "certificateId": identity.fingerprint,
        "caCertificateId": authority.fingerprint,
    }
    audit.add(tx, act, PROVISION, target, "ok", details=details)
    outbox.add(tx, act, events.DeviceProvisioned(recipe.name, thing or "", identity.fingerprint, ""))


def _enter(tx: Tx, act: Act, authority: Authority, identity: Identity) -> Certificate:
    details = {"caCertificateId": authority.fingerprint, "status": str(Status.PENDING_ACTIVATION)}
    audit.add(tx, act, REGISTER, act.realm.arn("cert", identity.fingerprint), "ok", details=details)
    return certificates.create(
        tx,
        act,
        identity.fingerprint,
        identity.pem,
        Status.PENDING_ACTIVATION,
        public_key_fingerprint=identity.public_key_fingerprint,
        not_before=identity.not_before,
        not_after=identity.not_after,
        origin=Origin.JUST_IN_TIME,
        mode=authority.mode,
        ca_fingerprint=authority.fingerprint,
    )
