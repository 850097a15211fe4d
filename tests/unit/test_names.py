"""Names are whole matches: nothing is found inside something else."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetgate import names
from fleetgate.errors import InvalidRequest
from fleetgate.names import Act, Arn, Realm, certificate_of, check, check_function_arn, fingerprint

REALM = Realm("123456789012", "us-east-1")
HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("thing", "a:B_9-"),
        ("thing", "x" * 128),
        ("policy", "a=b,c.d@e-+_"),
        ("template", "Fleet_Template-1"),
        ("attribute", "a/b:c#d@e,f"),
        ("attribute_value", ""),
        ("attribute_value", "[a=b]"),
        ("function", "allow_list"),
    ],
)
def test_proper_names(kind: str, name: str) -> None:
    assert check(kind, name) == name


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("thing", ""),
        ("thing", "x" * 129),
        ("thing", "a b"),
        ("thing", "a\n"),
        ("thing", "a/b"),
        ("thing", "a*"),
        ("thing", "ä"),
        ("policy", "ä"),
        ("policy", "a b"),
        ("template", "x" * 37),
        ("template", "a:b"),
        ("attribute", ""),
        ("attribute_value", "a b"),
        ("function", "a.b"),
    ],
)
def test_improper_names(kind: str, name: str) -> None:
    with pytest.raises(InvalidRequest):
        check(kind, name)


def test_a_refusal_says_what_was_allowed() -> None:
    with pytest.raises(InvalidRequest, match="The thing name is 129 characters long; at most 128 are allowed"):
        check("thing", "x" * 129)
    with pytest.raises(InvalidRequest, match=r"The policy name 'a b' does not match"):
        check("policy", "a b")


@given(st.sampled_from(sorted(names._NAMES)), st.text())
def test_what_passes_has_no_wildcard_space_or_line_end(kind: str, name: str) -> None:
    try:
        passed = check(kind, name)
    except InvalidRequest:
        return
    assert passed == name
    assert not set(passed) & set("*?+# \n\r\0$") or kind in {"policy", "attribute", "attribute_value"}
    assert passed.isascii()


def test_a_realm_is_written_and_read() -> None:
    assert str(REALM) == "123456789012/us-east-1"
    assert Realm.parse(str(REALM)) == REALM
    assert Realm("000000000000", "us-gov-west-1").region == "us-gov-west-1"


@pytest.mark.parametrize(
    "text", ["", "123456789012", "12345678901/us-east-1", "123456789012/US-EAST-1", "123456789012/a"]
)
def test_what_is_no_realm(text: str) -> None:
    with pytest.raises(InvalidRequest):
        Realm.parse(text)


def test_an_arn_is_taken_apart_and_put_together() -> None:
    text = "arn:aws:iot:us-east-1:123456789012:thing/a:b"
    arn = Arn.parse(text)
    assert (arn.realm, arn.kind, arn.name) == (REALM, "thing", "a:b")
    assert str(arn) == text == REALM.arn("thing", "a:b")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "thing/a",
        "arn:aws:iot:us-east-1:123456789012",
        "arn:aws:iot:us-east-1:123456789012:thing",
        "arn:aws:s3:us-east-1:123456789012:thing/a",
        "arn:aws:iot::123456789012:thing/a",
        "arn:aws:iot:us-east-1::thing/a",
        "arn:aws:iot:us-east-1:123456789012:thing:a",
        "arn:aws:iot:us-east-1:123456789012:certificateprovider/a",
    ],
)
def test_what_is_no_arn(text: str) -> None:
    with pytest.raises(InvalidRequest):
        Arn.parse(text)


def test_an_arn_with_a_colon() -> None:
    text = "arn:aws:iot:us-east-1:123456789012:certificateprovider:mine"
    assert Arn.parse(text) == Arn(REALM, "certificateprovider", "mine")
    assert str(Arn.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["f", "gate-1:$LATEST", "a" * 64, "f:prod"], ids=["plain", "latest", "long", "qualified"]
)
def test_a_functions_arn(text: str) -> None:
    arn = f"arn:aws:lambda:eu-west-1:123456789012:function:{text}"
    assert check_function_arn(arn) == arn


@pytest.mark.parametrize(
    "text",
    [
        "",
        "gate",
        "https://example.com",
        "arn:aws:lambda:eu-west-1:123456789012:function:",
        "arn:aws:lambda:eu-west-1:123456789012:function:a/../b",
        "arn:aws:lambda:eu-west-1:12345678901:function:a",
        "arn:aws:lambda:eu-west-1:123456789012:function:a\n",
        "arn:aws:sns:eu-west-1:123456789012:function:a",
        "arn:aws:lambda:eu-west-1:123456789012:layer:a",
    ],
)
def test_what_is_no_functions_arn(text: str) -> None:
    with pytest.raises(InvalidRequest, match="Not the ARN of a function"):
        check_function_arn(text)


@given(st.text())
def test_any_text_is_an_arn_or_refused(text: str) -> None:
    try:
        arn = Arn.parse(text)
    except InvalidRequest:
        return
    assert str(arn) == text


def test_a_fingerprint_forgives_what_the_service_model_does() -> None:
    assert fingerprint(HEX) == fingerprint(HEX.upper()) == fingerprint(f"0x{HEX}") == HEX


@pytest.mark.parametrize("text", ["", HEX[1:], HEX + "0", HEX[:-1] + "g", f"0x0x{HEX}", HEX + "\n"])
def test_what_is_no_fingerprint(text: str) -> None:
    with pytest.raises(InvalidRequest, match="64 hexadecimal digits"):
        fingerprint(text)


def test_the_certificate_in_an_arn() -> None:
    assert certificate_of(REALM.arn("cert", HEX)) == HEX
    assert certificate_of(REALM.arn("thing", HEX)) is None
    assert certificate_of(REALM.arn("cert", "short")) is None
    assert certificate_of(HEX) is None


def test_an_acts_ids_are_the_same_each_time_and_differ_by_their_words() -> None:
    act = Act(REALM, "system", 0, "3f0c7a52-5f4e-4d43-8a39-0c8a3f0a9d11")
    other = Act(REALM, "system", 0, "3f0c7a52-5f4e-4d43-8a39-0c8a3f0a9d12")
    ids = [act.id_for("thing", "a"), act.id_for("thing", "b"), act.id_for("thing"), other.id_for("thing", "a")]
    assert len(set(ids)) == 4
    assert ids[0] == act.id_for("thing", "a")
    assert ids[0] == str(uuid.uuid5(uuid.UUID(act.request_id), "thing/a"))
