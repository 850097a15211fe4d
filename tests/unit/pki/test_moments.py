from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetgate.pki import der, moments


def _time(tag: int, text: str) -> der.Element:
    return der.only(der.encode(tag, text.encode()), tag)


@pytest.mark.parametrize(
    ("tag", "text", "read"),
    [
        (der.UTC_TIME, "491231235959Z", "2049-12-31T23:59:59Z"),
        (der.UTC_TIME, "500101000000Z", "1950-01-01T00:00:00Z"),
        (der.GENERALIZED_TIME, "20500101000000Z", "2050-01-01T00:00:00Z"),
        (der.GENERALIZED_TIME, "99991231235959Z", "9999-12-31T23:59:59Z"),
    ],
)
def test_both_forms(tag: int, text: str, read: str) -> None:
    assert moments.text_of(moments.read(_time(tag, text))) == read


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        (der.UTC_TIME, "4912312359Z"),
        (der.UTC_TIME, "491231235959+0100"),
        (der.UTC_TIME, "20500101000000Z"),
        (der.GENERALIZED_TIME, "20500101000000.5Z"),
        (der.GENERALIZED_TIME, "20500101000000+"),
        (der.UTC_TIME, "4912312359x9Z"),
        (der.UTC_TIME, "490231235959Z"),
        (der.GENERALIZED_TIME, "00000101000000Z"),
        (der.OCTET_STRING, "20500101000000Z"),
        (der.UTC_TIME, "²91231235959Z"),
    ],
)
def test_everything_else_is_malformed(tag: int, text: str) -> None:
    with pytest.raises(der.Malformed, match="a time that"):
        moments.read(_time(tag, text))


@given(st.integers(0, moments.LATEST))
def test_seconds_survive(milliseconds: int) -> None:
    assert moments.from_datetime(moments.to_datetime(milliseconds)) == milliseconds // 1000 * 1000


def test_the_latest() -> None:
    assert moments.text_of(moments.LATEST) == "9999-12-31T23:59:59Z"
