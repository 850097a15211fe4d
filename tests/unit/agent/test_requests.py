from __future__ import annotations

import json
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetgate.agent import requests
from fleetgate.agent.errors import AgentFailed, AnswerUnusable, Rejected
from fleetgate.agent.requests import FORMATS, Certified, Format, Registered

CERTIFIED = {"certificateId": "1", "certificatePem": "PEM", "certificateOwnershipToken": "secret-token"}


def test_the_topics_are_awss() -> None:
    assert requests.create_keys("json").topic == "$aws/certificates/create/json"
    assert requests.create_from_csr("cbor").topic == "$aws/certificates/create-from-csr/cbor"
    operation = requests.register_thing("T", "cbor")
    assert operation.topic == "$aws/provisioning-templates/T/provision/cbor"
    assert operation.answers == (f"{operation.topic}/accepted", f"{operation.topic}/rejected")


@pytest.mark.parametrize("form", FORMATS)
def test_there_and_back(form: Format) -> None:
    operation = requests.register_thing("T", form)
    members = {"certificateOwnershipToken": "x", "parameters": {"SerialNumber": "ü"}}
    assert operation.decode(operation.accepted, operation.encode(members)) == members


def test_a_rejection_has_everything_the_server_said() -> None:
    operation = requests.register_thing("T", "json")
    said = {"statusCode": 429, "errorCode": "Throttled", "errorMessage": "slowly", "requestId": "r-1"}
    with pytest.raises(Rejected) as caught:
        operation.decode(operation.rejected, json.dumps(said).encode())
    error = caught.value
    assert (error.status_code, error.error_code, error.said, error.request_id) == (429, "Throttled", "slowly", "r-1")
    assert error.retryable


def test_a_rejection_without_status_counts_as_the_servers_fault() -> None:
    operation = requests.create_keys("cbor")
    with pytest.raises(Rejected) as caught:
        operation.decode(operation.rejected, cbor2.dumps({"statusCode": "x"}))
    assert caught.value.status_code == 500
    assert caught.value.request_id == ""


@given(st.sampled_from(FORMATS), st.booleans(), st.binary(max_size=200))
def test_any_payload_is_an_answer_or_a_failure_of_ours(form: Format, accepted: bool, payload: bytes) -> None:
    operation = requests.create_from_csr(form)
    try:
        members = operation.decode(operation.accepted if accepted else operation.rejected, payload)
        requests.certified(operation, members)
        requests.registered(operation, members)
    except AgentFailed:
        pass


@pytest.mark.parametrize("payload", [b"", b"[]", b'"text"', b"{", b"\xff"])
def test_what_is_no_map_is_told(payload: bytes) -> None:
    operation = requests.create_keys("json")
    with pytest.raises(AnswerUnusable, match="CreateKeysAndCertificate cannot be used: it is "):
        operation.decode(operation.accepted, payload)


def test_certified() -> None:
    assert requests.certified(requests.create_from_csr("json"), CERTIFIED) == Certified("1", "PEM", "secret-token")
    with_key = requests.certified(requests.create_keys("json"), CERTIFIED | {"privateKey": "secret-key"})
    assert with_key.private_key == "secret-key"
    assert "secret" not in repr(with_key)


@pytest.mark.parametrize("value", [None, "", 7])
@pytest.mark.parametrize("member", CERTIFIED)
def test_a_certificate_wants_all_its_members(member: str, value: Any) -> None:
    with pytest.raises(AnswerUnusable, match=f"lacks {member}"):
        requests.certified(requests.create_from_csr("json"), CERTIFIED | {member: value})


def test_keys_of_the_server_want_a_private_key() -> None:
    with pytest.raises(AnswerUnusable, match="lacks privateKey"):
        requests.certified(requests.create_keys("json"), CERTIFIED)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"thingName": "t", "deviceConfiguration": {"a": "b"}}, Registered("t", {"a": "b"})),
        ({"deviceConfiguration": {}}, Registered(None, {})),
        ({"thingName": "t"}, Registered("t", {})),
    ],
)
def test_registered(members: dict[str, Any], expected: Registered) -> None:
    assert requests.registered(requests.register_thing("T", "json"), members) == expected


@pytest.mark.parametrize("members", [{"thingName": 1}, {"deviceConfiguration": []}])
def test_registered_of_the_wrong_kind(members: dict[str, Any]) -> None:
    with pytest.raises(AnswerUnusable):
        requests.registered(requests.register_thing("T", "json"), members)
