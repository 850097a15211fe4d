from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


def keys(call: Any) -> list[str]:
    """Access keys of functions."""
    listed = call("key", "list", "--json").json
    return [each["id"] for each in listed if each["label"].startswith("function/")]


def test_bind_list_unbind(call: Any, tmp_path: Path) -> None:
    (tmp_path / "hook.py").write_text("def decide(event, context): ...\n")
    bound = call("function", "bind", "approve", "hook.py", "--handler", "decide", "--json").json
    assert (bound["file"], bound["handler"]) == (str(tmp_path / "hook.py"), "decide")
    assert bound["arn"] == "arn:aws:lambda:us-east-1:123456789012:function:approve"
    (tmp_path / "hook.py").write_text("lambda_handler = decide = print\n")
    call("function", "bind", "approve", "hook.py")
    (listed,) = call("function", "list", "--json").json
    assert listed["handler"] == "lambda_handler"
    call("function", "unbind", "approve")
    assert call("function", "list").err == "No functions.\n"
    assert "No function approve is bound" in call("function", "unbind", "approve", status=1).err


def test_on_registration(call: Any, tmp_path: Path) -> None:
    (tmp_path / "hook.py").write_text("def lambda_handler(event, context): ...\n")
    call("function", "bind", "greet", "hook.py")
    said = call("function", "on-registration", "greet").err
    assert said == "greet is called for certificates of every registered CA.\n"
    call("function", "on-registration", "greet")
    assert keys(call) == []  # made when it is first called
    (listed,) = call("function", "list", "--json").json
    assert listed["on_registration"] == ["every CA"]
    assert "every CA" in call("function", "list").out
    assert "is called no more" in call("function", "on-registration", "greet", "--off").err
    assert "is not called for" in call("function", "on-registration", "greet", "--off", status=1).err
    call("function", "on-registration", "greet")
    call("function", "unbind", "greet")
    assert call("function", "list").err == "No functions.\n"


def test_on_registration_of_what_is_not_there(call: Any, tmp_path: Path) -> None:
    assert "No function greet is bound" in call("function", "on-registration", "greet", status=1).err
    (tmp_path / "hook.py").write_text("def lambda_handler(event, context): ...\n")
    call("function", "bind", "greet", "hook.py")
    assert "is not registered" in call("function", "on-registration", "greet", "--ca", "a" * 64, status=1).err
    assert "64 hexadecimal digits" in call("function", "on-registration", "greet", "--ca", "a", status=1).err
    assert keys(call) == []


def test_a_file_that_is_not_there(call: Any) -> None:
    assert "does not exist" in call("function", "bind", "approve", "nowhere.py", status=2).err


def test_a_name_that_cannot_be(call: Any, tmp_path: Path) -> None:
    (tmp_path / "hook.py").write_text("from elsewhere import *\n")
    assert "function name" in call("function", "bind", "a b", "hook.py", status=1).err


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def decide(event, context): ...\n", "hook.py has no lambda_handler. It has decide; name one with --handler."),
        ("x = 1\n", "hook.py has no lambda_handler. It has no function."),
        ("def lambda_handler(\n", "hook.py, line 1 is no Python that can be read"),
        ("\0", "is no Python that can be read"),
    ],
)
def test_a_file_that_could_answer_nothing(call: Any, tmp_path: Path, source: str, words: str) -> None:
    (tmp_path / "hook.py").write_text(source)
    assert words in call("function", "bind", "approve", "hook.py", status=1).err
    assert call("function", "list", "--json").json == []


def test_the_file_is_read_and_not_run(call: Any, tmp_path: Path) -> None:
    (tmp_path / "hook.py").write_text("if True:\n    from os import abort as lambda_handler\nraise SystemExit(3)\n")
    call("function", "bind", "approve", "hook.py")
