from __future__ import annotations

import ipaddress

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from fleetgate.pki import der, subject


def _attribute(oid: str, text: bytes, tag: int = 0x0C) -> bytes:
    octets = x509.Name([x509.NameAttribute(x509.ObjectIdentifier(oid), "xx")]).public_bytes()
    kind = der.elements(der.elements(der.elements(octets)[0].body)[0].body)[0].body
    oid_element = der.elements(kind)[0].raw
    return der.encode(der.SEQUENCE, oid_element, der.encode(tag, text))


def _name(*attributes: bytes) -> bytes:
    return der.encode(der.SEQUENCE, *(der.encode(der.SET, each) for each in attributes))


CN = subject.COMMON_NAME


def test_attributes_keep_order_and_all_values() -> None:
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "one"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "two"),
            x509.NameAttribute(NameOID.STATE_OR_PROVINCE_NAME, "Hessen"),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, "0123"),
            x509.NameAttribute(NameOID.DN_QUALIFIER, "q"),
            x509.NameAttribute(NameOID.ORGANIZATION_IDENTIFIER, "without a name at AWS"),
            x509.NameAttribute(NameOID.COMMON_NAME, "Gerät"),
        ]
    )
    assert subject.attributes(name.public_bytes()) == {
        "Country": ["DE"],
        "OrganizationalUnit": ["one", "two"],
        "State": ["Hessen"],
        "SerialNumber": ["0123"],
        "DistinguishedNameQualifier": ["q"],
        "CommonName": ["Gerät"],
    }
    assert subject.problems(name.public_bytes()) == []


@pytest.mark.parametrize(
    ("tag", "octets"),
    [
        (0x0C, "Gerät".encode()),
        (0x13, b"Gert"),
        (0x14, "Gerät".encode("latin-1")),
        (0x16, b"Gert"),
        (0x1C, "Gerät".encode("utf-32-be")),
        (0x1E, "Gerät".encode("utf-16-be")),
    ],
)
def test_every_string_type_is_read(tag: int, octets: bytes) -> None:
    assert subject.attributes(_name(_attribute(CN, octets, tag)))["CommonName"][0] in ("Gerät", "Gert")


def test_a_unique_identifier_is_bits() -> None:
    assert subject.read(_name(_attribute("2.5.4.45", b"\x00\xab", der.BIT_STRING))) == [("2.5.4.45", "ab")]


@pytest.mark.parametrize(
    "name",
    [
        b"",
        b"\x30\x02\x31\x00",
        b"\x30\x02\x30\x00",
        _name(der.encode(der.SEQUENCE)),
        _name(der.encode(der.SET)),
        _name(_attribute(CN, b"\xff")),
        _name(_attribute(CN, b"\xd8\x00", 0x1E)),
        _name(_attribute(CN, b"\x05", der.INTEGER)),
    ],
)
def test_what_is_no_name_is_malformed(name: bytes) -> None:
    with pytest.raises(der.Malformed):
        subject.read(name)
    assert len(subject.problems(name)) == 1
    assert subject.same(name, name)
    assert not subject.same(name, _name())


@pytest.mark.parametrize(
    ("oid", "text", "problem"),
    [
        (CN, "a\0b", "CommonName 'a\\x00b' contains control or invisible characters."),
        (CN, "a\nb", "CommonName 'a\\nb' contains control or invisible characters."),
        ("2.5.4.10", "a\u202eb", "Organization 'a\\u202eb' contains control or invisible characters."),
        (CN, "", "CommonName is empty."),
        (CN, "a" * 65, "CommonName is 65 long; at most 64 are allowed."),
        (CN, "ä" * 33, "CommonName is 66 long; at most 64 are allowed."),
        ("2.5.4.11", "a" * 65, "OrganizationalUnit is 65 long; at most 64 are allowed."),
        ("2.5.4.6", "DEU", "Country 'DEU' is no two-letter ISO 3166 code."),
        ("2.5.4.6", "de", "Country 'de' is no two-letter ISO 3166 code."),
        ("2.5.4.16", "a" * 32_769, "2.5.4.16 is 32769 long; at most 32768 are allowed."),
    ],
)
def test_problems_with_values(oid: str, text: str, problem: str) -> None:
    assert subject.problems(_name(_attribute(oid, text.encode()))) == [problem]


def test_all_problems_are_told_at_once() -> None:
    name = _name(_attribute(CN, b""), _attribute("2.5.4.6", b"Germany"), _attribute("2.5.4.10", b"\x07"))
    assert len(subject.problems(name)) == 3


def test_names_match_despite_case_spacing_and_string_type() -> None:
    one = _name(_attribute(CN, b"My  CA ", 0x13), _attribute("2.5.4.10", b"ACME"))
    assert subject.same(one, _name(_attribute(CN, b"my ca"), _attribute("2.5.4.10", b"Acme", 0x13)))
    assert not subject.same(one, _name(_attribute("2.5.4.10", b"ACME"), _attribute(CN, b"My CA")))
    assert not subject.same(one, _name(_attribute(CN, b"MyCA"), _attribute("2.5.4.10", b"ACME")))


def test_names_that_match_have_one_canonical_text() -> None:
    one = _name(_attribute(CN, b"My  CA ", 0x13), _attribute("2.5.4.10", b"ACME"))
    assert subject.canonical(one) == subject.canonical(_name(_attribute(CN, b"my ca"), _attribute("2.5.4.10", b"Acme")))
    assert subject.canonical(one) != subject.canonical(_name(_attribute(CN, b"my ca")))
    with pytest.raises(der.Malformed):
        subject.canonical(b"\x30")


@pytest.mark.parametrize(
    ("oid", "text", "beyond"),
    [(CN, "a" * 64, False), (CN, "a" * 65, True), ("2.5.4.6", "USA", True), ("2.5.4.10", "a" * 99, False)],
)
def test_what_the_library_cannot_hold(oid: str, text: str, beyond: bool) -> None:
    assert subject.is_beyond_objects(subject.Attribute(oid, text)) is beyond


def test_alternative_names() -> None:
    names = x509.SubjectAlternativeName(
        [
            x509.DNSName("a.example"),
            x509.DNSName("b.example"),
            x509.IPAddress(ipaddress.ip_address("192.0.2.1")),
            x509.IPAddress(ipaddress.ip_address("2001:db8::1")),
            x509.RFC822Name("who@example"),
            x509.UniformResourceIdentifier("urn:dev:1"),
            x509.DirectoryName(
                x509.Name(
                    [x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"), x509.NameAttribute(NameOID.COMMON_NAME, "x")]
                )
            ),
            x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
        ]
    )
    assert subject.alternative_names(names.public_bytes()) == {
        "DNSName": ["a.example", "b.example"],
        "IPAddress": ["192.0.2.1", "2001:db8::1"],
        "RFC822Name": ["who@example"],
        "UniformResourceIdentifier": ["urn:dev:1"],
        "DirectoryName": ["Country=DE,CommonName=x"],
    }


@pytest.mark.parametrize("name", [b"\x87\x03abc", b"\x82\x01\xff", b"\xa4\x02\x31\x00"])
def test_alternative_names_that_cannot_be_read(name: bytes) -> None:
    with pytest.raises(der.Malformed, match="alternative name"):
        subject.alternative_names(der.encode(der.SEQUENCE, name))
