from __future__ import annotations

from pathlib import Path
from typing import Any


def test_bind_list_unbind(call: Any, tmp_path: Path) -> None:
    (tmp_path / "hook.py").write_text("def decide(event, context): ...\n")
    bound = call("function", "bind", "approve", "hook.py", "--handler", "decide", "--json").json
    assert (bound["file"], bound["handler"]) == (str(tmp_path / "hook.py"), "decide")
    assert bound["arn"] == "arn:aws:lambda:us-east-1:123456789012:function:approve"
    call("function", "bind", "approve", "hook.py")
    (listed,) = call("function", "list", "--json").json
    assert listed["handler"] == "lambda_handler"
    call("function", "unbind", "approve")
    assert call("function", "list").err == "No functions.\n"
    assert "No function approve is bound" in call("function", "unbind", "approve", status=1).err


def test_a_file_that_is_not_there(call: Any) -> None:
    assert "does not exist" in call("function", "bind", "approve", "nowhere.py", status=2).err


def test_a_name_that_cannot_be(call: Any, tmp_path: Path) -> None:
    (tmp_path / "hook.py").write_text("")
    assert "function name" in call("function", "bind", "a b", "hook.py", status=1).err
