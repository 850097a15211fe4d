"""The query language of fleet indexing: text in, a tree out, or an error that says where.

The grammar is AWS's (AWS IoT developer guide, Query syntax), which is Lucene's without ranking:

    query   = and { OR and }
    and     = not { [ AND ] not }
    not     = { NOT | - } clause
    clause  = ( query ) | field : value | field op bound | value
    value   = ( query ) | "phrase" | word with * and ? | [low TO high] | {low TO high} | op bound
    op      = > | >= | < | <=

A backslash takes the next character as it is. Field names mind their case, values do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from fleetgate.errors import InvalidQuery, all_of
from fleetgate.search.fields import THINGS, Index, numeric
from fleetgate.search.tree import And, Bound, Match, Node, Not, Or, Pattern, Present, Range, Test, Wildcard, Word
from fleetgate.search.values import lowered, number

VERSION: Final = "2017-09-30"
"""The one version of the language there is."""
LONGEST: Final = 1000
LONGEST_WITH_LEADING_WILDCARD: Final = 100
MOST_TERMS: Final = 12
MOST_WILDCARDS: Final = {Wildcard.ANY: 2, Wildcard.ONE: 5}
"""In one term."""
_DEEPEST: Final = 32
_ENDS: Final = frozenset('()[]{}"<>')
_REFUSED: Final = {
    "+": "write AND",
    "&": "write AND",
    "|": "write OR",
    "!": "write NOT",
    "~": "searches by likeness are not supported",
    "^": "there is no ranking to boost",
}
_KEYWORDS: Final = frozenset({"AND", "OR", "NOT"})
_WILD: Final = {"*": Wildcard.ANY, "?": Wildcard.ONE}


def parse(text: str, index: Index = THINGS) -> Node:
    """The tree of the query *text* over the fields of *index*.

    Raises InvalidQuery: for text that is no query with the position (from 1) where it stops being one; else with every
    unknown field and every limit passed, all at once.
    """
    if len(text) > LONGEST:
        raise InvalidQuery(f"The query is {len(text)} characters long; at most {LONGEST} are allowed.")
    reader = _Reader(text, index)
    tree = reader.whole()
    problems = [*reader.problems, *_over_limits(text, tree)]
    if problems:
        raise InvalidQuery(f"This query cannot be answered: {all_of(problems)}")
    return tree


def terms(tree: Node) -> Iterator[Match]:
    """Every term of *tree* from left to right."""
    match tree:
        case And(children) | Or(children):
            for child in children:
                yield from terms(child)
        case Not(child):
            yield from terms(child)
        case Match():
            yield tree


def _over_limits(text: str, tree: Node) -> Iterator[str]:
    tests = [term.test for term in terms(tree)]
    if len(tests) > MOST_TERMS:
        yield f"it has {len(tests)} terms; at most {MOST_TERMS} are allowed."
    patterns = [test for test in tests if isinstance(test, Pattern)]
    for wildcard, most in MOST_WILDCARDS.items():
        if any(pattern.parts.count(wildcard) > most for pattern in patterns):
            yield f"a term may have {most} wildcards {wildcard.value} at most."
    leading = sum(not pattern.prefix for pattern in patterns)
    if leading > 1:
        yield f"{leading} terms begin with a wildcard; only one may."
    if leading and len(text) > LONGEST_WITH_LEADING_WILDCARD:
        yield (
            f"it is {len(text)} characters long; with a term that begins with a wildcard "
            f"{LONGEST_WITH_LEADING_WILDCARD} are allowed."
        )


@dataclass(frozen=True, slots=True)
class _Text:
    """A word as it was read: its characters, and which of them are wildcards."""

    at: int
    parts: tuple[str | Wildcard, ...]
    plain: bool
    """Nothing in it was escaped."""

    @property
    def text(self) -> str:
        return "".join(part if isinstance(part, str) else part.value for part in self.parts)

    @property
    def wild(self) -> bool:
        return any(isinstance(part, Wildcard) for part in self.parts)


class _Reader:
    """Reads from left to right; `_at` is the index of the next character."""

    def __init__(self, text: str, index: Index) -> None:
        self._text = text
        self._index = index
        self._at = 0
        self._depth = 0
        self.problems: list[str] = []

    def whole(self) -> Node:
        tree = self._either(None)
        if self._peek():
            raise self._wrong(f"{self._peek()} does not belong here")
        return tree

    # --- boolean operators ------------------------------------------------------------------------------------------

    def _either(self, field: str | None) -> Node:
        children = [self._both(field)]
        while self._keyword("OR"):
            children.append(self._both(field))
        return children[0] if len(children) == 1 else Or(tuple(children))

    def _both(self, field: str | None) -> Node:
        children = [self._negated(field)]
        while self._keyword("AND") or (self._peek() not in {"", ")"} and not self._sees("OR")):
            children.append(self._negated(field))
        return children[0] if len(children) == 1 else And(tuple(children))

    def _negated(self, field: str | None) -> Node:
        negative = False
        while self._keyword("NOT") or self._minus():
            negative = not negative
        child = self._clause(field)
        return Not(child) if negative else child

    def _minus(self) -> bool:
        if self._peek() != "-":
            return False
        self._at += 1
        if self._text[self._at : self._at + 1].isspace():
            raise self._wrong("- takes the term right behind it")
        return True

    # --- terms ------------------------------------------------------------------------------------------------------

    def _clause(self, field: str | None) -> Node:
        self._peek()
        for keyword in _KEYWORDS:
            if self._sees(keyword):
                raise self._wrong(f"a term is missing before {keyword}; in quotation marks it would be a value")
        if self._peek() and self._peek() in '("[{<>':
            return self._value(field)
        word = self._word(within_field=field is not None)
        if self._peek() and self._peek() in ":<>":
            return self._of_field(field, word)
        return Match(field, _test(word))

    def _of_field(self, outer: str | None, word: _Text) -> Node:
        if outer is not None:
            raise self._wrong(f"{word.text} stands in the brackets of {outer}, where no other field can be asked for")
        if word.wild:
            raise self._wrong("a field is given by its whole name", word.at)
        field = self._index.field(word.text)
        if field is None:
            self.problems.append(f"position {word.at + 1}: {self._index.unknown(word.text)}")
        if self._peek() == ":":
            self._at += 1
        if not self._peek() or self._peek() == ")":
            raise self._wrong(f"a value for {word.text} is missing")
        return self._value(field or word.text)

    def _value(self, field: str | None) -> Node:
        character = self._peek()
        if character == "(":
            return self._group(field)
        if character == '"':
            return Match(field, Word(lowered(self._phrase())))
        if character not in {"[", "{", "<", ">"}:
            return Match(field, _test(self._word(within_field=True)))
        if field is None:
            raise self._wrong("a range needs a field before it, as in attributes.size:[1 TO 5]")
        return Match(field, self._range(field) if character in "[{" else self._comparison(field))

    def _group(self, field: str | None) -> Node:
        opened = self._at
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._wrong(f"brackets are nested more than {_DEEPEST} deep")
        self._at += 1
        tree = self._either(field)
        if self._peek() != ")":
            raise self._wrong("this bracket is not closed", opened)
        self._at += 1
        self._depth -= 1
        return tree

    def _range(self, field: str) -> Test:
        opened = self._at
        low_inclusive = self._text[self._at] == "["
        self._at += 1
        low = self._bound(field, low_inclusive)
        if not self._keyword("TO"):
            raise self._wrong("a range is written [low TO high]")
        high = self._bound(field, True)
        end = self._peek()
        if end not in {"]", "}"}:
            raise self._wrong("this range is not closed", opened)
        self._at += 1
        if high is not None:
            high = Bound(high.text, end == "]", high.number)
        return Range(low, high) if low or high else Present()

    def _comparison(self, field: str) -> Test:
        above = self._text[self._at] == ">"
        self._at += 1
        inclusive = self._text[self._at : self._at + 1] == "="
        self._at += inclusive
        bound = self._bound(field, inclusive)
        if bound is None:
            raise self._wrong("a comparison needs a value, not *")
        return Range(bound, None) if above else Range(None, bound)

    def _bound(self, field: str, inclusive: bool) -> Bound | None:
        if self._peek() == '"':
            return Bound(lowered(self._phrase()), inclusive, None)
        word = self._word(within_field=True)
        if word.parts == (Wildcard.ANY,):
            return None
        if word.wild:
            raise self._wrong("the end of a range has no wildcards; * alone leaves it open", word.at)
        found = number(word.text) if word.plain and numeric(field) else None
        return Bound(lowered(word.text), inclusive, found)

    # --- characters -------------------------------------------------------------------------------------------------

    def _word(self, *, within_field: bool) -> _Text:
        """The characters up to white space or a mark; a colon is one only where a field may stand."""
        self._peek()
        begun, parts, plain = self._at, list[str | Wildcard](), True
        while self._at < len(self._text):
            character = self._text[self._at]
            if character.isspace() or character in _ENDS or (character == ":" and not within_field):
                break
            if character in _REFUSED:
                raise self._wrong(
                    f"{character} is not part of the language: {_REFUSED[character]}, or put \\ before it"
                )
            if character == "\\":
                parts.append(self._escaped())
                plain = False
            else:
                parts.append(_WILD.get(character, character))
            self._at += 1
        if not parts:
            found = f", not {self._text[self._at]}" if self._at < len(self._text) else " at the end"
            raise self._wrong(f"a term is missing here{found}")
        return _Text(begun, _joined(parts), plain)

    def _phrase(self) -> str:
        opened, characters = self._at, list[str]()
        self._at += 1
        while self._at < len(self._text) and self._text[self._at] != '"':
            characters.append(self._escaped() if self._text[self._at] == "\\" else self._text[self._at])
            self._at += 1
        if self._at >= len(self._text):
            raise self._wrong("this quotation mark is not closed", opened)
        self._at += 1
        if not (words := "".join(characters).split()):
            raise self._wrong("there is nothing between the quotation marks", opened)
        return " ".join(words)

    def _escaped(self) -> str:
        self._at += 1
        if self._at >= len(self._text):
            raise self._wrong("a backslash needs a character behind it")
        return self._text[self._at]

    def _peek(self) -> str:
        """The next character that is no white space, or nothing at the end."""
        while self._at < len(self._text) and self._text[self._at].isspace():
            self._at += 1
        return self._text[self._at : self._at + 1]

    def _sees(self, keyword: str) -> bool:
        self._peek()
        end = self._at + len(keyword)
        after = self._text[end : end + 1]
        return self._text.startswith(keyword, self._at) and (not after or after.isspace() or after in _ENDS)

    def _keyword(self, keyword: str) -> bool:
        if not self._sees(keyword):
            return False
        self._at += len(keyword)
        return True

    def _wrong(self, problem: str, at: int | None = None) -> InvalidQuery:
        position = (self._at if at is None else at) + 1
        return InvalidQuery(f"This is no query; at position {position}: {problem}.")


def _joined(parts: list[str | Wildcard]) -> tuple[str | Wildcard, ...]:
    """*parts* with neighbouring characters as one text."""
    joined: list[str | Wildcard] = []
    for part in parts:
        last = joined[-1] if joined else None
        if isinstance(part, str) and isinstance(last, str):
            joined[-1] = last + part
        else:
            joined.append(part)
    return tuple(joined)


def _test(word: _Text) -> Test:
    if word.parts == (Wildcard.ANY,):
        return Present()
    if not word.wild:
        return Word(lowered(word.text))
    return Pattern(tuple(lowered(part) if isinstance(part, str) else part for part in word.parts))
