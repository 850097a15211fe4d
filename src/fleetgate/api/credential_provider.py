"""The credential provider: a device's certificate becomes temporary credentials of the role behind an alias.

    GET /role-aliases/<alias>/credentials     on the devices' HTTPS listener, with the client certificate
    x-amzn-iot-thingname: <thing>             if the device speaks for a thing that the certificate is attached to

Four must agree: the certificate is in force; its IoT policies allow iot:AssumeRoleWithCertificate on the alias; the
alias leads to a role; the role trusts credentials.iot.amazonaws.com (AWS IoT: Authorizing direct calls).
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote

import structlog
from cryptography import x509

from fleetgate import access, endpoints, names
from fleetgate.access import CertificatePrincipal
from fleetgate.api import sessions
from fleetgate.database.port import Conflict, Tx
from fleetgate.errors import AccessDenied, InvalidRequest, NotFound, Refused, Throttled, Unavailable
from fleetgate.names import NO_ACCOUNT, Act
from fleetgate.pki import certificate
from fleetgate.policy.principals import Caller
from fleetgate.registry import audit, permissions, role_aliases, roles, things
from fleetgate.registry.role_aliases import RoleAlias
from fleetgate.registry.roles import Role
from fleetgate.runtime import Refusal, Runtime
from fleetgate.wire.restjson.message import Response

ACTION: Final = "AssumeRoleWithCertificate"
SERVICE: Final = "credentials.iot.amazonaws.com"
_PATH: Final = re.compile(r"/role-aliases/([^/]+)/credentials")
_THING: Final = b"x-amzn-iot-thingname"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Wanted:
    alias: str
    thing: str | None
    fingerprint: str
    server_name: str | None
    address: str


BURST: Final = 20
"""Requests that one certificate may make at once; thereafter one each EVERY milliseconds."""
EVERY: Final = 3000
_REMEMBERED: Final = 10_000


class Rate:
    """How often each may ask. What it remembers of somebody is worth nothing after BURST * EVERY."""

    def __init__(self) -> None:
        self._rested_at: dict[str, int] = {}
        self._room = _REMEMBERED

    def admit(self, who: str, now: int) -> None:
        """Raises Throttled."""
        rested_at = max(self._rested_at.get(who, now), now)
        if rested_at - now > (BURST - 1) * EVERY:
            raise Throttled(
                "Too many requests. Use the credentials that you have until they expire.",
                reason=f"{who} asked more than {BURST} times at once, or more often than every {EVERY // 1000} s.",
            )
        self._rested_at[who] = rested_at + EVERY
        if len(self._rested_at) > self._room:
            self._rested_at = {each: at for each, at in self._rested_at.items() if at > now}
            self._room = max(_REMEMBERED, 2 * len(self._rested_at))


class CredentialProvider:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._rate = Rate()

    def serves(self, scope: Mapping[str, Any]) -> bool:
        """Its path, asked for with a client certificate; only devices' listener knows of those."""
        return bool(_chain(scope)) and _PATH.fullmatch(scope["raw_path"].decode("latin-1")) is not None

    async def answer(self, scope: Mapping[str, Any]) -> Response:
        """Credentials, or why not, with the correlation id (`traceId`)."""
        runtime = self._runtime
        request_id = str(uuid.UUID(bytes=runtime.entropy(16), version=4))
        act, target = Act(NO_ACCOUNT, "unknown", runtime.clock(), request_id), scope["raw_path"].decode("latin-1")[:200]
        try:
            if scope["method"] != "GET":
                return _told(405, "Method Not Allowed", request_id)
            wanted = _wanted(scope)
            principal = await runtime.database.glance(lambda tx: self._identify(tx, wanted, act.now))
            act = replace(act, realm=principal.realm, actor=principal.actor)
            target = act.realm.arn("rolealias", wanted.alias)
            self._rate.admit(f"{act.realm}/{act.actor}", act.now)
            made = sessions.fresh(runtime)
            expires_at = await runtime.write(lambda tx: _assume(tx, act, principal, wanted, made))
        except Refused as error:
            runtime.refused(Refusal(act, ACTION, target, error.reason))
            return _told(error.status, error.message, request_id)
        except (Unavailable, Conflict) as error:
            log.warning("request not answered", request_id=request_id, reason=str(error))
            return _told(503, "The installation cannot answer this now. Try again in a while.", request_id)
        return _json(200, {"credentials": _credentials(made, expires_at)}, request_id)

    def _identify(self, tx: Tx, wanted: _Wanted, now: int) -> CertificatePrincipal:
        """Raises AccessDenied."""
        home = endpoints.realm(tx, self._runtime.config.gateway, wanted.server_name)
        try:
            return access.identify(tx, wanted.fingerprint, now, home)
        except AccessDenied as error:
            raise AccessDenied("Access Denied", reason=error.reason) from error


def _chain(scope: Mapping[str, Any]) -> list[str]:
    """The client's certificates as PEM (ASGI TLS extension)."""
    chain: list[str] = scope.get("extensions", {}).get("tls", {}).get("client_cert_chain", [])
    return chain


def _wanted(scope: Mapping[str, Any]) -> _Wanted:
    """Raises InvalidRequest for names that are none."""
    found = _PATH.fullmatch(scope["raw_path"].decode("latin-1"))
    assert found is not None, "serves() said otherwise"
    given = [value.decode("latin-1") for name, value in scope["headers"] if name == _THING]
    if len(given) > 1:
        raise InvalidRequest(f"The header {_THING.decode()} is given twice.")
    shown = x509.load_pem_x509_certificate(_chain(scope)[0].encode())
    return _Wanted(
        alias=names.check("role_alias", unquote(found[1])),
        thing=names.check("thing", given[0]) if given else None,
        fingerprint=certificate.fingerprint(shown),
        server_name=scope["extensions"]["tls"].get("server_name"),
        address=(scope.get("client") or ("",))[0],
    )


def _assume(tx: Tx, act: Act, principal: CertificatePrincipal, wanted: _Wanted, made: sessions.Fresh) -> int:
    """When the credentials expire. Raises AccessDenied, NotFound."""
    _permitted(tx, act, principal, wanted)
    alias = role_aliases.get(tx, act.realm, wanted.alias)
    role = _trusting(tx, alias)
    facts = {"credentials-iot:AwsCertificateId": principal.fingerprint}
    if wanted.thing is not None:
        thing = things.get(tx, act.realm, wanted.thing)
        facts["credentials-iot:ThingName"] = thing.name
        if thing.type_name is not None:
            facts["credentials-iot:ThingTypeName"] = thing.type_name
    session = sessions.enter(
        tx,
        made,
        role.account,
        permissions.role(role.name),
        role.role_id,
        principal.fingerprint,
        now=act.now,
        seconds=alias.duration,
        facts=facts,
    )
    details = {"role": role.arn, "thing": wanted.thing or "", "key": made.id}
    audit.add(tx, act, ACTION, alias.arn, "ok", details=details)
    return session.expires_at


def _permitted(tx: Tx, act: Act, principal: CertificatePrincipal, wanted: _Wanted) -> None:
    """Raises AccessDenied; whether there is such an alias is not told."""
    grounds = access.grounds(tx, principal, wanted.thing, wanted.address)
    if wanted.thing is not None and grounds.thing != wanted.thing:
        raise AccessDenied(
            "Access Denied", reason=f"The certificate is not attached to the thing {wanted.thing}, for which it asks."
        )
    verdict = grounds.rights().decide(f"iot:{ACTION}", act.realm.arn("rolealias", wanted.alias))
    if not verdict:
        raise AccessDenied("Access Denied", reason=verdict.explain("The certificate"))


def _trusting(tx: Tx, alias: RoleAlias) -> Role:
    """The role behind *alias*, if it lets devices have its credentials. Raises NotFound, AccessDenied."""
    role = roles.find_by_arn(tx, alias.role_arn)
    if role is None or role.account != alias.realm.account:
        raise NotFound(f"The role alias {alias.name} leads to no role.", reason=f"There is no role {alias.role_arn}.")
    context = {"aws:SourceArn": alias.arn, "aws:SourceAccount": alias.realm.account}
    verdict = sessions.trusted(role, sessions.ASSUME, Caller("Service", (SERVICE,)), context)
    if not verdict:
        raise AccessDenied(f"The role of {alias.name} does not trust {SERVICE}.", reason=verdict.explain(SERVICE))
    if alias.duration > role.longest_session:
        raise AccessDenied(
            f"Credentials of {alias.name} would last {alias.duration} seconds, and a session of its role at most "
            f"{role.longest_session}. Change credentialDurationSeconds or MaxSessionDuration."
        )
    return role


def _credentials(made: sessions.Fresh, expires_at: int) -> dict[str, str]:
    moment = datetime.fromtimestamp(expires_at // 1000, UTC)
    return {
        "accessKeyId": made.id,
        "secretAccessKey": made.secret,
        "sessionToken": made.token,
        "expiration": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _told(status: int, message: str, request_id: str) -> Response:
    return _json(status, {"message": message, "traceId": request_id}, request_id)


def _json(status: int, body: Mapping[str, Any], request_id: str) -> Response:
    headers = {"content-type": "application/json", "cache-control": "no-store", "x-amzn-requestid": request_id}
    return Response(status, headers, json.dumps(body).encode())
