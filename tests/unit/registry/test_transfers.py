from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from fleetgate import access
from fleetgate.database.port import Tx
from fleetgate.errors import (
    AccessDenied,
    CertificateState,
    InvalidRequest,
    NotFound,
    TransferAlreadyCompleted,
    TransferConflict,
)
from fleetgate.names import NO_ACCOUNT, Act, Realm
from fleetgate.registry import attachments, audit, certificates, claims, policies, things, tokens, transfers
from fleetgate.registry.certificates import Certificate, Mode, Status
from fleetgate.registry.events import CertificateDeleted, CertificateStatusChanged, Event
from fleetgate.registry.transfers import State

Make = Callable[..., Certificate]
Told = Callable[[], list[Event]]
Later = Callable[..., Act]


@pytest.fixture
def made(certified: Make) -> Certificate:
    return certified(status=Status.INACTIVE)


@pytest.fixture
def offered(tx: Tx, made: Certificate, later: Later, elsewhere: Realm) -> Certificate:
    """Under transfer to `elsewhere`."""
    transfers.offer(tx, later(5), made.fingerprint, elsewhere.account, "yours now")
    return certificates.get(tx, made.realm, made.fingerprint)


def statuses(tx: Tx, fingerprint: str) -> dict[Realm, str]:
    return {each.realm: each.status for each in certificates.find_everywhere(tx, fingerprint)}


def test_an_offer_stands_in_both_accounts_and_connects_in_neither(
    tx: Tx, act: Act, made: Certificate, elsewhere: Realm, later: Later, told: Told
) -> None:
    offer = transfers.offer(tx, later(5), made.fingerprint, elsewhere.account, "yours now")
    assert (offer.source, offer.target, offer.state) == (act.realm, elsewhere, State.PENDING)
    assert statuses(tx, made.fingerprint) == {act.realm: "PENDING_TRANSFER", elsewhere: "PENDING_TRANSFER"}
    for realm in (act.realm, elsewhere):
        found = certificates.get(tx, realm, made.fingerprint)
        assert transfers.of(tx, found) == offer
        assert transfers.owner(tx, found) == act.realm
        assert transfers.previous_owner(tx, found) is None
    assert told() == [CertificateStatusChanged(made.fingerprint, "PENDING_TRANSFER", "INACTIVE")]
    with pytest.raises(AccessDenied, match="PENDING_TRANSFER"):
        access.identify(tx, made.fingerprint, act.now)
    assert transfers.page(tx, act.realm).items == (offer,)
    assert transfers.page(tx, elsewhere).items == ()


@pytest.mark.parametrize("active", [False, True])
def test_accepted_it_is_the_other_accounts(
    tx: Tx, act: Act, offered: Certificate, elsewhere: Realm, later: Later, told: Told, active: bool
) -> None:
    told()
    accepted = transfers.accept(tx, later(9, of=elsewhere), offered.fingerprint, active=active)
    wanted = Status.ACTIVE if active else Status.INACTIVE
    assert statuses(tx, offered.fingerprint) == {elsewhere: wanted}
    assert (accepted.pem, accepted.created_at, accepted.mode) == (offered.pem, offered.created_at, offered.mode)
    assert accepted.generation_id != offered.generation_id
    assert set(told()) == {
        CertificateDeleted(offered.fingerprint),
        CertificateStatusChanged(offered.fingerprint, wanted.value, "PENDING_TRANSFER"),
    }
    transfer = transfers.of(tx, accepted)
    assert transfer is not None
    assert (transfer.state, transfer.message, transfer.ended_at) == (State.ACCEPTED, "yours now", act.now + 9)
    assert transfers.owner(tx, accepted) == elsewhere
    assert transfers.previous_owner(tx, accepted) == act.realm
    assert transfers.page(tx, act.realm).items == ()
    for late in (
        lambda: transfers.cancel(tx, later(), offered.fingerprint),
        lambda: transfers.accept(tx, later(of=elsewhere), offered.fingerprint),
        lambda: transfers.reject(tx, later(of=elsewhere), offered.fingerprint),
    ):
        with pytest.raises(TransferAlreadyCompleted, match=offered.fingerprint):
            late()
    assert statuses(tx, offered.fingerprint) == {elsewhere: wanted}


def test_rejected_it_goes_back_with_the_reason(
    tx: Tx, act: Act, offered: Certificate, elsewhere: Realm, later: Later, told: Told
) -> None:
    told()
    for _ in range(2):  # again changes nothing
        transfers.reject(tx, later(9, of=elsewhere), offered.fingerprint, "not mine")
    assert statuses(tx, offered.fingerprint) == {act.realm: "INACTIVE"}
    transfer = transfers.of(tx, certificates.get(tx, act.realm, offered.fingerprint))
    assert transfer is not None
    assert (transfer.state, transfer.reject_reason, transfer.ended_at) == (State.REJECTED, "not mine", act.now + 9)
    assert told().count(CertificateStatusChanged(offered.fingerprint, "INACTIVE", "PENDING_TRANSFER")) == 1
    transfers.cancel(tx, later(10), offered.fingerprint)  # it is back already
    with pytest.raises(NotFound):
        transfers.accept(tx, later(11, of=elsewhere), offered.fingerprint)


def test_cancelled_it_is_as_if_nothing_was(
    tx: Tx, act: Act, offered: Certificate, elsewhere: Realm, later: Later
) -> None:
    for _ in range(2):
        transfers.cancel(tx, later(9), offered.fingerprint)
    assert statuses(tx, offered.fingerprint) == {act.realm: "INACTIVE"}
    for end in (transfers.accept, transfers.reject):
        with pytest.raises(NotFound, match="not being transferred to this account"):
            end(tx, later(of=elsewhere), offered.fingerprint)
    certificates.set_status(tx, later(12), offered.fingerprint, Status.ACTIVE)


def test_the_same_offer_again_changes_nothing(
    tx: Tx, act: Act, offered: Certificate, elsewhere: Realm, later: Later, told: Told
) -> None:
    told()
    again = transfers.offer(tx, later(50), offered.fingerprint, elsewhere.account, "yours now")
    assert again.offered_at == act.now + 5
    assert told() == []
    for account, message in ((elsewhere.account, "other words"), ("333333333333", "yours now")):
        with pytest.raises(CertificateState, match="under transfer"):
            transfers.offer(tx, later(60), offered.fingerprint, account, message)


@pytest.mark.parametrize("status", [Status.ACTIVE, Status.REVOKED, Status.PENDING_ACTIVATION])
def test_only_what_is_inactive_is_transferred(
    tx: Tx, act: Act, certified: Make, elsewhere: Realm, status: Status
) -> None:
    made = certified(status=status)
    with pytest.raises(CertificateState, match=f"is {status}"):
        transfers.offer(tx, act, made.fingerprint, elsewhere.account)


def test_everything_in_the_way_is_told_at_once(
    tx: Tx, act: Act, certified: Make, elsewhere: Realm, later: Later
) -> None:
    made = certified(status=Status.INACTIVE, mode=Mode.SNI_ONLY)
    certified(by=later(of=elsewhere), mode=Mode.SNI_ONLY)
    policies.create(tx, act, "p", "{}")
    attachments.attach_policy(tx, act, "p", act.realm.arn("cert", made.fingerprint))
    things.create(tx, act, "one")
    attachments.attach_principal(tx, act, "one", made.fingerprint)
    claims.register(tx, act, made.fingerprint)
    with pytest.raises(TransferConflict) as refused:
        transfers.offer(tx, act, made.fingerprint, elsewhere.account)
    problems = refused.value.message.splitlines()
    assert len(problems) == 4
    assert "Policies are attached to the certificate: p." in problems[0]
    assert "Things are attached to the certificate: one." in problems[1]
    assert "claim" in problems[2]
    assert f"Account {elsewhere.account} has this certificate already." in problems[3]
    assert statuses(tx, made.fingerprint)[act.realm] == "INACTIVE"


def test_to_whom_it_cannot_go(tx: Tx, act: Act, made: Certificate) -> None:
    for account in (act.realm.account, NO_ACCOUNT.account, "12"):
        with pytest.raises(InvalidRequest):
            transfers.offer(tx, act, made.fingerprint, account)
    with pytest.raises(NotFound):
        transfers.offer(tx, act, "0" * 64, "210987654321")


def test_nothing_changes_it_meanwhile(tx: Tx, act: Act, offered: Certificate, elsewhere: Realm, later: Later) -> None:
    fingerprint = offered.fingerprint
    tokens.issue(tx, act, "d", fingerprint=fingerprint, claim_fingerprint="c")
    for number, realm in enumerate((act.realm, elsewhere)):
        here = later(20 + number, of=realm)
        policies.create(tx, here, "p", "{}")
        things.create(tx, here, "one")
        for status in (Status.ACTIVE, Status.INACTIVE, Status.REVOKED):
            with pytest.raises(CertificateState):
                certificates.set_status(tx, here, fingerprint, status)
        with pytest.raises(CertificateState):
            certificates.delete(tx, here, fingerprint, force=True)
        with pytest.raises(InvalidRequest, match="under transfer"):
            attachments.attach_policy(tx, here, "p", realm.arn("cert", fingerprint))
        with pytest.raises(InvalidRequest, match="under transfer"):
            attachments.attach_principal(tx, here, "one", fingerprint)
    assert set(statuses(tx, fingerprint).values()) == {"PENDING_TRANSFER"}


def test_a_third_account_has_no_part_in_it(
    tx: Tx, act: Act, offered: Certificate, elsewhere: Realm, later: Later
) -> None:
    for realm in (Realm("333333333333", act.realm.region), Realm(elsewhere.account, "eu-west-1")):
        stranger = later(30, of=realm)
        assert certificates.find(tx, realm, offered.fingerprint) is None
        for attempt in (
            lambda: transfers.accept(tx, stranger, offered.fingerprint),  # noqa: B023 # called at once
            lambda: transfers.reject(tx, stranger, offered.fingerprint),  # noqa: B023 # called at once
            lambda: transfers.cancel(tx, stranger, offered.fingerprint),  # noqa: B023 # called at once
            lambda: transfers.offer(tx, stranger, offered.fingerprint, act.realm.account),  # noqa: B023 # at once
        ):
            with pytest.raises(NotFound):
                attempt()
    with pytest.raises(NotFound):
        transfers.accept(tx, later(31), offered.fingerprint)  # its own offer
    with pytest.raises(InvalidRequest, match="RejectCertificateTransfer"):
        transfers.cancel(tx, later(32, of=elsewhere), offered.fingerprint)


def test_what_was_never_offered(tx: Tx, act: Act, made: Certificate) -> None:
    with pytest.raises(InvalidRequest, match="not being transferred"):
        transfers.cancel(tx, act, made.fingerprint)
    assert transfers.of(tx, made) is None


def test_there_and_back_and_on(tx: Tx, act: Act, offered: Certificate, elsewhere: Realm, later: Later) -> None:
    """Each account's last word is about its own last transfer, not about an earlier one."""
    fingerprint, third = offered.fingerprint, Realm("333333333333", act.realm.region)
    transfers.accept(tx, later(10, of=elsewhere), fingerprint)
    transfers.offer(tx, later(20, of=elsewhere), fingerprint, act.realm.account, "back")
    pending = certificates.get(tx, act.realm, fingerprint)
    assert (transfers.owner(tx, pending), transfers.previous_owner(tx, pending)) == (elsewhere, None)
    back = transfers.accept(tx, later(30), fingerprint)
    assert transfers.previous_owner(tx, back) == elsewhere
    with pytest.raises(InvalidRequest, match="not being transferred"):
        transfers.cancel(tx, later(35), fingerprint)
    transfers.offer(tx, later(40), fingerprint, third.account)
    transfers.reject(tx, later(40, of=third), fingerprint, "no")  # within the same millisecond
    transfers.offer(tx, later(40), fingerprint, elsewhere.account)
    transfers.cancel(tx, later(40), fingerprint)
    assert statuses(tx, fingerprint) == {act.realm: "INACTIVE"}
    assert transfers.previous_owner(tx, certificates.get(tx, act.realm, fingerprint)) == elsewhere


def test_deleted_it_is_forgotten(tx: Tx, offered: Certificate, elsewhere: Realm, later: Later, certified: Make) -> None:
    transfers.accept(tx, later(10, of=elsewhere), offered.fingerprint)
    certificates.delete(tx, later(11, of=elsewhere), offered.fingerprint)
    again = certified(by=later(12, of=elsewhere))
    assert transfers.of(tx, again) is None
    assert transfers.previous_owner(tx, again) is None


def test_pages_by_creation(tx: Tx, act: Act, certified: Make, elsewhere: Realm, later: Later) -> None:
    made = [certified(name, Status.INACTIVE, by=later(number // 2)) for number, name in enumerate("abcde")]
    for number, each in enumerate(reversed(made)):
        transfers.offer(tx, later(10 + number), each.fingerprint, elsewhere.account)
    expected = [each.fingerprint for each in sorted(made, key=lambda each: (each.created_at, each.fingerprint))]
    for ascending, wanted in ((True, expected), (False, expected[::-1])):
        found, after = [], None
        while True:
            page = transfers.page(tx, act.realm, after, 2, ascending=ascending)
            found += [each.fingerprint for each in page.items]
            if (after := page.next_key) is None:
                break
        assert found == wanted


def test_both_accounts_have_it_in_their_audit_trail(
    tx: Tx, act: Act, offered: Certificate, elsewhere: Realm, later: Later
) -> None:
    transfers.accept(tx, replace(later(9, of=elsewhere), actor="somebody's name"), offered.fingerprint)
    [there] = audit.page(tx, elsewhere).items
    assert (there.action, there.actor, there.outcome) == ("TransferCertificate", f"account/{act.realm.account}", "ok")
    assert there.target == elsewhere.arn("cert", offered.fingerprint)
    [here] = audit.page(tx, act.realm).items
    assert (here.action, here.actor) == ("AcceptCertificateTransfer", f"account/{elsewhere.account}")
