"""Principals and callers. What statements make of them is in tests/vectors/policy/trust.json."""

from __future__ import annotations

import pytest

from fleetgate.policy.principals import Caller, Principals, entry


def test_an_account_has_two_spellings() -> None:
    assert entry("AWS", "123456789012") == entry("AWS", "arn:aws:iam::123456789012:root")
    assert entry("AWS", "arn:aws-cn:iam::123456789012:root") == ("account", "123456789012")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("AWS", "arn:aws:sts::123456789012:assumed-role/r/s"),
        ("AWS", "AIDACKCEVSQ6C2EXAMPLE"),
        ("Federated", "arn:aws:iam::123456789012:saml-provider/p"),
        ("CanonicalUser", "0f" * 32),
    ],
)
def test_entries(kind: str, value: str) -> None:
    assert entry(kind, value) == (kind, value)


@pytest.mark.parametrize(
    ("kind", "value"),
    [("AWS", "arn:aws:iam::123456789012:root*"), ("AWS", "123456789012:root"), ("Service", "iot"), ("Federated", "*")],
)
def test_no_entries(kind: str, value: str) -> None:
    with pytest.raises(ValueError, match="is not "):
        entry(kind, value)


def test_an_account_covers_only_callers_of_that_kind() -> None:
    principals = Principals(frozenset({entry("AWS", "123456789012")}))
    assert principals.cover(Caller("AWS", ("x",), "123456789012"))
    assert not principals.cover(Caller("Federated", ("x",), "123456789012"))
    assert not principals.cover(Caller("AWS", ("123456789012",)))
