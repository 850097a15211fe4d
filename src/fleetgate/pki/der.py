"""Distinguished encoding (X.690), read and written just far enough to see the exact bytes that a parser hides.

Certificates are parsed by `cryptography`; these few functions serve the questions that its objects cannot answer: are
two names the same bytes, in which form was a time written, does an extension occur twice.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

BOOLEAN: Final = 0x01
INTEGER: Final = 0x02
BIT_STRING: Final = 0x03
OCTET_STRING: Final = 0x04
OBJECT_IDENTIFIER: Final = 0x06
SEQUENCE: Final = 0x30
SET: Final = 0x31
UTC_TIME: Final = 0x17
GENERALIZED_TIME: Final = 0x18


class Malformed(ValueError):
    """Not the DER that was expected; the text says what was found."""


class Element(NamedTuple):
    tag: int
    body: bytes
    raw: bytes
    """Tag, length and body together."""


def context(number: int, *, constructed: bool = True) -> int:
    """The tag of `[number]`, constructed or primitive."""
    return 0x80 | (0x20 if constructed else 0) | number


def elements(data: bytes) -> list[Element]:
    """Every element of *data*, which must end with the last of them. Raises Malformed."""
    found = []
    start = 0
    while start < len(data):
        body, end = _bounds(data, start)
        found.append(Element(data[start], data[body:end], data[start:end]))
        start = end
    return found


def _bounds(data: bytes, start: int) -> tuple[int, int]:
    """Where the body of the element at *start* begins and ends."""
    if data[start] & 0x1F == 0x1F:
        raise Malformed("a tag of more than one octet")
    if start + 1 >= len(data):
        raise Malformed("an element without a length")
    length, body = data[start + 1], start + 2
    if length & 0x80:
        octets = length & 0x7F
        length, body = int.from_bytes(data[body : body + octets], "big"), body + octets
        if octets == 0 or octets > 4 or length < 0x80 or length >> (8 * (octets - 1)) == 0:
            raise Malformed("a length that is cut off or not in its shortest form")
    if body + length > len(data):
        raise Malformed("an element that is longer than its surroundings")
    return body, body + length


def only(data: bytes, tag: int) -> Element:
    """The one element that *data* consists of, which must carry *tag*. Raises Malformed."""
    found = elements(data)
    if len(found) != 1 or found[0].tag != tag:
        raise Malformed(f"expected one element with tag 0x{tag:02x}, found {[f'0x{each.tag:02x}' for each in found]}")
    return found[0]


def children(data: bytes, tag: int) -> list[Element]:
    """What stands inside the one element with *tag* that *data* consists of. Raises Malformed."""
    return elements(only(data, tag).body)


def encode(tag: int, *bodies: bytes) -> bytes:
    """One element around the joined *bodies*."""
    body = b"".join(bodies)
    size = len(body)
    if size < 0x80:
        return bytes((tag, size)) + body
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + body


@lru_cache(maxsize=256)  # a handful make up every certificate
def dotted(body: bytes) -> str:
    """An OBJECT IDENTIFIER's contents, at most 64 octets, as text: `2.5.4.3`. Raises Malformed."""
    if len(body) > 64:
        raise Malformed("an object identifier of more than 64 octets")
    if not body or body[-1] & 0x80:
        raise Malformed("an object identifier that ends in the middle")
    arcs, value = [], 0
    for octet in body:
        value = value << 7 | octet & 0x7F
        if not octet & 0x80:
            arcs.append(value)
            value = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))


def bits(body: bytes) -> bytes:
    """A BIT STRING's whole octets; one with unused bits is refused. Raises Malformed."""
    if not body or body[0] != 0:
        raise Malformed("a bit string that does not end on an octet")
    return body[1:]
