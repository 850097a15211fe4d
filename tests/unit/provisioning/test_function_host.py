"""What happens around one call of a handler, without the processes (tests/conformance/hooks has those)."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetgate.provisioning.function_host import LONGEST_ANSWER, LONGEST_MESSAGE, Context, answer, describe, load

CONTEXT = Context("ask", "arn:aws:lambda:us-east-1:123456789012:function:ask", "3f0c", 5_000)


def reply(handler: Callable[[Any, Context], Any], event: Any = None) -> dict[str, Any]:
    line = answer(handler, json.dumps(event).encode(), CONTEXT)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    said: dict[str, Any] = json.loads(line)
    return said


def test_the_context_speaks_lambda() -> None:
    assert CONTEXT.function_name == "ask"
    assert CONTEXT.function_version == "$LATEST"
    assert CONTEXT.invoked_function_arn.endswith(":function:ask")
    assert CONTEXT.aws_request_id == "3f0c"
    assert CONTEXT.log_group_name == "/aws/lambda/ask"
    assert int(CONTEXT.memory_limit_in_mb) > 0


def test_the_time_that_is_left() -> None:
    assert 0 < Context("ask", "", "", 3_600_000).get_remaining_time_in_millis() <= 3_600_000


def test_no_time_is_never_less_than_none() -> None:
    assert Context("ask", "", "", -1_000).get_remaining_time_in_millis() == 0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_a_result_arrives_as_it_was(event: Any) -> None:
    assert reply(lambda event, _: event, event) == {"result": event}


def test_the_handler_is_given_the_context() -> None:
    assert reply(lambda _, context: context.aws_request_id) == {"result": "3f0c"}


class _Rude(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def _raise(error: BaseException) -> NoReturn:
    raise error


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("no\nline"), "the function raised ValueError: no line"),
        (KeyError("SerialNumber"), "the function raised KeyError: 'SerialNumber'"),
        (KeyboardInterrupt(), "the function raised KeyboardInterrupt: "),
        (_Rude(), "the function raised _Rude"),
        (SystemExit(), "the function ended itself with sys.exit(None)"),
        (SystemExit(3), "the function ended itself with sys.exit(3)"),
    ],
)
def test_whatever_it_raises_is_told(error: BaseException, told: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert reply(lambda *_: _raise(error)) == {"error": told}
    assert ("Traceback" in capfd.readouterr().err) is not isinstance(error, SystemExit)


def _deep() -> list[Any]:
    inner: list[Any] = []
    for _ in range(100_000):
        inner = [inner]
    return inner


@pytest.mark.parametrize("result", [object(), b"bytes", {1, 2}, {"n": float("nan")}, float("inf"), {(1,): 1}, _deep()])
def test_what_json_cannot_say(result: Any) -> None:
    assert "returned what JSON cannot say" in reply(lambda *_: result)["error"]


def test_an_answer_of_any_size_is_no_answer() -> None:
    assert reply(lambda *_: "x" * LONGEST_ANSWER)["error"].startswith("the function returned 262")
    assert "result" in reply(lambda *_: "x" * (LONGEST_ANSWER - 20))


@given(st.text())
def test_a_description_is_one_bounded_line(text: str) -> None:
    assert "\n" not in describe(ValueError(text))
    assert len(describe(ValueError(text))) <= LONGEST_MESSAGE


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    file = tmp_path / "a_handler.py"
    monkeypatch.setitem(sys.modules, file.stem, sys)  # put back what `load` replaces

    def write(text: str) -> Path:
        file.write_text(text)
        return file

    return write


def test_load_takes_the_named_function(source: Callable[[str], Path]) -> None:
    file = source("import sys\nWHERE = sys.modules[__name__].__file__\ndef decide(event, context): return event, WHERE")
    assert load(file, "decide")(1, CONTEXT) == (1, str(file))


def test_load_sees_a_file_saved_within_the_same_second(source: Callable[[str], Path]) -> None:
    load(source("def f(e, c): return 1"), "f")
    assert load(source("def f(e, c): return 2"), "f")(None, CONTEXT) == 2


@pytest.mark.parametrize("text", ["", "lambda_handler = 1", "def other(e, c): pass"])
def test_load_says_which_function_is_missing(source: Callable[[str], Path], text: str) -> None:
    with pytest.raises(LookupError, match=r"a_handler\.py has no function 'lambda_handler'"):
        load(source(text), "lambda_handler")


@pytest.mark.parametrize(
    ("text", "error"), [("(", SyntaxError), ("import nowhere_to_be_found", ImportError), ("exit(1)", SystemExit)]
)
def test_load_lets_the_modules_own_error_through(
    source: Callable[[str], Path], text: str, error: type[BaseException]
) -> None:
    with pytest.raises(error):
        load(source(text), "lambda_handler")
