from __future__ import annotations

import pytest

from fleetgate.errors import InvalidQuery
from fleetgate.search.fields import GROUPS
from fleetgate.search.query import parse, terms
from fleetgate.search.tree import EVERYTHING, And, Bound, Match, Node, Not, Or, Pattern, Present, Range, Wildcard, Word

ANY, ONE = Wildcard.ANY, Wildcard.ONE
A, B, C = (Match(None, Word(name)) for name in "abc")
ONE_TO_FIVE = Range(Bound("1", True, 1.0), Bound("5", True, 5.0))


def named(test: Word | Pattern) -> Match:
    return Match("thingName", test)


def attribute(test: Word | Pattern | Present | Range) -> Match:
    return Match("attributes.x", test)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("*", EVERYTHING),
        ("A", A),
        ("a b", And((A, B))),
        ("a AND b c", And((A, B, C))),
        ("a OR b AND c", Or((A, And((B, C))))),
        ("a b OR c", Or((And((A, B)), C))),
        ("(a OR b) c", And((Or((A, B)), C))),
        ("a NOT b", And((A, Not(B)))),
        ("a AND NOT b", And((A, Not(B)))),
        ("a -b", And((A, Not(B)))),
        ("NOT (a b)", Not(And((A, B)))),
        ("NOT NOT a", A),
        ("ANDa", Match(None, Word("anda"))),
        ('"AND"', Match(None, Word("and"))),
        ("thingName:OR", Match("thingName", Word("or"))),
        ("thingName:my*", Match("thingName", Pattern(("my", ANY)))),
        ("thingName:a?c*", Match("thingName", Pattern(("a", ONE, "c", ANY)))),
        ("thingName:a:b", Match("thingName", Word("a:b"))),
        ("attributes.x:*", attribute(Present())),
        ("attributes.x:-5", attribute(Word("-5"))),
        ("attributes.x:a@b,c/d#e=f", attribute(Word("a@b,c/d#e=f"))),
        (r"attributes.x:\[1\]", attribute(Word("[1]"))),
        (r"attributes.a\:b:x", Match("attributes.a:b", Word("x"))),
        (r"a\ b", Match(None, Word("a b"))),
        (r'"say \"hi\""', Match(None, Word('say "hi"'))),
        ("attributes.x : [1 TO 5]", attribute(ONE_TO_FIVE)),
        ("attributes.x:[1 TO 5}", attribute(Range(ONE_TO_FIVE.low, Bound("5", False, 5.0)))),
        ('attributes.x:{"1" TO B]', attribute(Range(Bound("1", False, None), Bound("b", True, None)))),
        ("attributes.x:[* TO *]", attribute(Present())),
        ("attributes.x>5", attribute(Range(Bound("5", False, 5.0), None))),
        ("attributes.x >= 5", attribute(Range(Bound("5", True, 5.0), None))),
        ("attributes.x:<-5", attribute(Range(None, Bound("-5", False, -5.0)))),
        ("attributes.x<=abc", attribute(Range(None, Bound("abc", True, None)))),
        ("attributes.x:(a OR >5)", Or((attribute(Word("a")), attribute(Range(Bound("5", False, 5.0), None))))),
        ("thingName:(tv* -plasma)", And((named(Pattern(("tv", ANY))), Not(named(Word("plasma")))))),
        ("thingName:(a (b OR c))", And((named(Word("a")), Or((named(Word("b")), named(Word("c"))))))),
    ],
)
def test_trees(text: str, tree: Node) -> None:
    assert parse(text) == tree
    assert parse(f"  {text}\n") == tree


@pytest.mark.parametrize(
    ("text", "position", "says"),
    [
        (" ", 2, "a term is missing here at the end"),
        ("a )", 3, ") does not belong here"),
        ("x (a b", 3, "this bracket is not closed"),
        ("a OR", 5, "a term is missing here at the end"),
        ("a OR AND b", 6, "a term is missing before AND"),
        ("OR", 1, "a term is missing before OR"),
        ('a "b', 3, "this quotation mark is not closed"),
        ('a " "', 3, "there is nothing between"),
        ("a\\", 3, "a backslash needs a character behind it"),
        ("[1 TO 2]", 1, "a range needs a field"),
        ("attributes.x:[1 2]", 17, "[low TO high]"),
        ("attributes.x:[1 TO 2", 14, "this range is not closed"),
        ("attributes.x:[1* TO 2]", 15, "no wildcards"),
        ("attributes.x>*", 15, "a comparison needs a value"),
        ("thingName: ", 12, "a value for thingName is missing"),
        ("(thingName:)", 12, "a value for thingName is missing"),
        ("thing*:x", 1, "a field is given by its whole name"),
        ("thingName:(a attributes.x>5)", 26, "stands in the brackets of thingName"),
        ("a + b", 3, "write AND"),
        ("a || b", 3, "write OR"),
        ("roam~", 5, "likeness"),
        ("a ]", 3, "a term is missing here, not ]"),
        ("- a", 2, "- takes the term right behind it"),
        ("(" * 33 + "a", 33, "nested more than 32 deep"),
    ],
)
def test_what_is_no_query(text: str, position: int, says: str) -> None:
    with pytest.raises(InvalidQuery) as refused:
        parse(text)
    assert refused.value.message.startswith(f"This is no query; at position {position}: ")
    assert says in refused.value.message


def test_every_unknown_field_and_passed_limit_is_told_at_once() -> None:
    with pytest.raises(InvalidQuery) as refused:
        parse("thingNme:a*b*c* nothing:??????x " + " ".join("abcdefghijk"))
    message = refused.value.message
    assert "position 1: AWS_Things has no field thingNme. Do you mean thingName?" in message
    assert "position 17: AWS_Things has no field nothing." in message
    assert "13 terms; at most 12" in message
    assert "2 wildcards * at most" in message
    assert "5 wildcards ? at most" in message


def test_limits() -> None:
    assert len(list(terms(parse(" ".join("abcdefghijkl"))))) == 12
    assert parse("x" * 1000) == Match(None, Word("x" * 1000))
    with pytest.raises(InvalidQuery, match="1001 characters"):
        parse("x" * 1001)
    assert parse("*" + "x" * 99) == Match(None, Pattern((ANY, "x" * 99)))
    with pytest.raises(InvalidQuery, match="begins with a wildcard 100 are allowed"):
        parse("*" + "x" * 100)
    with pytest.raises(InvalidQuery, match="2 terms begin with a wildcard"):
        parse("thingName:*my thingGroupNames:?echo")
    assert parse("* *x") == And((EVERYTHING, Match(None, Pattern((ANY, "x")))))


def test_groups_have_fields_of_their_own() -> None:
    assert parse("thingGroupName:a", GROUPS) == Match("thingGroupName", Word("a"))
    with pytest.raises(InvalidQuery, match=r"AWS_ThingGroups has no field thingName\. Do you mean thingGroupName"):
        parse("thingName:a", GROUPS)
