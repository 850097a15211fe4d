"""What all commands share that run a server: the event loop, signals, the ready file."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop

from fleetgate.errors import Unavailable

ReadyFile = Annotated[
    Path | None,
    typer.Option("--ready-file", metavar="FILE", help="Write where everything is, as JSON, once everything answers."),
]


def run(server: Coroutine[Any, Any, None]) -> None:
    """Until it ends, on uvloop. Raises Unavailable where a port is taken."""
    try:
        uvloop.run(server)
    except OSError as error:
        if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
            raise
        raise Unavailable(
            f"The server cannot listen: {error.strerror}. Stop what uses the port, or take others (mqtt_port and "
            "https_port in [gateway], port in [api]; fleetgate dev --free-ports)."
        ) from error


@contextmanager
def stopping() -> Iterator[asyncio.Event]:
    """Set by the first SIGTERM or SIGINT; the second one ends the process as it would any other."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    signals = (signal.SIGTERM, signal.SIGINT)

    def release() -> None:
        for each in signals:
            loop.remove_signal_handler(each)

    def told() -> None:
        release()
        stop.set()

    for each in signals:
        loop.add_signal_handler(each, told)
    try:
        yield stop
    finally:
        release()


@contextmanager
def announced(path: Path | None, ready: Mapping[str, Any]) -> Iterator[None]:
    """*path* holds *ready*, whole from the first moment and for its owner alone, as long as the block runs."""
    if path is None:
        yield
        return
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(ready, file, indent=2)
        file.write("\n")
    draft.replace(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
