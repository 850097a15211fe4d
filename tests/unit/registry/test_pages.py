from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetgate.database.port import Tx
from fleetgate.errors import InvalidRequest
from fleetgate.names import Act, Realm
from fleetgate.registry import pages, things


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_page_has_one_to_a_thousand_items(tx: Tx, realm: Realm, limit: int) -> None:
    with pytest.raises(InvalidRequest, match=f"not {limit}"):
        things.page(tx, realm, limit=limit)


def test_an_exactly_full_last_page_names_no_next(tx: Tx, act: Act) -> None:
    for name in ("a", "b"):
        things.create(tx, act, name)
    assert things.page(tx, act.realm, limit=2).next_key is None
    assert things.page(tx, act.realm, limit=1).next_key == "a"
    assert [thing.name for thing in things.page(tx, act.realm, "a", 1).items] == ["b"]


def test_pages_do_not_shift_when_rows_come_and_go(tx: Tx, act: Act) -> None:
    for name in ("b", "c", "d"):
        things.create(tx, act, name)
    first = things.page(tx, act.realm, limit=2)
    things.create(tx, act, "a")
    things.delete(tx, act, "c")
    assert [thing.name for thing in things.page(tx, act.realm, first.next_key).items] == ["d"]


@given(st.integers(min_value=0, max_value=10**15 - 1), st.text(st.characters(exclude_characters="\0")))
def test_a_moment_key_reads_back(moment: int, name: str) -> None:
    assert pages.moment_after(pages.moment_key(moment, name)) == (moment, name)


@given(st.text())
def test_any_text_as_a_key_is_read_or_refused(text: str) -> None:
    for read in (pages.moment_after, pages.number_after, pages.name_after):
        try:
            read(text)
        except InvalidRequest:
            continue


@pytest.mark.parametrize("key", ["", "x/y", "-1/y", "1" * 16 + "/y", "٣/y", "1/\0"])
def test_a_bad_moment_key_is_refused(key: str) -> None:
    with pytest.raises(InvalidRequest, match="page token"):
        pages.moment_after(key)


def test_number_keys() -> None:
    assert pages.number_after(None) == 0
    assert pages.number_after("7") == 7
    with pytest.raises(InvalidRequest):
        pages.number_after("seven")
