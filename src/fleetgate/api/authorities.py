"""CA certificates that users register as theirs: RegisterCACertificate ... DeleteRegistrationCode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from fleetgate import names
from fleetgate.api import tags
from fleetgate.api.handling import Params, Result
from fleetgate.api.listing import Listing
from fleetgate.api.templates import judge
from fleetgate.database.port import Tx
from fleetgate.errors import CertificateInvalid, InvalidRequest, RegistrationCodeInvalid
from fleetgate.names import Act
from fleetgate.pki import certificate, chain
from fleetgate.pki.identity import Identity
from fleetgate.registry import authorities
from fleetgate.registry.authorities import Authority, RegistrationConfig, Status
from fleetgate.registry.certificates import Mode
from fleetgate.runtime import Runtime
from fleetgate.template.document import Kind

_AUTHORITIES: Final = Listing("ca-certificates")
_SWITCH: Final = {True: "ENABLE", False: "DISABLE"}
_SWITCHED: Final = {"ENABLE": True, "DISABLE": False}


def register_ca_certificate(tx: Tx, act: Act, params: Params) -> Result:
    """In DEFAULT mode whoever registers a CA proves to hold its key; in SNI_ONLY mode nobody needs to."""
    identity = Identity.read(params["caCertificate"])
    chain.check_authority(identity.certificate, act.now)
    mode = Mode(params.get("certificateMode", Mode.DEFAULT))
    _check_possession(tx, act, identity, mode, params.get("verificationCertificate"))
    authorities.create(
        tx,
        act,
        identity.fingerprint,
        identity.pem,
        subject=identity.subject,
        public_key_fingerprint=identity.public_key_fingerprint,
        not_before=identity.not_before,
        not_after=identity.not_after,
        status=Status.ACTIVE if params.get("setAsActive") else Status.INACTIVE,
        mode=mode,
        auto_registration=params.get("allowAutoRegistration", False),
        registration_config=_config_of(params) or authorities.NO_CONFIG,
    )
    arn = act.realm.arn("cacert", identity.fingerprint)
    tags.put_given(tx, act, arn, params)
    return {"certificateArn": arn, "certificateId": identity.fingerprint}


def _check_possession(tx: Tx, act: Act, identity: Identity, mode: Mode, verification: str | None) -> None:
    if mode is Mode.SNI_ONLY:
        if verification is not None:
            raise InvalidRequest("A CA in SNI_ONLY mode is registered without a verificationCertificate. Leave it out.")
        return
    if verification is None:
        raise CertificateInvalid(
            "A CA in DEFAULT mode needs a verificationCertificate: issued by the CA, its common name the registration "
            "code (GetRegistrationCode)."
        )
    code = authorities.find_registration_code(tx, act.realm)
    if code is None:
        raise RegistrationCodeInvalid("This account has no registration code yet; ask for it with GetRegistrationCode.")
    chain.check_verification(certificate.load(verification), identity.certificate, code, act.now)


def _config_of(params: Params) -> RegistrationConfig | None:
    """The registrationConfig; its template is judged here, by name it is looked up in the registry."""
    given: dict[str, Any] | None = params.get("registrationConfig")
    if not given:
        return None
    body, role = given.get("templateBody"), given.get("roleArn")
    if body is not None:
        if role is None:
            raise InvalidRequest("A templateBody in a registrationConfig needs a roleArn beside it.")
        judge(body, Kind.JITP)
    return RegistrationConfig(given.get("templateName"), body, role)


def describe_ca_certificate(tx: Tx, act: Act, params: Params) -> Result:
    found = authorities.get(tx, act.realm, names.fingerprint(params["certificateId"]))
    description = {
        **_listed(act, found),
        "certificatePem": found.pem,
        "ownedBy": found.realm.account,
        "autoRegistrationStatus": _SWITCH[found.auto_registration],
        "lastModifiedDate": found.updated_at,
        "customerVersion": found.customer_version,
        "generationId": found.generation_id,
        "validity": {"notBefore": found.not_before, "notAfter": found.not_after},
        "certificateMode": found.mode,
    }
    config = found.registration_config
    if config == authorities.NO_CONFIG:
        return {"certificateDescription": description}
    shown = {"templateName": config.template_name, "templateBody": config.template_body, "roleArn": config.role_arn}
    return {"certificateDescription": description, "registrationConfig": shown}


def update_ca_certificate(tx: Tx, act: Act, params: Params) -> Result:
    status, automatic = params.get("newStatus"), params.get("newAutoRegistrationStatus")
    authorities.update(
        tx,
        act,
        names.fingerprint(params["certificateId"]),
        status=None if status is None else Status(status),
        auto_registration=None if automatic is None else _SWITCHED[automatic],
        registration_config=_config_of(params),
        remove_registration=params.get("removeAutoRegistration", False),
    )
    return {}


def delete_ca_certificate(tx: Tx, act: Act, params: Params) -> Result:
    authorities.delete(tx, act, names.fingerprint(params["certificateId"]))
    return {}


def list_ca_certificates(tx: Tx, act: Act, params: Params) -> Result:
    ascending, template = params.get("ascendingOrder", False), params.get("templateName")
    page = authorities.page(tx, act.realm, *_AUTHORITIES.opened(params), ascending=ascending, template_name=template)
    return {"certificates": [_listed(act, each) for each in page.items], "nextMarker": _AUTHORITIES.token(page, params)}


def _listed(act: Act, authority: Authority) -> Result:
    return {
        "certificateArn": act.realm.arn("cacert", authority.fingerprint),
        "certificateId": authority.fingerprint,
        "status": authority.status,
        "creationDate": authority.created_at,
    }


# --- registration code ------------------------------------------------------------------------------------------------


async def get_registration_code(runtime: Runtime, act: Act, params: Params) -> Callable[[Tx], Result]:
    """Made at the first call, then the same until it is deleted."""
    new = runtime.entropy(32).hex()
    return lambda tx: {"registrationCode": authorities.registration_code(tx, act, new)}


def delete_registration_code(tx: Tx, act: Act, params: Params) -> Result:
    authorities.delete_registration_code(tx, act)
    return {}
