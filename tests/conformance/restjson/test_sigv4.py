"""Signatures made by botocore and by the AWS common runtime verify here; one altered byte, and they do not."""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest
from awscrt.auth import (
    AwsCredentialsProvider,
    AwsSignatureType,
    AwsSigningAlgorithm,
    AwsSigningConfig,
    aws_sign_request,
)
from awscrt.http import HttpHeaders, HttpRequest
from botocore.auth import S3SigV4Auth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetgate.wire.restjson import sigv4
from fleetgate.wire.restjson.message import Request
from fleetgate.wire.restjson.sigv4 import SignatureRefused, Verifier, parse

KEY, SECRET, TOKEN = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "FwoGZXIvYXdz+/=="
VERIFIER = Verifier()

names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)
segments = st.one_of(
    names, st.sampled_from(["a%2Fb", "a:b", "a b", "ü€", "arn:aws:iot:us-east-1:1:cert/ab", "~-_.", "%25", "..."])
)
paths = st.lists(segments, max_size=4).map(lambda parts: "/" + "/".join(quote(part, safe="~") for part in parts))
queries = st.lists(st.tuples(names, st.text(st.characters(codec="utf-8"), max_size=12)), max_size=4)
header_texts = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20)
tokens = st.sampled_from([None, TOKEN])


def received(signed: AWSRequest) -> Request:
    """What a server is handed when *signed* has gone over the wire."""
    prepared = signed.prepare()
    url = urlsplit(prepared.url)
    headers = {name.lower(): _text(value) for name, value in prepared.headers.items()}
    headers.setdefault("host", url.netloc)
    assert isinstance(prepared.body, bytes | None)
    return Request(prepared.method, url.path, url.query, headers, prepared.body or b"")


def _text(value: str | bytes) -> str:
    raw = value if isinstance(value, bytes) else value.encode()
    return raw.decode("latin-1")


def signed_by_botocore(
    method: str,
    path: str,
    query: list[tuple[str, str]],
    *,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
    token: str | None = None,
    signer: type[SigV4Auth] = SigV4Auth,
    service: str = "iot",
) -> Request:
    url = f"https://localhost:8443{path}"
    if query:
        url += "?" + urlencode(query, quote_via=quote, safe="-_.~")
    request = AWSRequest(method, url, data=body, headers=headers or {})
    signer(Credentials(KEY, SECRET, token), service, "us-east-1").add_auth(request)
    return received(request)


def verify(request: Request) -> None:
    credential = parse(request)
    VERIFIER.verify(request, credential, SECRET, credential.signed_at + 1000)


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE"]),
    paths,
    queries,
    st.binary(max_size=50),
    header_texts,
    tokens,
)
def test_header_form(
    method: str, path: str, query: list[tuple[str, str]], body: bytes, text: str, token: str | None
) -> None:
    headers = {"x-amzn-principal": text, "Content-Type": "application/json", "User-Agent": "x"}
    request = signed_by_botocore(method, path, query, body=body, headers=headers, token=token)
    assert parse(request).security_token == token
    assert {"host", "x-amz-date", "x-amzn-principal"} <= set(parse(request).signed_headers)
    verify(request)
    with pytest.raises(SignatureRefused):
        verify(replace(request, body=request.body + b"x"))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["GET", "DELETE"]), paths, st.dictionaries(names, names, max_size=4), tokens)
def test_query_form(method: str, path: str, query: dict[str, str], token: str | None) -> None:
    request = signed_by_botocore(method, path, list(query.items()), token=token, signer=SigV4QueryAuth)
    credential = parse(request)
    assert (credential.form, credential.expires, credential.security_token) == ("query", 3600, token)
    verify(request)
    with pytest.raises(SignatureRefused):
        VERIFIER.verify(request, credential, SECRET, credential.signed_at + 3_601_000)


def test_a_header_in_utf8() -> None:
    request = signed_by_botocore("GET", "/", [], headers={"x-amzn-iot-policy": "Größe à €"})
    verify(request)


def test_query_form_for_websockets_with_a_signed_token() -> None:
    verify(signed_by_botocore("GET", "/mqtt", [], token=TOKEN, signer=SigV4QueryAuth, service="iotdevicegateway"))


@pytest.mark.parametrize("token", [None, TOKEN])
@pytest.mark.parametrize("expires", [None, 86_400])
def test_websocket_form_of_the_common_runtime(token: str | None, expires: int | None) -> None:
    request = signed_by_crt("GET", "/mqtt", websocket=True, token=token, expires=expires)
    credential = parse(request)
    assert (credential.form, credential.security_token, credential.expires) == ("websocket", token, expires)
    verify(request)
    if token:  # it is no part of what was signed
        pairs = request.query.split("&")
        without = "&".join(pair for pair in pairs if not pair.startswith("X-Amz-Security-Token="))
        assert without != request.query
        verify(replace(request, query=without))


@pytest.mark.parametrize("path", ["/things/a%3Ab", "/topics/a%2Fb%20c?qos=1&contentType=a%2Fb", "/tags?b=2&a=1&a=0"])
def test_header_form_of_the_common_runtime(path: str) -> None:
    verify(signed_by_crt("POST", path, token=TOKEN))


def signed_by_crt(
    method: str, path: str, *, websocket: bool = False, token: str | None = None, expires: int | None = None
) -> Request:
    headers = HttpHeaders([("host", "localhost:8443")])
    config: dict[str, Any] = {"expiration_in_seconds": expires} if expires else {}
    signing = AwsSigningConfig(
        algorithm=AwsSigningAlgorithm.V4,
        signature_type=(
            AwsSignatureType.HTTP_REQUEST_QUERY_PARAMS if websocket else AwsSignatureType.HTTP_REQUEST_HEADERS
        ),
        credentials_provider=AwsCredentialsProvider.new_static(KEY, SECRET, token),
        region="us-east-1",
        service="iotdevicegateway" if websocket else "iot",
        date=datetime(2025, 1, 31, 12, 0, 0, tzinfo=UTC),
        omit_session_token=websocket,
        **config,
    )
    signed = aws_sign_request(HttpRequest(method, path, headers), signing).result(10)
    raw_path, _, query = signed.path.partition("?")
    return Request(method, raw_path, query, {name.lower(): value for name, value in signed.headers}, b"")


# --- one altered byte ------------------------------------------------------------------------------------------------

HEADER_FORM = signed_by_botocore(
    "POST",
    "/attached-policies/arn%3Aaws%3Aiot%3Acert%2Fab",
    [("recursive", "true"), ("marker", "a/b +")],
    body=b'{"x":1}',
    headers={"x-amzn-principal": "arn:aws:iot", "content-type": "application/json"},
    token=TOKEN,
)
QUERY_FORM = signed_by_botocore("GET", "/things/a%20b", [("nextToken", "a b")], token=TOKEN, signer=SigV4QueryAuth)


def altered(text: str, choose: Callable[[str], str]) -> Iterator[str]:
    for position, character in enumerate(text):
        yield text[:position] + choose(character) + text[position + 1 :]


def alterations(request: Request, choose: Callable[[str], str]) -> Iterator[Request]:
    for path in altered(request.raw_path, choose):
        yield replace(request, raw_path=path)
    for query in altered(request.query, choose):
        yield replace(request, query=query)
    for method in altered(request.method, choose):
        yield replace(request, method=method)
    for body in altered(request.body.decode(), choose):
        yield replace(request, body=body.encode())
    for name in request.headers:
        if name in {"authorization", *parse(request).signed_headers}:
            for value in altered(request.headers[name], choose):
                yield replace(request, headers={**request.headers, name: value})


def other(seed: int) -> Callable[[str], str]:
    source = random.Random(seed)

    def choose(character: str) -> str:
        return source.choice([c for c in map(chr, range(0x21, 0x7F)) if c != character])

    return choose


@pytest.mark.parametrize("request_", [HEADER_FORM, QUERY_FORM], ids=["header", "query"])
@pytest.mark.parametrize(
    "choose", [lambda c: chr(ord(c) ^ 1), lambda c: c.swapcase() if c.swapcase() != c else "0", *map(other, range(8))]
)
def test_one_altered_byte(request_: Request, choose: Callable[[str], str]) -> None:
    key_id, secret_of = parse(request_).access_key_id, {parse(request_).access_key_id: SECRET}
    count = 0
    for forged in alterations(request_, choose):
        if forged == request_:
            continue
        count += 1
        try:
            credential = parse(forged)
            secret = secret_of.get(credential.access_key_id)
            if secret is None:  # the one part that the signature does not cover: it names somebody else
                assert credential.access_key_id != key_id
                continue
            VERIFIER.verify(forged, credential, secret, credential.signed_at)
        except SignatureRefused:
            continue
        pytest.fail(f"accepted: {forged}")
    assert count > 300


def test_verifying_takes_microseconds() -> None:
    credential = parse(HEADER_FORM)
    started = time.perf_counter()
    for _ in range(2000):
        VERIFIER.verify(HEADER_FORM, parse(HEADER_FORM), SECRET, credential.signed_at)
    assert (time.perf_counter() - started) / 2000 < 0.001  # about 25 microseconds; the bound is for busy machines


# --- the client's side -----------------------------------------------------------------------------------------------


@given(
    method=st.sampled_from(["GET", "HEAD", "PUT"]),
    key=st.text(min_size=1, max_size=20).filter(str.isprintable),
    token=st.none() | st.from_regex(r"[A-Za-z0-9/+=]{1,20}", fullmatch=True),
    more=st.sampled_from([{}, {"range": "bytes=0-9", "if-match": '"etag"'}]),
)
def test_what_is_signed_for_s3_is_what_botocore_signs(
    method: str, key: str, token: str | None, more: dict[str, str]
) -> None:
    path = f"/bucket/{quote(key, safe='/-_.~')}"
    theirs = AWSRequest(method, f"https://s3.example.com{path}", headers=dict(more))
    S3SigV4Auth(Credentials("AKID", "secret", token), "s3", "us-east-1").add_auth(theirs)
    now = int(datetime.strptime(theirs.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp() * 1000)
    headers = {"host": "s3.example.com", "x-amz-content-sha256": sigv4.EMPTY_SHA256, **more}
    ours = sigv4.authorization(
        sigv4.AccessKey("AKID", "secret", token), "us-east-1", "s3", method, path, headers, sigv4.EMPTY_SHA256, now
    )
    assert ours["authorization"] == theirs.headers["Authorization"]
    assert ours.get("x-amz-security-token") == token
