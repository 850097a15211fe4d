"""The provisioning topics of a whole installation, asked without sockets, and with a clock that the test moves."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from tests.fleet import ClaimFleet
from tests.server import REALM, ROLE

from fleetgate import access
from fleetgate.database.port import Tx
from fleetgate.gateway import reserved
from fleetgate.names import Act, Realm
from fleetgate.provisioning.claim import Asker
from fleetgate.registry import templates
from fleetgate.runtime import Runtime

T = TypeVar("T")
Format = Literal["json", "cbor"]

CREATE, CREATE_FROM_CSR = "$aws/certificates/create", "$aws/certificates/create-from-csr"
HOUR = 3_600_000


@dataclass(frozen=True, slots=True)
class Answer:
    accepted: bool
    content: dict[str, Any]

    @property
    def code(self) -> tuple[int, str]:
        """Of a rejection."""
        assert not self.accepted, self.content
        return self.content["statusCode"], self.content["errorCode"]


class Desk:
    """Where devices ask. Nobody but the test moves the clock."""

    def __init__(self, runtime: Runtime, fleet: ClaimFleet, folder: Path) -> None:
        self.now = runtime.clock()
        self.runtime = replace(runtime, clock=lambda: self.now)
        self.fleet = fleet
        self.folder = folder

    def act(self) -> Act:
        return self.runtime.act(REALM, "system")

    async def read(self, work: Callable[[Tx], T]) -> T:
        return await self.runtime.database.read(work)

    async def write(self, work: Callable[[Tx, Act], T]) -> T:
        act = self.act()
        return await self.runtime.write(lambda tx: work(tx, act))

    async def template(self, name: str, body: str, **options: Any) -> None:
        await self.write(lambda tx, act: templates.create(tx, act, name, body, ROLE, **{"enabled": True, **options}))

    async def ask(
        self,
        topic: str,
        request: Any = None,
        form: Format = "json",
        *,
        who: str | None = None,
        client_id: str = "device",
        realm: Realm = REALM,
    ) -> Answer:
        """What is answered to *request* (bytes stay as they are) by the certificate *who*, if not by the claim."""
        fingerprint = who or self.fleet.fingerprint
        principal = await self.read(lambda tx: access.identify(tx, fingerprint, self.now))
        call = reserved.find(f"{topic}/{form}")
        assert call is not None
        payload = request if isinstance(request, bytes) else encode(form, {} if request is None else request)
        act = self.runtime.act(realm, principal.actor)
        answer = await reserved.answer(self.runtime, act, Asker(principal, client_id), call, payload)
        ending = answer.topic.removeprefix(f"{topic}/{form}/")
        assert ending in {"accepted", "rejected"}, answer.topic
        return Answer(ending == "accepted", decode(form, answer.payload))

    async def certificate(
        self, form: Format = "json", key: ec.EllipticCurvePrivateKey | None = None, **more: Any
    ) -> dict[str, Any]:
        """The accepted answer to a signing request."""
        answer = await self.ask(CREATE_FROM_CSR, {"certificateSigningRequest": csr(key)}, form, **more)
        assert answer.accepted, answer.content
        return answer.content

    async def register(
        self, token: str, serial: str = "SN-1", form: Format = "json", *, template: str = "fleet", **more: Any
    ) -> Answer:
        request = {"certificateOwnershipToken": token, "parameters": {"SerialNumber": serial}}
        return await self.ask(f"$aws/provisioning-templates/{template}/provision", request, form, **more)


def encode(form: Format, value: Any) -> bytes:
    return json.dumps(value).encode() if form == "json" else cbor2.dumps(value)


def decode(form: Format, payload: bytes) -> dict[str, Any]:
    value = json.loads(payload) if form == "json" else cbor2.loads(payload)
    assert isinstance(value, dict)
    return value


def csr(key: ec.EllipticCurvePrivateKey | None = None, name: str = "device") -> str:
    """A signing request as PEM."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return made.public_bytes(Encoding.PEM).decode()
