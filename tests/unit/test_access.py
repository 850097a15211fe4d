"""Certificates become principals, policies become rights."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from fleetgate import access
from fleetgate.access import CertificatePrincipal
from fleetgate.database.open import memory
from fleetgate.database.port import Tx
from fleetgate.errors import AccessDenied
from fleetgate.names import Act, Realm
from fleetgate.pki import certificate as x509
from fleetgate.pki import keys
from fleetgate.pki.issuer import IssuerCertificate
from fleetgate.pki.profile import AWS_DEVICE, ROOT_CA, common_name
from fleetgate.policy.document import parse
from fleetgate.policy.evaluate import Named
from fleetgate.registry import attachments, certificates, claims, policies, thing_groups, thing_types, things
from fleetgate.registry.certificates import Certificate, Mode, Origin, Status

NOW = 1_790_000_000_000
DAY = 86_400_000
REALM = Realm("123456789012", "us-east-1")
ACT = Act(REALM, "system", NOW, str(uuid.UUID(int=1)))
ELSEWHERE = Act(Realm("210987654321", "us-east-1"), "system", NOW, str(uuid.UUID(int=2)))
RED = "a" * 64


@pytest.fixture
def tx() -> Iterator[Tx]:
    database = memory()
    yield database.tx
    database.close()


def certify(tx: Tx, act: Act = ACT, status: Status = Status.ACTIVE, **more: Any) -> Certificate:
    settings: dict[str, Any] = {
        "public_key_fingerprint": "k",
        "not_before": NOW - DAY,
        "not_after": NOW + DAY,
        "origin": Origin.ISSUED,
    }
    return certificates.create(tx, act, RED, more.pop("pem", "pem"), status, **settings | more)


# --- identify ---------------------------------------------------------------------------------------------------------


def test_a_certificate_in_force(tx: Tx) -> None:
    known = certify(tx)
    principal = access.identify(tx, RED, NOW)
    assert principal == CertificatePrincipal(REALM, known)
    assert (principal.fingerprint, principal.actor) == (RED, f"cert/{RED}")


def test_nobody_knows_it(tx: Tx) -> None:
    with pytest.raises(AccessDenied, match="is not registered"):
        access.identify(tx, RED, NOW)


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.ACTIVE])
def test_it_is_not_active(tx: Tx, status: Status) -> None:
    certify(tx, status=status)
    with pytest.raises(AccessDenied, match=f"is {status}, not ACTIVE"):
        access.identify(tx, RED, NOW)


@pytest.mark.parametrize(("when", "why"), [(NOW - DAY - 1, "is not valid yet"), (NOW + DAY + 1, "has expired")])
def test_it_is_not_its_time(tx: Tx, when: int, why: str) -> None:
    certify(tx)
    with pytest.raises(AccessDenied, match=why):
        access.identify(tx, RED, when)
    access.identify(tx, RED, NOW - DAY)
    access.identify(tx, RED, NOW + DAY)


@pytest.mark.parametrize("status", [Status.ACTIVE, Status.INACTIVE])
@pytest.mark.parametrize("first", [Mode.DEFAULT, Mode.SNI_ONLY])
def test_nobody_is_cut_off_by_who_registers_the_certificate_after_them(tx: Tx, first: Mode, status: Status) -> None:
    """To register a certificate without its CA takes no more than to have seen it."""
    later = replace(ELSEWHERE, now=NOW + 1)
    certify(tx, mode=first)
    certify(tx, later, status=status, mode=Mode.SNI_ONLY)
    assert access.identify(tx, RED, NOW).realm == REALM


def test_who_proved_the_cas_key_comes_before_who_came_first(tx: Tx) -> None:
    certify(tx, ELSEWHERE, mode=Mode.SNI_ONLY)
    certify(tx, replace(ACT, now=NOW + 1), mode=Mode.DEFAULT)
    assert access.identify(tx, RED, NOW).realm == REALM


def test_the_server_name_decides_between_accounts(tx: Tx) -> None:
    certify(tx)
    certify(tx, ELSEWHERE, mode=Mode.SNI_ONLY)
    assert access.identify(tx, RED, NOW).realm == REALM
    assert access.identify(tx, RED, NOW, REALM).realm == REALM
    assert access.identify(tx, RED, NOW, ELSEWHERE.realm).realm == ELSEWHERE.realm
    other = Realm("123456789012", "eu-west-1")
    with pytest.raises(AccessDenied, match="not registered in 123456789012/eu-west-1, which the server name tells"):
        access.identify(tx, RED, NOW, other)


def test_what_its_own_realm_disabled_is_not_let_in_by_another(tx: Tx) -> None:
    certify(tx, status=Status.REVOKED)
    certify(tx, replace(ELSEWHERE, now=NOW + 1), mode=Mode.SNI_ONLY)
    with pytest.raises(AccessDenied, match="is REVOKED"):
        access.identify(tx, RED, NOW)


# --- grounds ----------------------------------------------------------------------------------------------------------


def attach(tx: Tx, name: str, resource: str, target: str, **condition: Any) -> None:
    statement: dict[str, Any] = {"Effect": "Allow", "Action": "iot:Publish", "Resource": resource}
    if condition:
        statement["Condition"] = condition
    policies.create(tx, ACT, name, json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    attachments.attach_policy(tx, ACT, name, target)


def may(tx: Tx, topic: str, client_id: str = "c", address: str = "192.0.2.1") -> bool:
    grounds = access.grounds(tx, access.identify(tx, RED, NOW), client_id, address)
    return bool(grounds.rights().decide("iot:Publish", REALM.arn("topic", topic)))


CERTIFICATE = REALM.arn("cert", RED)


def test_without_a_policy_nothing_is_allowed(tx: Tx) -> None:
    certify(tx)
    assert not may(tx, "a")


def test_a_policy_on_the_certificate(tx: Tx) -> None:
    certify(tx)
    attach(tx, "p", REALM.arn("topic", "a"), CERTIFICATE)
    assert may(tx, "a")
    assert not may(tx, "b")


@pytest.mark.parametrize(("address", "allowed"), [("192.0.2.7", True), ("198.51.100.1", False), ("", False)])
def test_a_condition_on_the_address(tx: Tx, address: str, allowed: bool) -> None:
    certify(tx)
    attach(tx, "p", "*", CERTIFICATE, IpAddress={"aws:SourceIp": "192.0.2.0/24"})
    assert may(tx, "a", address=address) is allowed


def test_it_speaks_for_the_thing_that_the_client_id_names(tx: Tx) -> None:
    certify(tx)
    thing_types.create(tx, ACT, "pump")
    things.create(tx, ACT, "t", type_name="pump", attributes={"hall": "7"})
    attachments.attach_principal(tx, ACT, "t", RED)
    attach(tx, "own", REALM.arn("topic", "${iot:Connection.Thing.ThingName}"), CERTIFICATE)
    attach(tx, "type", REALM.arn("topic", "${iot:Connection.Thing.ThingTypeName}/x"), CERTIFICATE)
    attach(tx, "hall", REALM.arn("topic", "hall/${iot:Connection.Thing.Attributes[hall]}"), CERTIFICATE)
    assert [may(tx, topic, "t") for topic in ("t", "pump/x", "hall/7", "u")] == [True, True, True, False]
    assert [may(tx, topic, "u") for topic in ("t", "pump/x", "hall/7", "u")] == [False] * 4


def test_an_exclusive_thing_is_spoken_for_under_any_client_id(tx: Tx) -> None:
    certify(tx)
    things.create(tx, ACT, "t")
    attachments.attach_principal(tx, ACT, "t", RED, exclusive=True)
    grounds = access.grounds(tx, access.identify(tx, RED, NOW), "anything", "")
    assert grounds.thing == "t"


def test_policies_of_the_things_groups_hold_for_its_own_connection(tx: Tx) -> None:
    certify(tx)
    things.create(tx, ACT, "t")
    attachments.attach_principal(tx, ACT, "t", RED)
    thing_groups.create(tx, ACT, "above")
    thing_groups.create(tx, ACT, "g", parent="above")
    thing_groups.add_thing(tx, ACT, "g", "t")
    attach(tx, "p", "*", REALM.arn("thinggroup", "above"))
    assert may(tx, "a", "t")
    assert not may(tx, "a", "c")


@pytest.mark.parametrize(("client_id", "allowed"), [("t", True), ("c", False)])
def test_a_condition_on_being_attached(tx: Tx, client_id: str, allowed: bool) -> None:
    certify(tx)
    things.create(tx, ACT, "t")
    attachments.attach_principal(tx, ACT, "t", RED)
    attach(tx, "p", "*", CERTIFICATE, Bool={"iot:Connection.Thing.IsAttached": "true"})
    assert may(tx, "a", client_id) is allowed


def test_variables_of_the_certificate(tx: Tx) -> None:
    issuer_key, key = keys.generate(keys.KeyKind.EC_P256), keys.generate(keys.KeyKind.EC_P256)
    issuer = IssuerCertificate.self_signed(common_name("root"), issuer_key.public_key())
    prepared = x509.prepare(ROOT_CA, issuer, issuer.name, issuer_key.public_key(), 1 << 158, NOW)
    root = x509.complete(prepared, issuer.algorithm.sign(issuer_key, prepared.tbs))
    issuer = IssuerCertificate.of(root)
    prepared = x509.prepare(AWS_DEVICE, issuer, common_name("pump-7"), key.public_key(), 1 << 157, NOW)
    certify(tx, pem=x509.pem(x509.complete(prepared, issuer.algorithm.sign(issuer_key, prepared.tbs))))
    attach(tx, "p", REALM.arn("topic", "${iot:Certificate.Subject.CommonName}"), CERTIFICATE)
    attach(tx, "q", REALM.arn("topic", "${iot:Certificate.SerialNumber}"), CERTIFICATE)
    assert may(tx, "pump-7")
    assert may(tx, f"{1 << 157:x}")
    assert not may(tx, "pump-8")


# --- claims of trusted users ------------------------------------------------------------------------------------------

PROVISION = "$aws/provisioning-templates/T/provision/json"


def test_a_trusted_users_claim_may_provision_by_its_template_alone(tx: Tx) -> None:
    certify(tx, listed=False)
    claims.register(
        tx,
        ACT,
        RED,
        kind=claims.Kind.TRUSTED_USER,
        template_name="T",
        not_before=NOW,
        not_after=NOW + claims.TRUSTED_USER_LIFETIME,
    )
    assert may(tx, "$aws/certificates/create/json")
    assert may(tx, "$aws/certificates/create-from-csr/cbor")
    assert may(tx, PROVISION)
    assert not may(tx, PROVISION.replace("/T/", "/U/"))
    assert not may(tx, "a")


def test_one_whose_claim_is_gone_may_nothing(tx: Tx) -> None:
    certify(tx, listed=False)
    assert not may(tx, PROVISION)


# --- principals without a certificate ---------------------------------------------------------------------------------

USER = "arn:aws:iam::123456789012:user/u"
READS = Named("reads", "1", parse(json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "iot:Connect", "Resource": REALM.arn("client", "${iot:ClientId}")}
]})))  # fmt: skip


@pytest.mark.parametrize(
    ("principal", "actor"),
    [
        (access.SignedPrincipal(REALM, "AIDA1", USER, (READS,)), USER),
        (access.AuthorizerPrincipal(REALM, "gate", "p1", (READS,)), "authorizer/gate/p1"),
    ],
)  # fmt: skip
def test_who_has_no_certificate_brings_policies(tx: Tx, principal: access.Principal, actor: str) -> None:
    found = access.grounds(tx, principal, "c", "127.0.0.1")
    assert (principal.actor, principal.ends_at, found.thing) == (actor, None, None)
    assert found.rights().decide("iot:Connect", REALM.arn("client", "c"))
    assert not found.rights().decide("iot:Connect", REALM.arn("client", "d"))
    assert found.context.get("iot:connection.thing.isattached") == ("false",)
