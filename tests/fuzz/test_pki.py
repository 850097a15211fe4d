"""Whatever strangers send as requests, certificates and bundles: the documented errors, and no warning."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from fleetgate.errors import CertificateInvalid, InvalidSigningRequest, RegistrationCodeInvalid
from fleetgate.pki import certificate, chain, csr, der, fields, keys, lint, moments, pem, profile, subject
from fleetgate.pki.issuer import IssuerCertificate

NOW: Final = 1_790_000_000_000
KEY: Final = ec.derive_private_key(0x1234_5678_9ABC_DEF0, ec.SECP256R1())

many = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@cache
def _ca() -> x509.Certificate:
    name = profile.common_name("Root")
    issuer = IssuerCertificate.self_signed(name, KEY.public_key())
    prepared = certificate.prepare(profile.ROOT_CA, issuer, name, KEY.public_key(), 1 << 100, NOW)
    return certificate.complete(prepared, issuer.algorithm.sign(KEY, prepared.tbs))


@cache
def _seeds() -> tuple[bytes, ...]:
    """A certificate and a request with every extension we read."""
    names = x509.SubjectAlternativeName([x509.DNSName("x.example"), x509.DirectoryName(profile.common_name("x"))])
    leaf = (
        x509.CertificateBuilder()
        .issuer_name(_ca().subject)
        .subject_name(profile.common_name("device"))
        .public_key(KEY.public_key())
        .serial_number(1 << 90)
        .not_valid_before(moments.to_datetime(NOW))
        .not_valid_after(moments.to_datetime(NOW + 10**9))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=3), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier(b"1" * 20, None, None), critical=False)
        .add_extension(x509.ExtendedKeyUsage([x509.ObjectIdentifier(fields.CLIENT_AUTH)]), critical=False)
        .sign(KEY, hashes.SHA256())
    )
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(profile.common_name("device"))
        .add_extension(names, critical=False)
        .sign(KEY, hashes.SHA256())
    )
    return tuple(each.public_bytes(Encoding.DER) for each in (leaf, _ca(), request))


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A seed with a few octets changed, inserted or removed."""
    data = bytearray(draw(st.sampled_from(_seeds())))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data) - 1))
        kind = draw(st.sampled_from(["set", "flip", "insert", "remove"]))
        if kind == "set":
            data[at] = draw(st.integers(0, 255))
        elif kind == "flip":
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "insert":
            data[at:at] = draw(st.binary(min_size=1, max_size=4))
        elif len(data) > 1:
            del data[at]
    return bytes(data)


def _grown(name: bytes) -> bytes:
    """A seed whose names are replaced by *name*, with all lengths right, so that the mutation reaches deep."""
    outer = der.children(_seeds()[0], der.SEQUENCE)
    inner = [each.raw for each in der.elements(outer[0].body)]
    inner[3] = inner[5] = name
    return der.encode(der.SEQUENCE, der.encode(der.SEQUENCE, *inner), outer[1].raw, outer[2].raw)


@st.composite
def names(draw: st.DrawFn) -> bytes:
    """Names of every string type with every sort of content."""
    oids = st.sampled_from(["550403", "550406", "55040a", "55042d", "2a0304"]).map(bytes.fromhex)
    tags = st.sampled_from([0x02, 0x03, 0x0C, 0x13, 0x14, 0x16, 0x1C, 0x1E])
    pairs = draw(st.lists(st.tuples(oids, tags, st.binary(max_size=80)), max_size=4))
    return der.encode(
        der.SEQUENCE,
        *(
            der.encode(der.SET, der.encode(der.SEQUENCE, der.encode(der.OBJECT_IDENTIFIER, oid), der.encode(tag, body)))
            for oid, tag, body in pairs
        ),
    )


def _tolerated(call: Callable[[], object]) -> bool:
    """Whether *call* returned; the documented errors are fine, anything else comes through."""
    try:
        call()
    except (CertificateInvalid, InvalidSigningRequest, RegistrationCodeInvalid):
        return False
    return True


def _use(made: x509.Certificate) -> None:
    """Everything that is done with a stranger's certificate once it is loaded."""
    assert certificate.load(certificate.pem(made)) == made
    certificate.attributes(made)
    chain.issuance_problems(made, _ca())
    chain.issuance_problems(_ca(), made)
    lint.lint(made, IssuerCertificate.of(_ca()), profile.AWS_DEVICE, NOW)
    for call in (
        lambda: chain.verify_path(made, [made], _ca(), NOW, fields.CLIENT_AUTH),
        lambda: chain.check_authority(made, NOW),
        lambda: chain.check_verification(made, _ca(), "code", NOW),
        lambda: IssuerCertificate.of(made),
    ):
        _tolerated(call)


def test_the_seeds_are_good() -> None:
    leaf, ca, request = _seeds()
    for each in (leaf, ca):
        _use(certificate.load_der(each))
    assert csr.parse(pem.text_of("CERTIFICATE REQUEST", request)).public_key == KEY.public_key()


@many
@given(mutated())
def test_mutated_certificates(data: bytes) -> None:
    try:
        made = certificate.load_der(data)
    except CertificateInvalid:
        return
    assert certificate.fingerprint(made) == certificate.fingerprint(data)
    _use(made)


@many
@given(names())
def test_certificates_with_strange_names(name: bytes) -> None:
    data = _grown(name)
    lint.lint(data, IssuerCertificate.of(_ca()), profile.AWS_DEVICE, NOW)
    subject.problems(name)
    try:
        made = certificate.load_der(data)
    except CertificateInvalid:
        return
    _use(made)


@many
@given(mutated())
def test_mutated_requests(data: bytes) -> None:
    _tolerated(lambda: csr.parse(pem.text_of("CERTIFICATE REQUEST", data)))


@many
@given(names())
def test_requests_with_strange_names(name: bytes) -> None:
    algorithm = keys.SignatureAlgorithm("ecdsa", "sha256")
    info = [each.raw for each in der.children(der.children(_seeds()[2], der.SEQUENCE)[0].raw, der.SEQUENCE)]
    info[1] = name
    signed = der.encode(der.SEQUENCE, *info)
    signature = der.encode(der.BIT_STRING, b"\0", algorithm.sign(KEY, signed))
    data = der.encode(der.SEQUENCE, signed, algorithm.identifier, signature)
    assume(len(data) < 2900)
    if _tolerated(lambda: csr.parse(pem.text_of("CERTIFICATE REQUEST", data))):
        assert subject.problems(name) == []


@many
@given(st.binary(max_size=300))
def test_noise(data: bytes) -> None:
    assert not _tolerated(lambda: certificate.load_der(data))
    text = pem.text_of("CERTIFICATE", data)
    assert not _tolerated(lambda: chain.parse_bundle(text))
    assert not _tolerated(lambda: csr.parse(text.replace("CERTIFICATE", "CERTIFICATE REQUEST")))


@many
@given(
    st.lists(
        st.one_of(
            st.text(max_size=40),
            st.sampled_from(
                [
                    "-----BEGIN CERTIFICATE-----",
                    "-----END CERTIFICATE-----",
                    "-----BEGIN X-----",
                    "\n",
                    "\r",
                    "\\n",
                    "MAA=",
                ]
            ),
        ),
        max_size=12,
    )
)
def test_texts(pieces: list[str]) -> None:
    for text in ("".join(pieces), "\n".join(pieces)):
        for read in (certificate.load, chain.parse_bundle, csr.parse):
            assert not _tolerated(lambda read=read, text=text: read(text))  # type: ignore[misc] # bound now


@many
@given(st.data())
def test_bundles_of_good_and_bad(data: st.DataObject) -> None:
    drawn = data.draw(st.lists(st.one_of(mutated(), st.sampled_from(_seeds()[:2])), min_size=1, max_size=12))
    text = "".join(pem.text_of("CERTIFICATE", each) for each in drawn)
    if _tolerated(lambda: chain.parse_bundle(text)):
        assert len(chain.parse_bundle(text)) == len(drawn) <= chain.MOST
