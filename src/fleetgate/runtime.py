"""What everything above the records is handed: one frozen value, and the types of the ports it holds."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeAlias, TypeVar

from fleetgate.config import Config
from fleetgate.database.port import Database, Tx
from fleetgate.names import Act, Realm
from fleetgate.pki.issuer import IssuerCertificate
from fleetgate.pki.keys import PrivateKey
from fleetgate.pki.pool import KeyPool
from fleetgate.pki.profile import Profile
from fleetgate.pki.seal import Vault
from fleetgate.pki.signer import Signer

T = TypeVar("T")

Entropy: TypeAlias = Callable[[int], bytes]
"""So many random bytes."""


@dataclass(frozen=True, slots=True)
class HookRequest:
    """What a pre-provisioning hook is asked, member for member AWS's request object (payload version 2020-04-01)."""

    claim_certificate_id: str
    certificate_id: str
    certificate_pem: str
    template_arn: str
    client_id: str
    parameters: Mapping[str, str]
    request_id: str = ""
    """Beside AWS's members: the correlation id of the device's request, for the hook's log and everybody else's."""


@dataclass(frozen=True, slots=True)
class HookAnswer:
    allowed: bool
    parameter_overrides: Mapping[str, str] = field(default_factory=dict)
    """Merged over the request's parameters."""
    reason: str = ""
    """Why not, for the audit trail; a device learns only that it was denied."""


class Hook(Protocol):
    """Someone who is asked first. Fails closed: what goes wrong is an answer that does not allow."""

    async def decide(self, request: HookRequest) -> HookAnswer: ...


class Hooks(Protocol):
    def find(self, realm: Realm, target_arn: str, function: str | None) -> Hook | None:
        """The hook behind a template's `targetArn`; *function* is the handler file bound to it in the registry."""


class Functions(Protocol):
    """Functions of an account and region, called where AWS calls AWS Lambda."""

    async def invoke(self, act: Act, target_arn: str, payload: Any, time_limit: int = 30_000) -> Any:
        """What the function returns for *payload* (JSON values both). It is the one of the act's realm that
        *target_arn* (an ARN, or a bare name) ends with; *time_limit* is in milliseconds. No transaction may be open.

        Raises FunctionUnavailable (none bound, no process, its access key is switched off), FunctionTimedOut,
        FunctionFailed (it raised, or returned what JSON cannot say), Unavailable (no database).
        """


@dataclass(frozen=True, slots=True)
class Refusal:
    """Somebody was told no: who, what for, and why. Written to the audit trail in the background."""

    act: Act
    action: str
    target: str
    reason: str


OCSP_PATH: Final = "/_fleetgate/ocsp"
"""Where the API's listener answers OCSP."""
CRL_PREFIX: Final = "/_fleetgate/crl/"


def crl_path(issuer: str) -> str:
    """Where the API's listener has the revocation list of the CA with this fingerprint."""
    return f"{CRL_PREFIX}{issuer}.crl"


@dataclass(frozen=True, slots=True)
class Issuer:
    """The installation's issuing CA: its certificate, the key behind it, and what it may put into a certificate."""

    certificate: IssuerCertificate
    fingerprint: str
    signer: Signer
    profile: Profile
    chain_pem: str
    """The certificates above a device's, up to and with the root."""


@dataclass(frozen=True, slots=True)
class Runtime:
    config: Config
    database: Database
    issuer: Issuer
    keys: KeyPool
    """Key pairs for those who let the server make theirs."""
    vault: Vault
    hooks: Hooks
    functions: Functions
    clock: Callable[[], int]
    """Milliseconds UTC."""
    entropy: Entropy
    committed: Callable[[], None]
    """Told after every commit, so that the outbox is looked at."""
    refused: Callable[[Refusal], None]
    former: tuple[Issuer, ...] = ()
    """CAs that were replaced: they issue nothing any more, and answer for what they issued."""

    @property
    def issuers(self) -> tuple[Issuer, ...]:
        """All of them, the one that issues first."""
        return self.issuer, *self.former

    def act(self, realm: Realm, actor: str) -> Act:
        """A new act, now, under a correlation id of its own."""
        return Act(realm, actor, self.clock(), str(uuid.UUID(bytes=self.entropy(16), version=4)))

    async def write(self, work: Callable[[Tx], T]) -> T:
        """`Database.write`, and then whoever waits for events is told."""
        result = await self.database.write(work)
        self.committed()
        return result

    async def key_pair(self) -> PrivateKey:
        """From the pool; when that is empty, made on a thread, because a key takes tens of milliseconds."""
        ready = self.keys.take_ready()
        return await asyncio.to_thread(self.keys.take) if ready is None else ready
