"""Revocation lists: what they say, who can read them, and what is not signed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from fleetgate.errors import CertificateInvalid, Unavailable
from fleetgate.pki import crl, moments
from fleetgate.pki.crl import Reason, Revoked
from fleetgate.pki.issuer import IssuerCertificate
from fleetgate.pki.profile import DAY
from fleetgate.pki.signer import KeyFileSigner


@pytest.fixture
def signer(issuing_key: ec.EllipticCurvePrivateKey) -> KeyFileSigner:
    return KeyFileSigner(issuing_key)


def made(
    issuer: IssuerCertificate, signer: KeyFileSigner, now: int, *revoked: Revoked
) -> x509.CertificateRevocationList:
    prepared = crl.prepare(issuer, revoked, 7, now, now + DAY)
    return x509.load_der_x509_crl(crl.complete(prepared, signer.sign(prepared.tbs)))


def test_an_empty_list(issuer: IssuerCertificate, signer: KeyFileSigner, now: int) -> None:
    found = made(issuer, signer, now)
    assert list(found) == []
    assert found.is_signature_valid(issuer.public_key)
    assert found.issuer == issuer.name
    assert moments.from_datetime(found.last_update_utc) == now
    assert found.next_update_utc is not None
    assert moments.from_datetime(found.next_update_utc) == now + DAY
    assert found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 7
    identifier = found.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert identifier.key_identifier == issuer.key_identifier


@pytest.mark.parametrize("reason", Reason)
def test_an_entry_says_when_and_why(
    issuer: IssuerCertificate, signer: KeyFileSigner, now: int, serial: int, reason: Reason
) -> None:
    [entry] = made(issuer, signer, now, Revoked(serial, now - 5_000, reason))
    assert (entry.serial_number, moments.from_datetime(entry.revocation_date_utc)) == (serial, now - 5_000)
    said = [each.value.reason.value for each in entry.extensions if isinstance(each.value, x509.CRLReason)]
    assert said == ([] if reason is Reason.UNSPECIFIED else [str(reason)])


def test_after_2049_times_are_written_long(issuer: IssuerCertificate, signer: KeyFileSigner) -> None:
    late = 2_600_000_000_000
    found = made(issuer, signer, late, Revoked(5, late - 1000))
    assert moments.from_datetime(found.last_update_utc) == late
    assert [moments.from_datetime(each.revocation_date_utc) for each in found] == [late - 1000]


def test_what_is_not_fit_to_be_signed(issuer: IssuerCertificate, now: int) -> None:
    with pytest.raises(CertificateInvalid) as refused:
        crl.prepare(issuer, [Revoked(5, now), Revoked(5, now)], 0, now, now)
    assert "twice" in refused.value.message
    assert "not positive" in refused.value.message
    assert "not after" in refused.value.message


def test_an_issuer_that_may_not_sign_lists(issuer: IssuerCertificate, device: x509.Certificate, now: int) -> None:
    with pytest.raises(CertificateInvalid, match="cRLSign"):
        crl.prepare(replace(issuer, certificate=device), [], 1, now, now + DAY)


def test_another_keys_signature(issuer: IssuerCertificate, rsa_key: object, now: int) -> None:
    prepared = crl.prepare(issuer, [], 1, now, now + DAY)
    with pytest.raises(Unavailable, match="another one"):
        crl.complete(prepared, b"no signature")
    with pytest.raises(RuntimeError, match="one signature"):
        crl.complete(prepared, b"no signature")
