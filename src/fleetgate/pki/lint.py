"""What must be true of a certificate before anybody signs it: RFC 5280, the sane parts of the CA/Browser Forum's
Baseline Requirements, and the profile's own bounds. The signature itself is not looked at.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_der_public_key

from fleetgate.pki import der, fields, keys, moments, subject
from fleetgate.pki.fields import Fields
from fleetgate.pki.issuer import IssuerCertificate
from fleetgate.pki.profile import Profile


class Problem(NamedTuple):
    rule: str
    """A key of `FORM` or `CONTENT`, or `structure`."""
    message: str


@dataclass(frozen=True, slots=True)
class Case:
    """What a rule may look at."""

    fields: Fields
    issuer: IssuerCertificate
    profile: Profile
    expected: frozenset[str]
    """The profile's extensions."""
    now: int


_NO_NAME: Final = der.encode(der.SEQUENCE)

Rule = Callable[[Case], Iterator[str]]


def lint(certificate: x509.Certificate | bytes, issuer: IssuerCertificate, profile: Profile, now: int) -> list[Problem]:
    """Every problem of *certificate* (an object or its DER) as one that *issuer* is about to sign under *profile*.

    The rules of `FORM` come first; a certificate that breaks one of them is not looked at further.
    """
    encoded = certificate if isinstance(certificate, bytes) else certificate.public_bytes(Encoding.DER)
    try:
        case = Case(Fields.read(encoded), issuer, profile, profile.extension_oids(), now)
    except der.Malformed as error:
        return [Problem("structure", f"The certificate cannot be read: {error}.")]
    return _apply(FORM, case) or _apply(CONTENT, case)


def _apply(rules: Mapping[str, Rule], case: Case) -> list[Problem]:
    return [Problem(name, message) for name, rule in rules.items() for message in _messages(rule, case)]


def _messages(rule: Rule, case: Case) -> list[str]:
    try:
        return list(rule(case))
    except der.Malformed as error:
        return [f"It cannot be read: {error}."]


# --- form ------------------------------------------------------------------------------------------------------------


def _version(case: Case) -> Iterator[str]:
    """RFC 5280 section 4.1.2.1: extensions need version 3."""
    if case.fields.version != 2:
        yield f"The version is {case.fields.version + 1}, not 3."


def _serial(case: Case) -> Iterator[str]:
    """RFC 5280 section 4.1.2.2; Baseline Requirements 7.1 for the 64 bits."""
    octets = case.fields.serial
    value = int.from_bytes(octets, "big", signed=True)
    if value <= 0:
        yield "The serial number is not positive."
    elif len(octets) > 20:
        yield f"The serial number has {len(octets)} octets; at most 20 are allowed."
    elif value.bit_length() < 64:
        yield f"The serial number has {value.bit_length()} bits; fewer than 64 can be guessed."


def _signature_algorithm(case: Case) -> Iterator[str]:
    """RFC 5280 section 4.1.1.2: the same inside and outside, and here the issuer's own."""
    if case.fields.inner_algorithm != case.fields.outer_algorithm:
        yield "The signature algorithms inside and outside of the signed part differ."
    elif case.fields.inner_algorithm != case.issuer.algorithm.identifier:
        algorithm = case.issuer.algorithm
        yield f"The signature algorithm is not {algorithm.scheme} with {algorithm.hash_name}, as the issuer signs."


def _time_form(case: Case) -> Iterator[str]:
    """RFC 5280 section 4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050."""
    for time in (case.fields.not_before, case.fields.not_after):
        year = moments.to_datetime(moments.read(time)).year
        if (time.tag == der.UTC_TIME) != (1950 <= year < 2050):
            yield f"The year {year} is written in the wrong form of time."


def _unique_identifier(case: Case) -> Iterator[str]:
    """RFC 5280 section 4.1.2.8: must not be made."""
    if case.fields.unique_identifiers:
        yield "The certificate has a unique identifier besides its names."


def _duplicate_extension(case: Case) -> Iterator[str]:
    """RFC 5280 section 4.2."""
    for oid, count in Counter(each.oid for each in case.fields.extensions).items():
        if count > 1:
            yield f"The extension {oid} occurs {count} times."


# --- content: the issuer ---------------------------------------------------------------------------------------------


def _issuer_name(case: Case) -> Iterator[str]:
    """RFC 5280 section 4.1.2.4: byte for byte, because verifiers compare bytes."""
    if case.fields.issuer != case.issuer.subject:
        yield "The issuer's name is not, byte for byte, the subject of the issuer's certificate."


def _issuer_path(case: Case) -> Iterator[str]:
    """RFC 5280 section 4.2.1.9."""
    allowed = case.issuer.path_length
    constraints = case.fields.basic_constraints()
    if allowed is None or constraints is None or not constraints.ca:
        return
    if allowed == 0:
        yield "The issuer may issue no CA certificates: its path length is 0."
    elif constraints.path_length is None or constraints.path_length >= allowed:
        yield f"The path length must be below the issuer's, which is {allowed}."


def _issuer_validity(case: Case) -> Iterator[str]:
    if case.fields.starts < case.issuer.starts // 1000 * 1000:
        yield f"The certificate starts before its issuer does ({moments.text_of(case.issuer.starts)})."
    if case.fields.ends > case.issuer.ends:
        yield f"The certificate outlasts its issuer, which ends {moments.text_of(case.issuer.ends)}."


def _authority_key_identifier(case: Case) -> Iterator[str]:
    """RFC 5280 section 4.2.1.1."""
    authority = case.fields.authority_key()
    if authority is None:
        yield "The authority key identifier is missing."
    elif authority.key_identifier != case.issuer.key_identifier:
        yield "The authority key identifier is not the issuer's subject key identifier."
    elif authority.names_issuer:
        yield "The authority key identifier carries more than the key's identifier."


# --- content: validity -----------------------------------------------------------------------------------------------


def _validity_order(case: Case) -> Iterator[str]:
    if case.fields.starts >= case.fields.ends:
        yield "The certificate ends before it starts."


def _validity_now(case: Case) -> Iterator[str]:
    if not case.fields.in_force(case.now):
        yield f"The certificate is not in force at {moments.text_of(case.now)}."


def _validity_period(case: Case) -> Iterator[str]:
    """The profile's bounds."""
    validity = case.profile.validity
    if case.fields.starts < validity.earliest_start(case.now) // 1000 * 1000:
        yield f"The certificate starts earlier than profile {case.profile.name} allows."
    if case.fields.ends > validity.latest_end(case.now):
        yield f"The certificate ends later than profile {case.profile.name} allows."


# --- content: the subject and its key --------------------------------------------------------------------------------


def _subject(case: Case) -> Iterator[str]:
    """RFC 5280 section 4.1.2.6 and appendix A."""
    yield from subject.problems(case.fields.subject)
    if case.fields.subject == _NO_NAME and case.fields.extension(fields.SUBJECT_ALTERNATIVE_NAME) is None:
        yield "The subject is empty and there are no alternative names."


def _public_key(case: Case) -> Iterator[str]:
    try:
        key = load_der_public_key(case.fields.public_key)
    except keys.UNREADABLE as error:
        yield f"The public key cannot be read: {error}."
        return
    problems = keys.key_problems(key)
    yield from problems
    if not problems and not case.profile.allows_key(keys.kind_of(key)):
        allowed = ", ".join(sorted(case.profile.key_kinds))
        yield f"The key is {keys.kind_of(key)}; profile {case.profile.name} allows {allowed}."


def _subject_key_identifier(case: Case) -> Iterator[str]:
    """RFC 5280 section 4.2.1.2."""
    found = case.fields.subject_key_identifier()
    if found is None:
        yield "The subject key identifier is missing."
    elif found != keys.key_identifier(case.fields.public_key):
        yield "The subject key identifier is not the SHA-1 of the public key."


# --- content: extensions ---------------------------------------------------------------------------------------------


def _basic_constraints(case: Case) -> Iterator[str]:
    """RFC 5280 section 4.2.1.9."""
    found, profile = case.fields.basic_constraints(), case.profile
    if found is None:
        yield "The basic constraints are missing."
    elif found != (profile.ca, profile.path_length):
        yield f"The basic constraints are not CA:{profile.ca}, path length {profile.path_length}."


def _key_usage(case: Case) -> Iterator[str]:
    """RFC 5280 section 4.2.1.3."""
    found = case.fields.key_usage()
    if found is None:
        yield "The key usage is missing."
    elif found != case.profile.key_usage:
        yield f"The key usage is {sorted(found)}; profile {case.profile.name} has {sorted(case.profile.key_usage)}."


def _extended_key_usage(case: Case) -> Iterator[str]:
    """RFC 5280 section 4.2.1.12."""
    wanted = frozenset(case.profile.extended_key_usage)
    if wanted and case.fields.extended_key_usage() != wanted:
        yield f"The extended key usage is not {sorted(wanted)}."


def _status_extensions(case: Case) -> Iterator[str]:
    """RFC 5280 sections 4.2.1.13 and 4.2.2.1, RFC 6960 section 4.2.2.2.1: exactly the profile's addresses."""
    for oid, wanted in case.profile.status_extensions().items():
        found = case.fields.extension(oid)
        if found is None or found.value != wanted.public_bytes():
            yield f"The extension {oid} is missing or is not the profile's."


def _criticality(case: Case) -> Iterator[str]:
    """Which extensions a verifier may ignore is not up to the issuer."""
    critical = {fields.BASIC_CONSTRAINTS, fields.KEY_USAGE}
    if case.fields.subject == _NO_NAME:
        critical.add(fields.SUBJECT_ALTERNATIVE_NAME)
    for each in case.fields.extensions:
        if each.oid in case.expected and each.critical != (each.oid in critical):
            yield f"The extension {each.oid} must {'' if each.oid in critical else 'not '}be critical."


def _unknown_critical_extension(case: Case) -> Iterator[str]:
    """Every verifier must refuse such a certificate (RFC 5280 section 4.2)."""
    for each in case.fields.extensions:
        if each.critical and each.oid not in _KNOWN:
            yield f"The extension {each.oid} is critical and unknown."


def _unexpected_extension(case: Case) -> Iterator[str]:
    for each in case.fields.extensions:
        if each.oid not in case.expected and (each.oid in _KNOWN or not each.critical):
            yield f"The extension {each.oid} does not belong into profile {case.profile.name}."


_KNOWN: Final = frozenset(
    {
        fields.AUTHORITY_KEY_IDENTIFIER,
        fields.SUBJECT_KEY_IDENTIFIER,
        fields.BASIC_CONSTRAINTS,
        fields.KEY_USAGE,
        fields.EXTENDED_KEY_USAGE,
        fields.SUBJECT_ALTERNATIVE_NAME,
        fields.ISSUER_ALTERNATIVE_NAME,
        fields.CERTIFICATE_POLICIES,
    }
)

_DNS_LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE)


def _alternative_names(case: Case) -> Iterator[str]:
    """Baseline Requirements 7.1.2.7.12: DNS names in their preferred syntax and addresses, at least one."""
    if not case.profile.alternative_names:
        return
    extension = case.fields.extension(fields.SUBJECT_ALTERNATIVE_NAME)
    if extension is None:
        yield "The subject alternative names are missing."
        return
    found = subject.alternative_names(extension.value)
    if not found or found.keys() - {"DNSName", "IPAddress"}:
        yield "The subject alternative names must be DNS names and addresses."
    for name in found.get("DNSName", ()):
        if not is_dns_name(name):
            yield f"{name!r} is no DNS name."


def is_dns_name(text: str) -> bool:
    """Letters, digits, hyphens (and the underscores of container networks); a wildcard only as the first label."""
    labels = text.removeprefix("*.").split(".")
    return len(text) <= 253 and all(map(_DNS_LABEL.fullmatch, labels)) and not _is_address(text)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _common_name_listed(case: Case) -> Iterator[str]:
    """Baseline Requirements 7.1.4.3: a server's common name is one of its alternative names."""
    extension = case.fields.extension(fields.SUBJECT_ALTERNATIVE_NAME)
    if not case.profile.alternative_names or extension is None:
        return
    listed = {name for names in subject.alternative_names(extension.value).values() for name in names}
    for name in subject.attributes(case.fields.subject).get("CommonName", ()):
        if name not in listed:
            yield f"The common name {name!r} is not among the alternative names."


FORM: Final[dict[str, Rule]] = {
    "version": _version,
    "serial": _serial,
    "signature-algorithm": _signature_algorithm,
    "time-form": _time_form,
    "unique-identifier": _unique_identifier,
    "duplicate-extension": _duplicate_extension,
}
"""How it is written."""

CONTENT: Final[dict[str, Rule]] = {
    "issuer-name": _issuer_name,
    "issuer-path": _issuer_path,
    "issuer-validity": _issuer_validity,
    "authority-key-identifier": _authority_key_identifier,
    "validity-order": _validity_order,
    "validity-now": _validity_now,
    "validity-period": _validity_period,
    "subject": _subject,
    "public-key": _public_key,
    "subject-key-identifier": _subject_key_identifier,
    "basic-constraints": _basic_constraints,
    "key-usage": _key_usage,
    "extended-key-usage": _extended_key_usage,
    "status-extensions": _status_extensions,
    "criticality": _criticality,
    "unknown-critical-extension": _unknown_critical_extension,
    "unexpected-extension": _unexpected_extension,
    "alternative-names": _alternative_names,
    "common-name-listed": _common_name_listed,
}
"""What it says."""
