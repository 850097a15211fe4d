"""What is left of a device that is reset, sold or scrapped."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fleetgate.database.port import Tx
from fleetgate.errors import CertificateState, NotFound
from fleetgate.names import Act, Realm
from fleetgate.pki.crl import Reason
from fleetgate.provisioning import end_of_life
from fleetgate.provisioning.end_of_life import Withdrawal
from fleetgate.registry import (
    attachments,
    billing_groups,
    certificates,
    claims,
    issuances,
    outbox,
    policies,
    revocations,
    thing_groups,
    thing_types,
    things,
)
from fleetgate.registry.certificates import Certificate, Status
from fleetgate.registry.events import IdentityWithdrawn
from fleetgate.registry.issuances import Intent

CA = "c" * 64
ALLOW = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:*", "Resource": "*"}]}'


@pytest.fixture
def realm(act: Act) -> Realm:
    return act.realm


@pytest.fixture
def held(tx: Tx, later: Callable[..., Act], realm: Realm, certify: Callable[..., Certificate]) -> Certificate:
    """The certificate of `pump`, which has everything that a thing can have."""
    act = later()
    thing_types.create(tx, act, "kind")
    thing_groups.create(tx, act, "hall")
    billing_groups.create(tx, act, "bill")
    things.create(tx, act, "pump", type_name="kind", attributes={"owner": "first"})
    thing_groups.add_thing(tx, act, "hall", "pump")
    billing_groups.add_thing(tx, act, "bill", "pump")
    policies.create(tx, act, "p", ALLOW)
    made = certify("old", Status.ACTIVE)
    issuances.begin(tx, act, Intent(CA, "a1", "CN=x", "0" * 64, "1" * 64, "aws-device"))
    issuances.complete(tx, act, CA, "a1", made.fingerprint)
    attachments.attach_principal(tx, act, "pump", made.fingerprint)
    attachments.attach_policy(tx, act, "p", realm.arn("cert", made.fingerprint))
    outbox.delivered(tx, [entry.id for entry in outbox.pending(tx, 1000)])
    return made


def withdrawn(tx: Tx) -> list[IdentityWithdrawn]:
    return [entry.event for entry in outbox.pending(tx, 1000) if isinstance(entry.event, IdentityWithdrawn)]


def test_a_device_that_is_no_more(tx: Tx, later: Callable[..., Act], realm: Realm, held: Certificate) -> None:
    done = end_of_life.decommission(tx, later(), "pump")
    assert done == Withdrawal("pump", "deleted", (held.fingerprint,), ())
    assert things.find(tx, realm, "pump") is None
    assert certificates.get(tx, realm, held.fingerprint).status is Status.REVOKED
    [revoked] = revocations.in_force(tx, CA, 0)
    assert (revoked.fingerprint, revoked.reason) == (held.fingerprint, Reason.CESSATION_OF_OPERATION)
    policies.delete(tx, later(), "p")  # nobody has it any more
    assert withdrawn(tx) == [IdentityWithdrawn("pump", [held.fingerprint], True)]
    assert end_of_life.decommission(tx, later(), "pump") == Withdrawal("pump", "none", (), ())
    assert len(withdrawn(tx)) == 1


def test_a_record_may_stay(tx: Tx, later: Callable[..., Act], realm: Realm, held: Certificate) -> None:
    for number in range(2):
        done = end_of_life.decommission(tx, later(), "pump", keep_record=True, keep_retained=True)
        assert done == Withdrawal("pump", "kept", () if number else (held.fingerprint,), ())
    assert things.get(tx, realm, "pump").attributes == {"owner": "first"}
    assert attachments.certificates_of(tx, realm, "pump") == []
    assert [each.retained for each in withdrawn(tx)] == [False]


def test_a_certificate_of_two_things_stays_the_other_ones(
    tx: Tx, later: Callable[..., Act], realm: Realm, held: Certificate
) -> None:
    things.create(tx, later(), "other")
    attachments.attach_principal(tx, later(), "other", held.fingerprint)
    done = end_of_life.decommission(tx, later(), "pump")
    assert (done.revoked, done.detached) == ((), (held.fingerprint,))
    assert certificates.get(tx, realm, held.fingerprint).status is Status.ACTIVE
    assert [each.thing_name for each in attachments.things_of(tx, realm, held.fingerprint)] == ["other"]


def test_a_claim_stays_the_other_devices(
    tx: Tx, later: Callable[..., Act], realm: Realm, held: Certificate, certify: Callable[..., Certificate]
) -> None:
    claim = certify("claim", Status.ACTIVE)
    claims.register(tx, later(), claim.fingerprint, maximum=500)
    attachments.attach_principal(tx, later(), "pump", claim.fingerprint)
    done = end_of_life.decommission(tx, later(), "pump")
    assert (done.revoked, done.detached) == ((held.fingerprint,), (claim.fingerprint,))
    assert certificates.get(tx, realm, claim.fingerprint).status is Status.ACTIVE
    assert claims.get(tx, realm, claim.fingerprint).enabled


def test_a_factory_reset_keeps_the_thing_as_it_is(
    tx: Tx, later: Callable[..., Act], realm: Realm, held: Certificate
) -> None:
    assert end_of_life.reset(tx, later(), "pump").revoked == (held.fingerprint,)
    thing = things.get(tx, realm, "pump")
    assert (thing.attributes, thing.type_name) == ({"owner": "first"}, "kind")
    assert thing_groups.groups_of(tx, realm, "pump") == ["hall"]
    assert end_of_life.reset(tx, later(), "pump") == Withdrawal("pump", "kept", (), ())


def test_a_new_owner_finds_nothing_of_the_former_one(
    tx: Tx, later: Callable[..., Act], realm: Realm, held: Certificate
) -> None:
    for _ in range(2):
        end_of_life.reset(tx, later(), "pump", new_owner=True)
    thing = things.get(tx, realm, "pump")
    assert (dict(thing.attributes), thing.type_name) == ({}, None)
    assert thing.version == 2, "the second time changes nothing"
    assert thing_groups.groups_of(tx, realm, "pump") == []
    assert billing_groups.of_thing(tx, realm, "pump") is None


def test_what_cannot_be(tx: Tx, later: Callable[..., Act], held: Certificate) -> None:
    with pytest.raises(NotFound):
        end_of_life.reset(tx, later(), "nobody")
    certificates.write_status(tx, later(), held, Status.PENDING_TRANSFER)
    with pytest.raises(CertificateState):
        end_of_life.decommission(tx, later(), "pump")
