"""A certificate that nobody knows at the door, on a real installation whose clock stands still."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from tests.fleet import House, opened
from tests.pki import TestAuthority
from tests.server import REALM, ROLE, production_policy

from fleetgate.database.port import Tx
from fleetgate.errors import AccessDenied
from fleetgate.names import Realm
from fleetgate.pki import certificate as x509s
from fleetgate.pki.identity import Identity
from fleetgate.provisioning.just_in_time import JustInTime, registered_event, subject_fields
from fleetgate.registry import (
    attachments,
    audit,
    authorities,
    certificates,
    domains,
    events,
    outbox,
    policies,
    templates,
    things,
)
from fleetgate.registry.authorities import Authority, RegistrationConfig
from fleetgate.registry.certificates import Certificate, Mode, Origin, Status
from fleetgate.registry.domains import DomainType
from fleetgate.registry.templates import Reprovisioning

OTHER = Realm("210987654321", REALM.region)
FULL: Mapping[x509.ObjectIdentifier, str] = {
    NameOID.COMMON_NAME: "pump-1",
    NameOID.COUNTRY_NAME: "DE",
    NameOID.ORGANIZATION_NAME: "Works",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "hall-3",
    NameOID.DN_QUALIFIER: "q7",
    NameOID.STATE_OR_PROVINCE_NAME: "Hessen",
    NameOID.SERIAL_NUMBER: "SN-1",
}
BODY: dict[str, Any] = {
    "Parameters": {
        "AWS::IoT::Certificate::CommonName": {"Type": "String"},
        "AWS::IoT::Certificate::Country": {"Type": "String", "Default": "none"},
        "AWS::IoT::Certificate::Id": {"Type": "String"},
    },
    "Resources": {
        "thing": {
            "Type": "AWS::IoT::Thing",
            "Properties": {
                "ThingName": {"Ref": "AWS::IoT::Certificate::CommonName"},
                "AttributePayload": {"country": {"Ref": "AWS::IoT::Certificate::Country"}},
            },
        },
        "certificate": {
            "Type": "AWS::IoT::Certificate",
            "Properties": {"CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}, "Status": "ACTIVE"},
        },
        "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "production"}},
    },
}


def subject(values: Mapping[x509.ObjectIdentifier, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in values.items()])


def load(pem: str) -> x509.Certificate:
    return x509s.load(pem)


class Plant:
    """An installation, CAs that users registered, and devices that come with their certificates."""

    def __init__(self, house: House) -> None:
        self.house, self.runtime = house, house.runtime
        self.newcomers = JustInTime(house.runtime)
        self.maker = TestAuthority("Works CA")

    async def write(self, work: Any, realm: Realm = REALM) -> Any:
        act = self.runtime.act(realm, "system")
        return await self.runtime.write(lambda tx: work(tx, act))

    async def read(self, work: Any) -> Any:
        return await self.runtime.database.read(work)

    async def register(
        self, pem: str | None = None, realm: Realm = REALM, *, automatic: bool = True, **more: Any
    ) -> Authority:
        """A CA as RegisterCACertificate enters it, by default the maker's, ACTIVE and with auto registration."""
        identity = Identity.read(pem or self.maker.pem)
        given: dict[str, Any] = {"status": authorities.Status.ACTIVE, "auto_registration": automatic} | more
        found: Authority = await self.write(
            lambda tx, act: authorities.create(
                tx,
                act,
                identity.fingerprint,
                identity.pem,
                subject=identity.subject,
                public_key_fingerprint=identity.public_key_fingerprint,
                not_before=identity.not_before,
                not_after=identity.not_after,
                **given,
            ),
            realm,
        )
        return found

    async def template(self, name: str = "jitp", body: Any = None, **more: Any) -> RegistrationConfig:
        given: dict[str, Any] = {"type": templates.Type.JITP, "enabled": True} | more
        text = json.dumps(body or BODY)
        await self.write(lambda tx, act: templates.create(tx, act, name, text, ROLE, **given))
        return RegistrationConfig(name, None, ROLE)

    async def policy(self) -> None:
        await self.write(lambda tx, act: policies.create(tx, act, "production", production_policy("pumps")))

    async def provisions(self, **more: Any) -> Authority:
        """The maker's CA with a template, and the policy that this wants."""
        await self.policy()
        return await self.register(registration_config=await self.template(**more))

    def leaf(self, values: Mapping[x509.ObjectIdentifier, str] = FULL) -> x509.Certificate:
        return load(self.maker.device(subject(values)))

    async def meet(self, leaf: x509.Certificate, server_name: str | None = None) -> bool:
        return await self.newcomers.meet(leaf, server_name)

    async def known(self) -> list[Certificate]:
        """Of certificates, whatever the door has taken in."""
        rows = await self.read(lambda tx: tx.rows("SELECT * FROM certificates ORDER BY realm, fingerprint"))
        return [certificates.from_row(row) for row in rows]

    async def entries(self) -> list[outbox.Entry]:
        """The events of certificates that wait for activation."""
        found: list[outbox.Entry] = await self.read(lambda tx: outbox.pending(tx, 1000))
        return [entry for entry in found if isinstance(entry.event, events.CertificatePresented)]

    async def audited(self, action: str, realm: Realm = REALM) -> list[audit.Entry]:
        return list((await self.read(lambda tx: audit.page(tx, realm, action=action))).items)

    def refusals(self) -> list[tuple[Realm, str, str]]:
        found = [(each.act.realm, each.action, each.reason) for each in self.house.refusals]
        self.house.refusals.clear()
        return found

    async def nothing_made(self) -> None:
        assert await self.known() == []
        for table in ("things", "policy_attachments", "thing_principals", "outbox"):
            assert await self.read(lambda tx, table=table: tx.rows(f"SELECT * FROM {table}")) == [], table
        noted = await self.read(lambda tx: tx.rows("SELECT action FROM audit_entries"))
        assert {row["action"] for row in noted} <= {"FoundAuthority"}


@pytest.fixture
async def plant(tmp_path: Path) -> AsyncIterator[Plant]:
    async with opened(tmp_path, gateway__endpoint_names=["IoT.example"]) as house:
        yield Plant(house)


# --- registration -----------------------------------------------------------------------------------------------------


async def test_a_certificate_of_a_registered_ca_waits_for_activation(plant: Plant) -> None:
    ca = await plant.register()
    leaf = plant.leaf()
    assert await plant.meet(leaf)
    [kept] = await plant.known()
    assert (kept.realm, kept.fingerprint, kept.pem) == (REALM, x509s.fingerprint(leaf), x509s.pem(leaf))
    assert (kept.status, kept.origin, kept.mode) == (Status.PENDING_ACTIVATION, Origin.JUST_IN_TIME, Mode.DEFAULT)
    assert kept.ca_fingerprint == ca.fingerprint
    [entry] = await plant.audited("RegisterCertificate")
    assert (entry.outcome, entry.actor) == ("ok", f"cert/{kept.fingerprint}")
    assert entry.details == {"caCertificateId": ca.fingerprint, "status": "PENDING_ACTIVATION"}
    assert plant.refusals() == []


async def test_every_presentation_is_told_until_somebody_decides(plant: Plant) -> None:
    ca = await plant.register()
    leaf = plant.leaf()
    first = plant.house.time[0]
    for _ in range(3):
        assert await plant.meet(leaf)
        plant.house.pass_(1500)
    found = await plant.entries()
    told = [registered_event(entry, entry.event) for entry in found]  # type: ignore[arg-type] # `entries` sees to it
    assert {topic for topic, _ in told} == {f"$aws/events/certificates/registered/{ca.fingerprint}"}
    assert [content for _, content in told] == [
        {
            "certificateId": x509s.fingerprint(leaf),
            "caCertificateId": ca.fingerprint,
            "timestamp": first + 1500 * number,
            "certificateStatus": "PENDING_ACTIVATION",
            "awsAccountId": REALM.account,
            "certificateRegistrationTimestamp": str(first),
        }
        for number in range(3)
    ]
    assert len(await plant.audited("RegisterCertificate")) == 1


@pytest.mark.parametrize("status", [Status.ACTIVE, Status.INACTIVE, Status.REVOKED])
async def test_what_somebody_decided_about_is_none_of_its_business(plant: Plant, status: Status) -> None:
    await plant.register()
    leaf = plant.leaf()
    await plant.meet(leaf)
    await plant.write(lambda tx, act: certificates.set_status(tx, act, x509s.fingerprint(leaf), status))
    assert not await plant.meet(leaf)
    assert len(await plant.entries()) == 1


async def test_a_certificate_that_this_installation_issued_is_not_activated_so(plant: Plant) -> None:
    await plant.register()
    leaf = plant.leaf()
    identity = Identity.read(x509s.pem(leaf))

    def enter(tx: Tx, act: Any) -> None:
        certificates.create(
            tx,
            act,
            identity.fingerprint,
            identity.pem,
            Status.PENDING_ACTIVATION,
            public_key_fingerprint=identity.public_key_fingerprint,
            not_before=identity.not_before,
            not_after=identity.not_after,
            origin=Origin.ISSUED,
        )

    await plant.write(enter)
    assert not await plant.meet(leaf)


async def test_presented_at_once_it_is_registered_once(plant: Plant) -> None:
    await plant.register()
    leaf = plant.leaf()
    assert all(await asyncio.gather(*(plant.meet(leaf) for _ in range(10))))
    assert len(await plant.known()) == 1
    assert len(await plant.entries()) == 10
    assert plant.refusals() == []


# --- whom it does not take --------------------------------------------------------------------------------------------


async def test_strangers_leave_no_trace(plant: Plant) -> None:
    await plant.register()
    imitation = TestAuthority(plant.maker.name)  # the name, and not the key
    assert not await plant.meet(load(imitation.leaf()))
    assert not await plant.meet(load(TestAuthority("Somebody").leaf()))
    assert not await plant.meet(load(imitation.pem))
    await plant.nothing_made()
    assert plant.refusals() == []  # the door refuses them as it refuses everybody


async def test_the_direct_issuer_must_be_the_registered_one(plant: Plant) -> None:
    intermediate = TestAuthority("Works issuing CA")
    await plant.register()
    leaf = load(intermediate.device(subject(FULL)))
    assert not await plant.meet(leaf)
    await plant.nothing_made()
    below = await plant.register(plant.maker.vouch(intermediate))
    assert await plant.meet(leaf)
    assert [each.ca_fingerprint for each in await plant.known()] == [below.fingerprint]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"status": authorities.Status.INACTIVE}, "is INACTIVE, not ACTIVE"),
        ({"automatic": False}, "has no auto registration"),
    ],
)
async def test_a_ca_that_registers_nobody(plant: Plant, settings: dict[str, Any], reason: str) -> None:
    await plant.register(**settings)
    assert await plant.meet(plant.leaf())
    await plant.nothing_made()
    [(realm, action, why)] = plant.refusals()
    assert (realm, action) == (REALM, "RegisterCertificate")
    assert reason in why


async def test_a_ca_that_has_ended(plant: Plant) -> None:
    await plant.register()
    plant.house.pass_(31 * 86_400_000)
    assert await plant.meet(plant.leaf())
    await plant.nothing_made()
    [(_, _, why)] = plant.refusals()
    assert why.startswith("CA certificate ")
    assert "is in force from" in why


async def test_a_certificate_that_has_ended(plant: Plant) -> None:
    await plant.register()
    assert await plant.meet(load(plant.maker.leaf(ended=True)))
    await plant.nothing_made()
    [(_, _, why)] = plant.refusals()
    assert why.startswith("Certificate ")
    assert "is in force from" in why


async def test_a_certificate_with_a_weak_key(plant: Plant) -> None:
    await plant.register()
    weak: Any = rsa.generate_private_key(65537, 1024)
    assert await plant.meet(load(plant.maker.device(subject(FULL), weak)))
    await plant.nothing_made()
    [(_, action, why)] = plant.refusals()
    assert action == "RegisterCertificate"
    assert "1024" in why


async def test_a_flood_of_one_ca_is_held_back(tmp_path: Path) -> None:
    async with opened(tmp_path, gateway__just_in_time_rate=2) as house:
        plant = Plant(house)
        await plant.register()
        for _ in range(4):
            assert await plant.meet(plant.leaf())
        assert len(await plant.known()) == 2
        assert ["within a second" in reason for _, _, reason in plant.refusals()] == [True, True]
        house.pass_(1000)
        assert await plant.meet(plant.leaf())
        assert len(await plant.known()) == 3


# --- whose is it? -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "reason"), [(None, "names no server"), ("other.example", "other.example")])
async def test_sni_only_needs_the_servers_name(plant: Plant, name: str | None, reason: str) -> None:
    await plant.register(mode=Mode.SNI_ONLY)
    leaf = plant.leaf()
    assert await plant.meet(leaf, name)
    await plant.nothing_made()
    [(_, _, why)] = plant.refusals()
    assert reason in why
    assert await plant.meet(leaf, "iot.example")
    assert [each.mode for each in await plant.known()] == [Mode.SNI_ONLY]


async def test_two_accounts_with_one_ca(plant: Plant) -> None:
    pem = plant.maker.pem
    for realm in (REALM, OTHER):
        await plant.register(pem, realm, mode=Mode.SNI_ONLY)
    assert await plant.meet(plant.leaf(), "iot.example")
    await plant.nothing_made()
    refused = plant.refusals()
    assert [realm for realm, _, _ in refused] == [REALM, OTHER]
    assert all("several accounts or regions" in why for _, _, why in refused)


async def test_of_several_accounts_the_server_name_tells_one(plant: Plant) -> None:
    pem = plant.maker.pem
    for realm in (REALM, OTHER):
        await plant.register(pem, realm, mode=Mode.SNI_ONLY)
    made = DomainType.CUSTOMER_MANAGED
    await plant.write(lambda tx, act: domains.create(tx, act, "d", "other.example", made), OTHER)
    leaf = plant.leaf()
    assert await plant.meet(leaf, "other.example")
    assert [each.realm for each in await plant.known()] == [OTHER]
    assert await plant.meet(leaf, "other.example")
    assert plant.refusals() == []
    assert len(await plant.entries()) == 2


async def test_a_name_that_tells_an_account_without_the_ca_registers_nobody(plant: Plant) -> None:
    await plant.register()
    made = DomainType.CUSTOMER_MANAGED
    await plant.write(lambda tx, act: domains.create(tx, act, "d", "other.example", made), OTHER)
    assert not await plant.meet(plant.leaf(), "other.example")
    assert await plant.known() == []


async def test_who_proved_the_cas_key_has_its_devices(plant: Plant) -> None:
    pem = plant.maker.pem
    await plant.register(pem, REALM, mode=Mode.SNI_ONLY)
    await plant.register(pem, OTHER, mode=Mode.DEFAULT)
    leaf = plant.leaf()
    for _ in range(2):
        assert await plant.meet(leaf, "iot.example")
    assert [each.realm for each in await plant.known()] == [OTHER]
    assert plant.refusals() == []


@pytest.mark.parametrize("settings", [{"automatic": False}, {"status": authorities.Status.INACTIVE}])
async def test_a_ca_that_registers_nobody_loses_no_device_to_another_account(
    plant: Plant, settings: dict[str, Any]
) -> None:
    pem = plant.maker.pem
    await plant.register(pem, REALM, mode=Mode.DEFAULT, **settings)
    await plant.register(pem, OTHER, mode=Mode.SNI_ONLY)
    assert await plant.meet(plant.leaf(), "iot.example")
    await plant.nothing_made()
    told = {realm: why for realm, _, why in plant.refusals()}
    assert "its key was proven elsewhere" in told[OTHER]
    assert "proven" not in told[REALM]
    made = DomainType.CUSTOMER_MANAGED
    await plant.write(lambda tx, act: domains.create(tx, act, "d", "other.example", made), OTHER)
    assert await plant.meet(plant.leaf(), "other.example")
    assert [each.realm for each in await plant.known()] == [OTHER]


async def test_of_ones_own_cas_the_one_that_is_ready(plant: Plant) -> None:
    await plant.register(plant.maker.pem, mode=Mode.DEFAULT, status=authorities.Status.INACTIVE)
    plant.house.pass_(1000)
    for realm in (REALM, OTHER):
        await plant.register(plant.maker.pem, realm, mode=Mode.SNI_ONLY)
    assert await plant.meet(plant.leaf(), "iot.example")
    assert [(each.realm, each.mode) for each in await plant.known()] == [(REALM, Mode.SNI_ONLY)]


async def test_an_account_learns_nothing_of_anothers_ca(plant: Plant) -> None:
    pem = plant.maker.pem
    await plant.register(pem, REALM, mode=Mode.SNI_ONLY, status=authorities.Status.INACTIVE)
    await plant.register(pem, OTHER, automatic=False)
    assert await plant.meet(plant.leaf())
    assert [(realm, "INACTIVE" in why) for realm, _, why in plant.refusals()] == [(REALM, True), (OTHER, False)]


async def test_of_two_certificates_of_one_ca_the_first_that_is_ready(plant: Plant) -> None:
    old = await plant.register(plant.maker.pem)
    plant.house.pass_(1)
    new = await plant.register(plant.maker.pem)
    leaf = plant.leaf()
    await plant.meet(leaf)
    plant.house.pass_(1)
    await plant.write(lambda tx, act: authorities.update(tx, act, old.fingerprint, status=authorities.Status.INACTIVE))
    await plant.meet(leaf)
    told = [entry.event for entry in await plant.entries()]
    assert [each.ca_fingerprint for each in told] == [old.fingerprint, new.fingerprint]  # type: ignore[union-attr] # as above


# --- provisioning -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["name", "body"])
async def test_a_template_makes_everything_at_once(plant: Plant, by: str) -> None:
    await plant.policy()
    config = await plant.template() if by == "name" else RegistrationConfig(None, json.dumps(BODY), ROLE)
    ca = await plant.register(registration_config=config)
    leaf = plant.leaf()
    assert await plant.meet(leaf)
    [made] = await plant.known()
    assert (made.status, made.ca_fingerprint) == (Status.ACTIVE, ca.fingerprint)
    thing = await plant.read(lambda tx: things.get(tx, REALM, "pump-1"))
    assert thing.attributes == {"country": "DE"}
    assert [each.fingerprint for each in await plant.read(lambda tx: attachments.certificates_of(tx, REALM, "pump-1"))]
    attached = await plant.read(lambda tx: attachments.policies_for(tx, REALM, made.fingerprint, "pump-1"))
    assert [name for name, _, _ in attached] == ["production"]
    name = "jitp" if by == "name" else ""
    [entry] = await plant.audited("ProvisionDevice")
    assert (entry.outcome, entry.target) == ("ok", REALM.arn("thing", "pump-1"))
    assert entry.details["template"] == name
    happened = [entry.event for entry in await plant.read(lambda tx: outbox.pending(tx, 100))]
    assert events.DeviceProvisioned(name, "pump-1", made.fingerprint, "") in happened
    assert await plant.entries() == []  # nobody has to activate it
    assert not await plant.meet(leaf)


def test_the_fields_of_a_subject() -> None:
    ca = TestAuthority("Works CA")
    prefix = "AWS::IoT::Certificate::"
    assert subject_fields(Identity.read(ca.device(subject(FULL)))) == {
        f"{prefix}CommonName": "pump-1",
        f"{prefix}Country": "DE",
        f"{prefix}Organization": "Works",
        f"{prefix}OrganizationalUnit": "hall-3",
        f"{prefix}DistinguishedNameQualifier": "q7",
        f"{prefix}StateName": "Hessen",
        f"{prefix}SerialNumber": "SN-1",
    }
    twice = x509.Name([x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, name) for name in ("one", "two")])
    assert subject_fields(Identity.read(ca.device(twice))) == {f"{prefix}OrganizationalUnit": "one"}


async def test_a_field_that_the_subject_lacks(plant: Plant) -> None:
    await plant.provisions()
    assert await plant.meet(plant.leaf({NameOID.COUNTRY_NAME: "DE"}))
    await plant.nothing_made()
    [(realm, action, why)] = plant.refusals()
    assert (realm, action) == (REALM, "ProvisionDevice")
    assert "Cannot resolve reference value: AWS::IoT::Certificate::CommonName" in why
    assert "the certificate's subject has no commonName (CN)" in why
    assert await plant.meet(plant.leaf({NameOID.COMMON_NAME: "pump-2"}))  # Country has a Default
    assert (await plant.read(lambda tx: things.get(tx, REALM, "pump-2"))).attributes == {"country": "none"}


async def test_a_step_that_fails_leaves_nothing_half_made(plant: Plant) -> None:
    await plant.register(registration_config=await plant.template())  # and no policy
    assert await plant.meet(plant.leaf())
    await plant.nothing_made()
    [(_, action, why)] = plant.refusals()
    assert action == "ProvisionDevice"
    assert "production" in why


async def test_a_name_that_cannot_be_a_things(plant: Plant) -> None:
    await plant.provisions()
    assert await plant.meet(plant.leaf({NameOID.COMMON_NAME: "pump 1/*"}))
    await plant.nothing_made()
    [(_, _, why)] = plant.refusals()
    assert "thing name" in why


async def test_a_subject_does_not_widen_a_policy(plant: Plant) -> None:
    body = json.loads(json.dumps(BODY))
    statement = {"Effect": "Allow", "Action": "iot:Connect", "Resource": {"Ref": "AWS::IoT::Certificate::Country"}}
    body["Parameters"]["AWS::IoT::Certificate::Organization"] = {"Type": "String"}
    statement["Resource"] = {"Fn::Join": ["", ["arn:aws:iot:us-east-1:123456789012:client/", ref("Organization")]]}
    body["Resources"]["policy"]["Properties"] = {"PolicyDocument": {"Version": "2012-10-17", "Statement": [statement]}}
    await plant.register(registration_config=await plant.template(body=body))
    assert await plant.meet(plant.leaf({**FULL, NameOID.ORGANIZATION_NAME: "*"}))
    await plant.nothing_made()
    [(_, _, why)] = plant.refusals()
    assert "would change what the policy allows" in why


def ref(field: str) -> dict[str, str]:
    return {"Ref": f"AWS::IoT::Certificate::{field}"}


async def test_a_template_that_is_disabled(plant: Plant) -> None:
    await plant.provisions(enabled=False)
    assert await plant.meet(plant.leaf())
    await plant.nothing_made()
    assert plant.refusals() == [(REALM, "ProvisionDevice", "Provisioning template jitp is disabled.")]


async def test_a_template_that_would_activate_nothing(plant: Plant) -> None:
    body = {"Parameters": BODY["Parameters"], "Resources": {"thing": BODY["Resources"]["thing"]}}
    await plant.provisions(body=body)
    assert await plant.meet(plant.leaf())
    await plant.nothing_made()
    [(_, _, why)] = plant.refusals()
    assert "AWS::IoT::Certificate" in why


async def test_a_template_comes_later(plant: Plant) -> None:
    """As after a crash that came between: what waits for activation is provisioned when it is presented again."""
    ca = await plant.register()
    leaf = plant.leaf()
    await plant.meet(leaf)
    await plant.policy()
    config = await plant.template()
    await plant.write(lambda tx, act: authorities.update(tx, act, ca.fingerprint, registration_config=config))
    await plant.meet(leaf)
    assert [each.status for each in await plant.known()] == [Status.ACTIVE]
    assert len(await plant.audited("RegisterCertificate")) == 1
    assert len(await plant.entries()) == 1


async def test_what_failed_is_tried_again_at_the_next_presentation(plant: Plant) -> None:
    ca = await plant.register()
    leaf = plant.leaf()
    await plant.meet(leaf)
    config = await plant.template()
    await plant.write(lambda tx, act: authorities.update(tx, act, ca.fingerprint, registration_config=config))
    await plant.meet(leaf)  # without the policy
    assert [each.status for each in await plant.known()] == [Status.PENDING_ACTIVATION]
    await plant.policy()
    await plant.meet(leaf)
    assert [each.status for each in await plant.known()] == [Status.ACTIVE]


async def test_the_ca_changes_in_between(plant: Plant) -> None:
    ca = await plant.register()
    config = await plant.template()
    identity = Identity.read(x509s.pem(plant.leaf()))
    act = plant.runtime.act(REALM, f"cert/{identity.fingerprint}")
    await plant.write(lambda tx, act: authorities.update(tx, act, ca.fingerprint, registration_config=config))
    with pytest.raises(AccessDenied, match="just given another template"):
        await plant.newcomers._take_in(act, ca, identity)
    await plant.write(lambda tx, act: authorities.update(tx, act, ca.fingerprint, remove_registration=True))
    with pytest.raises(AccessDenied, match="has no auto registration"):
        await plant.newcomers._take_in(act, ca, identity)
    assert await plant.known() == []


async def test_somebody_decides_in_between(plant: Plant) -> None:
    ca = await plant.register()
    leaf = plant.leaf()
    await plant.meet(leaf)
    await plant.write(lambda tx, act: certificates.set_status(tx, act, x509s.fingerprint(leaf), Status.REVOKED))
    identity = Identity.read(x509s.pem(leaf))
    await plant.newcomers._take_in(plant.runtime.act(REALM, f"cert/{identity.fingerprint}"), ca, identity)
    assert len(await plant.entries()) == 1
    assert [each.status for each in await plant.known()] == [Status.REVOKED]


# --- again ------------------------------------------------------------------------------------------------------------


async def connected(plant: Plant, leaf: x509.Certificate) -> None:
    await plant.write(lambda tx, act: certificates.connected(tx, act, x509s.fingerprint(leaf)))


async def test_a_device_that_its_ca_gave_another_certificate(plant: Plant) -> None:
    await plant.provisions()
    for _ in range(2):
        leaf = plant.leaf()
        await plant.meet(leaf)
        await connected(plant, leaf)
    assert [each.status for each in await plant.known()] == [Status.ACTIVE] * 2
    assert len(await plant.read(lambda tx: attachments.certificates_of(tx, REALM, "pump-1"))) == 2


async def test_a_template_may_forbid_that(plant: Plant) -> None:
    await plant.provisions(reprovisioning=Reprovisioning.NEVER)
    first = plant.leaf()
    await plant.meet(first)
    await plant.meet(plant.leaf())
    assert [each.fingerprint for each in await plant.known()] == [x509s.fingerprint(first)]
    [(_, _, why)] = plant.refusals()
    assert "already has an active certificate" in why
