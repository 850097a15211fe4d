from __future__ import annotations

import base64
import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetgate.api.listing import Listing
from fleetgate.errors import InvalidRequest
from fleetgate.registry.pages import Page

MARKER = re.compile(r"[A-Za-z0-9+/]+={0,2}")
LISTING = Listing("things")
keys = st.text(min_size=1, max_size=200)


@given(keys)
def test_a_token_leads_back_to_its_key(key: str) -> None:
    token = LISTING.token(Page((), key), {"attributeName": "a"})
    assert token is not None
    assert MARKER.fullmatch(token)
    assert LISTING.opened({"nextToken": token, "attributeName": "a"}) == (key, 25)
    assert LISTING.opened({"marker": token, "pageSize": 3, "attributeName": "a"}) == (key, 3)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({}, {"attributeName": "a"}),
        ({"attributeName": "a"}, {}),
        ({"attributeName": "a"}, {"attributeName": "b"}),
        ({"parentGroup": "a"}, {"namePrefixFilter": "a"}),
        ({"ascendingOrder": True}, {"ascendingOrder": False}),
    ],
)
def test_a_token_belongs_to_its_filter(first: dict[str, Any], then: dict[str, Any]) -> None:
    token = LISTING.token(Page((), "key"), {**first, "maxResults": 2})
    assert LISTING.opened({**first, "nextToken": token}) == ("key", 25)
    with pytest.raises(InvalidRequest, match="with this filter"):
        LISTING.opened({**then, "nextToken": token})


def test_the_first_page_and_the_last() -> None:
    assert LISTING.opened({}) == (None, 25)
    assert LISTING.opened({"maxResults": 250}) == (None, 250)
    assert LISTING.token(Page((), None), {}) is None


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a",
        "!!!!",
        "AAAA",
        "/w==",
        "YWJj\n",
        encoded("things"),
        encoded("things:a"),
        encoded("things.:"),
        encoded("principals:a"),
    ],
)
def test_a_token_of_something_else_is_refused(token: str) -> None:
    with pytest.raises(InvalidRequest, match="Start again without one"):
        LISTING.opened({"nextToken": token})


@given(st.text())
def test_any_text_is_a_token_or_refused(token: str) -> None:
    with suppress(InvalidRequest):
        key, limit = LISTING.opened({"nextToken": token})
        assert key
        assert limit == 25


@given(st.sets(keys, max_size=12), st.integers(1, 5))
def test_pages_of_a_list_at_hand_make_up_the_list(names: set[str], limit: int) -> None:
    found: list[str] = []
    params: dict[str, Any] = {"maxResults": limit}
    while True:
        page = LISTING.cut(sorted(names), params)
        found += page.items
        token = LISTING.token(page, params)
        if token is None:
            break
        assert len(page.items) == limit
        params["nextToken"] = token
    assert found == sorted(names)
