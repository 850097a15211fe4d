"""Reserved topics: which there are, and that each request gets exactly one answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import cbor2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.server import REALM
from tests.unit.gateway.callers import ALL, Hall

from fleetgate.access import CertificatePrincipal
from fleetgate.errors import AccessDenied, FleetgateError, Refused, Throttled, Unavailable
from fleetgate.gateway import reserved
from fleetgate.gateway.reserved import Call
from fleetgate.names import Act, Realm
from fleetgate.pki import certificate as certificates
from fleetgate.provisioning.claim import Asker
from fleetgate.registry import certificates as registry
from fleetgate.wire.mqtt.topics import check_topic

CREATE, FROM_CSR = "$aws/certificates/create", "$aws/certificates/create-from-csr"
PROVISION = "$aws/provisioning-templates/T/provision"
FORMATS = pytest.mark.parametrize("form", ["json", "cbor"])


@FORMATS
@pytest.mark.parametrize(
    ("topic", "action", "name"),
    [
        (CREATE, "CreateKeysAndCertificate", ""),
        (FROM_CSR, "CreateCertificateFromCsr", ""),
        (PROVISION, "RegisterThing", "T"),
    ],
)
def test_the_topics_there_are(topic: str, action: str, name: str, form: str) -> None:
    call = reserved.find(f"{topic}/{form}")
    assert call is not None
    assert (call.topic, call.action, call.name, call.format) == (f"{topic}/{form}", action, name, form)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "json",
        CREATE,
        f"{CREATE}/xml",
        f"{CREATE}/json/accepted",
        f"{CREATE}/x/json",
        "$aws/provisioning-templates/T/json",
    ],
)
def test_and_those_there_are_not(topic: str) -> None:
    assert reserved.find(topic) is None


@given(st.text(max_size=60))
def test_any_topic_is_one_or_none(topic: str) -> None:
    assert reserved.find(topic) is None or topic.startswith("$aws/")


def _decoded(form: str, payload: bytes) -> Any:
    return json.loads(payload) if form == "json" else cbor2.loads(payload)


class Desk:
    """Asks, as a device that is let in."""

    def __init__(self, hall: Hall, asker: Asker) -> None:
        self.hall, self.asker = hall, asker

    def act(self) -> Act:
        return self.hall.runtime.act(REALM, "cert/x")

    async def ask(self, call: Call, payload: bytes) -> tuple[str, dict[str, Any]]:
        """The answer's last level, and its members."""
        answer = await reserved.answer(self.hall.runtime, self.act(), self.asker, call, payload)
        assert answer.topic.startswith(call.topic)
        check_topic(answer.topic)
        return answer.topic.rpartition("/")[2], _decoded(call.format, answer.payload)


@pytest.fixture
async def desk(hall: Hall) -> Desk:
    fingerprint = certificates.fingerprint(await hall.certificate(ALL))
    known = await hall.runtime.database.read(lambda tx: registry.get(tx, REALM, fingerprint))
    return Desk(hall, Asker(CertificatePrincipal(Realm(REALM.account, REALM.region), known), "c"))


def calling(flow: Callable[[Any], Any], form: str = "json") -> Call:
    async def run(runtime: Any, act: Any, asker: Any, name: str, request: Any) -> dict[str, Any]:
        found: dict[str, Any] = flow(request)
        return found

    return Call(f"{CREATE}/{form}", "CreateKeysAndCertificate", run, "", form)


def failing(error: Exception) -> Call:
    def fail(_: Any) -> Any:
        raise error

    return calling(fail)


@FORMATS
async def test_accepted(desk: Desk, form: str) -> None:
    payload = json.dumps({"a": "b"}).encode() if form == "json" else cbor2.dumps({"a": "b"})
    assert await desk.ask(calling(lambda request: {"had": request}, form), payload) == ("accepted", {"had": {"a": "b"}})


@FORMATS
async def test_an_empty_payload_is_an_empty_request(desk: Desk, form: str) -> None:
    assert await desk.ask(calling(lambda request: {"had": request}, form), b"") == ("accepted", {"had": {}})


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (AccessDenied("no", reason="the whole story"), 403, "AccessDenied"),
        (Throttled("slowly"), 429, "Throttled"),
    ],
)
async def test_a_refusal_is_told_and_written_down(desk: Desk, error: Refused, status: int, code: str) -> None:
    word, members = await desk.ask(failing(error), b"{}")
    [refusal] = desk.hall.house.refusals
    assert word == "rejected"
    assert members == {
        "statusCode": status,
        "errorCode": code,
        "errorMessage": error.message,
        "requestId": refusal.act.request_id,
    }
    assert (refusal.action, refusal.target) == ("CreateKeysAndCertificate", f"{CREATE}/json")
    assert refusal.reason == error.reason


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Unavailable("the disk is full"), 503, "ServiceUnavailable"),
        (FleetgateError("secret"), 500, "InternalError"),
        (ZeroDivisionError("secret"), 500, "InternalError"),
    ],
)
async def test_what_is_our_fault_is_told_in_general(desk: Desk, error: Exception, status: int, code: str) -> None:
    word, members = await desk.ask(failing(error), b"{}")
    assert (word, members["statusCode"], members["errorCode"]) == ("rejected", status, code)
    assert members["errorMessage"] == "The server cannot answer this now; try again later."
    assert desk.hall.house.refusals == []


@pytest.mark.parametrize(
    ("form", "payload"),
    [
        ("json", b"{"),
        ("json", b"[]"),
        ("json", b"\xff"),
        ("json", b'{"a": NaN}'),
        ("json", b'{"a": ' + b"[" * 100_000),
        ("cbor", b"{}"),
        ("cbor", b"\x80"),
        ("cbor", b"\xa1\x01\x02"),  # a key that is a number
        ("cbor", b"\xa1\x61a\xc1\x00"),  # a tagged time
        ("cbor", b"\xa1\x61a\x41a"),  # a byte string
        ("cbor", b"\xa1\x61a" + b"\x81" * 10_000),
        ("cbor", b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff"),  # a map of any size
    ],
)
async def test_what_cannot_be_read_is_refused(desk: Desk, form: str, payload: bytes) -> None:
    word, members = await desk.ask(calling(lambda _: {}, form), payload)
    assert (word, members["statusCode"], members["errorCode"]) == ("rejected", 400, "InvalidRequest")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(form=st.sampled_from(["json", "cbor"]), payload=st.binary(max_size=200))
async def test_any_payload_gets_exactly_one_answer(desk: Desk, form: str, payload: bytes) -> None:
    word, members = await desk.ask(calling(lambda request: {"had": len(request)}, form), payload)
    assert word in {"accepted", "rejected"}
    assert (word == "accepted") == ("had" in members)


@FORMATS
@pytest.mark.parametrize("topic", [CREATE, FROM_CSR, PROVISION])
async def test_each_topic_leads_to_its_flow(desk: Desk, topic: str, form: str) -> None:
    call = reserved.find(f"{topic}/{form}")
    assert call is not None
    word, members = await desk.ask(call, b"")
    assert word == "rejected"
    expected = 400 if topic == PROVISION else 403  # no token, or a certificate without a budget
    assert members["statusCode"] == expected
