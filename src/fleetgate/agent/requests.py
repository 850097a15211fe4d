"""The three provisioning requests on the wire, as JSON or CBOR (AWS: device provisioning MQTT API).

CreateCertificateFromCsr, CreateKeysAndCertificate, RegisterThing: a request topic, and `/accepted` and `/rejected`
below it for the answer, in the format of the request.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import cbor2

from fleetgate.agent.errors import AnswerUnusable, Rejected
from fleetgate.wire import cbor

Format = Literal["json", "cbor"]
FORMATS: Final[tuple[Format, ...]] = ("json", "cbor")


@dataclass(frozen=True, slots=True)
class Operation:
    """One kind of request, and where it goes."""

    name: str
    """AWS's."""
    topic: str
    format: Format

    @property
    def accepted(self) -> str:
        return f"{self.topic}/accepted"

    @property
    def rejected(self) -> str:
        return f"{self.topic}/rejected"

    @property
    def answers(self) -> tuple[str, str]:
        return self.accepted, self.rejected

    def encode(self, request: Mapping[str, Any]) -> bytes:
        return json.dumps(request).encode() if self.format == "json" else cbor2.dumps(dict(request))

    def decode(self, topic: str, payload: bytes) -> Mapping[str, Any]:
        """The answer's members. Raises Rejected when it came on the rejected topic, AnswerUnusable."""
        try:
            members = json.loads(payload) if self.format == "json" else cbor.parse(payload)
        except (ValueError, RecursionError) as error:
            raise AnswerUnusable(self.name, f"it is not {self.format.upper()}") from error
        if not isinstance(members, dict):
            raise AnswerUnusable(self.name, f"it is {self.format.upper()}, but no map of members")
        if topic == self.rejected:
            raise _rejection(self.name, members)
        return members


def create_keys(form: Format) -> Operation:
    return Operation("CreateKeysAndCertificate", f"$aws/certificates/create/{form}", form)


def create_from_csr(form: Format) -> Operation:
    return Operation("CreateCertificateFromCsr", f"$aws/certificates/create-from-csr/{form}", form)


def register_thing(template: str, form: Format) -> Operation:
    return Operation("RegisterThing", f"$aws/provisioning-templates/{template}/provision/{form}", form)


@dataclass(frozen=True, slots=True)
class Certified:
    """The answer to either of the two that create a certificate."""

    certificate_id: str
    certificate_pem: str
    token: str = field(repr=False)
    private_key: str | None = field(default=None, repr=False)
    """PEM, from CreateKeysAndCertificate alone."""


@dataclass(frozen=True, slots=True)
class Registered:
    """The answer to RegisterThing."""

    thing_name: str | None
    """None where the template has no thing."""
    device_configuration: Mapping[str, Any]


def certified(operation: Operation, members: Mapping[str, Any]) -> Certified:
    """Raises AnswerUnusable when a member is missing."""
    wanted = ["certificateId", "certificatePem", "certificateOwnershipToken"]
    if operation.name == "CreateKeysAndCertificate":
        wanted.append("privateKey")
    missing = [name for name in wanted if not isinstance(members.get(name), str) or not members[name]]
    if missing:
        raise AnswerUnusable(operation.name, f"it lacks {', '.join(missing)}")
    return Certified(*(members[name] for name in wanted))


def registered(operation: Operation, members: Mapping[str, Any]) -> Registered:
    """Raises AnswerUnusable for members of the wrong kind."""
    thing, configuration = members.get("thingName"), members.get("deviceConfiguration")
    if not isinstance(thing, str | None):
        raise AnswerUnusable(operation.name, "its thingName is no text")
    if not isinstance(configuration, dict | None):
        raise AnswerUnusable(operation.name, "its deviceConfiguration is no map")
    return Registered(thing or None, configuration or {})


def _rejection(operation: str, members: Mapping[str, Any]) -> Rejected:
    """AWS promises all three members; a missing status counts as the server's fault."""
    status = members.get("statusCode")
    return Rejected(
        operation,
        status if isinstance(status, int) else 500,
        str(members.get("errorCode", "")),
        str(members.get("errorMessage", "")),
        str(members.get("requestId", "")),
    )
