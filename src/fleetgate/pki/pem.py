"""Textual encodings of binary structures (RFC 7468): the blocks in a text, with whatever stands around them ignored."""

from __future__ import annotations

import binascii
import re
from typing import Final, NamedTuple

_EDGE: Final = re.compile(r"-----(BEGIN|END) ([A-Z0-9 ]{1,64})-----")
_LINES: Final = re.compile(r"\r\n|\n|\r")


class Block(NamedTuple):
    label: str
    """`CERTIFICATE`, `CERTIFICATE REQUEST` ..."""
    der: bytes


def blocks(text: str) -> list[Block]:
    """Every block of *text* in order; text outside of blocks is ignored, as OpenSSL does.

    Raises ValueError, worded to follow "The PEM text ", when a block is broken.
    """
    found: list[Block] = []
    label: str | None = None
    lines: list[str] = []
    for line in map(str.strip, _LINES.split(text)):
        edge = _EDGE.fullmatch(line) if line.startswith("-----") else None
        if edge is None:
            lines.append(line)
        elif edge[1] == "BEGIN":
            if label is not None:
                raise ValueError(f"begins a new block before the end of {label}.")
            label, lines = edge[2], []
        elif label is None or label != edge[2]:
            raise ValueError(f"ends a {edge[2]} block that did not begin.")
        else:
            found.append(Block(label, _decode(label, lines)))
            label = None
    if label is not None:
        raise ValueError(f"breaks off inside {label}: the END line is missing.")
    if not found:
        raise ValueError(_why_empty(text))
    return found


def _decode(label: str, lines: list[str]) -> bytes:
    try:
        der = binascii.a2b_base64("".join(lines), strict_mode=True)
    except ValueError as error:
        raise ValueError(f"holds something other than base64 inside {label}.") from error
    if not der:
        raise ValueError(f"holds an empty {label} block.")
    return der


def _why_empty(text: str) -> str:
    if "\\n" in text:
        return "has the two characters \\n where line breaks should be; send real line breaks."
    if "-----BEGIN " in text:
        return "does not have its BEGIN and END lines on lines of their own."
    return "holds no -----BEGIN ...----- line."


def text_of(label: str, der: bytes) -> str:
    """One block with lines of 64 characters, ending in a line break."""
    body = binascii.b2a_base64(der, newline=False).decode("ascii")
    lines = [body[at : at + 64] for at in range(0, len(body), 64)]
    return "\n".join((f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""))
