"""Who may get a new certificate for a thing that has one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fleetgate.database.port import Tx
from fleetgate.errors import AccessDenied
from fleetgate.names import Act
from fleetgate.provisioning import rebind
from fleetgate.registry import attachments, certificates, templates, things
from fleetgate.registry.certificates import Certificate, Status
from fleetgate.registry.templates import Reprovisioning

HOOK = "arn:aws:lambda:us-east-1:123456789012:function:f"


@pytest.mark.parametrize(
    ("said", "hook", "rule"),
    [
        (None, None, Reprovisioning.SAME_KEY),
        (None, HOOK, Reprovisioning.HOOK),
        (Reprovisioning.ALLOW, HOOK, Reprovisioning.ALLOW),
        (Reprovisioning.NEVER, None, Reprovisioning.NEVER),
    ],
)
def test_the_rule_of_a_template(
    tx: Tx, act: Act, said: Reprovisioning | None, hook: str | None, rule: Reprovisioning
) -> None:
    template = templates.create(tx, act, "T", "{}", "role", hook_target_arn=hook, reprovisioning=said)
    assert rebind.rule_of(template) is rule


class Case:
    """A thing with one certificate, and another one that wants to be the thing's."""

    def __init__(self, tx: Tx, later: Callable[[], Act], certify: Callable[..., Certificate]) -> None:
        self.tx, self.later, self.certify = tx, later, certify
        things.create(tx, later(), "t")

    def old(self, name: str = "old", *, used: bool = True, status: Status = Status.ACTIVE) -> Certificate:
        old = self.certify(name, status)
        act = self.later()
        attachments.attach_principal(self.tx, act, "t", old.fingerprint)
        if used:
            certificates.connected(self.tx, act, old.fingerprint)
        return old

    def settle(self, new: Certificate, rule: Reprovisioning, *, approved: bool = False) -> None:
        rebind.settle(self.tx, self.later(), "t", new, rule, approved=approved)

    def look(self, certificate: Certificate) -> Certificate:
        return certificates.get(self.tx, certificate.realm, certificate.fingerprint)

    def connects(self, certificate: Certificate) -> None:
        act = self.later()
        certificates.set_status(self.tx, act, certificate.fingerprint, Status.ACTIVE)
        certificates.connected(self.tx, act, certificate.fingerprint)


@pytest.fixture
def case(tx: Tx, later: Callable[[], Act], certify: Callable[..., Certificate]) -> Case:
    return Case(tx, later, certify)


@pytest.mark.parametrize("rule", list(Reprovisioning))
def test_a_thing_without_an_active_certificate_is_free(case: Case, rule: Reprovisioning) -> None:
    case.old(status=Status.REVOKED, used=False)
    case.settle(case.certify("new"), rule)


@pytest.mark.parametrize("rule", [Reprovisioning.SAME_KEY, Reprovisioning.HOOK, Reprovisioning.ALLOW])
def test_a_certificate_that_never_connected_is_disabled(case: Case, rule: Reprovisioning) -> None:
    old = case.old(used=False)
    case.settle(case.certify("new"), rule)
    assert case.look(old).status is Status.INACTIVE


@pytest.mark.parametrize("used", [True, False])
def test_never_means_never(case: Case, used: bool) -> None:
    old = case.old(used=used)
    with pytest.raises(AccessDenied, match="reprovisioning never"):
        case.settle(case.certify("new"), Reprovisioning.NEVER, approved=True)
    assert case.look(old).status is Status.ACTIVE


def test_the_same_key_may(case: Case) -> None:
    old = case.old()
    new = case.certify("new", key="old")
    case.settle(new, Reprovisioning.SAME_KEY)
    assert case.look(old).status is Status.ACTIVE, "until the new one has connected"
    case.connects(new)
    assert case.look(old).status is Status.INACTIVE


def test_another_key_may_not(case: Case) -> None:
    old = case.old()
    with pytest.raises(AccessDenied, match="with another key"):
        case.settle(case.certify("new"), Reprovisioning.SAME_KEY, approved=True)
    assert case.look(old).superseded_by is None


def test_a_hook_decides(case: Case) -> None:
    old, new = case.old(), case.certify("new")
    with pytest.raises(AccessDenied, match="no hook approved"):
        case.settle(new, Reprovisioning.HOOK)
    case.settle(new, Reprovisioning.HOOK, approved=True)
    assert case.look(old).superseded_by == new.fingerprint


def test_allow_leaves_both(case: Case) -> None:
    old, new = case.old(), case.certify("new")
    case.settle(new, Reprovisioning.ALLOW)
    case.connects(new)
    assert case.look(old).status is Status.ACTIVE


def test_used_and_unused_ones_each_get_their_due(case: Case) -> None:
    used, unused = case.old("old"), case.old("lost", used=False)
    new = case.certify("new", key="old")
    case.settle(new, Reprovisioning.SAME_KEY)
    assert case.look(used).superseded_by == new.fingerprint
    assert case.look(unused).status is Status.INACTIVE


def test_renewal_retires_every_certificate_of_the_thing(case: Case, later: Callable[[], Act]) -> None:
    asking, lost, gone = case.old("old"), case.old("lost", used=False), case.old("gone", status=Status.INACTIVE)
    new = case.certify("new")
    rebind.renew(case.tx, later(), "t", asking.fingerprint, new)
    assert [case.look(each).superseded_by for each in (asking, lost)] == [new.fingerprint] * 2
    assert case.look(gone).superseded_by is None
    case.connects(new)
    assert {case.look(each).status for each in (asking, lost)} == {Status.INACTIVE}


def test_asking_again_with_the_same_key_leaves_one_successor(case: Case, later: Callable[[], Act]) -> None:
    """The answer was lost, so the device asks anew: the certificate that it never saw is of no use to anybody."""
    asking = case.old("old")
    lost = case.certify("lost", Status.ACTIVE, "the key")
    attachments.attach_principal(case.tx, later(), "t", lost.fingerprint)
    new = case.certify("new", key="the key")
    rebind.renew(case.tx, later(), "t", asking.fingerprint, new)
    assert (case.look(lost).status, case.look(asking).status) == (Status.INACTIVE, Status.ACTIVE)
    case.connects(new)
    assert case.look(asking).status is Status.INACTIVE


def test_a_certificate_in_use_renews_itself_with_its_own_key(case: Case, later: Callable[[], Act]) -> None:
    asking = case.certify("old", Status.ACTIVE, "the key")
    attachments.attach_principal(case.tx, later(), "t", asking.fingerprint)
    new = case.certify("new", key="the key")
    rebind.renew(case.tx, later(), "t", asking.fingerprint, new)
    assert case.look(asking).status is Status.ACTIVE, "until the new one connects"


def test_nobody_renews_somebody_elses(case: Case, later: Callable[[], Act]) -> None:
    case.old()
    stranger = case.certify("stranger", Status.ACTIVE)
    with pytest.raises(AccessDenied, match="renew its own certificate only; this one is not attached to thing t"):
        rebind.renew(case.tx, later(), "t", stranger.fingerprint, case.certify("new"))
