"""The first vectors are AWS's own, from the Signature Version 4 documentation and test suite."""

import hashlib
import hmac
from dataclasses import replace
from typing import Any

import pytest

from fleetgate.wire.restjson import sigv4
from fleetgate.wire.restjson.message import Request
from fleetgate.wire.restjson.sigv4 import AccessKey, SignatureRefused, Verifier, authorization, parse

KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
SIGNED_AT = 1_440_938_160_000  # 20150830T123600Z

VANILLA = Request(
    "GET",
    "/",
    "",
    {
        "host": "example.amazonaws.com",
        "x-amz-date": "20150830T123600Z",
        "authorization": f"AWS4-HMAC-SHA256 Credential={KEY}/20150830/us-east-1/service/aws4_request, "
        "SignedHeaders=host;x-amz-date, "
        "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    },
    b"",
)
HEADERS = dict(VANILLA.headers)


def verify(request: Request, now: int = SIGNED_AT, secret: str = SECRET) -> None:
    Verifier().verify(request, parse(request), secret, now)


def refusal(request: Request, now: int = SIGNED_AT) -> tuple[str, str]:
    with pytest.raises(SignatureRefused) as caught:
        verify(request, now)
    return caught.value.code, caught.value.message


def with_headers(**changed: str | None) -> Request:
    headers = {**HEADERS, **{name.replace("_", "-"): text for name, text in changed.items() if text is not None}}
    return replace(VANILLA, headers={name: headers[name] for name in headers if changed.get(name, "") is not None})


def with_authorization(old: str, new: str) -> Request:
    assert old in HEADERS["authorization"]
    return with_headers(authorization=HEADERS["authorization"].replace(old, new))


def sign(
    canonical_query: str, service: str = "iot", path: str = "/", headers: str = "host:h\n", names: str = "host"
) -> str:
    """Spelled out once more, from the specification's text, for forms that botocore cannot produce."""
    empty = hashlib.sha256(b"").hexdigest()
    canonical = f"GET\n{path}\n{canonical_query}\n{headers}\n{names}\n{empty}"
    scope = f"20150830/us-east-1/{service}/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n20150830T123600Z\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{SECRET}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), "sha256").digest()
    return hmac.new(key, to_sign.encode(), "sha256").hexdigest()


def presigned(service: str = "iot", more: str = "") -> str:
    return (
        f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={KEY}%2F20150830%2Fus-east-1%2F{service}%2Faws4_request"
        f"&X-Amz-Date=20150830T123600Z{more}&X-Amz-SignedHeaders=host"
    )


# --- the header form -------------------------------------------------------------------------------------------------


def test_aws_vanilla_vector() -> None:
    credential = parse(VANILLA)
    assert (credential.access_key_id, credential.date, credential.region) == (KEY, "20150830", "us-east-1")
    assert (credential.service, credential.form, credential.signed_at) == ("service", "header", SIGNED_AT)
    assert (credential.signed_headers, credential.security_token) == (("host", "x-amz-date"), None)
    verify(VANILLA)


def test_aws_query_order_vector() -> None:
    request = with_authorization(
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    )
    verify(replace(request, query="Param2=value2&Param1=value1"))
    verify(replace(request, query="Param1=value1&Param2=value2"))


def test_order_and_blanks_in_the_authorization_do_not_matter() -> None:
    algorithm, _, rest = HEADERS["authorization"].partition(" ")
    verify(with_headers(authorization=f"  {algorithm}  {','.join(reversed(rest.split(', ')))} "))


def test_the_secret_decides() -> None:
    with pytest.raises(SignatureRefused, match="does not match the request"):
        verify(VANILLA, secret="other")
    with pytest.raises(SignatureRefused):
        verify(VANILLA, secret="ü€")


def test_blanks_in_headers_are_folded() -> None:
    verify(with_headers(host=" \texample.amazonaws.com  "))
    assert refusal(with_headers(host="example. amazonaws.com"))[0] == "InvalidSignatureException"


@pytest.mark.parametrize("minutes", [-5, 0, 5])
def test_clock_skew_is_tolerated(minutes: int) -> None:
    verify(VANILLA, SIGNED_AT + minutes * 60_000)


def test_clock_skew_ends() -> None:
    code, message = refusal(VANILLA, SIGNED_AT + 5 * 60_000 + 1000)
    assert code == "InvalidSignatureException"
    assert "20150830T123600Z expired 1 s ago" in message
    code, message = refusal(VANILLA, SIGNED_AT - 6 * 60_000)
    assert "lies 360 s in the future" in message
    with pytest.raises(SignatureRefused):
        Verifier(skew_ms=1000).verify(VANILLA, parse(VANILLA), SECRET, SIGNED_AT + 1001)


def test_the_body_is_hashed_here() -> None:
    assert refusal(replace(VANILLA, body=b"x"))[0] == "InvalidSignatureException"


def test_a_content_hash_must_be_that_of_the_body() -> None:
    for text in ("UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "0" * 64):
        request = with_authorization("host;x-amz-date", "host;x-amz-content-sha256;x-amz-date")
        request = replace(request, headers={**request.headers, "x-amz-content-sha256": text})
        assert "x-amz-content-sha256" in refusal(request)[1]


@pytest.mark.parametrize(
    ("signed", "why"),
    [
        ("x-amz-date", "The host header must be signed"),
        ("host", "The x-amz-date header must be signed"),
        ("host;x-amz-date;x-gone", "x-gone is signed but was not sent"),
    ],
)
def test_what_must_be_signed(signed: str, why: str) -> None:
    code, message = refusal(with_authorization("host;x-amz-date", signed))
    assert code == "InvalidSignatureException"
    assert why in message


@pytest.mark.parametrize("name", ["x-amzn-principal", "x-amz-security-token", "x-amzn-iot-policy", "x-amz-tagging"])
def test_headers_that_mean_something_must_be_signed(name: str) -> None:
    code, message = refusal(replace(VANILLA, headers={**HEADERS, name: "x"}))
    assert code == "InvalidSignatureException"
    assert f"{name} was sent but is not signed" in message


def test_headers_added_on_the_way_need_not_be_signed() -> None:
    verify(
        replace(VANILLA, headers={**HEADERS, "x-amzn-trace-id": "Root=1", "x-forwarded-for": "::1", "accept": "*/*"})
    )


# --- broken credentials ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("authorization", [None, "", "Bearer abc", "Basic YTpi", "nonsense"])
def test_unsigned(authorization: str | None) -> None:
    headers = {"host": "x"} if authorization is None else {"host": "x", "authorization": authorization}
    assert refusal(Request("GET", "/", "", headers, b""))[0] == "MissingAuthenticationTokenException"


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256", "algorithm must be"),
        ("SignedHeaders=host;x-amz-date, ", "", "has no SignedHeaders"),
        ("Credential=", "Kredential=", "has no Credential"),
        ("SignedHeaders=host;x-amz-date", "SignedHeaders=", "has no SignedHeaders"),
        ("SignedHeaders=", "Signature=", "gives Signature twice"),
        ("host;x-amz-date", "Host;x-amz-date", "lower-case header names"),
        ("host;x-amz-date", "host;;x-amz-date", "lower-case header names"),
        ("Signature=5f", "Signature=5F", "64 lower-case"),
        ("Signature=5f", "Signature=", "64 lower-case"),
        ("/aws4_request", "/aws4", "The credential must read"),
        ("/service/", "//", "The credential must read"),
        ("/service/", "/", "The credential must read"),
        (f"{KEY}/", "", "The credential must read"),
    ],
)
def test_incomplete(old: str, new: str, why: str) -> None:
    code, message = refusal(with_authorization(old, new))
    assert code == "IncompleteSignatureException"
    assert why in message


@pytest.mark.parametrize(
    "date", ["", "20150830", "2015-08-30T12:36:00Z", "20151330T123600Z", "20150830T256000Z", "٢" * 8]
)
def test_broken_dates(date: str) -> None:
    assert refusal(with_headers(x_amz_date=date))[0] == "IncompleteSignatureException"


def test_the_scopes_day_must_be_the_days() -> None:
    code, message = refusal(with_authorization("/20150830/", "/20150831/"))
    assert code == "InvalidSignatureException"
    assert "20150831 is not that of the signing time" in message


def test_two_signatures_are_one_too_many() -> None:
    assert "only one is allowed" in refusal(replace(VANILLA, query="X-Amz-Signature=x"))[1]


# --- the presigned forms ---------------------------------------------------------------------------------------------


def query_request(query: str, path: str = "/", **headers: str) -> Request:
    return Request("GET", path, query, {"host": "h", **headers}, b"")


def test_presigned() -> None:
    query = presigned(more="&X-Amz-Expires=60&X-Amz-Security-Token=t%2B")
    request = query_request(f"{query}&X-Amz-Signature={sign(as_sorted(query))}")
    credential = parse(request)
    assert (credential.form, credential.expires, credential.security_token) == ("query", 60, "t+")
    verify(request, SIGNED_AT + 60_000)
    assert "expired 1 s ago" in refusal(request, SIGNED_AT + 61_000)[1]


def as_sorted(query: str) -> str:
    return "&".join(sorted(query.split("&")))


def test_websocket_token_is_added_after_signing() -> None:
    query = presigned("iotdevicegateway")
    path, signature = "/mqtt", sign(as_sorted(query), "iotdevicegateway", "/mqtt")
    request = query_request(f"{query}&X-Amz-Signature={signature}&X-Amz-Security-Token=t", path)
    assert (parse(request).form, parse(request).security_token, parse(request).expires) == ("websocket", "t", None)
    verify(request)
    assert "expired" in refusal(request, SIGNED_AT + 301_000)[1]
    verify(query_request(f"{query}&X-Amz-Signature={signature}", path))


def test_websocket_may_sign_its_token_and_name_its_life() -> None:
    query = presigned("iotdevicegateway", "&X-Amz-Expires=86400&X-Amz-Security-Token=t")
    request = query_request(f"{query}&X-Amz-Signature={sign(as_sorted(query), 'iotdevicegateway')}")
    verify(request, SIGNED_AT + 86_400_000)


def test_other_services_must_sign_their_token() -> None:
    query = presigned()
    signed = f"{query}&X-Amz-Signature={sign(as_sorted(query))}"
    verify(query_request(signed))
    assert "does not match" in refusal(query_request(f"{signed}&X-Amz-Security-Token=t"))[1]


def test_what_should_have_been_encoded_may_be_sent_bare() -> None:
    headers = "host:h\nx-amz-date:20150830T123600Z\n"
    signature = sign("a=%3A%2F&b=%2B%20c", headers=headers, names="host;x-amz-date")
    request = replace(with_authorization(HEADERS["authorization"][-64:], signature), query="b=%2B+c&a=:/")
    request = replace(request, headers={**request.headers, "host": "h"})
    request = replace(
        request,
        headers={**request.headers, "authorization": request.headers["authorization"].replace("/service/", "/iot/")},
    )
    verify(request)


@pytest.mark.parametrize(
    ("sent", "canonical"),
    [("", "/"), ("//a/./b/../c/", "/a/c/"), ("/..", "/"), ("/a%2Fb", "/a%252Fb"), ("/a:b~", "/a%3Ab~"), ("/.a", "/.a")],
)
def test_the_path_is_normalised_and_encoded_twice(sent: str, canonical: str) -> None:
    query = presigned()
    verify(query_request(f"{query}&X-Amz-Signature={sign(as_sorted(query), path=canonical)}", sent))


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Algorithm=AWS4", "X-Amz-Algorithm must be"),
        ("X-Amz-Algorithm=AWS4-HMAC-SHA256&", "", "X-Amz-Algorithm must be"),
        ("X-Amz-SignedHeaders=host", "", "has no X-Amz-SignedHeaders"),
        ("X-Amz-Credential=", "X-Amz-Credentials=", "has no X-Amz-Credential"),
        ("&X-Amz-Date=20150830T123600Z", "", "signing time"),
        ("&X-Amz-Date", "&X-Amz-Expires=0&X-Amz-Date", "X-Amz-Expires must be"),
        ("&X-Amz-Date", "&X-Amz-Expires=604801&X-Amz-Date", "X-Amz-Expires must be"),
        ("&X-Amz-Date", "&X-Amz-Expires=-1&X-Amz-Date", "X-Amz-Expires must be"),
        ("&X-Amz-Date", "&X-Amz-Date=x&X-Amz-Date", "gives X-Amz-Date twice"),
    ],
)
def test_incomplete_queries(old: str, new: str, why: str) -> None:
    query = f"{presigned()}&X-Amz-Signature={'0' * 64}"
    code, message = refusal(query_request(query.replace(old, new)))
    assert code == "IncompleteSignatureException"
    assert why in message


def test_presigned_headers_that_mean_something_must_be_signed() -> None:
    query = presigned()
    request = query_request(f"{query}&X-Amz-Signature={sign(as_sorted(query))}")
    smuggled = replace(request, headers={**request.headers, "x-amzn-principal": "arn:evil"})
    assert "x-amzn-principal was sent but is not signed" in refusal(smuggled)[1]


# --- the rest --------------------------------------------------------------------------------------------------------


def test_codes_in_the_query_protocol() -> None:
    assert sigv4.unknown_key().code == "UnrecognizedClientException"
    assert sigv4.unknown_key().query_code == "InvalidClientTokenId"
    with pytest.raises(SignatureRefused) as caught:
        verify(VANILLA, secret="other")
    assert (caught.value.code, caught.value.query_code) == ("InvalidSignatureException", "SignatureDoesNotMatch")


def test_remembered_keys_are_bounded_and_proven() -> None:
    verifier = Verifier(remembered=2)
    with pytest.raises(SignatureRefused):
        verifier.verify(VANILLA, parse(VANILLA), "wrong", SIGNED_AT)
    assert verifier._keys == {}
    for service in ("a", "b", "c", "c"):
        query = presigned(service)
        request = query_request(f"{query}&X-Amz-Signature={sign(as_sorted(query), service)}")
        verifier.verify(request, parse(request), SECRET, SIGNED_AT)
    assert [name[3] for name in verifier._keys] == ["c"]


@pytest.mark.parametrize(
    "changed",
    [
        {"raw_path": "/\ud800"},
        {"query": "\ud800=€"},
        {"headers": {**HEADERS, "host": "€\ud800"}},
        {"method": "GÉT\ud800"},
    ],
)
def test_strange_characters_are_refused_and_nothing_else(changed: dict[str, Any]) -> None:
    assert refusal(replace(VANILLA, **changed))[0] == "InvalidSignatureException"


# --- signing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", [None, "token"])
@pytest.mark.parametrize("path", ["/", "/things/a%20b", "/a//b/../c", "/policies/x%2Fy"])
def test_what_is_signed_for_others_is_what_the_verifier_accepts(path: str, token: str | None) -> None:
    key = AccessKey(KEY, SECRET, token)
    body_hash = hashlib.sha256(b"{}").hexdigest()
    headers = authorization(key, "us-east-1", "iot", "POST", path, {"host": "h"}, body_hash, SIGNED_AT)
    request = Request("POST", path, "", headers, b"{}")
    verify(request)
    assert parse(request).security_token == token
    assert refusal(replace(request, raw_path="/other"))[0] == "InvalidSignatureException"
