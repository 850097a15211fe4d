"""Profiles: the bounds within which certificates are issued."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from fleetgate.errors import InvalidRequest, all_of
from fleetgate.pki import fields, keys, moments

DAY: Final = 86_400_000
"""Milliseconds."""

_CENTURY: Final = 36_525 * DAY

END_OF_2049: Final = 2_524_607_999_000
"""2049-12-31T23:59:59Z: the end of every certificate that AWS IoT issues, and the last moment a UTCTime can write."""


@dataclass(frozen=True, slots=True)
class Validity:
    """When a certificate starts and ends. Milliseconds."""

    end: int | None = None
    """A fixed end, UTC; or None, and *duration* decides."""
    duration: int = 365 * DAY
    backdate: int = 120_000
    """How long before `now` a certificate starts, for the sake of clocks that are slow."""
    cut_to_issuer: bool = False
    """What would outlast its issuer ends with it (True) or is refused (False)."""

    def problems(self) -> Iterator[str]:
        if self.end is not None and not 0 < self.end <= moments.LATEST:
            yield "end: a moment from 1970 to 9999."
        if not 1000 <= self.duration <= _CENTURY:
            yield "duration: from a second to a hundred years, in milliseconds."
        if not 0 <= self.backdate <= DAY:
            yield "backdate: at most a day, in milliseconds."

    def latest_end(self, now: int) -> int:
        return self.end if self.end is not None else now + self.duration

    def earliest_start(self, now: int) -> int:
        return now - self.backdate

    def bounds(self, now: int, issuer_starts: int, issuer_ends: int) -> tuple[int, int]:
        """Start and end of a certificate issued *now*; it never starts before its issuer."""
        end = self.latest_end(now)
        return max(self.earliest_start(now), issuer_starts), min(end, issuer_ends) if self.cut_to_issuer else end


@dataclass(frozen=True, slots=True)
class Profile:
    """Who may get what. Extensions come from here alone, never from a signing request."""

    name: str
    validity: Validity
    subject: x509.Name | None = None
    """The subject where the request has none; None refuses such a request."""
    keep_subject: bool = True
    """Whether a request's own subject is kept. AWS seems to keep it on CSRs; it makes up one for keys it generates."""
    ca: bool = False
    path_length: int | None = None
    """How many CAs may follow below; only with *ca*."""
    key_usage: frozenset[str] = frozenset({"digitalSignature"})
    """By the names in `fields.KEY_USAGES`."""
    extended_key_usage: tuple[str, ...] = ()
    """Dotted object identifiers; empty leaves the extension out."""
    alternative_names: bool = False
    """Whether the certificate carries (and must carry) DNS names and addresses."""
    ocsp_no_check: bool = False
    """Whether nobody asks after the certificate's own status (RFC 6960 section 4.2.2.2.1): a responder's."""
    crl_url: str | None = None
    """Where the issuer's revocation list is; None leaves the extension out."""
    ocsp_url: str | None = None
    """Where the issuer's responder is; None leaves the extension out."""
    key_kinds: frozenset[str] = frozenset({"rsa", "ec"})
    """`rsa-2048`, `ec-p256` ...; `rsa` or `ec` for every strong key of that family."""

    def __post_init__(self) -> None:
        """Raises InvalidRequest, with every problem in one message."""
        if problems := list(self._problems()):
            raise InvalidRequest(f"Profile {self.name!r} is refused: {all_of(problems)}")

    def _problems(self) -> Iterator[str]:
        yield from self.validity.problems()
        if unknown := self.key_usage - set(fields.KEY_USAGES):
            yield f"key_usage: {', '.join(sorted(unknown))} is none of {', '.join(fields.KEY_USAGES)}."
        if self.ca != ("keyCertSign" in self.key_usage):
            yield "key_usage: keyCertSign belongs to CAs, to all of them and to nobody else."
        if self.path_length is not None and (not self.ca or self.path_length < 0):
            yield "path_length: a number from 0, and only where ca is true."
        known = {"rsa", "ec", *keys.KeyKind}
        if not self.key_kinds or self.key_kinds - known:
            yield f"key_kinds: one or more of {', '.join(sorted(known))}."

    def lasting(self, duration: int) -> Profile:
        """Certificates like these that last *duration* milliseconds, never beyond their issuer."""
        return replace(self, validity=replace(self.validity, end=None, duration=duration, cut_to_issuer=True))

    def subject_for(self, requested: x509.Name | None) -> x509.Name:
        """Raises InvalidRequest when neither the request nor the profile has a subject."""
        if requested is not None and self.keep_subject and list(requested):
            return requested
        if self.subject is None:
            raise InvalidRequest(f"Certificates of profile {self.name} need a subject.")
        return self.subject

    def allows_key(self, kind: str) -> bool:
        return kind in self.key_kinds or kind.partition("-")[0] in self.key_kinds

    def extension_oids(self) -> frozenset[str]:
        """Exactly the extensions that a certificate of this profile has."""
        always = {
            fields.AUTHORITY_KEY_IDENTIFIER,
            fields.SUBJECT_KEY_IDENTIFIER,
            fields.BASIC_CONSTRAINTS,
            fields.KEY_USAGE,
        }
        if self.extended_key_usage:
            always.add(fields.EXTENDED_KEY_USAGE)
        if self.alternative_names:
            always.add(fields.SUBJECT_ALTERNATIVE_NAME)
        return frozenset(always | self.status_extensions().keys())

    def status_extensions(self) -> dict[str, x509.ExtensionType]:
        """What says how the certificate's status is found out, by object identifier."""
        found: list[x509.ExtensionType] = []
        if self.crl_url:
            place = x509.DistributionPoint([_url(self.crl_url)], None, None, None)
            found.append(x509.CRLDistributionPoints([place]))
        if self.ocsp_url:
            access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, _url(self.ocsp_url))
            found.append(x509.AuthorityInformationAccess([access]))
        if self.ocsp_no_check:
            found.append(x509.OCSPNoCheck())
        return {each.oid.dotted_string: each for each in found}

    def with_status_at(self, crl_url: str, ocsp_url: str) -> Profile:
        """Certificates like these that say where their status is found out."""
        return replace(self, crl_url=crl_url, ocsp_url=ocsp_url)

    def fixed_extensions(self) -> list[tuple[x509.ExtensionType, bool]]:
        """Those that are the same in every certificate, with their criticality."""
        found: list[tuple[x509.ExtensionType, bool]] = [
            (x509.BasicConstraints(ca=self.ca, path_length=self.path_length), True),
            (_key_usage(self.key_usage), True),
        ]
        if self.extended_key_usage:
            found.append((x509.ExtendedKeyUsage(map(x509.ObjectIdentifier, self.extended_key_usage)), False))
        return found + [(each, False) for each in self.status_extensions().values()]


def _url(text: str) -> x509.GeneralName:
    return x509.UniformResourceIdentifier(text)


def _key_usage(names: frozenset[str]) -> x509.KeyUsage:
    bits = dict(zip(_KEY_USAGE_ARGUMENTS, (name in names for name in fields.KEY_USAGES), strict=True))
    return x509.KeyUsage(**bits)


_KEY_USAGE_ARGUMENTS: Final = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def common_name(value: str) -> x509.Name:
    """A subject of one CommonName. Raises InvalidRequest unless it has 1 to 64 octets."""
    try:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, value)])
    except ValueError as error:
        raise InvalidRequest(f"A common name has 1 to 64 octets; {value!r} does not.") from error


_CA_USAGE: Final = frozenset({"digitalSignature", "keyCertSign", "cRLSign"})

AWS_DEVICE: Final = Profile(
    name="aws-device",
    validity=Validity(end=END_OF_2049, cut_to_issuer=True),
    subject=common_name("AWS IoT Certificate"),
)
"""The fields of an AWS-issued device certificate, byte for byte but for the issuer."""

STRICT_DEVICE: Final = Profile(
    name="strict-device",
    validity=Validity(duration=365 * DAY),
    subject=common_name("Device"),
    extended_key_usage=(fields.CLIENT_AUTH,),
)

SERVER: Final = Profile(
    name="server",
    validity=Validity(duration=90 * DAY),
    extended_key_usage=(fields.SERVER_AUTH,),
    alternative_names=True,
)

ROOT_CA: Final = Profile(
    name="root-ca",
    validity=Validity(duration=35 * 365 * DAY),
    ca=True,
    key_usage=_CA_USAGE,
)
"""Outlasts 2049, so that a CA below it can end with the certificates of AWS_DEVICE."""

ISSUING_CA: Final = Profile(
    name="issuing-ca",
    validity=Validity(end=END_OF_2049, cut_to_issuer=True),
    ca=True,
    path_length=0,
    key_usage=_CA_USAGE,
)

OCSP_RESPONDER: Final = Profile(
    name="ocsp-responder",
    validity=Validity(duration=14 * DAY, cut_to_issuer=True),
    subject=common_name("OCSP responder"),
    extended_key_usage=(fields.OCSP_SIGNING,),
    ocsp_no_check=True,
)

PROFILES: Final[Mapping[str, Profile]] = {
    each.name: each for each in (AWS_DEVICE, STRICT_DEVICE, SERVER, ROOT_CA, ISSUING_CA, OCSP_RESPONDER)
}
