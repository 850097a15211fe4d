"""The three requests of a device, one by one, on a real installation whose clock stands still."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.fleet import ClaimFleet, House, make_fleet, opened
from tests.server import REALM, ROLE, template_body

from fleetgate.access import CertificatePrincipal
from fleetgate.agent import keys as device_keys
from fleetgate.database.port import Tx
from fleetgate.errors import (
    AccessDenied,
    InvalidOwnershipToken,
    InvalidParameters,
    InvalidSigningRequest,
    NotFound,
    Refused,
    Throttled,
)
from fleetgate.names import Act
from fleetgate.pki import certificate, keys
from fleetgate.pki.keys import KeyKind
from fleetgate.provisioning import claim, rebind
from fleetgate.provisioning.claim import HOOK_DENIED, LEAST_ROOM, Asker
from fleetgate.registry import attachments, audit, certificates, claims, events, functions, outbox, templates, things
from fleetgate.registry.certificates import Certificate, Status
from fleetgate.registry.tokens import LIFETIME

HOOK = f"arn:aws:lambda:{REALM.region}:{REALM.account}:function:gate"


class Factory:
    """An installation, a batch of devices, and what they ask."""

    def __init__(self, house: House, fleet: ClaimFleet) -> None:
        self.house, self.fleet, self.runtime = house, fleet, house.runtime
        self.key = device_keys.make(KeyKind.EC_P256)

    def act(self) -> Act:
        return self.runtime.act(REALM, f"cert/{self.fleet.fingerprint}")

    async def read(self, work: Callable[[Tx], Any]) -> Any:
        return await self.runtime.database.read(work)

    async def write(self, work: Callable[[Tx, Act], Any]) -> Any:
        act = self.act()
        return await self.runtime.write(lambda tx: work(tx, act))

    async def asker(self, fingerprint: str | None = None) -> Asker:
        found = await self.read(lambda tx: certificates.get(tx, REALM, fingerprint or self.fleet.fingerprint))
        return Asker(CertificatePrincipal(REALM, found), "device-1")

    async def from_csr(self, key: str | None = None, by: str | None = None) -> dict[str, Any]:
        request = {"certificateSigningRequest": device_keys.signing_request(key or self.key, "")}
        return await claim.create_from_csr(self.runtime, self.act(), await self.asker(by), request)

    async def register(self, made: dict[str, Any], by: str | None = None, **parameters: Any) -> dict[str, Any]:
        request = {
            "certificateOwnershipToken": made["certificateOwnershipToken"],
            "parameters": parameters or {"SerialNumber": "SN-1"},
        }
        return await self.ask(request, by)

    async def ask(self, request: dict[str, Any], by: str | None = None, template: str = "") -> dict[str, Any]:
        name = template or self.fleet.template
        return await claim.register_thing(self.runtime, self.act(), await self.asker(by), name, request)

    async def certificates(self, thing: str = "SN-1") -> list[Certificate]:
        return list(await self.read(lambda tx: attachments.certificates_of(tx, REALM, thing)))

    async def connects(self, fingerprint: str) -> None:
        await self.write(lambda tx, act: certificates.connected(tx, act, fingerprint))


@pytest.fixture
async def found(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Makes a factory: its first argument are settings as `opened` takes them, the others as `make_fleet` does."""
    async with AsyncExitStack() as stack:

        async def make(settings: dict[str, Any] | None = None, **more: Any) -> Factory:
            house = await stack.enter_async_context(opened(tmp_path / "data", **(settings or {})))
            return Factory(house, await make_fleet(house.runtime, tmp_path / "claim", **more))

        yield make


@pytest.fixture
async def factory(found: Callable[..., Any]) -> Factory:
    made: Factory = await found()
    return made


# --- certificates ----------------------------------------------------------------------------------------------------


async def test_a_certificate_from_a_signing_request(factory: Factory) -> None:
    made = await factory.from_csr()
    assert sorted(made) == ["certificateId", "certificateOwnershipToken", "certificatePem"]
    assert certificate.fingerprint(certificate.load(made["certificatePem"])) == made["certificateId"]
    assert len(made["certificateOwnershipToken"]) <= 512
    kept = await factory.read(lambda tx: certificates.get(tx, REALM, made["certificateId"]))
    assert kept.status is Status.PENDING_ACTIVATION
    assert kept.claim_fingerprint == factory.fleet.fingerprint


async def test_a_certificate_with_a_key_made_here(found: Callable[..., Any]) -> None:
    factory = await found({"authority__device_key": "rsa-2048"})
    made = await claim.create_keys(factory.runtime, factory.act(), await factory.asker())
    key = keys.load_private_key(made["privateKey"].encode())
    assert made["privateKey"].startswith("-----BEGIN RSA PRIVATE KEY-----\n")
    assert certificate.load(made["certificatePem"]).public_key() == key.public_key()
    rows = await factory.read(lambda tx: tx.rows("SELECT * FROM certificates"))
    assert made["privateKey"] not in str([dict(row) for row in rows])


async def test_an_empty_pool_only_takes_longer(found: Callable[..., Any]) -> None:
    factory = await found({"authority__key_pool": 0})
    made = await claim.create_keys(factory.runtime, factory.act(), await factory.asker())
    assert "EC PRIVATE KEY" in made["privateKey"]


@pytest.mark.parametrize("request_", [{}, {"certificateSigningRequest": 7}, {"certificateSigningRequest": ""}])
async def test_no_signing_request(factory: Factory, request_: dict[str, Any]) -> None:
    with pytest.raises(InvalidSigningRequest, match="Send the signing request as PEM text"):
        await claim.create_from_csr(factory.runtime, factory.act(), await factory.asker(), request_)


async def test_a_claim_that_may_not_gets_no_certificate(factory: Factory) -> None:
    await factory.write(lambda tx, act: claims.set_enabled(tx, act, factory.fleet.fingerprint, False))
    with pytest.raises(AccessDenied) as caught:
        await factory.from_csr()
    assert caught.value.message == claims.REFUSED
    assert "is switched off" in caught.value.reason
    issued = await factory.read(lambda tx: audit.page(tx, REALM, action="IssueCertificate"))
    assert len(issued.items) == 1, "the claim's own, and no other"


async def test_certificates_that_wait_are_bounded(found: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim, "LEAST_ROOM", 3)
    assert LEAST_ROOM == 1_000
    factory = await found(maximum=1)
    for _ in range(3):
        await factory.from_csr()
    with pytest.raises(Throttled, match=r"3 certificates that were made .* try again in 3600 seconds"):
        await factory.from_csr()
    factory.house.pass_(LIFETIME)
    await factory.from_csr()


async def test_a_thing_is_not_bound_again_without_end(
    found: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (rebind.MOST_AGAIN, rebind.AGAIN_WITHIN) == (100, 3_600_000)
    monkeypatch.setattr(rebind, "MOST_AGAIN", 3)
    factory = await found(maximum=1)
    for _ in range(3):
        await factory.register(await factory.from_csr())
    with pytest.raises(Throttled, match="Thing SN-1 was given 3 certificates within an hour"):
        await factory.register(await factory.from_csr())
    kept = await factory.certificates()
    assert sorted(each.status for each in kept) == [Status.ACTIVE, Status.INACTIVE, Status.INACTIVE]
    factory.house.pass_(rebind.AGAIN_WITHIN)
    await factory.register(await factory.from_csr())


async def test_a_device_that_renewed_keeps_its_place_in_a_claim_with_nothing_left(found: Callable[..., Any]) -> None:
    factory = await found(maximum=1)
    first = await factory.from_csr()
    await factory.register(first)
    await factory.connects(first["certificateId"])
    renewed = await factory.from_csr(by=first["certificateId"])
    await factory.register(renewed, by=first["certificateId"])
    await factory.connects(renewed["certificateId"])
    assert (await factory.asker(first["certificateId"])).certificate.certificate.status is Status.INACTIVE
    again = await factory.register(await factory.from_csr())  # set back to how it left the factory
    assert again["thingName"] == "SN-1"
    with pytest.raises(AccessDenied, match=claims.REFUSED):
        await factory.from_csr(device_keys.make(KeyKind.EC_P256))


async def test_a_device_does_not_renew_without_end(factory: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebind, "MOST_AGAIN", 3)
    made = await factory.from_csr()
    await factory.register(made)
    own = made["certificateId"]
    for _ in range(2):
        await factory.register(await factory.from_csr(device_keys.make(KeyKind.EC_P256), by=own), by=own)
    with pytest.raises(Throttled, match="Thing SN-1 was given 3 certificates within an hour"):
        await factory.register(await factory.from_csr(by=own), by=own)


# --- RegisterThing ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [Status.INACTIVE, Status.REVOKED])
async def test_a_token_does_not_undo_what_an_operator_decided(factory: Factory, status: Status) -> None:
    made = await factory.from_csr()
    await factory.write(lambda tx, act: certificates.set_status(tx, act, made["certificateId"], status))
    with pytest.raises(AccessDenied, match=f"is {status} by now; ask for another one"):
        await factory.register(made)
    kept = await factory.read(lambda tx: certificates.get(tx, REALM, made["certificateId"]))
    assert kept.status is status
    assert await factory.read(lambda tx: things.find(tx, REALM, "SN-1")) is None
    assert (await factory.read(lambda tx: claims.get(tx, REALM, factory.fleet.fingerprint))).used == 0


async def test_a_device_is_provisioned(factory: Factory) -> None:
    made = await factory.from_csr()
    answer = await factory.register(made)
    assert answer == {"deviceConfiguration": {"interval": "60"}, "thingName": "SN-1"}
    [bound] = await factory.certificates()
    assert (bound.fingerprint, bound.status) == (made["certificateId"], Status.ACTIVE)
    page = await factory.read(lambda tx: audit.page(tx, REALM, action="RegisterThing"))
    [entry] = page.items
    assert (entry.target, entry.outcome) == (REALM.arn("thing", "SN-1"), "ok")
    told = [entry.event for entry in await factory.read(lambda tx: outbox.pending(tx, 100))]
    assert events.DeviceProvisioned("fleet", "SN-1", made["certificateId"], factory.fleet.fingerprint) in told


async def test_a_template_without_a_thing(found: Callable[..., Any]) -> None:
    body = json.loads(template_body("fleet-production"))
    del body["Resources"]["thing"]
    factory = await found(body=json.dumps(body))
    made = await factory.from_csr()
    assert await factory.register(made) == {"deviceConfiguration": {}}
    page = await factory.read(lambda tx: audit.page(tx, REALM, action="RegisterThing"))
    assert page.items[0].target == REALM.arn("cert", made["certificateId"])


@pytest.mark.parametrize("token", [None, "", 7])
async def test_no_token(factory: Factory, token: Any) -> None:
    with pytest.raises(InvalidOwnershipToken, match="Certificate ownership token cannot be empty"):
        await factory.ask({"certificateOwnershipToken": token, "parameters": {"SerialNumber": "SN-1"}})


@pytest.mark.parametrize("parameters", [[], "text", 7])
async def test_parameters_that_are_no_map(factory: Factory, parameters: Any) -> None:
    with pytest.raises(InvalidParameters, match="a map from names to texts"):
        await factory.ask({"certificateOwnershipToken": "x", "parameters": parameters})


async def test_parameters_that_are_no_texts(factory: Factory) -> None:
    with pytest.raises(InvalidParameters, match="these are not: a, b"):
        await factory.ask({"certificateOwnershipToken": "x", "parameters": {"b": 1, "a": None, "c": ""}})


@pytest.mark.parametrize("token", ["wrong", "\ud800", "x" * 10_000])
async def test_a_wrong_token(factory: Factory, token: str) -> None:
    with pytest.raises(InvalidOwnershipToken, match="is not valid for this connection"):
        await factory.ask({"certificateOwnershipToken": token})


async def test_a_token_is_good_once(factory: Factory) -> None:
    made = await factory.from_csr()
    await factory.register(made)
    with pytest.raises(InvalidOwnershipToken):
        await factory.register(made)


async def test_a_token_is_good_for_an_hour(factory: Factory) -> None:
    made = await factory.from_csr()
    factory.house.pass_(LIFETIME)
    with pytest.raises(InvalidOwnershipToken):
        await factory.register(made)
    factory.house.pass_(-1)
    await factory.register(made)


async def test_of_two_that_come_at_once_one_is_served(factory: Factory) -> None:
    made = await factory.from_csr()
    results = await asyncio.gather(*(factory.register(made) for _ in range(8)), return_exceptions=True)
    assert sum(isinstance(result, dict) for result in results) == 1
    assert sum(isinstance(result, InvalidOwnershipToken) for result in results) == 7
    used = await factory.read(lambda tx: claims.get(tx, REALM, factory.fleet.fingerprint).used)
    assert used == 1


async def test_what_is_refused_leaves_nothing_and_the_token_as_it_was(factory: Factory) -> None:
    made = await factory.from_csr()
    with pytest.raises(Refused, match="SerialNumber"):
        await factory.register(made, Other="1")
    await factory.write(lambda tx, act: templates.update(tx, act, "fleet", enabled=False))
    with pytest.raises(AccessDenied, match="is disabled"):
        await factory.register(made)
    await factory.write(lambda tx, act: templates.update(tx, act, "fleet", enabled=True))
    with pytest.raises(NotFound, match="template other does not exist"):
        await factory.ask({"certificateOwnershipToken": made["certificateOwnershipToken"]}, template="other")
    assert await factory.read(lambda tx: things.find(tx, REALM, "SN-1")) is None
    await factory.register(made)


async def test_a_template_of_another_type(factory: Factory) -> None:
    await factory.write(
        lambda tx, act: templates.create(tx, act, "jitp", "{}", ROLE, type=templates.Type.JITP, enabled=True)
    )
    made = await factory.from_csr()
    with pytest.raises(AccessDenied, match="of type JITP, not FLEET_PROVISIONING"):
        await factory.ask({"certificateOwnershipToken": made["certificateOwnershipToken"]}, template="jitp")


async def test_a_listed_serial_number_makes_no_thing_of_another_name(found: Callable[..., Any]) -> None:
    body = json.loads(template_body("fleet-production"))
    body["Parameters"] = {name: {"Type": "String"} for name in ("DeviceName", "AWS::IoT::Certificate::Id")}
    body["Resources"]["thing"]["Properties"]["ThingName"] = {"Ref": "DeviceName"}
    factory = await found(serials=["SN-1"], body=json.dumps(body))
    made = await factory.from_csr()
    with pytest.raises(AccessDenied) as caught:
        await factory.register(made, SerialNumber="SN-1", DeviceName="free")
    assert caught.value.message == claims.REFUSED
    assert "'free' is not on the list" in caught.value.reason
    assert (await factory.register(made, DeviceName="SN-1"))["thingName"] == "SN-1"


async def test_a_list_needs_a_thing(found: Callable[..., Any]) -> None:
    body = json.loads(template_body("fleet-production"))
    del body["Resources"]["thing"]
    factory = await found(serials=["SN-1"], body=json.dumps(body))
    with pytest.raises(AccessDenied) as caught:
        await factory.register(await factory.from_csr())
    assert "the template makes no thing" in caught.value.reason


async def test_a_claim_with_a_list_makes_what_is_on_it(found: Callable[..., Any]) -> None:
    factory = await found(serials=["SN-1", "A"], body=template_body("fleet-production"))
    await factory.register(await factory.from_csr())
    with pytest.raises(AccessDenied) as caught:
        await factory.register(await factory.from_csr(device_keys.make(KeyKind.EC_P256)), SerialNumber="SN-9")
    assert "'SN-9' is not on the list" in caught.value.reason


# --- claims without a budget -----------------------------------------------------------------------------------------


async def test_a_claim_that_nobody_registered_is_refused(factory: Factory) -> None:
    made = await factory.from_csr()
    await factory.write(lambda tx, act: claims.delete(tx, act, factory.fleet.fingerprint))
    for attempt in (factory.from_csr(), factory.register(made)):
        with pytest.raises(AccessDenied, match=r"is no registered claim.*fleetgate claim register"):
            await attempt


async def test_or_gets_the_default_budget(found: Callable[..., Any]) -> None:
    factory = await found({"claims__unregistered": "default-budget", "claims__default_budget": 2})
    await factory.write(lambda tx, act: tx.run("DELETE FROM claims"))
    for serial in ("SN-1", "SN-2"):
        await factory.register(await factory.from_csr(device_keys.make(KeyKind.EC_P256)), SerialNumber=serial)
    kept = await factory.read(lambda tx: claims.get(tx, REALM, factory.fleet.fingerprint))
    assert (kept.maximum, kept.used, kept.batch) == (2, 2, "unregistered")
    with pytest.raises(AccessDenied):
        await factory.from_csr(device_keys.make(KeyKind.EC_P256))


async def test_a_claim_that_was_deleted_gets_no_default_budget(found: Callable[..., Any]) -> None:
    factory = await found({"claims__unregistered": "default-budget", "claims__default_budget": 2})
    made = await factory.from_csr()
    await factory.write(lambda tx, act: claims.delete(tx, act, factory.fleet.fingerprint))
    for attempt in (factory.from_csr(), factory.register(made)):
        with pytest.raises(AccessDenied, match="is no registered claim"):
            await attempt


# --- hooks -----------------------------------------------------------------------------------------------------------


async def test_a_hook_bound_to_nothing_denies_and_the_device_learns_nothing(found: Callable[..., Any]) -> None:
    factory = await found(hook=HOOK)
    with pytest.raises(AccessDenied) as caught:
        await factory.register(await factory.from_csr())
    assert caught.value.message == HOOK_DENIED
    assert "Bind it with: fleetgate function bind gate FILE" in caught.value.reason


async def _bind(factory: Factory, folder: Path, answer: str) -> None:
    file = folder / "gate.py"
    file.write_text(f"def lambda_handler(event, context):\n    return {answer}\n")
    await factory.write(lambda tx, act: functions.put(tx, act, "gate", str(file), "lambda_handler"))


async def test_a_hook_may_change_the_parameters(found: Callable[..., Any], tmp_path: Path) -> None:
    factory = await found(hook=HOOK)
    await _bind(factory, tmp_path, "{'allowProvisioning': True, 'parameterOverrides': {'SerialNumber': 'SN-7'}}")
    answer = await factory.register(await factory.from_csr())
    assert answer["thingName"] == "SN-7"


async def test_a_hook_says_no(found: Callable[..., Any], tmp_path: Path) -> None:
    factory = await found(hook=HOOK)
    await _bind(factory, tmp_path, "{'allowProvisioning': False}")
    with pytest.raises(AccessDenied) as caught:
        await factory.register(await factory.from_csr())
    assert caught.value.message == HOOK_DENIED
    assert "denied: the hook said allowProvisioning False" in caught.value.reason


class Thinking:
    """A hook that says yes, but not before the test lets it: what happens meanwhile is no race."""

    def __init__(self, folder: Path) -> None:
        self._asked, self._go = folder / "asked", folder / "go"
        for pipe in (self._asked, self._go):
            os.mkfifo(pipe)
        self.file = folder / "thinking.py"
        self.file.write_text(
            f"def lambda_handler(event, context):\n    open({str(self._asked)!r}, 'w').close()\n"
            f"    open({str(self._go)!r}).read()\n    return {{'allowProvisioning': True}}\n"
        )

    async def meanwhile(self, request: Awaitable[Any], work: Awaitable[Any]) -> Any:
        """The answer to *request*, whose hook waits until *work* is done."""
        answer = asyncio.ensure_future(request)
        await asyncio.to_thread(self._asked.read_bytes)
        await work
        await asyncio.to_thread(self._go.write_bytes, b"")
        return await answer


@pytest.fixture
async def thinking(found: Callable[..., Any], tmp_path: Path) -> tuple[Factory, Thinking]:
    factory, hook = await found(hook=HOOK), Thinking(tmp_path)
    await factory.write(lambda tx, act: functions.put(tx, act, "gate", str(hook.file), "lambda_handler"))
    return factory, hook


async def _own(factory: Factory, hook: Thinking) -> str:
    """A device's own certificate, in use."""
    first = await factory.from_csr()
    await hook.meanwhile(factory.register(first), asyncio.sleep(0))
    own = str(first["certificateId"])
    await factory.connects(own)
    return own


async def test_a_device_that_is_revoked_while_the_hook_thinks_gets_no_successor(
    thinking: tuple[Factory, Thinking],
) -> None:
    factory, hook = thinking
    own = await _own(factory, hook)
    second = await factory.from_csr(by=own)
    revoke = factory.write(lambda tx, act: certificates.set_status(tx, act, own, Status.REVOKED))
    with pytest.raises(AccessDenied, match="is REVOKED, not ACTIVE"):
        await hook.meanwhile(factory.register(second, by=own), revoke)
    assert [(each.fingerprint, each.status) for each in await factory.certificates()] == [(own, Status.REVOKED)]


async def test_a_device_that_was_revoked_is_given_no_certificate(thinking: tuple[Factory, Thinking]) -> None:
    factory, hook = thinking
    own = await _own(factory, hook)
    asker = await factory.asker(own)
    await factory.write(lambda tx, act: certificates.set_status(tx, act, own, Status.REVOKED))
    with pytest.raises(AccessDenied, match="is REVOKED, not ACTIVE"):
        await claim.create_keys(factory.runtime, factory.act(), asker)


@pytest.mark.parametrize(
    "change",
    [
        {"enabled": False},
        {"remove_hook": True},
        {"hook_target_arn": f"{HOOK}-other"},
        {"default_version": 2},
        "reprovisioning",
        "delete",
    ],
    ids=str,
)
async def test_a_template_that_changes_while_the_hook_thinks_makes_nothing(
    thinking: tuple[Factory, Thinking], change: Any
) -> None:
    factory, hook = thinking

    def work(tx: Tx, act: Act) -> None:
        if change == "delete":
            templates.delete(tx, act, "fleet")
        elif change == "reprovisioning":
            templates.set_reprovisioning(tx, act, "fleet", templates.Reprovisioning.NEVER)
        else:
            templates.create_version(tx, act, "fleet", template_body("fleet-production"))
            templates.update(tx, act, "fleet", **change)

    made = await factory.from_csr()
    with pytest.raises(AccessDenied, match="template fleet changed meanwhile; ask again"):
        await hook.meanwhile(factory.register(made), factory.write(work))
    assert await factory.read(lambda tx: things.find(tx, REALM, "SN-1")) is None


# --- again -----------------------------------------------------------------------------------------------------------


async def test_a_lost_answer_is_made_good(factory: Factory) -> None:
    first = await factory.from_csr()
    await factory.register(first)
    second = await factory.from_csr()
    await factory.register(second)
    states = {each.fingerprint: each.status for each in await factory.certificates()}
    assert states == {first["certificateId"]: Status.INACTIVE, second["certificateId"]: Status.ACTIVE}
    used = await factory.read(lambda tx: claims.get(tx, REALM, factory.fleet.fingerprint).used)
    assert used == 1, "one device, however often it asks"


async def test_nobody_takes_over_a_thing_in_use(factory: Factory) -> None:
    first = await factory.from_csr()
    await factory.register(first)
    await factory.connects(first["certificateId"])
    thief = await factory.from_csr(device_keys.make(KeyKind.EC_P256))
    with pytest.raises(AccessDenied, match="already has an active certificate with another key"):
        await factory.register(thief)
    assert len(await factory.certificates()) == 1


async def test_a_device_renews_over_its_own_certificate(factory: Factory) -> None:
    first = await factory.from_csr()
    await factory.register(first)
    own = first["certificateId"]
    await factory.connects(own)
    second = await factory.from_csr(device_keys.make(KeyKind.EC_P256), by=own)
    await factory.register(second, by=own)
    used = await factory.read(lambda tx: claims.get(tx, REALM, factory.fleet.fingerprint).used)
    assert used == 1, "renewal costs no budget"
    await factory.connects(second["certificateId"])
    states = {each.fingerprint: each.status for each in await factory.certificates()}
    assert states == {own: Status.INACTIVE, second["certificateId"]: Status.ACTIVE}


async def test_a_device_renews_by_a_template_that_names_its_thing(found: Callable[..., Any]) -> None:
    factory = await found()
    first = await factory.from_csr()
    await factory.register(first)
    body = json.loads(template_body("fleet-production"))
    del body["Resources"]["thing"]
    await factory.write(
        lambda tx, act: templates.create_version(tx, act, "fleet", json.dumps(body), set_as_default=True)
    )
    second = await factory.from_csr(by=first["certificateId"])
    with pytest.raises(AccessDenied, match="this template names no thing"):
        await factory.register(second, by=first["certificateId"])
