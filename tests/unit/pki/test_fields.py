from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from fleetgate.pki import der, fields, moments
from fleetgate.pki.fields import AuthorityKey, BasicConstraints, Fields


def _read(certificate: x509.Certificate) -> Fields:
    return Fields.read(certificate.public_bytes(Encoding.DER))


def test_fields_agree_with_the_library(device: x509.Certificate, root: x509.Certificate) -> None:
    for certificate in (device, root):
        parts = _read(certificate)
        assert parts.tbs == certificate.tbs_certificate_bytes
        assert parts.version == 2
        assert int.from_bytes(parts.serial) == certificate.serial_number
        assert parts.issuer == certificate.issuer.public_bytes()
        assert parts.subject == certificate.subject.public_bytes()
        assert parts.starts == moments.from_datetime(certificate.not_valid_before_utc)
        assert parts.ends == moments.from_datetime(certificate.not_valid_after_utc)
        assert parts.signature == certificate.signature
        assert not parts.unique_identifiers
        assert [(each.oid, each.critical, each.value) for each in parts.extensions] == [
            (each.oid.dotted_string, each.critical, each.value.public_bytes()) for each in certificate.extensions
        ]


def test_in_force_includes_the_last_second(device: x509.Certificate) -> None:
    parts = _read(device)
    assert parts.in_force(parts.starts)
    assert not parts.in_force(parts.starts - 1)
    assert parts.in_force(parts.ends + 999)
    assert not parts.in_force(parts.ends + 1000)


def test_extensions_we_act_on(device: x509.Certificate, issuing: x509.Certificate) -> None:
    leaf, ca = _read(device), _read(issuing)
    assert leaf.basic_constraints() == BasicConstraints(ca=False, path_length=None)
    assert ca.basic_constraints() == BasicConstraints(ca=True, path_length=0)
    assert leaf.key_usage() == frozenset({"digitalSignature"})
    assert ca.key_usage() == frozenset({"digitalSignature", "keyCertSign", "cRLSign"})
    assert leaf.authority_key() == AuthorityKey(ca.subject_key_identifier(), names_issuer=False)
    assert leaf.extended_key_usage() is None


def test_absent_extensions_are_none(device: x509.Certificate) -> None:
    certificate = _read(device)
    bare = _without_extensions(certificate)
    assert bare.extensions == ()
    assert bare.basic_constraints() is None
    assert bare.key_usage() is None
    assert bare.extended_key_usage() is None
    assert bare.subject_key_identifier() is None
    assert bare.authority_key() is None


def _without_extensions(parts: Fields, *more: bytes) -> Fields:
    tbs = der.encode(der.SEQUENCE, *(each.raw for each in der.children(parts.tbs, der.SEQUENCE)[:-1]), *more)
    return Fields.read(_certificate(parts, tbs))


def _certificate(parts: Fields, tbs: bytes) -> bytes:
    return der.encode(der.SEQUENCE, tbs, parts.outer_algorithm, der.encode(der.BIT_STRING, b"\0", parts.signature))


def _with_extension(parts: Fields, oid_octets: str, value: bytes) -> Fields:
    oid = der.encode(der.OBJECT_IDENTIFIER, bytes.fromhex(oid_octets))
    extension = der.encode(der.SEQUENCE, oid, der.encode(der.OCTET_STRING, value))
    return _without_extensions(parts, der.encode(der.context(3), der.encode(der.SEQUENCE, extension)))


@pytest.mark.parametrize(
    ("oid", "value", "reader"),
    [
        ("551d13", b"\x04\x00", Fields.basic_constraints),
        ("551d13", b"\x30\x02\x04\x00", Fields.basic_constraints),
        ("551d13", b"\x30\x03\x02\x01\xff", Fields.basic_constraints),
        ("551d0f", b"\x03\x00", Fields.key_usage),
        ("551d0f", b"\x03\x05\x00\x00\x00\x00\x00", Fields.key_usage),
        ("551d25", b"\x06\x01\x00", Fields.extended_key_usage),
        ("551d25", b"\x30\x03\x06\x01\x80", Fields.extended_key_usage),
        ("551d0e", b"\x30\x00", Fields.subject_key_identifier),
        ("551d23", b"\x04\x00", Fields.authority_key),
    ],
)
def test_broken_extensions_are_malformed(device: x509.Certificate, oid: str, value: bytes, reader: object) -> None:
    assert callable(reader)
    parts = _with_extension(_read(device), oid, value)
    with pytest.raises(der.Malformed):
        reader(parts)


def test_an_authority_key_that_names_its_issuer(device: x509.Certificate) -> None:
    parts = _with_extension(_read(device), "551d23", b"\x30\x05\x80\x01\x09\x82\x00")
    assert parts.authority_key() == AuthorityKey(b"\x09", names_issuer=True)


def test_version_1_has_no_version_field(device: x509.Certificate) -> None:
    parts = _read(device)
    tbs = der.encode(der.SEQUENCE, *(each.raw for each in der.children(parts.tbs, der.SEQUENCE)[1:-1]))
    assert Fields.read(_certificate(parts, tbs)).version == 0


@pytest.mark.parametrize("tag", [1, 2])
def test_unique_identifiers_are_seen(device: x509.Certificate, tag: int) -> None:
    identifier = der.encode(der.context(tag, constructed=False), b"\0\1")
    assert _without_extensions(_read(device), identifier).unique_identifiers


@pytest.mark.parametrize(
    "extension",
    [b"\x30\x00", b"\x30\x05\x06\x03\x55\x1d\x0f", b"\x30\x0a\x06\x03\x55\x1d\x0f\x02\x01\x05\x04\x00"],
)
def test_extensions_are_pairs(extension: bytes) -> None:
    with pytest.raises(der.Malformed):
        fields.read_extensions(der.encode(der.SEQUENCE, extension))


@pytest.mark.parametrize(
    "certificate",
    [
        b"",
        b"\x30\x00",
        b"\x30\x07\x30\x00\x30\x00\x03\x01\x00",
        b"\x30\x09\x30\x02\xa0\x00\x30\x00\x03\x01\x00",
    ],
)
def test_what_is_no_certificate_is_malformed(certificate: bytes) -> None:
    with pytest.raises(der.Malformed):
        Fields.read(certificate)


def test_a_validity_is_two_times(device: x509.Certificate) -> None:
    parts = _read(device)
    inner = [each.raw for each in der.children(parts.tbs, der.SEQUENCE)]
    inner[4] = der.encode(der.SEQUENCE, parts.not_before.raw)
    with pytest.raises(der.Malformed, match="two times"):
        Fields.read(_certificate(parts, der.encode(der.SEQUENCE, *inner)))
