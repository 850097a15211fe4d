"""Certificates: CreateKeysAndCertificate ... ListCertificatesByCA."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fleetgate import authority, names
from fleetgate.api.handling import Params, Result
from fleetgate.api.listing import Listing
from fleetgate.database.port import Tx
from fleetgate.errors import FunctionFailed, InvalidRequest
from fleetgate.names import Act
from fleetgate.pki import csr, keys
from fleetgate.pki.identity import Identity
from fleetgate.provisioning import certificate_provider, own_certificate
from fleetgate.provisioning.certificate_provider import Signed
from fleetgate.registry import certificates, transfers
from fleetgate.registry.certificates import BY_USER, Certificate, Status
from fleetgate.registry.transfers import State, Transfer
from fleetgate.runtime import Runtime

_CERTIFICATES: Final = Listing("certificates")
_BY_CA: Final = Listing("certificates-by-ca")
_OUTGOING: Final = Listing("outgoing-certificates")


# --- issued here ------------------------------------------------------------------------------------------------------


async def create_keys_and_certificate(runtime: Runtime, act: Act, params: Params) -> Callable[[Tx], Result]:
    """The private key is in this answer and nowhere else."""
    pair = await runtime.key_pair()
    issued = await authority.issue(runtime, act, pair.public_key())
    return lambda tx: {**_entered(tx, act, issued, params), "keyPair": as_key_pair(pair)}


async def create_certificate_from_csr(runtime: Runtime, act: Act, params: Params) -> Callable[[Tx], Result]:
    """Key and subject of the signing request end in the certificate, unless a certificate provider says otherwise."""
    verified = csr.parse(params["certificateSigningRequest"])
    try:
        signed = await certificate_provider.sign(runtime, act, verified, act.actor, "")
    except FunctionFailed as error:  # the operation has no other name for it
        raise InvalidRequest(f"{error.message}.") from error
    return lambda tx: _entered(tx, act, signed, params)


def as_key_pair(pair: keys.PrivateKey) -> Result:
    return {"PublicKey": keys.public_key_pem(pair.public_key()), "PrivateKey": keys.private_key_pem(pair)}


def _entered(tx: Tx, act: Act, signed: Signed, params: Params) -> Result:
    status = Status.ACTIVE if params.get("setAsActive") else Status.INACTIVE
    certificate_provider.record(tx, act, signed, status)
    return {
        "certificateArn": act.realm.arn("cert", signed.fingerprint),
        "certificateId": signed.fingerprint,
        "certificatePem": signed.pem,
    }


# --- brought by their owner -------------------------------------------------------------------------------------------


def register_certificate(tx: Tx, act: Act, params: Params) -> Result:
    """A certificate whose direct issuer is a registered, active CA; `caCertificatePem` says which of several."""
    identity = Identity.read(params["certificatePem"])
    made = own_certificate.register(tx, act, identity, _wanted(params), params.get("caCertificatePem"))
    return _registered(act, made)


def register_certificate_without_ca(tx: Tx, act: Act, params: Params) -> Result:
    """Nobody vouches for it, so connections must name their account by SNI."""
    identity = Identity.read(params["certificatePem"])
    return _registered(act, own_certificate.register_without_ca(tx, act, identity, _wanted(params)))


def _wanted(params: Params) -> Status:
    """`setAsActive` is the older way to say `status`."""
    active, text = params.get("setAsActive"), params.get("status")
    if text is None:
        return Status.ACTIVE if active else Status.INACTIVE
    if active is not None and active != (text == Status.ACTIVE):
        raise InvalidRequest(f"setAsActive and the status {text} contradict each other. Leave setAsActive out.")
    return _by_user(text)


def _by_user(text: str) -> Status:
    """What a user may ask for; the other statuses are set by the service alone."""
    if text not in BY_USER:
        raise InvalidRequest(f"The status {text} is set by the service alone. Set {', '.join(sorted(BY_USER))}.")
    return Status(text)


def _registered(act: Act, certificate: Certificate) -> Result:
    arn = act.realm.arn("cert", certificate.fingerprint)
    return {"certificateArn": arn, "certificateId": certificate.fingerprint}


# --- looked at and changed --------------------------------------------------------------------------------------------


def describe_certificate(tx: Tx, act: Act, params: Params) -> Result:
    found = certificates.get(tx, act.realm, names.fingerprint(params["certificateId"]))
    transfer, owner = transfers.of(tx, found), transfers.owner(tx, found)
    previous = transfers.previous_owner(tx, found)
    description = {
        "certificateArn": owner.arn("cert", found.fingerprint),
        "certificateId": found.fingerprint,
        "caCertificateId": found.ca_fingerprint,
        "status": found.status,
        "certificatePem": found.pem,
        "ownedBy": owner.account,
        "previousOwnedBy": None if previous is None else previous.account,
        "creationDate": found.created_at,
        "lastModifiedDate": found.updated_at,
        "customerVersion": found.customer_version,
        "transferData": _transfer_data(transfer),
        "generationId": found.generation_id,
        "validity": {"notBefore": found.not_before, "notAfter": found.not_after},
        "certificateMode": found.mode,
    }
    return {"certificateDescription": description}


def _transfer_data(transfer: Transfer | None) -> Result:
    """A transfer that was cancelled did not take place."""
    if transfer is None or transfer.state is State.CANCELLED:
        return {}
    return {
        "transferMessage": transfer.message,
        "rejectReason": transfer.reject_reason,
        "transferDate": transfer.offered_at,
        "acceptDate": transfer.ended_at if transfer.state is State.ACCEPTED else None,
        "rejectDate": transfer.ended_at if transfer.state is State.REJECTED else None,
    }


def update_certificate(tx: Tx, act: Act, params: Params) -> Result:
    certificates.set_status(tx, act, names.fingerprint(params["certificateId"]), _by_user(params["newStatus"]))
    return {}


def delete_certificate(tx: Tx, act: Act, params: Params) -> Result:
    fingerprint = names.fingerprint(params["certificateId"])
    certificates.delete(tx, act, fingerprint, force=params.get("forceDelete", False))
    return {}


def list_certificates(tx: Tx, act: Act, params: Params) -> Result:
    """Newest first unless ascendingOrder. Those of CreateProvisioningClaim are in no list."""
    ascending = params.get("ascendingOrder", False)
    page = certificates.page(tx, act.realm, *_CERTIFICATES.opened(params), ascending=ascending)
    found = [_listed(tx, each) for each in page.items]
    return {"certificates": found, "nextMarker": _CERTIFICATES.token(page, params)}


def list_certificates_by_ca(tx: Tx, act: Act, params: Params) -> Result:
    ascending, ca = params.get("ascendingOrder", False), names.fingerprint(params["caCertificateId"])
    page = certificates.page(tx, act.realm, *_BY_CA.opened(params), ascending=ascending, ca=ca)
    return {"certificates": [_listed(tx, each) for each in page.items], "nextMarker": _BY_CA.token(page, params)}


def _listed(tx: Tx, certificate: Certificate) -> Result:
    return {
        "certificateArn": transfers.owner(tx, certificate).arn("cert", certificate.fingerprint),
        "certificateId": certificate.fingerprint,
        "status": certificate.status,
        "certificateMode": certificate.mode,
        "creationDate": certificate.created_at,
    }


# --- transferred ------------------------------------------------------------------------------------------------------


def transfer_certificate(tx: Tx, act: Act, params: Params) -> Result:
    fingerprint = names.fingerprint(params["certificateId"])
    transfers.offer(tx, act, fingerprint, params["targetAwsAccount"], params.get("transferMessage"))
    return {"transferredCertificateArn": act.realm.arn("cert", fingerprint)}


def accept_certificate_transfer(tx: Tx, act: Act, params: Params) -> Result:
    fingerprint = names.fingerprint(params["certificateId"])
    transfers.accept(tx, act, fingerprint, active=params.get("setAsActive", False))
    return {}


def reject_certificate_transfer(tx: Tx, act: Act, params: Params) -> Result:
    transfers.reject(tx, act, names.fingerprint(params["certificateId"]), params.get("rejectReason"))
    return {}


def cancel_certificate_transfer(tx: Tx, act: Act, params: Params) -> Result:
    transfers.cancel(tx, act, names.fingerprint(params["certificateId"]))
    return {}


def list_outgoing_certificates(tx: Tx, act: Act, params: Params) -> Result:
    """Newest first unless ascendingOrder, by the certificates' creation."""
    ascending = params.get("ascendingOrder", False)
    page = transfers.page(tx, act.realm, *_OUTGOING.opened(params), ascending=ascending)
    found = [
        {
            "certificateArn": each.source.arn("cert", each.fingerprint),
            "certificateId": each.fingerprint,
            "transferredTo": each.target.account,
            "transferDate": each.offered_at,
            "transferMessage": each.message,
            "creationDate": each.created_at,
        }
        for each in page.items
    ]
    return {"outgoingCertificates": found, "nextMarker": _OUTGOING.token(page, params)}
