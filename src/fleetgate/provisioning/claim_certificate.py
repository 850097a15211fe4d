"""Claim certificates made here: certificate, key, policy and budget of a batch in one act."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from fleetgate import authority
from fleetgate.database.port import Tx
from fleetgate.errors import AlreadyExists
from fleetgate.names import Act, Realm
from fleetgate.pki import keys
from fleetgate.registry import attachments, audit, claims, policies, templates
from fleetgate.registry.budgets import Rate
from fleetgate.registry.certificates import Status
from fleetgate.registry.claims import Claim
from fleetgate.runtime import Runtime

_REQUESTS: Final = ("$aws/certificates/create/*", "$aws/certificates/create-from-csr/*")


@dataclass(frozen=True, slots=True)
class Budget:
    """What a claim may still do; None is no bound (times: the certificate's own)."""

    template_name: str | None
    """The only template it may provision by; None for any."""
    maximum: int | None = None
    rate: Rate | None = None
    not_before: int | None = None
    not_after: int | None = None
    serials: tuple[str, ...] = ()
    batch: str = ""

    def register(self, tx: Tx, act: Act, fingerprint: str) -> Claim:
        """Raises NotFound for an unknown template or certificate, AlreadyExists, InvalidRequest."""
        if self.template_name is not None:
            templates.get(tx, act.realm, self.template_name)
        claim = claims.register(
            tx,
            act,
            fingerprint,
            template_name=self.template_name,
            batch=self.batch,
            maximum=self.maximum,
            rate=self.rate,
            not_before=self.not_before,
            not_after=self.not_after,
            serials=self.serials,
        )
        details = {"template": self.template_name, "count": self.maximum, "batch": self.batch, "used": claim.used}
        audit.add(tx, act, "RegisterClaim", act.realm.arn("cert", fingerprint), "ok", details=details)
        return claim


@dataclass(frozen=True, slots=True)
class ClaimCertificate:
    """A new claim, and what goes into the devices."""

    claim: Claim
    certificate_pem: str
    private_key_pem: str = field(repr=False)
    policy_name: str


async def create(
    runtime: Runtime,
    act: Act,
    key: keys.PrivateKey,
    budget: Budget,
    keep: Callable[[str, str], None] = lambda certificate_pem, private_key_pem: None,
) -> ClaimCertificate:
    """A certificate for *key* that may ask to be provisioned, and do nothing else.

    *keep* is given both as PEM before anything is committed: a claim whose key nobody has would only wait to be
    found. Raises what `Budget.register` and *keep* raise, and AlreadyExists where the policy's name stands for another
    policy; then nothing was made but the record of an intent.
    """
    issued = await authority.issue(runtime, act, key.public_key())
    policy, private_key = policy_name(budget.template_name), keys.private_key_pem(key)
    keep(issued.pem, private_key)

    def enter(tx: Tx) -> Claim:
        authority.record(tx, act, issued, Status.ACTIVE)
        _policy(tx, act, policy, policy_document(act.realm, budget.template_name))
        certificate_arn = act.realm.arn("cert", issued.fingerprint)
        attachments.attach_policy(tx, act, policy, certificate_arn)
        audit.add(tx, act, "AttachPolicy", act.realm.arn("policy", policy), "ok", details={"target": certificate_arn})
        return budget.register(tx, act, issued.fingerprint)

    return ClaimCertificate(await runtime.write(enter), issued.pem, private_key, policy)


def _policy(tx: Tx, act: Act, name: str, document: str) -> None:
    """Raises AlreadyExists rather than give a claim the rights of some policy that only has the name."""
    if policies.find(tx, act.realm, name) is None:
        policies.create(tx, act, name, document)
        audit.add(tx, act, "CreatePolicy", act.realm.arn("policy", name), "ok")
    elif json.loads(policies.get_version(tx, act.realm, name).document) != json.loads(document):
        raise AlreadyExists(
            f"Policy {name} exists and says something else than a claim certificate's. Delete it, and it is made anew, "
            "or give it a default version that allows to connect, and to ask for a certificate and for the template."
        )


def policy_name(template_name: str | None) -> str:
    return "claim" if template_name is None else f"claim-{template_name}"


def policy_document(realm: Realm, template_name: str | None) -> str:
    """An IoT policy, as JSON: connect under any client id, ask for a certificate and for the template, nothing else."""
    return json.dumps({"Version": "2012-10-17", "Statement": [connect(realm, "*"), *asking(realm, template_name)]})


def connect(realm: Realm, client_id: str) -> dict[str, Any]:
    """The statement that lets a device connect under *client_id*, which may hold wildcards and variables."""
    return _allow("iot:Connect", realm.arn("client", client_id))


def asking(realm: Realm, template_name: str | None) -> list[dict[str, Any]]:
    """The statements for the provisioning topics of one template, or of all."""
    topics = [*_REQUESTS, f"$aws/provisioning-templates/{template_name or '*'}/provision/*"]
    return [
        _allow(["iot:Publish", "iot:Receive"], [realm.arn("topic", topic) for topic in topics]),
        _allow("iot:Subscribe", [realm.arn("topicfilter", topic) for topic in topics]),
    ]


def _allow(action: str | list[str], resource: str | list[str]) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource}
