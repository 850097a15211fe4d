from __future__ import annotations

from fleetgate.sql.parse import parse, parse_expression
from fleetgate.sql.syntax import Literal, Name, children


def test_children_of_every_kind() -> None:
    for text, names in [
        ("a", ""), ("a.x", "a"), ("a[b]", "ab"), ("topic(a)", "a"), ("-a", "a"), ("a + b", "ab"), ("[a, b]", "ab"),
        ("{'k': a}", "a"), ("CASE a WHEN b THEN c ELSE d END", "adbc"), ("CASE WHEN a THEN b END", "ab"),
    ]:  # fmt: skip
        found = [each.name for each in children(parse_expression(text)) if isinstance(each, Name)]
        assert "".join(found) == names
    assert list(children(Literal(1))) == []


def test_what_passes_everything() -> None:
    assert parse("SELECT * FROM 'a'").passes_all
    assert not parse("SELECT *, a FROM 'a'").passes_all
    assert not parse("SELECT a FROM 'a'").passes_all
