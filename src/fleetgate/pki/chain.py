"""Chains: who issued whom, paths up to a root, certificates presented as authorities (RFC 5280 section 6)."""

from __future__ import annotations

import hmac
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from cryptography import x509

from fleetgate.errors import CertificateInvalid, RegistrationCodeInvalid, all_of
from fleetgate.pki import certificate as certificates
from fleetgate.pki import fields, keys, moments, subject
from fleetgate.pki.der import Malformed
from fleetgate.pki.fields import Fields
from fleetgate.pki.issuer import authority_problems, examine, key_of

MOST: Final = 10
"""Certificates in a bundle, and links of a path."""

# What verification here acts on; a critical extension beyond these makes a certificate unusable. Certificate policies
# count because every policy is accepted (RFC 5280 section 6.1.1, the user-initial-policy-set any-policy).
_PROCESSED: Final = frozenset(
    {
        fields.AUTHORITY_KEY_IDENTIFIER,
        fields.SUBJECT_KEY_IDENTIFIER,
        fields.BASIC_CONSTRAINTS,
        fields.KEY_USAGE,
        fields.EXTENDED_KEY_USAGE,
        fields.SUBJECT_ALTERNATIVE_NAME,
        fields.CERTIFICATE_POLICIES,
    }
)


def parse_bundle(text: str) -> tuple[x509.Certificate, ...]:
    """The certificates of a PEM bundle in order, one to ten. Raises CertificateInvalid."""
    found = certificates.load_all(text, MOST)
    if len(found) > MOST:
        raise CertificateInvalid(f"The bundle holds {len(found)} certificates; at most {MOST} are allowed.")
    return found


def issued_by(leaf: x509.Certificate, ca: x509.Certificate) -> bool:
    """Whether *ca* is an authority and signed *leaf*. Times are not looked at."""
    return not issuance_problems(leaf, ca)


def issuance_problems(leaf: x509.Certificate, ca: x509.Certificate) -> list[str]:
    """Why *leaf* does not pass as issued by *ca*; the signature is checked only when all else fits."""
    try:
        below, above = examine(leaf), examine(ca)
        problems = [*_naming_problems(below, above), *authority_problems(ca, above)]
        if not problems and not _is_signed(leaf, below, key_of(ca)):
            problems.append("Its signature was not made with the issuer's key, or over a hash other than SHA-2.")
    except (CertificateInvalid, Malformed) as error:
        return [str(error)]
    return problems


def _naming_problems(below: Fields, above: Fields) -> Iterator[str]:
    if not subject.same(below.issuer, above.subject):
        yield "Its issuer is not the subject of the other."
    authority, identifier = below.authority_key(), above.subject_key_identifier()
    if authority and authority.key_identifier and identifier and authority.key_identifier != identifier:
        yield "Its authority key identifier is not the other's subject key identifier."


def _is_signed(leaf: x509.Certificate, parts: Fields, key: keys.PublicKey) -> bool:
    if parts.inner_algorithm != parts.outer_algorithm:
        return False
    try:
        over, how = leaf.signature_hash_algorithm, leaf.signature_algorithm_parameters
    except keys.UNREADABLE:
        return False
    if over is None or over.name not in keys.STRONG_HASHES:
        return False
    return keys.verifies(key, parts.signature, parts.tbs, how, over)


def find_issuer(leaf: x509.Certificate, candidates: Iterable[x509.Certificate]) -> x509.Certificate | None:
    """The first of *candidates* that issued *leaf* directly."""
    return next((ca for ca in candidates if issued_by(leaf, ca)), None)


def verify_path(
    leaf: x509.Certificate,
    intermediates: Sequence[x509.Certificate],
    root: x509.Certificate,
    now: int,
    purpose: str | None = None,
) -> tuple[x509.Certificate, ...]:
    """The path from *leaf* to *root*, both included, in force at *now* (milliseconds UTC).

    *root* is trusted as it stands, self-signed or not. *purpose* is an extended key usage that every certificate which
    names any must allow. Revocation is not looked at. Raises CertificateInvalid with the reasons.
    """
    if len(intermediates) > MOST:
        raise CertificateInvalid(f"There are {len(intermediates)} intermediate certificates; at most {MOST} may be.")
    # An expired link is no reason to miss another path; where there is no other, it is the reason to tell.
    current = [each for each in intermediates if examine(each).in_force(now)]
    path = _shortest_path(leaf, current, root) or _shortest_path(leaf, intermediates, root)
    if path is None:
        raise CertificateInvalid(f"No path leads to the root: {all_of(_reasons(leaf, intermediates, root))}")
    problems = [problem for depth, each in enumerate(path) for problem in _link_problems(each, depth, now, purpose)]
    if problems:
        raise CertificateInvalid(f"The certificate chain is refused: {all_of(problems)}")
    return path


def _shortest_path(
    leaf: x509.Certificate, intermediates: Sequence[x509.Certificate], root: x509.Certificate
) -> tuple[x509.Certificate, ...] | None:
    """Breadth first, each intermediate once, so that crossed signatures neither mislead nor multiply the work."""
    paths: deque[tuple[x509.Certificate, ...]] = deque([(leaf,)])
    left = list(intermediates)
    while paths:
        path = paths.popleft()
        if path[-1] == root:
            return path
        if issued_by(path[-1], root):
            return (*path, root)
        parents = [each for each in left if issued_by(path[-1], each)]
        left = [each for each in left if each not in parents]
        paths += [(*path, parent) for parent in parents]
    return None


def _reasons(leaf: x509.Certificate, intermediates: Sequence[x509.Certificate], root: x509.Certificate) -> list[str]:
    if intermediates:
        return ["No given certificate issued the last one that could be reached."]
    return issuance_problems(leaf, root)


def _link_problems(link: x509.Certificate, depth: int, now: int, purpose: str | None) -> list[str]:
    """*depth* 0 is the leaf; a CA at depth n has n - 1 CAs below it, self-issued ones included."""
    called = "The device's certificate" if depth == 0 else f"CA certificate {depth} above it"
    try:
        return [f"{called} {problem}" for problem in _problems_at(examine(link), depth, now, purpose)]
    except Malformed as error:
        return [f"{called} cannot be read: {error}."]


def _problems_at(parts: Fields, depth: int, now: int, purpose: str | None) -> Iterator[str]:
    if not parts.in_force(now):
        yield f"is in force from {moments.text_of(parts.starts)} to {moments.text_of(parts.ends)}."
    for each in parts.extensions:
        if each.critical and each.oid not in _PROCESSED:
            yield f"has a critical extension that is not understood here: {each.oid}."
    constraints = parts.basic_constraints()
    if depth and constraints and constraints.path_length is not None and depth - 1 > constraints.path_length:
        yield f"allows {constraints.path_length} CAs below it, and there are {depth - 1}."
    purposes = parts.extended_key_usage()
    if purpose and purposes is not None and not purposes & {purpose, fields.ANY_PURPOSE}:
        yield f"does not allow the purpose {purpose}."


# --- certificates presented as authorities ---------------------------------------------------------------------------


def check_authority(ca: x509.Certificate, now: int) -> None:
    """Raises CertificateInvalid, with every reason, unless *ca* may be registered: a CA with a strong key, in force."""
    parts = examine(ca)
    problems = authority_problems(ca, parts)
    if not parts.in_force(now):
        problems.append(
            f"It is in force from {moments.text_of(parts.starts)} to {moments.text_of(parts.ends)}, so not now."
        )
    if problems:
        raise CertificateInvalid(f"The CA certificate is refused: {all_of(problems)}")


def check_verification(verification: x509.Certificate, ca: x509.Certificate, registration_code: str, now: int) -> None:
    """Proof that whoever registers *ca* holds its key (RegisterCACertificate, mode DEFAULT): a certificate that *ca*
    issued to the common name *registration_code*.

    Raises CertificateInvalid unless *ca* issued it and it is in force, RegistrationCodeInvalid at another common name.
    """
    problems = issuance_problems(verification, ca)
    parts = examine(verification)
    if not parts.in_force(now):
        problems.append(f"It is in force from {moments.text_of(parts.starts)} to {moments.text_of(parts.ends)}.")
    if problems:
        raise CertificateInvalid(f"The verification certificate is refused: {all_of(problems)}")
    names = certificates.attributes(verification)[0].get("CommonName", [])
    if len(names) != 1 or not hmac.compare_digest(names[0].encode(), registration_code.encode()):
        raise RegistrationCodeInvalid(
            "The common name of the verification certificate is not the registration code of this account; "
            "ask for it with GetRegistrationCode."
        )
