from __future__ import annotations

import json
from typing import Any

import pytest

from fleetgate.sql.evaluate import Message, run
from fleetgate.sql.parse import parse

NOW = 1_700_000_000_123
PAYLOAD = {"color": {"red": 255, "deep": {"er": "x"}}, "temp": 20.5, "n": 7, "s": "7", "list": [1, "b", {"k": 3}],
           "yes": True, "nothing": None, "value": 1, "über": 1}  # fmt: skip


def message(payload: Any = PAYLOAD, topic: str = "a/b/c", **more: Any) -> Message:
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return Message(topic, data, NOW, "123456789012", **more)


def select(sql: str, payload: Any = PAYLOAD, version: str = "2016-03-23", **more: Any) -> Any:
    """The output as JSON, or None."""
    output = run(parse(sql, version), message(payload, **more))
    return None if output is None else json.loads(output.payload)


def value(expression: str, payload: Any = PAYLOAD, **more: Any) -> Any:
    """The expression's value; "undefined" where there is none."""
    found = select(f"SELECT {expression} AS x FROM 'a/#'", payload, **more)
    return found.get("x", "undefined")


def test_everything_passes_byte_for_byte() -> None:
    for raw in (b'{ "b": 1,\n"a" : 2 }', b"\x00\xff", b"", b"[1, 2]"):
        output = run(parse("SELECT * FROM 'a'"), message(raw))
        assert output is not None
        assert output.payload == raw


def test_items_have_their_own_names() -> None:
    assert select("SELECT n, color.red, temp AS t, list[1], topic(2) FROM 'a/#'") == {
        "n": 7, "red": 255, "t": 20.5, "list": "b", "topic": "b"}  # fmt: skip
    assert select("select n as a.b, s as a.c, n as 'odd name' from 'a'") == {"a": {"b": 7, "c": "7"}, "odd name": 7}
    assert select("SELECT missing, n FROM 'a'") == {"n": 7}
    assert select("SELECT value, value * 2 AS twice FROM 'a'") == {"value": 1, "twice": 2}


def test_no_payload_overrides_what_has_a_name() -> None:
    told = {"certid": "forged", "other": 1}
    for sql in ("SELECT principal() AS certid, * FROM 'a'", "SELECT *, principal() AS certid FROM 'a'"):
        assert select(sql, told, principal="f00") == {"certid": "f00", "other": 1}


def test_select_value() -> None:
    assert select("SELECT VALUE color.red FROM 'a'") == 255
    assert select("SELECT VALUE list FROM 'a'") == [1, "b", {"k": 3}]
    assert select("SELECT VALUE list FROM 'a'", version="2015-10-08") is None
    assert select("SELECT VALUE missing FROM 'a'") is None
    assert select("SELECT VALUE * FROM 'a'", [1]) == [1]


def test_what_is_no_json() -> None:
    assert select("SELECT encode(*, 'base64') AS data, timestamp() AS ts FROM 'a'", b"\x00\xff") == {
        "data": "AP8=", "ts": NOW}  # fmt: skip
    assert select("SELECT *, n FROM 'a'", b"plain") is None
    assert select("SELECT *, topic() AS t FROM 'a'", b"") == {"t": "a/b/c"}
    assert select("SELECT * FROM 'a' WHERE n = 7", b"plain") is None
    assert value("n", b"NaN") == value("n", b'{"n": ' + b"1" * 5000 + b"}") == value("n", b"[" * 9000) == "undefined"


def test_the_message() -> None:
    made = message(client_id="c1", principal="f00", trace_id="t", entropy=lambda size: b"\x01" * size)
    sql = "SELECT clientid() AS c, principal() AS p, accountid() AS a, "
    output = run(parse(f"{sql}topic() AS t, traceid() AS i, newuuid() AS u, rand() AS r FROM 'a'"), made)
    assert output is not None
    assert output.value == {
        "c": "c1", "p": "f00", "a": "123456789012", "t": "a/b/c", "i": "t",
        "u": "01010101-0101-4101-8101-010101010101", "r": pytest.approx(1 / 255, rel=0.01)}  # fmt: skip
    assert value("clientid()") == "n/a"
    assert value("principal()") == "undefined"
    assert [value(f"topic({at})") for at in (1, 3, 4, 0)] == ["a", "c", "undefined", "undefined"]


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("1 + 2 * 3 - -4", 11),
        ("(1 + 2) * 3", 9),
        ("7 / 2", 3),
        ("-7 / 2", -3),
        ("7.0 / 2", 3.5),
        ("-7 % 4", -3),
        ("1 / 0", "undefined"),
        ("n % 0", "undefined"),
        ("'a' + 1", "a1"),
        ("'1' * '2'", 2),
        ("true + 1", "undefined"),
        ("9999999999999999999999999999999999 * 10", 1e35),
        ("power(2, 10)", 1024),
        ("power(10, 400)", "undefined"),
        ("sqrt(-1)", "undefined"),
        ("mod(7.5, 2)", 1.5),
        ("n = 7", True),
        ("n = '7'", True),
        ("n <> 'x'", True),
        ("missing = missing", "undefined"),
        ("nothing = null", True),
        ("nothing = 'null'", False),
        ("yes = 'TRUE'", True),
        ("list = [1, 'b', {'k': 3}]", True),
        ("'a' < 'b'", True),
        ("'10' < 9", False),
        ("yes > 1", "undefined"),
        ("n >= 7 AND temp <= 20.5", True),
        ("missing OR yes", True),
        ("missing AND false", False),
        ("missing AND true", "undefined"),
        ("NOT n = 7", False),
        ("NOT missing", "undefined"),
        ("n IN (1, 7)", True),
        ("n IN [1, 2]", False),
        ("1 IN list", True),
        ("1 IN n", "undefined"),
        ("CASE n WHEN 7 THEN 'seven' ELSE 'other' END", "seven"),
        ("CASE WHEN n > 9 THEN 1 END", "undefined"),
        ("{'a': n, 'b': missing}", {"a": 7}),
        ("[n, missing]", [7, None]),
        ("list[2].k", 3),
        ("list[9]", "undefined"),
        ("get(list, 0)", 1),
        ("get('abc', 1)", "b"),
        ("get(*, 's')", "7"),
        ("get_or_default(missing, 5)", 5),
        ("concat('a', n, true)", "a7true"),
        ("concat(list, 5)", [1, "b", {"k": 3}, 5]),
        ("upper('aß') + lower('ABC')", "ASSabc"),
        ("substring('abcdef', 2)", "cdef"),
        ("substring('abcdef', 1, 3)", "bc"),
        ("substring('abc', -1)", "undefined"),
        ("replace('banana', 'a', 'o')", "bonono"),
        ("lpad('7', 3, '0') + rpad('x', 2)", "007x "),
        ("indexof('abcd', 'cd')", 2),
        ("startswith('ranger', 'ran') AND endswith('cat', 'at')", True),
        ("length('hi') + length(list)", 5),
        ("numbytes('ü')", 2),
        ("trim('  x ') + ltrim(' a') + rtrim('b ')", "xab"),
        ("md5('iot123')", "e37f81fb397e595c4aeb5645b8cbbbd1"),
        ("sha256('hello')", "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"),
        ("decode(encode('hi', 'base64'), 'base64')", "hi"),
        ("decode('!', 'base64')", "undefined"),
        ("cast(temp as int)", 20),
        ("cast('5.5' as decimal)", 5.5),
        ("cast(n as string)", "7"),
        ("cast(0 as boolean)", False),
        ("cast('x' as int)", "undefined"),
        ("isNull(nothing)", True),
        ("isUndefined(missing)", True),
        ("round(2.5) + ceil(0.1) + floor(-0.1) + sign(-9) + abs(-2)", 4),
        ("trunc(2.378, 2)", 2.37),
        ("bitand(5, 4) + bitor(5, 2) + bitxor(1, 3) + bitnot(-1)", 13),
        ("chr(65)", "A"),
        ("nanvl(s, 3)", 3),
        ("\"double\" + 'it''s'", "doubleit's"),
    ],
)
def test_expressions(expression: str, wanted: Any) -> None:
    assert value(expression) == wanted


def test_where_holds_or_nothing_goes_on() -> None:
    assert select("SELECT n FROM 'a' WHERE n > 5") == {"n": 7}
    assert select("SELECT n FROM 'a' WHERE n > 9") is None
    assert select("SELECT n FROM 'a' WHERE missing > 9") is None
    assert select("SELECT n FROM 'a' WHERE n") is None
    assert select("SELECT n FROM 'a' WHERE 'true'") == {"n": 7}


def test_a_short_statement_cannot_ask_for_much() -> None:
    long = {"s": "x" * 100_000}
    assert select(f"SELECT [{', '.join(['s'] * 6)}] AS x FROM 'a'", long) is None
    assert run(parse(f"SELECT VALUE [{', '.join(['*'] * 6)}] FROM 'a'", "2016-03-23"), message(long)) is None
    assert value("replace(s, 'x', s)", long) == "undefined"
    assert value("s + s + s", long) == "undefined"


def test_half_a_surrogate_pair_stays_json() -> None:
    assert select("SELECT s FROM 'a'", b'{"s": "\\ud800"}') == {"s": "\ud800"}
    assert value("encode(s, 'base64')", b'{"s": "\\ud800"}') == "Pw=="
