from __future__ import annotations

import pytest

from fleetgate.errors import SqlParseFailed
from fleetgate.sql.lexer import tokens


def test_words_numbers_strings_symbols() -> None:
    found = tokens("SELECT a_1, 'it''s' \"d\" 1 .5 2e3 <> <=\n*")
    assert [token.text for token in found] == [
        "SELECT",
        "a_1",
        ",",
        "'it''s'",
        '"d"',
        "1",
        ".5",
        "2e3",
        "<>",
        "<=",
        "*",
        "",
    ]
    assert [token.value for token in found if token.value is not None] == ["it's", "d", 1, 0.5, 2000.0]
    assert found[-1].kind == "end"
    assert found[0].says("SELECT")
    assert not found[0].says(",")


def test_the_place_of_a_problem() -> None:
    with pytest.raises(SqlParseFailed, match=r"'!' means nothing here \(line 2, column 3\)"):
        tokens("a\n  ! b")
