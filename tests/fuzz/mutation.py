"""Seeded damage: bytes that are nearly right, and values that are nearly what was asked for."""

from __future__ import annotations

import copy
from random import Random
from typing import Any

DEEP: Any = "bottom"
for _ in range(60):
    DEEP = [DEEP]

STRANGE: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2**63,
    2**64 - 1,
    1.5,
    1e308,
    "",
    " ",
    "*",
    "${",
    "${iot:ClientId}",
    "../../etc/passwd",
    "a\0b",
    "\u202e\u0301\U0001f986",
    "arn:aws:iot:us-east-1:123456789012:cert/0",
    "a" * 5_000,
    [],
    {},
    [None, {}],
    {"Ref": "SerialNumber"},
    {"Fn::Join": ["", DEEP]},
    DEEP,
)
_INTERESTING = (b"\x00", b"\xff", b"\x7f", b"\x80", b"\xff\xff\xff\x7f", b"$aws/", b"{}", b"\r\n", b"#", b"\xed\xa0")


def damaged(data: bytes, random: Random) -> bytes:
    """*data* with one to four bytes or pieces changed, left out, put in, doubled or cut off."""
    found = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        at = random.randrange(len(found) + 1)
        end = min(len(found), at + random.choice((1, 2, 4, 16, 200)))
        match random.randrange(6):
            case 0:
                found[at:end] = bytes(byte ^ (1 << random.randrange(8)) for byte in found[at:end])
            case 1:
                del found[at:end]
            case 2:
                found[at:at] = random.randbytes(random.choice((1, 2, 8, 64)))
            case 3:
                found[at:at] = found[at:end]
            case 4:
                found[at:end] = random.choice(_INTERESTING)
            case _:
                del found[at:]
    return bytes(found)


def strange(value: Any, random: Random) -> Any:
    """*value* with something in it replaced, left out or put in."""
    found = copy.deepcopy(value)
    spots = list(_spots(found))
    if not spots or random.random() < 0.05:
        return random.choice(STRANGE)
    holder, key = random.choice(spots)
    match random.randrange(4):
        case 0 if isinstance(holder, dict):
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[random.choice(("", "Extra", "a" * 300, "Ref", key.swapcase()))] = random.choice(STRANGE)
        case 2 if isinstance(holder[key], str):
            holder[key] = damaged(holder[key].encode(), random).decode("utf-8", "replace")
        case _:
            holder[key] = random.choice(STRANGE)
    return found


def _spots(value: Any) -> Any:
    """Every place in *value*: a dict or list, and a key or index of it."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in list(inside):
        yield value, key
        yield from _spots(each)
