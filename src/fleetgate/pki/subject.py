"""Names inside certificates: distinguished names (RFC 5280 section 4.1.2.4) and alternative names (section 4.2.1.6).

Read from the encoded bytes and not through `x509.Name`, which warns, raises several kinds of exception, or stays silent
about a NUL, depending on what a stranger wrote into a certificate.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator
from typing import Final, NamedTuple

from fleetgate.pki import der

COMMON_NAME: Final = "2.5.4.3"
COUNTRY: Final = "2.5.4.6"

NAMES: Final[dict[str, str]] = {
    COMMON_NAME: "CommonName",
    "2.5.4.4": "Surname",
    "2.5.4.5": "SerialNumber",
    COUNTRY: "Country",
    "2.5.4.7": "Locality",
    "2.5.4.8": "State",
    "2.5.4.10": "Organization",
    "2.5.4.11": "OrganizationalUnit",
    "2.5.4.12": "Title",
    "2.5.4.42": "GivenName",
    "2.5.4.43": "Initials",
    "2.5.4.44": "GenerationQualifier",
    "2.5.4.46": "DistinguishedNameQualifier",
    "2.5.4.65": "Pseudonym",
    "1.2.840.113549.1.9.1": "EmailAddress",
    "0.9.2342.19200300.100.1.25": "DomainComponent",
}
"""Attribute types by the names that AWS IoT policy variables use, and by their X.520 names where AWS has none."""

# RFC 5280 appendix A, the ub- constants
_LONGEST: Final[dict[str, int]] = {
    COMMON_NAME: 64,
    "2.5.4.5": 64,
    "2.5.4.7": 128,
    "2.5.4.8": 128,
    "2.5.4.10": 64,
    "2.5.4.11": 64,
    "2.5.4.12": 64,
    "2.5.4.65": 128,
    "1.2.840.113549.1.9.1": 255,
}
_LONGEST_OTHER: Final = 32_768

_CHARACTERS: Final[dict[int, str]] = {
    0x0C: "utf-8",
    0x12: "ascii",
    0x13: "ascii",
    0x14: "latin-1",  # TeletexString, as every implementation reads it
    0x16: "ascii",
    0x1A: "ascii",
    0x1C: "utf-32-be",
    0x1E: "utf-16-be",
}


class Attribute(NamedTuple):
    oid: str
    value: str


def read(name: bytes) -> list[Attribute]:
    """The attributes of an encoded Name, in order. Raises der.Malformed."""
    found = []
    for rdn in der.children(name, der.SEQUENCE):
        if rdn.tag != der.SET or not rdn.body:
            raise der.Malformed("a relative distinguished name that is no set, or an empty one")
        found += [_attribute(pair) for pair in der.elements(rdn.body)]
    return found


def _attribute(pair: der.Element) -> Attribute:
    parts = der.elements(pair.body)
    if pair.tag != der.SEQUENCE or len(parts) != 2 or parts[0].tag != der.OBJECT_IDENTIFIER:
        raise der.Malformed("a name attribute that is no pair of type and value")
    return Attribute(der.dotted(parts[0].body), _text(parts[1]))


def _text(value: der.Element) -> str:
    if value.tag == der.BIT_STRING:  # x500UniqueIdentifier
        return value.body[1:].hex()
    encoding = _CHARACTERS.get(value.tag)
    if encoding is None:
        raise der.Malformed(f"a name attribute of type 0x{value.tag:02x}, which is no string")
    try:
        return value.body.decode(encoding)
    except UnicodeDecodeError as error:
        raise der.Malformed(f"a name attribute that is not {encoding}") from error


def attributes(name: bytes) -> dict[str, list[str]]:
    """Attribute values by their AWS name (`CommonName`, `State` ...), each in order of appearance; types without a name
    are left out. Raises der.Malformed.
    """
    found: dict[str, list[str]] = {}
    for oid, value in read(name):
        if oid in NAMES:
            found.setdefault(NAMES[oid], []).append(value)
    return found


def unprintable(name: bytes) -> list[str]:
    """Problems with control and invisible characters (NUL, line breaks, direction marks). Raises der.Malformed."""
    return [
        f"{NAMES.get(oid, oid)} {value!r} contains control or invisible characters."
        for oid, value in read(name)
        if not value.isprintable()
    ]


def problems(name: bytes) -> list[str]:
    """Everything RFC 5280 has against an encoded Name: characters, lengths, the form of a country."""
    try:
        return unprintable(name) + [problem for attribute in read(name) for problem in _length_problems(attribute)]
    except der.Malformed as error:
        return [f"The name cannot be read: {error}."]


def _length_problems(attribute: Attribute) -> Iterator[str]:
    oid, value = attribute
    called = NAMES.get(oid, oid)
    longest = _LONGEST.get(oid, _LONGEST_OTHER)
    # Clients disagree whether the 64 of a common name are characters or octets; the smaller reading suits both.
    size = len(value.encode("utf-8", "surrogatepass")) if oid == COMMON_NAME else len(value)
    if not value:
        yield f"{called} is empty."
    elif oid == COUNTRY and not (len(value) == 2 and value.isascii() and value.isalpha() and value.isupper()):
        yield f"{called} {value!r} is no two-letter ISO 3166 code."
    elif size > longest:
        yield f"{called} is {size} long; at most {longest} are allowed."


def is_beyond_objects(attribute: Attribute) -> bool:
    """Whether `x509.NameAttribute` cannot hold it (other than by warning)."""
    limits = {COMMON_NAME: (1, 64), COUNTRY: (2, 2)}.get(attribute.oid)
    return limits is not None and not limits[0] <= len(attribute.value.encode("utf-8", "surrogatepass")) <= limits[1]


def same(one: bytes, other: bytes) -> bool:
    """Whether two encoded Names match: equal bytes, or equal but for letter case, spacing and string type (RFC 5280
    section 7.1). Names that cannot be read match nothing but themselves.
    """
    if one == other:
        return True
    try:
        return _folded(one) == _folded(other)
    except der.Malformed:
        return False


def canonical(name: bytes) -> str:
    """A text that two Names share exactly when they are `same`: to look one up by. Raises der.Malformed."""
    return json.dumps(_folded(name), separators=(",", ":"))


def _folded(name: bytes) -> list[list[tuple[str, str]]]:
    return [
        sorted((oid, " ".join(value.casefold().split())) for oid, value in map(_attribute, der.elements(rdn.body)))
        for rdn in der.children(name, der.SEQUENCE)
    ]


def alternative_names(value: bytes) -> dict[str, list[str]]:
    """An encoded GeneralNames by AWS's names: RFC822Name, DNSName, DirectoryName, UniformResourceIdentifier, IPAddress.

    Other kinds are left out. Raises der.Malformed.
    """
    found: dict[str, list[str]] = {}
    for each in der.children(value, der.SEQUENCE):
        if each.tag in _GENERAL_NAMES:
            found.setdefault(_GENERAL_NAMES[each.tag], []).append(_general_name(each))
    return found


_GENERAL_NAMES: Final[dict[int, str]] = {
    der.context(1, constructed=False): "RFC822Name",
    der.context(2, constructed=False): "DNSName",
    der.context(4): "DirectoryName",
    der.context(6, constructed=False): "UniformResourceIdentifier",
    der.context(7, constructed=False): "IPAddress",
}


def _general_name(name: der.Element) -> str:
    kind = _GENERAL_NAMES[name.tag]
    try:
        if kind == "IPAddress":
            return str(ipaddress.ip_address(name.body))
        if kind == "DirectoryName":
            return ",".join(f"{NAMES.get(oid, oid)}={value}" for oid, value in read(name.body))
        return name.body.decode("ascii")
    except ValueError as error:
        raise der.Malformed(f"an alternative name {kind} that cannot be read") from error
