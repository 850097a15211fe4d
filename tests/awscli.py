"""The awscli package's `aws` command, started often: a process that has it loaded forks for each call.

What runs is the command's own code with arguments, folder and environment of its own; only the second that a Python
takes to load it is spent once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PATIENCE = 60.0
_FORKER = """
import json, os, sys
import awscli.clidriver, awscli.botocore.auth, awscli.botocore.client, awscli.botocore.endpoint_provider
awscli.clidriver.create_clidriver()  # loads what every command begins with
for line in sys.stdin:
    asked = json.loads(line)
    child = os.fork()
    if child == 0:
        os.chdir(asked["folder"])
        for name in set(os.environ) - {"AWS_DATA_PATH"}:  # which loading the command has set
            del os.environ[name]
        os.environ.update(asked["environment"])
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(asked[name], os.O_WRONLY | os.O_TRUNC), number)
        sys.argv = ["aws", *asked["words"]]
        status = awscli.clidriver.main()
        sys.stdout.flush()
        os._exit(status)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Failed(Exception):
    """The command's exit status was not 0; the message has what it said."""


@dataclass(frozen=True, slots=True)
class Cli:
    """The command in *folder*, with *environment* and nothing else of this machine."""

    forker: subprocess.Popen[str]
    folder: Path
    environment: Mapping[str, str]

    def text(self, *words: str) -> str:
        """What it prints. Raises Failed."""
        with tempfile.NamedTemporaryFile(mode="r") as out, tempfile.NamedTemporaryFile(mode="r") as err:
            asked = {"words": words, "folder": str(self.folder), "environment": dict(self.environment)}
            assert self.forker.stdin is not None
            assert self.forker.stdout is not None
            self.forker.stdin.write(json.dumps({**asked, "out": out.name, "err": err.name}) + "\n")
            self.forker.stdin.flush()
            status = int(self.forker.stdout.readline())
            if status:
                raise Failed(f"{words[:2]} exit status {status}: {err.read()}")
            return out.read()

    def __call__(self, *words: str) -> Any:
        """The answer as JSON; None where there is none."""
        text = self.text(*words, "--output", "json")
        return json.loads(text) if text.strip() else None

    def write(self, name: str, content: Any) -> str:
        """A file in the folder, JSON unless it is text; as an argument."""
        (self.folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
        return f"file://{name}"


@contextmanager
def forker() -> Iterator[subprocess.Popen[str]]:
    """What `Cli` runs on."""
    environment = {"PATH": os.environ["PATH"]}
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _FORKER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        yield process
    finally:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.stdout.close()
        process.wait(_PATIENCE)
