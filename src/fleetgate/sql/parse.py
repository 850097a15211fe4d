"""A rule's SQL, parsed: the subset of AWS IoT SQL that fleetgate has, with the place of whatever it has not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from fleetgate.sql import functions
from fleetgate.sql.lexer import Token, tokens, wrong
from fleetgate.sql.syntax import (
    FIRST_VERSION,
    Binary,
    Call,
    Case,
    Element,
    Expression,
    Item,
    Items,
    Literal,
    Member,
    Members,
    Name,
    Star,
    Statement,
    Unary,
    children,
)
from fleetgate.sql.values import UNDEFINED

_Read: TypeAlias = Callable[[], Expression]

DEEPEST: Final = 30
"""Expressions within expressions, as they are written."""
TALLEST: Final = 100
"""The same with every operator counted: `a + b + c` is two high."""

_LITERALS: Final = {"TRUE": True, "FALSE": False, "NULL": None, "UNDEFINED": UNDEFINED}
_RESERVED: Final = frozenset(
    ("SELECT", "FROM", "WHERE", "AS", "AND", "OR", "NOT", "IN", "CASE", "WHEN", "THEN", "ELSE", "END")
)
# Weakest first: each level takes its operands from the next.
_LEVELS: Final = (("OR",), ("AND",), ("=", "<>", "!=", "<", "<=", ">", ">=", "IN"), ("+", "-"), ("*", "/", "%"))
_COMPARISONS: Final = 2


def parse(text: str, version: str = FIRST_VERSION) -> Statement:
    """The statement in *text*. Raises SqlParseFailed, with line and column."""
    return _Parser(text).statement(version)


def parse_expression(text: str) -> Expression:
    """One expression and nothing else, as in a substitution template. Raises SqlParseFailed."""
    parser = _Parser(text)
    found = parser.expression()
    parser.finish(found)
    return found


class _Parser:
    """Recursive descent, one word ahead."""

    def __init__(self, text: str) -> None:
        self._text, self._tokens, self._next, self._depth = text, tokens(text), 0, 0

    @property
    def _here(self) -> Token:
        return self._tokens[self._next]

    def statement(self, version: str) -> Statement:
        self._expect("SELECT")
        value = self._here.says("VALUE") and self._is_keyword() and self._take("VALUE") is not None
        items = [self._item(value)]
        while self._take(","):
            items.append(self._item(value))
        if value and len(items) > 1:
            raise self._wrong("SELECT VALUE takes one item")
        source = self._source() if self._take("FROM") else None
        where = self.expression() if self._take("WHERE") else None
        self.finish(*(item.expression for item in items), *([where] if where else []))
        return Statement(tuple(items), value, source, where, version)

    def finish(self, *found: Expression) -> None:
        """*found* is all that there is: nothing follows, and none is too high."""
        if self._here.kind != "end":
            raise self._wrong(f"nothing may follow here, but {self._here} does")
        level = list(found)
        for _ in range(TALLEST):
            level = [child for each in level for child in children(each)]
        if level:
            raise self._wrong(f"an expression is more than {TALLEST} operators high")

    def _is_keyword(self) -> bool:
        """Whether `VALUE` here is the keyword, and not a member of the payload that is called so."""
        word, after = self._tokens[self._next : self._next + 2]
        if after.kind == "symbol":
            if after.text == "*":
                return self._tokens[self._next + 2].kind == "end" or self._tokens[self._next + 2].says("FROM", "WHERE")
            return after.text in "({" or (after.text == "[" and word.text == "VALUE")
        return after.kind != "end" and (after.kind != "name" or after.text.upper() not in _RESERVED - {"CASE", "NOT"})

    # -- clauses -------------------------------------------------------------------------------------------------------

    def _item(self, value: bool) -> Item:
        at = self._next
        expression = self.expression()
        if isinstance(expression, Star):
            return Item(expression, ())
        if self._take("AS"):
            return Item(expression, self._alias())
        path = _own_name(expression)
        if path is None and not value:
            self._next = at
            raise self._wrong("this expression needs a name: add AS name")
        return Item(expression, path or ())

    def _alias(self) -> tuple[str, ...]:
        names = [self._alias_name()]
        while self._take("."):
            names.append(self._alias_name())
        return tuple(names)

    def _alias_name(self) -> str:
        token = self._here
        if token.kind not in {"name", "string"}:
            raise self._wrong(f"AS wants a name, not {token}")
        self._next += 1
        return token.text if token.kind == "name" else str(token.value)

    def _source(self) -> str | None:
        token = self._here
        if token.says("("):
            raise self._wrong("nested queries are not supported")
        if token.kind != "string":
            raise self._wrong(f"FROM wants a topic filter in quotes, not {token}")
        self._next += 1
        return str(token.value) or None

    # -- expressions ---------------------------------------------------------------------------------------------------

    def expression(self) -> Expression:
        return self._level(0)

    def _level(self, level: int) -> Expression:
        if level == len(_LEVELS):
            return self._unary()
        if level == _COMPARISONS and (self._take("NOT")):
            return Unary("NOT", self._deeper(lambda: self._level(level)))
        left = self._level(level + 1)
        while operator := self._take(*_LEVELS[level]):
            word = "<>" if operator.text == "!=" else operator.text.upper()
            right = self._range() if word == "IN" else self._level(level + 1)
            left = Binary(word, left, right)
        return left

    def _range(self) -> Expression:
        if self._take("("):
            return Items(self._list(")"))
        return self._level(_COMPARISONS + 1)

    def _unary(self) -> Expression:
        if self._take("-"):
            return Unary("-", self._deeper(self._unary))
        return self._postfix(self._primary())

    def _postfix(self, found: Expression) -> Expression:
        while True:
            if self._take("."):
                token = self._here
                if token.kind not in {"name", "string"}:
                    raise self._wrong(f"a name must follow the dot, not {token}")
                self._next += 1
                found = Member(found, token.text if token.kind == "name" else str(token.value))
            elif self._take("["):
                found = Element(found, self._deeper(self.expression))
                self._expect("]")
            else:
                return found

    def _primary(self) -> Expression:
        token = self._here
        if token.kind in {"number", "string"}:
            self._next += 1
            return Literal(token.value)
        if self._take("*"):
            return Star()
        if self._take("("):
            return self._group()
        if self._take("["):
            return Items(self._list("]"))
        if self._take("{"):
            return self._members()
        if self._take("CASE"):
            return self._deeper(self._case)
        if token.kind == "name" and token.text.upper() not in _RESERVED:
            return self._named()
        raise self._wrong(f"an expression is wanted, not {token}")

    def _group(self) -> Expression:
        if self._here.says("SELECT"):
            raise self._wrong("nested queries are not supported")
        found = self._deeper(self.expression)
        self._expect(")")
        return found

    def _named(self) -> Expression:
        token = self._here
        self._next += 1
        if self._take("("):
            return self._call(token)
        word = token.text.upper()
        return Literal(_LITERALS[word]) if word in _LITERALS else Name(token.text)

    def _call(self, token: Token) -> Call:
        name = token.text.lower()
        known = functions.ARGUMENTS.get(name)
        if known is None:
            raise wrong(self._text, token.at, f"there is no function {token.text:.60}; there are {functions.listed()}")
        arguments = self._cast() if name == "cast" else self._list(")")
        if not known[0] <= len(arguments) <= known[1]:
            wanted = str(known[0]) if known[0] == known[1] else f"{known[0]} to {known[1]}"
            raise wrong(self._text, token.at, f"{name} takes {wanted} arguments, not {len(arguments)}")
        return Call(name, arguments)

    def _cast(self) -> tuple[Expression, ...]:
        value = self._deeper(self.expression)
        self._expect("AS")
        kind = self._here
        if kind.text.lower() not in functions.TYPES:
            raise self._wrong(f"cast knows no type {kind}; it knows {', '.join(functions.TYPES)}")
        self._next += 1
        self._expect(")")
        return value, Literal(kind.text.lower())

    def _list(self, end: str) -> tuple[Expression, ...]:
        found: list[Expression] = []
        while not self._take(end):
            if found:
                self._expect(",")
            found.append(self._deeper(self.expression))
        return tuple(found)

    def _members(self) -> Members:
        found: list[tuple[str, Expression]] = []
        while not self._take("}"):
            if found:
                self._expect(",")
            key = self._alias_name()
            self._expect(":")
            found.append((key, self._deeper(self.expression)))
        return Members(tuple(found))

    def _case(self) -> Case:
        subject = None if self._here.says("WHEN") else self.expression()
        branches = []
        while self._take("WHEN"):
            condition = self.expression()
            self._expect("THEN")
            branches.append((condition, self.expression()))
        if not branches:
            raise self._wrong(f"CASE wants WHEN, not {self._here}")
        otherwise = self.expression() if self._take("ELSE") else None
        self._expect("END")
        return Case(subject, tuple(branches), otherwise)

    # -- words ---------------------------------------------------------------------------------------------------------

    def _take(self, *words: str) -> Token | None:
        token = self._here
        if not token.says(*words):
            return None
        self._next += 1
        return token

    def _expect(self, word: str) -> None:
        if not self._take(word):
            raise self._wrong(f"{word} is wanted, not {self._here}")

    def _deeper(self, read: _Read) -> Expression:
        self._depth += 1
        if self._depth > DEEPEST:
            raise self._wrong(f"expressions are nested more than {DEEPEST} deep")
        found = read()
        self._depth -= 1
        return found

    def _wrong(self, problem: str) -> Exception:
        return wrong(self._text, self._here.at, problem)


def _own_name(expression: Expression) -> tuple[str, ...] | None:
    """What a value is called that was given no name: the last member of a path, or a function's name."""
    match expression:
        case Name(name) | Member(_, name):
            return (name,)
        case Call(function):
            return (function,)
        case Element(of):
            return _own_name(of)
    return None
