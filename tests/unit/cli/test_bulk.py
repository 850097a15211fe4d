from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from tests.registrations import body, device, lines

from fleetgate.cli import bulk
from fleetgate.database.open import open_database
from fleetgate.registry import tasks
from fleetgate.registry.tasks import Status


@pytest.fixture(autouse=True)
def _no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """None runs here, so none is waited for."""
    monkeypatch.setattr(bulk, "_SERVER_SECONDS", 0.0)


@pytest.fixture
def template(tmp_path: Path) -> str:
    (tmp_path / "template.json").write_text(body())
    return "template.json"


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "lamps.json").write_text(lines(device("lamp-1"), "nonsense", device("lamp-2")))
    return "lamps.json"


def test_a_file_is_registered(call: Any, template: str, tmp_path: Path) -> None:
    (tmp_path / "lamps.json").write_text(lines(device("lamp-1"), device("lamp-2")))
    answer = call("bulk", "register", template, "lamps.json")
    assert "Completed: 2 registered, 0 failed." in answer.err
    assert [each["name"] for each in call("thing", "list", "--json").json] == ["lamp-1", "lamp-2"]
    assert list((tmp_path / "fleetgate-data" / "buckets" / "command-line").iterdir()) == []


def test_lines_that_fail_end_in_status_1_and_in_the_report(call: Any, template: str, file: str, tmp_path: Path) -> None:
    answer = call("bulk", "register", template, file, "--json", status=1)
    task = answer.json
    assert (task["status"], task["successes"], task["failures"], task["percentage"]) == ("Completed", 2, 1, 100)
    assert [json.loads(line)["lineNumber"] for line in call("bulk", "report", task["id"]).out.splitlines()] == [1, 3]
    call("bulk", "report", task["id"], "--errors", "--output", "errors.json")
    [error] = map(json.loads, (tmp_path / "errors.json").read_text().splitlines())
    assert error["lineNumber"] == 2
    assert error["error"]["code"] == "InvalidRequestException"

    assert [each["id"] for each in call("bulk", "list", "--json").json] == [task["id"]]
    assert call("bulk", "show", task["id"], "--json").json["line"] == 3
    assert "Completed" in call("bulk", "list").out
    assert "Completed already" in call("bulk", "stop", task["id"], status=1).err


def test_a_template_that_cannot_be_used(call: Any, file: str, tmp_path: Path) -> None:
    (tmp_path / "template.json").write_text("{}")
    assert "Resources" in call("bulk", "register", "template.json", file, status=1).err
    assert not (tmp_path / "fleetgate-data" / "buckets").exists()


def waiting(folder: Path, template: str) -> str:
    """A task that nobody works on."""
    data = folder / "fleetgate-data"
    (data / "buckets" / "factory").mkdir(parents=True)
    (data / "buckets" / "factory" / "lamps.json").write_text(lines(device("lamp-1")))

    async def start() -> str:
        from fleetgate.names import Act, Realm
        from fleetgate.provisioning import bucket

        source = bucket.look(data / "buckets", "factory", "lamps.json")
        act = Act(Realm("123456789012", "us-east-1"), "test", 1, "00000000-0000-0000-0000-000000000001")
        database = open_database(data / "fleetgate.db")
        task = await database.write(lambda tx: tasks.start(tx, act, (folder / template).read_text(), source, "role"))
        await database.close()
        return task.id

    return asyncio.run(start())


def test_a_task_that_waits_is_resumed(call: Any, template: str, tmp_path: Path) -> None:
    task_id = waiting(tmp_path, template)
    assert call("bulk", "resume", task_id, "--json").json["status"] == Status.COMPLETED
    assert call("bulk", "resume", task_id, "--json").json["successes"] == 1


def test_a_second_task_waits_for_the_first(call: Any, template: str, file: str, tmp_path: Path) -> None:
    task_id = waiting(tmp_path, template)
    assert f"Task {task_id} is still running" in call("bulk", "register", template, file, status=1).err
    assert list((tmp_path / "fleetgate-data" / "buckets" / "command-line").iterdir()) == []
    call("bulk", "stop", task_id)
    answer = call("bulk", "resume", task_id, status=1)
    assert "Cancelled: 0 registered, 0 failed. Stopped after line 0." in answer.err


@pytest.mark.parametrize("command", ["show", "stop", "resume", "report"])
def test_an_unknown_task(call: Any, command: str) -> None:
    assert "Task x does not exist" in call("bulk", command, "x", status=1).err
