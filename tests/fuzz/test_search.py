"""What holds of search queries whatever they are."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fleetgate.errors import InvalidQuery
from fleetgate.search.evaluate import matches
from fleetgate.search.fields import GROUPS, THINGS, Index
from fleetgate.search.query import parse, terms
from fleetgate.search.tree import Node

PIECES = st.sampled_from(
    [
        *("thingName:", "attributes.x:", "attributes.x>", "connectivity.timestamp : [", "thingGroupNames:(", "a", "b*"),
        *("AND", "OR", "NOT", "TO", " ", " ", "-", "(", ")", "[", "]", "{", "}", '"', "\\", "*", "?", "<=", "5", "x y"),
    ]
)
QUERIES = st.lists(PIECES | st.text(max_size=3), max_size=30).map("".join)
DOCUMENTS = st.dictionaries(
    st.sampled_from(["thingName", "thingGroupNames", "attributes.x", "connectivity.timestamp"]),
    st.lists(st.sampled_from(["a", "b", "5", "-5", "ab"]), max_size=2),
)


def read(text: str) -> Node | None:
    try:
        return parse(text)
    except InvalidQuery:
        return None


@settings(max_examples=600)
@given(QUERIES, DOCUMENTS)
def test_a_query_is_read_or_refused_and_then_answered(text: str, document: dict[str, list[str]]) -> None:
    tree = read(text)
    if tree is not None:
        assert 1 <= len(list(terms(tree))) <= 12
        found = matches(tree, document)
        assert matches(parse(f"({text})"), document) is found
        assert matches(parse(f"NOT ({text})"), document) is not found
        assert read(text) == tree


@given(st.text(max_size=40), st.sampled_from([THINGS, GROUPS]))
def test_any_text(text: str, index: Index) -> None:
    says = ""
    try:
        parse(text, index)
    except InvalidQuery as refused:
        says = refused.message
    assert not says or "at position" in says or "cannot be answered" in says
