"""What all commands share that run a server: its addresses, its lock, the event loop, signals, the ready file."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import gc
import json
import os
import signal
import socket
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import uvloop

from fleetgate.config import Config
from fleetgate.errors import Unavailable, all_of


def _writable(path: Path | None) -> Path | None:
    """Told before a server is started. Raises BadParameter."""
    if path is None:
        return None
    if path.is_dir():
        raise typer.BadParameter(f"{path} is a folder. Name a file in it.")
    if not path.parent.is_dir():
        raise typer.BadParameter(f"There is no folder {path.parent}. Make it first, or name another file.")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise typer.BadParameter(f"The folder {path.parent} may not be written to. Name a file in another one.")
    return path


ReadyFile = Annotated[
    Path | None,
    typer.Option(
        "--ready-file",
        metavar="FILE",
        callback=_writable,
        help="Write where everything is, as JSON, once everything answers.",
    ),
]


LOCK: Final = "serving.lock"
"""In a data directory: held, with its process id inside, by who serves it."""


def check_addresses(config: Config) -> None:
    """Before anything is founded: every configured port can be listened on. Raises Unavailable with all that cannot."""
    gateway, api = config.gateway, config.api
    wanted = (
        ("gateway.host", gateway.host, "gateway.mqtt_port", gateway.mqtt_port),
        ("gateway.host", gateway.host, "gateway.https_port", gateway.https_port),
        ("api.host", api.host, "api.port", api.port),
    )
    found = [_problem(*each) for each in wanted]
    if problems := list(dict.fromkeys(each for each in found if each)):
        raise Unavailable(f"The server cannot listen: {all_of(problems)}")


def _problem(host_setting: str, host: str, port_setting: str, port: int) -> str:
    """What to mend; empty where the address can be listened on."""
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in infos:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(address)
    except socket.gaierror as error:
        return f"{host_setting} is {host!r}, which is no address ({error.strerror}). Give one of this machine's."
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            return f"{host_setting} is {host!r}, which is no address of this machine. Give one, or 0.0.0.0 for all."
        words = os.strerror(error.errno or 0)
        mend = (
            "Ports below 1024 need a privilege (CAP_NET_BIND_SERVICE)."
            if error.errno == errno.EACCES
            else "Stop what uses it (another fleetgate?), or give another port here (fleetgate dev --free-ports)."
        )
        return f"{port_setting} {port} on {host}: {words}. {mend}"
    return ""


@contextmanager
def alone(config: Config) -> Iterator[None]:
    """The one process that serves an installation with its records in SQLite. Raises Unavailable where one does.

    A second one would not tell the devices connected to it what the first one's operators revoke. On PostgreSQL nodes
    do not exclude each other.
    """
    if config.database.url.startswith(("postgresql://", "postgres://")):
        yield
        return
    folder = config.server.data_dir
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = (folder / LOCK).open("a+")
    except OSError as error:
        raise Unavailable(f"The data directory {folder} (server.data_dir) cannot be used: {error}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise Unavailable(
                f"Another fleetgate process ({file.read(20).strip() or 'id unknown'}) serves {folder} already. Stop it "
                "first, or name another directory with --data-dir."
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


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


def settled() -> None:
    """Everything has been made that stays: the garbage collector need not look through it again and again (AWS's
    service models above all), nor look for garbage every 700 objects, which is a few packets.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


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
