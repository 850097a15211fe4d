"""Provisioning by claim (AWS: CreateKeysAndCertificate, CreateCertificateFromCsr and RegisterThing over MQTT).

A device connects with a certificate that many devices share, asks for one of its own, and gets an ownership token with
it; the token proves the follow-up, in which a template turns the certificate into a thing with policies.

    create / create-from-csr    certificate PENDING_ACTIVATION + token, both for an hour
    provision                   read -> ask the hook -> render -> one transaction

A device that already has a thing asks the same way over its own certificate and gets the next one: rotation.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any, Final

from fleetgate import authority
from fleetgate.access import CertificatePrincipal, Principal, identify_again
from fleetgate.database.port import Tx
from fleetgate.errors import (
    AccessDenied,
    FunctionFailed,
    InvalidOwnershipToken,
    InvalidParameters,
    InvalidSigningRequest,
    NotFound,
    Throttled,
)
from fleetgate.names import Act
from fleetgate.pki import csr, keys
from fleetgate.provisioning import certificate_provider, rebind
from fleetgate.provisioning.apply import Outcome, apply
from fleetgate.provisioning.certificate_provider import Signed
from fleetgate.provisioning.functions import function_name
from fleetgate.provisioning.serial import serial_of
from fleetgate.registry import attachments, audit, certificates, claims, events, functions, outbox, templates, tokens
from fleetgate.registry.certificates import Certificate, Status
from fleetgate.registry.claims import Claim
from fleetgate.runtime import HookRequest, Runtime
from fleetgate.template.document import Document, Kind, parse
from fleetgate.template.plan import Plan
from fleetgate.template.render import render

HOOK_DENIED: Final = "The pre-provisioning hook did not allow this."
"""All that a device is told; what the hook said, and that nobody answered, is for the audit trail."""
PROVIDER_FAILED: Final = "The account's certificate provider did not sign the request."
LEAST_ROOM: Final = 1_000
"""Certificates that may wait to be provisioned for any asker, so that answers lost on the way shut nobody out."""
_TOKEN_BYTES: Final = 48


@dataclass(frozen=True, slots=True)
class Asker:
    """A connection that may ask: who it is, and as what it connected."""

    principal: Principal
    client_id: str

    @property
    def certificate(self) -> CertificatePrincipal:
        """Raises AccessDenied where it has none: what is asked for here rests on one."""
        if not isinstance(self.principal, CertificatePrincipal):
            raise AccessDenied("Only a connection with a client certificate can ask for a certificate.")
        return self.principal


async def create_keys(runtime: Runtime, act: Act, asker: Asker) -> dict[str, Any]:
    """A key pair made here, and its certificate. The private key is in this answer and nowhere else.

    Raises AccessDenied or Throttled when the asker may not ask (any more).
    """
    await _may_ask(runtime, act, asker)
    pair = await runtime.key_pair()
    issued = await authority.issue(runtime, act, pair.public_key())
    token = await _keep(runtime, act, asker, issued)
    return {
        "certificateId": issued.fingerprint,
        "certificatePem": issued.pem,
        "privateKey": keys.private_key_pem(pair),
        "certificateOwnershipToken": token,
    }


async def create_from_csr(runtime: Runtime, act: Act, asker: Asker, request: Mapping[str, Any]) -> dict[str, Any]:
    """A certificate for the key that signed `certificateSigningRequest` (PEM).

    The account's certificate provider signs it, where there is one. Raises InvalidSigningRequest, AccessDenied where
    that gives none, and what `create_keys` raises.
    """
    pem = request.get("certificateSigningRequest")
    await _may_ask(runtime, act, asker, lambda: _verified(pem).public_key)
    verified = _verified(pem)
    try:
        signed = await certificate_provider.sign(runtime, act, verified, asker.certificate.fingerprint, asker.client_id)
    except FunctionFailed as error:
        raise AccessDenied(PROVIDER_FAILED, reason=f"{error.message}.") from error
    token = await _keep(runtime, act, asker, signed)
    return {
        "certificateOwnershipToken": token,
        "certificateId": signed.fingerprint,
        "certificatePem": signed.pem,
    }


def _verified(pem: object) -> csr.VerifiedCsr:
    """Raises InvalidSigningRequest."""
    if not isinstance(pem, str) or not pem:
        raise InvalidSigningRequest("Send the signing request as PEM text in certificateSigningRequest.")
    return csr.parse(pem)


async def register_thing(
    runtime: Runtime, act: Act, asker: Asker, template_name: str, request: Mapping[str, Any]
) -> dict[str, Any]:
    """What `certificateOwnershipToken` and `parameters` ask for, by the template's default version.

    Raises InvalidOwnershipToken, InvalidParameters, NotFound, AccessDenied, Throttled, ConflictingUpdate and what the
    registry raises; then nothing has changed and the token is as good as before.
    """
    digest, parameters = _read(request)
    case = await runtime.database.glance(lambda tx: _open(tx, act, asker, template_name, digest))
    parameters, approved = await _ask(runtime, act, asker, case, parameters)
    plan = _plan(case, parameters)
    outcome = await runtime.write(lambda tx: _settle(tx, act, runtime, asker, case, plan, parameters, approved))
    answer: dict[str, Any] = {"deviceConfiguration": dict(outcome.device_configuration)}
    if outcome.thing_name is not None:
        answer["thingName"] = outcome.thing_name
    return answer


# --- who may ask ------------------------------------------------------------------------------------------------------


class _Standing(Enum):
    """What a certificate can be that is no registered claim."""

    DEVICE = "certificate of a thing"
    UNREGISTERED = "neither"


def _standing(tx: Tx, act: Act, fingerprint: str) -> Claim | _Standing:
    if claim := claims.find(tx, act.realm, fingerprint):
        return claim
    if attachments.things_of(tx, act.realm, fingerprint):
        return _Standing.DEVICE
    return _Standing.UNREGISTERED


async def _may_ask(
    runtime: Runtime, act: Act, asker: Asker, proven: Callable[[], keys.PublicKey] | None = None
) -> None:
    """Before a certificate is made for anybody: is there any way that this asker could complete, and room for one more
    that waits to be provisioned? Without that bound a stolen claim could have the CA sign without end.

    *proven*: the key that it asks with. A claim that has nothing left still answers the devices that it made.
    """
    config, fingerprint = runtime.config.claims, asker.certificate.fingerprint

    def look(tx: Tx) -> None:
        remaining: int | None = config.default_budget
        match _standing(tx, act, fingerprint):
            case Claim() as claim:
                claims.check(act, claim, has_place=lambda: _has_place(tx, act, claim, proven))
                remaining = claim.remaining
            case _Standing.DEVICE:
                remaining = 0
            case _Standing.UNREGISTERED:
                _may_begin(tx, act, runtime, fingerprint)
        most = config.unprovisioned if remaining is None else min(config.unprovisioned, max(LEAST_ROOM, remaining))
        room_at = tokens.room_at(tx, act, fingerprint, most)
        if room_at is not None:
            seconds = -(-(room_at - act.now) // 1000)
            raise Throttled(
                f"{most} certificates that were made for this certificate wait to be provisioned, and more are not "
                f"made. Provision those, or try again in {seconds} seconds.",
                reason=f"Certificate {fingerprint} has {most} certificates waiting; one is dropped in {seconds} s.",
            )

    await runtime.database.glance(look)


def _has_place(tx: Tx, act: Act, claim: Claim, proven: Callable[[], keys.PublicKey] | None) -> bool:
    return proven is not None and claims.has_place(tx, act, claim, keys.public_key_fingerprint(proven()))


def _may_begin(tx: Tx, act: Act, runtime: Runtime, fingerprint: str) -> None:
    """Raises AccessDenied for a certificate that is no claim and is not let in as one; a deleted claim never is."""
    if runtime.config.claims.unregistered == "refuse" or claims.was_deleted(tx, act.realm, fingerprint):
        raise _unregistered(fingerprint)


def _unregistered(fingerprint: str) -> AccessDenied:
    return AccessDenied(
        f"Certificate {fingerprint} is no registered claim, and this installation refuses those. An operator gives it "
        f"a budget with: fleetgate claim register {fingerprint} --template NAME --count N"
    )


def _registered(tx: Tx, act: Act, runtime: Runtime, fingerprint: str) -> Claim:
    """A claim that nobody registered gets the default budget, or is refused."""
    _may_begin(tx, act, runtime, fingerprint)
    return claims.register(tx, act, fingerprint, maximum=runtime.config.claims.default_budget, batch="unregistered")


async def _keep(runtime: Runtime, act: Act, asker: Asker, signed: Signed) -> str:
    """Certificate and token in one transaction; the token itself goes to the device and nowhere else."""
    token = b64encode(runtime.entropy(_TOKEN_BYTES)).decode()
    claim = asker.certificate.fingerprint

    def keep(tx: Tx) -> None:
        identify_again(tx, asker.certificate, act.now)
        certificate_provider.record(tx, act, signed, Status.PENDING_ACTIVATION, claim_fingerprint=claim)
        tokens.issue(
            tx,
            act,
            _digest(token),
            fingerprint=signed.fingerprint,
            claim_fingerprint=claim,
        )

    await runtime.write(keep)
    return token


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


# --- RegisterThing ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Case:
    """Everything that was read before the hook is asked."""

    template: templates.Template
    body: str
    certificate: Certificate
    digest: str
    function: str | None


def _read(request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    token = request.get("certificateOwnershipToken")
    if not isinstance(token, str) or not token:
        raise InvalidOwnershipToken("Certificate ownership token cannot be empty.")
    parameters = request.get("parameters")
    if parameters is None:
        parameters = {}
    if not isinstance(parameters, dict) or not all(isinstance(key, str) for key in parameters):
        raise InvalidParameters("parameters must be a map from names to texts.")
    wrong = sorted(key for key, value in parameters.items() if not isinstance(value, str))
    if wrong:
        raise InvalidParameters(f"Parameters must be texts; these are not: {', '.join(wrong)}.")
    return _digest(token), parameters


def _open(tx: Tx, act: Act, asker: Asker, template_name: str, digest: str) -> _Case:
    found = templates.find_default(tx, act.realm, template_name)
    if found is None:
        raise NotFound(f"Provisioning template {template_name} does not exist in this account and region.")
    template, body = found
    if template.type is not templates.Type.FLEET_PROVISIONING:
        raise AccessDenied(f"Provisioning template {template_name} is of type {template.type}, not FLEET_PROVISIONING.")
    if not template.enabled:
        raise AccessDenied(f"Provisioning template {template_name} is disabled.")
    fingerprint = tokens.check(tx, act, digest, claim_fingerprint=asker.certificate.fingerprint)
    bound = None
    if template.hook_target_arn is not None:
        function = functions.find(tx, act.realm, function_name(template.hook_target_arn))
        bound = f"{function.file}:{function.handler}" if function else None
    return _Case(template, body, certificates.get(tx, act.realm, fingerprint), digest, bound)


async def _ask(
    runtime: Runtime, act: Act, asker: Asker, case: _Case, parameters: dict[str, str]
) -> tuple[dict[str, str], bool]:
    """The hook's word: the parameters with its overrides, and whether there was a hook that said yes."""
    target = case.template.hook_target_arn
    if target is None:
        return parameters, False
    hook = runtime.hooks.find(act.realm, target, case.function)
    if hook is None:
        reason = (
            f"The pre-provisioning hook {target} is bound to nothing, so nobody can approve. Bind it with: fleetgate "
            f"function bind {function_name(target)} FILE"
        )
        raise AccessDenied(HOOK_DENIED, reason=reason)
    answer = await hook.decide(
        HookRequest(
            claim_certificate_id=asker.certificate.fingerprint,
            certificate_id=case.certificate.fingerprint,
            certificate_pem=case.certificate.pem,
            template_arn=act.realm.arn("provisioningtemplate", case.template.name),
            client_id=asker.client_id,
            parameters=parameters,
            request_id=act.request_id,
        )
    )
    if not answer.allowed:
        raise AccessDenied(HOOK_DENIED, reason=f"The pre-provisioning hook denied: {answer.reason}.")
    return {**parameters, **answer.parameter_overrides}, True


def _plan(case: _Case, parameters: Mapping[str, str]) -> Plan:
    return render(_document(case.body), parameters, {"AWS::IoT::Certificate::Id": case.certificate.fingerprint})


@lru_cache(maxsize=256)
def _document(body: str) -> Document:
    """A body is what it was when its template was made, and devices ask by the same few."""
    return parse(body, Kind.FLEET_PROVISIONING)


def _be_unchanged(tx: Tx, act: Act, then: templates.Template) -> None:
    """Raises AccessDenied where the template that the plan was made by would say something else by now."""
    now = templates.find(tx, act.realm, then.name)
    if now is None or _terms(now) != _terms(then):
        raise AccessDenied(f"Provisioning template {then.name} changed meanwhile; ask again.")


def _terms(template: templates.Template) -> tuple[object, ...]:
    """`created_at` tells a template from one that took its name."""
    version = template.created_at, template.default_version
    return *version, template.enabled, template.hook_target_arn, template.reprovisioning


def _waiting(tx: Tx, act: Act, fingerprint: str) -> Certificate:
    """Raises AccessDenied where somebody decided meanwhile that the certificate is not to be used: a token that is
    still good does not undo that.
    """
    found = certificates.get(tx, act.realm, fingerprint)
    if found.status not in (Status.PENDING_ACTIVATION, Status.ACTIVE):
        raise AccessDenied(f"Certificate {fingerprint} is {found.status} by now; ask for another one.")
    return found


def _settle(
    tx: Tx,
    act: Act,
    runtime: Runtime,
    asker: Asker,
    case: _Case,
    plan: Plan,
    parameters: Mapping[str, str],
    approved: bool,
) -> Outcome:
    """The one transaction. The token is redeemed first: of two that come at once the second finds it used.

    A hook may think for seconds, in which the asker can be revoked and the template change: both are looked at again.
    """
    claim = asker.certificate.fingerprint
    identify_again(tx, asker.certificate, act.now)
    _be_unchanged(tx, act, case.template)
    tokens.redeem(tx, act, case.digest, claim_fingerprint=claim)
    new = _waiting(tx, act, case.certificate.fingerprint)
    name = plan.thing.name if plan.thing else None
    standing = _standing(tx, act, claim)
    if standing is _Standing.DEVICE:
        if name is None:
            raise AccessDenied("A device's own certificate renews its thing, and this template names no thing.")
        rebind.renew(tx, act, name, claim, new)
        outcome = apply(tx, act, plan, new, lambda _: None)
    else:
        budget = standing if isinstance(standing, Claim) else _registered(tx, act, runtime, claim)
        serial = serial_of(_document(case.body), parameters, name) if budget.serials_listed else None
        claims.spend(tx, act, budget, case.template.name, serial, name)
        rule = rebind.rule_of(case.template)
        outcome = apply(tx, act, plan, new, lambda thing: rebind.settle(tx, act, thing, new, rule, approved=approved))
    target = act.realm.arn("thing", name) if name else act.realm.arn("cert", new.fingerprint)
    details = {"template": case.template.name, "certificateId": new.fingerprint, "clientId": asker.client_id}
    audit.add(tx, act, "RegisterThing", target, "ok", details=details)
    outbox.add(tx, act, events.DeviceProvisioned(case.template.name, name or "", new.fingerprint, claim))
    return outcome
