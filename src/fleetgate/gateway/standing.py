"""Who a connection is, and what it may do as things stand."""

from __future__ import annotations

import structlog

from fleetgate.access import AuthorizerPrincipal, CertificatePrincipal, Grounds, Principal
from fleetgate.names import Act
from fleetgate.runtime import Refusal, Runtime

log = structlog.get_logger(__name__)


class Standing:
    """Of one connection; `changed` when its rights were looked up again."""

    __slots__ = ("_grounds", "_rights", "_runtime", "address", "client_id", "principal", "realm", "told")

    def __init__(self, runtime: Runtime, principal: Principal, grounds: Grounds, client_id: str, address: str) -> None:
        self._runtime = runtime
        self.client_id, self.address, self.realm = client_id, address, principal.realm
        self.told = ""
        """Of the last denial: what the device is told."""
        self.changed(principal, grounds)

    def changed(self, principal: Principal, grounds: Grounds) -> None:
        self.principal, self._grounds, self._rights = principal, grounds, grounds.rights()

    @property
    def thing(self) -> str | None:
        return self._grounds.thing

    def holds(self, policy: str) -> bool:
        """Whether its rights rest on this policy."""
        return any(each.name == policy for each in self._grounds.policies)

    def may_receive(self, topic: str) -> bool:
        """iot:Receive; nobody is told."""
        return bool(self._rights.decide("iot:Receive", self.realm.arn("topic", topic)))

    def may(self, action: str, kind: str, name: str) -> bool:
        """Judge, and write a denial down."""
        resource = self.realm.arn(kind, name)
        verdict = self._rights.decide(action, resource)
        if not verdict:
            self.refuse(action, resource, verdict.explain("The connection"))
        return bool(verdict)

    def refuse(self, action: str, resource: str, reason: str) -> None:
        """Write a denial down, and keep what the device is told: the reason, and where to find it."""
        act = self.act()
        self.told = f"{reason} (request {act.request_id})"
        self._runtime.refused(Refusal(act, action, resource, reason))
        log.info("refused", action=action, reason=reason, client_id=self.client_id, request_id=act.request_id)

    def act(self) -> Act:
        return self._runtime.act(self.realm, self.principal.actor)

    def outlived(self) -> bool:
        """Its policies are to be asked for again."""
        principal = self.principal
        if isinstance(principal, CertificatePrincipal) or principal.refresh_at is None:
            return False
        return principal.refresh_at <= self._runtime.clock()

    def overstayed(self) -> bool:
        """An authorizer gave it a time, and that is over."""
        return isinstance(self.principal, AuthorizerPrincipal) and self.expired()

    def expired(self) -> bool:
        """Its credentials were good for a time, and that is over."""
        return self.principal.ends_at is not None and self.principal.ends_at <= self._runtime.clock()
