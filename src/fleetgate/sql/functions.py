"""The functions of AWS IoT SQL that look at nothing but their arguments, and how many each function takes.

Each is called with evaluated arguments and gives a value; what makes no sense is Undefined. Nothing here raises.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from fleetgate.sql.values import LONGEST, UNDEFINED, boolean, bounded, is_number, number, text

MOST_ELEMENTS: Final = 10_000
"""Of an array that a function makes."""
_Function = Callable[..., Any]


def numeric(work: Callable[..., float]) -> _Function:
    """*work* on arguments that are numbers all."""

    def call(*given: Any) -> Any:
        numbers = [number(each) for each in given]
        if any(each is UNDEFINED for each in numbers):
            return UNDEFINED
        try:
            return bounded(work(*numbers))
        except (ArithmeticError, ValueError):
            return UNDEFINED

    return call


def _textual(work: Callable[..., Any]) -> _Function:
    """*work* on arguments that are strings all."""

    def call(*given: Any) -> Any:
        strings = [text(each) for each in given]
        return UNDEFINED if any(each is UNDEFINED for each in strings) else work(*strings)

    return call


def _power(base: float, exponent: float) -> float:
    found = math.pow(base, exponent)
    whole = isinstance(base, int) and isinstance(exponent, int) and exponent >= 0 and abs(found) < 2**53
    return int(found) if whole else found


def remainder(left: float, right: float) -> float:
    """The sign is the dividend's."""
    if isinstance(left, int) and isinstance(right, int):
        return abs(left) % abs(right) * (-1 if left < 0 else 1)
    return math.fmod(left, right)


def quotient(left: Any, right: Any) -> Any:
    """Of two whole numbers it is whole, cut off towards zero."""
    if isinstance(left, int) and isinstance(right, int):
        whole = abs(left) // abs(right)
        return whole if (left < 0) == (right < 0) else -whole
    return left / right


def _rounded(value: float) -> int:
    return math.floor(value + 0.5)


def _cut(value: float, places: float) -> float:
    scale: float = 10.0 ** max(0, min(int(places), 34))
    return math.trunc(value * scale) / scale


def concat(*given: Any) -> Any:
    """Strings to a string, arrays (with whatever else) to an array."""
    if any(isinstance(each, list) for each in given):
        joined = [item for each in given for item in (each if isinstance(each, list) else [each])]
        return joined if len(joined) <= MOST_ELEMENTS else UNDEFINED
    strings = [text(each) for each in given]
    if not strings or any(each is UNDEFINED for each in strings):
        return UNDEFINED
    return _short("".join(strings))


def get(of: Any, key: Any) -> Any:
    """A member of an object, an element of an array or a character of a string; counting begins at 0."""
    if isinstance(of, dict):
        return of.get(key, UNDEFINED) if isinstance(key, str) else UNDEFINED
    at = number(key)
    if isinstance(of, list | str) and isinstance(at, int) and 0 <= at < len(of):
        return of[at]
    return UNDEFINED


def _substring(value: str, start: Any, end: Any = None) -> Any:
    first, last = number(start), len(value) if end is None else number(end)
    if not isinstance(first, int) or not isinstance(last, int) or first < 0:
        return UNDEFINED
    return value[first:last] if last >= first else ""


def _pad(value: Any, size: Any, filler: Any = " ", *, left: bool) -> Any:
    word, wanted, fill = text(value), number(size), text(filler)
    if word is UNDEFINED or fill in {UNDEFINED, ""} or not isinstance(wanted, int) or not 0 <= wanted <= 1000:
        return UNDEFINED
    missing = max(0, wanted - len(word))
    added = (fill * (missing // len(fill) + 1))[:missing]
    return (added + word if left else word + added)[:wanted] if len(word) <= wanted else word[:wanted]


def _replace(value: str, old: str, new: str) -> Any:
    if not old or value.count(old) * len(new) > LONGEST:
        return UNDEFINED
    return _short(value.replace(old, new))


def _encode(value: Any, scheme: Any) -> Any:
    if scheme != "base64" or value is UNDEFINED:
        return UNDEFINED
    raw = value if isinstance(value, bytes) else _raw(str(text(value)))
    return base64.b64encode(raw).decode()


def _decode(value: Any, scheme: Any) -> Any:
    if scheme != "base64" or not isinstance(value, str):
        return UNDEFINED
    try:
        return base64.b64decode(value, validate=True).decode()
    except (binascii.Error, ValueError):
        return UNDEFINED


def _cast(value: Any, kind: Any) -> Any:
    """`cast(x as int)`: Int, Decimal, Boolean, String, Array, Object, as far as *value* can be one."""
    match kind:
        case "int" | "integer":
            found = number(int(value) if isinstance(value, bool) else value)
            return UNDEFINED if found is UNDEFINED else bounded(math.trunc(found))
        case "decimal" | "float" | "double":
            found = number(int(value) if isinstance(value, bool) else value)
            return UNDEFINED if found is UNDEFINED else bounded(found)
        case "boolean" | "bool":
            return value != 0 if is_number(value) else boolean(value)
        case "string" | "nvarchar" | "text" | "ntext" | "varchar":
            return text(value)
        case "array" | "list":
            return value if isinstance(value, list) else UNDEFINED
        case "object" | "map":
            return value if isinstance(value, dict) else UNDEFINED
    return UNDEFINED


def _short(value: str) -> Any:
    return value if len(value) <= LONGEST else UNDEFINED


def _hashed(name: str) -> _Function:
    return _textual(lambda value: hashlib.new(name, _raw(value), usedforsecurity=False).hexdigest())


def _raw(value: str) -> bytes:
    """Half of a surrogate pair, which JSON can escape and UTF-8 cannot say, becomes a question mark."""
    return value.encode("utf-8", "replace")


def _whole(work: Callable[..., int]) -> _Function:
    """*work* on whole numbers of up to 64 bits."""

    def call(*given: Any) -> Any:
        numbers = [number(each) for each in given]
        fit = all(isinstance(each, int) and abs(each) < 2**63 for each in numbers)
        return bounded(work(*numbers)) if fit else UNDEFINED

    return call


def _length(value: Any) -> Any:
    return len(value) if isinstance(value, list) else _textual(len)(value)


TYPES: Final = (
    *("int", "integer", "decimal", "float", "double", "boolean", "bool", "string", "nvarchar", "text", "ntext"),
    *("varchar", "array", "list", "object", "map"),
)
"""Of `cast(value as type)`."""

PURE: Final[Mapping[str, tuple[int, int, _Function]]] = {
    "abs": (1, 1, numeric(abs)),
    "bitand": (2, 2, _whole(lambda a, b: a & b)),
    "bitnot": (1, 1, _whole(lambda a: ~a)),
    "bitor": (2, 2, _whole(lambda a, b: a | b)),
    "bitxor": (2, 2, _whole(lambda a, b: a ^ b)),
    "cast": (2, 2, _cast),
    "ceil": (1, 1, numeric(math.ceil)),
    "chr": (1, 1, lambda code: chr(at) if isinstance(at := number(code), int) and 0 <= at < 0xD800 else UNDEFINED),
    "concat": (1, 64, concat),
    "decode": (2, 2, _decode),
    "encode": (2, 2, _encode),
    "endswith": (2, 2, _textual(str.endswith)),
    "exp": (1, 1, numeric(math.exp)),
    "floor": (1, 1, numeric(math.floor)),
    "get": (2, 2, get),
    "get_or_default": (2, 2, lambda value, default: default if value is UNDEFINED or value is None else value),
    "indexof": (2, 2, _textual(str.find)),
    "isnull": (1, 1, lambda value: value is None),
    "isundefined": (1, 1, lambda value: value is UNDEFINED),
    "length": (1, 1, _length),
    "ln": (1, 1, numeric(math.log)),
    "log": (1, 1, numeric(math.log10)),
    "lower": (1, 1, _textual(str.lower)),
    "lpad": (2, 3, lambda *given: _pad(*given, left=True)),
    "ltrim": (1, 1, _textual(str.lstrip)),
    "md5": (1, 1, _hashed("md5")),
    "mod": (2, 2, numeric(remainder)),
    "nanvl": (2, 2, lambda value, default: value if is_number(value) else default),
    "numbytes": (1, 1, _textual(lambda value: len(_raw(value)))),
    "power": (2, 2, numeric(_power)),
    "replace": (3, 3, _textual(_replace)),
    "round": (1, 1, numeric(_rounded)),
    "rpad": (2, 3, lambda *given: _pad(*given, left=False)),
    "rtrim": (1, 1, _textual(str.rstrip)),
    "sha1": (1, 1, _hashed("sha1")),
    "sha224": (1, 1, _hashed("sha224")),
    "sha256": (1, 1, _hashed("sha256")),
    "sha384": (1, 1, _hashed("sha384")),
    "sha512": (1, 1, _hashed("sha512")),
    "sign": (1, 1, numeric(lambda value: (value > 0) - (value < 0))),
    "sqrt": (1, 1, numeric(math.sqrt)),
    "startswith": (2, 2, _textual(str.startswith)),
    "substring": (2, 3, lambda value, *at: UNDEFINED if (word := text(value)) is UNDEFINED else _substring(word, *at)),
    "trim": (1, 1, _textual(str.strip)),
    "trunc": (2, 2, numeric(_cut)),
    "upper": (1, 1, _textual(str.upper)),
}

ABOUT_THE_MESSAGE: Final[Mapping[str, tuple[int, int]]] = {
    "accountid": (0, 0),
    "clientid": (0, 0),
    "newuuid": (0, 0),
    "principal": (0, 0),
    "rand": (0, 0),
    "timestamp": (0, 0),
    "topic": (0, 1),
    "traceid": (0, 0),
}
"""Functions of the message that came in: `evaluate` has them."""

ARGUMENTS: Final[Mapping[str, tuple[int, int]]] = {
    **ABOUT_THE_MESSAGE,
    **{name: (least, most) for name, (least, most, _) in PURE.items()},
}
"""How many each takes, at least and at most."""


def listed() -> str:
    return ", ".join(sorted(ARGUMENTS))
