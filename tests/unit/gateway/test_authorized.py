"""Devices without certificates: an authorizer's function decides about each CONNECT, and again after a time."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from tests.server import REALM
from tests.unit.gateway.callers import ALL, Caller, Hall, allow, document

from fleetgate.names import Act, Realm
from fleetgate.pki import certificate as certificates
from fleetgate.registry import authorizers, domains
from fleetgate.registry.authorizers import Status
from fleetgate.registry.certificates import Status as Certified
from fleetgate.registry.domains import AuthorizerConfig, DomainType
from fleetgate.wire.mqtt.errors import Reason
from fleetgate.wire.mqtt.packets import Connect, Disconnect, PubAck, Publish, QoS

NAMED = "me?x-amz-customauthorizer-name=a"
DOMAIN = "iot.customer.example"
OTHER = Realm("210987654321", "us-east-1")


class Functions:
    """The port: answers what a test says, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answer: dict[str, Any] = {"isAuthenticated": True, "principalId": "p1", "policyDocuments": [document(ALL)]}
        self.asked: list[tuple[Realm, str, Any]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def invoke(self, act: Act, target_arn: str, payload: Any, time_limit: int = 30_000) -> Any:
        self.asked.append((act.realm, target_arn, json.loads(json.dumps(payload))))
        await self.gate.wait()
        return self.answer


@pytest.fixture
def functions() -> Functions:
    return Functions()


class Desk:
    """Callers at the door whose functions a test holds."""

    def __init__(self, hall: Hall, functions: Functions) -> None:
        self.hall = hall
        self._runtime = replace(hall.runtime, functions=functions)

    def call(self, certificate: Any = None, server_name: str | None = None) -> Caller:
        return self.hall.call(certificate, self._runtime, server_name)

    async def authorizer(self, name: str = "a", realm: Realm = REALM, *, default: bool = False, **more: Any) -> None:
        act = self.hall.runtime.act(realm, "system")
        settings: dict[str, Any] = {"status": Status.ACTIVE, "signing_disabled": True} | more

        def make(tx: Any) -> None:
            authorizers.create(tx, act, name, f"function-{name}", **settings)
            if default:
                authorizers.set_default(tx, act, name)

        await self.hall.runtime.write(make)

    async def domain(self, **more: Any) -> None:
        await self.hall.change(
            lambda tx, act: domains.create(tx, act, "d", DOMAIN, DomainType.CUSTOMER_MANAGED, **more)
        )


@pytest.fixture
def desk(hall: Hall, functions: Functions) -> Desk:
    return Desk(hall, functions)


async def refused(desk: Desk, caller: Caller, reason: str, username: str | None = NAMED) -> None:
    caller.send(Connect("c", username=username))
    assert await caller.closed() == []
    [(action, why)] = desk.hall.refused()
    assert action == "Connect"
    assert reason in why


# --- coming in --------------------------------------------------------------------------------------------------------


async def test_the_function_lets_somebody_in_with_the_rights_that_it_answers(desk: Desk, functions: Functions) -> None:
    await desk.authorizer()
    functions.answer["policyDocuments"] = [
        document(allow("iot:Connect", "client/c")),
        document(allow("iot:Publish", "topic/${iot:ClientId}/x")),
    ]
    caller = desk.call()
    assert (await caller.connect(username=NAMED, password=b"\x00secret")).reason is Reason.SUCCESS
    [(realm, arn, event)] = functions.asked
    assert (realm, arn) == (REALM, "function-a")
    assert event["protocolData"]["mqtt"] == {"username": NAMED, "password": "AHNlY3JldA==", "clientId": "c"}
    caller.send(
        Publish("c/x", b"", QoS.AT_LEAST_ONCE, packet_id=1), Publish("c/y", b"", QoS.AT_LEAST_ONCE, packet_id=2)
    )
    answers = [await caller.receive(), await caller.receive()]
    assert [each.reason for each in answers if isinstance(each, PubAck)] == [Reason.SUCCESS, Reason.NOT_AUTHORIZED]
    [(action, why)] = desk.hall.refused()
    assert action == "iot:Publish"
    assert "secret" not in why


async def test_the_answer_must_allow_the_connection_itself(desk: Desk, functions: Functions) -> None:
    await desk.authorizer()
    functions.answer["policyDocuments"] = [document(allow("iot:Connect", "client/other"))]
    caller = desk.call()
    answer = await caller.connect(username=NAMED)
    assert answer.reason is Reason.NOT_AUTHORIZED


async def test_who_is_not_authenticated_is_told_nothing(desk: Desk, functions: Functions) -> None:
    await desk.authorizer()
    functions.answer = {"isAuthenticated": False}
    await refused(desk, desk.call(), "did not authenticate")
    functions.answer = {"isAuthenticated": True}
    await refused(desk, desk.call(), "cannot be used")


async def test_a_token_that_is_not_signed_reaches_no_function(desk: Desk, functions: Functions) -> None:
    await desk.authorizer(signing_disabled=False, token_key_name="t", token_keys={})
    await refused(desk, desk.call(), "asks for a signed token")
    assert functions.asked == []


async def test_what_was_presented_is_written_down_nowhere(
    desk: Desk, functions: Functions, capsys: pytest.CaptureFixture[str]
) -> None:
    await desk.authorizer()
    functions.answer = {"isAuthenticated": False}
    caller = desk.call()
    caller.send(Connect("c", username=f"{NAMED}&token=hush", password=b"hush"))
    await caller.closed()
    said = capsys.readouterr()
    assert "hush" not in repr(desk.hall.house.refusals) + said.out + said.err


async def test_nobody_without_certificate_and_authorizer(desk: Desk) -> None:
    caller = desk.call()
    caller.send(Connect("c"))
    assert await caller.closed() == []
    assert desk.hall.refused() == []
    await refused(desk, desk.call(), "There is no authorizer a")


async def test_an_inactive_one_decides_nothing(desk: Desk) -> None:
    await desk.authorizer(status=Status.INACTIVE)
    await refused(desk, desk.call(), "INACTIVE, not ACTIVE")


async def test_the_default_one_is_for_who_names_none(desk: Desk, functions: Functions) -> None:
    await desk.authorizer("a")
    await desk.authorizer("b", default=True)
    assert (await desk.call().connect("c1", username="me", password=b"p")).reason is Reason.SUCCESS
    assert (await desk.call().connect("c2", username=NAMED)).reason is Reason.SUCCESS
    assert [arn for _, arn, _ in functions.asked] == ["function-b", "function-a"]


# --- whose? -----------------------------------------------------------------------------------------------------------


async def test_credentials_go_to_no_account_that_is_not_meant(desk: Desk, functions: Functions) -> None:
    await desk.authorizer("a", default=True)
    await desk.authorizer("a", OTHER, default=True)
    await refused(desk, desk.call(), "Several accounts or regions have an authorizer a")
    await refused(desk, desk.call(), "Several accounts or regions have a default authorizer", "me")
    assert functions.asked == []
    await desk.domain()
    assert (await desk.call(server_name=DOMAIN).connect(username=NAMED)).reason is Reason.SUCCESS
    assert [realm for realm, _, _ in functions.asked] == [REALM]


async def test_a_domains_own_authorizer(desk: Desk, functions: Functions) -> None:
    await desk.authorizer("a")
    await desk.authorizer("b")
    await desk.domain(authorizer_config=AuthorizerConfig("b", allow_override=False))
    assert (await desk.call(server_name=DOMAIN).connect(username="me")).reason is Reason.SUCCESS
    assert functions.asked[0][1] == "function-b"
    assert functions.asked[0][2]["protocolData"]["tls"] == {"serverName": DOMAIN}
    await refused(desk, desk.call(server_name=DOMAIN), "does not let a connection choose")


async def test_a_domain_that_takes_another_protocol_or_authentication(desk: Desk) -> None:
    await desk.authorizer()
    device = await desk.hall.certificate(ALL)
    await desk.domain(authentication_type="AWS_X509", application_protocol="SECURE_MQTT")
    await refused(desk, desk.call(server_name=DOMAIN), "takes AWS_X509 alone")
    assert (await desk.call(device, DOMAIN).connect("x")).reason is Reason.SUCCESS
    found = await desk.hall.runtime.database.read(lambda tx: domains.get(tx, REALM, "d"))
    changed = replace(found, application_protocol="HTTPS")
    await desk.hall.change(lambda tx, act: domains.update(tx, act, changed))
    for caller in (desk.call(device, DOMAIN), desk.call(server_name=DOMAIN)):
        await refused(desk, caller, "takes HTTPS, not SECURE_MQTT")


# --- with a certificate -----------------------------------------------------------------------------------------------


async def test_a_certificate_beside_it_is_shown_to_the_function(desk: Desk, functions: Functions) -> None:
    await desk.authorizer()
    device = await desk.hall.certificate(ALL)
    functions.answer["policyDocuments"] = [document(allow("iot:Connect", "*"))]
    caller = desk.call(device)
    assert (await caller.connect(username=NAMED)).reason is Reason.SUCCESS
    tls = functions.asked[0][2]["protocolData"]["tls"]
    assert tls["principalId"] == certificates.fingerprint(device)
    assert certificates.load(tls["x509CertificatePem"]) == device
    caller.send(Publish("a", b"", QoS.AT_LEAST_ONCE, packet_id=1))  # the function's policies alone hold
    answer = await caller.receive()
    assert isinstance(answer, PubAck)
    assert answer.reason is Reason.NOT_AUTHORIZED


async def test_a_certificate_alone_asks_no_function(desk: Desk, functions: Functions) -> None:
    await desk.authorizer(default=True)
    device = await desk.hall.certificate(ALL)
    assert (await desk.call(device).connect(username="?SDK=x", password=b"y")).reason is Reason.SUCCESS
    assert functions.asked == []


async def test_a_domain_that_asks_for_both(desk: Desk, functions: Functions) -> None:
    await desk.authorizer()
    device = await desk.hall.certificate(ALL)
    inactive = await desk.hall.certificate(ALL, name="inactive", status=Certified.INACTIVE)
    both = AuthorizerConfig("a", allow_override=False)
    await desk.domain(authentication_type="CUSTOM_AUTH_X509", authorizer_config=both)
    assert (await desk.call(device, DOMAIN).connect(username="me")).reason is Reason.SUCCESS
    await refused(desk, desk.call(None, DOMAIN), "asks for a client certificate", "me")
    await refused(desk, desk.call(inactive, DOMAIN), "is INACTIVE", "me")
    assert len(functions.asked) == 1


# --- a time -----------------------------------------------------------------------------------------------------------


async def test_the_connection_ends_when_its_time_is_over(desk: Desk, functions: Functions) -> None:
    await desk.authorizer()
    functions.answer["disconnectAfterInSeconds"] = 300
    caller = desk.call()
    await caller.connect(username=NAMED, keep_alive=0)
    desk.hall.house.pass_(299_000)
    caller.door.tick(desk.hall.courier.now())
    assert not caller.wire.over
    desk.hall.house.pass_(1_000)
    caller.door.tick(desk.hall.courier.now())
    [goodbye] = await caller.closed()
    assert isinstance(goodbye, Disconnect)
    assert goodbye.reason is Reason.NOT_AUTHORIZED


async def test_policies_are_asked_for_again(desk: Desk, functions: Functions) -> None:
    await desk.authorizer()
    functions.answer |= {"refreshAfterInSeconds": 60, "disconnectAfterInSeconds": 100}
    caller = desk.call()
    await caller.connect(username=NAMED, password=b"p", keep_alive=0)
    caller.door.tick(desk.hall.courier.now())
    await caller.idle()
    assert len(functions.asked) == 1
    functions.answer["policyDocuments"] = [document(allow("iot:Connect", "*"))]
    desk.hall.house.pass_(60_000)
    functions.gate.clear()
    for _ in range(3):  # it is asked once, however long it takes
        caller.door.tick(desk.hall.courier.now())
        await asyncio.sleep(0)
    functions.gate.set()
    await caller.idle()
    assert len(functions.asked) == 2
    first, second = functions.asked
    assert first[2]["protocolData"] == second[2]["protocolData"]
    caller.send(Publish("a", b"", QoS.AT_LEAST_ONCE, packet_id=1))
    answer = await caller.receive()
    assert isinstance(answer, PubAck)
    assert answer.reason is Reason.NOT_AUTHORIZED
    desk.hall.house.pass_(40_000)  # the time to leave is the first answer's
    caller.door.tick(desk.hall.courier.now())
    await caller.closed()


@pytest.mark.parametrize("change", ["no", "somebody else", "inactive"])
async def test_whoever_is_let_in_no_more_is_sent_away(desk: Desk, functions: Functions, change: str) -> None:
    await desk.authorizer()
    functions.answer |= {"refreshAfterInSeconds": 60}
    caller = desk.call()
    await caller.connect(username=NAMED, keep_alive=0)
    if change == "inactive":
        found = await desk.hall.runtime.database.read(lambda tx: authorizers.get(tx, REALM, "a"))
        await desk.hall.change(lambda tx, act: authorizers.update(tx, act, replace(found, status=Status.INACTIVE)))
    else:
        functions.answer |= {"isAuthenticated": change != "no", "principalId": "p2"}
    desk.hall.house.pass_(60_000)
    caller.door.tick(desk.hall.courier.now())
    [goodbye] = await caller.closed()
    assert isinstance(goodbye, Disconnect)
    assert goodbye.reason is Reason.NOT_AUTHORIZED
