"""CreateProvisioningClaim: a certificate of five minutes, by which a trusted user lets a device provision itself."""

from __future__ import annotations

from collections.abc import Callable

from fleetgate import authority
from fleetgate.api.certificates import as_key_pair
from fleetgate.api.handling import Params, Result
from fleetgate.database.port import Tx
from fleetgate.errors import InvalidRequest
from fleetgate.names import Act
from fleetgate.registry import claims, templates
from fleetgate.registry.certificates import Status
from fleetgate.registry.claims import Kind
from fleetgate.registry.templates import Type
from fleetgate.runtime import Runtime


async def create_provisioning_claim(runtime: Runtime, act: Act, params: Params) -> Callable[[Tx], Result]:
    """The certificate is in no list; what it may do, `access` says: ask, and provision by this template alone."""
    name = params["templateName"]
    await runtime.database.glance(lambda tx: _check(tx, act, name))
    pair = await runtime.key_pair()
    issued = await authority.issue(runtime, act, pair.public_key(), lasting=claims.TRUSTED_USER_LIFETIME)

    def settle(tx: Tx) -> Result:
        authority.record(tx, act, issued, Status.ACTIVE, listed=False)
        claims.register(
            tx,
            act,
            issued.fingerprint,
            kind=Kind.TRUSTED_USER,
            template_name=name,
            not_before=act.now,
            not_after=issued.not_after,
        )
        return {
            "certificateId": issued.fingerprint,
            "certificatePem": issued.pem,
            "keyPair": as_key_pair(pair),
            "expiration": issued.not_after,
        }

    return settle


def _check(tx: Tx, act: Act, name: str) -> None:
    if templates.get(tx, act.realm, name).type != Type.FLEET_PROVISIONING:
        raise InvalidRequest(f"Template {name} is of type JITP; a claim provisions by a FLEET_PROVISIONING template.")
