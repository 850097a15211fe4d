"""OCSP: questions of a library that is not ours, and answers that it believes."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp as library

from fleetgate.errors import InvalidRequest
from fleetgate.pki import certificate, moments, ocsp
from fleetgate.pki.crl import Reason
from fleetgate.pki.issuer import IssuerCertificate
from fleetgate.pki.profile import OCSP_RESPONDER
from fleetgate.pki.signer import KeyFileSigner


def asked(
    device: x509.Certificate,
    issuing: x509.Certificate,
    by: hashes.HashAlgorithm | None = None,
    nonce: bytes | None = None,
) -> bytes:
    builder = library.OCSPRequestBuilder().add_certificate(device, issuing, by or hashes.SHA1())  # what clients send
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(Encoding.DER)


@pytest.fixture
def responder(
    issuer: IssuerCertificate, issuing_key: ec.EllipticCurvePrivateKey, ec_key: ec.EllipticCurvePrivateKey, now: int
) -> ocsp.Responder:
    serial = certificate.serial_number(bytes(20))
    prepared = certificate.prepare(OCSP_RESPONDER, issuer, None, ec_key.public_key(), serial, now)
    made = certificate.complete(prepared, KeyFileSigner(issuing_key).sign(prepared.tbs))
    return ocsp.Responder(made, issuer, ec_key, prepared.not_after)


@pytest.mark.parametrize("by", [hashes.SHA1(), hashes.SHA256(), hashes.SHA384(), hashes.SHA512()])  # as above
def test_a_question_names_its_issuer(
    device: x509.Certificate,
    issuing: x509.Certificate,
    issuer: IssuerCertificate,
    root: x509.Certificate,
    by: hashes.HashAlgorithm,
) -> None:
    question = ocsp.read(asked(device, issuing, by))
    assert question.serial == device.serial_number
    assert question.nonce is None
    assert question.names(issuer)
    assert not question.names(IssuerCertificate.of(root))


def test_the_same_question_in_a_path(device: x509.Certificate, issuing: x509.Certificate) -> None:
    encoded = asked(device, issuing, nonce=b"n" * 16)
    text = base64.b64encode(encoded).decode()
    assert ocsp.read_path(text) == ocsp.read_path(quote(text, safe="")) == ocsp.read(encoded)
    assert ocsp.read(encoded).nonce == b"n" * 16


@pytest.mark.parametrize("wrong", [b"", b"no DER", b"\x30\x00", b"\x30" * 20_000])
def test_what_is_no_question(wrong: bytes) -> None:
    with pytest.raises(InvalidRequest, match="no OCSP request"):
        ocsp.read(wrong)


def test_a_path_that_is_no_base64() -> None:
    with pytest.raises(InvalidRequest, match="base64"):
        ocsp.read_path("a.b%%")


def test_a_nonce_that_is_too_long_is_left_out(device: x509.Certificate, issuing: x509.Certificate) -> None:
    assert ocsp.read(asked(device, issuing, nonce=b"n" * 200)).nonce is None


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (ocsp.Status(True), library.OCSPCertStatus.GOOD),
        (ocsp.Status(False), library.OCSPCertStatus.UNKNOWN),
        (ocsp.Status(True, ocsp.Revoked(1_789_000_000_000, Reason.SUPERSEDED)), library.OCSPCertStatus.REVOKED),
        (ocsp.Status(True, ocsp.Revoked(1_789_000_000_000, Reason.UNSPECIFIED)), library.OCSPCertStatus.REVOKED),
    ],
)
def test_an_answer(
    device: x509.Certificate,
    issuing: x509.Certificate,
    responder: ocsp.Responder,
    now: int,
    status: ocsp.Status,
    said: library.OCSPCertStatus,
) -> None:
    question = ocsp.read(asked(device, issuing, nonce=b"nonce"))
    found = library.load_der_ocsp_response(ocsp.answer(question, status, responder, now, now + 60_000))
    assert found.response_status is library.OCSPResponseStatus.SUCCESSFUL
    assert (found.certificate_status, found.serial_number) == (said, device.serial_number)
    assert moments.from_datetime(found.this_update_utc) == now
    assert found.next_update_utc is not None
    assert moments.from_datetime(found.next_update_utc) == now + 60_000
    if status.revoked is not None:
        assert found.revocation_time_utc is not None
        assert moments.from_datetime(found.revocation_time_utc) == status.revoked.at
        why = found.revocation_reason
        assert (why.value if why else "unspecified") == str(status.revoked.reason)
    assert found.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == b"nonce"
    [delegate] = found.certificates
    delegate.verify_directly_issued_by(issuing)
    delegate.extensions.get_extension_for_class(x509.OCSPNoCheck)
    assert found.signature_hash_algorithm is not None
    key = delegate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(found.signature, found.tbs_response_bytes, ec.ECDSA(found.signature_hash_algorithm))
