"""Connections of those who sign with an access key (SigV4): MQTT over WebSocket, the signature in the URL's query."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from fleetgate import operators
from fleetgate.access import SignedPrincipal
from fleetgate.errors import AccessDenied
from fleetgate.operators import Operator, Operators
from fleetgate.policy.document import parse
from fleetgate.policy.evaluate import Named
from fleetgate.runtime import Runtime
from fleetgate.wire.restjson.message import Request
from fleetgate.wire.restjson.sigv4 import WEBSOCKET_SERVICE, Credential, Form, SignatureRefused

LONGEST: Final = 24 * 3600 * 1000
"""Milliseconds that a WebSocket lasts (AWS IoT Core quotas)."""
AGAIN: Final = 60_000
"""Milliseconds after which the key and its policies are looked at again."""
_FORMS: Final[frozenset[Form]] = frozenset({"websocket"})


@dataclass(frozen=True, slots=True)
class Upgraded:
    """Who is at the other end of a WebSocket: a `Visitor`."""

    request: Request
    """The upgrade."""
    server_name: str | None
    address: str
    principal: SignedPrincipal | None
    """None: it did not sign."""
    certificate: None = None


class SignedEntrance:
    """Shared by all connections of a server."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime, self._operators = runtime, Operators(runtime)

    async def identify(self, request: Request) -> SignedPrincipal:
        """Whoever signed the upgrade. Raises SignatureRefused, InvalidRequest, Unavailable."""
        now = self._runtime.clock()
        credential, operator = await self._operators.identify(request, now, _FORMS)
        if credential.service != WEBSOCKET_SERVICE:
            raise SignatureRefused("InvalidSignatureException", f"Sign for the service {WEBSOCKET_SERVICE}.")
        return replace(_principal(credential, operator, now), ends_at=now + LONGEST)

    async def refreshed(self, principal: SignedPrincipal) -> SignedPrincipal:
        """*principal* as its key and its policies are now. Raises AccessDenied, Unavailable."""
        now, credential = self._runtime.clock(), principal.presented
        assert isinstance(credential, Credential)
        try:
            claimed = await self._operators.claimed(credential, now, _FORMS)
        except SignatureRefused as error:
            raise AccessDenied(error.message) from error
        return replace(_principal(credential, claimed.operator, now), ends_at=principal.ends_at)


def _principal(credential: Credential, operator: Operator, now: int) -> SignedPrincipal:
    return SignedPrincipal(
        operators.realm(operator.account, credential.region),
        operator.user_id,
        operator.actor,
        _account_itself() if operator.policies is None else operator.policies,
        credential.access_key_id,
        bounds=operator.session_policies,
        facts=operator.facts,
        refresh_at=now + AGAIN,
        presented=credential,
    )


@lru_cache(maxsize=1)
def _account_itself() -> tuple[Named, ...]:
    """An account's own access key may do everything in it."""
    allow = {"Effect": "Allow", "Action": "iot:*", "Resource": "*"}
    return (Named("account", "1", parse(json.dumps({"Version": "2012-10-17", "Statement": [allow]}))),)
