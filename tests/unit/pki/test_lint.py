"""Each rule is broken by a certificate that breaks nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from fleetgate.pki import certificate, der, fields, keys, lint, profile
from fleetgate.pki.issuer import IssuerCertificate
from fleetgate.pki.lint import Problem
from fleetgate.pki.profile import DAY, Profile

VERSION, SERIAL, ALGORITHM, ISSUER, VALIDITY, SUBJECT, PUBLIC_KEY, EXTENSIONS = range(8)

RSA_SHA256 = keys.SignatureAlgorithm("rsa", "sha256").identifier
ECDSA_SHA384 = keys.SignatureAlgorithm("ecdsa", "sha384").identifier


@dataclass(frozen=True)
class Bench:
    issuer: IssuerCertificate
    key: ec.EllipticCurvePublicKey
    serial: int
    now: int

    def make(self, under: Profile = profile.AWS_DEVICE, **change: Any) -> bytes:
        """A faultless certificate."""
        sans = ("gate.example", "192.0.2.1") if under.alternative_names else ()
        subject = profile.common_name("gate.example") if under.alternative_names else profile.common_name("x")
        arguments = {"issuer": self.issuer, "subject": subject, "sans": sans, **change}
        return _complete(certificate.prepare(under, public_key=self.key, serial=self.serial, now=self.now, **arguments))

    def rules(self, made: bytes, under: Profile = profile.AWS_DEVICE, **change: Any) -> list[str]:
        return [problem.rule for problem in self.lint(made, under, **change)]

    def lint(self, made: bytes, under: Profile = profile.AWS_DEVICE, **change: Any) -> list[Problem]:
        return lint.lint(made, **{"issuer": self.issuer, "now": self.now, "profile": under, **change})


def _complete(prepared: certificate.Prepared) -> bytes:
    """Signatures are not linted, so any will do."""
    return _certificate(prepared.tbs, prepared.issuer.algorithm.identifier)


def _certificate(tbs: bytes, algorithm: bytes) -> bytes:
    return der.encode(der.SEQUENCE, tbs, algorithm, b"\x03\x02\0\0")


def _with(made: bytes, **parts: bytes) -> bytes:
    """*made* with fields of its signed part replaced: `_with(made, SERIAL=...)`."""
    outer = der.children(made, der.SEQUENCE)
    inner = [each.raw for each in der.elements(outer[0].body)]
    for name, raw in parts.items():
        inner[globals()[name]] = raw
    return _certificate(der.encode(der.SEQUENCE, *inner), outer[1].raw)


def _extensions(made: bytes) -> list[bytes]:
    wrapped = der.only(der.children(der.children(made, der.SEQUENCE)[0].raw, der.SEQUENCE)[EXTENSIONS].raw, 0xA3)
    return [each.raw for each in der.children(wrapped.body, der.SEQUENCE)]


def _with_extensions(made: bytes, extensions: Sequence[bytes]) -> bytes:
    return _with(made, EXTENSIONS=der.encode(0xA3, der.encode(der.SEQUENCE, *extensions)))


def _extension(oid: str, value: bytes, critical: bool = False) -> bytes:
    octets = bytes.fromhex(oid)
    flag = b"\x01\x01\xff" if critical else b""
    return der.encode(
        der.SEQUENCE, der.encode(der.OBJECT_IDENTIFIER, octets), flag, der.encode(der.OCTET_STRING, value)
    )


def _instead(made: bytes, oid: str, value: bytes | None, critical: bool = False) -> bytes:
    """*made* with the extension *oid* (its octets) replaced, or without it."""
    mark = b"\x06" + bytes([len(oid) // 2]) + bytes.fromhex(oid)
    found = [each for each in _extensions(made) if mark not in each]
    assert len(found) == len(_extensions(made)) - 1
    return _with_extensions(made, found if value is None else [*found, _extension(oid, value, critical)])


def _name(text: str | None, oid: str = "550403") -> bytes:
    if text is None:
        return der.encode(der.SEQUENCE)
    attribute = der.encode(
        der.SEQUENCE, der.encode(der.OBJECT_IDENTIFIER, bytes.fromhex(oid)), der.encode(0x0C, text.encode())
    )
    return der.encode(der.SEQUENCE, der.encode(der.SET, attribute))


def _validity(*times: tuple[int, bytes]) -> bytes:
    return der.encode(der.SEQUENCE, *(der.encode(tag, text) for tag, text in times))


BASIC_CONSTRAINTS, KEY_USAGE, SKI, AKI, SAN, EKU = "551d13", "551d0f", "551d0e", "551d23", "551d11", "551d25"
PRIVATE = "2a0304"
"""1.2.3.4: an extension that nobody knows."""


@pytest.fixture
def bench(issuer: IssuerCertificate, ec_key: ec.EllipticCurvePrivateKey, serial: int, now: int) -> Bench:
    return Bench(issuer, ec_key.public_key(), serial, now)


_STATUS = profile.OCSP_RESPONDER.with_status_at("http://pki.test/a.crl", "http://pki.test/ocsp")


def test_rule_status_extensions(bench: Bench) -> None:
    elsewhere = _STATUS.with_status_at("http://pki.test/b.crl", "http://pki.test/ocsp")
    assert bench.rules(bench.make(_STATUS), elsewhere) == ["status-extensions"]
    lacking = bench.rules(bench.make(profile.OCSP_RESPONDER), _STATUS)
    assert lacking == ["status-extensions", "status-extensions"]


@pytest.mark.parametrize("under", [profile.AWS_DEVICE, profile.STRICT_DEVICE, profile.SERVER, _STATUS])
def test_faultless_certificates(bench: Bench, under: Profile) -> None:
    assert bench.lint(bench.make(under), under) == []


def test_an_object_is_as_good_as_its_bytes(
    device: x509.Certificate, issuer: IssuerCertificate, root: x509.Certificate, now: int
) -> None:
    assert lint.lint(device, issuer, profile.AWS_DEVICE, now) == []
    assert lint.lint(root, IssuerCertificate.of(root), profile.ROOT_CA, now) == []


def test_every_rule_has_its_test() -> None:
    tested = {name.removeprefix("test_rule_").replace("_", "-") for name in globals() if name.startswith("test_rule_")}
    assert tested == {*lint.FORM, *lint.CONTENT, "structure"}


def test_rule_structure(bench: Bench) -> None:
    for broken in (
        b"",
        b"\x30\x00",
        bench.make()[:-1],
        _with(bench.make(), VALIDITY=_validity((0x17, b"x"), (0x17, b"y"))),
    ):
        assert bench.rules(broken) == ["structure"]


def test_rule_version(bench: Bench) -> None:
    assert bench.rules(_with(bench.make(), VERSION=b"\xa0\x03\x02\x01\x01")) == ["version"]
    assert bench.rules(_with(bench.make(), VERSION=b"")) == ["version"]


@pytest.mark.parametrize(
    "octets",
    [b"", b"\x00", b"\x80" + bytes(19), b"\x01" + bytes(20), b"\x7f" + bytes(7), b"\x01"],
    ids=["empty", "zero", "negative", "21 octets", "63 bits", "one"],
)
def test_rule_serial(bench: Bench, octets: bytes) -> None:
    assert bench.rules(_with(bench.make(), SERIAL=der.encode(der.INTEGER, octets))) == ["serial"]


def test_64_bits_of_serial_are_enough(bench: Bench) -> None:
    assert bench.rules(_with(bench.make(), SERIAL=der.encode(der.INTEGER, b"\0\x80" + bytes(7)))) == []


def test_rule_signature_algorithm(bench: Bench) -> None:
    made = bench.make()
    tbs = der.children(made, der.SEQUENCE)[0].raw
    assert bench.rules(_certificate(tbs, ECDSA_SHA384)) == ["signature-algorithm"]
    for other in (RSA_SHA256, ECDSA_SHA384):
        inner = der.children(_with(made, ALGORITHM=other), der.SEQUENCE)[0].raw
        assert bench.rules(_certificate(inner, other)) == ["signature-algorithm"]


def test_rule_time_form(bench: Bench) -> None:
    start, end = (0x17, b"260901000000Z"), (0x17, b"491231235959Z")
    late = _validity((0x18, b"20260901000000Z"), end)
    assert bench.rules(_with(bench.make(), VALIDITY=late)) == ["time-form"]
    assert bench.rules(_with(bench.make(), VALIDITY=_validity(start, (0x18, b"20491231235959Z")))) == ["time-form"]


def test_years_from_2050_are_generalized(bench: Bench, root: x509.Certificate) -> None:
    parts = fields.Fields.read(root.public_bytes(Encoding.DER))
    assert (parts.not_before.tag, parts.not_after.tag) == (der.UTC_TIME, der.GENERALIZED_TIME)


def test_rule_unique_identifier(bench: Bench) -> None:
    made = bench.make()
    wrapped = der.encode(0xA3, der.encode(der.SEQUENCE, *_extensions(made)))
    assert bench.rules(_with(made, EXTENSIONS=b"\x81\x02\0\1" + wrapped)) == ["unique-identifier"]


def test_rule_duplicate_extension(bench: Bench) -> None:
    made = bench.make()
    found = _extensions(made)
    assert bench.rules(_with_extensions(made, [*found, found[0]])) == ["duplicate-extension"]


def test_rule_issuer_name(bench: Bench) -> None:
    other = bench.issuer.subject.replace(b"Test Issuing", b"TEST Issuing")
    assert bench.rules(_with(bench.make(), ISSUER=other)) == ["issuer-name"]


def test_rule_issuer_path(bench: Bench) -> None:
    free = replace(bench.issuer, path_length=None)
    one = replace(bench.issuer, path_length=1)
    below = bench.make(profile.ISSUING_CA, issuer=free)
    assert bench.rules(below, profile.ISSUING_CA) == ["issuer-path"]
    assert bench.rules(below, profile.ISSUING_CA, issuer=free) == []
    assert bench.rules(below, profile.ISSUING_CA, issuer=one) == []
    for length in (None, 1):
        deep = replace(profile.ISSUING_CA, path_length=length)
        assert bench.rules(bench.make(deep, issuer=free), deep, issuer=one) == ["issuer-path"]


def test_rule_issuer_validity(bench: Bench) -> None:
    made = bench.make()
    early = replace(bench.issuer, starts=bench.now)
    short = replace(bench.issuer, ends=bench.now + DAY)
    assert bench.rules(made, issuer=early) == ["issuer-validity"]
    assert bench.rules(made, issuer=short) == ["issuer-validity"]


def test_rule_authority_key_identifier(bench: Bench) -> None:
    made = bench.make()
    right = der.encode(0x80, bench.issuer.key_identifier)
    for value in (
        None,
        der.encode(der.SEQUENCE),
        der.encode(der.SEQUENCE, b"\x80\x01\x05"),
        der.encode(der.SEQUENCE, right, b"\xa1\x00\x82\x01\x05"),
    ):
        assert bench.rules(_instead(made, AKI, value)) == ["authority-key-identifier"]


def test_rule_validity_order(bench: Bench) -> None:
    second = (0x17, b"260921141320Z")
    moment = _with(bench.make(), VALIDITY=_validity(second, second))
    assert bench.rules(moment) == ["validity-order"]


def test_rule_validity_now(bench: Bench) -> None:
    future = _validity((0x17, b"270101000000Z"), (0x17, b"491231235959Z"))
    assert bench.rules(_with(bench.make(), VALIDITY=future)) == ["validity-now"]


def test_rule_validity_period(bench: Bench) -> None:
    strict = profile.STRICT_DEVICE
    assert bench.rules(bench.make(replace(strict, validity=profile.Validity(duration=366 * DAY))), strict) == [
        "validity-period"
    ]
    eager = replace(bench.issuer, starts=0)
    backdated = replace(strict, validity=profile.Validity(duration=DAY, backdate=DAY))
    assert bench.rules(bench.make(backdated, issuer=eager), strict, issuer=eager) == ["validity-period"]


@pytest.mark.parametrize(
    "name",
    [_name(None), _name(""), _name("a\0b"), _name("a" * 65), _name("Deutschland", "550406"), b"\x30\x02\x31\x00"],
    ids=["none", "empty", "NUL", "long", "country", "no set"],
)
def test_rule_subject(bench: Bench, name: bytes) -> None:
    assert bench.rules(_with(bench.make(), SUBJECT=name)) == ["subject"]


def test_rule_public_key(bench: Bench, rsa_key: rsa.RSAPrivateKey) -> None:
    def made(info: bytes) -> bytes:
        return _instead(
            _with(bench.make(), PUBLIC_KEY=info), SKI, der.encode(der.OCTET_STRING, keys.key_identifier(info))
        )

    assert bench.rules(made(keys.public_key_der(rsa_key.public_key()))) == []
    weak = rsa.generate_private_key(65_537, 1024).public_key()
    assert bench.rules(made(keys.public_key_der(weak))) == ["public-key"]
    assert bench.rules(made(keys.public_key_der(ec.generate_private_key(ec.SECP256K1()).public_key()))) == [
        "public-key"
    ]
    assert bench.rules(made(keys.public_key_der(bench.key)[:-64] + bytes(64))) == ["public-key"]
    narrow = replace(profile.AWS_DEVICE, key_kinds=frozenset({"ec-p256"}))
    assert bench.rules(made(keys.public_key_der(rsa_key.public_key())), narrow) == ["public-key"]


def test_rule_subject_key_identifier(bench: Bench) -> None:
    for value in (None, der.encode(der.OCTET_STRING, bytes(20)), b"\x05\x00"):
        assert bench.rules(_instead(bench.make(), SKI, value)) == ["subject-key-identifier"]


def test_rule_basic_constraints(bench: Bench) -> None:
    for value in (None, b"\x30\x03\x01\x01\xff", b"\x30\x03\x02\x01\x00", b"\x04\x00"):
        rules = set(bench.rules(_instead(bench.make(), BASIC_CONSTRAINTS, value, critical=True)))
        assert "basic-constraints" in rules
        assert rules <= {"basic-constraints", "issuer-path"}


def test_rule_key_usage(bench: Bench) -> None:
    for value in (None, b"\x03\x02\x02\x84", b"\x03\x02\x05\x20", b"\x03\x00"):
        assert bench.rules(_instead(bench.make(), KEY_USAGE, value, critical=True)) == ["key-usage"]


def test_rule_extended_key_usage(bench: Bench) -> None:
    strict = profile.STRICT_DEVICE
    server_auth = x509.ExtendedKeyUsage([x509.ObjectIdentifier(fields.SERVER_AUTH)]).public_bytes()
    for value in (None, server_auth, b"\x05\x00"):
        assert bench.rules(_instead(bench.make(strict), EKU, value), strict) == ["extended-key-usage"]


def test_rule_criticality(bench: Bench) -> None:
    made = bench.make()
    for oid in (BASIC_CONSTRAINTS, KEY_USAGE):
        value = _value(made, oid)
        assert bench.rules(_instead(made, oid, value, critical=False)) == ["criticality"]
    for oid in (AKI, SKI):
        assert bench.rules(_instead(made, oid, _value(made, oid), critical=True)) == ["criticality"]


def test_alternative_names_are_critical_where_there_is_no_subject(bench: Bench) -> None:
    nameless = replace(profile.SERVER, subject=x509.Name([]))
    made = bench.make(nameless, subject=None)
    assert bench.lint(made, nameless) == []
    assert bench.rules(_instead(made, SAN, _value(made, SAN), critical=False), nameless) == ["criticality"]


def _value(made: bytes, oid: str) -> bytes:
    found = fields.Fields.read(made).extension(der.dotted(bytes.fromhex(oid)))
    assert found
    return found.value


def test_rule_unknown_critical_extension(bench: Bench) -> None:
    made = bench.make()
    more = [*_extensions(made), _extension(PRIVATE, b"\x05\x00", critical=True)]
    assert bench.rules(_with_extensions(made, more)) == ["unknown-critical-extension"]


def test_rule_unexpected_extension(bench: Bench) -> None:
    made = bench.make()
    for oid in (PRIVATE, EKU):
        more = [*_extensions(made), _extension(oid, b"\x30\x00")]
        assert bench.rules(_with_extensions(made, more)) == ["unexpected-extension"]


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"\x30\x00",
        x509.SubjectAlternativeName([x509.DNSName("gate.example"), x509.RFC822Name("a@b.example")]).public_bytes(),
        x509.SubjectAlternativeName([x509.DNSName("gate.example"), x509.DNSName("a..b")]).public_bytes(),
        b"\x05\x00",
    ],
    ids=["missing", "empty", "mail", "no DNS name", "no names"],
)
def test_rule_alternative_names(bench: Bench, value: bytes | None) -> None:
    nameless = replace(profile.SERVER, subject=profile.common_name("gate.example"))
    rules = bench.rules(_instead(bench.make(nameless), SAN, value), nameless)
    assert "alternative-names" in rules
    assert set(rules) <= {"alternative-names", "common-name-listed"}


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("a.example", True),
        ("*.example", True),
        ("localhost", True),
        ("fleet_gate.local", True),
        ("xn--bcher-kva.example", True),
        ("", False),
        ("a.*.example", False),
        ("*", False),
        ("*a.example", False),
        ("a.example.", False),
        ("-a.example", False),
        ("a b", False),
        ("192.0.2.1", False),
        ("a" * 64, False),
        ("a." * 126 + "ab", False),
    ],
)
def test_dns_names(text: str, good: bool) -> None:
    assert lint.is_dns_name(text) is good


def test_rule_common_name_listed(bench: Bench) -> None:
    assert bench.rules(_with(bench.make(profile.SERVER), SUBJECT=_name("other.example")), profile.SERVER) == [
        "common-name-listed"
    ]


def test_a_server_may_go_by_its_organization(bench: Bench) -> None:
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "ACME")])
    assert bench.rules(bench.make(profile.SERVER, subject=name), profile.SERVER) == []


def test_all_problems_are_told_with_their_messages(bench: Bench) -> None:
    made = _instead(_with(bench.make(), SUBJECT=_name("a" * 65)), SKI, None)
    assert bench.lint(made) == [
        Problem("subject", "CommonName is 65 long; at most 64 are allowed."),
        Problem("subject-key-identifier", "The subject key identifier is missing."),
    ]
