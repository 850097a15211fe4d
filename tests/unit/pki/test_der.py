from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetgate.pki import der


@given(st.binary(max_size=70_000), st.sampled_from([der.SEQUENCE, der.OCTET_STRING, der.context(3)]))
def test_what_is_encoded_is_read_again(body: bytes, tag: int) -> None:
    raw = der.encode(tag, body)
    assert der.only(raw, tag) == (tag, body, raw)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"\x30", "without a length"),
        (b"\x30\x01", "longer than its surroundings"),
        (b"\x30\x80\x00\x00", "shortest form"),
        (b"\x30\x81\x05hello", "shortest form"),
        (b"\x30\x82\x00\x85" + bytes(0x85), "shortest form"),
        (b"\x30\x85\x01\x00\x00\x00\x00", "shortest form"),
        (b"\x30\x82\x01", "cut off"),
        (b"\x1f\x81\x01\x00", "more than one octet"),
    ],
)
def test_other_encodings_are_refused(data: bytes, complaint: str) -> None:
    with pytest.raises(der.Malformed, match=complaint):
        der.elements(data)


def test_only_wants_one_element_of_the_tag() -> None:
    with pytest.raises(der.Malformed, match="expected one element with tag 0x30"):
        der.only(b"\x02\x01\x05", der.SEQUENCE)
    with pytest.raises(der.Malformed):
        der.only(b"\x30\x00\x30\x00", der.SEQUENCE)
    with pytest.raises(der.Malformed):
        der.only(b"", der.SEQUENCE)


@pytest.mark.parametrize(
    ("octets", "text"),
    [("550403", "2.5.4.3"), ("2a864886f70d01010b", "1.2.840.113549.1.1.11"), ("883703", "2.999.3"), ("00", "0.0")],
)
def test_object_identifiers(octets: str, text: str) -> None:
    assert der.dotted(bytes.fromhex(octets)) == text


@pytest.mark.parametrize("body", [b"", b"\x55\x84", b"\x55" * 65])
def test_broken_object_identifiers(body: bytes) -> None:
    with pytest.raises(der.Malformed, match="object identifier"):
        der.dotted(body)


def test_bit_strings_end_on_an_octet() -> None:
    assert der.bits(b"\x00\x05") == b"\x05"
    for body in (b"", b"\x01\x04"):
        with pytest.raises(der.Malformed):
            der.bits(body)
