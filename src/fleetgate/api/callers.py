"""Who signed a request (Signature Version 4): an access key, and with it an account. The scope names the region."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from fleetgate.names import Realm
from fleetgate.registry import access_keys
from fleetgate.registry.access_keys import AccessKey, Status
from fleetgate.runtime import Runtime
from fleetgate.wire.restjson import sigv4
from fleetgate.wire.restjson.message import Request
from fleetgate.wire.restjson.sigv4 import Credential

_KEY_ID: Final = re.compile(r"[A-Z0-9]{16,128}")


class Callers:
    """Checks signatures for one runtime; shared by all requests."""

    def __init__(self, runtime: Runtime) -> None:
        self._database, self._vault = runtime.database, runtime.vault
        self._verifier = sigv4.Verifier(runtime.config.api.clock_skew)

    async def key(self, credential: Credential) -> AccessKey:
        """The access key that *credential* names, not proven yet. Raises SignatureRefused."""
        if credential.form != "header":
            raise sigv4.SignatureRefused(
                "IncompleteSignatureException", "This API takes signatures in the Authorization header only."
            )
        if credential.security_token is not None or not _KEY_ID.fullmatch(credential.access_key_id):
            raise sigv4.unknown_key()
        found = await self._database.glance(lambda tx: access_keys.find(tx, credential.access_key_id))
        if found is None or found.status is not Status.ACTIVE:
            raise sigv4.unknown_key()
        return found

    def verify(self, request: Request, credential: Credential, key: AccessKey, now: int) -> None:
        """Raises SignatureRefused unless the owner of *key* signed *request*; Unavailable if its secret is no more."""
        self._verifier.verify(request, credential, self._vault.open_sealed(key.sealed_secret), now)


def actor(key: AccessKey) -> str:
    """As the audit trail names whoever holds *key*."""
    return f"arn:aws:iam::{key.account}:access-key/{key.id}"


@lru_cache(maxsize=1024)
def realm(account: str, region: str) -> Realm:
    """Raises InvalidRequest. A region needs no setting up: it appears when somebody first asks for it."""
    return Realm(account, region)
