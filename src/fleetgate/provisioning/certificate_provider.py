"""Who signs a signing request: the installation's CA, or the function of the account's certificate provider.

The function gets `{"certificateSigningRequest", "principalId", "clientId"}` and returns `{"certificatePem"}` (AWS:
certificate provider). What it returns is trusted for nothing: it must be one readable certificate, in force, for the
key of the request, and no CA's. Anything else, and no answer in time, and there is no certificate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from fleetgate import authority
from fleetgate.authority import Issued
from fleetgate.database.port import Tx
from fleetgate.errors import CertificateInvalid, FunctionFailed, InvalidRequest, all_of
from fleetgate.names import Act
from fleetgate.pki import certificate as x509
from fleetgate.pki import chain, keys
from fleetgate.pki.csr import VerifiedCsr
from fleetgate.pki.identity import Identity
from fleetgate.pki.issuer import examine
from fleetgate.registry import audit, authorities, certificate_providers, certificates
from fleetgate.registry.certificate_providers import CertificateProvider
from fleetgate.registry.certificates import Certificate, Origin, Status
from fleetgate.runtime import Runtime

TIME_LIMIT: Final = 5_000
"""Milliseconds, as for hooks: a device waits."""
_AHEAD: Final = 300_000
"""Milliseconds by which the provider's clock may be ahead of ours."""


@dataclass(frozen=True, slots=True)
class Provided:
    """Signed by a certificate provider, and not yet in the registry."""

    identity: Identity
    provider: str

    @property
    def fingerprint(self) -> str:
        return self.identity.fingerprint

    @property
    def pem(self) -> str:
        return self.identity.pem


Signed: TypeAlias = Issued | Provided


async def sign(runtime: Runtime, act: Act, request: VerifiedCsr, principal_id: str, client_id: str) -> Signed:
    """A certificate for *request*, which the principal asked for on the connection *client_id* (or on none).

    Raises InvalidRequest when the installation's profile does not admit the request, and FunctionFailed, which says
    why, when the account has a provider and that gave no certificate that can be used.
    """
    try:
        done = await authority.issue_unless_provided(runtime, act, request)
    except InvalidRequest:
        # The profile binds the installation's CA, and not a provider's.
        provider = await runtime.database.glance(lambda tx: certificate_providers.find(tx, act.realm))
        if provider is None:
            raise
        done = provider
    if isinstance(done, Issued):
        return done
    return await _provided(runtime, act, done, request, principal_id, client_id)


def record(tx: Tx, act: Act, signed: Signed, status: Status, *, claim_fingerprint: str | None = None) -> Certificate:
    """Enter the certificate, whoever signed it. Raises AlreadyExists for one that is known."""
    if isinstance(signed, Issued):
        return authority.record(tx, act, signed, status, claim_fingerprint=claim_fingerprint)
    identity = signed.identity
    details = {"provider": signed.provider, "status": str(status)}
    audit.add(tx, act, "ProvideCertificate", act.realm.arn("cert", identity.fingerprint), "ok", details=details)
    return certificates.create(
        tx,
        act,
        identity.fingerprint,
        identity.pem,
        status,
        public_key_fingerprint=identity.public_key_fingerprint,
        not_before=identity.not_before,
        not_after=identity.not_after,
        origin=Origin.REGISTERED,
        ca_fingerprint=_registered_issuer(tx, act, identity),
        claim_fingerprint=claim_fingerprint,
    )


async def _provided(
    runtime: Runtime, act: Act, provider: CertificateProvider, request: VerifiedCsr, principal_id: str, client_id: str
) -> Provided:
    event = {"certificateSigningRequest": request.pem, "principalId": principal_id, "clientId": client_id}
    try:
        answer = await runtime.functions.invoke(act, provider.function_arn, event, TIME_LIMIT)
        return Provided(_checked(answer, request, act.now), provider.name)
    except FunctionFailed as error:
        raise FunctionFailed(f"Certificate provider {provider.name}: {error.message}") from error


def _checked(answer: Any, request: VerifiedCsr, now: int) -> Identity:
    """Raises FunctionFailed with everything that is wrong."""
    pem = answer.get("certificatePem") if isinstance(answer, dict) else None
    if not isinstance(pem, str):
        raise FunctionFailed('the function must return {"certificatePem": "-----BEGIN CERTIFICATE-----..."}')
    try:
        identity = Identity.read(pem)
        basic = examine(identity.certificate).basic_constraints()
    except CertificateInvalid as error:
        raise FunctionFailed(f"what the function returned cannot be used: {error.message}") from error
    problems = []
    if identity.public_key_fingerprint != keys.public_key_fingerprint(request.public_key):
        problems.append("the certificate is for another key than the signing request")
    if basic is not None and basic.ca:
        problems.append("the certificate is a CA's")
    if identity.not_after <= now:
        problems.append("the certificate has expired")
    if identity.not_before > now + _AHEAD:
        problems.append("the certificate is not valid yet")
    if problems:
        raise FunctionFailed(all_of(problems))
    return identity


def _registered_issuer(tx: Tx, act: Act, identity: Identity) -> str | None:
    candidates = authorities.issuers(tx, act.realm, identity.issuer)
    found = (each for each in candidates if chain.issued_by(identity.certificate, x509.load(each.pem)))
    return next((each.fingerprint for each in found), None)
