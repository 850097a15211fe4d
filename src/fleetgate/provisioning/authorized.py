"""Connections that an authorizer's function decides about: let in, and looked at again after a time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import structlog

from fleetgate.access import AuthorizerPrincipal
from fleetgate.errors import AccessDenied, Refused
from fleetgate.names import Act, Realm
from fleetgate.provisioning.authorizer_choice import Choice, choose
from fleetgate.provisioning.custom_authentication import CustomAuthentication, Permit, Presented
from fleetgate.registry import authorizers
from fleetgate.registry.authorizers import Authorizer, Status
from fleetgate.runtime import Refusal, Runtime

log = structlog.get_logger(__name__)


MOST_REMEMBERED: Final = 4096
"""Answers that are kept for HTTP connections."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end, as far as TLS knows."""

    fingerprint: str | None
    """Of its certificate, whose key was proven."""
    server_name: str | None
    address: str


class AuthorizedEntrance:
    """Shared by all connections of a server."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._custom = CustomAuthentication(runtime)
        self._known: dict[bytes, AuthorizerPrincipal] = {}

    async def admit(
        self, peer: Peer, presented: Presented, protocol: str, action: str, connection: str | None = None
    ) -> AuthorizerPrincipal | None:
        """None for those who are not let in; why stands in the account's audit trail, under *action*. Raises Refused
        where there is no account that it would be told.

        *connection* names one over which several requests may come: for these an authorizer may be asked once.
        """
        runtime = self._runtime
        choice = await runtime.database.glance(
            lambda tx: choose(
                tx,
                runtime.config.gateway,
                presented.authorizer,
                protocol,
                server_name=peer.server_name,
                fingerprint=peer.fingerprint,
                now=runtime.clock(),
            )
        )
        if choice is None:
            return None
        key = _key(connection, choice, presented)
        known = None if key is None else self._known.get(key)
        if known is not None and (known.refresh_at or 0) > runtime.clock():
            return known
        act = runtime.act(choice.realm, f"authorizer/{choice.authorizer.name}")
        whole = _with_certificate(presented, choice)
        try:
            permit = await self._custom.ask(act, choice.authorizer, whole)
        except Refused as error:
            self._refuse(act, choice.authorizer, action, error, peer.address)
            return None
        principal = _principal(choice.realm, choice.authorizer, permit, whole, runtime.clock())
        if key is not None:
            self._remember(key, replace(principal, presented=None))
        return principal

    def _remember(self, key: bytes, principal: AuthorizerPrincipal) -> None:
        self._known[key] = principal
        if len(self._known) > MOST_REMEMBERED:
            del self._known[next(iter(self._known))]

    async def refreshed(self, principal: AuthorizerPrincipal) -> AuthorizerPrincipal:
        """*principal* with the policies that its function answers now, if that is due. Raises Refused."""
        now = self._runtime.clock()
        if principal.refresh_at is None or now < principal.refresh_at:
            return principal
        realm, name, presented = principal.realm, principal.authorizer, principal.presented
        assert isinstance(presented, Presented)
        authorizer = await self._runtime.database.glance(lambda tx: authorizers.get(tx, realm, name))
        if authorizer.status is not Status.ACTIVE:
            raise AccessDenied(f"Authorizer {name} is {authorizer.status}, not ACTIVE.")
        permit = await self._custom.ask(self._runtime.act(realm, principal.actor), authorizer, presented)
        if permit.principal_id != principal.identifier:
            raise AccessDenied(f"The function of authorizer {name} answered with another principalId than before.")
        again = _principal(realm, authorizer, permit, presented, self._runtime.clock())
        return replace(again, ends_at=principal.ends_at)  # a connection's time is not made longer by asking again

    def _refuse(self, act: Act, authorizer: Authorizer, action: str, error: Refused, address: str) -> None:
        target = act.realm.arn("authorizer", authorizer.name)
        self._runtime.refused(Refusal(act, action, target, error.reason))
        log.info("refused", action=action, reason=error.reason, address=address, request_id=act.request_id)


def _principal(
    realm: Realm, authorizer: Authorizer, permit: Permit, presented: Presented, now: int
) -> AuthorizerPrincipal:
    return AuthorizerPrincipal(
        realm,
        authorizer.name,
        permit.principal_id,
        permit.policies,
        refresh_at=now + permit.refresh_after * 1000,
        ends_at=now + permit.disconnect_after * 1000,
        presented=presented,
    )


def _key(connection: str | None, choice: Choice, presented: Presented) -> bytes | None:
    """What an answer is kept under; None where it is not kept: the authorizer does not want it, or there is no token
    that would tell one device from another. A changed authorizer has other keys.
    """
    authorizer, token = choice.authorizer, presented.token_for(choice.authorizer)
    if connection is None or token is None or not authorizer.cached_for_http:
        return None
    parts = [connection, str(choice.realm), authorizer.name, str(authorizer.updated_at), token]
    parts += [presented.signature or "", presented.data.get("tls", {}).get("serverName", "")]
    parts += [presented.parameters.get("authorization", "")]
    return hashlib.sha256(json.dumps(parts).encode()).digest()


def _with_certificate(presented: Presented, choice: Choice) -> Presented:
    """What the function is told of a certificate that the account knows (AWS: custom authentication with X.509)."""
    if choice.certificate is None:
        return presented
    known = choice.certificate.certificate
    more = {"x509CertificatePem": known.pem, "principalId": known.fingerprint}
    tls: Mapping[str, Any] = presented.data.get("tls", {})
    return replace(presented, data={**presented.data, "tls": {**tls, **more}})
