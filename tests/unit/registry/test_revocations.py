"""Revoked certificates: whose list they enter, and how lists follow each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from fleetgate.database.port import Tx
from fleetgate.errors import AlreadyExists, CertificateInvalid
from fleetgate.names import Act, Realm
from fleetgate.pki.crl import Reason
from fleetgate.registry import certificates, issuances, revocations, transfers
from fleetgate.registry.certificates import Certificate, Mode, Origin, Status
from fleetgate.registry.issuances import Intent

CA = "c" * 64


@pytest.fixture
def issued(tx: Tx, act: Act, certified: Callable[..., Certificate]) -> Callable[..., Certificate]:
    def make(name: str, serial: str, **more: int) -> Certificate:
        made = certified(name, **more)
        issuances.begin(tx, act, Intent(CA, serial, "CN=x", "0" * 64, "1" * 64, "aws-device"))
        issuances.complete(tx, act, CA, serial, made.fingerprint)
        return made

    return make


def test_a_revoked_certificate_is_on_its_issuers_list(
    tx: Tx, later: Callable[..., Act], realm: Realm, issued: Callable[..., Certificate]
) -> None:
    made, moment = issued("first", "a1"), later()
    certificates.set_status(tx, moment, made.fingerprint, Status.REVOKED, reason=Reason.KEY_COMPROMISE)
    [found] = revocations.in_force(tx, CA, 0)
    assert (found.serial, found.fingerprint, found.realm) == ("a1", made.fingerprint, realm)
    assert (found.reason, found.revoked_at, found.not_after) == (Reason.KEY_COMPROMISE, moment.now, made.not_after)
    assert revocations.find(tx, CA, "a1") == found
    assert revocations.find(tx, "d" * 64, "a1") is None
    certificates.set_status(tx, later(), made.fingerprint, Status.REVOKED, reason=Reason.SUPERSEDED)
    assert revocations.in_force(tx, CA, 0) == [found], "once more changes nothing"
    certificates.delete(tx, later(), made.fingerprint)
    assert revocations.in_force(tx, CA, 0) == [found], "it outlives the record"


def test_a_revoked_certificate_is_not_brought_back(
    tx: Tx, later: Callable[..., Act], realm: Realm, issued: Callable[..., Certificate]
) -> None:
    """Neither to the account that revoked and deleted it, nor to another one."""
    made, kept = issued("first", "a1"), issued("second", "a2")
    certificates.set_status(tx, later(), made.fingerprint, Status.REVOKED)
    for each in (made, kept):
        certificates.set_status(tx, later(), each.fingerprint, Status.REVOKED if each is made else Status.INACTIVE)
        certificates.delete(tx, later(), each.fingerprint)
    for home in (realm, Realm("210987654321", realm.region)):
        for origin in (Origin.REGISTERED, Origin.JUST_IN_TIME):
            with pytest.raises(CertificateInvalid, match="has revoked it for good"):
                brought(tx, replace(later(), realm=home), made, origin)
        assert brought(tx, replace(later(), realm=home), kept, Origin.REGISTERED).status is Status.ACTIVE


def brought(tx: Tx, act: Act, made: Certificate, origin: Origin) -> Certificate:
    return certificates.create(
        tx,
        act,
        made.fingerprint,
        made.pem,
        Status.ACTIVE,
        public_key_fingerprint=made.public_key_fingerprint,
        not_before=made.not_before,
        not_after=made.not_after,
        origin=origin,
        mode=Mode.SNI_ONLY,
    )


def test_who_was_given_a_certificate_revokes_it(
    tx: Tx, later: Callable[..., Act], realm: Realm, issued: Callable[..., Certificate]
) -> None:
    made, other = issued("first", "a1"), Realm("210987654321", realm.region)
    certificates.set_status(tx, later(), made.fingerprint, Status.INACTIVE)
    transfers.offer(tx, later(), made.fingerprint, other.account)
    transfers.accept(tx, replace(later(), realm=other), made.fingerprint)
    certificates.set_status(tx, replace(later(), realm=other), made.fingerprint, Status.REVOKED)
    [found] = revocations.in_force(tx, CA, 0)
    assert (found.serial, found.realm) == ("a1", other)


def test_what_is_only_inactive_is_on_no_list(tx: Tx, act: Act, issued: Callable[..., Certificate]) -> None:
    certificates.set_status(tx, act, issued("first", "a1").fingerprint, Status.INACTIVE)
    assert revocations.count(tx, CA) == 0


def test_what_nobody_here_signed_is_on_no_list(tx: Tx, act: Act, certified: Callable[..., Certificate]) -> None:
    made = certified("stranger")
    certificates.set_status(tx, act, made.fingerprint, Status.REVOKED)
    assert not revocations.enter(tx, act, made.fingerprint, made.not_after, Reason.UNSPECIFIED)


def test_what_has_ended_leaves_the_list(tx: Tx, act: Act, issued: Callable[..., Certificate]) -> None:
    made = issued("first", "a1", not_after=act.now + 10)
    certificates.set_status(tx, act, made.fingerprint, Status.REVOKED)
    assert revocations.in_force(tx, CA, act.now + 10) != []
    assert revocations.in_force(tx, CA, act.now + 11) == []
    assert revocations.count(tx, CA) == 1


def test_lists_are_numbered_and_few_are_kept(tx: Tx) -> None:
    assert revocations.latest(tx, CA) is None
    for number in range(1, 7):
        assert revocations.next_number(tx, CA) == number
        revocations.begin(tx, CA, number, "0" * 64, 0, this_update=1, next_update=2)
        revocations.complete(tx, CA, number, b"list %d" % number)
    found = revocations.latest(tx, CA)
    assert found is not None
    assert (found.number, found.body) == (6, b"list 6")
    assert [row["number"] for row in tx.rows("SELECT number FROM revocation_lists ORDER BY number")] == [4, 5, 6]


def test_a_list_that_was_never_signed_uses_its_number_up(tx: Tx) -> None:
    revocations.begin(tx, CA, 1, "0" * 64, 0, this_update=1, next_update=2)
    assert revocations.latest(tx, CA) is None
    assert revocations.next_number(tx, CA) == 2
    with pytest.raises(AlreadyExists):
        revocations.begin(tx, CA, 1, "0" * 64, 0, this_update=1, next_update=2)
