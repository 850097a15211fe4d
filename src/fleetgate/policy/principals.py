"""Principal and NotPrincipal of trust policies: who a statement is about (IAM JSON policy elements: Principal)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_ACCOUNT: Final = re.compile(r"([0-9]{12})|arn:aws[a-z-]*:iam::([0-9]{12}):root")
_IAM_ARN: Final = re.compile(r"arn:aws[a-z-]*:(iam|sts)::[0-9]{12}:[^*?\s]+")
_UNIQUE_ID: Final = re.compile(r"A[A-Z0-9]{15,127}")
_HOST: Final = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")
_CANONICAL: Final = re.compile(r"[0-9a-f]{64}")
_PROVIDER: Final = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:(saml-provider|oidc-provider)/[^*?\s]+")

KINDS: Final[dict[str, tuple[tuple[re.Pattern[str], ...], str]]] = {
    "AWS": (
        (re.compile(r"\*"), _ACCOUNT, _IAM_ARN, _UNIQUE_ID),
        "an account of 12 digits, the whole ARN of an account, user or role, or *",
    ),
    "Service": ((_HOST,), "a service's name, such as credentials.iot.amazonaws.com"),
    "Federated": ((_PROVIDER, _HOST), "an identity provider's ARN or name"),
    "CanonicalUser": ((_CANONICAL,), "64 hexadecimal digits"),
}
"""Kind -> (what its values look like, the same in words)."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, of one kind, under every name that may stand in a policy: a session's ARN and its role's, say."""

    kind: str
    """`AWS`, `Service`, `Federated` or `CanonicalUser`."""
    names: tuple[str, ...]
    account: str | None = None
    """12 digits: an account in a policy stands for everybody in it."""


@dataclass(frozen=True, slots=True)
class Principals:
    """Pairs of kind and name; `("*", "*")` is everybody, known or not."""

    entries: frozenset[tuple[str, str]]
    negated: bool = False

    def cover(self, caller: Caller | None) -> bool:
        return self._name(caller) is not self.negated

    def _name(self, caller: Caller | None) -> bool:
        if ("*", "*") in self.entries or (("AWS", "*") in self.entries and (caller is None or caller.kind == "AWS")):
            return True
        if caller is None:
            return False
        return any((caller.kind, name) in self.entries for name in caller.names) or (
            caller.kind == "AWS" and caller.account is not None and ("account", caller.account) in self.entries
        )


def entry(kind: str, value: str) -> tuple[str, str]:
    """The entry of one principal, the same for each spelling of it; *kind* is one of KINDS. Raises ValueError."""
    patterns, words = KINDS[kind]
    if not any(pattern.fullmatch(value) for pattern in patterns):
        raise ValueError(f"{value!r} is not {words}")
    account = _ACCOUNT.fullmatch(value) if kind == "AWS" else None
    return ("account", account[1] or account[2]) if account else (kind, value)
