"""The tutorial of bulk registration with the awscli package's `aws` command, as one would type it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.dev_server import DevServer
from tests.registrations import body, device, lines
from tests.server import PATIENCE

AWS = Path(sys.executable).with_name("aws")
REGION = "eu-west-1"
ROLE = "arn:aws:iam::123456789012:role/bulk"


@pytest.fixture
def aws(dev: DevServer, tmp_path: Path) -> Callable[..., Any]:
    """Run `aws iot ...` in an empty folder, in a region of this test's own: what it printed."""

    def aws(*words: str) -> Any:
        done = subprocess.run(
            [str(AWS), "iot", *words, "--output", "json", "--region", REGION],
            cwd=tmp_path,
            env=dev.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    return aws


def test_a_file_is_registered(dev: DevServer, aws: Callable[..., Any], tmp_path: Path, name: str) -> None:
    bucket = dev.folder.parent / "data" / "buckets" / "tutorial"
    bucket.mkdir(parents=True, exist_ok=True)
    (bucket / f"{name}.json").write_text(lines(device("flute-1"), device("flute-2")))
    (tmp_path / "templateBody.json").write_text(body())
    place = ["--input-file-bucket", "tutorial", "--input-file-key", f"{name}.json", "--role-arn", ROLE]
    started = aws("start-thing-registration-task", "--template-body", "file://templateBody.json", *place)
    task = ["--task-id", started["taskId"]]
    assert aws("list-thing-registration-tasks")["taskIds"] == [started["taskId"]]
    deadline = time.monotonic() + PATIENCE
    while (described := aws("describe-thing-registration-task", *task))["status"] == "InProgress":
        assert time.monotonic() < deadline, described
    assert (described["status"], described["successCount"], described["failureCount"]) == ("Completed", 2, 0)
    [link] = aws("list-thing-registration-task-reports", *task, "--report-type", "RESULTS")["resourceLinks"]
    with urllib.request.urlopen(link, timeout=PATIENCE) as report:
        arns = [json.loads(line)["response"]["ResourceArns"]["thing"] for line in report]
    assert arns == [f"arn:aws:iot:{REGION}:{dev.account}:thing/{thing}" for thing in ("flute-1", "flute-2")]


def test_one_thing_is_registered(aws: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "templateBody.json").write_text(body())
    (tmp_path / "parameters.json").write_text(json.dumps(device("piccolo")))
    files = ["--template-body", "file://templateBody.json", "--parameters", "file://parameters.json"]
    answer = aws("register-thing", *files)
    assert answer["certificatePem"].startswith("-----BEGIN CERTIFICATE-----")
    assert aws("list-thing-principals", "--thing-name", "piccolo")["principals"] == [
        answer["resourceArns"]["certificate"]
    ]
