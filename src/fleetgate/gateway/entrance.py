"""Who is behind a CONNECT, and what they may do: the one place where each kind of principal comes in."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from fleetgate import access, endpoints
from fleetgate.access import AuthorizerPrincipal, CertificatePrincipal, Grounds, Principal, SignedPrincipal
from fleetgate.database.port import Tx
from fleetgate.errors import AccessDenied, Refused
from fleetgate.gateway.listener import Visitor
from fleetgate.gateway.signed import SignedEntrance, Upgraded
from fleetgate.names import Realm
from fleetgate.pki import certificate
from fleetgate.policy.evaluate import Rights
from fleetgate.provisioning.authorized import AuthorizedEntrance, Peer
from fleetgate.provisioning.authorizer_choice import CUSTOM
from fleetgate.provisioning.custom_authentication import Presented, names_authorizer, of_http, of_mqtt, with_mqtt
from fleetgate.provisioning.just_in_time import JustInTime
from fleetgate.registry import claims
from fleetgate.runtime import Runtime
from fleetgate.wire.mqtt.packets import V5, Connect

_PROTOCOL = "SECURE_MQTT"


@dataclass(frozen=True, slots=True)
class Admission:
    principal: Principal
    grounds: Grounds
    passing: bool
    """Its sessions do not last: it is no device of its own."""


class Entrance:
    """Shared by all connections of a server."""

    def __init__(self, runtime: Runtime, newcomers: JustInTime) -> None:
        self._runtime, self._newcomers = runtime, newcomers
        self._authorized, self._signed = AuthorizedEntrance(runtime), SignedEntrance(runtime)

    async def authenticate(
        self, visitor: Visitor, packet: Connect, client_id: str, *, lasting: bool
    ) -> Admission | None:
        """None for those who are nobody, or not yet. Raises Refused, with the reason for the audit trail.

        Neither is told anything.

        *lasting*: the session that is asked for would outlive what a passing client is given. With a certificate and
        SQLite this never waits.
        """
        if isinstance(visitor, Upgraded):
            return await self._over_websocket(visitor, packet, client_id)
        if visitor.certificate is None or names_authorizer(packet.username):
            return await self._by_authorizer(visitor, packet, client_id)
        fingerprint = certificate.fingerprint(visitor.certificate)
        now, address, server_name = self._runtime.clock(), visitor.address, visitor.server_name

        def look(tx: Tx) -> Admission | None:
            home = endpoints.home(tx, self._runtime.config.gateway, server_name)
            if home is not None and home.domain is not None:
                if home.domain.authentication_type in CUSTOM:
                    return None
                endpoints.check(home.domain, _PROTOCOL, "AWS_X509")
            found = access.identify(tx, fingerprint, now, None if home is None else home.realm)
            passing = lasting and not access.is_device(tx, found)
            return Admission(found, access.grounds(tx, found, client_id, address), passing)

        try:
            admission = await self._runtime.database.glance(look)
        except Refused:
            # A certificate of a registered CA is taken in for the next connection; this one ends all the same.
            if await self._newcomers.meet(visitor.certificate, visitor.server_name):
                return None
            raise
        return admission or await self._by_authorizer(visitor, packet, client_id)

    async def _over_websocket(self, visitor: Upgraded, packet: Connect, client_id: str) -> Admission | None:
        if visitor.principal is not None:
            return await self._admit(visitor.principal, client_id, visitor.address)
        connect = of_mqtt(packet.username, packet.password, packet.client_id, visitor.server_name)
        request = of_http(visitor.request.headers, visitor.request.query, visitor.server_name)
        presented = with_mqtt(request, connect)
        principal = await self._ask(visitor, presented, "MQTT_WSS")
        return None if principal is None else await self._admit(principal, client_id, visitor.address)

    async def _by_authorizer(self, visitor: Visitor, packet: Connect, client_id: str) -> Admission | None:
        presented = of_mqtt(packet.username, packet.password, packet.client_id, visitor.server_name)
        principal = await self._ask(visitor, presented, _PROTOCOL)
        return None if principal is None else await self._admit(principal, client_id, visitor.address)

    async def _ask(self, visitor: Visitor, presented: Presented, protocol: str) -> AuthorizerPrincipal | None:
        # In a task of its own: what answers a CONNECT begins outside of any (`eager`), and time limits need one.
        asking = self._authorized.admit(_peer(visitor), presented, protocol, "Connect")
        return await asyncio.get_running_loop().create_task(asking)

    async def _admit(self, principal: Principal, client_id: str, address: str) -> Admission:
        found = await self._runtime.database.glance(lambda tx: access.grounds(tx, principal, client_id, address))
        return Admission(principal, found, passing=False)

    async def look_again(self, principal: Principal, client_id: str, address: str) -> tuple[Principal, Grounds]:
        """The principal and its rights as they stand now. Raises Refused when it may no longer be here."""
        if isinstance(principal, AuthorizerPrincipal):
            principal = await self._authorized.refreshed(principal)
        elif isinstance(principal, SignedPrincipal):
            principal = await self._signed.refreshed(principal)

        def look(tx: Tx) -> tuple[Principal, Grounds]:
            found = principal
            if isinstance(found, CertificatePrincipal):
                found = access.identify_again(tx, found, self._runtime.clock())
                if claims.is_off(tx, found.realm, found.fingerprint):
                    raise AccessDenied(f"Claim {found.fingerprint} was switched off.")
            return found, access.grounds(tx, found, client_id, address)

        return await self._runtime.database.glance(look)


def _peer(visitor: Visitor) -> Peer:
    leaf = visitor.certificate
    return Peer(None if leaf is None else certificate.fingerprint(leaf), visitor.server_name, visitor.address)


def called(visitor: Visitor) -> str:
    """A peer that was not let in, as the audit trail names it."""
    return "unknown" if visitor.certificate is None else f"cert/{certificate.fingerprint(visitor.certificate)}"


def questions(packet: Connect, grounds: Grounds, client_id: str, realm: Realm) -> Iterator[tuple[str, str, Rights]]:
    """What a CONNECT has to be allowed: action, resource and the rights that hold for it. `iot:Connect` is judged
    under conditions of its own, and the will as the messages that it becomes.
    """
    wishes = {"iot:ConnectAttributes": _connect_attributes(packet)}
    if packet.will is not None:
        wishes["iot:LastWillTopic"] = [realm.arn("topic", packet.will.topic)]
    rights = grounds.rights(grounds.context.extended(wishes))
    yield "iot:Connect", realm.arn("client", client_id), rights
    if packet.will is not None:
        topic = realm.arn("topic", packet.will.topic)
        yield "iot:Publish", topic, grounds.rights()
        if packet.will.retain:
            yield "iot:RetainPublish", topic, grounds.rights()


def _connect_attributes(packet: Connect) -> list[str]:
    attributes = []
    expiry = packet.properties.get("session_expiry_interval", 0)
    if expiry if packet.version >= V5 else not packet.clean_start:
        attributes.append("PersistentConnect")
    if packet.will is not None:
        attributes.append("LastWill")
    return attributes
