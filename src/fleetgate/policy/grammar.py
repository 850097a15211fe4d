"""The dialects of the policy language: one engine, three kinds of document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Grammar:
    name: str
    """What a message calls such a document."""
    longest: int
    """Characters, white space not counted."""
    has_principal: bool
    """Principal or NotPrincipal: required in each statement if so, refused otherwise."""
    has_resource: bool
    """The same for Resource and NotResource."""
    variables_always: bool
    """Otherwise variables need Version 2012-10-17, and are plain text without it, as in IAM."""
    unique_sids: bool
    unsubstitutable: frozenset[str]
    """A variable's value that holds one of these characters is not substituted."""
    longest_value: int | None
    """Nor is a longer value, in characters."""


IOT: Final = Grammar(
    name="an IoT policy",
    longest=2048,
    has_principal=False,
    has_resource=True,
    variables_always=True,
    unique_sids=False,
    unsubstitutable=frozenset("*$+?#"),
    longest_value=1024,
)
"""Policies of certificates and thing groups."""

IAM: Final = Grammar(
    name="an IAM policy",
    longest=6144,
    has_principal=False,
    has_resource=True,
    variables_always=False,
    unique_sids=True,
    unsubstitutable=frozenset(),
    longest_value=None,
)
"""What a role or a user may do."""

TRUST: Final = Grammar(
    name="a trust policy",
    longest=2048,
    has_principal=True,
    has_resource=False,
    variables_always=False,
    unique_sids=True,
    unsubstitutable=frozenset(),
    longest_value=None,
)
"""Who may assume a role."""
