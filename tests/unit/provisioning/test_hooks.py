"""What is asked, what an answer means, and which addresses may be asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fleetgate.errors import InvalidRequest
from fleetgate.provisioning import hooks
from fleetgate.provisioning.hooks import LONGEST_ANSWER, HttpsHook, judge, question
from fleetgate.runtime import HookAnswer, HookRequest


def test_the_question_is_awss() -> None:
    request = HookRequest("claim", "device", "PEM", "arn", "client", {"SerialNumber": "1"})
    assert question(request) == {
        "claimCertificateId": "claim",
        "certificateId": "device",
        "certificatePem": "PEM",
        "templateArn": "arn",
        "clientId": "client",
        "parameters": {"SerialNumber": "1"},
    }


@pytest.mark.parametrize("said", [True, "true"])
@pytest.mark.parametrize("rest", [{}, {"parameterOverrides": None}, {"parameterOverrides": {}}, {"note": 1}])
def test_yes(said: Any, rest: dict[str, Any]) -> None:
    assert judge({"allowProvisioning": said} | rest) == HookAnswer(allowed=True)


def test_yes_with_overrides() -> None:
    answer = judge({"allowProvisioning": True, "parameterOverrides": {"CertDate": "20240229", "Empty": ""}})
    assert answer == HookAnswer(allowed=True, parameter_overrides={"CertDate": "20240229", "Empty": ""})


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, "the hook answered with null, not an object"),
        ([], "the hook answered with an array, not an object"),
        ("true", "the hook answered with a string, not an object"),
        (True, "the hook answered with a boolean, not an object"),
        (1.5, "the hook answered with a number, not an object"),
        ({}, "the hook did not say allowProvisioning"),
        ({"AllowProvisioning": True}, "the hook did not say allowProvisioning"),
        ({"allowProvisioning": False}, "the hook said allowProvisioning False"),
        ({"allowProvisioning": "True"}, "the hook said allowProvisioning 'True'"),
        ({"allowProvisioning": 1}, "the hook said allowProvisioning 1"),
        ({"allowProvisioning": ["true"]}, "the hook said allowProvisioning ['true']"),
        (
            {"allowProvisioning": True, "parameterOverrides": []},
            "the hook's parameterOverrides is an array, not an object",
        ),
        (
            {"allowProvisioning": True, "parameterOverrides": {"a": 1, "b": "x", "c": None}},
            "the hook's parameterOverrides must all be strings: a is a number, c is null",
        ),
    ],
)
def test_anything_else_is_no(answer: Any, reason: str) -> None:
    assert judge(answer) == HookAnswer(allowed=False, reason=reason)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text() | st.sampled_from(["allowProvisioning", "parameterOverrides"]), inner)
    ),
)


@given(JSON)
@example({"allowProvisioning": "true", "parameterOverrides": {"a": "b"}})
@example({"allowProvisioning": 1})
def test_every_answer_is_judged_and_only_a_plain_yes_allows(answer: Any) -> None:
    judged = judge(answer)
    if judged.allowed:
        assert answer["allowProvisioning"] is True or answer["allowProvisioning"] == "true"
        assert all(isinstance(value, str) for value in judged.parameter_overrides.values())
    else:
        assert judged.reason
        assert not judged.parameter_overrides


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example/ask?x=1",
        "https://192.0.2.1:8443",
        "http://localhost:1",
        "http://127.0.0.2",
        "http://[::1]/",
    ],
)
def test_addresses_that_may_be_asked(url: str) -> None:
    HttpsHook(url)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://hooks.example/", "must begin with https://"),
        ("http://localhost.example/", "must begin with https://"),
        ("ftp://127.0.0.1/", "must begin with https://"),
        ("", "names no host"),
        ("https:///path", "names no host"),
        ("https://user:secret@hooks.example/", "carries a user name"),
        ("https://hooks.example/a b", "percent-encoded"),
        ("https://hooks.example/\r\nX: 1", "percent-encoded"),
        ("https://hööks.example/", "percent-encoded"),
        ("https://hooks.example:99999/", "cannot be read"),
        ("https://[::1/", "cannot be read"),
    ],
)
def test_addresses_that_may_not(url: str, problem: str) -> None:
    with pytest.raises(InvalidRequest, match=problem) as caught:
        HttpsHook(url)
    assert "secret" not in caught.value.message


def test_a_ca_file_must_be_one(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    for name in ("ca.pem", "absent.pem"):
        with pytest.raises(InvalidRequest, match=r"CA file .* cannot be used"):
            HttpsHook("https://hooks.example/", tmp_path / name)


def response(*chunks: bytes, ends: bool = False) -> bytes:
    """The body, when it is complete."""
    answer = hooks._Response()
    for chunk in chunks:
        answer.feed(chunk)
    if ends:
        answer.end()
    else:
        assert answer.complete
    return answer.body


OK = b"HTTP/1.1 200 OK\r\n"


def test_a_response_of_announced_length() -> None:
    whole = OK + b"Content-Length: 2\r\n\r\n{}"
    assert response(whole) == b"{}"
    assert response(*(bytes([byte]) for byte in whole)) == b"{}"


def test_a_chunked_response() -> None:
    assert response(OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n") == b"{}"


def test_a_response_that_ends_with_the_connection() -> None:
    assert response(b"HTTP/1.0 200 OK\r\n\r\n{}", ends=True) == b"{}"


@pytest.mark.parametrize(
    "head", [b"", OK + b"Content-Length: 3\r\n\r\n{}", OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{"]
)
def test_a_response_that_breaks_off(head: bytes) -> None:
    chunks = [head] if head else []
    with pytest.raises(ValueError, match="closed before the answer was complete"):
        response(*chunks, ends=True)


@pytest.mark.parametrize("status", [201, 204, 301, 302, 307, 403, 500])
def test_only_200_is_an_answer(status: int) -> None:
    with pytest.raises(ValueError, match=f"HTTP status {status}"):
        response(f"HTTP/1.1 {status} Whatever\r\nLocation: https://elsewhere/\r\n\r\n".encode())


def test_a_response_is_bounded() -> None:
    endless = OK + b"Content-Length: 999999999\r\n\r\n"
    with pytest.raises(ValueError, match="longer than"):
        response(endless, b"x" * (LONGEST_ANSWER + 1))
    with pytest.raises(ValueError, match="longer than"):
        response(OK, *(b"X-Pad: " + b"x" * 60_000 + b"\r\n" for _ in range(6)))
