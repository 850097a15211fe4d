from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest

from fleetgate.database.port import Tx
from fleetgate.errors import AlreadyExists, CertificateState, DeleteConflict, InvalidRequest, NotFound
from fleetgate.names import Act, Realm
from fleetgate.registry import attachments, certificates, claims, policies, things, tokens
from fleetgate.registry.certificates import BY_USER, TRANSITIONS, Certificate, Mode, Status
from fleetgate.registry.events import CertificateDeleted, CertificateStatusChanged, Event

Make = Callable[..., Certificate]
Told = Callable[[], list[Event]]
HOUR = 3_600_000


def test_create(tx: Tx, act: Act, certified: Make, told: Told) -> None:
    made = certified(ca="c" * 64, claim="d" * 64)
    assert certificates.get(tx, act.realm, made.fingerprint) == made
    assert made.realm == act.realm
    assert (made.status, made.customer_version, made.first_connected_at) == (Status.ACTIVE, 1, None)
    assert told() == []
    with pytest.raises(NotFound, match=r"0{64}"):
        certificates.get(tx, act.realm, "0" * 64)


def test_a_known_certificate_is_refused(act: Act, certified: Make, later: Callable[..., Act]) -> None:
    made = certified()
    with pytest.raises(AlreadyExists, match=r"^The certificate is already provisioned or registered$") as refused:
        certified(by=later())
    assert refused.value.members == {
        "resourceId": made.fingerprint,
        "resourceArn": act.realm.arn("cert", made.fingerprint),
    }


@pytest.mark.parametrize(("first", "second"), list(product(Mode, Mode)))
def test_two_accounts_of_a_region(
    tx: Tx, certified: Make, later: Callable[..., Act], elsewhere: Realm, first: Mode, second: Mode
) -> None:
    made = certified(mode=first)
    if first == second == Mode.DEFAULT:
        with pytest.raises(AlreadyExists, match="SNI_ONLY") as refused:
            certified(by=later(of=elsewhere), mode=second)
        assert refused.value.members == {}
    else:
        other = certified(by=later(of=elsewhere), mode=second)
        assert certificates.find_everywhere(tx, made.fingerprint) == [made, other]


def test_another_region_has_its_own(tx: Tx, certified: Make, later: Callable[..., Act]) -> None:
    made = certified()
    certified(by=later(of=Realm("123456789012", "eu-west-1")))
    assert len(certificates.find_everywhere(tx, made.fingerprint)) == 2


@pytest.mark.parametrize(("old", "new", "by_service"), list(product(Status, Status, [True, False])))
def test_every_transition(
    tx: Tx, act: Act, certified: Make, later: Callable[..., Act], told: Told, old: Status, new: Status, by_service: bool
) -> None:
    fingerprint = certified(status=old).fingerprint
    if new not in BY_USER and not by_service:
        with pytest.raises(InvalidRequest, match="by the service alone"):
            certificates.set_status(tx, later(), fingerprint, new)
    elif new == old:
        assert certificates.set_status(tx, later(), fingerprint, new, by_service=by_service).customer_version == 1
        assert told() == []
    elif new in TRANSITIONS[old]:
        changed = certificates.set_status(tx, later(), fingerprint, new, by_service=by_service)
        assert changed == certificates.get(tx, act.realm, fingerprint)
        assert (changed.status, changed.customer_version, changed.updated_at) == (new, 2, act.now + 1000)
        assert told() == [CertificateStatusChanged(fingerprint, new.value, old.value)]
    else:
        with pytest.raises(CertificateState, match=f"{old} cannot become {new}"):
            certificates.set_status(tx, later(), fingerprint, new, by_service=by_service)
        assert certificates.get(tx, act.realm, fingerprint).status == old


@pytest.mark.parametrize(
    ("old", "may"),
    [
        ("ACTIVE", "INACTIVE REVOKED"),
        ("INACTIVE", "ACTIVE REVOKED"),
        ("REVOKED", ""),
        ("PENDING_ACTIVATION", "ACTIVE INACTIVE REVOKED"),
        ("PENDING_TRANSFER", ""),
    ],
)
def test_what_a_user_may_set(old: str, may: str) -> None:
    assert TRANSITIONS[Status(old)] & BY_USER == set(may.split())


def test_delete(tx: Tx, act: Act, certified: Make, told: Told) -> None:
    fingerprint = certified().fingerprint
    arn = act.realm.arn("cert", fingerprint)
    with pytest.raises(
        CertificateState, match=rf"^Certificate must be deactivated \(not ACTIVE\) before deletion. Id: {fingerprint}$"
    ):
        certificates.delete(tx, act, fingerprint)
    certificates.set_status(tx, act, fingerprint, Status.INACTIVE)
    things.create(tx, act, "one")
    attachments.attach_principal(tx, act, "one", fingerprint)
    policies.create(tx, act, "p", "{}")
    attachments.attach_policy(tx, act, "p", arn)
    for force in (False, True):
        with pytest.raises(DeleteConflict) as refused:
            certificates.delete(tx, act, fingerprint, force=force)
        assert refused.value.message == f"Things must be detached before deletion (arn: {arn})"
    attachments.detach_principal(tx, act, "one", fingerprint)
    with pytest.raises(DeleteConflict) as refused:
        certificates.delete(tx, act, fingerprint)
    assert refused.value.message == f"Certificate policies must be detached before deletion (arn: {arn})"
    told()
    certificates.delete(tx, act, fingerprint, force=True)
    assert told() == [CertificateDeleted(fingerprint)]
    assert certificates.find(tx, act.realm, fingerprint) is None
    assert attachments.page_targets(tx, act.realm, "p").items == ()
    with pytest.raises(NotFound):
        certificates.delete(tx, act, fingerprint)


def test_a_certificate_under_transfer_stays(tx: Tx, act: Act, certified: Make) -> None:
    fingerprint = certified(status=Status.PENDING_TRANSFER).fingerprint
    with pytest.raises(CertificateState, match="under transfer"):
        certificates.delete(tx, act, fingerprint)


def test_pages_by_creation(tx: Tx, act: Act, certified: Make, later: Callable[..., Act]) -> None:
    made = [
        certified(name, by=later(number // 2), ca="c" * 64 if number % 2 else None)
        for number, name in enumerate("abcde")
    ]
    certified("hidden", listed=False)
    expected = [each.fingerprint for each in sorted(made, key=lambda each: (each.created_at, each.fingerprint))]

    def listed(*, ascending: bool, ca: str | None = None) -> list[str]:
        found, after = [], None
        for _ in range(10):
            page = certificates.page(tx, act.realm, after, 2, ascending=ascending, ca=ca)
            found += [each.fingerprint for each in page.items]
            if (after := page.next_key) is None:
                break
        return found

    assert listed(ascending=True) == expected
    assert listed(ascending=False) == expected[::-1]
    signed = {each.fingerprint for each in made if each.ca_fingerprint}
    assert listed(ascending=True, ca="c" * 64) == [each for each in expected if each in signed]
    with pytest.raises(InvalidRequest):
        certificates.page(tx, act.realm, "nonsense")


def test_the_successor_retires_the_predecessor_when_it_connects(
    tx: Tx, act: Act, certified: Make, later: Callable[..., Act], told: Told
) -> None:
    old, other, revoked, new = (certified(name).fingerprint for name in ("old", "other", "revoked", "new"))
    certificates.set_status(tx, act, revoked, Status.REVOKED)
    certificates.supersede(tx, act, old, by=new)
    certificates.supersede(tx, act, revoked, by=new)
    told()
    assert certificates.connected(tx, later(5), old) == ()
    assert certificates.get(tx, act.realm, old).status == Status.ACTIVE
    assert certificates.connected(tx, later(7), new) == (old,)
    assert told() == [CertificateStatusChanged(old, "INACTIVE", "ACTIVE")]
    assert certificates.get(tx, act.realm, other).status == Status.ACTIVE
    assert certificates.get(tx, act.realm, revoked).status == Status.REVOKED
    assert certificates.connected(tx, later(9), new) == ()
    assert certificates.get(tx, act.realm, new).first_connected_at == act.now + 7


def test_supersede_refuses(tx: Tx, act: Act, certified: Make) -> None:
    fingerprint = certified().fingerprint
    with pytest.raises(InvalidRequest, match="own successor"):
        certificates.supersede(tx, act, fingerprint, by=fingerprint)
    with pytest.raises(NotFound):
        certificates.supersede(tx, act, fingerprint, by="0" * 64)
    with pytest.raises(NotFound):
        certificates.supersede(tx, act, "0" * 64, by=fingerprint)


def test_sweep_takes_what_was_never_finished(tx: Tx, act: Act, certified: Make) -> None:
    lost, attached, active, fresh, used, registered = (
        certified(name, Status.ACTIVE if name == "active" else Status.PENDING_ACTIVATION).fingerprint
        for name in ("lost", "attached", "active", "fresh", "used", "registered")
    )
    for number, fingerprint in enumerate((lost, attached, active, fresh, used)):
        expires_at = act.now + (2 * HOUR if fingerprint == fresh else HOUR)
        tokens.issue(tx, act, str(number), fingerprint=fingerprint, claim_fingerprint="c", expires_at=expires_at)
    tokens.redeem(tx, act, "4", claim_fingerprint="c")
    things.create(tx, act, "one")
    attachments.attach_principal(tx, act, "one", attached)
    assert certificates.sweep(tx, act.now + HOUR - 1) == 0
    assert certificates.sweep(tx, act.now + HOUR) == 1
    assert certificates.find(tx, act.realm, lost) is None
    for fingerprint in (attached, active, fresh, used, registered):
        assert certificates.find(tx, act.realm, fingerprint)
    assert [row["digest"] for row in tx.rows("SELECT digest FROM ownership_tokens")] == ["3"]
    assert certificates.sweep(tx, act.now + HOUR) == 0


def test_a_second_token_keeps_a_certificate(tx: Tx, act: Act, certified: Make) -> None:
    fingerprint = certified(status=Status.PENDING_ACTIVATION).fingerprint
    tokens.issue(tx, act, "1", fingerprint=fingerprint, claim_fingerprint="c", expires_at=act.now + 1)
    tokens.issue(tx, act, "2", fingerprint=fingerprint, claim_fingerprint="c", expires_at=act.now + 9)
    assert certificates.sweep(tx, act.now + 1) == 0
    assert certificates.sweep(tx, act.now + 9) == 1


def test_sweep_goes_no_further_than_its_limit(tx: Tx, act: Act, certified: Make) -> None:
    for number in range(3):
        fingerprint = certified(str(number), Status.PENDING_ACTIVATION).fingerprint
        tokens.issue(tx, act, str(number), fingerprint=fingerprint, claim_fingerprint="c", expires_at=act.now)
    assert [certificates.sweep(tx, act.now, 2) for _ in range(3)] == [2, 1, 0]


def test_sweep_takes_the_claims_of_trusted_users(tx: Tx, act: Act, certified: Make) -> None:
    claim = certified("claim", listed=False, not_after=act.now + 300_000).fingerprint
    claims.register(
        tx,
        act,
        claim,
        kind=claims.Kind.TRUSTED_USER,
        template_name="t",
        not_before=act.now,
        not_after=act.now + 300_000,
    )
    batch = certified("batch", not_after=act.now + 300_000).fingerprint
    assert certificates.sweep(tx, act.now + 299_999) == 0
    assert certificates.sweep(tx, act.now + 300_000) == 1
    assert certificates.find(tx, act.realm, claim) is None
    assert claims.find(tx, act.realm, claim) is None
    assert certificates.find(tx, act.realm, batch)
