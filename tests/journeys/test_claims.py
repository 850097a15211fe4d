"""Claims are budgeted, nobody takes over a thing in silence, lost answers cost nothing, devices renew themselves."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tests.journeys.paho_device import (
    CREATE,
    CREATE_FROM_CSR,
    NOT_AUTHORIZED,
    Answer,
    Closed,
    Device,
    Provisioned,
    signing_request,
)
from tests.server import REALM, Batch, Live, template_body

from fleetgate.registry import attachments, certificates, claims, templates, things
from fleetgate.registry.budgets import Rate
from fleetgate.registry.certificates import Status
from fleetgate.registry.templates import Reprovisioning

Connect = Callable[..., Device]

HOUR = 3_600_000
DENIED, TOO_FAST = (403, "AccessDenied"), (429, "Throttled")
APPROVE = "def lambda_handler(event, context): return {'allowProvisioning': True}"
BY_WISH = "def lambda_handler(event, context): return {'allowProvisioning': event['parameters']['Wish'] == 'yes'}"


def token_of(device: Device) -> str:
    token: str = device.certificate(csr=True)[0]["certificateOwnershipToken"]
    return token


def status_of(live: Live, made: Provisioned) -> Status:
    return live.read(lambda tx: certificates.get(tx, REALM, made.identity.fingerprint)).status


# --- the budget -------------------------------------------------------------------------------------------------------


def test_a_claim_ends_with_its_count(live: Live, name: str, connect: Connect) -> None:
    batch = live.batch(name, maximum=2)
    device = connect(batch.claim, name)
    spare = token_of(device)
    for number in range(2):
        device.provision(batch, f"{name}-{number}", csr=True)
    assert device.ask(CREATE, {}).told == DENIED
    assert device.register(batch, spare, f"{name}-spare").told == DENIED  # handed out in time, too late to use
    live.write(
        lambda tx, act: claims.set_bounds(
            tx, act, batch.claim.fingerprint, maximum=3, rate=None, not_before=0, not_after=act.now + HOUR
        )
    )
    assert device.register(batch, spare, f"{name}-spare").accepted


def test_a_claim_has_a_pace(live: Live, name: str, connect: Connect) -> None:
    batch = live.batch(name, rate=Rate(2, HOUR))
    device = connect(batch.claim, name)
    spare = token_of(device)
    for number in range(2):
        device.provision(batch, f"{name}-{number}", csr=True)
    assert device.ask(CREATE, {}).told == TOO_FAST
    assert device.register(batch, spare, f"{name}-spare").told == TOO_FAST


@pytest.mark.parametrize(("begin", "end"), [(HOUR, 2 * HOUR), (-2 * HOUR, -HOUR)], ids=["not yet", "no more"])
def test_a_claim_holds_in_its_time_alone(live: Live, name: str, connect: Connect, begin: int, end: int) -> None:
    now = live.now()
    batch = live.batch(name, not_before=now + begin, not_after=now + end)
    device = connect(batch.claim, name)
    assert device.ask(CREATE, {}).told == DENIED
    assert device.ask(CREATE_FROM_CSR, {"certificateSigningRequest": signing_request()[0]}).told == DENIED


def test_a_claim_may_list_its_serial_numbers(live: Live, name: str, connect: Connect) -> None:
    body = json.loads(template_body(f"{name}-production"))
    body["Parameters"]["Name"] = {"Type": "String"}
    naming = {"Fn::Join": ["-", [{"Ref": "Name"}, {"Ref": "SerialNumber"}]]}
    body["Resources"]["thing"]["Properties"]["ThingName"] = naming
    batch = live.batch(name, body=json.dumps(body), serials=["sn-1", "sn-2"], maximum=2)
    device = connect(batch.claim, name)
    assert device.register(batch, token_of(device), "sn-3", Name=f"{name}-3").told == DENIED
    assert device.register(batch, token_of(device), "sn-1", Name=f"{name}-1").accepted
    # From now on the number is that thing's: it makes no other, and the same again (a lost answer) is free.
    assert device.register(batch, token_of(device), "sn-1", Name=f"{name}-2").told == DENIED
    assert device.register(batch, token_of(device), "sn-1", Name=f"{name}-1").accepted
    assert device.register(batch, token_of(device), "sn-2", Name=f"{name}-2").accepted


def test_the_kill_switch_stops_a_claim_in_the_middle(live: Live, batch: Batch, connect: Connect) -> None:
    device = connect(batch.claim, batch.name)
    finished = device.provision(batch, f"{batch.name}-1", csr=True)
    token = token_of(device)
    started = time.monotonic()
    live.write(lambda tx, act: claims.set_enabled(tx, act, batch.claim.fingerprint, False))
    assert device.closed() == NOT_AUTHORIZED
    assert time.monotonic() - started < 1.0
    device = connect(batch.claim, batch.name)  # its certificate is in force, and its requests are refused
    assert device.ask(CREATE, {}).told == DENIED
    assert device.register(batch, token, f"{batch.name}-2").told == DENIED
    works = connect(finished.identity, finished.thing)
    assert works.publish(batch.topic(finished.thing)) == 0  # what is finished is unaffected
    live.write(lambda tx, act: claims.set_enabled(tx, act, batch.claim.fingerprint, True))
    assert device.register(batch, token, f"{batch.name}-2").accepted


def test_a_claim_provisions_by_its_own_template_alone(live: Live, name: str, connect: Connect) -> None:
    batch, other = live.batch(name), live.batch(f"{name}-other")
    stray = live.claim(f"{name}-stray", "*")
    live.write(lambda tx, act: claims.delete(tx, act, stray.fingerprint))
    live.write(lambda tx, act: claims.register(tx, act, stray.fingerprint, template_name=batch.template))
    device = connect(stray, name)
    token = token_of(device)
    assert device.register(other, token, f"{name}-1").told == DENIED
    assert device.register(batch, token, f"{name}-1").accepted


def test_a_disabled_template_provisions_nobody(live: Live, batch: Batch, connect: Connect) -> None:
    device = connect(batch.claim, batch.name)
    token = token_of(device)
    live.write(lambda tx, act: templates.update(tx, act, batch.template, enabled=False))
    assert device.register(batch, token, f"{batch.name}-1").told == DENIED
    live.write(lambda tx, act: templates.update(tx, act, batch.template, enabled=True))
    assert device.register(batch, token, f"{batch.name}-1").accepted


def test_refusals_tell_a_thief_nothing(live: Live, name: str, connect: Connect) -> None:
    """Spent, switched off, expired, wrong serial number, no claim at all: the same words each time."""
    now = live.now()
    spent = live.batch(f"{name}-spent", maximum=1)
    connect(spent.claim, name).provision(spent, f"{name}-1", csr=True)
    late = live.batch(f"{name}-late", not_before=now - 2 * HOUR, not_after=now - HOUR)
    killed = live.batch(f"{name}-killed")
    live.write(lambda tx, act: claims.set_enabled(tx, act, killed.claim.fingerprint, False))
    told = {connect(each.claim, each.name).ask(CREATE, {}).content["errorMessage"] for each in (spent, late, killed)}
    listed = live.batch(f"{name}-listed", serials=["sn-1"])
    device = connect(listed.claim, listed.name)
    told.add(device.register(listed, token_of(device), "sn-2").content["errorMessage"])
    assert len(told) == 1


# --- provisioning a thing again ---------------------------------------------------------------------------------------


class Fleet:
    """One thing, and attempts to provision it again."""

    def __init__(self, live: Live, batch: Batch, connect: Connect) -> None:
        self.live, self.batch, self.connect = live, batch, connect
        self.thing = f"{batch.name}-1"
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.claiming = connect(batch.claim, f"{batch.name}-claiming")

    def provision(self, key: ec.EllipticCurvePrivateKey | None = None, **parameters: str) -> tuple[Answer, Provisioned]:
        """By claim, with a signing request of *key*."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        request, pem = signing_request(key)
        made = self.claiming.ask(CREATE_FROM_CSR, {"certificateSigningRequest": request}).content
        answer = self.claiming.register(self.batch, made["certificateOwnershipToken"], self.thing, **parameters)
        file = f"{self.batch.name}-{made['certificateId'][:10]}"
        identity = self.live.keep(file, made["certificatePem"], pem, made["certificateId"])
        return answer, Provisioned(self.thing, {}, identity)

    def begin(self, **parameters: str) -> Provisioned:
        """The thing with its first certificate, which has connected."""
        answer, made = self.provision(self.key, **parameters)
        assert answer.accepted, answer.content
        assert self.works(made)
        return made

    def works(self, made: Provisioned) -> bool:
        """Whether *made* connects and publishes."""
        try:
            device = self.connect(made.identity, self.thing)
        except Closed:
            return False
        assert device.publish(self.batch.topic(self.thing)) == 0
        device.disconnect()
        return True


@pytest.fixture
def fleet(live: Live, name: str, connect: Connect) -> Callable[..., Fleet]:
    def make(rule: Reprovisioning | None = None, hook: str | None = None) -> Fleet:
        return Fleet(live, live.batch(name, reprovisioning=rule, hook=hook), connect)

    return make


def test_never(live: Live, fleet: Callable[..., Fleet]) -> None:
    party = fleet(Reprovisioning.NEVER)
    first = party.begin()
    for key in (None, party.key):
        assert party.provision(key)[0].told == DENIED
    assert party.works(first)
    # A decommissioned thing may come back: it has no active certificate.
    live.write(lambda tx, act: certificates.set_status(tx, act, first.identity.fingerprint, Status.INACTIVE))
    answer, second = party.provision()
    assert answer.accepted
    assert party.works(second)


@pytest.mark.parametrize("rule", [None, Reprovisioning.SAME_KEY], ids=["by default", "as the template says"])
def test_same_key(live: Live, fleet: Callable[..., Fleet], rule: Reprovisioning | None) -> None:
    party = fleet(rule)
    first = party.begin()
    assert party.provision()[0].told == DENIED
    answer, second = party.provision(party.key)
    assert answer.accepted
    assert status_of(live, first) is Status.ACTIVE  # until the next one has proven that it arrived
    assert party.works(second)
    assert status_of(live, first) is Status.INACTIVE
    assert not party.works(first)


@pytest.mark.parametrize("rule", [None, Reprovisioning.HOOK], ids=["by default", "as the template says"])
def test_hook(live: Live, fleet: Callable[..., Fleet], rule: Reprovisioning | None) -> None:
    party = fleet(rule, BY_WISH)
    first = party.begin(Wish="yes")
    assert party.provision(Wish="no")[0].told == DENIED
    answer, second = party.provision(Wish="yes")
    assert answer.accepted
    assert party.works(second)
    assert status_of(live, first) is Status.INACTIVE


def test_a_template_that_leaves_it_to_a_hook_and_has_none(fleet: Callable[..., Fleet]) -> None:
    party = fleet(Reprovisioning.HOOK)
    first = party.begin()
    assert party.provision(party.key)[0].told == DENIED
    assert party.works(first)


def test_allow(live: Live, fleet: Callable[..., Fleet]) -> None:
    party = fleet(Reprovisioning.ALLOW)
    first = party.begin()
    answer, second = party.provision()
    assert answer.accepted
    assert party.works(second)
    assert party.works(first)  # as on AWS, both stay


@pytest.mark.parametrize("rule", [None, Reprovisioning.SAME_KEY, Reprovisioning.HOOK, Reprovisioning.ALLOW])
def test_a_lost_answer_is_made_good(live: Live, fleet: Callable[..., Fleet], rule: Reprovisioning | None) -> None:
    """The first certificate never connected: it is disabled, and the thing is bound again, whatever the key."""
    party = fleet(rule)
    answer, lost = party.provision()
    assert answer.accepted
    answer, kept = party.provision()
    assert answer.accepted, answer.content
    assert status_of(live, lost) is Status.INACTIVE
    assert not party.works(lost)
    assert party.works(kept)
    bound = live.read(lambda tx: attachments.certificates_of(tx, REALM, party.thing))
    assert [each.fingerprint for each in bound if each.status is Status.ACTIVE] == [kept.identity.fingerprint]
    assert live.read(lambda tx: things.get(tx, REALM, party.thing)).name == party.thing


def test_not_even_a_lost_answer_under_never(live: Live, fleet: Callable[..., Fleet]) -> None:
    party = fleet(Reprovisioning.NEVER)
    first = party.provision()[1]
    assert party.provision()[0].told == DENIED
    assert party.works(first)


# --- renewal ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [None, *Reprovisioning])
def test_a_device_renews_over_its_own_certificate(
    live: Live, fleet: Callable[..., Fleet], connect: Connect, rule: Reprovisioning | None
) -> None:
    party = fleet(rule, APPROVE if rule is Reprovisioning.HOOK else None)
    first = party.begin()
    used = live.read(lambda tx: claims.get(tx, REALM, party.batch.claim.fingerprint)).used
    device = connect(first.identity, first.thing)
    second = device.provision(party.batch, party.thing, csr=True)
    assert device.publish(party.batch.topic(party.thing)) == 0  # the old one works until the new one has
    assert party.works(second)
    assert device.closed() is not None
    assert status_of(live, first) is Status.INACTIVE
    assert not party.works(first)
    assert live.read(lambda tx: claims.get(tx, REALM, party.batch.claim.fingerprint)).used == used


def test_a_device_may_not_renew_another(live: Live, batch: Batch, connect: Connect, version: int) -> None:
    claiming = connect(batch.claim, f"{batch.name}-new")
    one, other = (claiming.provision(batch, f"{batch.name}-{number}", csr=True) for number in (1, 2))
    device = connect(one.identity, one.thing, version)
    token = token_of(device)
    assert device.register(batch, token, other.thing).told == DENIED
    assert device.register(batch, token, f"{batch.name}-3").told == DENIED
    assert device.register(batch, token, one.thing).accepted
    works = connect(other.identity, other.thing)
    assert works.publish(batch.topic(other.thing)) == 0
