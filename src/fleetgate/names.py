"""Names and ids: parse, check, print. Every check is a full match; nothing is found by substring.

Patterns and lengths are those of AWS's `iot` service model; ARN forms are AWS's.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from fleetgate.errors import InvalidRequest

_ACCOUNT = re.compile(r"[0-9]{12}")
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]{1,2}")
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")

# kind of name: (what a message calls it, pattern, longest)
_NAMES: Final[dict[str, tuple[str, re.Pattern[str], int]]] = {
    "thing": ("thing name", re.compile(r"[a-zA-Z0-9:_-]+"), 128),
    "thing_type": ("thing type name", re.compile(r"[a-zA-Z0-9:_-]+"), 128),
    "thing_group": ("thing group name", re.compile(r"[a-zA-Z0-9:_-]+"), 128),
    "billing_group": ("billing group name", re.compile(r"[a-zA-Z0-9:_-]+"), 128),
    "policy": ("policy name", re.compile(r"[\w+=,.@-]+", re.ASCII), 128),
    "user": ("user name", re.compile(r"[\w+=,.@-]+", re.ASCII), 64),
    "role": ("role name", re.compile(r"[\w+=,.@-]+", re.ASCII), 64),
    "session": ("session name", re.compile(r"[\w+=,.@-]{2,}", re.ASCII), 64),
    "role_alias": ("role alias", re.compile(r"[\w=,@-]+", re.ASCII), 128),
    "template": ("template name", re.compile(r"[0-9A-Za-z_-]+"), 36),
    "attribute": ("attribute name", re.compile(r"[a-zA-Z0-9_.,@/:#-]+"), 128),
    "attribute_value": ("attribute value", re.compile(r"[a-zA-Z0-9_.,@/:#=\[\]-]*"), 800),
    "authorizer": ("authorizer name", re.compile(r"[\w=,@-]+", re.ASCII), 128),
    "domain_configuration": ("domain configuration name", re.compile(r"[\w.-]+", re.ASCII), 128),
    "domain": ("domain name", re.compile(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+(?![0-9]+$)[a-z0-9-]{1,63}"), 253),
    "certificate_provider": ("certificate provider name", re.compile(r"[\w=,@-]+", re.ASCII), 128),
    "campaign": ("campaign name", re.compile(r"[a-zA-Z0-9_-]+"), 64),
    "rule": ("rule name", re.compile(r"[a-zA-Z0-9_]+"), 128),
    "function": ("function name", re.compile(r"[a-zA-Z0-9_-]+"), 64),
}


def check(kind: str, name: str) -> str:
    """*name* itself, when it is a whole and proper name of its *kind*; InvalidRequest otherwise."""
    called, pattern, longest = _NAMES[kind]
    if len(name) > longest:
        raise InvalidRequest(f"The {called} is {len(name)} characters long; at most {longest} are allowed.")
    if not pattern.fullmatch(name):
        raise InvalidRequest(f"The {called} {name!r} does not match {pattern.pattern}.")
    return name


def is_name(kind: str, name: str) -> bool:
    """Whether *name* is a whole and proper name of its *kind*."""
    _, pattern, longest = _NAMES[kind]
    return len(name) <= longest and pattern.fullmatch(name) is not None


_WITH_COLON: Final = frozenset({"certificateprovider"})
_COLONED: Final = tuple(f"{kind}:" for kind in _WITH_COLON)


@dataclass(frozen=True, slots=True, order=True)
class Realm:
    """An account and a region: the key every record hangs on."""

    account: str
    region: str

    def __post_init__(self) -> None:
        if not _ACCOUNT.fullmatch(self.account):
            raise InvalidRequest(f"An account is 12 digits, not {self.account!r}.")
        if not _REGION.fullmatch(self.region):
            raise InvalidRequest(f"A region looks like us-east-1, not {self.region!r}.")

    def __str__(self) -> str:
        return f"{self.account}/{self.region}"

    @classmethod
    def parse(cls, text: str) -> Realm:
        """The inverse of `str`."""
        return _realm(text)

    def arn(self, kind: str, name: str) -> str:
        """`arn:aws:iot:<region>:<account>:<kind>/<name>`; kinds as AWS spells them: thing, cert, cacert, policy ...

        A certificateprovider has a colon in the place of the slash.
        """
        return f"arn:aws:iot:{self.region}:{self.account}:{kind}{':' if kind in _WITH_COLON else '/'}{name}"


@lru_cache(maxsize=1024)
def _realm(text: str) -> Realm:
    """Every row names its realm, and an installation has few."""
    account, _, region = text.partition("/")
    return Realm(account, region)


def iam_arn(account: str, kind: str, path: str, name: str) -> str:
    """`arn:aws:iam::<account>:<kind><path><name>`; *kind* is `user`, `role` or `policy`, *path* `/` or `/a/b/`."""
    return f"arn:aws:iam::{account}:{kind}{path}{name}"


_IAM: Final = re.compile(r"arn:aws:iam::([0-9]{12}|aws):(user|role|policy)(/(?:[!-~]+/)?)([\w+=,.@-]+)", re.ASCII)


def iam_parts(arn: str) -> tuple[str, str, str, str] | None:
    """Account (`aws` for policies that every account has), kind, path and name of the ARN of a user, role or policy."""
    found = _IAM.fullmatch(arn)
    return None if found is None else (found[1], found[2], found[3], found[4])


NO_ACCOUNT: Final = Realm("000000000000", "us-east-1")
"""Of the installation itself, and of those who could not be told apart: nobody has an account of this number."""


@dataclass(frozen=True, slots=True)
class Arn:
    """An IoT ARN taken apart."""

    realm: Realm
    kind: str
    name: str

    def __str__(self) -> str:
        return self.realm.arn(self.kind, self.name)

    @classmethod
    def parse(cls, text: str) -> Arn:
        """Raises InvalidRequest unless *text* is a whole `arn:aws:iot:region:account:kind/name`."""
        parts = text.split(":", 5)
        if len(parts) != 6 or parts[:3] != ["arn", "aws", "iot"]:
            raise InvalidRequest(f"Not an IoT resource ARN: {text!r}.")
        wanted = ":" if parts[5].startswith(_COLONED) else "/"
        kind, separator, name = parts[5].partition(wanted)
        if not separator or (kind in _WITH_COLON) != (wanted == ":"):
            raise InvalidRequest(f"Not an IoT resource ARN: {text!r}.")
        return cls(Realm(parts[4], parts[3]), kind, name)


def check_function_arn(text: str) -> str:
    """*text* itself, when it is the ARN of a function; only the name in it counts here. Raises InvalidRequest."""
    if not _FUNCTION_ARN.fullmatch(text):
        raise InvalidRequest(
            f"Not the ARN of a function: {text!r}. It looks like arn:aws:lambda:REGION:ACCOUNT:function:NAME."
        )
    return text


_FUNCTION_ARN: Final = re.compile(
    r"arn:aws[a-z-]*:lambda:[a-z0-9-]+:[0-9]{12}:function:[a-zA-Z0-9_-]{1,64}(:[a-zA-Z0-9$_-]{1,128})?"
)


def fingerprint(text: str) -> str:
    """A certificateId: 64 hex digits, lower case; a `0x` and capitals are forgiven, as the service model allows."""
    plain = text.lower().removeprefix("0x")
    if not _FINGERPRINT.fullmatch(plain):
        raise InvalidRequest(f"A certificate id is 64 hexadecimal digits, not {text!r}.")
    return plain


def certificate_of(arn: str) -> str | None:
    """The fingerprint in a certificate ARN, or None when *arn* names something else."""
    try:
        parsed = Arn.parse(arn)
    except InvalidRequest:
        return None
    return parsed.name if parsed.kind == "cert" and _FINGERPRINT.fullmatch(parsed.name) else None


@dataclass(frozen=True, slots=True)
class Act:
    """One request: where, by whom, when, under which correlation id. Made at a door, handed down whole.

    Every id that the act needs is derived from *request_id*, so the code below the doors draws no randomness and a
    transaction that runs again (serialisation failure) makes the same rows again.
    """

    realm: Realm
    actor: str
    """Who asked: an access key's ARN, `cert/<fingerprint>`, or `system`."""
    now: int
    """Milliseconds UTC."""
    request_id: str
    """A random UUID as text: the correlation id in answers, logs and the audit trail."""
    asked_at: str = ""
    """Scheme and host that the caller used, as in http://localhost:8080: what links in the answer begin with."""

    def id_for(self, *words: str) -> str:
        """A UUID for one new record, the same each time it is asked for within this act."""
        # As `uuid.uuid5`, without the objects: a provisioning needs a dozen.
        namespace = bytes.fromhex(self.request_id.replace("-", ""))
        digest = bytearray(hashlib.sha1(namespace + "/".join(words).encode(), usedforsecurity=False).digest()[:16])
        digest[6] = digest[6] & 0x0F | 0x50
        digest[8] = digest[8] & 0x3F | 0x80
        text = digest.hex()
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
